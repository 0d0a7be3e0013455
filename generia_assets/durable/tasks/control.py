"""What changes a world that no run works on: a person resumes it, stops it, gives it up; its run could not even begin.

Each is one transaction on the status record, with the generation, its tasks and its orders.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from pymongo.client_session import ClientSession

from generia_assets.catalog import TaskType
from generia_assets.durable.calls.ledger import CALL_LIMIT
from generia_assets.durable.collections import GENERATIONS, STATUS, TASKS
from generia_assets.durable.events.events import Cancelled, Failed
from generia_assets.durable.events.outbox import change_with_event
from generia_assets.durable.events.progress import STAGE_OF
from generia_assets.durable.leases.brake import engaged_since, running
from generia_assets.durable.orders.decisions import GIVEN_UP, Made, how_far
from generia_assets.durable.orders.records import give_up as give_up_order
from generia_assets.durable.orders.records import mark_given_up
from generia_assets.durable.status import (
    OURS,
    RELEASED,
    STOPPED_MESSAGE,
    UNFINISHED,
    HistoryWorldError,
    Stage,
    State,
    SuspendReason,
    WorldStatus,
    failed_values,
    status_of,
    stopped_values,
    unowned,
    world_to_work_on,
)
from generia_assets.durable.tasks.generations import as_before, fields_of_generation, orders_of, unfinished_message
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.document_store import DocumentStore

HOLD_SECONDS = 60.0
"""A world that was to be stopped, and was not, makes calls again after this."""


class ResumeError(RuntimeError):
    """The world cannot be resumed like this. The message names the reason and what can be done."""


class GiveUpError(RuntimeError):
    """There is nothing to give up, or a run works on it. The message names which."""


@dataclass(frozen=True)
class ResumeOptions:
    """How a world is to go on: a new cap in US dollars (None: as before), more calls, and failed tasks again."""

    max_cost_usd: float | None = None
    more_calls: int = 0
    retry_failed: bool = False


def mark_start_failed(database: MongoDatabase, world_id: str, message: str, order_task: str | None = None) -> None:
    """Record that a run cannot begin, where no run owns the world, so that nobody waits for the world or the run's order.

    A world that was completed before is completed as it was.
    """
    values = failed_values(message, resumable=True)
    found = database[STATUS].find_one({"_id": world_id}) or {}
    record = database[GENERATIONS].find_one({"_id": found.get("generation")}) or {}
    if (before := record.get("before")) is not None:
        values = as_before(before, record["_id"], unfinished_message(world_id, message))
        left = {"left": fields_of_generation(found), "status": State.FAILED.value, "message": message}
        database[GENERATIONS].update_one({"_id": record["_id"]}, {"$set": left})
    unfinished = {"_id": world_id, "owner.run_id": None, "status": UNFINISHED}
    change_with_event(database, unfinished, values, Failed(message=message))
    if order_task is not None:
        give_up_order(database, order_task, message)


def mark_generation_lost(database: MongoDatabase, world_id: str, generation: str, message: str) -> None:
    """Fail a world whose run was refused because the generation that it was to continue is gone.

    Nobody can continue it, so that the world would be ordered again for ever; it can be made anew.
    """
    if database[GENERATIONS].find_one({"_id": generation}, {"_id": 1}) is not None:
        return
    matching = {"_id": world_id, "generation": generation, "status": State.IN_PROGRESS.value, "$or": unowned(datetime.now(UTC))}
    change_with_event(database, matching, failed_values(message, resumable=False), Failed(message=message))


def mark_waiting(database: MongoDatabase, world_id: str, message: str) -> None:
    """Record why a run cannot acquire its world yet, where no other run owns it; the world's state stays as it is."""
    waiting = {"_id": world_id, "owner.run_id": None, "status": UNFINISHED, "parked": None}
    database[STATUS].update_one(waiting, {"$set": {"message": message}})


def hold_calls(database: MongoDatabase, world_id: str, *, seconds: float = HOLD_SECONDS) -> None:
    """Let no call of this world begin for so long, in any process: the first step of stopping it. 0: let them begin again.

    Its run sees that at its next write, or within a second (``Commits.owned_recently``).
    """
    until = {"$add": ["$$NOW", int(seconds * 1000)]} if seconds else None
    database[STATUS].update_one({"_id": world_id, "stopped_with": None}, [{"$set": {"no_calls_until": until}}])


def prioritise(database: MongoDatabase, world_id: str, priority: int) -> bool:
    """Give the world this priority; False where it is history. Its run hears of it within a second, the queue by the watchdog."""
    return database[STATUS].update_one({"_id": world_id, **OURS}, {"$set": {"priority": priority}}).matched_count > 0


def mark_stopped(database: MongoDatabase, world_id: str, *, taken_from: str | None = None) -> bool:
    """Record that a person stopped the world, where its run did not: its order was still waiting, or its run is dead.

    ``taken_from``: a run that cannot be reached and still owns the world loses it: whatever it writes afterwards changes nothing,
    and it stops itself. False where nothing changed: the world is over, stopped already, or owned by another run.
    """
    mine = {"_id": world_id, "$or": [*unowned(datetime.now(UTC)), {"owner.run_id": taken_from}]}
    not_held = {**mine, "stopped_with": None}  # else brake.py records that
    values = stopped_values() | RELEASED
    return change_with_event(database, running(not_held), values, Cancelled(reason="stopped", message=STOPPED_MESSAGE)) > 0


def resume_world(database: MongoDatabase, world_id: str, options: ResumeOptions) -> int:
    """Record that the world is to go on; returns how many failed tasks are tried again. Raises ``ResumeError``."""
    if since := engaged_since(database):
        raise ResumeError(f"everything is stopped since {since:%Y-%m-%d %H:%M} UTC; first: generia resume --all")
    with database.client.start_session() as session:
        return session.with_transaction(lambda transaction: _resume(database, world_id, options, transaction))


def _resume(database: MongoDatabase, world_id: str, options: ResumeOptions, session: ClientSession) -> int:
    found = database[STATUS].find_one({"_id": world_id}, session=session)
    if found is None:
        raise ResumeError(f"world {world_id}: nobody ordered it here")
    if found.get("refused"):
        raise ResumeError(f"world {world_id} was never begun, its order was refused ({found['message']}); send it again, mended")
    try:
        world = world_to_work_on(found)
    except HistoryWorldError as error:
        raise ResumeError(str(error)) from None
    if world.owned:
        raise ResumeError(
            f"world {world_id} is being made by run {world.owner.run_id} right now; stop it first to change its limits"
        )
    now = datetime.now(UTC)
    record = database[GENERATIONS].find_one({"_id": world.unfinished or world.generation}, session=session) or {}
    given_up = record.get("status") == GIVEN_UP
    # where a rerun was left, while the world is shown as it was before it
    values: MongoDocument = (record.get("left") if world.unfinished else None) or {}
    left = status_of(found | values)
    retried, stages = _retry(database, left, session) if options.retry_failed and not given_up else (set(), set())
    if given_up or (world.status is State.COMPLETED and world.unfinished is None and not retried):
        failed = f"; {world.tasks_failed} of its tasks failed: --retry-failed tries them again" if world.tasks_failed else ""
        over = "was given up; order it anew" if given_up else f"is completed{failed or '; there is nothing to go on with'}"
        raise ResumeError(f"world {world_id} {over}")
    values |= {
        "status": State.PENDING.value if world.generation is None else State.IN_PROGRESS.value,
        "parked": {"kind": SuspendReason.RESUMED.value, "since": now},
        "message": "",
        "finished_at": None,
        **RELEASED,
        "updated_at": now,
        "unfinished": None,
    }
    if options.max_cost_usd is not None:
        values["cost_limit_usd"] = options.max_cost_usd
    if retried:
        values["failures"] = [failure.model_dump() for failure in left.failures if failure.task_id not in retried]
        values["tasks_failed"] = left.tasks_failed - len(retried)
        moved = [entry.model_copy(update={"status": State.PENDING}) if entry.name in stages else entry for entry in left.stages]
        values["stages"] = [entry.model_dump(mode="json") for entry in moved]
    values |= {limit: getattr(left, limit) + options.more_calls for limit in CALL_LIMIT.values()}
    database[STATUS].update_one({"_id": world_id}, {"$set": values}, session=session)
    if record:
        goes_on: MongoDocument = {"$set": {"status": State.IN_PROGRESS.value, "updated_at": now}, "$unset": {"left": ""}}
        if world.status is State.COMPLETED and world.unfinished is None:
            goes_on["$set"]["before"] = fields_of_generation(found)  # what it goes back to if what failed fails again
        database[GENERATIONS].update_one({"_id": record["_id"]}, goes_on, session=session)
    return len(retried)


def _retry(database: MongoDatabase, world: WorldStatus, session: ClientSession) -> tuple[set[str], set[Stage]]:
    """Make the generation's failed tasks pending again: their ids, and the stages they belong to."""
    failed = {"world_id": world.world_id, "generation": world.generation, "status": State.FAILED.value}
    found = {task["_id"]: task["type"] for task in database[TASKS].find(failed, {"type": 1}, session=session)}
    again = {"status": State.PENDING.value, "attempt_count": 0, "error": None, "worker_id": None, "updated_at": datetime.now(UTC)}
    database[TASKS].update_many(failed, {"$set": again}, session=session)
    return set(found), {STAGE_OF[TaskType(name)] for name in found.values()}


def give_up(database: MongoDatabase, world_id: str) -> bool:
    """Give up what is unfinished of the world, for good: true where the world is completed as it was before.

    One that was never completed is failed, and can be ordered anew. Calls and dollars that were spent stay counted. Raises
    ``GiveUpError``.
    """
    with database.client.start_session() as session:
        return session.with_transaction(lambda transaction: _give_up(database, world_id, transaction))


def _give_up(database: MongoDatabase, world_id: str, session: ClientSession) -> bool:
    status = world_to_work_on(database[STATUS].find_one({"_id": world_id}, session=session) or {})
    if status.owned:
        raise GiveUpError(
            f"world {world_id} is being made by run {status.owner.run_id} right now; stop it first: generia stop {world_id}"
        )
    record = database[GENERATIONS].find_one({"_id": status.unfinished or status.generation}, session=session) or {}
    never_begun = not record and not status.done
    if not never_begun and how_far(record or None) not in (Made.UNFINISHED, Made.RERUN_UNFINISHED):
        raise GiveUpError(f"world {world_id} has nothing unfinished that could be given up")
    message, before, now = "a person gave it up unfinished", record.get("before"), datetime.now(UTC)
    if before is not None:
        values = as_before(before, None, "")
    else:
        values = failed_values(f"{message}; order it anew to make it", resumable=False)
    database[STATUS].update_one({"_id": world_id}, {"$set": values}, session=session)
    over = {"status": GIVEN_UP, "updated_at": now, "message": message}
    if before is not None and before["generation"] == record["_id"]:  # what had failed in it was tried again: it is completed
        over = {"status": State.COMPLETED.value, "updated_at": now, "message": ""}
        # The documents of the tasks that were tried again are not shown: they are counted as failed.
        had_failed = {"_id": {"$in": [failure["task_id"] for failure in before["failures"]]}}
        again = {"world_id": world_id, "generation": before["generation"], "$or": [{"status": UNFINISHED}, had_failed]}
        failed = {"status": State.FAILED.value, "error": message, "worker_id": None, "updated_at": now}
        database[TASKS].update_many(again, {"$set": failed}, session=session)
    if record:
        ended = {"$set": over, "$unset": {"before": "", "left": ""}}
        database[GENERATIONS].update_one({"_id": record["_id"]}, ended, session=session)
    DocumentStore(database).forget_staged(world_id, session)
    if orders := [mark_given_up(order, message) for order in orders_of(record)]:
        database[TASKS].bulk_write(orders, session=session)
    return before is not None
