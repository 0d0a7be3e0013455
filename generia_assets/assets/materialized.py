"""A world's documents: reading those that are materialized, and those that tasks have made and that are not materialized yet.

Here also: what a new generation supersedes on the platform. Not here: storing (resources/mongodb/document_store.py).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeVar

from pymongo import ASCENDING, UpdateMany

from generia_assets.asset_spec import AssetSpec, Unit
from generia_assets.catalog import ASSETS, NEEDED_BY_POSTS, TaskType, asset_of, pictures_of
from generia_assets.content.documents import Character, CharacterBrief, Document, PostImage
from generia_assets.content.keys import character_key
from generia_assets.content.storyline import MADE_EARLIER
from generia_assets.durable.collections import PUBLICATIONS, TASKS
from generia_assets.durable.orders.order import OrderError
from generia_assets.queries.records import completed
from resources.mongodb.connection import MongoDatabase, MongoDocument, retried_on_outage
from resources.mongodb.document_store import DocumentStore, NotMaterializedError
from resources.mongodb.stored import readable, refuse

DocumentT = TypeVar("DocumentT", bound=Document)


def refuse_another_plan(database: MongoDatabase, world_id: str, makes: Collection[TaskType], keys: Collection[str]) -> None:
    """Raise ``OrderError`` where the items depend on people of a version without ages, a timeline, and these numbers of posts."""
    planned = [one for one in makes if one.asset.unit is not Unit.WORLD and one.asset.name in NEEDED_BY_POSTS]
    if not planned or (TaskType.GENERATE_CHARACTER_BATCH in makes and not keys):
        return
    first = WorldDocuments(DocumentStore(database), world_id).one(CharacterBrief, character_key(0))
    if first is not None and not first.years:
        raise OrderError(f"world {world_id} cannot be made again in part: {MADE_EARLIER}")


class ItemMissingError(NotMaterializedError):
    """The asset exists without this item, which failed for good when the asset was made. Dependent items are not made."""


@dataclass(frozen=True)
class WorldDocuments:
    """A world's materialized documents by their class, of which each asset has one. The methods are ``DocumentStore``'s."""

    store: DocumentStore
    world_id: str

    def stream(self, model: type[DocumentT]) -> Iterator[DocumentT]:
        return self.store.stream(asset_of(model), self.world_id, model)

    def one(self, model: type[DocumentT], key: str) -> DocumentT | None:
        return self.store.one(asset_of(model), self.world_id, model, key)

    def count(self, model: type[Document]) -> int | None:
        """How many documents there are, or None where the asset was never materialized."""
        return self.store.count(asset_of(model), self.world_id)


class Materialized:
    """``WorldDocuments``, read in a thread beside the event loop, for tasks that need documents this run does not make."""

    def __init__(self, documents: WorldDocuments) -> None:
        self._documents = documents
        self._missing: set[type[Document]] = set()
        """Classes of assets that were never materialized. (Those that this run makes become visible at its end only.)"""

    async def one(self, model: type[DocumentT], key: str) -> DocumentT:
        """One document by its key. Raises ``NotMaterializedError`` naming what to make first, or ``ItemMissingError``."""
        found = await asyncio.to_thread(self._documents.one, model, key)
        if found is not None:
            return found
        name, count = asset_of(model).name, await asyncio.to_thread(self._documents.count, model)
        error = NotMaterializedError if count is None else ItemMissingError
        raise error(f"world {self._documents.world_id} has no {name} {key}: materialize {name} first")

    async def one_if_there(self, model: type[DocumentT], key: str) -> DocumentT | None:
        """One document by its key, or None where the asset, or this item of it, was never made."""
        if model in self._missing:
            return None
        found = await asyncio.to_thread(self._documents.one, model, key)
        if found is None and await asyncio.to_thread(self._documents.count, model) is None:
            self._missing.add(model)
        return found

    async def each(self, model: type[DocumentT], use: Callable[[DocumentT], None]) -> None:
        def every() -> None:
            for document in self._documents.stream(model):
                use(document)

        await asyncio.to_thread(every)


PAGE = 200
"""Tasks read at once."""


def task_results(
    database: MongoDatabase, world_id: str, generation: str, asset: AssetSpec, *, patience_seconds: float
) -> Iterator[Document]:
    """The documents this generation's completed tasks made for an asset, in order of their keys, one at a time.

    Raises ``UnreadableRecordError`` for a record that cannot be read.
    """
    query = completed(world_id, generation, asset.task_type)
    last, more = "", True
    while more:
        page = retried_on_outage(patience_seconds)(_page, database, {**query, "key": {"$gt": last}})
        more = len(page) == PAGE
        for task in page:
            results = task["result"]["briefs"] if asset.unit.batched else (task["result"],)
            made = ({"_id": task["_id"], "result": result} for result in results)
            yield from readable(asset.document, made, TASKS, refuse, at=itemgetter("result"))
            last = task["key"]


def _page(database: MongoDatabase, query: MongoDocument) -> list[MongoDocument]:
    """The next tasks in order of their keys: pages instead of one cursor, so that an outage costs a page and not the stream."""
    return list(database[TASKS].find(query, {"key": 1, "result": 1}).sort("key", ASCENDING).limit(PAGE))


def merged_with_present(store: DocumentStore, world_id: str, asset: AssetSpec, made: Iterable[Document]) -> Iterator[Document]:
    """The new documents, then the present materialization's other documents: for a run over some items only.

    The others stay the same, except for their relationships to people who were made again (content/documents.py).
    """
    keys, again = set[str](), dict[str, Character]()
    for document in made:
        keys.add(document.key)
        if isinstance(document, Character):
            again[document.username] = document
        yield document
    for document in store.stream(asset, world_id, asset.document):
        if document.key not in keys:
            yield document.with_updated_relationships(again) if isinstance(document, Character) else document


MARKED_AT_ONCE = 1_000
SUPERSEDED = "superseded"
"""The status of a publication that no document of its world refers to."""
_STATUS = {True: "answered", False: SUPERSEDED}


def mark_superseded(store: DocumentStore, world_id: str) -> dict[str, int]:
    """Mark the publications that no document of the world refers to any more; how many there are now, by kind.

    The contract has no call that deletes: characters are changed in place (tasks/generate_character.py), former posts and
    pictures stay on the platform, and so do the characters of a world that has fewer people now. ``generia show WORLD superseded``
    lists them.
    """
    referred = set(_platform_ids(WorldDocuments(store, world_id)))
    counts, wrong = Counter[str](), dict[str, list[str]]()
    query = {"world_id": world_id, "status": {"$in": list(_STATUS.values())}}
    for row in store.database[PUBLICATIONS].find(query, {"kind": 1, "answer": 1, "status": 1}, batch_size=MARKED_AT_ONCE):
        kind = row["kind"].partition(":")[0]
        answer = json.loads(row["answer"])["media_id"] if kind == "media" else row["answer"]
        status = _STATUS[answer in referred]
        counts[kind] += status == SUPERSEDED
        if status != row["status"]:
            wrong.setdefault(status, []).append(row["_id"])
    changes = [
        UpdateMany({"_id": {"$in": keys[first : first + MARKED_AT_ONCE]}}, {"$set": {"status": status}})
        for status, keys in wrong.items()
        for first in range(0, len(keys), MARKED_AT_ONCE)
    ]
    if changes:
        store.database[PUBLICATIONS].bulk_write(changes)
    return {kind: count for kind, count in sorted(counts.items()) if count}


def _platform_ids(documents: WorldDocuments) -> Iterator[str]:
    """The platform's ids that the world's documents have: characters, posts, pictures."""
    try:
        for character in documents.stream(Character):
            yield character.character_id
        for asset in ASSETS.values():
            if asset.pictures:
                for document in documents.stream(asset.document):
                    yield from (media.media_id for _, media in pictures_of(document))
                    if isinstance(document, PostImage):
                        yield document.post_id
    except NotMaterializedError:
        return
