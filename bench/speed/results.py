"""The results: medians of a case's runs, the file of earlier results, and the tables for people.

Here: an ``Entry`` for each time that ``make bench`` ran, one line of JSON each in bench/results/speed.jsonl. Not here: measuring.
"""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rich.table import Table

from bench.speed.cases import Case, Line, Measured
from bench.speed.meter import RUN
from bench.speed.session import KINDS, Costs
from bench.stack import ROOT

FILE = ROOT / "bench" / "results" / "speed.jsonl"
_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Value(BaseModel):
    """One line of a case over its runs. ``bound`` and ``ratio`` are medians; the ratio is how many times as bad as the bound."""

    model_config = _FROZEN

    name: str
    unit: str
    median: float
    minimum: float
    maximum: float
    bound: float | None
    ratio: float | None


class CaseResult(BaseModel):
    """A case over its runs. ``costs``: the median of each figure."""

    model_config = _FROZEN

    what: str
    runs: int
    values: list[Value]
    costs: Costs | None


class Entry(BaseModel):
    """One execution of ``make bench``. ``loop_ms``: the fixed loop, which measures the machine's speed."""

    model_config = _FROZEN

    at: datetime
    commit: str
    cores: int
    loop_ms: float
    cases: dict[str, CaseResult]


def summary(case: Case, runs: Sequence[Measured]) -> CaseResult:
    lines = [_value(of_runs) for of_runs in zip(*(run.lines for run in runs), strict=True)]
    costs = [run.costs for run in runs if run.costs is not None]
    return CaseResult(what=case.what, runs=len(runs), values=lines, costs=_median_costs(costs) if costs else None)


def entry(cases: Mapping[str, CaseResult], loop_ms: float, commit: str) -> Entry:
    """The results of this commit; the measurement ends now."""
    now = datetime.now(UTC).replace(microsecond=0)
    return Entry(at=now, commit=commit, cores=os.cpu_count() or 1, loop_ms=round(loop_ms, 1), cases=dict(cases))


def present_commit() -> str:
    """The commit that is checked out; with ``+`` if something but results is changed."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{FILE.relative_to(ROOT).parent}")
    return _git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def keep(measured: Entry, file: Path = FILE) -> None:
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as lines:
        lines.write(measured.model_dump_json() + "\n")


def earlier(file: Path = FILE) -> list[Entry]:
    return [Entry.model_validate_json(line) for line in file.read_text().splitlines()] if file.exists() else []


def tables(measured: Entry, before: Sequence[Entry]) -> Iterator[Table]:
    """The results compared with the bounds and with the latest earlier result of each case; and the cost of a call."""
    speed = Table("case", "measured", "median", "min", "max", "bound", "ratio", "earlier", "change", title="speed")
    cpu = Table("case", "calls", *_PROCESSES, "all", "run/loop", "peak MB", title="CPU per outside call, ms")
    commands = Table("case", "all", *KINDS, "others", title="MongoDB operations per outside call")
    for name, case in measured.cases.items():
        then = next((one for one in reversed(before) if name in one.cases), None)
        old = {value.name: value for value in then.cases[name].values} if then else {}
        for place, value in enumerate(case.values):
            figures = (_number(value.median), _number(value.minimum), _number(value.maximum), _number(value.bound))
            ratio = "" if value.ratio is None else f"{value.ratio:.2f}"
            change = _change(value, old.get(value.name), then)
            speed.add_row("" if place else name, f"{value.name} ({value.unit})", *figures, ratio, *change)
        if (costs := case.costs) is not None:
            spent = (*(costs.cpu_ms.get(process, 0.0) for process in _PROCESSES), costs.all_ms)
            loop = f"{costs.run_ms / costs.loop_ms:.2f}"
            cpu.add_row(name, f"{costs.calls:.0f}", *(f"{one:.1f}" for one in spent), loop, f"{costs.peak_mb:.0f}")
            made = (sum(costs.commands.values()), *(costs.commands.get(kind, 0.0) for kind in (*KINDS, "others")))
            commands.add_row(name, *(f"{one:.2f}" for one in made))
    yield from (speed, cpu, commands)


_PROCESSES = (RUN, "mongod", "gemini", "code server", "daemon", "broker")


def _change(value: Value, old: Value | None, then: Entry | None) -> tuple[str, str]:
    """The earlier median with its commit, and how much worse the ratio (without a bound: the value) is now."""
    if old is None or then is None:
        return "", ""
    now, was = (value.median, old.median) if value.ratio is None or old.ratio is None else (value.ratio, old.ratio)
    return f"{_number(old.median)} ({then.commit})", f"{(now / was - 1) * 100:+.0f} %" if was else ""


def _value(lines: Sequence[Line]) -> Value:
    values, bounds = [line.value for line in lines], [line.bound for line in lines if line.bound is not None]
    ratios = [line.bound / line.value if line.rate else line.value / line.bound for line in lines if line.bound and line.value]
    return Value(
        name=lines[0].name,
        unit=lines[0].unit,
        median=_rounded(statistics.median(values)),
        minimum=_rounded(min(values)),
        maximum=_rounded(max(values)),
        bound=_rounded(statistics.median(bounds)) if bounds else None,
        ratio=_rounded(statistics.median(ratios)) if ratios else None,
    )


def _median_costs(costs: Sequence[Costs]) -> Costs:
    return Costs(
        calls=statistics.median(one.calls for one in costs),
        loop_ms=_rounded(statistics.median(one.loop_ms for one in costs)),
        cpu_ms=_medians([one.cpu_ms for one in costs]),
        commands=_medians([one.commands for one in costs]),
        peak_mb=_rounded(statistics.median(one.peak_mb for one in costs)),
    )


def _medians(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names: Iterable[str] = dict.fromkeys(name for one in figures for name in one)
    return {name: _rounded(statistics.median(one.get(name, 0.0) for one in figures)) for name in names}


def _rounded(value: float) -> float:
    return round(value, 3)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
