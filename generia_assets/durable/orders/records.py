"""Recording orders in MongoDB before any run exists, exactly once whoever asks and however often; and the states of their tasks.

The task of an order for a world that exists, which makes a part of it again or extends it, stands beside those that its run makes:
it has no generation, and no counter counts it. Not here: the task of a new world, which is its generation's first one
(tasks/runner.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias, cast

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from generia_assets.catalog import TaskType
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.events.events import WorldCreated
from generia_assets.durable.events.outbox import begin_with_event, change_with_event
from generia_assets.durable.orders.order import (
    ExtensionParameters,
    Order,
    OrderError,
    Parameters,
    PartParameters,
    WorldParameters,
    is_extension,
    parse_parameters,
    parse_stored,
)
from generia_assets.durable.orders.workload import request_of, tasks_of
from generia_assets.durable.status import UNFINISHED, HistoryWorldError, State, WorldStatus, new_status, world_to_work_on
from resources.explanation import shortened
from resources.gemini.tiers import ServiceTier
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.stored import UnreadableRecordError

OF_EXISTING_WORLD: MongoDocument = {
    "$or": [{"type": {"$ne": TaskType.INIT_WORLD_CREATION.value}}, {"parameters.user_prompt": {"$exists": False}}]
}
"""Finds the tasks of orders for worlds that exist."""
_Limits: TypeAlias = Callable[[WorldParameters], None]


@dataclass(frozen=True)
class RecordedOrder:
    """An order as MongoDB has it: ``order.parameters`` are those that stand.

    Attributes:
        new: False for a repetition.
        finished: True when its work is already done.
        overruled: Which of the message's parameters do not count, because MongoDB had others; or ''.
        priority: The world's among all worlds.
    """

    order: Order
    new: bool
    finished: bool
    overruled: str = ""
    priority: int = 0


def record_order(
    database: MongoDatabase, order: Order, *, max_users: int, max_posts: int, service_tier: ServiceTier = ServiceTier.STANDARD
) -> RecordedOrder:
    """Record the order's task and a new world's status record, once; a repetition finds what the first one wrote.

    Args:
        order: The order; where it has no parameters, those of its task in MongoDB count.
        max_users, max_posts: Of a world that this installation accepts at most.
        service_tier: Of a new world whose order names none (SERVICE_TIER). Its status record keeps it.

    Returns:
        The order as it stands: parameters in MongoDB count against the order's own.

    Raises:
        OrderError: MongoDB and the order do not fit together; nothing has been recorded. The message names the field.
    """
    within_limits = partial(WorldParameters.require_within, max_users=max_users, max_posts=max_posts)
    task = _task(database, order)
    content = order.parameters.document() if order.parameters else (task or {}).get("parameters")
    if order.task_type is TaskType.INIT_WORLD_CREATION and not is_extension(order.task_type, content):
        return _record_world(database, order, task, within_limits, service_tier)
    return _record_for_existing(database, order, task, within_limits)


def _record_world(
    database: MongoDatabase, order: Order, task: MongoDocument | None, within_limits: _Limits, service_tier: ServiceTier
) -> RecordedOrder:
    offered, new = cast("WorldParameters | None", order.parameters), False
    if task is None:
        if offered is None:
            raise OrderError(
                f"parameters: absent from the message, and MongoDB has no task {order.task_id}; send them with the message"
            )
        within_limits(offered)
        _status(database, order)  # history is refused before anything is written
        task, new = _insert_task(database, order, offered.document())
    _require_same(order, task)
    stored = parse_stored(task["parameters"])
    within_limits(stored)
    named = offered.model_fields_set - {"created_at"} if offered else set()  # both sides took the time
    overruled = _accept(database, order, task, offered or stored, stored, named)
    finished = task["status"] == State.COMPLETED.value
    ordered_by = order.task_id if finished else _ordered_by(database, order, stored.at_tier(service_tier))
    if ordered_by != order.task_id:
        if new:
            database[TASKS].delete_one({"_id": order.task_id, "status": State.PENDING.value})
        raise OrderError(
            f"world_id={order.world_id}: this world was already ordered by task {ordered_by}; use a new world_id for a new world"
        )
    return RecordedOrder(replace(order, parameters=stored), new, finished, overruled, stored.priority)


def _record_for_existing(
    database: MongoDatabase, order: Order, task: MongoDocument | None, within_limits: _Limits
) -> RecordedOrder:
    status, new = _status(database, order), False
    if status is None:
        raise OrderError(f"world_id={order.world_id}: no such world; order it first by an init_world_creation task")

    def require_fit(parameters: Parameters) -> None:
        if isinstance(parameters, ExtensionParameters):
            within_limits(parse_stored(status.parameters).extended(parameters, None))
        elif isinstance(parameters, PartParameters) and parameters.keys:
            _require_items(status, order.task_type, parameters.keys)

    offered = order.parameters
    if task is None:
        offered = offered or PartParameters()
        require_fit(offered)
        task, new = _insert_task(database, order, offered.document())
    _require_same(order, task)
    stored = parse_parameters(order.task_type, task["parameters"] or {})
    if type(offered or stored) is not type(stored):
        raise OrderError(f"parameters: task {order.task_id} was already ordered with others; use a new task_id for a new order")
    if "accepted_at" not in task:
        require_fit(stored)
    overruled = _accept(database, order, task, offered or stored, stored, type(stored).model_fields)
    finished = task["status"] == State.COMPLETED.value
    return RecordedOrder(replace(order, parameters=stored), new, finished, overruled, status.priority)


def _require_items(status: WorldStatus, task_type: TaskType, keys: Collection[str]) -> None:
    """Raise ``OrderError`` for keys of nothing in this world: an order that makes nothing must not become a run."""
    request = request_of(status.world_id, parse_stored(status.parameters))
    try:
        tasks = tasks_of(request, keys)
    except OrderError as error:
        raise OrderError(f"parameters.{error}") from None
    if not tasks[task_type]:
        raise OrderError(f"parameters.keys={shortened(list(keys))}: {task_type} makes nothing of these; leave keys out for all")


def _task(database: MongoDatabase, order: Order) -> MongoDocument | None:
    """The order's task. One that stands only for a refused message (intake.py) gives way to this order."""
    found = database[TASKS].find_one({"_id": order.task_id})
    if found is not None and found.get("refused"):
        database[TASKS].delete_one({"_id": order.task_id, "refused": True})
        return None
    return found


def _ordered_by(database: MongoDatabase, order: Order, parameters: WorldParameters) -> str:
    """The task that ordered the world: this one, which makes its status record, or the one that made it before."""
    status = _status(database, order)
    if status is None and not _begin_world(database, order, parameters):
        status = _status(database, order)
    return (status and status.order_task) or order.task_id


def _status(database: MongoDatabase, order: Order) -> WorldStatus | None:
    """The world's status record, unless it stands for a refused message. Raises ``OrderError`` where no order may work on it."""
    found = database[STATUS].find_one({"_id": order.world_id})
    if found is None or found.get("refused"):
        return None
    try:
        return world_to_work_on(found)
    except (HistoryWorldError, UnreadableRecordError) as error:
        raise OrderError(f"world_id={order.world_id}: {error}") from None


def _begin_world(database: MongoDatabase, order: Order, parameters: WorldParameters) -> bool:
    """Make the world's status record with its first event; False where somebody else did at the same moment."""
    users, posts = parameters.users_count, parameters.posts_count
    record = new_status(order.world_id, parameters.document(), order.task_id, users=users, posts=posts)
    shown = parameters.model_dump(include={"user_prompt", "users_count", "posts_count", "quality", "priority"})
    created = WorldCreated(task_id=order.task_id, **shown)
    if begin_with_event(database, record, created):
        return True
    anew = {name: value for name, value in record.items() if name not in ("_id", "events_seq", "events_sent", "owner")}
    unbegun = {"_id": order.world_id, "refused": True, "generation": None, "owner.run_id": None}
    return change_with_event(database, unbegun, anew | {"refused": False}, created) > 0


def _accept(
    database: MongoDatabase, order: Order, task: MongoDocument, offered: Parameters, stored: Parameters, named: Collection[str]
) -> str:
    """Accept the message for this task; returns what of it does not count. Raises ``OrderError`` for the id of another order.

    A task that the platform has inserted stands against the first message that names it, which is remembered with it: so a
    repetition of that message is distinguished from another order under the same id. ``named``: the fields that the message may
    differ in.
    """
    sent, kept = offered.model_dump(mode="json"), stored.model_dump(mode="json")
    differing = {name: sent[name] for name in sorted(named) if sent[name] != kept[name]}
    if "accepted_at" not in task:
        first = {"_id": task["_id"], "accepted_at": {"$exists": False}}
        # Another message for this task may have been refused before: then it is failed, and is pending again now.
        pending = {"status": State.PENDING.value, "error": None} if task["status"] == State.FAILED.value else {}
        accepted = {"$set": {"accepted_at": datetime.now(UTC), "overruled": differing, **pending, **_trace(order)}}
        if database[TASKS].update_one(first, accepted).matched_count:
            task = {**task, "overruled": differing}
        else:
            task = database[TASKS].find_one({"_id": task["_id"]}) or task
    if not differing:
        return ""
    message = ", ".join(f"parameters.{name}={shortened(value)}" for name, value in differing.items())
    standing = ", ".join(f"{name}={shortened(kept[name])}" for name in differing)
    if differing != task.get("overruled"):
        raise OrderError(
            f"{message}: task {task['_id']} was already ordered with {standing}, which stands; use a new task_id for a new order"
        )
    return f"{message}: MongoDB's task {task['_id']} has {standing}, which stands"


def _require_same(order: Order, task: MongoDocument) -> None:
    missing = {"type", "world_id", "status", "parameters"} - task.keys()  # the platform inserts tasks, too
    if missing:
        raise OrderError(f"{', '.join(sorted(missing))}: missing in MongoDB's task {order.task_id}")
    same = {"world_id": (order.world_id, task["world_id"]), "task_type": (order.task_type.value, task["type"])}
    for field, (given, stored) in same.items():
        if given != stored:
            raise OrderError(f"{field}={shortened(given)}: task {order.task_id} exists with {field}={shortened(stored)}")


def new_task(task_type: TaskType, world_id: str, parameters: MongoDocument) -> MongoDocument:
    now = datetime.now(UTC)
    return {
        "type": task_type.value,
        "world_id": world_id,
        "status": State.PENDING.value,
        "worker_id": None,
        "parameters": parameters,
        "result": None,
        "created_at": now,
        "updated_at": now,
        "attempt_count": 0,
        "error": None,
    }


def _insert_task(database: MongoDatabase, order: Order, parameters: MongoDocument) -> tuple[MongoDocument, bool]:
    """The task as it is recorded now, and whether it is this call that recorded it."""
    task = {"_id": order.task_id, **new_task(order.task_type, order.world_id, parameters), "overruled": {}, **_trace(order)}
    task["accepted_at"] = task["created_at"]
    try:
        database[TASKS].insert_one(task)
    except DuplicateKeyError:  # the same order, recorded by somebody else at the same moment: theirs stands
        found = database[TASKS].find_one({"_id": order.task_id})
        if found is None:
            raise
        return found, False
    return task, True


def _trace(order: Order) -> MongoDocument:
    return {"traceparent": order.traceparent} if order.traceparent else {}


def mark_started(task_id: str, run_id: str) -> UpdateOne:
    """A run carries the order out; also after a failure, when a person resumed it."""
    doing = _values(State.IN_PROGRESS, error=None, worker_id=run_id)
    return UpdateOne(
        {"_id": task_id, **OF_EXISTING_WORLD, "status": {"$ne": State.COMPLETED.value}}, {**doing, "$inc": {"attempt_count": 1}}
    )


def mark_completed(task_id: str) -> UpdateOne:
    return UpdateOne({"_id": task_id, **OF_EXISTING_WORLD}, _values(State.COMPLETED, error=None))


def mark_given_up(task_id: str, error: str) -> UpdateOne:
    """The order's run failed, or refused it. ``error`` names the reason and what to do."""
    return UpdateOne({"_id": task_id, **OF_EXISTING_WORLD, "status": UNFINISHED}, _values(State.FAILED, error=error[:2000]))


def give_up(database: MongoDatabase, task_id: str, error: str) -> None:
    """The same where no run is there to record it."""
    database[TASKS].bulk_write([mark_given_up(task_id, error)])


def _values(state: State, **values: object) -> MongoDocument:
    return {"$set": {"status": state.value, "updated_at": datetime.now(UTC), **values}}
