"""The indexes that the project's own queries need, in one place, so that a query without an index shows."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import OperationFailure

from generia_assets.durable.collections import (
    FLEET,
    GENERATIONS,
    HISTORY,
    KEPT_LETTERS,
    PUBLICATIONS,
    STATUS,
    STEPS,
    TASKS,
    UNREADABLE_BATCHES,
    WORLD_EVENTS,
)
from resources.mongodb.connection import MongoDatabase, as_forbidden, missing_indexes
from resources.mongodb.document_store import POINTERS

logger = logging.getLogger(__name__)


def _index(*fields: str, **options: object) -> IndexModel:
    """An index of these fields; those with a minus are in descending order."""
    return IndexModel(
        [(field.removeprefix("-"), DESCENDING if field.startswith("-") else ASCENDING) for field in fields], **options
    )


INDEXES: dict[str, list[IndexModel]] = {
    TASKS: [
        # the io manager streams one asset's results of one generation in order of their keys
        _index("world_id", "generation", "type", "key"),
        # people and checks ask for what failed; the metrics count types by this alone, and time those that ended last
        _index("world_id", "status", "type", "-updated_at"),
        # the pages of a growing world ask which posts reply to those that they show, and on which somebody comments
        *(
            _index("world_id", "generation", field, partialFilterExpression={field: {"$gt": ""}})
            for field in ("result.in_reply_to", "result.comments.character")
        ),
        # the watchdog asks for the few orders that no run has started
        _index("type", "accepted_at", partialFilterExpression={"status": "pending", "accepted_at": {"$exists": True}}),
    ],
    STATUS: [
        # the watchdog asks for worlds in progress whose owner fell silent
        _index("status", "owner.expires_at"),
        _index("-updated_at"),
        # and for the few worlds whose live events have not all been sent
        _index("events_pending", partialFilterExpression={"events_pending": True}),
    ],
    HISTORY: [
        _index("world_id", "created_at"),
        _index("task_id"),
        # each asset's and each person's calls, tokens and dollars are added up from this alone: prompts and answers are not read
        _index(
            *("world_id", "generation", "labels.task_type", "api_type", "cost_usd"),
            *("tokens.prompt", "tokens.cached", "tokens.output", "labels.key"),
            name="spending",
        ),
    ],
    GENERATIONS: [
        _index("world_id", "-started_at"),
        _index("runs"),
        # quotes learn from the worlds that were completed last
        _index("-updated_at", partialFilterExpression={"usage": {"$exists": True}}),
    ],
    # what a process wrote of its breakers (durable/calls/api_status.py) and did not take away, because it died
    FLEET: [_index("expires_at", expireAfterSeconds=0)],
    # what no tick meets any more goes by itself
    UNREADABLE_BATCHES: [_index("expires_at", expireAfterSeconds=0)],
    KEPT_LETTERS: [_index("at")],
    STEPS: [_index("task_id"), _index("world_id")],
    PUBLICATIONS: [
        _index("world_id", "status"),
        # people ask where a published post came from, by nothing but its id
        _index("answer", partialFilterExpression={"kind": "post"}),
    ],
    POINTERS: [_index("world_id")],
    # the relay and the pages read a world's events on from a number
    WORLD_EVENTS: [_index("world_id", "seq")],
    # the pages' feed has the order of the world, from either end; below a post are its replies; mentions and relations name people
    # by username
    "post_images": [_index("world_id", "materialization", "-t", "-published_at", "-key")],
    "posts": [
        _index("world_id", "materialization", "t", "key"),
        _index("world_id", "materialization", "in_reply_to", partialFilterExpression={"in_reply_to": {"$gt": ""}}),
    ],
    # the list of worlds is filtered by language
    "world_parameters": [_index("user_preferences.language", "_id")],
    "characters": [_index("world_id", "username")],
}
EXPIRE = {HISTORY: "created_at", WORLD_EVENTS: "at"}
"""Collections that are kept for a while only, and since when."""


HOUR_MS = 3_600_000


def lacks_indexes(database: MongoDatabase) -> bool:
    return any(missing_indexes(database[collection].index_information(), indexes) for collection, indexes in INDEXES.items())


@contextmanager
def once_an_hour(database: MongoDatabase, subject: str) -> Iterator[bool]:
    """Whether the block is to do its work: no process of the installation has done it in the last hour without an error."""
    note = {"_id": subject}
    due = database[FLEET].count_documents(note, limit=1) == 0
    yield due
    if due:
        until = {"$add": ["$$NOW", HOUR_MS]}  # then MongoDB removes it
        database[FLEET].update_one(note, [{"$set": {"expires_at": until}}], upsert=True)


def indexes_of(collections: Iterable[str], *, history_ttl_days: int) -> str:
    """A name for the indexes that this version wants: those of ``INDEXES`` and one in each of these collections."""
    ours = [(collection, [index.document for index in indexes]) for collection, indexes in INDEXES.items()]
    return f"indexes:{sha256(repr((ours, sorted(collections), history_ttl_days)).encode()).hexdigest()[:16]}"


def ensure_indexes(database: MongoDatabase, *, history_ttl_days: int) -> None:
    """Create what is missing; calling it again changes nothing, and needs no right to make indexes.

    Another HISTORY_TTL_DAYS than before needs the right collMod; without it the former one stays, and that is logged.
    """
    seconds = history_ttl_days * 86_400
    for collection, indexes in INDEXES.items():
        existing = database[collection].index_information()
        expiry = [IndexModel(EXPIRE[collection], name="expiry", expireAfterSeconds=seconds)] if collection in EXPIRE else []
        if missing := missing_indexes(existing, [*indexes, *expiry]):
            database[collection].create_indexes(missing)
        if existing.get("expiry", {}).get("expireAfterSeconds", seconds) != seconds:
            try:
                database.command("collMod", collection, index={"name": "expiry", "expireAfterSeconds": seconds})
            except OperationFailure as error:
                if (forbidden := as_forbidden(error)) is None:
                    raise
                logger.warning("HISTORY_TTL_DAYS=%d does not count in %s: %s", history_ttl_days, collection, forbidden)
