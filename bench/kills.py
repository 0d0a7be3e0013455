"""``python -m bench.kills``: any process is killed at any moment; each world must complete by itself, with nothing lost or made
twice.

The worlds are made one after the other; during each one process is killed at a seeded moment. The calls in flight at that moment
are read while the run's process is frozen. Not here: how a process is killed (killing.py), how its world is judged (aftermath.py).
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import median

import dagster as dg
from rich.console import Console

from bench.aftermath import Death, Moment, Outcome, Stale, judge
from bench.killing import Kill, Supervisor, frozen, run_processes, send
from bench.report import Options, Report, run
from bench.stack import SHORT_LEASES, TestStack, TooLateError, status_of, wait_for
from generia_assets.dagster_instance import ACTIVE
from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import WorldStatus
from resources.mongodb.connection import MongoDatabase

USERS, POSTS = 3, 8
LATENCY_SECONDS = 0.2
PLATFORM_LATENCY_SECONDS = 0.2
"""A platform that takes a while for each call, so that deaths hit calls before and after it has carried them out."""
RECOVERY_SECONDS = 60.0
"""The configurable minute: from the death until the world is complete, for a world that takes a few seconds."""
BESIDE_TESTS_SECONDS = 600.0
"""As long as that where the machine runs other tests beside it."""
LIFE_SECONDS = 300.0
"""An order must have become a run that owns the world by then."""
WAITING_SECONDS = 4.0
"""An order waits about so long for its run (sensor, queue, start)."""
STORING_SECONDS = 2.0
"""After its last call a world stores its documents, says its last word and checks itself for about so long."""
HELD_SECONDS = 30.0
"""Calls take so long while a run whose code server died is to live on until Dagster has started another."""
QUIET_SECONDS = 120.0
"""How long the previous world's run may take to end before the next world is ordered."""
STILL_SECONDS = 0.02
"""What a process sent before it was stopped has arrived by then."""
SETTINGS = {**SHORT_LEASES, "BREAKER_OPEN_SECONDS": "0.3", "IMAGE_STUB_LATENCY_SECONDS": "0.1"}
CALLS = 2 + 1 + 2 * USERS + POSTS
"""LLM calls of such a world: description, pictures, one batch of people, each person and their ideas, each post."""
QUICK = (Kill.RUN, Kill.EVERYTHING)
ROUNDS = 50


class Harness:
    """Worlds and deaths in one stack."""

    def __init__(self, stack: TestStack, database: MongoDatabase, console: Console, recovery_seconds: float) -> None:
        self._recovery_seconds = recovery_seconds
        self._stack = stack
        self._database = database
        self._console = console
        self._supervisor = Supervisor(stack)

    def meet(self, death: Death) -> Outcome:
        """Make a world and kill the process meanwhile."""
        self._wait("quiet", self._is_quiet, seconds=QUIET_SECONDS, every=0.1)
        world_id = self._order()
        began = time.monotonic()
        if death.call is not None:
            self._wait("a run of the world", lambda: self._is_owned(world_id))
            began = time.monotonic()
            calls = death.call
            self._wait(f"call {calls} of the world", lambda: self._stack.gemini.stats().calls >= calls, every=0.005)
        self._sleep(death.delay)
        moment, stale = self._kill(death, world_id, began)
        complaints: list[str] = []
        again: float | None = None
        try:
            again = self._watch(world_id, moment, stale)
        except TooLateError as error:
            complaints.append(f"{error}. {self._supervisor.last_words()}")
        complete = time.monotonic() - moment.died
        complaints += stale.complaints(self._database)
        outcome = judge(self._stack, self._database, death, moment, again, complete, complaints)
        self._tell(outcome)
        return outcome

    def clean_up(self) -> None:
        self._supervisor.clean_up()

    def _kill(self, death: Death, world_id: str, began: float) -> tuple[Moment, Stale]:
        if death.call is None and death.kill.hits_run and not death.kill.parts:  # its run may not have started yet
            self._wait("a run's process", lambda: run_processes(self._stack))
        runs = run_processes(self._stack)
        with frozen(runs):
            time.sleep(STILL_SECONDS)
            record = self._database[STATUS].find_one({"_id": world_id})
            send(death.kill, self._stack, runs)
            if death.kill is Kill.CODE_SERVER:
                self._stack.gemini.set_faults(latency=HELD_SECONDS)
        died = time.monotonic()
        status = None if record is None else WorldStatus.model_validate(record)
        in_flight = 0 if record is None else len(record["in_flight"])
        return Moment(world_id, status, in_flight, died - began, died), Stale(runs, None if status is None else status.owner)

    def _watch(self, world_id: str, moment: Moment, stale: Stale) -> float | None:
        """Wait for the world's terminal state; return after how many seconds a new owner took it."""
        again: float | None = None
        epoch = 0 if moment.status is None else moment.status.owner.epoch

        def finished() -> bool:
            nonlocal again
            status = status_of(self._database, world_id)
            if status is None:
                return False
            if again is None and status.owner.epoch > epoch:
                again = time.monotonic() - moment.died
                stale.lost()
                self._stack.gemini.set_faults(latency=LATENCY_SECONDS)
            return status.done

        self._wait(f"the end of world {world_id}", finished, seconds=self._recovery_seconds, every=0.02)
        return again

    def _order(self) -> str:
        self._stack.gemini.reset()
        return self._stack.order(users=USERS, posts=POSTS)

    def _wait(self, what: str, probe: Callable[[], object], *, seconds: float = LIFE_SECONDS, every: float = 0.01) -> None:
        """Wait until the probe finds something, while the supervisor is at work."""

        def looked() -> bool | None:
            self._supervisor.look()
            return bool(probe()) or None

        wait_for(what, looked, seconds=seconds, every=every)

    def _is_owned(self, world_id: str) -> bool:
        status = status_of(self._database, world_id)
        return status is not None and status.owner.run_id is not None

    def _is_quiet(self) -> bool:
        """Whether the previous world's run and its retry have ended (a run executes checks after the world's terminal state)."""
        if run_processes(self._stack):
            return False
        with self._stack.instance() as instance:
            return not instance.get_run_records(dg.RunsFilter(statuses=ACTIVE), limit=1)

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._supervisor.look()
            time.sleep(0.005)

    def _tell(self, outcome: Outcome) -> None:
        verdict = "; ".join(outcome.complaints) or "exact"
        self._console.print(f"{outcome.death.kill}, {outcome.stage} {outcome.at:.1f} s: {verdict}", markup=False)


def deaths(options: Options) -> Sequence[Death]:
    """Which process is killed, and when, from the seed: all kinds in turn, at moments from the order to just after the terminal
    state."""
    dice = random.Random(options.seed)
    if options.quick:  # in the middle of the work, when most calls are in flight
        return [Death(kill, dice.randint(4, CALLS - 2), dice.uniform(0.0, LATENCY_SECONDS)) for kill in QUICK]
    kinds = list(Kill)
    return [_death(dice, kinds[place % len(kinds)]) for place in range(ROUNDS)]


def _death(dice: random.Random, kill: Kill) -> Death:
    phase = dice.random()
    if phase < 0.1:
        return Death(kill, None, dice.uniform(0.0, WAITING_SECONDS))
    if phase < 0.3:
        return Death(kill, CALLS, dice.uniform(0.0, STORING_SECONDS))
    return Death(kill, dice.randint(0, CALLS), dice.uniform(0.0, 2 * LATENCY_SECONDS))


def harness(options: Options, console: Console) -> Report:
    with TestStack(settings=SETTINGS, seed=options.seed) as stack:
        stack.start_servers(latency=LATENCY_SECONDS)
        if options.platform == "grpc":
            stack.start_platform(latency=PLATFORM_LATENCY_SECONDS)
        stack.start_dagster()
        return met(stack, options, console)


def met(stack: TestStack, options: Options, console: Console) -> Report:
    """Make worlds on this stack, and kill one process during each."""
    with stack.database() as database:
        kills = Harness(stack, database, console, BESIDE_TESTS_SECONDS if options.quick else RECOVERY_SECONDS)
        try:
            return _report([kills.meet(death) for death in deaths(options)])
        finally:
            kills.clean_up()


def _report(outcomes: Sequence[Outcome]) -> Report:
    again: defaultdict[Kill, list[float]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.again is not None:
            again[outcome.death.kill].append(outcome.again)
    rows = [
        (
            place,
            outcome.death.kill,
            f"{outcome.stage} {outcome.at:.1f} s",
            outcome.in_flight,
            outcome.repeated,
            outcome.missing,
            outcome.doubled,
            outcome.orphans,
            outcome.spare,
            "-" if outcome.again is None else f"{outcome.again:.1f}",
            f"{outcome.complete:.1f}",
            "exact" if not outcome.complaints else "WRONG",
        )
        for place, outcome in enumerate(outcomes, 1)
    ]
    return Report(
        ok=bool(outcomes) and not any(outcome.complaints for outcome in outcomes),
        figures={
            "kills": len(outcomes),
            "repeated": sum(outcome.repeated for outcome in outcomes),
            "in_air": sum(outcome.in_flight for outcome in outcomes),
            "missing": sum(outcome.missing for outcome in outcomes),
            "doubled": sum(outcome.doubled for outcome in outcomes),
            "orphans": sum(outcome.orphans for outcome in outcomes),
            "spare_pictures": sum(outcome.spare for outcome in outcomes),
            "slowest_s": round(max((outcome.complete for outcome in outcomes), default=0.0), 1),
            "again_median_s": {kill.value: round(median(times), 1) for kill, times in again.items()},
        },
        headings=(
            *("#", "killed", "at", "in flight", "repeated", "missing", "doubled", "orphans", "spare pictures"),
            *("resumed, s", "complete, s", "verdict"),
        ),
        rows=rows,
        remarks=[
            *(f"{outcome.death.kill}: {complaint}" for outcome in outcomes for complaint in outcome.complaints),
            f"- recovered: '-' means that the world's own run completed it. Bound: {RECOVERY_SECONDS:.0f} s until complete.",
        ],
    )


if __name__ == "__main__":
    run("kills", "Kills every part at seeded moments and checks that the world ends complete by itself.", harness)
