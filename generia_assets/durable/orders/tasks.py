"""What the task of an order says while a run carries the order out, and when it is over.

Here: the orders that make a part of a world again. Their tasks stand beside those that the run makes: they carry no generation and
no counter counts them. Not here: the order of a whole world, whose task is its generation's first one (journal.py), and how a task
gets recorded (orders.py).
"""

from __future__ import annotations

from datetime import UTC, datetime

from pymongo import UpdateOne

from generia_assets.catalog import TaskType
from generia_assets.durable.collections import TASKS
from generia_assets.durable.status import State
from resources.mongodb.connection import MongoDatabase, MongoDocument

_OPEN = [State.PENDING.value, State.IN_PROGRESS.value]
_PARTS_ONLY = {"type": {"$ne": TaskType.INIT_WORLD_CREATION.value}}


def mark_started(task_id: str, run_id: str) -> UpdateOne:
    """A run carries the order out; after one that failed, too, which a person let go on."""
    doing = _values(State.IN_PROGRESS, error=None, worker_id=run_id)
    return UpdateOne(
        {"_id": task_id, **_PARTS_ONLY, "status": {"$ne": State.COMPLETED.value}}, {**doing, "$inc": {"attempt_count": 1}}
    )


def mark_completed(task_id: str) -> UpdateOne:
    """Everything that the order asked for is made and materialized."""
    return UpdateOne({"_id": task_id, **_PARTS_ONLY}, _values(State.COMPLETED, error=None))


def mark_given_up(task_id: str, error: str) -> UpdateOne:
    """The order's run failed, or refused it. ``error`` says why and what to do."""
    return UpdateOne({"_id": task_id, **_PARTS_ONLY, "status": {"$in": _OPEN}}, _values(State.FAILED, error=error[:2000]))


def give_up(database: MongoDatabase, task_id: str, error: str) -> None:
    """The same where no run is there to say it."""
    database[TASKS].bulk_write([mark_given_up(task_id, error)])


def _values(state: State, **values: object) -> MongoDocument:
    return {"$set": {"status": state.value, "updated_at": datetime.now(UTC), **values}}
