"""The figures that a tick of the Kafka sensor stores for monitors: consumer lag, queued runs, dead letters."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from pymongo import MongoClient

from generia_assets.queries.fleet import dead_letter_counts, orders_read
from resources.mongodb.connection import MongoResource
from tests.support.kafka_ticks import Ticks, kafka_resource, order, queued_run, send, sensor_settings


@pytest.fixture
def ticks(instance: dg.DagsterInstance, broker: str, mongodb_uri: str, mongo_database_name: str) -> Ticks:
    kafka = kafka_resource(broker, f"orders-{uuid.uuid4().hex[:8]}")
    return Ticks(instance, kafka, MongoResource(uri=mongodb_uri, database=mongo_database_name))


@pytest.fixture
def database(mongo_client: MongoClient[dict[str, Any]], mongo_database_name: str) -> Any:
    return mongo_client[mongo_database_name]


def test_a_tick_stores_its_lag_and_the_queue(ticks: Ticks, database: Any) -> None:
    """It stores unread messages and queued runs, also while the queue is full; later the lag is zero."""
    send(ticks.kafka, order())
    ticks.tick()
    assert sum((orders_read(database).lag or {}).values()) == 0
    send(ticks.kafka, order(), order())
    ticks.settings = sensor_settings(sensor_max_queued_runs=1, sensor_max_records=1)
    queued = [ticks.instance.add_run(queued_run()) for _ in range(2)]
    assert "1 order waits" in str(ticks.tick().skip_message)
    tick = orders_read(database)
    assert sum((tick.lag or {}).values()) == 1
    assert tick.runs_queued == 2
    oldest = ticks.instance.get_run_record_by_id(queued[0].run_id)
    assert oldest is not None
    assert tick.oldest_queued_at is not None
    assert abs(tick.oldest_queued_at - oldest.create_timestamp) < timedelta(milliseconds=1)
    assert datetime.now(UTC) - tick.at < timedelta(seconds=30)
    ticks.settings = sensor_settings()
    ticks.tick()
    assert sum((orders_read(database).lag or {}).values()) == 0


def test_an_absent_broker_has_no_lag(ticks: Ticks, database: Any) -> None:
    """Without a broker the lag is unknown, not zero, and the time of the tick is still stored."""
    send(ticks.kafka, order())
    ticks.tick()
    ticks.kafka = kafka_resource("127.0.0.1:1", ticks.kafka.settings.kafka_tasks_topic)
    before = orders_read(database)
    ticks.tick()
    after = orders_read(database)
    assert (before.lag is None, after.lag is None) == (False, True)
    assert after.at > before.at


def test_dead_letters_are_counted(ticks: Ticks, database: Any) -> None:
    """Each invalid message counts once as an unresolved dead letter."""
    send(ticks.kafka, b"broken", order(), b"broken, too")
    ticks.tick()
    ticks.tick()
    counts = dead_letter_counts(database)
    assert (counts.total, counts.unresolved, counts.kept) == (2, 2, 0)
