"""What the shell completes: worlds' ids, from MongoDB, within a blink or not at all; and the names of parts that have logs.

A completion that fails says nothing: whoever presses Tab wants no error message in the middle of a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generia_assets.settings import Settings
    from resources.mongodb.connection import MongoDatabase

LAST = "last"
"""Means the world that was ordered last, unless a world is called so."""
SECONDS = 0.4
WORLDS = 50


@contextmanager
def quick_database(settings: Settings) -> Iterator[MongoDatabase]:
    """The generator's database for what is only nice to know: every question has ``SECONDS``, then pymongo raises."""
    from pymongo import MongoClient

    from generia_assets.cli.addresses import addresses
    from resources.mongodb.connection import MongoDocument

    milliseconds = int(SECONDS * 1000)
    with MongoClient[MongoDocument](
        addresses(settings).mongodb_uri,
        serverSelectionTimeoutMS=milliseconds,
        connectTimeoutMS=milliseconds,
        timeoutMS=milliseconds,
        tz_aware=True,
    ) as client:
        yield client[settings.mongodb_database]


def complete_world(incomplete: str) -> list[tuple[str, str]]:
    """The ids of the newest worlds that begin like this, each with its state and size."""
    from pymongo import DESCENDING
    from pymongo.errors import PyMongoError

    from generia_assets.content.text import plural
    from generia_assets.durable.collections import STATUS
    from generia_assets.settings import SettingsError, settings

    fields = dict.fromkeys(("status", "users_predicted", "posts_predicted"), 1)
    try:
        with quick_database(settings()) as database:
            worlds = list(database[STATUS].find({}, fields).sort("updated_at", DESCENDING).limit(WORLDS))
    except (PyMongoError, SettingsError, OSError):
        return []
    newest = [(LAST, "the world that was ordered last")] if worlds and LAST.startswith(incomplete) else []
    return newest + [
        (
            str(world["_id"]),
            f"{world['status']}, {plural(world['users_predicted'], 'person')}, {plural(world['posts_predicted'], 'post')}",
        )
        for world in worlds
        if str(world["_id"]).startswith(incomplete)
    ]


def complete_part(incomplete: str) -> list[tuple[str, str]]:
    """The parts of this folder that begin like this and have a log."""
    from generia_assets.cli.home import part_logs
    from generia_assets.settings import SettingsError, settings

    try:
        parts = part_logs(settings().generia_data_dir)
    except (SettingsError, OSError):
        return []
    return [(name, f"log of a part: {path.name}") for name, path in parts.items() if name.startswith(incomplete)]


def complete_world_or_part(incomplete: str) -> list[tuple[str, str]]:
    """Parts, then worlds, that begin like this."""
    return complete_part(incomplete) + complete_world(incomplete)
