"""What a tick of the Kafka sensor records for monitors: how far it has read, and what is queued.

The pages' server, which answers ``/metrics``, has neither Kafka nor Dagster's storage. Not here: the documents
(generia_assets/durable/figures.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter
from pymongo.errors import PyMongoError

from generia_assets.durable.figures import OrdersRead, record_orders_read
from resources.mongodb.connection import MongoDatabase, MongoUnavailableError

QUEUED = RunsFilter(statuses=[DagsterRunStatus.QUEUED])


def record_tick(
    context: dg.SensorEvaluationContext, database: Callable[[], MongoDatabase], unread: dict[int, int] | None, queued: int
) -> None:
    """Record this tick. Without MongoDB monitors see the time of the last one."""
    first = context.instance.get_run_records(QUEUED, limit=1, ascending=True) if queued else ()
    oldest = first[0].create_timestamp if first else None
    tick = OrdersRead(at=datetime.now(UTC), lag=unread, runs_queued=queued, oldest_queued_at=oldest)
    try:
        record_orders_read(database(), tick)
    except (MongoUnavailableError, PyMongoError) as error:
        context.log.warning(f"this tick is not recorded for monitors: {error}")
