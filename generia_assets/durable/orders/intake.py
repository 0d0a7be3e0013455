"""What the intake of orders keeps in MongoDB: refused messages, dead letters that their topic has not taken, batches that hold up a
partition, and since when this installation exists.

A message that was refused and names a world has a failed task and status record (``refused: true``), so that nobody waits for it.
They touch nothing that exists: no world, and no task that was accepted before. A right order takes their place (records.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from pymongo import ASCENDING, DESCENDING, ReturnDocument, UpdateOne

from generia_assets.catalog import TaskType
from generia_assets.durable.collections import FLEET, KEPT_LETTERS, STATUS, TASKS, UNREADABLE_BATCHES
from generia_assets.durable.events.events import Failed
from generia_assets.durable.events.outbox import begin_with_event
from generia_assets.durable.orders.records import new_task
from generia_assets.durable.status import State, new_status
from resources.mongodb.connection import MongoDatabase, MongoDocument

LONGEST_REASON = 1_000
"""Characters of the reason for which a message is refused."""
SEEN_FOR = timedelta(minutes=10)
"""A batch that no tick has met for so long does not hold up anything any more."""


@dataclass(frozen=True)
class StoredDeadLetter:
    """A dead letter that its topic has not taken. ``place``: where the original lies; ``why``: the error of the topic's broker."""

    place: str
    at: datetime
    key: bytes | None
    value: bytes
    headers: Mapping[str, str]
    why: str


@dataclass(frozen=True)
class HeldPartition:
    """A partition that waits in front of a record batch that cannot be read. ``offset`` is where it waits, since ``since``."""

    topic: str
    partition: int
    offset: int
    next_offset: int
    reason: str
    since: datetime

    @property
    def place(self) -> str:
        return place_of(self.topic, self.partition, self.offset)

    @property
    def batch(self) -> str:
        return f"the record batch of offsets {self.offset} to {self.next_offset - 1} in {self.topic}[{self.partition}]"


def place_of(topic: str, partition: int, offset: int) -> str:
    return f"{topic}[{partition}]@{offset}"


def installed_at(database: MongoDatabase) -> datetime:
    """When a generator first looked for orders with this database: recorded then, and never changed."""
    first = {"$setOnInsert": {"at": datetime.now(UTC)}}
    found: MongoDocument | None = database[FLEET].find_one_and_update(
        {"_id": "installation"}, first, upsert=True, return_document=ReturnDocument.AFTER
    )
    at: datetime = (found or {})["at"]
    return at


def keep(database: MongoDatabase, letters: Sequence[StoredDeadLetter]) -> None:
    """Keep dead letters until their topic takes them. A repetition changes nothing."""
    documents = [asdict(one) for one in letters]
    database[KEPT_LETTERS].bulk_write(
        [UpdateOne({"_id": one.pop("place")}, {"$setOnInsert": one}, upsert=True) for one in documents]
    )


def kept(database: MongoDatabase, limit: int = 0, *, newest: bool = False) -> list[StoredDeadLetter]:
    """The dead letters that are kept, oldest first: the first ones up to the limit, or the ``newest``; 0: all."""
    found = database[KEPT_LETTERS].find().sort("at", DESCENDING if newest else ASCENDING).limit(limit)
    letters = [_letter(one) for one in found]
    return letters[::-1] if newest else letters


def kept_at(database: MongoDatabase, place: str) -> StoredDeadLetter | None:
    found = database[KEPT_LETTERS].find_one({"_id": place})
    return None if found is None else _letter(found)


def _letter(found: MongoDocument) -> StoredDeadLetter:
    return StoredDeadLetter(*(found[name] for name in ("_id", "at", "key", "value", "headers", "why")))


def forget(database: MongoDatabase, letters: Sequence[StoredDeadLetter]) -> None:
    database[KEPT_LETTERS].delete_many({"_id": {"$in": [one.place for one in letters]}})


def hold(database: MongoDatabase, held: HeldPartition) -> bool:
    """Record that the partition waits here. True: a person has let the sensor leave the batch out (``let_skip``)."""
    seen = {"next_offset": held.next_offset, "reason": held.reason, "expires_at": datetime.now(UTC) + SEEN_FOR}
    first = {"topic": held.topic, "partition": held.partition, "offset": held.offset, "since": held.since}
    found = database[UNREADABLE_BATCHES].find_one_and_update(
        {"_id": held.place}, {"$set": seen, "$setOnInsert": first}, upsert=True, return_document=ReturnDocument.AFTER
    )
    return bool((found or {}).get("skip"))


def release(database: MongoDatabase, held: HeldPartition) -> None:
    database[UNREADABLE_BATCHES].delete_one({"_id": held.place})


def held_partitions(database: MongoDatabase) -> list[HeldPartition]:
    found = database[UNREADABLE_BATCHES].find({"expires_at": {"$gt": datetime.now(UTC)}}).sort("_id")
    return [_held(one) for one in found]


def let_skip(database: MongoDatabase, topic: str, partition: int, offset: int) -> HeldPartition | None:
    """Let the next tick leave out the batch that holds up this partition here. None: nothing holds it up here."""
    found = database[UNREADABLE_BATCHES].find_one_and_update({"_id": place_of(topic, partition, offset)}, {"$set": {"skip": True}})
    return None if found is None else _held(found)


def _held(found: MongoDocument) -> HeldPartition:
    return HeldPartition(*(found[name] for name in ("topic", "partition", "offset", "next_offset", "reason", "since")))


@dataclass(frozen=True)
class RefusedOrder:
    """A message that is no order. ``reason``: field, value, what is allowed; cut at ``LONGEST_REASON`` characters.

    The others are what it names all the same, so that those who wait for it see the failure; None where that cannot be read.
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
        failed = {"status": State.FAILED.value, "error": reason, "updated_at": datetime.now(UTC)}
        task = {**new_task(task_type, world_id, {}), **failed, "refused": True}
        if database[TASKS].update_one({"_id": refusal.task_id}, {"$setOnInsert": task}, upsert=True).matched_count:
            inserted_by_the_platform = {"status": State.PENDING.value, "accepted_at": {"$exists": False}}
            mine = {"_id": refusal.task_id, "world_id": world_id, "$or": [{"refused": True}, inserted_by_the_platform]}
            database[TASKS].update_one(mine, {"$set": failed})
    if task_type is TaskType.INIT_WORLD_CREATION and database[STATUS].find_one({"_id": world_id}, {"_id": 1}) is None:
        over = {"status": State.FAILED.value, "message": reason, "finished_at": datetime.now(UTC)}
        record = new_status(world_id, {"user_prompt": ""}, refusal.task_id, users=0, posts=0) | over
        begin_with_event(database, record | {"tasks_failed": 1, "refused": True}, Failed(message=reason))
