"""The external assets: when they are observed, and the content of the observations."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from generia_assets.durable.calls.api_status import BREAKER
from generia_assets.durable.collections import FLEET, UNREADABLE_BATCHES
from generia_assets.durable.figures import OrdersRead, record_orders_read
from generia_assets.durable.leases.brake import engage
from generia_assets.settings import Settings
from resources.mongodb.connection import MongoDatabase
from sensors.observations import AGAIN, HEALTHY, OFTEN, SELDOM, SILENT, observe

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SETTINGS = Settings(_env_file=None)


@pytest.fixture
def database(mongodb_uri: str, mongo_database_name: str) -> Any:
    with MongoClient[dict[str, Any]](mongodb_uri, tz_aware=True) as client:
        yield client[mongo_database_name]


def ticked(database: MongoDatabase, at: datetime = NOW, lag: dict[int, int] | None = None, *, answers: bool = True) -> None:
    record_orders_read(database, OrdersRead(at=at, lag=(lag or {0: 0}) if answers else None, runs_queued=2, oldest_queued_at=None))


def observed(database: MongoDatabase, cursor: str | None, now: datetime) -> tuple[dict[str, Any], str]:
    """What is observed now, by asset, and the next cursor."""
    events, cursor = observe(database, SETTINGS, cursor, now)
    found: dict[str, Any] = {one.asset_key.path[-1]: {name: value.value for name, value in one.metadata.items()} for one in events}
    return found, cursor


def test_an_idle_installation_is_observed_once_an_hour(database: MongoDatabase) -> None:
    """It is observed the first time, and then each hour; a tick of the watchdog in between reports nothing."""
    ticked(database)
    first, cursor = observed(database, None, NOW)
    assert {name: one["health"] for name, one in first.items()} == {"orders_topic": HEALTHY, "platform": HEALTHY}
    assert (first["orders_topic"]["lag"], first["orders_topic"]["runs_queued"]) == (0, 2)
    reports = 0
    for seconds in range(5, int(SELDOM.total_seconds()) + 5, 5):
        now = NOW + timedelta(seconds=seconds)
        if seconds % 60 == 0:
            ticked(database, now)
        found, cursor = observed(database, cursor, now)
        reports += len(found)
        assert not found or now >= NOW + SELDOM
    assert reports == 2


def test_waiting_orders_are_observed_every_five_minutes_with_the_lag(database: MongoDatabase) -> None:
    """The plot of the lag has points while there is a lag."""
    ticked(database)
    _, cursor = observed(database, None, NOW)
    later = NOW + OFTEN
    ticked(database, later, {0: 7, 1: 3})
    found, cursor = observed(database, cursor, later)
    assert (found["orders_topic"]["lag"], found["orders_topic"]["lag_by_partition"]) == (10, {"0": 7, "1": 3})
    assert observed(database, cursor, later + timedelta(seconds=5))[0] == {}


def _silent(database: MongoDatabase) -> None:
    ticked(database, NOW - SILENT - timedelta(seconds=1))


def _no_kafka(database: MongoDatabase) -> None:
    ticked(database, answers=False)


def _held(database: MongoDatabase) -> None:
    database[UNREADABLE_BATCHES].insert_one({"expires_at": datetime.now(UTC) + timedelta(hours=1)})


def _braked(database: MongoDatabase) -> None:
    engage(database)


def _breaker(database: MongoDatabase) -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    entry = {"_id": f"{BREAKER}:platform:r", "api": "platform", "state": "open", "since": NOW, "probe_at": ends, "expires_at": ends}
    database[FLEET].insert_one(entry)


@pytest.mark.parametrize(
    ("trouble", "asset", "said"),
    [
        (_silent, "orders_topic", "the sensor kafka_orders has not ticked since 2026-11-29 11:57 UTC"),
        (_no_kafka, "orders_topic", "Kafka does not answer"),
        (_held, "orders_topic", "1 partition held up by a batch that cannot be read; generia doctor names it"),
        (_braked, "orders_topic", "everything is stopped since"),
        (_breaker, "platform", "it does not answer since 2026-11-29 12:00 UTC: worlds wait"),
    ],
)
def test_a_problem_is_observed_at_once_and_its_end_within_half_a_minute(
    database: MongoDatabase, trouble: Any, asset: str, said: str
) -> None:
    """The next tick of the watchdog reports the asset whose health has changed, and no other."""
    ticked(database)
    _, cursor = observed(database, None, NOW)
    trouble(database)
    soon = NOW + timedelta(seconds=5)
    found, cursor = observed(database, cursor, soon)
    assert set(found) == {asset}
    assert said in found[asset]["health"]
    assert observed(database, cursor, soon)[0] == {}
    database[FLEET].delete_many({})
    database[UNREADABLE_BATCHES].delete_many({})
    ticked(database)
    assert observed(database, cursor, soon + AGAIN)[0][asset]["health"] == HEALTHY


def test_a_damaged_cursor_counts_as_none(database: MongoDatabase) -> None:
    """Both assets are observed again; the watchdog continues."""
    ticked(database)
    found, cursor = observed(database, "{", NOW)
    assert set(found) == {"orders_topic", "platform"}
    assert observed(database, cursor, NOW)[0] == {}


@pytest.mark.parametrize(
    ("addresses", "said"),
    [
        (dict.fromkeys(("character_service", "media_service", "post_service", "world_service"), "127.0.0.1:1"), "post-service: "),
        ({"consul_address": "127.0.0.1:1"}, "world-service: Consul at 127.0.0.1:1 does not answer"),
    ],
    ids=["nobody listens", "no Consul"],
)
def test_a_platform_whose_services_do_not_serve_is_named_service_by_service(
    database: MongoDatabase, addresses: dict[str, str], said: str
) -> None:
    """The observation has the problem and the setting; a second tick soon after checks nothing again."""
    settings = SETTINGS.model_copy(update={"platform": "grpc", **addresses})
    ticked(database)
    events, cursor = observe(database, settings, None, NOW)
    (health,) = (str(one.metadata["health"].value) for one in events if one.asset_key.path[-1] == "platform")
    assert said in health
    began = time.monotonic()
    assert observe(database, settings, cursor, NOW + timedelta(seconds=5))[0] == []
    assert time.monotonic() - began < 10
