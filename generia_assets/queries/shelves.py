"""Shelves: where each asset's documents of one world are at this moment, and how some of them are read in order and in bounds.

Here: an asset that is materialized is read from its collection; one that is still being made, from its completed tasks of the
present generation. Queries are written once for both (``AssetView.field``). Not here: whole assets in a stream
(resources/mongodb/document_store.py), and what documents mean to people (worlds.py, people.py, feed.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from pydantic import TypeAdapter

from generia_assets.catalog import ASSETS, AssetSpec
from generia_assets.content.documents import Document
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.status import State
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.document_store import POINTERS, TRIES
from resources.mongodb.stored import UnreadableRecord, readable

DocumentT = TypeVar("DocumentT", bound=Document)
ResultT = TypeVar("ResultT")

_MOMENT = TypeAdapter(datetime)


@dataclass(frozen=True)
class AssetView:
    """The documents of one asset of a world. ``prefix`` is what stands before a document's fields in the stored record.

    ``batched``: a record holds many documents, and is found by each of them (``by_key`` and ``one`` pick theirs). A document that
    cannot be read is left out, and is to be found in ``unreadable``.
    """

    database: MongoDatabase
    collection: str
    filter: MongoDocument
    prefix: str = ""
    unreadable: list[UnreadableRecord] = field(default_factory=list)
    batched: bool = False

    def field(self, name: str) -> str:
        """The path of a document's field in the stored record. (A task has the key of its document, and an index on it.)"""
        return name if name == "key" and not self.batched else self.prefix + name

    def moment(self, value: datetime) -> object:
        """A moment as it is stored here, to compare with."""
        return _MOMENT.dump_python(value, mode="json") if self.prefix else value

    def find(
        self,
        model: type[DocumentT],
        wanted: Mapping[str, object] | None = None,
        *,
        sort: Sequence[tuple[str, int]] = (("key", 1),),
        limit: int = 0,
    ) -> list[DocumentT]:
        """The documents whose fields are as ``wanted`` (operators and ``$or`` as MongoDB has them), in order; 0 = all."""
        query = {**self.filter, **self._placed(wanted or {})}
        order = [(self.field(name), direction) for name, direction in sort]
        found: Iterable[MongoDocument] = (
            self.database[self.collection].find(query, batch_size=limit or 500).sort(order).limit(limit)
        )
        if self.batched:
            found = ({**record, "result": brief} for record in found for brief in record["result"]["briefs"])
        return list(readable(model, found, self.collection, self._leave_out, at=self._document))

    def by_key(self, model: type[DocumentT], keys: Collection[str]) -> dict[str, DocumentT]:
        """The documents with these keys, by key; those that are not there are left out."""
        if not keys:
            return {}
        found = self.find(model, {"key": {"$in": sorted(set(keys))}})
        return {document.key: document for document in found if document.key in keys}

    def one(self, model: type[DocumentT], key: str) -> DocumentT | None:
        """The document with this key, or None."""
        return self.by_key(model, [key]).get(key)

    def count(self, wanted: Mapping[str, object] | None = None) -> int:
        """How many documents there are of this kind."""
        return self.database[self.collection].count_documents({**self.filter, **self._placed(wanted or {})})

    def _document(self, record: MongoDocument) -> MongoDocument:
        document: MongoDocument = record["result"] if self.prefix else record
        return {"key": "world", **document}  # the world's description is stored under the world's id and has no key

    def _leave_out(self, found: UnreadableRecord) -> None:
        if found not in self.unreadable:
            self.unreadable.append(found)

    def _placed(self, wanted: Mapping[str, object]) -> MongoDocument:
        placed: MongoDocument = {}
        for name, value in wanted.items():
            if name == "$or" and isinstance(value, list):
                placed[name] = [self._placed(choice) for choice in value]
            else:
                placed[self.field(name)] = value
        return placed


@dataclass(frozen=True)
class AssetViews:
    """All shelves of a world, as they stand at one moment."""

    database: MongoDatabase
    world_id: str
    generation: str
    materializations: Mapping[str, str]
    """The present materialization by collection."""
    unreadable: list[UnreadableRecord] = field(default_factory=list, compare=False)
    """What could not be read so far."""

    @classmethod
    def of(cls, database: MongoDatabase, world_id: str) -> AssetViews:
        """Look where everything is."""
        status = database[STATUS].find_one({"_id": world_id}, {"generation": 1}) or {}
        ids = [f"{world_id}:{kind.collection}" for kind in ASSETS.values()]
        pointers = database[POINTERS].find({"_id": {"$in": ids}}, {"materialization": 1})
        found = {pointer["_id"].rpartition(":")[2]: str(pointer.get("materialization")) for pointer in pointers}
        return cls(database, world_id, str(status.get("generation") or ""), found)

    def __getitem__(self, asset: str) -> AssetView:
        kind = ASSETS[asset]
        collection = kind.collection
        if collection not in self.materializations:
            return self._being_made(kind)
        if kind.one_per_world:
            stored: MongoDocument = {"_id": self.world_id}
        else:
            stored = {"world_id": self.world_id, "materialization": self.materializations[collection]}
        return AssetView(self.database, collection, stored, unreadable=self.unreadable)

    def _being_made(self, kind: AssetSpec) -> AssetView:
        made = {
            "world_id": self.world_id,
            "generation": self.generation,
            "type": kind.task_type.value,
            "status": State.COMPLETED.value,
        }
        prefix = "result.briefs." if kind.unit.batched else "result."
        return AssetView(self.database, TASKS, made, prefix, self.unreadable, kind.unit.batched)


def consistent_read(database: MongoDatabase, world_id: str, read: Callable[[AssetViews], ResultT]) -> ResultT:
    """What ``read`` finds on shelves that stay where they are meanwhile: never half of an old materialization, half of a new."""
    before = AssetViews.of(database, world_id)
    for _ in range(TRIES):
        result = read(before)
        after = AssetViews.of(database, world_id)
        if after == before:
            return result
        before = after
    return read(before)
