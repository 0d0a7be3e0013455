"""How every harness is called, and its output: ``python -m bench.NAME [--quick] [--seed S] [--json]``.

Here: options, the table a person reads, the one JSON line a program reads, the exit status. Not here: what is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from generia_assets.interrupts import restore_interrupts

PIPED_WIDTH = 132
"""Columns of a table that no terminal shows."""


@dataclass(frozen=True)
class Options:
    """The options of the harness. ``quick``: under 50 s, part of ``make test``. ``seed``: its faults follow from it."""

    quick: bool
    seed: int
    json: bool
    tries: int | None = None
    """How often of each kind, for a harness of tries; None: as many as it thinks right."""
    platform: str = "local"
    """Where worlds are published, for a harness that can choose: local, or grpc (the emulator of the platform's services)."""


@dataclass
class Report:
    """What the harness found. ``ok``: everything that must be true is true."""

    ok: bool
    figures: Mapping[str, object]
    headings: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = field(default_factory=list)
    remarks: Sequence[str] = ()


def run(name: str, description: str, harness: Callable[[Options, Console], Report]) -> None:
    """Run the harness as a command and exit: 0 if everything is correct, else 1. With ``--json`` the last line of standard output
    is ``{"ok": bool, …figures}``, and everything else goes to standard error.
    """
    restore_interrupts()
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=description)
    parser.add_argument("--quick", action="store_true", help="a small version, under 50 s, as make test runs it")
    parser.add_argument("--seed", type=int, default=1, help="the faults come from it; the same seed, the same faults")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON on standard output")
    parser.add_argument("--tries", type=int, metavar="N", help="tries of each kind, where the harness makes tries")
    parser.add_argument("--platform", choices=("local", "grpc"), default="local", help="where worlds are published (kills)")
    options = Options(**vars(parser.parse_args()))
    shown_on = sys.stderr if options.json else sys.stdout
    console = Console(file=shown_on, width=None if shown_on.isatty() else PIPED_WIDTH)
    report = harness(options, console)
    if report.headings:
        table = Table(*map(str, report.headings), title=name)
        for row in report.rows:
            table.add_row(*map(str, row))
        console.print(table)
    for remark in report.remarks:
        console.print(remark, markup=False)
    console.print({"ok": report.ok, **report.figures})
    if options.json:
        print(json.dumps({"ok": report.ok, **report.figures}))
    sys.exit(0 if report.ok else 1)
