"""What the commands that look at worlds have in common: the database, and the world that is meant."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from pymongo import DESCENDING

from generia_assets.cli import inert
from generia_assets.cli.addresses import addresses, database_at
from generia_assets.cli.completion import LAST
from generia_assets.cli.console import CommandError, own_name
from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import WorldStatus
from generia_assets.queries.worlds import world_status
from generia_assets.settings import settings
from resources.mongodb.connection import MongoDatabase

CANDIDATES = 5
"""Worlds that are named where more than one may be meant."""


@contextmanager
def open_database() -> Iterator[MongoDatabase]:
    """The generator's database, wherever it is now."""
    chosen = settings()
    with database_at(addresses(chosen).mongodb_uri, chosen) as database:
        yield database


def get_world(database: MongoDatabase, world: str) -> WorldStatus:
    """The status record of the world that is meant; its own id is ``world_id`` there.

    ``world``: an id (of a world from the launch form: its partition's name), the beginning of one id alone, or ``last``. Raises
    ``CommandError`` (exit status 2) where that is no world, or more than one.
    """
    found = _found(database, world)
    if found is None:
        raise _unknown(world)
    return found


def get_world_or_order(database: MongoDatabase, world: str) -> WorldStatus | None:
    """As ``get_world``; None for a UUID that nobody knows: its order may still be in Kafka."""
    found = _found(database, world)
    if found is None:
        try:
            uuid.UUID(world)
        except ValueError:
            raise _unknown(world) from None
    return found


def _found(database: MongoDatabase, world: str) -> WorldStatus | None:
    if exactly := world_status(database, world):
        return exactly
    worlds = database[STATUS]
    if world == LAST:
        ids = [
            record["_id"]
            for record in worlds.find({"created_at": {"$type": "date"}}, {"_id": 1}).sort("created_at", DESCENDING).limit(1)
        ]
    else:
        beginning = {"_id": {"$regex": f"^{re.escape(world)}", "$options": "i"}}
        ids = [record["_id"] for record in worlds.find(beginning, {"_id": 1}).sort("_id", 1).limit(CANDIDATES + 1)]
    if len(ids) > 1:
        shown = ", ".join(ids[:CANDIDATES]) + (", …" if len(ids) > CANDIDATES else "")
        raise CommandError(f"world {inert.line(world, 80)}: more than one begins like this: {inert.line(shown)}", 2)
    return world_status(database, ids[0]) if ids else None


def _unknown(world: str) -> CommandError:
    if world == LAST:
        return CommandError(f"world {LAST}: nobody has ordered one here yet", 2)
    return CommandError(f"world {inert.line(world, 80)}: nobody ordered it here; `{own_name()} list` shows those that were", 2)
