"""Orders: what somebody wants made, recorded in MongoDB before any run exists, exactly once whoever asks and however often.

Here: an order's recording (task document and status record). Not here: what it may say (order_parameters.py), and how it arrives
(sensors/kafka.py, the launch form of the asset ``world_request``, the command line).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from pymongo.errors import DuplicateKeyError

from generia_assets.catalog import TaskType
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.events.events import WorldCreated
from generia_assets.durable.events.outbox import begin_with_event, change_with_event
from generia_assets.durable.orders.parameters import (
    OrderError,
    PartParameters,
    WorldParametersOrder,
    part_parameters,
    shortened,
    stored_parameters,
    validated_parameters,
)
from generia_assets.durable.status import HistoryWorldError, State, WorldStatus, new_status, world_to_work_on
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.stored import UnreadableRecordError

__all__ = [
    "Order",
    "OrderError",
    "PartParameters",
    "RecordedOrder",
    "WorldParametersOrder",
    "new_task_id",
    "record_order",
    "stored_parameters",
    "validated_parameters",
]

WORLD_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""What may name a world: the platform's UUIDs, and short names a person types in the UI. Safe as partition key and folder name."""


_WHOLE = PartParameters()


@dataclass(frozen=True)
class Order:
    """An order, well-formed in itself. ``parameters`` None: they are in MongoDB under ``task_id``."""

    task_id: str
    task_type: TaskType
    world_id: str
    parameters: MongoDocument | None


@dataclass(frozen=True)
class RecordedOrder:
    """An order as MongoDB has it. ``new`` is False for a repetition; ``finished`` is True when its work is already done.

    ``overruled`` says which of the message's parameters do not count, because MongoDB had others.
    """

    task_id: str
    task_type: TaskType
    world_id: str
    new: bool
    finished: bool
    part: PartParameters = _WHOLE
    overruled: str = ""


def record_order(database: MongoDatabase, order: Order, *, max_users: int, max_posts: int) -> RecordedOrder:
    """Record the order's task and the world's status record, once; a repetition finds what the first one wrote.

    Raises ``OrderError`` when MongoDB and the order do not fit together. Parameters in MongoDB stand against the order's own.
    """
    if order.task_type is TaskType.INIT_WORLD_CREATION:
        return _record_world(database, order, max_users=max_users, max_posts=max_posts)
    return _record_part(database, order)


def _record_world(database: MongoDatabase, order: Order, *, max_users: int, max_posts: int) -> RecordedOrder:
    offered = None if order.parameters is None else validated_parameters(order.parameters)
    task, new = _task(database, order), False
    if task is None:
        if offered is None:
            raise OrderError(
                f"parameters: absent from the message, and MongoDB has no task {order.task_id}; send them with the message"
            )
        offered.within(max_users=max_users, max_posts=max_posts)
        _status(database, order)  # history is refused before anything is written
        task, new = _insert_task(database, order, offered.model_dump(mode="json", exclude_none=True))
    _same(order, task)
    stored = stored_parameters(task["parameters"]).within(max_users=max_users, max_posts=max_posts)
    overruled = _accepted(database, task, _differing(offered, stored), stored.model_dump(mode="json"))
    finished = task["status"] == State.COMPLETED.value
    ordered_by = order.task_id if finished else _ordered_by(database, order, stored)
    if ordered_by != order.task_id:
        if new:
            database[TASKS].delete_one({"_id": order.task_id, "status": State.PENDING.value})
        raise OrderError(
            f"world_id={order.world_id}: this world was already ordered by task {ordered_by}; use a new world_id for a new world"
        )
    return RecordedOrder(order.task_id, order.task_type, order.world_id, new, finished, overruled=overruled)


def _task(database: MongoDatabase, order: Order) -> MongoDocument | None:
    """The order's task. One that stands only for a refused message (refusals.py) gives way to this order."""
    found = database[TASKS].find_one({"_id": order.task_id})
    if found is not None and found.get("refused"):
        database[TASKS].delete_one({"_id": order.task_id, "refused": True})
        return None
    return found


def _differing(offered: WorldParametersOrder | None, stored: WorldParametersOrder) -> MongoDocument:
    """What the message says otherwise than MongoDB. When it was ordered may differ: both sides took the time."""
    if offered is None:
        return {}
    said, kept = offered.model_dump(mode="json"), stored.model_dump(mode="json")
    return {name: said[name] for name in sorted(offered.model_fields_set - {"created_at"}) if said[name] != kept[name]}


def _ordered_by(database: MongoDatabase, order: Order, parameters: WorldParametersOrder) -> str:
    """The task that ordered the world: this one, which makes its status record, or the one that made it before."""
    status = _status(database, order)
    if status is None:
        if _begun(database, order, parameters):
            return order.task_id
        status = _status(database, order)
    return order.task_id if status is None else str(status.parameters.get("task_id", order.task_id))


def _status(database: MongoDatabase, order: Order) -> WorldStatus | None:
    """The world's status record, if it stands for a world and not for a refused message.

    Raises ``OrderError`` for one that no order may work on.
    """
    found = database[STATUS].find_one({"_id": order.world_id})
    if found is None or found.get("refused"):
        return None
    try:
        return world_to_work_on(found)
    except (HistoryWorldError, UnreadableRecordError) as error:
        raise OrderError(f"world_id={order.world_id}: {error}") from None


def _begun(database: MongoDatabase, order: Order, parameters: WorldParametersOrder) -> bool:
    """Make the world's status record and tell that it was created; False where somebody else did at the same moment."""
    users, posts = parameters.users_count, parameters.posts_count
    kept = parameters.model_dump(mode="json", exclude_none=True) | {"task_id": order.task_id}
    record = new_status(order.world_id, kept, users=users, posts=posts)
    created = WorldCreated(
        task_id=order.task_id, user_prompt=parameters.user_prompt, users_count=users, posts_count=posts, quality=parameters.quality
    )
    if begin_with_event(database, record, created):
        return True
    anew = {name: value for name, value in record.items() if name not in ("_id", "events_seq", "events_sent", "owner")}
    unbegun = {"_id": order.world_id, "refused": True, "generation": None, "owner.run_id": None}
    return change_with_event(database, unbegun, anew | {"refused": False}, created)


def _record_part(database: MongoDatabase, order: Order) -> RecordedOrder:
    if _status(database, order) is None:
        raise OrderError(f"world_id={order.world_id}: no such world; order it first by an init_world_creation task")
    offered = None if order.parameters is None else part_parameters(order.task_type, order.parameters)
    task, new = _task(database, order), False
    if task is None:
        task, new = _insert_task(database, order, (offered or _WHOLE).model_dump(mode="json", exclude_defaults=True))
    _same(order, task)
    part = part_parameters(order.task_type, task["parameters"] or {})
    said, kept = (offered or part).model_dump(mode="json"), part.model_dump(mode="json")
    overruled = _accepted(database, task, {name: value for name, value in said.items() if value != kept[name]}, kept)
    finished = task["status"] == State.COMPLETED.value
    return RecordedOrder(order.task_id, order.task_type, order.world_id, new, finished, part, overruled)


def _accepted(database: MongoDatabase, task: MongoDocument, differing: MongoDocument, standing: MongoDocument) -> str:
    """Accept the message for this task; returns what of it does not count. Raises ``OrderError`` for the id of another order.

    A task that the platform has inserted stands against the first message that names it, which is remembered with it: so a
    repetition of that message is told from another order under the same id.
    """
    if "accepted_at" not in task:
        first = {"_id": task["_id"], "accepted_at": {"$exists": False}}
        # Another message for this task may have been refused before: then it says failed, and is worked on now.
        pending = {"status": State.PENDING.value, "error": None} if task["status"] == State.FAILED.value else {}
        accepted = {"$set": {"accepted_at": datetime.now(UTC), "overruled": differing, **pending}}
        if database[TASKS].update_one(first, accepted).matched_count:
            task = {**task, "overruled": differing}
        else:
            task = database[TASKS].find_one({"_id": task["_id"]}) or task
    sentences = [f"parameters.{name}={shortened(value)}" for name, value in differing.items()]
    kept = ", ".join(f"{name}={shortened(standing[name])}" for name in differing)
    if differing and differing != task.get("overruled"):
        raise OrderError(
            f"{', '.join(sentences)}: task {task['_id']} was already ordered with {kept}, which stands; use a new task_id for a "
            "new order"
        )
    return f"{', '.join(sentences)}: MongoDB's task {task['_id']} has {kept}, which stands" if differing else ""


def _same(order: Order, task: MongoDocument) -> None:
    missing = {"type", "world_id", "status", "parameters"} - task.keys()  # the platform inserts tasks, too
    if missing:
        raise OrderError(f"{', '.join(sorted(missing))}: missing in MongoDB's task {order.task_id}")
    for field, given, stored in (
        ("world_id", order.world_id, task["world_id"]),
        ("task_type", order.task_type.value, task["type"]),
    ):
        if given != stored:
            raise OrderError(f"{field}={shortened(given)}: task {order.task_id} exists with {field}={shortened(stored)}")


def _insert_task(database: MongoDatabase, order: Order, parameters: MongoDocument) -> tuple[MongoDocument, bool]:
    """The task as it is recorded now, and whether it is this call that recorded it."""
    now = datetime.now(UTC)
    task: MongoDocument = {
        "_id": order.task_id,
        "type": order.task_type.value,
        "world_id": order.world_id,
        "status": State.PENDING.value,
        "worker_id": None,
        "parameters": parameters,
        "result": None,
        "created_at": now,
        "updated_at": now,
        "attempt_count": 0,
        "error": None,
        "accepted_at": now,
        "overruled": {},
    }
    try:
        database[TASKS].insert_one(task)
    except DuplicateKeyError:  # the same order, recorded by somebody else at the same moment: theirs stands
        found = database[TASKS].find_one({"_id": order.task_id})
        if found is None:
            raise
        return found, False
    return task, True


def new_task_id() -> str:
    """The id of an order that comes from a person and not from a message."""
    return str(uuid.uuid4())
