"""What a world, or a part of one, will take, before it is ordered (R13): calls, tokens, dollars, minutes.

Here: how long single calls take (recently measured, or else assumed from the model's speed), how long a generation's calls take
in parallel, and the quote at the present model's price. Where MongoDB does not answer at once, assumptions are used. Not here:
the time left of a world (watching.py).
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from generia_assets.catalog import ASSETS, LLM_CALLS, NEEDED_BY_POSTS, TaskType
from generia_assets.cli.order import world_parameters
from generia_assets.cli.rendering.formats import dollars
from generia_assets.content.documents import Quality
from generia_assets.durable.orders.order import WorldParameters
from generia_assets.durable.orders.workload import plan_of, workload
from generia_assets.settings import Settings
from resources.gateway.api_gateway import Api, TokenUsage
from resources.gemini import models
from resources.gemini.model_resolver import FleetNotes, fleet_notes
from resources.images import usual_usd

if TYPE_CHECKING:
    from resources.mongodb.connection import MongoDatabase, MongoDocument

FIRST_TOKEN_S = 0.7
TOKENS_PER_SECOND = 180.0
"""Assumed of a fast model without thinking, until calls were measured."""
IMAGE_S = 0.1
EMULATOR_S = 0.1
"""An answer of the emulator without latency, while a world is made on two cores."""
RUN_START_S = 3.0
"""Kafka, the sensor's tick, Dagster's queue, the run's start."""
RECENT_CALLS = 3_000
"""Calls that are measured."""
MIN_SAMPLES = 3
"""Calls of one kind that a measurement needs."""


@dataclass(frozen=True)
class CallLatency:
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


def emulated_latency(seconds: float) -> CallLatency:
    """The Gemini emulator takes as long as its option says."""
    return CallLatency(dict.fromkeys(LLM_CALLS, seconds + EMULATOR_S))


def recent_latency(settings: Settings) -> CallLatency:
    """How long the newest calls took, in all worlds; assumptions where MongoDB does not answer at once."""
    from pymongo.errors import PyMongoError

    from generia_assets.cli.options import quick_database

    try:
        with quick_database(settings) as database:
            return recent_latency_of(database, settings)
    except PyMongoError:
        return _assumed(settings)


def recent_latency_of(database: MongoDatabase, settings: Settings) -> CallLatency:
    """As ``recent_latency``, in a database that answers."""
    from generia_assets.durable.collections import FLEET

    texts, image = _measured(database, {}, MIN_SAMPLES)
    image = _assumed(settings).image if image is None else image
    return CallLatency(texts, image, measured="post" in texts, notes=fleet_notes(database[FLEET].find_one({"_id": "models"})))


def world_latency(database: MongoDatabase, world_id: str, since: datetime, expected: CallLatency) -> CallLatency:
    """How long this world's calls take since then; of types without a call yet: expected, scaled as the others."""
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
    found = database[HISTORY].find({"outcome": "ok", **which}, fields).sort("created_at", DESCENDING).limit(RECENT_CALLS)
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


def _assumed(settings: Settings) -> CallLatency:
    return CallLatency(image=settings.image_stub_latency_seconds or IMAGE_S)


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
        """All calls of the model."""
        return sum(self.llm.values())

    def without(self, llm_calls: int, images: int) -> CallCounts:
        """What is left after so many calls and pictures."""
        left: dict[str, int] = {}
        for name in _ORDER:
            done = min(llm_calls, self.llm.get(name, 0))
            left[name] = self.llm.get(name, 0) - done
            llm_calls -= done
        return CallCounts(left, max(0, self.images - images))

    def seconds(self, latency: CallLatency, *, llm_at_once: int, images_at_once: int) -> float:
        """How long it takes once a run works on it: one step after the other, each as wide as the calls at once allow."""

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


class Quote(BaseModel):
    """Calls are exact when every answer is usable; tokens, dollars and minutes are estimates. Limits include BUDGET_SPARE.

    ``model``: the one that is asked now, at its price of now. ``changes``: what ends or changes when, and what the fleet learned
    of models. ``measured``: the minutes come from recent calls, and not from assumptions about the model.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    llm_calls: int
    image_calls: int
    llm_call_limit: int
    image_call_limit: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    minutes: float
    measured: bool
    changes: list[str]


def quote_for(settings: Settings, latency: CallLatency, *, users: int, posts: int, quality: Quality, now: datetime) -> Quote:
    """A new world's quote. How posts fall to people is drawn from the world's id, so an order's own may differ by a few calls."""
    parameters = world_parameters(settings, users=users, posts=posts, prompt="a quote", quality=quality)
    return quote_of(settings, latency, str(uuid.uuid4()), parameters, list(TaskType), now=now)


def quote_of(
    settings: Settings,
    latency: CallLatency,
    world_id: str,
    order: WorldParameters,
    makes: Collection[TaskType],
    *,
    keys: Collection[str] = (),
    now: datetime | None = None,
) -> Quote:
    """The quote for these task types of a world, or for these items of them. Raises ``OrderError`` for a key of no item."""
    moment = now or models.now()
    profile = latency.notes.asked(models.model_profiles()[settings.gemini_model], moment)

    calls = count_calls(world_id, order, makes, keys)
    limits = workload(world_id, order, makes, spare=settings.budget_spare, max_cost_usd=None, keys=keys).call_limits
    seconds = calls.seconds(latency, llm_at_once=settings.llm_concurrency, images_at_once=settings.image_concurrency)
    tokens = TokenUsage(
        prompt=sum(LLM_CALLS[name].input * count for name, count in calls.llm.items()),
        output=sum(LLM_CALLS[name].output * count for name, count in calls.llm.items()),
    )
    return Quote(
        model=profile.id,
        llm_calls=calls.llm_calls,
        image_calls=calls.images,
        llm_call_limit=limits[Api.LLM],
        image_call_limit=limits[Api.IMAGE],
        input_tokens=tokens.prompt,
        output_tokens=tokens.output,
        cost_usd=round(profile.price(moment).cost_usd(tokens) + calls.images * usual_usd(settings, moment), 6),
        minutes=round((latency.start + seconds) / 60, 2),
        measured=latency.measured,
        changes=[change.sentence for change in models.changes(settings.gemini_model, moment)] + latency.notes.sentences(),
    )


def cap_warning(settings: Settings, order: WorldParameters) -> str | None:
    """A warning of a cap that a world like this will reach; None where it will not, or where there is no cap."""
    if order.max_cost_usd is None:
        return None
    users, posts = order.users_count, order.posts_count
    expected = quote_for(settings, CallLatency(), users=users, posts=posts, quality=order.quality, now=datetime.now(UTC)).cost_usd
    if expected <= order.max_cost_usd:
        return None
    return f"A world like this takes about {dollars(expected)}: the cap of {dollars(order.max_cost_usd)} will cancel it on the way."
