"""Read models of worlds: the list of all, and one with its description, pictures and progress.

Here: finished and growing worlds (asset_views.py finds the documents). Not here: their people (people.py) and posts
(feed.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict
from pymongo import DESCENDING

from generia_assets.content import languages
from generia_assets.content.documents import WorldDescription, WorldImages
from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import SuspendReason, WorldStatus, status_of, statuses
from generia_assets.queries.asset_views import AssetViews
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.stored import UnreadableRecord

WORLDS_PAGE = 24
LAST = "last"
"""The world that was ordered last, unless a world has this id."""


class WorldView(BaseModel):
    """The present state of a world. ``description`` and ``images`` are None until they are made."""

    model_config = ConfigDict(frozen=True)

    status: WorldStatus
    description: WorldDescription | None
    images: WorldImages | None

    @property
    def world_id(self) -> str:
        """The world's id."""
        return self.status.world_id

    @property
    def name(self) -> str:
        """Its name; '' until it has one."""
        return self.description.name if self.description else self.status.name

    @property
    def user_prompt(self) -> str:
        """The sentence it is made from."""
        return str(self.status.parameters.get("user_prompt") or "")

    @property
    def language(self) -> str:
        """The English name of the language its people write in; '' while that is not known."""
        if self.description is not None:
            return self.description.user_preferences.language
        guessed = languages.guess(self.user_prompt)
        return guessed.name if guessed else ""

    @property
    def growing(self) -> bool:
        """Whether more may come: neither finished nor stopped by a person, nor history."""
        return not over(self.status)


class WorldsPage(BaseModel):
    """Some worlds, those that changed last first, and the moment to go on before (None: these are the last).

    ``unreadable``: records between them that cannot be read.
    """

    model_config = ConfigDict(frozen=True)

    worlds: tuple[WorldView, ...]
    unreadable: tuple[UnreadableRecord, ...]
    before: datetime | None


def over(status: WorldStatus) -> bool:
    """Whether nothing more comes: finished, stopped by a person, or history. (A world suspended by an outage resumes by itself.)"""
    stopped = status.parked is not None and status.parked.kind == SuspendReason.STOPPED.value
    return status.done or stopped or status.history


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


def worlds_page(database: MongoDatabase, *, before: datetime | None = None, limit: int = WORLDS_PAGE) -> WorldsPage:
    """The worlds that changed last before this moment."""
    # Not $lt: a record without a date of change is older than all that have one.
    wanted = {} if before is None else {"updated_at": {"$not": {"$gte": before}}}
    records = list(database[STATUS].find(wanted).sort("updated_at", DESCENDING).limit(limit + 1))
    unreadable: list[UnreadableRecord] = []
    shown = list(statuses(records[:limit], unreadable.append))
    moments = [record["updated_at"] for record in records[:limit] if isinstance(record.get("updated_at"), datetime)]
    return WorldsPage(
        worlds=tuple(view_of(AssetViews.of(database, status.world_id), status) for status in shown),
        unreadable=tuple(unreadable),
        before=moments[-1] if len(records) > limit and moments else None,
    )


def unreadable_worlds(database: MongoDatabase) -> list[UnreadableRecord]:
    """All status records that cannot be read. Reads every record."""
    unreadable: list[UnreadableRecord] = []
    for _ in statuses(database[STATUS].find({}, batch_size=1000), unreadable.append):
        pass
    return unreadable


def view_of(views: AssetViews, status: WorldStatus) -> WorldView:
    """The world with this status record and these views of its documents."""
    return WorldView(
        status=status,
        description=next(views["world_description"].find(WorldDescription, limit=1), None),
        images=next(views["world_images"].find(WorldImages, limit=1), None),
    )
