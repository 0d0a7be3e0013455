"""What is already there: how assets and the journal's results are read, through the io manager's documents.

Here: reading what a run does not make, and streaming what it made to the io manager. Not here: storing
(resources/mongodb/document_store.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator
from operator import itemgetter
from typing import TypeVar

from pymongo import ASCENDING

from generia_assets.catalog import ASSETS, NEEDED_BY_POSTS, AssetSpec, TaskType, Unit
from generia_assets.content.documents import Character, CharacterBrief, Document, character_key
from generia_assets.content.relationships import with_updated_relationships
from generia_assets.content.storyline import MADE_EARLIER
from generia_assets.durable.collections import TASKS
from generia_assets.durable.orders.order import OrderError
from generia_assets.durable.status import State
from resources.mongodb.connection import MongoDatabase, MongoDocument, retried_on_outage
from resources.mongodb.document_store import DocumentStore, NotMaterializedError
from resources.mongodb.stored import UnreadableRecord, readable, refuse

DocumentT = TypeVar("DocumentT", bound=Document)


def refuse_another_plan(database: MongoDatabase, world_id: str, makes: Collection[TaskType], keys: Collection[str]) -> None:
    """Raises ``OrderError`` where what is to be made again hangs on people whom an earlier version drew.

    Since it drew no ages it dealt other numbers of posts, and had no timeline.
    """
    planned = [one for one in makes if one.asset.unit is not Unit.WORLD and one.asset.name in NEEDED_BY_POSTS]
    if not planned or (TaskType.GENERATE_CHARACTER_BATCH in makes and not keys):
        return
    first = DocumentStore(database).one(ASSETS["character_briefs"], world_id, CharacterBrief, character_key(0))
    if first is not None and not first.years:
        raise OrderError(f"world {world_id} cannot be made again in part: {MADE_EARLIER}")


class ItemMissingError(NotMaterializedError):
    """The asset is there, this item of it is not: it failed for good when the asset was made. What hangs on it is not made."""


class Materialized:
    """A world's materialized documents, read off the event loop."""

    def __init__(self, store: DocumentStore, world_id: str) -> None:
        self._store = store
        self._world_id = world_id
        self._missing: set[str] = set()
        """Assets that were never materialized. The run's own are visible at its end only."""

    async def one(self, asset: str, model: type[DocumentT], key: str) -> DocumentT:
        """One document by its key. Raises ``NotMaterializedError`` naming what to make first, or ``ItemMissingError``."""
        place = ASSETS[asset]
        found = await asyncio.to_thread(self._store.one, place, self._world_id, model, key)
        if found is not None:
            return found
        kind = (
            NotMaterializedError if await asyncio.to_thread(self._store.count, place, self._world_id) is None else ItemMissingError
        )
        raise kind(f"world {self._world_id} has no {asset} {key}: materialize {asset} first")

    async def one_if_there(self, asset: str, model: type[DocumentT], key: str) -> DocumentT | None:
        """One document by its key, or None where the asset, or this item of it, was never made."""
        if asset in self._missing:
            return None
        place = ASSETS[asset]
        found = await asyncio.to_thread(self._store.one, place, self._world_id, model, key)
        if found is None and await asyncio.to_thread(self._store.count, place, self._world_id) is None:
            self._missing.add(asset)
        return found

    async def briefs(self, first: int, count: int) -> list[CharacterBrief]:
        """The concepts of ``count`` people from index ``first``."""
        return [await self.one("character_briefs", CharacterBrief, character_key(first + place)) for place in range(count)]


PAGE = 200
"""Tasks read at once."""


def results(
    database: MongoDatabase,
    world_id: str,
    generation: str,
    kind: AssetSpec,
    *,
    patience_seconds: float,
    unreadable: Callable[[UnreadableRecord], object] = refuse,
) -> Iterator[Document]:
    """The documents this generation's completed tasks made for an asset, in order of their keys, one at a time.

    Raises ``UnreadableRecordError``, unless ``unreadable`` is there to be told.
    """
    query: MongoDocument = {
        "world_id": world_id,
        "generation": generation,
        "type": kind.task_type.value,
        "status": State.COMPLETED.value,
    }
    last = ""
    while page := retried_on_outage(patience_seconds)(_page, database, {**query, "key": {"$gt": last}}):
        for task in page:
            results = task["result"]["briefs"] if kind.unit.batched else (task["result"],)
            made = ({"_id": task["_id"], "result": result} for result in results)
            yield from readable(kind.document, made, TASKS, unreadable, at=itemgetter("result"))
        last = page[-1]["key"]


def _page(database: MongoDatabase, query: MongoDocument) -> list[MongoDocument]:
    """The next tasks in order of their keys: pages instead of one cursor, so that an outage costs a page and not the stream."""
    return list(database[TASKS].find(query, {"key": 1, "result": 1}).sort("key", ASCENDING).limit(PAGE))


def merged_with_present(store: DocumentStore, world_id: str, kind: AssetSpec, made: Iterable[Document]) -> Iterator[Document]:
    """What was made anew, then those documents of the present materialization that were not: for a run over some items only.

    The others are the same as before, but for what they tell of people made anew (content/relationships.py).
    """
    keys, anew = set[str](), dict[str, Character]()
    for document in made:
        keys.add(document.key)
        if isinstance(document, Character):
            anew[document.username] = document
        yield document
    for document in store.stream(kind, world_id, kind.document):
        if document.key not in keys:
            yield with_updated_relationships(document, anew) if isinstance(document, Character) else document
