"""What MongoDB says of a message that was refused and names a world: failed, with the reason, so that nobody waits for it.

Here: the task and the status record that stand for such a message (``refused: true``). They touch nothing that exists: not a world,
and not a task that was accepted before. An order that is right takes their place (orders.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from generia_assets.catalog import TaskType
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.events.events import Failed
from generia_assets.durable.events.outbox import begin_with_event
from generia_assets.durable.status import State, new_status
from resources.mongodb.connection import MongoDatabase, MongoDocument

LONGEST_REASON = 1_000


@dataclass(frozen=True)
class RefusedOrder:
    """A message that is no order. ``reason``: field, value, what is allowed; cut at ``LONGEST_REASON`` characters.

    The others are what it names all the same, so that those who wait for it can be told; None where that cannot be read.
    """

    reason: str
    world_id: str | None = None
    task_id: str | None = None
    task_type: TaskType | None = None

    def __post_init__(self) -> None:
        if len(self.reason) > LONGEST_REASON:
            object.__setattr__(self, "reason", self.reason[: LONGEST_REASON - 1] + "…")


def record_refusal(database: MongoDatabase, refusal: RefusedOrder) -> None:
    """Say that this message's task failed, and its world too where it was to be a new one. Saying it again changes nothing.

    Where the message names no task type, the browser may be waiting for a new world, too.
    """
    task_type, reason, world_id = refusal.task_type or TaskType.INIT_WORLD_CREATION, refusal.reason, refusal.world_id
    if world_id is None:
        return
    if refusal.task_id is not None:
        _fail_task(database, reason, world_id, refusal.task_id, task_type)
    if task_type is TaskType.INIT_WORLD_CREATION and database[STATUS].find_one({"_id": world_id}, {"_id": 1}) is None:
        failed = {"status": State.FAILED.value, "message": reason, "tasks_failed": 1, "refused": True, "finished_at": _now()}
        record = new_status(world_id, {"task_id": refusal.task_id, "user_prompt": ""}, users=0, posts=0) | failed
        begin_with_event(database, record, Failed(message=reason))


def _fail_task(database: MongoDatabase, reason: str, world_id: str, task_id: str, task_type: TaskType) -> None:
    said = {"status": State.FAILED.value, "error": reason, "updated_at": _now()}
    task: MongoDocument = {
        "type": task_type.value,
        "world_id": world_id,
        "worker_id": None,
        "parameters": {},
        "result": None,
        "created_at": _now(),
        "attempt_count": 0,
        "refused": True,
    }
    if database[TASKS].update_one({"_id": task_id}, {"$setOnInsert": {**task, **said}}, upsert=True).matched_count:
        inserted_by_the_platform = {"status": State.PENDING.value, "accepted_at": {"$exists": False}}
        mine = {"_id": task_id, "world_id": world_id, "$or": [{"refused": True}, inserted_by_the_platform]}
        database[TASKS].update_one(mine, {"$set": said})


def _now() -> datetime:
    return datetime.now(UTC)
