"""``make bench ARGS="B1 B4 --runs 1"``: measure these cases, or all cases; see docs/performance.md.

Here: the command. It measures and compares, and never reports a figure as too slow. Exit status 1 if a run fails; the other cases
are measured all the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence

from rich.console import Console

from bench.report import PIPED_WIDTH
from bench.speed.cases import CASES, QUICK, Case, Measured
from bench.speed.meter import fixed_loop
from bench.speed.results import CaseResult, Entry, earlier, entry, keep, present_commit, summary, tables
from bench.speed.session import session
from generia_assets.interrupts import restore_interrupts

STACK_SECONDS = 20.0
"""What the start and the end of a stack take."""


def main() -> None:
    restore_interrupts()
    options = _options()
    if sys.platform != "linux":
        sys.exit("make bench reads /proc, so it needs Linux")
    cases = QUICK if options.quick else _chosen(options.cases)
    runs = 1 if options.quick else options.runs
    if options.list:
        print("\n".join(f"{case.name:10} {case.what}, {case.seconds:.0f} s a run" for case in cases))
        return
    shown_on = sys.stderr if options.json else sys.stdout
    console = Console(file=shown_on, width=None if shown_on.isatty() else PIPED_WIDTH)
    minutes = (sum(case.seconds for case in cases) * runs + STACK_SECONDS * len(cases)) / 60
    console.print(f"{len(cases)} cases, {runs} runs each: about {minutes:.0f} minutes", highlight=False)
    measured = measure(cases, runs, options.seed, console, warm=not options.quick)
    for table in tables(measured, earlier()):
        console.print(table)
    console.print(f"fixed loop {measured.loop_ms:.1f} ms, {measured.cores} cores, commit {measured.commit}", highlight=False)
    if options.keep:
        keep(measured)
    if options.json:
        print(json.dumps(measured.model_dump(mode="json")))
    sys.exit(
        0 if all(name in measured.cases and measured.cases[name].runs == runs for name in (case.name for case in cases)) else 1
    )


def measure(cases: Sequence[Case], runs: int, seed: int, console: Console, *, warm: bool) -> Entry:
    """Run each case so many times, all on one stack."""
    results: dict[str, CaseResult] = {}
    commit, loops = present_commit(), [fixed_loop()]
    for case in cases:
        made: list[Measured] = []
        try:
            with session(case.answer_seconds, case.settings, seed, warm=warm) as opened:
                for number in range(1, runs + 1):
                    began = time.monotonic()
                    made.append(case.measure(opened))
                    loops.append(fixed_loop())
                    shown = ", ".join(f"{line.name} {line.value:.3g} {line.unit}" for line in made[-1].lines)
                    console.print(f"{case.name} {number}/{runs}, {time.monotonic() - began:.0f} s: {shown}", highlight=False)
        except (RuntimeError, TimeoutError) as error:
            console.print(f"{case.name} {len(made) + 1}/{runs} failed: {error}", style="red", markup=False, highlight=False)
        if made:
            results[case.name] = summary(case, made)
    return entry(results, statistics.median(loops) * 1000, commit)


def _chosen(names: Sequence[str]) -> Sequence[Case]:
    chosen = [case for case in CASES if not names or any(_is(case, name) for name in names)]
    if unknown := [name for name in names if not any(_is(case, name) for case in CASES)]:
        sys.exit(f"no case has the name {', '.join(unknown)}; there are {', '.join(case.name for case in CASES)}")
    return chosen


def _is(case: Case, name: str) -> bool:
    return any(part == name or part.startswith(f"{name}.") for part in (case.name, *case.name.split("+")))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help="B1, B3 (all of B3), B3.100; none: all")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="runs of each case (default: 5)")
    parser.add_argument("--quick", action="store_true", help="a tiny form, as make test runs it")
    parser.add_argument("--list", action="store_true", help="list the cases and end")
    parser.add_argument("--keep", action="store_true", help="add the results to bench/results/speed.jsonl, to be committed")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON on standard output")
    parser.add_argument("--seed", type=int, default=1, help="the ids of the worlds come from it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
