"""What the shell completes: worlds' ids, from MongoDB, within a blink or not at all.

A completion that fails says nothing: whoever presses Tab wants no error message in the middle of a line.
"""

from __future__ import annotations

SECONDS = 0.4
WORLDS = 50


def complete_world(incomplete: str) -> list[tuple[str, str]]:
    """The ids of the newest worlds that begin like this, each with its state and size."""
    from pymongo import DESCENDING, MongoClient
    from pymongo.errors import PyMongoError

    from generia_assets.cli.addresses import addresses
    from generia_assets.durable.collections import STATUS
    from generia_assets.settings import SettingsError, settings

    try:
        chosen = settings()
        milliseconds = int(SECONDS * 1000)
        with MongoClient[dict[str, object]](
            addresses(chosen).mongodb_uri,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            timeoutMS=milliseconds,
        ) as client:
            wanted = ("status", "users_predicted", "posts_predicted")
            found = client[chosen.mongodb_database][STATUS].find({}, dict.fromkeys(wanted, 1))
            worlds = list(found.sort("updated_at", DESCENDING).limit(WORLDS))
    except (PyMongoError, SettingsError, OSError, ValueError):
        return []
    return [
        (str(world["_id"]), f"{world['status']}, {world['users_predicted']} people, {world['posts_predicted']} posts")
        for world in worlds
        if str(world["_id"]).startswith(incomplete)
    ]
