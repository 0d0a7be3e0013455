"""``python -m bench.outages``: during each outage the world waits, and continues afterwards; requests to slow down are obeyed.

Here: the order of the cases and their parameters. Not here: the cases themselves (outage_cases.py), deaths (kills.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console

from bench.outage_cases import Cases, Verdict
from bench.report import Options, Report, run
from bench.stack import IMPATIENT, TestStack, TooLateError

SETTINGS = {**IMPATIENT, "GEMINI_TIMEOUT_SECONDS": "1", "LOG_LEVEL": "ERROR"}
LATENCY_SECONDS = 0.1


@dataclass(frozen=True)
class Lengths:
    """How long the cases take; seconds, but ``calls``. ``users`` and ``posts``: the world's size."""

    gemini: float
    mongodb: float
    step_down: int
    longest: float
    """One outage of Gemini of this length in the middle of a larger world; 0: none."""
    calls: int
    users: int
    posts: int


QUICK = Lengths(gemini=7.5, mongodb=3.0, step_down=1, longest=0.0, calls=48, users=2, posts=4)
FULL = Lengths(gemini=60.0, mongodb=30.0, step_down=10, longest=300.0, calls=240, users=3, posts=12)


def harness(options: Options, console: Console) -> Report:
    lengths = QUICK if options.quick else FULL
    verdicts: list[Verdict] = []
    with TestStack(settings=SETTINGS, seed=options.seed) as stack:
        stack.start_servers(latency=LATENCY_SECONDS)
        with stack.database() as database:
            all_cases = Cases(stack, database, users=lengths.users, posts=lengths.posts, seed=options.seed)
            for case in cases(all_cases, lengths, quick=options.quick):
                verdicts.append(verdict := _judged(case))
                console.print(f"{verdict.name}: {'; '.join(verdict.complaints) or 'as it must be'}", markup=False)
    return _report(verdicts)


def cases(all_cases: Cases, lengths: Lengths, *, quick: bool) -> Sequence[Callable[[], Verdict]]:
    """The cases, in their order: the small broker keeps nothing when it stops, so its case is the last."""
    chosen: list[Callable[[], Verdict]] = []
    if quick:
        chosen.append(lambda: all_cases.gemini_is_away({"unavailable": 0.5, "reset_connection": 1.0}, lengths.gemini / 3))
        chosen.append(lambda: all_cases.gemini_hangs(lengths.gemini * 2 / 3))
    else:
        chosen.append(all_cases.undisturbed)
        chosen.append(lambda: all_cases.gemini_is_away({"unavailable": 1.0}, lengths.gemini))
        chosen.append(lambda: all_cases.gemini_hangs(lengths.gemini))
        chosen.append(lambda: all_cases.gemini_is_away({"reset_connection": 1.0}, lengths.gemini))
        chosen.append(lambda: all_cases.gemini_is_away({"unavailable": 1.0}, lengths.longest))
        chosen.append(all_cases.minute_quota)
        chosen.append(all_cases.too_many_requests)
        chosen.append(lambda: all_cases.cost_of_an_outage(lengths.gemini))
    chosen += [lambda: all_cases.mongodb_stops(lengths.mongodb), all_cases.patience_ends, lambda: all_cases.ceiling(lengths.calls)]
    if quick:
        return chosen
    return [
        *chosen,
        all_cases.day_quota,
        lambda: all_cases.primary_steps_down(lengths.step_down),
        all_cases.dead_process_held_slots,
        all_cases.kafka_is_away,
    ]


def _judged(case: Callable[[], Verdict]) -> Verdict:
    try:
        return case()
    except TooLateError as error:
        return Verdict("a case that did not end", 0.0, "", [str(error)])


def _report(verdicts: Sequence[Verdict]) -> Report:
    figures: dict[str, object] = {"cases": len(verdicts)}
    for verdict in verdicts:
        figures |= verdict.figures
    return Report(
        ok=not any(verdict.complaints for verdict in verdicts),
        figures=figures,
        headings=("case", "seconds", "seen", "verdict"),
        rows=[
            (verdict.name, f"{verdict.seconds:.1f}", verdict.seen, "WRONG" if verdict.complaints else "ok") for verdict in verdicts
        ],
        remarks=[f"{verdict.name}: {complaint}" for verdict in verdicts for complaint in verdict.complaints],
    )


if __name__ == "__main__":
    run("outages", "Takes away what a world needs and gives it back, and checks that the world waits and goes on.", harness)
