"""What the commands that look at worlds have in common: the database, and the world that is meant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from generia_assets.cli import inert
from generia_assets.cli.addresses import addresses, database_at
from generia_assets.cli.console import CommandError, own_name
from generia_assets.durable.status import WorldStatus
from generia_assets.reading.worlds import world_status
from generia_assets.settings import settings
from resources.mongo import MongoDatabase


@contextmanager
def open_database() -> Iterator[MongoDatabase]:
    """The generator's database, wherever it is now."""
    chosen = settings()
    with database_at(addresses(chosen).mongodb_uri, chosen) as database:
        yield database


def known(database: MongoDatabase, world: str) -> WorldStatus:
    """The world's status record. Raises ``CommandError`` saying where the worlds are listed."""
    found = world_status(database, world)
    if found is None:
        raise CommandError(f"world {inert.line(world, 80)}: nobody ordered it here; `{own_name()} list` shows those that were")
    return found
