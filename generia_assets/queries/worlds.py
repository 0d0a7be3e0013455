"""Read models of worlds, finished or growing: the list of all, and one with its description, pictures and progress.

Not here: their people (people.py) and posts (feed.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pymongo import DESCENDING

from generia_assets.catalog import ASSETS, TaskType
from generia_assets.content import languages
from generia_assets.content.documents import FrozenModel, WorldDescription, WorldImages
from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import UNFINISHED, SuspendReason, WorldStatus, status_of, statuses
from generia_assets.queries.asset_views import AssetViews
from generia_assets.queries.in_flight import calls_by_task_type
from generia_assets.queries.search import terms, text_in
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.stored import UnreadableRecord

WORLDS_PAGE = 24
LAST = "last"
"""The world that was ordered last, unless a world has this id."""
DESCRIPTIONS = ASSETS["world_description"].collection
LANGUAGE = "user_preferences.language"


class WorldView(FrozenModel):
    """The present state of a world. ``description`` and ``images`` are None until they are made.

    ``at_work``: the calls in flight by task type, of a world that is being made.
    """

    status: WorldStatus
    description: WorldDescription | None
    images: WorldImages | None
    at_work: tuple[tuple[TaskType, int], ...] = ()

    @property
    def world_id(self) -> str:
        return self.status.world_id

    @property
    def name(self) -> str:
        """Its name; '' until it has one."""
        return self.description.name if self.description else self.status.name

    @property
    def user_prompt(self) -> str:
        return str(self.status.parameters.get("user_prompt") or "")

    @property
    def language(self) -> str:
        """The English name of the language its people write in; '' while that is not known."""
        if self.description is not None:
            return self.description.user_preferences.language
        guessed = languages.guess(self.user_prompt)
        return guessed.name if guessed else ""

    @property
    def state(self) -> WorldState:
        if self.status.done:
            return WorldState(self.status.status.value)
        return WorldState.STOPPED if self.status.is_suspended(SuspendReason.STOPPED) else WorldState.IN_PROGRESS

    @property
    def growing(self) -> bool:
        """Whether more may come: neither finished nor stopped by a person, nor history."""
        return not over(self.status)


class WorldState(StrEnum):
    """The state of a world as the list of worlds shows it and can be filtered by."""

    IN_PROGRESS = "in_progress"
    STOPPED = "stopped"
    COMPLETED = "completed"
    FAILED = "failed"

    def query(self) -> MongoDocument:
        if self in (WorldState.COMPLETED, WorldState.FAILED):
            return {"status": self.value}
        stopped = SuspendReason.STOPPED.value
        return {"status": UNFINISHED, "parked.kind": stopped if self is WorldState.STOPPED else {"$ne": stopped}}


@dataclass(frozen=True)
class WorldQuery:
    """The worlds that somebody looks for: by words of name, sentence or id, by state, by language; '' and None = any."""

    text: str = ""
    state: WorldState | None = None
    language: str = ""

    def __bool__(self) -> bool:
        return bool(terms(self.text) or self.state or self.language)

    def conditions(self, database: MongoDatabase) -> MongoDocument:
        wanted = text_in(("name", "parameters.user_prompt", "_id"), self.text) | (self.state.query() if self.state else {})
        if self.language:
            found = database[DESCRIPTIONS].find({LANGUAGE: self.language}, {"_id": 1})
            wanted["_id"] = {"$in": [one["_id"] for one in found]}
        return wanted


class WorldsPage(FrozenModel):
    """Some worlds, those that changed last first, and the moment to go on before (None: these are the last).

    ``unreadable``: records between them that cannot be read.
    """

    worlds: tuple[WorldView, ...]
    unreadable: tuple[UnreadableRecord, ...]
    before: datetime | None


def over(status: WorldStatus) -> bool:
    """Whether nothing more comes: finished, stopped by a person, or history. (A world suspended by an outage resumes by itself.)"""
    return status.done or status.is_suspended(SuspendReason.STOPPED) or status.history


def ids_of(database: MongoDatabase, query: MongoDocument) -> list[str]:
    """The ids of the worlds that the query finds, the oldest first."""
    return [one["_id"] for one in database[STATUS].find(query, {"_id": 1}).sort([("created_at", 1), ("_id", 1)])]


def worlds_found(
    database: MongoDatabase, query: MongoDocument, unreadable: Callable[[UnreadableRecord], object]
) -> Iterator[WorldStatus]:
    """The worlds that the query finds, the oldest first; ``unreadable`` is called with records that cannot be read."""
    return statuses(database[STATUS].find(query).sort([("created_at", 1), ("_id", 1)]), unreadable)


def world_status(database: MongoDatabase, world_id: str) -> WorldStatus | None:
    """The world's status record, or None if such a world was never ordered. Raises ``UnreadableRecordError``."""
    found = database[STATUS].find_one({"_id": world_id})
    return None if found is None else status_of(found)


class NamedWorld(NamedTuple):
    """What tells a world from others; ``name`` is '' until it has one."""

    world_id: str
    name: str


def worlds_named(database: MongoDatabase, word: str, *, limit: int) -> list[NamedWorld]:
    """The worlds that this word may mean, the newest first.

    The one with this id, else ``last``, else those with this name in whatever case, else those whose ids or names begin like this.
    """
    if exact := _named(database, {"_id": word}, 1):
        return exact
    if word == LAST:
        return newest_worlds(database, 1)
    escaped = re.escape(word)
    whole, beginning = ({"$regex": pattern, "$options": "i"} for pattern in (rf"^{escaped}\z", rf"^{escaped}"))
    return _named(database, {"name": whole}, limit) or _named(database, {"$or": [{"_id": beginning}, {"name": beginning}]}, limit)


def newest_worlds(database: MongoDatabase, limit: int) -> list[NamedWorld]:
    """The worlds that were ordered last, the newest first."""
    return _named(database, {"created_at": {"$type": "date"}}, limit)


def _named(database: MongoDatabase, query: MongoDocument, limit: int) -> list[NamedWorld]:
    found = database[STATUS].find(query, {"name": 1}).sort([("created_at", DESCENDING), ("_id", 1)]).limit(limit)
    return [NamedWorld(str(one["_id"]), str(one.get("name") or "")) for one in found]


def world(views: AssetViews) -> WorldView | None:
    """The world of these views, or None if it was never ordered. Raises ``UnreadableRecordError``."""
    status = world_status(views.database, views.world_id)
    return None if status is None else view_of(views, status)


def languages_of_worlds(database: MongoDatabase) -> list[str]:
    """The languages of the worlds that have a description, by their English names."""
    return sorted(language for language in database[DESCRIPTIONS].distinct(LANGUAGE) if isinstance(language, str) and language)


def worlds_page(database: MongoDatabase, query: WorldQuery, *, before: datetime | None) -> WorldsPage:
    """The worlds that the query finds and that changed last before this moment."""
    wanted = query.conditions(database)
    if before is not None:  # not $lt: a record without a date of change is older than all that have one
        wanted["updated_at"] = {"$not": {"$gte": before}}
    records = list(database[STATUS].find(wanted).sort("updated_at", DESCENDING).limit(WORLDS_PAGE + 1))
    unreadable: list[UnreadableRecord] = []
    shown = list(statuses(records[:WORLDS_PAGE], unreadable.append))
    moments = [record["updated_at"] for record in records[:WORLDS_PAGE] if isinstance(record.get("updated_at"), datetime)]
    return WorldsPage(
        worlds=tuple(view_of(AssetViews.of(database, status.world_id), status) for status in shown),
        unreadable=tuple(unreadable),
        before=moments[-1] if len(records) > WORLDS_PAGE and moments else None,
    )


def unreadable_worlds(database: MongoDatabase) -> list[UnreadableRecord]:
    """All status records that cannot be read. Reads every record."""
    unreadable: list[UnreadableRecord] = []
    for _ in statuses(database[STATUS].find({}, batch_size=1000), unreadable.append):
        pass
    return unreadable


def view_of(views: AssetViews, status: WorldStatus) -> WorldView:
    return WorldView(
        status=status,
        description=next(views["world_description"].find(WorldDescription, limit=1), None),
        images=next(views["world_images"].find(WorldImages, limit=1), None),
        at_work=() if over(status) else calls_by_task_type(views.database, status.world_id),
    )
