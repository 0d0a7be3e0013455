"""``python -m bench.frozen``: a frozen process delays neither other runs nor its own world.

Each try orders a world, waits until its run's process works, freezes that process (or kills it at that moment), terminates the run
as Dagster's pages do, and orders another world: its run must have started within ten seconds of the termination. The two kinds of
tries alternate. ``--tries N``: how many of each. After each try the harness requests the health of the code server.

Afterwards, for a fifth as many worlds, the process is frozen and nobody terminates its run: another run must own the world within
twice the lease. Then the old process continues: it must end by itself, and the world must be completed.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import dagster as dg
from rich.console import Console

from bench.killing import CODE_SERVER, alive, run_processes
from bench.report import Options, Report, run
from bench.stack import TestStack, TooLateError, await_end, status_of, wait_for
from generia_assets.code_server import starts_runs
from generia_assets.dagster_instance import ACTIVE
from generia_assets.durable.status import State
from resources.mongodb.connection import MongoDatabase

TRIES, QUICK_TRIES = 20, 2
BOUND_SECONDS = 10.0
LIFE_SECONDS = 180.0
"""What has not come by then never comes; how long it may take is ``right``."""
KINDS = ("frozen", "killed")
SETTINGS = {"WORLD_LEASE_SECONDS": "15", "SLOT_LEASE_SECONDS": "2"}
LATENCY_SECONDS = 1.0


@dataclass(frozen=True)
class Try:
    """The result of one try. Seconds: how long the termination took, and from then until another world's run had started."""

    kind: str
    world: str
    accepted: bool
    """Whether there was something to terminate: a run that was killed may be known to have failed by then."""
    terminated: float
    started: float | None
    healthy: bool

    @property
    def right(self) -> bool:
        """Whether the other run started in time, in a healthy code server."""
        return self.started is not None and self.started <= BOUND_SECONDS and self.healthy


def freeze(pid: int, stack: TestStack) -> None:
    """Stop a process (SIGSTOP), but never while it holds a lock of Dagster's SQLite files, which would block every other process.

    That is SQLite's limit (docs/operating.md, More machines). It is not what this bench measures.
    """
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        while any(_is_locked(file) for file in Path(stack.env["DAGSTER_HOME"]).rglob("*.db")):
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.05)
            os.kill(pid, signal.SIGSTOP)


def _is_locked(file: Path) -> bool:
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False


@dataclass(frozen=True)
class Nap:
    """The result of a world whose process was frozen. Seconds: until another run owned it; from SIGCONT until the old process
    ended."""

    taken: float
    ended: float
    completed: bool

    @property
    def right(self) -> bool:
        """Whether another run took the world after the lease, and the former process ended."""
        return self.taken <= 2 * float(SETTINGS["WORLD_LEASE_SECONDS"]) and self.ended <= BOUND_SECONDS and self.completed


class Tries:
    """Tries, one after the other, in one stack."""

    def __init__(self, stack: TestStack, database: MongoDatabase, console: Console) -> None:
        self._stack = stack
        self._database = database
        self._console = console

    def once(self, kind: str) -> Try:
        """Run one try and clean up."""
        world = self._stack.order(users=2, posts=60)
        wait_for(f"work on world {world}", partial(self._works, world), seconds=LIFE_SECONDS)
        processes = run_processes(self._stack)
        began, accepted = self._terminate_while(world, partial(self._end if kind == "killed" else self._freeze, processes))
        terminated = time.monotonic() - began
        other = self._stack.order(users=2, posts=3)
        try:
            with self._stack.instance() as instance:  # opening it takes longer than asking
                of_it = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags={"dagster/partition": other})
                wait_for("another run", lambda: instance.get_runs(of_it, limit=1) or None, seconds=LIFE_SECONDS)
            started: float | None = time.monotonic() - began
        except TooLateError:
            started = None
        outcome = Try(kind, world, accepted, terminated, started, self._healthy())
        self._console.print(f"{kind}: terminated in {terminated:.1f} s, another run after {started and round(started, 1)} s")
        self._clean_up(processes, other)
        return outcome

    def nap(self) -> Nap:
        """Freeze the process of one world until another run owns the world."""
        world = self._stack.order(users=2, posts=3)
        wait_for(f"work on world {world}", partial(self._works, world), seconds=LIFE_SECONDS)
        (pid,) = run_processes(self._stack)
        self._freeze([pid])
        began = time.monotonic()
        epoch = self._epoch(world)
        try:
            wait_for("another owner", lambda: self._epoch(world) > epoch or None, seconds=LIFE_SECONDS)
        finally:
            taken, woken = time.monotonic() - began, time.monotonic()
            os.kill(pid, signal.SIGCONT)
        wait_for("the end of the old process", lambda: not alive(pid) or None, seconds=LIFE_SECONDS)
        ended = time.monotonic() - woken
        status = await_end(self._database, world, seconds=300)
        outcome = Nap(taken, ended, status.status is State.COMPLETED and status.posts_created == 3)
        self._console.print(f"asleep: another run after {taken:.1f} s, the old one ended {ended:.1f} s after waking")
        self._until("quiet", lambda: not run_processes(self._stack) and not self._active())
        return outcome

    def _epoch(self, world: str) -> int:
        status = status_of(self._database, world)
        return 0 if status is None else status.owner.epoch

    def _works(self, world: str) -> bool | None:
        status = status_of(self._database, world)
        return (status is not None and status.api_calls_made_LLM > 1 and len(run_processes(self._stack)) == 1) or None

    def _terminate_while(self, world: str, happens: Callable[[], None]) -> tuple[float, bool]:
        """Terminate the world's run right after this; return the moment, and whether Dagster accepted it."""
        with self._stack.instance() as instance:
            (one,) = instance.get_runs(dg.RunsFilter(statuses=ACTIVE, tags={"dagster/partition": world}))
            happens()
            began, accepted = time.monotonic(), False
            with suppress(Exception):  # Dagster's own time-out, where terminating waits for the process
                accepted = instance.run_coordinator.cancel_run(one.run_id)
        return began, accepted

    def _freeze(self, pids: Sequence[int]) -> None:
        for pid in pids:
            freeze(pid, self._stack)

    def _end(self, pids: Sequence[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _healthy(self) -> bool:
        return starts_runs(f"127.0.0.1:{self._stack.env['CODE_SERVER_PORT']}")

    def _clean_up(self, frozen: Sequence[int], other: str) -> None:
        self._end(frozen)
        if not self._healthy():
            self._stack.forget(CODE_SERVER)
            self._stack.start_code_server()
        with suppress(ValueError):  # it is over already
            self._terminate_while(other, lambda: None)
        self._until("quiet", lambda: not run_processes(self._stack))
        self._until("an empty queue", lambda: not self._active())

    def _active(self) -> bool:
        with self._stack.instance() as instance:
            return bool(instance.get_run_records(dg.RunsFilter(statuses=ACTIVE), limit=1))

    def _until(self, what: str, probe: Callable[[], bool]) -> None:
        wait_for(what, lambda: probe() or None, seconds=300, every=0.2)


def harness(options: Options, console: Console) -> Report:
    tries = options.tries or (QUICK_TRIES if options.quick else TRIES)
    with TestStack(settings=SETTINGS, seed=options.seed) as stack:
        stack.start_servers(latency=LATENCY_SECONDS)
        stack.start_dagster()
        with stack.database() as database:
            trying = Tries(stack, database, console)
            outcomes = [trying.once(kind) for _ in range(tries) for kind in KINDS]
            naps = [trying.nap() for _ in range(-(-tries // 5))]
    rows = [
        (
            kind,
            len(of_kind),
            f"{max(one.terminated for one in of_kind):.1f}",
            f"{median([one.started or float('inf') for one in of_kind]):.1f}",
            f"{max(one.started or float('inf') for one in of_kind):.1f}",
            sum(not one.right for one in of_kind),
        )
        for kind in KINDS
        for of_kind in [[one for one in outcomes if one.kind == kind]]
    ]
    return Report(
        ok=all(one.right for one in outcomes) and all(nap.right for nap in naps),
        figures={
            "tries": len(outcomes),
            "wrong": sum(not one.right for one in outcomes),
            "slowest_start_s": max(one.started or float("inf") for one in outcomes),
            "slowest_termination_s": max(one.terminated for one in outcomes),
            "naps": len(naps),
            "slowest_taken_s": max(nap.taken for nap in naps),
            "slowest_end_s": max(nap.ended for nap in naps),
            "naps_wrong": sum(not nap.right for nap in naps),
        },
        headings=("kind", "tries", "terminated, max s", "another run, median s", "max s", "wrong"),
        rows=rows,
        remarks=[f"- bound: another world's run has started within {BOUND_SECONDS:.0f} s of the termination."],
    )


if __name__ == "__main__":
    run("frozen", "Terminates runs that stand still or die, and checks that other runs start all the same.", harness)
