"""Views of a world's documents, wherever they are stored now: the one reader for the pages and the command line.

Here: an asset that is materialized is read from its collection; one that is still being made, from its completed tasks of the
present generation. Queries are written once for both (``AssetView.field``). Not here: storing (document_store.py), and the
read models (worlds.py, people.py, feed.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from pydantic import TypeAdapter

from generia_assets.asset_spec import AssetSpec
from generia_assets.catalog import ASSETS
from generia_assets.content.documents import Document
from generia_assets.content.keys import WORLD_KEY
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.queries.records import completed
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.document_store import POINTERS, TRIES, DocumentStore, NotMaterializedError
from resources.mongodb.stored import UnreadableRecord, readable

logger = logging.getLogger(__name__)

DocumentT = TypeVar("DocumentT", bound=Document)
ResultT = TypeVar("ResultT")

_MOMENT = TypeAdapter(datetime)


@dataclass(frozen=True)
class AssetView:
    """The documents of one asset of a world. ``prefix``: the path of the document in the stored record.

    ``batched``: a record holds many documents, and is found by each of them (``by_key`` and ``one`` pick theirs). A document that
    cannot be read is left out, and ``on_unreadable`` is called with it.
    """

    database: MongoDatabase
    collection: str
    filter: MongoDocument
    on_unreadable: Callable[[UnreadableRecord], object]
    prefix: str = ""
    batched: bool = False

    def field(self, name: str) -> str:
        """The path of a document's field in the stored record. (A task has the key of its document, and an index on it.)"""
        return name if name == "key" and not self.batched else self.prefix + name

    def moment(self, value: datetime) -> object:
        """A moment in the form in which it is stored here, for comparisons."""
        return _MOMENT.dump_python(value, mode="json") if self.prefix else value

    def find(
        self,
        model: type[DocumentT],
        wanted: Mapping[str, object] | None = None,
        *,
        sort: Sequence[tuple[str, int]] = (("key", 1),),
        limit: int = 0,
    ) -> Iterator[DocumentT]:
        """The documents whose fields are as ``wanted`` (operators, ``$and`` and ``$or`` as in MongoDB), in order, one at a time.

        ``limit``: 0 = all.
        """
        query = {**self.filter, **self._with_paths(wanted or {})}
        order = [(self.field(name), direction) for name, direction in sort]
        stored = self.database[self.collection]
        found: Iterable[MongoDocument] = stored.find(query, batch_size=limit or 500, sort=order, limit=limit)
        if self.batched:
            found = ({**record, "result": brief} for record in found for brief in record["result"]["briefs"])
        return readable(model, found, self.collection, self.on_unreadable, at=self._document)

    def keys(self, wanted: MongoDocument, *, sort: Sequence[tuple[str, int]], limit: int) -> list[str]:
        """The keys of the documents whose fields are as ``wanted``, of an asset that is not batched."""
        order = [(self.field(name), direction) for name, direction in sort]
        found = self.database[self.collection].find({**self.filter, **self._with_paths(wanted)}, {"_id": 0, "key": 1})
        return [str(record["key"]) for record in found.sort(order).limit(limit).batch_size(limit)]

    def by_key(self, model: type[DocumentT], keys: Collection[str]) -> dict[str, DocumentT]:
        """The documents with these keys, by key; those that do not exist are left out."""
        if not keys:
            return {}
        found = self.find(model, {"key": {"$in": sorted(set(keys))}})
        return {document.key: document for document in found if document.key in keys}

    def one(self, model: type[DocumentT], key: str) -> DocumentT | None:
        return self.by_key(model, [key]).get(key)

    def count_of(self, keys: Collection[str]) -> int:
        """How many of the documents with these keys there are, of an asset that is not batched."""
        return self.database[self.collection].count_documents({**self.filter, "key": {"$in": list(keys)}}) if keys else 0

    def count(self) -> int:
        if not self.batched:
            return self.database[self.collection].count_documents(self.filter)
        sizes = {"$group": {"_id": None, "documents": {"$sum": {"$size": {"$ifNull": ["$result.briefs", []]}}}}}
        return sum(int(row["documents"]) for row in self.database[self.collection].aggregate([{"$match": self.filter}, sizes]))

    def _document(self, record: MongoDocument) -> MongoDocument:
        document: MongoDocument = record["result"] if self.prefix else record
        return {"key": WORLD_KEY, **document}  # the world's description is stored under the world's id and has no key

    def _with_paths(self, wanted: Mapping[str, object]) -> MongoDocument:
        query: MongoDocument = {}
        for name, value in wanted.items():
            if name in ("$and", "$or") and isinstance(value, list):
                query[name] = [self._with_paths(choice) for choice in value]
            else:
                query[self.field(name)] = value
        return query


@dataclass(frozen=True)
class AssetViews:
    """The views of all assets of a world at one moment; ``views["posts"]`` is one of them."""

    database: MongoDatabase
    world_id: str
    generation: str
    materializations: Mapping[str, str]
    """The present materialization by collection."""
    unreadable: list[UnreadableRecord] = field(default_factory=list, compare=False)
    """Records that could not be read so far."""

    @classmethod
    def of(cls, database: MongoDatabase, world_id: str) -> AssetViews:
        """Look up the present generation and the pointers."""
        status = database[STATUS].find_one({"_id": world_id}, {"generation": 1}) or {}
        ids = [f"{world_id}:{spec.collection}" for spec in ASSETS.values()]
        pointers = database[POINTERS].find({"_id": {"$in": ids}}, {"materialization": 1})
        found = {pointer["_id"].rpartition(":")[2]: str(pointer.get("materialization")) for pointer in pointers}
        return cls(database, world_id, str(status.get("generation") or ""), found)

    def __getitem__(self, asset: str) -> AssetView:
        spec = ASSETS[asset]
        collection = spec.collection
        if collection not in self.materializations:
            return self._being_made(spec, self._add_unreadable)
        if spec.one_per_world:
            stored: MongoDocument = {"_id": self.world_id}
        else:
            stored = {"world_id": self.world_id, "materialization": self.materializations[collection]}
        return AssetView(self.database, collection, stored, self._add_unreadable)

    def stream(self, asset: str, *, prefix: str = "", order: Sequence[str] = ("key",)) -> Iterator[Document]:
        """All documents of the asset, one at a time; of a materialized one those whose keys begin with ``prefix``.

        Raises ``MaterializationReplacedError`` when they are replaced meanwhile. Unreadable records are logged.
        """
        spec = ASSETS[asset]
        try:
            store = DocumentStore(self.database)
            yield from store.stream(spec, self.world_id, spec.document, prefix=prefix, order=order, unreadable=logger.warning)
        except NotMaterializedError:
            yield from self._being_made(spec, logger.warning).find(spec.document, sort=[(name, 1) for name in order])

    def count(self, asset: str) -> int:
        """How many documents the asset has; of a materialized one as its pointer says."""
        spec = ASSETS[asset]
        stored = DocumentStore(self.database).count(spec, self.world_id)
        return self._being_made(spec, logger.warning).count() if stored is None else stored

    def _being_made(self, spec: AssetSpec, on_unreadable: Callable[[UnreadableRecord], object]) -> AssetView:
        made = completed(self.world_id, self.generation, spec.task_type)
        prefix = "result.briefs." if spec.unit.batched else "result."
        return AssetView(self.database, TASKS, made, on_unreadable, prefix, spec.unit.batched)

    def _add_unreadable(self, found: UnreadableRecord) -> None:
        if found not in self.unreadable:
            self.unreadable.append(found)


def consistent_read(database: MongoDatabase, world_id: str, read: Callable[[AssetViews], ResultT]) -> ResultT:
    """The result of ``read`` with views that do not change meanwhile: never half of an old and half of a new materialization."""
    before = AssetViews.of(database, world_id)
    for _ in range(TRIES):
        result = read(before)
        after = AssetViews.of(database, world_id)
        if after == before:
            return result
        before = after
    return read(before)
