"""Orders: what somebody wants made, recorded in MongoDB before any run exists, exactly once whoever asks and however often.

Here: the order's shape and its recording (task document and status record). Not here: how an order arrives (sensors/kafka.py,
the launch form of the asset ``world_request``, the command line).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pymongo.errors import DuplicateKeyError

from generia_assets.content.documents import Quality
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.events import WorldCreated
from generia_assets.durable.item_keys import complaint
from generia_assets.durable.outbox import begin_and_tell
from generia_assets.durable.status import HistoryWorldError, State, WorldStatus, new_status, world_to_work_on
from generia_assets.tasks.kinds import TaskType
from resources.mongo import MongoDatabase, MongoDocument
from resources.stored import UnreadableRecordError

WORLD_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""What may name a world: the platform's UUIDs, and short names a person types in the UI. Safe as partition key and folder name."""


class OrderError(ValueError):
    """An order that cannot be recorded. The message names the field, the value and what to do."""


class WorldParametersOrder(BaseModel):
    """The parameters of ``init_world_creation``. Strict: a count is an integer, not a text that looks like one."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    user_prompt: str = Field(description="the world in a sentence or two, in the user's language; at most 4000 characters")
    users_count: int = Field(ge=1, description="characters, exactly so many; the installation has a limit (MAX_USERS)")
    posts_count: int = Field(ge=0, description="posts, exactly so many; the installation has a limit (MAX_POSTS)")
    quality: Quality = Field(Quality.STANDARD, strict=False)
    created_at: datetime | None = Field(None, strict=False, description="when the user ordered it")
    max_cost_usd: float | None = Field(None, gt=0, allow_inf_nan=False, description="cap in US dollars; absent: the installation's")

    def within(self, *, max_users: int, max_posts: int) -> WorldParametersOrder:
        """Itself, if it is no larger than what this installation accepts; else ``OrderError``."""
        for field, value, limit in (
            ("users_count", self.users_count, max_users),
            ("posts_count", self.posts_count, max_posts),
        ):
            if value > limit:
                raise OrderError(f"parameters.{field}={value}: at most {limit} are accepted (MAX_USERS, MAX_POSTS)")
        return self


class _StoredParameters(WorldParametersOrder):
    """The same as the platform stores them: with fields of its own, and whole numbers that MongoDB may keep as doubles."""

    model_config = ConfigDict(extra="ignore")

    @field_validator("users_count", "posts_count", mode="before")
    @classmethod
    def _whole(cls, count: object) -> object:
        return int(count) if isinstance(count, float) and count.is_integer() else count


class PartParameters(BaseModel):
    """The parameters of the other eight task types: which items of the world to make again; none = all of them.

    What is made of them is made again, too, unless ``with_what_follows`` is false.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    keys: tuple[str, ...] = ()
    with_what_follows: bool = True


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


def validated_parameters(parameters: MongoDocument) -> WorldParametersOrder:
    """The parameters as a typed object. Raises ``OrderError`` naming each wrong field, its value and what is allowed."""
    try:
        return WorldParametersOrder.model_validate(parameters)
    except ValidationError as error:
        raise OrderError("; ".join(explain(error, "parameters."))) from None


def stored_parameters(parameters: object) -> WorldParametersOrder:
    """The parameters of a task in MongoDB, which the platform may have written, as a typed object. Raises ``OrderError``."""
    if not isinstance(parameters, dict):
        raise OrderError(f"parameters={shortened(parameters)}: must be an object in MongoDB's task")
    try:
        return _StoredParameters.model_validate({name: value for name, value in parameters.items() if value is not None})
    except ValidationError as error:
        raise OrderError("; ".join(explain(error, "in MongoDB's task parameters."))) from None


def explain(error: ValidationError, prefix: str = "") -> list[str]:
    """One sentence for each problem: field, value (shortened) unless it is missing, what is allowed."""
    sentences = []
    for problem in error.errors(include_url=False, include_context=False):
        value = "" if problem["type"] == "missing" else f"={shortened(problem['input'])}"
        said = problem["msg"].removeprefix("Value error, ")
        sentences.append(f"{prefix}{'.'.join(str(part) for part in problem['loc'])}{value}: {said}")
    return sentences


def shortened(value: object, limit: int = 80) -> str:
    """A value for a message: its repr, without control characters, cut."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def record_order(database: MongoDatabase, order: Order, *, max_users: int, max_posts: int) -> RecordedOrder:
    """Record the order's task and the world's status record, once; a repetition finds what the first one wrote.

    Raises ``OrderError`` when MongoDB and the order do not fit together. Parameters in MongoDB stand against the order's own.
    """
    if order.task_type is TaskType.INIT_WORLD_CREATION:
        return _record_world(database, order, max_users=max_users, max_posts=max_posts)
    return _record_part(database, order)


def _record_world(database: MongoDatabase, order: Order, *, max_users: int, max_posts: int) -> RecordedOrder:
    offered = None if order.parameters is None else validated_parameters(order.parameters)
    task, new = database[TASKS].find_one({"_id": order.task_id}), False
    if task is None:
        if offered is None:
            raise OrderError(
                f"parameters: absent from the message, and MongoDB has no task {order.task_id}; send them with the message"
            )
        offered.within(max_users=max_users, max_posts=max_posts)
        task, new = _insert_task(database, order, offered.model_dump(mode="json", exclude_none=True))
    _same(order, task)
    stored = stored_parameters(task["parameters"]).within(max_users=max_users, max_posts=max_posts)
    overruled = _accepted(database, task, _differing(offered, stored), stored.model_dump(mode="json"))
    ordered_by = _ordered_by(database, order, stored)
    if ordered_by != order.task_id:
        if new:
            database[TASKS].delete_one({"_id": order.task_id, "status": State.PENDING.value})
        raise OrderError(
            f"world_id={order.world_id}: this world was already ordered by task {ordered_by}; use a new world_id for a new world"
        )
    finished = task["status"] == State.COMPLETED.value
    return RecordedOrder(order.task_id, order.task_type, order.world_id, new, finished, overruled=overruled)


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
    """The world's status record, if there is one. Raises ``OrderError`` for one that no order may work on."""
    found = database[STATUS].find_one({"_id": order.world_id})
    try:
        return None if found is None else world_to_work_on(found)
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
    return begin_and_tell(database, record, created)


def _record_part(database: MongoDatabase, order: Order) -> RecordedOrder:
    if _status(database, order) is None:
        raise OrderError(f"world_id={order.world_id}: no such world; order it first by an init_world_creation task")
    offered = None if order.parameters is None else _part(order.task_type, order.parameters)
    task, new = database[TASKS].find_one({"_id": order.task_id}), False
    if task is None:
        task, new = _insert_task(database, order, order.parameters or {})
    _same(order, task)
    part = _part(order.task_type, task["parameters"] or {})
    said, kept = (offered or part).model_dump(mode="json"), part.model_dump(mode="json")
    overruled = _accepted(database, task, {name: value for name, value in said.items() if value != kept[name]}, kept)
    finished = task["status"] == State.COMPLETED.value
    return RecordedOrder(order.task_id, order.task_type, order.world_id, new, finished, part, overruled)


def _part(task_type: TaskType, parameters: MongoDocument) -> PartParameters:
    try:
        part = PartParameters.model_validate(parameters)
    except ValidationError as error:
        raise OrderError("; ".join(explain(error, "parameters."))) from None
    if wrong := complaint(task_type, part.keys):
        raise OrderError(wrong)
    return part


def _accepted(database: MongoDatabase, task: MongoDocument, differing: MongoDocument, standing: MongoDocument) -> str:
    """Accept the message for this task; returns what of it does not count. Raises ``OrderError`` for the id of another order.

    A task that the platform has inserted stands against the first message that names it, which is remembered with it: so a
    repetition of that message is told from another order under the same id.
    """
    if "accepted_at" not in task:
        first = {"_id": task["_id"], "accepted_at": {"$exists": False}}
        accepted = {"$set": {"accepted_at": datetime.now(UTC), "overruled": differing}}
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
