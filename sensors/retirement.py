"""The sensor ``retirement``: it removes worlds from Dagster that have been over for RETIRE_AFTER_DAYS, a portion at a time.

Here: the portion and the rhythm, so that neither Dagster's pages nor its other sensors wait. Not here: what is deleted, the same as
by ``generia retire`` (generia_assets/retirement.py).
"""

from __future__ import annotations

import logging
import time
from itertools import islice

import dagster as dg
from pymongo.errors import PyMongoError

from generia_assets.durable.orders.removal import remove_folder
from generia_assets.retirement import forget, in_batches, old_worlds, runs_in_the_way
from generia_assets.settings import Settings
from resources.mongodb.connection import MongoResource, MongoUnavailableError

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 60
MOST = 1_000
"""Worlds in one tick."""
TICK_SECONDS = 10.0
"""No further batch begins after this."""


def build_retirement(settings: Settings, days: int) -> dg.SensorDefinition:
    @dg.sensor(
        name="retirement",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Removes worlds from Dagster that have been over for {days} days; their documents stay.",
    )
    def retirement(context: dg.SensorEvaluationContext, mongo: dg.ResourceParam[MongoResource]) -> dg.SkipReason:
        began, worlds, runs = time.monotonic(), 0, 0
        try:
            with mongo.connection() as database:
                busy = runs_in_the_way(context.instance)
                old = islice(old_worlds(database, context.instance, days, logger.warning), MOST)
                for batch in in_batches(one for one in old if one not in busy):
                    if time.monotonic() - began > TICK_SECONDS:
                        break
                    runs += sum(forget(context.instance, batch).values())
                    worlds += len(batch)
                    for one in batch:
                        remove_folder(settings.pending_dir / one)
        except (MongoUnavailableError, PyMongoError) as error:
            return dg.SkipReason(str(error))
        return dg.SkipReason(f"{worlds} worlds and {runs} runs were removed from Dagster")

    return retirement
