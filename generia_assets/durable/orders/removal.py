"""Deleting a world: every document that MongoDB keeps of it, and its files.

The order of the work makes it safe to die in the middle. The world's status record is marked first, so that no run and no order
works on the world any more, and goes last, so that the same command finds what is left and finishes it.
"""

from __future__ import annotations

import shutil
from collections import Counter
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
    counts = Counter({KEPT_LETTERS: len(letters)})
    of_world: MongoDocument = {"$or": [{"_id": world_id}, {"world_id": world_id}]}
    last, names = (PUBLICATIONS, STATUS), database.list_collection_names(filter={"type": "collection"})
    first = sorted(one for one in names if not one.startswith("system.") and one not in last)
    for name in (*first, *(one for one in last if one in names)):
        with pymongo.timeout(REMOVAL_S):
            counts[name] += database[name].delete_many(of_world).deleted_count
    return +counts


def remove_folder(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    files = sum(path.is_file() for path in folder.rglob("*"))
    shutil.rmtree(folder)
    return files
