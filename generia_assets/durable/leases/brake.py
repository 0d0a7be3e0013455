"""The brake: many worlds are stopped by one update of their status records, and stay stopped until a person resumes them.

A stopped world is *held*: ``no_calls_until`` is ``UNTIL_RESUMED``. No run sends a call for a held world, whether it is at work,
waits in Dagster's queue or is started later; it ends itself instead (tasks/opening.py). ``stopped_with`` says which command stopped
the world, so that ``generia resume --all`` resumes those worlds and no others.

``generia stop --all`` also sets the document ``brake`` in the collection ``fleet``. While it is there the sensors start no run, and
a run that begins holds its own world. The document is written before the worlds are updated: a world that the update does not find
has a run that finds the document. Not here: one world that is stopped through Dagster (tasks/control.py).
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from generia_assets.durable.collections import FLEET, STATUS
from generia_assets.durable.events.events import Cancelled
from generia_assets.durable.events.outbox import change_with_event
from generia_assets.durable.leases.changes import HELD, FencingToken
from generia_assets.durable.status import OURS, STOPPED_MESSAGE, UNFINISHED, SuspendReason, stopped_values, unowned
from resources.mongodb.connection import AsyncMongoDatabase, MongoDatabase, MongoDocument

BRAKE = "brake"
"""``_id`` of the document in ``fleet``."""
UNTIL_RESUMED = datetime(9999, 1, 1, tzinfo=UTC)
"""Value of ``no_calls_until`` that only ``generia resume`` changes."""


class StoppedWith(StrEnum):
    """The command that stopped a world together with others."""

    ALL = "all"
    FILTER = "filter"


def engage(database: MongoDatabase) -> None:
    database[FLEET].update_one({"_id": BRAKE}, {"$setOnInsert": {"since": datetime.now(UTC)}}, upsert=True)


def disengage(database: MongoDatabase) -> None:
    """Remove the brake. Worlds that it stopped stay stopped until they are resumed."""
    database[FLEET].delete_one({"_id": BRAKE})


def engaged_since(database: MongoDatabase) -> datetime | None:
    """Since when the brake is set; None: it is not."""
    found = database[FLEET].find_one({"_id": BRAKE})
    return None if found is None else found["since"]


def running(worlds: MongoDocument) -> MongoDocument:
    """Finds, of these worlds, those that can be stopped: unfinished, and not stopped yet."""
    can_be = {**OURS, "status": UNFINISHED, "deleting_since": None, "parked.kind": {"$ne": SuspendReason.STOPPED.value}}
    return {"$and": [worlds, can_be]}


def held(worlds: MongoDocument) -> MongoDocument:
    """Finds, of these worlds, those that were stopped together with others."""
    return {"$and": [worlds, {**OURS, "status": UNFINISHED, "no_calls_until": UNTIL_RESUMED}]}


def hold(database: MongoDatabase, worlds: MongoDocument, stopped_with: StoppedWith) -> int:
    """Let no call of these worlds begin until they are resumed, in any process. Returns how many worlds there were.

    Their runs see that at their next write, or within a second (``Commits.owned_recently``).
    """
    count = database[STATUS].count_documents(running(worlds))  # MongoDB's own count has a world twice whose run writes meanwhile
    database[STATUS].update_many(running(worlds), {"$set": _hold_values(stopped_with)})
    return count


def mark_held_stopped(database: MongoDatabase, *, taken: bool = False) -> int:
    """Record as stopped the held worlds that no run owns. Returns how many were recorded.

    ``taken``: those that a run still owns, too. The run loses them, writes nothing more and stops itself.
    """
    matching = running(held({} if taken else {"$or": unowned(datetime.now(UTC))}))
    event = Cancelled(reason="stopped", message=STOPPED_MESSAGE)
    return change_with_event(database, matching, stopped_values(), event)


def owners_of_held(database: MongoDatabase) -> list[str]:
    owned = {"owner.run_id": {"$ne": None}, "owner.expires_at": {"$gt": datetime.now(UTC)}}
    return [one["owner"]["run_id"] for one in database[STATUS].find(held(owned), {"owner.run_id": 1})]


def held_orders(database: MongoDatabase) -> dict[str, str | None]:
    return {one["_id"]: one["parameters"].get("task_id") for one in database[STATUS].find(held({}), {"parameters.task_id": 1})}


async def hold_if_braked(database: AsyncMongoDatabase, token: FencingToken) -> bool:
    """Whether the world of this run is held. While the brake is set the world becomes held."""
    if await database[FLEET].find_one({"_id": BRAKE}, {"_id": 1}) is not None:
        await database[STATUS].update_one(token.filter, {"$set": _hold_values(StoppedWith.ALL)})
    found = await database[STATUS].find_one(token.filter, {"held": HELD})
    return found is not None and bool(found["held"])


def _hold_values(stopped_with: StoppedWith) -> MongoDocument:
    return {"no_calls_until": UNTIL_RESUMED, "stopped_with": stopped_with.value}
