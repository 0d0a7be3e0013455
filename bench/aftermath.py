"""After a process was killed: the state of its world, and what a run did after it had lost its world.

Here: the verdict on one death. Not here: killing the process (kills.py, killing.py), and what exact means (exact.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.exact import call_counts, exactness
from bench.killing import Kill, alive
from bench.stack import TestStack
from generia_assets.durable.collections import PUBLICATIONS, STATUS, TASKS
from generia_assets.durable.status import Owner, State, WorldStatus
from resources.mongodb.connection import MongoDatabase

END_SECONDS = 60.0
"""A run that was killed, terminated or fenced off has ended after this time."""


@dataclass(frozen=True)
class Death:
    """What is killed, and when: ``delay`` seconds after LLM call number ``call`` of the world; ``call`` None: after its order."""

    kill: Kill
    call: int | None
    delay: float


@dataclass(frozen=True)
class Moment:
    """The moment of a death: the world's record then (None: no order recorded yet), the number of calls in flight, seconds."""

    world_id: str
    status: WorldStatus | None
    in_flight: int
    at: float
    died: float

    @property
    def stage(self) -> str:
        if self.status is None:
            return "ordered"
        return self.status.current_stage.value if self.status.status is State.IN_PROGRESS else self.status.status.value


@dataclass
class Outcome:
    """How a death changed its world. ``again``: seconds until a new owner took the world; None: its own run completed it."""

    death: Death
    stage: str
    at: float
    in_flight: int
    repeated: int
    missing: int
    doubled: int
    orphans: int
    spare: int
    again: float | None
    complete: float
    complaints: list[str]


class Stale:
    """A run whose process may continue after Dagster reports it as failed."""

    def __init__(self, processes: Sequence[int], owner: Owner | None) -> None:
        self._processes = processes
        self._run_id = owner.run_id if owner is not None else None
        self._lost_at: datetime | None = None

    def lost(self) -> None:
        self._lost_at = datetime.now(UTC)

    def complaints(self, database: MongoDatabase) -> list[str]:
        """What the run wrote after it lost its world, and whether its process still runs."""
        found = []
        deadline = time.monotonic() + END_SECONDS
        while any(alive(pid) for pid in self._processes) and time.monotonic() < deadline:
            time.sleep(0.05)
        if any(alive(pid) for pid in self._processes):
            found.append(f"the former run's process still runs {END_SECONDS:.0f} s after the end")
        if self._lost_at is None or self._run_id is None:
            return found
        for collection, query in (
            (TASKS, {"worker_id": self._run_id, "updated_at": {"$gt": self._lost_at}}),
            (PUBLICATIONS, {"run_id": self._run_id, "created_at": {"$gt": self._lost_at}}),
        ):
            written = database[collection].count_documents(query)
            if written:
                found.append(f"{written} {collection} written by a run that had lost its world")
        return found


def _takeovers(database: MongoDatabase, world_id: str) -> int:
    return WorldStatus.model_validate(database[STATUS].find_one({"_id": world_id})).takeovers


def judge(
    stack: TestStack,
    database: MongoDatabase,
    death: Death,
    moment: Moment,
    again: float | None,
    complete: float,
    complaints: Sequence[str],
) -> Outcome:
    findings = exactness(stack, database, moment.world_id)
    calls, asked = call_counts(database, moment.world_id), stack.gemini.stats()
    repeated = asked.calls - calls.planned_llm - calls.asked_again + calls.images - calls.planned_images
    # The ledger counts as cut off the calls that were in flight when the run ended. If the run was frozen before it was killed, the
    # number noted at that moment is the same. If it continued, or ended in order, it made more calls later.
    findings.expect("calls repeated beyond those cut off", max(0, repeated - calls.cut_off), 0)
    if death.kill in (Kill.RUN, Kill.EVERYTHING):  # a reservation that was not sent when the run died is not in flight
        unsent = max(0, calls.llm - asked.calls)
        findings.expect("calls cut off beyond those in flight", max(0, calls.cut_off - moment.in_flight - unsent), 0)
    if death.kill is Kill.STOP_RUN:  # a deploy is not a crash: it must not count toward MAX_TAKEOVERS
        findings.expect("takeovers counted", _takeovers(database, moment.world_id), 0)
    # Two counts of the same calls. A call cut off may never have been sent.
    findings.expect("calls made that the ledger does not have", max(0, asked.calls - calls.llm), 0)
    findings.expect("calls counted that nobody made", max(0, calls.llm - asked.calls - calls.cut_off_llm), 0)
    return Outcome(
        death=death,
        stage=moment.stage,
        at=moment.at,
        in_flight=moment.in_flight,
        repeated=repeated,
        missing=findings.missing,
        doubled=findings.doubled,
        orphans=findings.orphans,
        spare=findings.spare,
        again=again,
        complete=complete,
        complaints=[*complaints, *findings.complaints],
    )
