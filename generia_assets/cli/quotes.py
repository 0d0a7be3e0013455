"""The quote: what a world, or a part of one, will take, before it is ordered (R13): calls, tokens, dollars, minutes.

Here: the only function that makes a price (``quote_of``), at the price of the model that is asked on the day, and the comparison of
tiers, models and image providers. Texts are priced by what finished worlds used (queries/learned.py), or else by the catalogue's
estimates. Where MongoDB does not answer at once, assumptions are used. Not here: minutes (estimates.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from generia_assets.catalog import TaskType
from generia_assets.cli.estimates import CallCounts, CallLatency, assumed_latency, count_calls, recent_latency
from generia_assets.cli.order import world_parameters
from generia_assets.cli.rendering.formats import dollars
from generia_assets.content import languages
from generia_assets.content.documents import Quality
from generia_assets.durable.calls.usage import Usage
from generia_assets.durable.orders.order import WorldParameters
from generia_assets.durable.orders.workload import workload
from generia_assets.queries.learned import ASSUMED_TOKENS, CERTAIN, CallTokens, Experience, Interval, finished_worlds, learn
from generia_assets.settings import Settings
from resources.gateway.api_gateway import Api
from resources.gemini import models
from resources.gemini.model_resolver import FleetNotes, fleet_notes
from resources.gemini.models import ModelProfile
from resources.images import usual_usd

if TYPE_CHECKING:
    from resources.mongodb.connection import MongoDatabase

ASSUMED = Interval(0.4, 1, 2)
"""How far a price of the catalogue's estimates may be off: shorter texts and cached prompts, or a script with twice the tokens."""


@dataclass(frozen=True)
class Knowledge:
    """What this installation knows for quotes: how long calls take, the fleet's notes about models, what finished worlds used."""

    latency: CallLatency = field(default_factory=CallLatency)
    notes: FleetNotes = field(default_factory=FleetNotes)
    worlds: Sequence[Usage] = ()


def knowledge(settings: Settings) -> Knowledge:
    """What MongoDB knows, or assumptions where it does not answer at once."""
    from pymongo.errors import PyMongoError

    from generia_assets.cli.options import quick_database

    try:
        with quick_database(settings) as database:
            return knowledge_of(database, settings)
    except PyMongoError:
        return Knowledge(assumed_latency(settings))


def knowledge_of(database: MongoDatabase, settings: Settings) -> Knowledge:
    """As ``knowledge``, in a database that answers."""
    from generia_assets.durable.collections import FLEET

    notes = fleet_notes(database[FLEET].find_one({"_id": "models"}))
    return Knowledge(recent_latency(database, settings), notes, finished_worlds(database))


class Quote(BaseModel):
    """What a world takes. Limits include BUDGET_SPARE.

    Calls are exact when every answer is usable at once. Tokens are those of these calls; dollars are of all attempts; an interval
    holds 19 of 20 bills.

    Attributes:
        model: The one that is asked now, at its price of now.
        cost_usd: Texts and pictures.
        learned_worlds: Finished worlds that texts are priced by; 0: by the catalogue's estimates.
        learned: Which worlds these are.
        measured: The minutes come from recent calls, and not from assumptions about the model.
        changes: What ends or changes when, and what the fleet learned of models.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    llm_calls: int
    image_calls: int
    llm_call_limit: int
    image_call_limit: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float
    cost_interval_usd: tuple[float, float]
    texts_usd: float
    texts_interval_usd: tuple[float, float]
    pictures_usd: float
    pictures_interval_usd: tuple[float, float]
    learned_worlds: int
    learned: str
    minutes: float
    measured: bool
    changes: list[str]

    @property
    def price(self) -> str:
        """The price in words."""
        return price_sentence(self.cost_usd, self.cost_interval_usd)


def quote_for(
    settings: Settings,
    known: Knowledge,
    *,
    users: int,
    posts: int,
    quality: Quality,
    language: str | None = None,
    now: datetime | None = None,
) -> Quote:
    """A new world's quote; ``language`` None: of any. How posts fall to people is drawn from the world's id, so an order's own may
    differ by a few calls."""
    parameters = world_parameters(settings, users=users, posts=posts, prompt="a quote", quality=quality)
    return quote_of(settings, known, str(uuid.uuid4()), parameters, list(TaskType), language=language, now=now)


def quote_of(
    settings: Settings,
    known: Knowledge,
    world_id: str,
    order: WorldParameters,
    makes: Collection[TaskType],
    *,
    keys: Collection[str] = (),
    language: str | None = None,
    now: datetime | None = None,
) -> Quote:
    """The quote for these task types of a world, or for these items of them. Raises ``OrderError`` for a key of no item."""
    moment = now or models.now()
    profile = known.notes.asked(models.model_profiles()[settings.gemini_model], moment)
    calls = count_calls(world_id, order, makes, keys)
    limits = workload(world_id, order, makes, spare=settings.budget_spare, max_cost_usd=None, keys=keys).call_limits
    seconds = calls.seconds(known.latency, llm_at_once=settings.llm_concurrency, images_at_once=settings.image_concurrency)
    learned = learn(known.worlds, model=profile.id, language=language)
    texts = _texts(calls, profile, moment, learned)
    pictures = _pictures(calls, usual_usd(settings, moment), learned)
    total = texts.plus(pictures)
    tokens = learned.tokens if learned else ASSUMED_TOKENS
    return Quote(
        model=profile.id,
        llm_calls=calls.llm_calls,
        image_calls=calls.images,
        llm_call_limit=limits[Api.LLM],
        image_call_limit=limits[Api.IMAGE],
        input_tokens=round(sum(tokens[name].prompt * count for name, count in calls.llm.items())),
        cached_tokens=round(sum(tokens[name].cached * count for name, count in calls.llm.items())),
        output_tokens=round(sum(tokens[name].output * count for name, count in calls.llm.items())),
        cost_usd=round(total.middle, 6),
        cost_interval_usd=_ends(total),
        texts_usd=round(texts.middle, 6),
        texts_interval_usd=_ends(texts),
        pictures_usd=round(pictures.middle, 6),
        pictures_interval_usd=_ends(pictures),
        learned_worlds=len(learned.worlds) if learned else 0,
        learned=learned.source if learned else "",
        minutes=round((known.latency.start + seconds) / 60, 2),
        measured=known.latency.measured,
        changes=[change.sentence for change in models.changes(settings.gemini_model, moment)] + known.notes.sentences(),
    )


def _texts(calls: CallCounts, profile: ModelProfile, moment: datetime, learned: Experience | None) -> Interval:
    """US dollars of the calls of the model."""
    price = profile.price(moment)

    def cost(name: str, tokens: CallTokens) -> float:
        fresh = tokens.prompt - tokens.cached
        return (fresh * price.input + tokens.cached * price.cached + tokens.output * price.output) / 1e6

    if learned is not None:
        return learned.texts(calls.llm, cost)
    return ASSUMED.times(sum(count * cost(name, ASSUMED_TOKENS[name]) for name, count in calls.llm.items()))


def _pictures(calls: CallCounts, each_usd: float, learned: Experience | None) -> Interval:
    """US dollars of the pictures at this price each."""
    return (learned.pictures(calls.images) if learned else CERTAIN).times(calls.images * each_usd)


def _ends(interval: Interval) -> tuple[float, float]:
    return round(interval.low, 6), round(interval.high, 6)


def price_sentence(usd: float, interval: tuple[float, float]) -> str:
    """A price in words: the expected one and, where it is uncertain, the interval."""
    low, high = interval
    return f"{dollars(usd)} ({dollars(low)} to {dollars(high)})" if low < high else dollars(usd)


def order_quote(settings: Settings, known: Knowledge, order: WorldParameters) -> Quote:
    """The quote for a world as it is ordered."""
    return quote_of(settings, known, str(uuid.uuid4()), order, list(TaskType), language=likely_language(order))


def likely_language(order: WorldParameters) -> str | None:
    """The language that the order's sentence is probably in."""
    language = languages.guess(order.user_prompt)
    return language.name if language else None


def cap_warning(quote: Quote, cap: float | None) -> str | None:
    """A warning of a cap that a world like this may reach; None where it will hardly do so, or where there is no cap."""
    if cap is None or quote.cost_interval_usd[1] <= cap:
        return None
    how = "will probably" if quote.cost_usd > cap else "may"
    return f"A world like this takes about {quote.price}: the cap of {dollars(cap)} {how} cancel it on the way."
