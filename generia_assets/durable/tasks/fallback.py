"""What a completed world goes back to when something of it was to be made again and was not: it is completed as it was before.

Here: the fields of the status record that belong to one generation. The unfinished generation's record keeps them: ``before``, the
world as it was completed, and ``left``, the generation where it stopped, while the status record says ``before`` again. And
what is said of a world whose run cannot begin, and giving up what is unfinished. Not here: when a generation ends (generations.py),
and how one goes on (resuming.py).
"""

from __future__ import annotations

from datetime import UTC, datetime

from pymongo.client_session import ClientSession

from generia_assets.durable.collections import GENERATIONS, STATUS, TASKS
from generia_assets.durable.events.events import Failed
from generia_assets.durable.events.outbox import change_with_event
from generia_assets.durable.orders import tasks as order_tasks
from generia_assets.durable.orders.decisions import GIVEN_UP, Made, how_far
from generia_assets.durable.status import State, world_to_work_on
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.document_store import DocumentStore

OF_GENERATION = (
    *("generation", "name", "parameters", "stages", "current_stage", "failures", "first_post_at", "finished_at", "takeovers"),
    *("tasks_total", "tasks_completed", "tasks_failed", "task_predicted", "calls_excused"),
    *("users_created", "posts_created", "users_predicted", "posts_predicted"),
    *("api_call_limits_LLM", "api_call_limits_images", "api_calls_made_LLM", "api_calls_made_images"),
)
"""What of the status record tells of one generation. Costs, the cap and the numbers of events are the world's own."""


class GiveUpError(RuntimeError):
    """There is nothing to give up, or somebody works on it. The message says which."""


def standing(status: MongoDocument) -> MongoDocument:
    """The fields of this status record that tell of its present generation."""
    return {name: status.get(name) for name in OF_GENERATION}


def as_before(before: MongoDocument, unfinished: str | None, message: str) -> MongoDocument:
    """The values of the status record that make the world completed as it was; ``unfinished``: the generation that was left."""
    back = {"status": State.COMPLETED.value, "message": message, "unfinished": unfinished, "resumable": unfinished is not None}
    return {**before, **back, "parked": None, "waiting_for": None, "updated_at": datetime.now(UTC)}


def left_unfinished(world_id: str, reason: str) -> str:
    """What the status record of a completed world says of a rerun that did not succeed."""
    return (
        f"completed as before; what was to be made again is not finished: {reason.rstrip('.')}. To go on with it: generia resume "
        f"{world_id}; to give it up: generia stop {world_id} --give-up"
    )


def mark_start_failed(database: MongoDatabase, world_id: str, message: str, order_task: str | None = None) -> None:
    """A run cannot even take its world: where nobody else works on it, its record says so, and nobody waits for it or its order.

    A world that was completed before is completed as it was.
    """
    now = datetime.now(UTC)
    values = {
        "status": State.FAILED.value,
        "message": message,
        "resumable": True,
        "parked": None,
        "updated_at": now,
        "finished_at": now,
    }
    found = database[STATUS].find_one({"_id": world_id}) or {}
    record = database[GENERATIONS].find_one({"_id": found.get("generation")}) or {}
    if (before := record.get("before")) is not None:
        values = as_before(before, record["_id"], left_unfinished(world_id, message))
        left = {"$set": {"left": standing(found), "status": State.FAILED.value, "message": message}}
        database[GENERATIONS].update_one({"_id": record["_id"]}, left)
    waited_for = {"$in": [State.PENDING.value, State.IN_PROGRESS.value]}
    nobodys = {"_id": world_id, "owner.run_id": None, "status": waited_for}
    change_with_event(database, nobodys, values, Failed(message=message))
    if order_task is not None:
        order_tasks.give_up(database, order_task, message)


def generation_is_lost(database: MongoDatabase, world_id: str, generation: str, message: str) -> None:
    """A run was refused that was to go on with this generation: where the world is at it and it is gone, the world has failed.

    Nobody can go on with it, so that the world would be ordered again for ever; it can be made anew.
    """
    if database[GENERATIONS].find_one({"_id": generation}, {"_id": 1}) is not None:
        return
    now = datetime.now(UTC)
    nobodys = {"$or": [{"owner.run_id": None}, {"owner.expires_at": {"$lt": now}}]}
    matching = {"_id": world_id, "generation": generation, "status": State.IN_PROGRESS.value, **nobodys}
    failed = {"status": State.FAILED.value, "message": message, "resumable": False, "finished_at": now}
    values = {**failed, "parked": None, "waiting_for": None, "updated_at": now}
    change_with_event(database, matching, values, Failed(message=message))


def give_up(database: MongoDatabase, world_id: str) -> bool:
    """Give up what is unfinished of the world, for good: true where the world is completed as it was before.

    One that was never completed is failed, and can be ordered anew. Calls and dollars that were spent stay counted. Raises
    ``GiveUpError``.
    """
    with database.client.start_session() as session:
        return session.with_transaction(lambda transaction: _give_up(database, world_id, transaction))


def _give_up(database: MongoDatabase, world_id: str, session: ClientSession) -> bool:
    found = database[STATUS].find_one({"_id": world_id}, session=session) or {}
    status, now = world_to_work_on(found), datetime.now(UTC)
    if status.owner.run_id is not None and status.owner.expires_at is not None and status.owner.expires_at > now:
        raise GiveUpError(
            f"world {world_id} is being made by run {status.owner.run_id} right now; stop it first: generia stop {world_id}"
        )
    record = database[GENERATIONS].find_one({"_id": status.unfinished or status.generation}, session=session)
    if record is None or how_far(status, record) not in (Made.UNFINISHED, Made.RERUN_UNFINISHED):
        raise GiveUpError(f"world {world_id} has nothing unfinished that could be given up")
    message, before = "a person gave it up unfinished", record.get("before")
    if before is not None:
        values = as_before(before, None, "")
    else:
        failed = {
            "status": State.FAILED.value,
            "message": f"{message}; order it anew to make it",
            "resumable": False,
            "finished_at": now,
        }
        values = {**failed, "parked": None, "waiting_for": None, "updated_at": now}
    database[STATUS].update_one({"_id": world_id}, {"$set": values}, session=session)
    over = {"status": GIVEN_UP, "updated_at": now, "message": message}
    if before is not None and before["generation"] == record["_id"]:  # what had failed in it was tried again: it is completed
        over = {"status": State.COMPLETED.value, "updated_at": now, "message": ""}
        _failed_again(database, world_id, before, message, session)
    database[GENERATIONS].update_one({"_id": record["_id"]}, {"$set": over, "$unset": {"before": "", "left": ""}}, session=session)
    DocumentStore(database).forget_staged(world_id, session)
    orders = [order_tasks.mark_given_up(order, message) for order in orders_of(record)]
    if orders:
        database[TASKS].bulk_write(orders, session=session)
    return before is not None


def _failed_again(database: MongoDatabase, world_id: str, before: MongoDocument, message: str, session: ClientSession) -> None:
    """Let the tasks that were tried again say that they failed: their documents are not shown, and are counted as failed."""
    unfinished = {"status": {"$in": [State.PENDING.value, State.IN_PROGRESS.value]}}
    had_failed = {"_id": {"$in": [failure["task_id"] for failure in before["failures"]]}}
    failed = {"status": State.FAILED.value, "error": message, "worker_id": None, "updated_at": datetime.now(UTC)}
    mine = {"world_id": world_id, "generation": before["generation"], "$or": [unfinished, had_failed]}
    database[TASKS].update_many(mine, {"$set": failed}, session=session)


def orders_of(record: MongoDocument, also: str | None = None) -> tuple[str, ...]:
    """The orders that a generation carries out: the one it began with, those that asked for the same meanwhile, and ``also``."""
    return tuple(dict.fromkeys(filter(None, (record.get("order"), *record.get("orders", ()), also))))
