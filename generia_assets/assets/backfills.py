"""Backfills over many worlds: none begins before a person has confirmed its price.

Dagster's dialog of a backfill shows no price and takes no question, so the first runs of a backfill that is not confirmed end it
before they change or call anything. Their message, which is also the backfill's, has the price and the tag that confirms it.
"""

from __future__ import annotations

from collections.abc import Collection

import dagster as dg

from generia_assets.catalog import TaskType
from generia_assets.dagster_internals import BACKFILL_ID_TAG, fail_backfill, partitions_of_backfill
from generia_assets.durable.collections import STATUS
from generia_assets.durable.orders.order import OrderError, parse_stored
from generia_assets.durable.status import statuses
from generia_assets.settings import Settings
from resources.mongodb.connection import MongoDatabase, MongoDocument

CONFIRMED = "generia/worlds"
"""Tag of a backfill over many worlds: how many, as a person has confirmed it."""
UNCONFIRMED_WORLDS = 5
"""A backfill over so many worlds at most begins at once."""
QUOTED_WORLDS = 50
"""The price of more worlds is that of so many, multiplied."""


def refuse_unconfirmed(
    context: dg.AssetExecutionContext, database: MongoDatabase, settings: Settings, makes: Collection[TaskType]
) -> None:
    """Raise ``OrderError`` with the price and end the backfill, if it covers many worlds and nobody has confirmed it."""
    tags = context.run.tags
    if (backfill_id := tags.get(BACKFILL_ID_TAG)) is None:
        return
    worlds = sorted(partitions_of_backfill(context.instance, backfill_id))
    if len(worlds) <= UNCONFIRMED_WORLDS or tags.get(CONFIRMED) == str(len(worlds)):
        return
    message = (
        f"This backfill covers {len(worlds)} worlds and would cost {price_of(database, settings, worlds, makes)}. "
        f"Nothing was begun. To confirm it, launch it again with the tag {CONFIRMED} = {len(worlds)}"
    )
    fail_backfill(context.instance, backfill_id, message)
    raise OrderError(message)


def price_of(database: MongoDatabase, settings: Settings, worlds: Collection[str], makes: Collection[TaskType]) -> str:
    """What these assets of these worlds cost, in words."""
    from generia_assets.quotes import knowledge_of, price_sentence, quote_of  # only a refusal needs it

    query: MongoDocument = {"_id": {"$in": list(worlds)}}
    known = knowledge_of(database, settings)
    found = list(statuses(database[STATUS].find(query).limit(QUOTED_WORLDS), lambda _: None))
    if not found:
        return "an unknown sum: none of them was ever ordered"
    ordered = [(world.world_id, parse_stored(world.parameters)) for world in found]
    quotes = [quote_of(settings, known, world_id, order, makes) for world_id, order in ordered]
    factor = database[STATUS].count_documents(query) / len(found)
    low, high = (factor * sum(quote.cost_interval_usd[end] for quote in quotes) for end in (0, 1))
    return f"about {price_sentence(factor * sum(quote.cost_usd for quote in quotes), (low, high))}"
