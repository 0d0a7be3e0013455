"""``python -m bench.fleet``: worlds on the workers of a fleet, while one worker is killed, one is frozen, and servers are
restarted.

Afterwards each world must be exact and made once, the calls in flight of all workers must have stayed within the limit, and no run
may remain. The same load is then measured without faults on the workers and on the default launcher of one machine. ``--quick``: a
small fleet, one death, no comparison. Not here: the parts of the fleet (fleet_stack.py), what exact means (exact.py).
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import dagster as dg
from rich.console import Console

from bench.exact import call_counts, exactness
from bench.fleet_stack import POSTGRESQL, RABBITMQ, FleetStack, worker
from bench.report import Options, Report, run
from bench.speed.meter import RUN, Meter
from bench.stack import TestStack, TooLateError, status_of, wait_for
from generia_assets.dagster_instance import ACTIVE
from generia_assets.durable.collections import HISTORY, STATUS
from generia_assets.durable.status import State
from local_services import fleet
from resources.gateway.calls import CUT_OFF, Api
from resources.gateway.outcomes import TransientError
from resources.mongodb.connection import MongoDatabase

LLM_SLOTS = 15
LATENCY_SECONDS = 0.5
FROZEN_SECONDS = 40.0
REPLACED_SECONDS = 20.0
"""After so long a new worker takes the place of the one that died."""
LONGEST_SECONDS = 900.0
QUIET_SECONDS = 300.0
"""After the last world's end the last run ends by then."""

LOST = {"api_type": {"$in": [Api.LLM, Api.IMAGE]}, "outcome": {"$in": [CUT_OFF, TransientError.outcome]}}
"""Calls without an answer: their process died, or was frozen until the connection was closed."""

Step = tuple[float, str, Callable[["Trial"], None]]
"""A step of a trial: after which part of all planned calls, what it is, and how it is done."""


@dataclass(frozen=True)
class Scenario:
    """The fleet, its worlds, and what happens while they are made."""

    workers: int
    runs: int
    worlds: int
    users: int
    posts: int
    steps: Sequence[Step]


@dataclass
class Trial:
    """A fleet under faults."""

    stack: FleetStack
    scenario: Scenario
    worlds: list[str] = field(default_factory=list)
    later: list[tuple[float, str, Callable[[], None]]] = field(default_factory=list)
    """What ends a fault, and when."""

    def order(self, share: float) -> None:
        users, posts = self.scenario.users, self.scenario.posts
        self.worlds += [self.stack.order(users=users, posts=posts) for _ in range(round(share * self.scenario.worlds))]

    def kill_worker(self) -> None:
        self.stack.kill(worker(1))
        self._in(REPLACED_SECONDS, "worker 1 is replaced", partial(self.stack.spawn_worker, 1))

    def freeze_worker(self) -> None:
        self.stack.signal(worker(2), signal.SIGSTOP)
        self._in(FROZEN_SECONDS, "worker 2 goes on", partial(self.stack.signal, worker(2), signal.SIGCONT))

    def restart_daemon(self) -> None:
        self.stack.kill("daemon")
        self.stack.start_daemon()

    def _in(self, seconds: float, what: str, action: Callable[[], None]) -> None:
        self.later.append((time.monotonic() + seconds, what, action))

    def run(self, database: MongoDatabase, console: Console) -> float:
        """Do all steps; return the seconds until all worlds are over. Raises ``TooLateError``."""
        began, planned, steps = time.monotonic(), 0, list(self.scenario.steps)

        def tell(what: str) -> None:
            console.print(f"{time.monotonic() - began:5.1f} s: {what}", highlight=False)

        def over() -> bool | None:
            nonlocal planned
            statuses = [status_of(database, world) for world in self.worlds]
            if not planned and all(statuses) and statuses:
                planned = self.scenario.worlds * call_counts(database, self.worlds[0]).planned_llm
            while steps and (not steps[0][0] or (planned and self.stack.gemini.stats().calls >= steps[0][0] * planned)):
                _, what, action = steps.pop(0)
                tell(what)
                action(self)
            for entry in [one for one in self.later if one[0] <= time.monotonic()]:
                self.later.remove(entry)
                tell(entry[1])
                entry[2]()
            return (not steps and not self.later and all(status and status.done for status in statuses)) or None

        wait_for("the end of all worlds", over, seconds=LONGEST_SECONDS, every=0.2)
        tell("all worlds are over")
        return time.monotonic() - began


STEPS: Sequence[Step] = (
    (0.0, "20 worlds are ordered", lambda trial: trial.order(1 / 3)),
    (0.05, "kill -9 of worker 1", Trial.kill_worker),
    (0.12, "20 worlds are ordered", lambda trial: trial.order(1 / 3)),
    (0.15, f"SIGSTOP of worker 2 for {FROZEN_SECONDS:.0f} s", Trial.freeze_worker),
    (0.28, "20 worlds are ordered", lambda trial: trial.order(1 / 3)),
    (0.30, "kill -9 of the broker, and a new one", lambda trial: trial.stack.restart_server(RABBITMQ)),
    (0.45, "kill -9 of PostgreSQL, and a new one", lambda trial: trial.stack.restart_server(POSTGRESQL)),
    (0.60, "kill -9 of the daemon, and a new one", Trial.restart_daemon),
)
FULL = Scenario(workers=3, runs=4, worlds=60, users=5, posts=12, steps=STEPS)
QUICK = Scenario(
    workers=2,
    runs=2,
    worlds=3,
    users=2,
    posts=4,
    steps=(
        (0.0, "3 worlds are ordered", lambda trial: trial.order(1)),
        (0.5, "kill -9 of worker 1", lambda trial: trial.stack.kill(worker(1))),
    ),
)


@dataclass
class Verdict:
    """The results of the worlds of a trial."""

    missing: int = 0
    doubled: int = 0
    repeated: int = 0
    lost: int = 0
    takeovers: int = 0
    peak: int = 0
    complaints: list[str] = field(default_factory=list)


def judge(trial: Trial, database: MongoDatabase) -> Verdict:
    """Whether every world is exact, and the limits of calls held over all workers."""
    verdict, llm, cut_off = Verdict(), 0, 0
    for world_id in trial.worlds:
        findings, calls = exactness(trial.stack, database, world_id), call_counts(database, world_id)
        verdict.missing += findings.missing
        verdict.doubled += findings.doubled
        verdict.repeated += calls.llm - calls.planned_llm - calls.asked_again + calls.images - calls.planned_images
        verdict.lost += database[HISTORY].count_documents({"world_id": world_id, **LOST})
        verdict.takeovers += status.takeovers if (status := status_of(database, world_id)) else 0
        verdict.complaints += [f"world {world_id}: {complaint}" for complaint in findings.complaints]
        llm, cut_off = llm + calls.llm, cut_off + calls.cut_off_llm
    asked = trial.stack.gemini.stats()
    verdict.peak = asked.peak_in_flight
    for wrong, number in (
        ("calls repeated beyond those without an answer", verdict.repeated - verdict.lost),
        ("calls made that no ledger has", asked.calls - llm),
        ("calls counted that nobody made", llm - asked.calls - cut_off),
        (f"calls in flight above {LLM_SLOTS}", asked.peak_in_flight - LLM_SLOTS),
    ):
        if number > 0:
            verdict.complaints.append(f"{number} {wrong}")
    return verdict


def active_runs(stack: TestStack) -> int:
    with stack.instance() as instance:
        return len(instance.get_run_records(dg.RunsFilter(statuses=ACTIVE)))


def under_faults(scenario: Scenario, seed: int, console: Console) -> tuple[float, Verdict]:
    with FleetStack(seed=seed, runs=scenario.runs) as stack:
        stack.start_servers(latency=LATENCY_SECONDS)
        stack.start_fleet(scenario.workers)
        return tried(stack, scenario, console)


def tried(stack: FleetStack, scenario: Scenario, console: Console) -> tuple[float, Verdict]:
    """Make the scenario's worlds on a fresh fleet; return the seconds until all were over, and the results."""
    with stack.database() as database:
        trial, seconds, late = Trial(stack, scenario), LONGEST_SECONDS, list[str]()
        try:
            seconds = trial.run(database, console)
            wait_for("the end of all runs", lambda: not active_runs(stack) or None, seconds=QUIET_SECONDS, every=0.5)
        except TooLateError as error:
            late.append(str(error))
        verdict = judge(trial, database)
        verdict.complaints[:0] = late
        return seconds, verdict


@dataclass(frozen=True)
class Load:
    """Worlds that were ordered at once. CPU in seconds for each run: of its own process, and of all processes."""

    launcher: str
    what: str
    seconds: float
    starts: float
    run_cpu: float
    all_cpu: float

    @property
    def row(self) -> Sequence[str]:
        return (self.launcher, self.what, *(f"{one:.2f}" for one in (self.seconds, self.starts, self.run_cpu, self.all_cpu)))


def load(stack: TestStack, database: MongoDatabase, launcher: str, worlds: int, users: int, posts: int) -> Load:
    """Order this number of worlds at once and measure until their runs have ended."""
    with Meter(stack, database) as meter:
        began = time.time()
        ordered = [stack.order(users=users, posts=posts) for _ in range(worlds)]
        completed = {"_id": {"$in": ordered}, "status": State.COMPLETED}
        wait_for(
            "worlds", lambda: database[STATUS].count_documents(completed) == worlds or None, seconds=LONGEST_SECONDS, every=0.25
        )
        wait_for("quiet", lambda: not active_runs(stack) or None, seconds=QUIET_SECONDS, every=0.25)
        seconds, cpu = time.time() - began, meter.spent().cpu
    with stack.instance() as instance:
        records = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
        starts = sorted(record.start_time for record in records if record.start_time and record.start_time > began)
    of_runs = sum(spent for name, spent in cpu.items() if name == RUN or name.startswith("worker"))
    pace = (len(starts) - 1) / (starts[-1] - starts[0])
    return Load(launcher, f"{worlds} of {users}/{posts}", seconds, pace, of_runs / worlds, sum(cpu.values()) / worlds)


def loads(seed: int) -> list[Load]:
    """The worlds of the trial, and worlds of one person and nothing else, on both launchers, without faults."""
    found = []
    for stack in (FleetStack(seed=seed, runs=FULL.runs), TestStack(seed=seed)):
        with stack:
            stack.start_servers(latency=LATENCY_SECONDS)
            launcher = "one machine"
            if isinstance(stack, FleetStack):
                launcher = "fleet"
                stack.start_fleet(FULL.workers)
            else:
                stack.start_dagster()
            with stack.database() as database:
                load(stack, database, launcher, 2, 1, 0)  # the first worlds start with empty caches
                found.append(load(stack, database, launcher, 40, 1, 0))
                found.append(load(stack, database, launcher, FULL.worlds, FULL.users, FULL.posts))
    return found


def harness(options: Options, console: Console) -> Report:
    if reason := fleet.available():
        sys.exit(f"bench.fleet cannot run: {reason}")
    scenario = QUICK if options.quick else FULL
    seconds, verdict = under_faults(scenario, options.seed, console)
    return report(scenario, seconds, verdict, [] if options.quick else loads(options.seed))


def report(scenario: Scenario, seconds: float, verdict: Verdict, measured: Sequence[Load] = ()) -> Report:
    return Report(
        ok=not verdict.complaints,
        figures={
            "worlds": scenario.worlds,
            "seconds": round(seconds, 1),
            "missing": verdict.missing,
            "doubled": verdict.doubled,
            "takeovers": verdict.takeovers,
            "lost_calls": verdict.lost,
            "repeated": verdict.repeated,
            "peak_in_flight": verdict.peak,
            "wrong": len(verdict.complaints),
        },
        headings=("launcher", "worlds", "seconds", "starts/s", "CPU s, run", "CPU s, all") if measured else (),
        rows=[one.row for one in measured],
        remarks=verdict.complaints,
    )


if __name__ == "__main__":
    run("fleet", "Breaks the parts of a fleet and checks that every world is exact; compares the launchers.", harness)
