"""What the watchdog observes of the external assets: the topic's lag and the platform's health, as Dagster's asset observations.

Here: when to observe, and what the observations hold. An observation is reported when the health changes, every five minutes while
orders wait or something is wrong, and else every hour: an idle installation adds 48 events a day. With PLATFORM=grpc the health of
the platform's services is asked every five minutes. Not here: the assets (generia_assets/assets/external.py), and the
sensor's own figures, which are read here (durable/figures.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import BaseModel, TypeAdapter, ValidationError

from generia_assets.assets.external import ORDERS_TOPIC, PLATFORM
from generia_assets.content.text import plural
from generia_assets.durable.leases.brake import engaged_since
from generia_assets.queries.fleet import dead_letter_counts, orders_read
from generia_assets.queries.in_flight import breakers_not_closed
from generia_assets.settings import Settings
from resources.gateway.calls import Api
from resources.gateway.outcomes import CallError
from resources.mongodb.connection import MongoDatabase

OFTEN = timedelta(minutes=5)
SELDOM = timedelta(hours=1)
SILENT = timedelta(minutes=2)
"""A sensor that has not ticked for so long reads no orders."""
AGAIN = timedelta(seconds=30)
"""How soon a platform that does not answer is checked again."""
CHECK_SECONDS = 2.0
"""Deadline of a health check of the platform's services."""
HEALTHY = "healthy"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Health:
    """What is known of an asset now. ``waiting``: something waits there, though nothing is wrong."""

    health: str
    metadata: Mapping[str, dg.MetadataValue]
    waiting: bool = False


class Reported(BaseModel):
    """The last observation of an asset. ``checked_at``: when its health was last looked at."""

    health: str
    at: datetime
    checked_at: datetime


_CURSOR = TypeAdapter(dict[str, Reported])


def observe(
    database: MongoDatabase, settings: Settings, cursor: str | None, now: datetime | None = None
) -> tuple[list[dg.AssetObservation], str]:
    """The observations that are due, and the cursor that remembers them. A damaged cursor counts as none."""
    moment, events = now or datetime.now(UTC), list[dg.AssetObservation]()
    try:
        reported = _CURSOR.validate_json(cursor) if cursor else {}
    except ValidationError:
        logger.warning("the watchdog's cursor is damaged: the external assets are observed anew")
        reported = {}
    last_platform = reported.get(PLATFORM)
    found = {ORDERS_TOPIC: topic_health(database, moment), PLATFORM: platform_health(database, settings, moment, last_platform)}
    for name, health in found.items():
        if health is None:
            continue
        last = reported.get(name)
        pause = OFTEN if health.waiting or health.health != HEALTHY else SELDOM
        if last is None or last.health != health.health or moment - last.at >= pause:
            metadata = {"health": dg.MetadataValue.text(health.health), **health.metadata}
            events.append(dg.AssetObservation(name, metadata=metadata))
            last = Reported(health=health.health, at=moment, checked_at=moment)
        reported[name] = last.model_copy(update={"checked_at": moment})
    return events, _CURSOR.dump_json(reported).decode()


def topic_health(database: MongoDatabase, now: datetime) -> Health:
    """The topic of orders, by the last tick of the sensor that reads it."""
    tick, letters = orders_read(database), dead_letter_counts(database)
    if tick is None:
        return Health("the sensor kafka_orders has not ticked yet", {})
    if (since := engaged_since(database)) is not None:
        health = f"everything is stopped since {since:%Y-%m-%d %H:%M} UTC: orders wait; generia resume --all"
    elif now - tick.at > SILENT:
        health = f"the sensor kafka_orders has not ticked since {tick.at:%Y-%m-%d %H:%M} UTC"
    elif tick.lag is None:
        health = "Kafka does not answer"
    elif letters.held_partitions:
        health = f"{plural(letters.held_partitions, 'partition')} held up by a batch that cannot be read; generia doctor names it"
    else:
        health = HEALTHY
    lag = tick.lag or {}
    metadata = {
        **({"lag": dg.MetadataValue.int(sum(lag.values()))} if tick.lag is not None else {}),
        "lag_by_partition": dg.MetadataValue.json({str(partition): messages for partition, messages in lag.items()}),
        "runs_queued": dg.MetadataValue.int(tick.runs_queued),
        "dead_letters_unresolved": dg.MetadataValue.int(letters.unresolved),
        "read_at": dg.MetadataValue.timestamp(tick.at),
    }
    return Health(health, metadata, waiting=any(lag.values()))


def platform_health(database: MongoDatabase, settings: Settings, now: datetime, last: Reported | None) -> Health | None:
    """The platform, by the breakers of the runs, and every five minutes by its services; None: it was checked a moment ago."""
    for breaker in breakers_not_closed(database):
        if breaker.api == Api.PLATFORM.value:
            runs = {"runs_that_wait": dg.MetadataValue.int(breaker.runs)}
            return Health(f"it does not answer since {breaker.since:%Y-%m-%d %H:%M} UTC: worlds wait", runs)
    if last is not None and now - last.checked_at < (OFTEN if last.health == HEALTHY else AGAIN):
        return None
    if settings.platform == "local":
        return Health(HEALTHY, {"platform": dg.MetadataValue.text(f"the local fake, database {settings.platform_database}")})
    answers = _services(settings)
    wrong = [f"{service}: {answer}" for service, answer in answers.items() if isinstance(answer, CallError)]
    services = {service: dg.MetadataValue.text(str(answer)) for service, answer in answers.items()}
    return Health("; ".join(wrong) or HEALTHY, services)


def _services(settings: Settings) -> dict[str, str | CallError]:
    from resources.platform.grpc_platform import check_services  # with gRPC, which only this platform needs

    try:
        return asyncio.run(check_services(settings, seconds=CHECK_SECONDS))
    except CallError as error:
        return {"platform": error}
