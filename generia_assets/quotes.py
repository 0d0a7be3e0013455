"""The quote: what a world, or a part of one, will take, before it is ordered (R13): calls, tokens, dollars, minutes.

Here: the only function that makes a price (``quote_of``), at the price of the model that is asked on the day, and the comparison of
tiers, models and image providers. Texts are priced by what finished worlds used (queries/learned.py), or else by the catalogue's
estimates. Not here: minutes (estimates.py).
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from generia_assets.catalog import TaskType
from generia_assets.content import languages
from generia_assets.content.documents import FrozenModel, WorldRequest
from generia_assets.content.plan import calls_of, plan, tasks_at_standard
from generia_assets.content.text import about_dollars, dollars
from generia_assets.durable.calls.usage import Usage
from generia_assets.durable.orders.order import WorldParameters
from generia_assets.durable.orders.workload import request_of, workload
from generia_assets.estimates import CallLatency, count_calls, recent_latency
from generia_assets.queries.learned import ASSUMED_TOKENS, CERTAIN, CallTokens, Cost, Experience, Interval, finished_worlds, learn
from generia_assets.settings import Settings
from resources.gateway.calls import Api
from resources.gemini import models
from resources.gemini.image_models import asked_at as image_asked_at
from resources.gemini.image_models import image_models
from resources.gemini.model_resolver import FleetNotes, fleet_notes
from resources.gemini.models import ModelProfile, Price
from resources.gemini.tiers import CallTier, ServiceTier
from resources.images import usual_usd
from resources.settings import GEMINI, STUB

if TYPE_CHECKING:
    from resources.mongodb.connection import MongoDatabase

ANY_WORLD = str(uuid.UUID(int=0))
"""The id of a world that is quoted without an order."""
ASSUMED = Interval(0.4, 1, 2)
"""How far a price of the catalogue's estimates may be off: shorter texts and cached prompts, or a script with twice the tokens."""

GEMINI_IMAGE_S = 4.0
"""Assumed of a picture by Gemini, at least."""


@dataclass(frozen=True)
class Knowledge:
    """What this installation knows for quotes: how long calls take, the fleet's notes about models, what finished worlds used."""

    latency: CallLatency = field(default_factory=CallLatency)
    notes: FleetNotes = field(default_factory=FleetNotes)
    worlds: Sequence[Usage] = ()
    _learned: dict[tuple[str, str | None], Experience | None] = field(default_factory=dict, repr=False)

    def learned(self, model: str, language: str | None) -> Experience | None:
        """What the worlds tell of one in this language (None: in any) with this model."""
        if (model, language) not in self._learned:
            self._learned[model, language] = learn(self.worlds, model=model, language=language)
        return self._learned[model, language]


def knowledge_of(database: MongoDatabase, settings: Settings) -> Knowledge:
    from generia_assets.durable.collections import FLEET

    notes = fleet_notes(database[FLEET].find_one({"_id": "models"}))
    return Knowledge(recent_latency(database, settings), notes, finished_worlds(database))


class Quote(FrozenModel):
    """What a world takes. Limits include BUDGET_SPARE.

    Calls are exact when every answer is usable at once. Tokens are those of these calls; dollars are of all attempts; an interval
    holds 19 of 20 bills.

    Attributes:
        model: The one that is asked now, at its price of now.
        images: The image model, or else the image provider.
        cost_usd: Texts and pictures.
        learned_worlds: Finished worlds that texts are priced by; 0: by the catalogue's estimates.
        learned: Which worlds these are.
        measured: The minutes come from recent calls, and not from assumptions about the model.
        changes: What ends or changes when, and what the fleet learned of models.
    """

    model: str
    service_tier: ServiceTier
    images: str
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
        return price_sentence(self.cost_usd, self.cost_interval_usd)


def quote_of(
    settings: Settings,
    known: Knowledge,
    world_id: str,
    order: WorldParameters,
    makes: Collection[TaskType] = tuple(TaskType),
    *,
    keys: Collection[str] = (),
    language: str | None = None,
    now: datetime | None = None,
) -> Quote:
    """The quote for these task types of a world, or for these items of them; ``language`` None: of any.

    Raises ``OrderError`` for a key of no item.
    """
    moment, tier = now or models.now(), order.service_tier or settings.service_tier
    profile = known.notes.asked(models.model_profiles()[settings.gemini_model], moment)
    latency = known.latency.at(tier)
    images = settings.image_provider
    if images == GEMINI:
        images = image_asked_at(settings.image_model, moment).id
        latency = replace(latency, image=max(latency.image, GEMINI_IMAGE_S))  # what was measured may be the stub's
    calls = count_calls(world_id, order, makes, keys)
    limits = workload(world_id, order, makes, spare=settings.budget_spare, max_cost_usd=None, keys=keys).call_limits
    seconds = calls.seconds(latency, llm_at_once=settings.llm_concurrency, images_at_once=settings.image_concurrency)
    learned, cost = known.learned(profile.id, language), _cost(profile, tier, request_of(world_id, order), moment)
    tokens = learned.tokens if learned else ASSUMED_TOKENS
    if learned:
        texts = learned.texts(calls.llm, cost)
    else:
        texts = ASSUMED.times(sum(count * cost(name, ASSUMED_TOKENS[name]) for name, count in calls.llm.items()))
    pictures = (learned.pictures(calls.images) if learned else CERTAIN).times(calls.images * usual_usd(settings, moment))
    total = texts.plus(pictures)

    def all_calls(of_one: Callable[[CallTokens], float]) -> int:
        return round(sum(of_one(tokens[name]) * count for name, count in calls.llm.items()))

    return Quote(
        model=profile.id,
        service_tier=tier,
        images=images,
        llm_calls=calls.llm_calls,
        image_calls=calls.images,
        llm_call_limit=limits[Api.LLM],
        image_call_limit=limits[Api.IMAGE],
        input_tokens=all_calls(lambda one: one.prompt),
        cached_tokens=all_calls(lambda one: one.cached),
        output_tokens=all_calls(lambda one: one.output),
        cost_usd=round(total.middle, 6),
        cost_interval_usd=_ends(total),
        texts_usd=round(texts.middle, 6),
        texts_interval_usd=_ends(texts),
        pictures_usd=round(pictures.middle, 6),
        pictures_interval_usd=_ends(pictures),
        learned_worlds=len(learned.worlds) if learned else 0,
        learned=learned.source if learned else "",
        minutes=round((latency.start + seconds) / 60, 2),
        measured=latency.measured,
        changes=[change.sentence for change in models.changes(settings.gemini_model, moment)] + known.notes.sentences(),
    )


def quote_for(
    settings: Settings, known: Knowledge, order: WorldParameters, *, language: str | None = None, now: datetime | None = None
) -> Quote:
    """The quote for a world that is not ordered yet; always the same one. How posts fall to people is drawn from the world's id, so
    an order's own may differ by a few calls."""
    return quote_of(settings, known, ANY_WORLD, order, language=language, now=now)


def order_quote(settings: Settings, known: Knowledge, world_id: str, order: WorldParameters) -> Quote:
    return quote_of(settings, known, world_id, order, language=likely_language(order))


def compare(settings: Settings, known: Knowledge, order: WorldParameters, *, language: str | None = None) -> list[Quote]:
    """The quote for this world at every tier, by every model that is asked today, with every image provider; the cheapest first."""
    moment = models.now()
    asked = [name for name, profile in models.model_profiles().items() if known.notes.asked(profile, moment).id == name]
    offered = [{"image_provider": GEMINI, "image_model": name} for name, one in image_models().items() if not one.ended(moment)]
    providers = [{"image_provider": name} for name in dict.fromkeys((STUB, settings.image_provider)) if name != GEMINI]
    quotes = [
        quote_for(
            settings.model_copy(update={"gemini_model": model, **images}),
            known,
            order.model_copy(update={"service_tier": tier}),
            language=language,
            now=moment,
        )
        for tier in ServiceTier
        for model in asked
        for images in (*providers, *offered)
    ]
    return sorted(quotes, key=lambda quote: (quote.cost_usd, quote.minutes))


def _cost(profile: ModelProfile, tier: ServiceTier, request: WorldRequest, moment: datetime) -> Cost:
    """The price of a call by this model at this tier. At economy some calls of a type are made at standard, the others at flex."""
    economy = tier is ServiceTier.ECONOMY
    usual = profile.price(moment, tier=CallTier.FLEX if economy else CallTier(tier))
    dearer = profile.price(moment)
    first = calls_of(request, tasks_at_standard(request)) if economy else Counter[str]()
    every = plan(request).llm_calls

    def cost(name: str, tokens: CallTokens) -> float:
        part = first[name] / every[name] if every.get(name) else 0.0
        return part * _usd(dearer, tokens) + (1 - part) * _usd(usual, tokens)

    return cost


def _usd(price: Price, tokens: CallTokens) -> float:
    fresh = tokens.prompt - tokens.cached
    return (fresh * price.input + tokens.cached * price.cached + tokens.output * price.output) / 1e6


def _ends(interval: Interval) -> tuple[float, float]:
    return round(interval.low, 6), round(interval.high, 6)


def price_sentence(usd: float, interval: tuple[float, float]) -> str:
    """A price in words: the expected one and, where it is uncertain, the interval."""
    low, high = interval
    return f"{about_dollars(usd)} ({about_dollars(low)} to {about_dollars(high)})" if low < high else about_dollars(usd)


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
