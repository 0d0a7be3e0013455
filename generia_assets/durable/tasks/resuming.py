"""Letting a world go on that a person stopped, that ran into a limit, or that failed: a note in its status record.

Here: the note, higher limits and another try for failed tasks, in one transaction. Not here: who reads it: the watchdog sensor
(sensors/run_status.py) orders the world again, and the run continues its generation (generations.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pymongo.client_session import ClientSession

from generia_assets.catalog import TaskType
from generia_assets.durable.collections import GENERATIONS, STATUS, TASKS
from generia_assets.durable.events.events import Cancelled
from generia_assets.durable.events.outbox import change_with_event
from generia_assets.durable.events.progress import STAGE_OF
from generia_assets.durable.orders.decisions import GIVEN_UP
from generia_assets.durable.status import (
    OURS,
    HistoryWorldError,
    Stage,
    State,
    SuspendReason,
    WorldStatus,
    status_of,
    world_to_work_on,
)
from generia_assets.durable.tasks.fallback import standing
from resources.mongodb.connection import MongoDatabase, MongoDocument


class ResumeError(RuntimeError):
    """The world cannot go on like this. The message says why, and what can be done."""


@dataclass(frozen=True)
class ResumeOptions:
    """How a world is to go on: a new cap in US dollars (None: as before), more calls, and failed tasks again."""

    max_cost_usd: float | None = None
    more_calls: int = 0
    retry_failed: bool = False


def resume_world(database: MongoDatabase, world_id: str, wishes: ResumeOptions) -> int:
    """Note that the world is to go on; returns how many failed tasks are tried again. Raises ``ResumeError``."""
    with database.client.start_session() as session:
        return session.with_transaction(lambda transaction: _resume(database, world_id, wishes, transaction))


STOPPED_MESSAGE = "stopped; generia resume goes on where it stopped"


HOLD_SECONDS = 60.0
"""A world that was to be stopped, and was not, makes calls again after this."""


def hold_calls(database: MongoDatabase, world_id: str, *, seconds: float = HOLD_SECONDS) -> None:
    """Let no call of this world begin for so long, whoever makes it: the first step of stopping it. 0: let them begin again."""
    until = {"$add": ["$$NOW", int(seconds * 1000)]} if seconds else None
    database[STATUS].update_one({"_id": world_id}, [{"$set": {"no_calls_until": until}}])


def note_stop(database: MongoDatabase, world_id: str, *, taken_from: str | None = None) -> bool:
    """Note that a person stopped the world, where no run noted it itself: its order was still waiting, or its run is dead.

    ``taken_from``: a run that cannot be reached and still holds the world loses it: whatever it writes afterwards changes nothing,
    and it stops itself. False where there was nothing to note: the world is over, stopped already, or somebody else's.
    """
    now = datetime.now(UTC)
    nobodys = [{"owner.run_id": None}, {"owner.expires_at": {"$lt": now}}, {"owner.run_id": taken_from}]
    return change_with_event(
        database,
        {
            "_id": world_id,
            **OURS,
            "status": {"$in": [State.PENDING.value, State.IN_PROGRESS.value]},
            "parked.kind": {"$ne": SuspendReason.STOPPED.value},
            "$or": nobodys,
        },
        {
            "parked": {"kind": SuspendReason.STOPPED.value, "since": now},
            "message": STOPPED_MESSAGE,
            "waiting_for": None,
            "updated_at": now,
            "owner.run_id": None,
            "owner.expires_at": None,
            "no_calls_until": None,
        },
        Cancelled(reason="stopped", message=STOPPED_MESSAGE),
    )


def _resume(database: MongoDatabase, world_id: str, wishes: ResumeOptions, session: ClientSession) -> int:
    found = database[STATUS].find_one({"_id": world_id}, session=session)
    if found is None:
        raise ResumeError(f"world {world_id}: nobody ordered it here")
    if found.get("refused"):
        raise ResumeError(f"world {world_id} was never begun, its order was refused ({found['message']}); send it again, mended")
    try:
        world = world_to_work_on(found)
    except HistoryWorldError as error:
        raise ResumeError(str(error)) from None
    now = datetime.now(UTC)
    if world.owner.run_id is not None and world.owner.expires_at is not None and world.owner.expires_at > now:
        raise ResumeError(
            f"world {world_id} is being made by run {world.owner.run_id} right now; stop it first to change its limits"
        )
    record = database[GENERATIONS].find_one({"_id": world.unfinished or world.generation}, session=session) or {}
    given_up = record.get("status") == GIVEN_UP
    # where a rerun was left, while the world is shown as it was before it
    values: MongoDocument = (record.get("left") if world.unfinished else None) or {}
    left = status_of(found | values)
    retried, stages = _retry(database, left, session) if wishes.retry_failed and not given_up else (set(), set())
    if given_up or (world.status is State.COMPLETED and world.unfinished is None and not retried):
        failed = f"; {world.tasks_failed} of its tasks failed: --retry-failed tries them again" if world.tasks_failed else ""
        over = "was given up; order it anew" if given_up else f"is completed{failed or '; there is nothing to go on with'}"
        raise ResumeError(f"world {world_id} {over}")
    values |= {
        "status": State.PENDING.value if world.generation is None else State.IN_PROGRESS.value,
        "parked": {"kind": SuspendReason.RESUMED.value, "since": now},
        "message": "",
        "finished_at": None,
        "no_calls_until": None,
        "updated_at": now,
        "unfinished": None,
    }
    if wishes.max_cost_usd is not None:
        values["cost_limit_usd"] = wishes.max_cost_usd
    if retried:
        values["failures"] = [failure.model_dump() for failure in left.failures if failure.task_id not in retried]
        values["tasks_failed"] = left.tasks_failed - len(retried)
        moved = [entry.model_copy(update={"status": State.PENDING}) if entry.name in stages else entry for entry in left.stages]
        values["stages"] = [entry.model_dump(mode="json") for entry in moved]
    for limit in ("api_call_limits_LLM", "api_call_limits_images"):
        values[limit] = getattr(left, limit) + wishes.more_calls
    database[STATUS].update_one({"_id": world_id}, {"$set": values}, session=session)
    if record:
        running: MongoDocument = {"$set": {"status": State.IN_PROGRESS.value, "updated_at": now}, "$unset": {"left": ""}}
        if world.status is State.COMPLETED and world.unfinished is None:
            running["$set"]["before"] = standing(found)  # what it goes back to if what failed fails again
        database[GENERATIONS].update_one({"_id": record["_id"]}, running, session=session)
    return len(retried)


def _retry(database: MongoDatabase, world: WorldStatus, session: ClientSession) -> tuple[set[str], set[Stage]]:
    """Make the generation's failed tasks pending again: their ids, and the stages they belong to."""
    failed = {"world_id": world.world_id, "generation": world.generation, "status": State.FAILED.value}
    found = {task["_id"]: task["type"] for task in database[TASKS].find(failed, {"type": 1}, session=session)}
    again = {"status": State.PENDING.value, "attempt_count": 0, "error": None, "worker_id": None, "updated_at": datetime.now(UTC)}
    database[TASKS].update_many(failed, {"$set": again}, session=session)
    return set(found), {STAGE_OF[TaskType(name)] for name in found.values()}
