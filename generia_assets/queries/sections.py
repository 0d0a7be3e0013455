"""Every object that MongoDB keeps of a world, by section and type (R14). Not here: rendering (cli)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from generia_assets.asset_spec import AssetSpec
from generia_assets.catalog import ASSETS
from generia_assets.content.keys import is_character_key, is_post_key
from generia_assets.durable.collections import GENERATIONS, HISTORY, PUBLICATIONS, STATUS, STEPS, TASKS, WORLD_EVENTS
from resources.mongodb.stored import POINTERS, MongoDocument

if TYPE_CHECKING:
    from generia_assets.queries.asset_views import AssetViews
    from resources.mongodb.connection import MongoDatabase

ASSET_OF: Mapping[str, AssetSpec] = {asset.section: asset for asset in ASSETS.values()}


@dataclass(frozen=True)
class RecordSection:
    """A section of a collection of execution records.

    ``type_field``: the field that holds a document's type ('': none); ``order``: the field to sort by; ``ids``: the fields that
    identify a document; ``only``: further conditions.
    """

    collection: str
    type_field: str
    order: str
    ids: tuple[str, ...]
    only: Mapping[str, object] = field(default_factory=dict)
    world_field: str = "world_id"

    def of(self, world_id: str) -> MongoDocument:
        return {self.world_field: world_id, **self.only}


RECORDS: Mapping[str, RecordSection] = {
    "tasks": RecordSection(TASKS, "type", "created_at", ("_id", "key")),
    "history": RecordSection(HISTORY, "request_type", "created_at", ("_id", "task_id", "labels.key")),
    "publications": RecordSection(PUBLICATIONS, "kind", "created_at", ("_id", "task_id", "answer")),
    # Publications that the platform still has and the world no longer refers to, by the platform's ids (``answer``).
    "superseded": RecordSection(PUBLICATIONS, "kind", "created_at", ("_id", "task_id", "answer"), {"status": "superseded"}),
    # Publications of which the platform may have one more than it answered with: their creation was sent again.
    "orphans": RecordSection(PUBLICATIONS, "kind", "created_at", ("_id", "task_id", "answer"), {"possible_orphans": {"$gt": 0}}),
    "events": RecordSection(WORLD_EVENTS, "event.event_type", "seq", ("_id", "event.key", "event.post_id", "event.character_id")),
    "generations": RecordSection(GENERATIONS, "status", "started_at", ("_id", "runs", "order")),
    # The checkpoints of unfinished tasks (deleted when a task is completed), and the pointers to the visible documents.
    "steps": RecordSection(STEPS, "", "created_at", ("_id", "task_id")),
    "materializations": RecordSection(POINTERS, "", "_id", ("_id", "materialization")),
    "status": RecordSection(STATUS, "", "_id", (), world_field="_id"),
}
SECTIONS = (*ASSET_OF, *RECORDS)


def documents(
    database: MongoDatabase, world_id: str, section: str, *, of_type: str | None = None, item: str | None = None
) -> Iterator[MongoDocument]:
    """The section's documents, one at a time. ``of_type`` is for sections with a ``type_field``, and ignored elsewhere.

    ``item``: only documents with this id: their own, an item's key, a username, a task's or the platform's id.
    """
    if section in ASSET_OF:
        yield from _of_asset(_views(database, world_id), ASSET_OF[section], item)
        return
    record = RECORDS[section]
    wanted = record.of(world_id)
    if of_type and record.type_field:
        wanted[record.type_field] = {"$regex": f"^{re.escape(of_type)}(:|$)"}
    if item and record.ids:
        wanted["$or"] = [{field: item} for field in record.ids]
    yield from database[record.collection].find(wanted, batch_size=200).sort(record.order)


def counts(database: MongoDatabase, world_id: str) -> dict[str, int]:
    views = _views(database, world_id)
    return {
        section: views.count(ASSET_OF[section].name)
        if section in ASSET_OF
        else database[RECORDS[section].collection].count_documents(RECORDS[section].of(world_id))
        for section in SECTIONS
    }


def types_of(database: MongoDatabase, world_id: str, section: str) -> list[str]:
    """The types that the documents of this section have (none if they are all of one); of ``media:avatar:1b6d…`` the first word."""
    record = RECORDS.get(section)
    if record is None or not record.type_field:
        return []
    found = database[record.collection].distinct(record.type_field, record.of(world_id))
    return sorted({str(name).partition(":")[0] for name in found})


def _views(database: MongoDatabase, world_id: str) -> AssetViews:
    from generia_assets.queries.asset_views import AssetViews  # with pymongo, for which the names of the sections need not wait

    return AssetViews.of(database, world_id)


_IDS = ("key", "username", "character_id", "post_id")


def _of_asset(views: AssetViews, asset: AssetSpec, item: str | None) -> Iterator[MongoDocument]:
    prefix = item if item and (is_character_key(item) or is_post_key(item)) else ""
    order = ("t", "key") if asset.in_order_of_world else ("key",)
    for document in (model.model_dump() for model in views.stream(asset.name, prefix=prefix, order=order)):
        if item is None or item.removeprefix("@") in (document.get(name) for name in _IDS):
            yield document
