"""How long a world, or a part of one, will take: how many calls, and how long they take beside each other.

Here: how long single calls take (recently measured, or else assumed from the model's speed), and how long a generation's calls take
in parallel. Not here: what they cost (quotes.py), and the time left of a world (watching.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING

from generia_assets.catalog import ASSETS, LLM_CALLS, NEEDED_BY_POSTS, TaskType
from generia_assets.durable.orders.order import WorldParameters
from generia_assets.durable.orders.workload import plan_of
from generia_assets.settings import Settings
from resources.gateway.calls import Api
from resources.gemini.tiers import CallTier, ServiceTier, flex_at_once

if TYPE_CHECKING:
    from resources.mongodb.connection import MongoDatabase, MongoDocument

FIRST_TOKEN_S = 0.7
TOKENS_PER_SECOND = 180.0
"""Assumed of a fast model without thinking, until calls were measured."""
IMAGE_S = 0.1
FLEX_S = 60.0
"""Assumed of a call at flex until some were measured: Google names 1 to 15 minutes."""
RUN_START_S = 3.0
"""Kafka, the sensor's tick, Dagster's queue, the run's start."""
RECENT_CALLS = 3_000
"""Calls that are measured."""
MIN_SAMPLES = 3
"""Calls of one kind that a measurement needs."""


@dataclass(frozen=True)
class CallLatency:
    """Seconds of one call by request type. ``start``: until a world's run has begun.

    ``flex``: the same of calls at flex; ``at_flex``: it is these that ``seconds`` has.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    image: float = IMAGE_S
    start: float = RUN_START_S
    measured: bool = False
    flex: Mapping[str, float] = field(default_factory=dict)
    at_flex: bool = False

    def of(self, request_type: str) -> float:
        if request_type in self.seconds:
            return self.seconds[request_type]
        return FIRST_TOKEN_S + LLM_CALLS[request_type].output / TOKENS_PER_SECOND

    def at(self, tier: ServiceTier) -> CallLatency:
        """As the calls of a world of this tier take. At economy nearly all are made at flex."""
        if tier not in (ServiceTier.FLEX, ServiceTier.ECONOMY):
            return self
        seconds = {name: self.flex.get(name, FLEX_S) for name in LLM_CALLS}
        return replace(self, seconds=seconds, measured="post" in self.flex, at_flex=True)


def assumed_latency(settings: Settings) -> CallLatency:
    return CallLatency(image=settings.image_stub_latency_seconds or IMAGE_S)


def recent_latency(database: MongoDatabase, settings: Settings) -> CallLatency:
    """How long the newest calls took, in all worlds; of kinds with few of them, assumptions."""
    texts, flex, image = _measured(database, {}, MIN_SAMPLES)
    image = assumed_latency(settings).image if image is None else image
    return CallLatency(texts, image, measured="post" in texts, flex=flex)


def world_latency(database: MongoDatabase, world_id: str, since: datetime, expected: CallLatency) -> CallLatency:
    """How long this world's calls take since then; of types without a call yet: expected, scaled as the others."""
    standard, flex, image = _measured(database, {"world_id": world_id, "created_at": {"$gte": since}}, 1)
    texts = standard | flex if expected.at_flex else standard
    slower = median(seconds / expected.of(name) for name, seconds in texts.items()) if texts else 1.0
    every = {name: texts.get(name, slower * expected.of(name)) for name in LLM_CALLS}
    return replace(expected, seconds=every, image=expected.image if image is None else image)


def _measured(
    database: MongoDatabase, which: MongoDocument, enough: int
) -> tuple[dict[str, float], dict[str, float], float | None]:
    """Medians of the newest of these calls, of kinds with ``enough`` of them: of the model by request type, at standard or
    priority, and at flex; and of pictures."""
    from pymongo import DESCENDING

    from generia_assets.durable.collections import HISTORY

    durations: defaultdict[tuple[bool, str], list[float]] = defaultdict(list)
    pictures: list[float] = []
    fields = dict.fromkeys(("api_type", "request_type", "service_tier", "duration_ms"), 1)
    found = database[HISTORY].find({"outcome": "ok", **which}, fields).sort("created_at", DESCENDING).limit(RECENT_CALLS)
    for row in found:
        if row["api_type"] == Api.IMAGE.value:
            pictures.append(row["duration_ms"] / 1000)
        elif row["api_type"] == Api.LLM.value and row["request_type"] in LLM_CALLS:
            durations[row.get("service_tier") == CallTier.FLEX.value, row["request_type"]].append(row["duration_ms"] / 1000)
    medians = {kind: median(values) for kind, values in durations.items() if len(values) >= enough}
    standard, flex = (
        {name: seconds for (at_flex, name), seconds in medians.items() if at_flex is wanted} for wanted in (False, True)
    )
    return standard, flex, median(pictures) if len(pictures) >= enough else None


_NEEDED = [asset for asset in ASSETS.values() if asset.name in NEEDED_BY_POSTS]
_ONE_BY_ONE = tuple(call.request_type for asset in _NEEDED if not asset.unit.of_item for call in asset.llm_calls)
"""Made one after the other: everything needs the description, and each batch of ten people gets all people before it."""
_STEPS = tuple(call.request_type for asset in _NEEDED if asset.unit.of_item for call in asset.llm_calls)
"""Made in sequence for each person and post."""
_BESIDE = tuple(name for name in LLM_CALLS if name not in (*_ONE_BY_ONE, *_STEPS))
"""No post waits for these."""
_ORDER = sorted(LLM_CALLS, key=lambda name: (name not in _ONE_BY_ONE, LLM_CALLS[name].high_quality_only))
"""The order in which most calls of these types are made."""


@dataclass(frozen=True)
class CallCounts:
    """Calls of the model by request type, and pictures."""

    llm: Mapping[str, int]
    images: int

    @property
    def llm_calls(self) -> int:
        return sum(self.llm.values())

    def without(self, llm_calls: int, images: int) -> CallCounts:
        left: dict[str, int] = {}
        for name in _ORDER:
            done = min(llm_calls, self.llm.get(name, 0))
            left[name] = self.llm.get(name, 0) - done
            llm_calls -= done
        return CallCounts(left, max(0, self.images - images))

    def seconds(self, latency: CallLatency, *, llm_at_once: int, images_at_once: int) -> float:
        """How long it takes once a run works on it: one step after the other, each as wide as the calls at once allow."""
        llm_at_once = flex_at_once(llm_at_once) if latency.at_flex else llm_at_once

        def rounds(name: str) -> float:
            """How often all calls of a type, so many at once, take as long as one of them."""
            calls = self.llm.get(name, 0)
            return max(1.0, calls / llm_at_once) if calls else 0.0

        described, batches = (latency.of(name) * self.llm.get(name, 0) for name in _ONE_BY_ONE)
        first_batch = min(batches, latency.of("character_batch"))
        chain = batches - first_batch + sum(latency.of(name) for name in _STEPS if self.llm.get(name))
        wide = sum(latency.of(name) * rounds(name) for name in _STEPS)
        others = sum(latency.of(name) * self.llm.get(name, 0) for name in _BESIDE) / llm_at_once
        texts = described + first_batch + max(chain, wide + others) + (latency.image if self.images else 0.0)
        return max(texts, described + self.images * latency.image / images_at_once)


def count_calls(world_id: str, order: WorldParameters, makes: Collection[TaskType], keys: Collection[str] = ()) -> CallCounts:
    """The calls of these task types of a world, or of these items of them. Raises ``OrderError`` for a key of no item."""
    planned = plan_of(world_id, order, makes, keys)
    return CallCounts(planned.llm_calls, planned.images_total)
