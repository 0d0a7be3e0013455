"""What the commands that look at worlds have in common: the database, and the world that is meant."""

from __future__ import annotations

import uuid
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
        raise _unknown(world)
    return found


def known_or_on_its_way(database: MongoDatabase, world: str) -> WorldStatus | None:
    """The world's status record; None where its order may still be in Kafka. Messages name worlds by UUIDs, and by nothing else.

    Raises ``CommandError`` (exit status 2) for what is neither.
    """
    found = world_status(database, world)
    if found is None:
        try:
            uuid.UUID(world)
        except ValueError:
            raise _unknown(world, 2) from None
    return found


def _unknown(world: str, exit_code: int = 1) -> CommandError:
    return CommandError(
        f"world {inert.line(world, 80)}: nobody ordered it here; `{own_name()} list` shows those that were", exit_code
    )
