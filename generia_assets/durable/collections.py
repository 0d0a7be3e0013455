"""The collections of the generator's database, by name, with the indexes that the project's own queries need.

The shapes of documents are in docs/requirements.md, documents.py and the module that writes each collection.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import OperationFailure

from resources.mongodb.connection import MongoDatabase, as_forbidden, missing_indexes
from resources.mongodb.document_store import POINTERS

logger = logging.getLogger(__name__)

TASKS = "tasks"
STATUS = "world_generation_status"
HISTORY = "api_requests_history"
GENERATIONS = "generations"
STEPS = "task_steps"
PUBLICATIONS = "publications"
WORLD_EVENTS = "world_events"
"""The outbox of the live events: ``{_id: "<world_id>:<seq, ten digits>", world_id, seq, event: {the JSON body}, at}``."""
FLEET = "fleet"
"""What all processes share about the outside: slots, pace, breakers, models that are gone. One small document each."""
KEPT_LETTERS = "dead_letters"
"""Dead letters that their topic has not taken yet (intake.py)."""
UNREADABLE_BATCHES = "unreadable_batches"
"""Record batches in Kafka that hold up a partition (intake.py)."""

INDEXES: dict[str, list[IndexModel]] = {
    TASKS: [
        # the io manager streams one asset's results of one generation in order of their keys
        IndexModel([("world_id", ASCENDING), ("generation", ASCENDING), ("type", ASCENDING), ("key", ASCENDING)]),
        # people and checks ask for what failed; the metrics count types by this alone, and time those that ended last
        IndexModel([("world_id", ASCENDING), ("status", ASCENDING), ("type", ASCENDING), ("updated_at", DESCENDING)]),
        # the pages of a growing world ask which posts reply to those that they show
        IndexModel(
            [("world_id", ASCENDING), ("generation", ASCENDING), ("result.in_reply_to", ASCENDING)],
            partialFilterExpression={"result.in_reply_to": {"$gt": ""}},
        ),
        # the watchdog asks for the few orders that no run has started
        IndexModel(
            [("type", ASCENDING), ("accepted_at", ASCENDING)],
            partialFilterExpression={"status": "pending", "accepted_at": {"$exists": True}},
        ),
    ],
    STATUS: [
        # the watchdog asks for worlds in progress whose owner fell silent
        IndexModel([("status", ASCENDING), ("owner.expires_at", ASCENDING)]),
        IndexModel([("updated_at", DESCENDING)]),
        # and for the few worlds whose live events have not all been sent
        IndexModel([("events_pending", ASCENDING)], partialFilterExpression={"events_pending": True}),
    ],
    HISTORY: [
        IndexModel([("world_id", ASCENDING), ("created_at", ASCENDING)]),
        IndexModel([("task_id", ASCENDING)]),
        # each asset's and each person's calls, tokens and dollars are added up from this alone: prompts and answers are not read
        IndexModel(
            [
                ("world_id", ASCENDING),
                ("generation", ASCENDING),
                ("labels.task_type", ASCENDING),
                *(
                    (name, ASCENDING)
                    for name in ("api_type", "cost_usd", "tokens.prompt", "tokens.cached", "tokens.output", "labels.key")
                ),
            ],
            name="spending",
        ),
    ],
    GENERATIONS: [
        IndexModel([("world_id", ASCENDING), ("started_at", DESCENDING)]),
        IndexModel([("runs", ASCENDING)]),
        # quotes learn from the worlds that were completed last
        IndexModel([("updated_at", DESCENDING)], partialFilterExpression={"usage": {"$exists": True}}),
    ],
    # what a process wrote of its breakers (durable/calls/breaker_status.py) and did not take away, because it died
    FLEET: [IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0)],
    # what no tick meets any more goes by itself
    UNREADABLE_BATCHES: [IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0)],
    KEPT_LETTERS: [IndexModel([("at", ASCENDING)])],
    STEPS: [IndexModel([("task_id", ASCENDING)]), IndexModel([("world_id", ASCENDING)])],
    PUBLICATIONS: [
        IndexModel([("world_id", ASCENDING), ("status", ASCENDING)]),
        # people ask where a published post came from, by nothing but its id
        IndexModel([("answer", ASCENDING)], partialFilterExpression={"kind": "post"}),
    ],
    POINTERS: [IndexModel([("world_id", ASCENDING)])],
    # the relay and the pages read a world's events on from a number
    WORLD_EVENTS: [IndexModel([("world_id", ASCENDING), ("seq", ASCENDING)])],
    # the pages' feed has the order of the world, from either end; below a post are its replies; mentions and relations name people
    # by username
    "post_images": [
        IndexModel(
            [
                ("world_id", ASCENDING),
                ("materialization", ASCENDING),
                ("t", DESCENDING),
                ("published_at", DESCENDING),
                ("key", DESCENDING),
            ],
        )
    ],
    "posts": [
        IndexModel([("world_id", ASCENDING), ("materialization", ASCENDING), ("t", ASCENDING), ("key", ASCENDING)]),
        IndexModel(
            [("world_id", ASCENDING), ("materialization", ASCENDING), ("in_reply_to", ASCENDING)],
            partialFilterExpression={"in_reply_to": {"$gt": ""}},
        ),
    ],
    # the list of worlds is filtered by language
    "world_parameters": [IndexModel([("user_preferences.language", ASCENDING), ("_id", ASCENDING)])],
    "characters": [IndexModel([("world_id", ASCENDING), ("username", ASCENDING)])],
}
EXPIRE = {HISTORY: "created_at", WORLD_EVENTS: "at"}
"""Collections that are kept for a while only, and since when."""


HOUR_MS = 3_600_000


def lacks_indexes(database: MongoDatabase) -> bool:
    """Whether an index of ours is missing."""
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
