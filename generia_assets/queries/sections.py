"""Every object that MongoDB keeps of a world, by section and type (R14).

Here: which sections there are and how their documents are read: an asset's as materialized, or, while the world is being made, as
the journal has them so far; posts and their pictures in the order of the world. Not here: how they look (cli).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter

from pymongo import ASCENDING

from generia_assets.assets.materialized import results
from generia_assets.catalog import ASSETS, AssetSpec
from generia_assets.content.documents import Document
from generia_assets.durable.collections import GENERATIONS, HISTORY, PUBLICATIONS, STATUS, STEPS, TASKS, WORLD_EVENTS
from generia_assets.durable.status import State
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.document_store import POINTERS, DocumentStore, NotMaterializedError
from resources.mongodb.stored import readable

logger = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""An outage of MongoDB is not waited out by somebody who looks on."""
POST_OR_CHARACTER = re.compile(r"c\d{4,}(-p\d{4,})?")


ASSET_OF: Mapping[str, AssetSpec] = {asset.section: asset for asset in ASSETS.values()}


@dataclass(frozen=True)
class Record:
    """A collection of the machinery: what tells its documents' type (a field; '': nothing), their order, what names one of them."""

    collection: str
    type_field: str
    order: str
    ids: tuple[str, ...]
    only: Mapping[str, str] = field(default_factory=dict)
    """Of the collection these alone."""


RECORDS: Mapping[str, Record] = {
    "tasks": Record(TASKS, "type", "created_at", ("_id", "key")),
    "history": Record(HISTORY, "request_type", "created_at", ("_id", "task_id", "labels.key")),
    "publications": Record(PUBLICATIONS, "kind", "created_at", ("_id", "task_id", "answer")),
    # What the platform still has although the world no longer consists of it, by the platform's ids (``answer``).
    "superseded": Record(PUBLICATIONS, "kind", "created_at", ("_id", "task_id", "answer"), {"status": "superseded"}),
    "events": Record(WORLD_EVENTS, "event.event_type", "seq", ("_id", "event.key", "event.post_id", "event.character_id")),
    "generations": Record(GENERATIONS, "status", "started_at", ("_id", "runs", "order")),
    # What tasks in the air have got so far (gone when a task is completed), and which documents of an asset are the visible ones.
    "steps": Record(STEPS, "", "created_at", ("_id", "task_id")),
    "materializations": Record(POINTERS, "", "_id", ("_id", "materialization")),
}
SECTIONS = (*ASSET_OF, *RECORDS, "status")
"""The parts of what is kept of a world."""


def documents(
    database: MongoDatabase, world_id: str, section: str, *, of_type: str | None = None, item: str | None = None
) -> Iterator[MongoDocument]:
    """The section's documents, one at a time. ``of_type`` is for what has a ``type_field``, and ignored elsewhere.

    ``item``: only what has this id: a document's own, an item's key, a username, a task's or the platform's id.
    """
    if section == "status":
        found = database[STATUS].find({"_id": world_id})
    elif section in RECORDS:
        record = RECORDS[section]
        wanted: MongoDocument = {"world_id": world_id, **record.only}
        if of_type and record.type_field:
            wanted[record.type_field] = {"$regex": f"^{re.escape(of_type)}(:|$)"}
        if item:
            wanted["$or"] = [{field: item} for field in record.ids]
        found = database[record.collection].find(wanted, batch_size=200).sort(record.order, ASCENDING)
    else:
        yield from _asset(database, world_id, ASSET_OF[section], item)
        return
    yield from found


def counts(database: MongoDatabase, world_id: str) -> dict[str, int]:
    """How many documents each section has."""
    return {section: _count(database, world_id, section) for section in SECTIONS}


def types_of(database: MongoDatabase, world_id: str, section: str) -> list[str]:
    """The types that the documents of this section have (none if they are all of one); of ``media:avatar:1b6d…`` the first word."""
    record = RECORDS.get(section)
    if record is None or not record.type_field:
        return []
    found = database[record.collection].distinct(record.type_field, {"world_id": world_id, **record.only})
    return sorted({str(name).partition(":")[0] for name in found})


def _count(database: MongoDatabase, world_id: str, section: str) -> int:
    if section == "status":
        return database[STATUS].count_documents({"_id": world_id})
    if section in RECORDS:
        return database[RECORDS[section].collection].count_documents({"world_id": world_id, **RECORDS[section].only})
    kind = ASSET_OF[section]
    stored = DocumentStore(database).count(kind, world_id)
    if stored is not None:
        return stored
    status = database[STATUS].find_one({"_id": world_id}, {"generation": 1}) or {}
    made = {
        "world_id": world_id,
        "generation": status.get("generation") or "",
        "type": kind.task_type.value,
        "status": State.COMPLETED.value,
    }
    if not kind.unit.batched:
        return database[TASKS].count_documents(made)
    sizes = {"$group": {"_id": None, "documents": {"$sum": {"$size": {"$ifNull": ["$result.briefs", []]}}}}}
    return sum(int(row["documents"]) for row in database[TASKS].aggregate([{"$match": made}, sizes]))


_IDS = ("key", "username", "character_id", "post_id")


def _asset(database: MongoDatabase, world_id: str, kind: AssetSpec, item: str | None) -> Iterator[MongoDocument]:
    prefix = item if item and POST_OR_CHARACTER.fullmatch(item) else ""
    order = ("t", "key") if kind.in_order_of_world else ("key",)
    try:
        store = DocumentStore(database)
        for document in store.stream(kind, world_id, kind.document, prefix=prefix, order=order, unreadable=logger.warning):
            yield from _if_meant(document.model_dump(), item)
    except NotMaterializedError:
        for document in _made_so_far(database, world_id, kind):
            yield from _if_meant(document.model_dump(), item)


def _made_so_far(database: MongoDatabase, world_id: str, kind: AssetSpec) -> Iterator[Document]:
    status = database[STATUS].find_one({"_id": world_id}, {"generation": 1}) or {}
    generation = status.get("generation") or ""
    if not kind.in_order_of_world:
        yield from results(database, world_id, generation, kind, patience_seconds=PATIENCE_S, unreadable=logger.warning)
        return
    made = {"world_id": world_id, "generation": generation, "type": kind.task_type.value, "status": State.COMPLETED.value}
    found = database[TASKS].find(made, {"result": 1}).sort([("result.t", ASCENDING), ("key", ASCENDING)])
    yield from readable(kind.document, found, TASKS, logger.warning, at=itemgetter("result"))


def _if_meant(document: MongoDocument, item: str | None) -> Iterator[MongoDocument]:
    if item is None or item.removeprefix("@") in (document.get(field) for field in _IDS):
        yield document
