"""How long calls take: as measured here lately, or else as the model's speed lets one expect.

Here: the measuring, which never keeps anybody waiting: where MongoDB does not answer at once, the assumptions stand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING

from generia_assets.catalog import LLM_CALLS
from generia_assets.settings import Settings
from resources.gateway.api_gateway import Api
from resources.gemini.model_resolver import FleetNotes, fleet_notes

if TYPE_CHECKING:
    from datetime import datetime

    from resources.mongodb.connection import MongoDatabase, MongoDocument

FIRST_TOKEN_S = 0.7
TOKENS_PER_SECOND = 180.0
"""Assumed of a fast model without thinking, until calls were measured."""
IMAGE_S = 0.1
EMULATOR_S = 0.1
"""An answer of the emulator without latency, beside a world in the making on two cores."""
RUN_START_S = 3.0
"""Kafka, the sensor's tick, Dagster's queue, the run's start."""
LATELY = 3_000
"""Calls that are looked at."""
ENOUGH = 3
"""Calls of one kind that make a measurement."""


@dataclass(frozen=True)
class Pace:
    """Seconds of one call by request type. ``start``: until a world's run has begun."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    image: float = IMAGE_S
    start: float = RUN_START_S
    measured: bool = False
    notes: FleetNotes = field(default_factory=FleetNotes)
    """What the fleet learned of models."""

    def of(self, request_type: str) -> float:
        """Seconds of a call of the model."""
        if request_type in self.seconds:
            return self.seconds[request_type]
        return FIRST_TOKEN_S + LLM_CALLS[request_type].output / TOKENS_PER_SECOND


def emulated(latency: float) -> Pace:
    """The pace of the Gemini emulator, which takes as long as it was told."""
    return Pace(dict.fromkeys(LLM_CALLS, latency + EMULATOR_S))


def recent_latency(settings: Settings) -> Pace:
    """The pace of the newest calls, of whichever world, if MongoDB is at hand."""
    from pymongo.errors import PyMongoError

    from generia_assets.cli.completion import quick_database

    try:
        with quick_database(settings) as database:
            return recent_latency_in(database, settings)
    except PyMongoError:
        return _assumed(settings)


def recent_latency_in(database: MongoDatabase, settings: Settings) -> Pace:
    """As ``recent_latency``, in a database that answers."""
    from generia_assets.durable.collections import FLEET

    texts, image = _measured(database, {}, ENOUGH)
    image = _assumed(settings).image if image is None else image
    return Pace(texts, image, measured="post" in texts, notes=fleet_notes(database[FLEET].find_one({"_id": "models"})))


def of_world(database: MongoDatabase, world_id: str, since: datetime, expected: Pace) -> Pace:
    """How long this world's calls take since then; of kinds not made yet as much longer or shorter as those that were."""
    texts, image = _measured(database, {"world_id": world_id, "created_at": {"$gte": since}}, 1)
    slower = median(seconds / expected.of(name) for name, seconds in texts.items()) if texts else 1.0
    every = {name: texts.get(name, slower * expected.of(name)) for name in LLM_CALLS}
    return replace(expected, seconds=every, image=expected.image if image is None else image)


def _measured(database: MongoDatabase, which: MongoDocument, enough: int) -> tuple[dict[str, float], float | None]:
    """Medians of the newest of these calls: of the model by request type, and of pictures; of kinds with ``enough`` of them."""
    from pymongo import DESCENDING

    from generia_assets.durable.collections import HISTORY

    durations: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    fields = dict.fromkeys(("api_type", "request_type", "duration_ms"), 1)
    found = database[HISTORY].find({"outcome": "ok", **which}, fields).sort("created_at", DESCENDING).limit(LATELY)
    for row in found:
        kind = "" if row["api_type"] == Api.IMAGE.value else row["request_type"]
        durations[row["api_type"], kind].append(row["duration_ms"] / 1000)
    texts = {
        request_type: median(values)
        for (api, request_type), values in durations.items()
        if api == Api.LLM.value and request_type in LLM_CALLS and len(values) >= enough
    }
    images = durations[Api.IMAGE.value, ""]
    return texts, median(images) if len(images) >= enough else None


def _assumed(settings: Settings) -> Pace:
    return Pace(image=settings.image_stub_latency_seconds or IMAGE_S)
