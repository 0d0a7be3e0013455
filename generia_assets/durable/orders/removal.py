"""Deleting a world: every document that MongoDB keeps of it, and its files.

The order of the work makes it safe to die in the middle. The world's status record is marked first, so that no run and no order
works on the world any more, and goes last, so that the same command finds what is left and finishes it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pymongo

from generia_assets.durable.collections import KEPT_LETTERS, PUBLICATIONS, STATUS
from generia_assets.durable.orders.intake import forget, kept
from generia_assets.durable.status import HISTORY_LACKS
from resources.mongodb.connection import MongoDatabase, MongoDocument

REMOVAL_S = 600.0
"""What taking away one collection's documents may take."""


class BeingMadeError(RuntimeError):
    """A run works on the world. The message names the command that stops it."""


def mark(database: MongoDatabase, world_id: str) -> None:
    """From now on the world is history that is being deleted: no run, no order and no watchdog works on it.

    A run that still believes it owns the world writes nothing any more, since its token is gone. Raises ``BeingMadeError`` while a
    run owns it, ``LookupError`` without a status record.
    """
    unowned = {"_id": world_id, "owner.expires_at": {"$not": {"$gt": datetime.now(UTC)}}}
    update = {"$set": {"deleting_since": datetime.now(UTC)}, "$unset": dict.fromkeys(HISTORY_LACKS, "")}
    if database[STATUS].update_one(unowned, update).matched_count:
        return
    if database[STATUS].find_one({"_id": world_id}, {"_id": 1}) is None:
        raise LookupError(f"world {world_id}: nobody ordered it here")
    raise BeingMadeError(f"world {world_id} is being made by a run; stop it first: generia stop {world_id}")


def published(database: MongoDatabase, world_id: str) -> dict[str, list[str]]:
    """The ids that the platform gave to what was published of the world, by kind: ``character``, ``media``, ``post``."""
    ids: dict[str, list[str]] = {}
    for one in database[PUBLICATIONS].find({"world_id": world_id, "answer": {"$type": "string"}}, {"kind": 1, "answer": 1}):
        ids.setdefault(str(one.get("kind")).partition(":")[0], []).append(one["answer"])
    return ids


def remove_documents(database: MongoDatabase, world_id: str) -> dict[str, int]:
    """Delete the world's documents in every collection of this database; how many there were, by collection.

    A document is the world's by its ``world_id`` or its ``_id``. The status record goes last, and before it what names what was
    published.
    """
    letters = [one for one in kept(database) if one.key == world_id.encode() or f'"{world_id}"'.encode() in (one.value or b"")]
    if letters:
        forget(database, letters)
    counts = {name: count for name in _collections(database) if (count := _removed(database, name, world_id))}
    return ({KEPT_LETTERS: len(letters)} if letters else {}) | counts


def remove_folder(folder: Path) -> int:
    files = sum(1 for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
    if folder.is_dir():
        shutil.rmtree(folder)
    return files


def _collections(database: MongoDatabase) -> Iterator[str]:
    names = sorted(database.list_collection_names(filter={"type": "collection"}))
    last = (PUBLICATIONS, STATUS)
    yield from (name for name in names if not name.startswith("system.") and name not in last)
    yield from (name for name in last if name in names)


def _removed(database: MongoDatabase, collection: str, world_id: str) -> int:
    of_world: MongoDocument = {"$or": [{"_id": world_id}, {"world_id": world_id}]}
    with pymongo.timeout(REMOVAL_S):
        return database[collection].delete_many(of_world).deleted_count
