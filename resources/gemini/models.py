"""The profiles of known models (models.yaml): parameters, prices by day, the end of a model and its successor.

Here: the table, and functions of the table and the date. Not here: how tables are read and checked (tables.py), the fleet's notes
about models from the API's answers (model_resolver.py), and sending requests (client.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from resources.gateway.calls import TokenUsage
from resources.gemini.tables import DatedPrice, Dollars, TableEntry, entry_of, line_of, read_table
from resources.gemini.tiers import CallTier, TierFactors

TABLE = Path(__file__).parent / "models.yaml"


def now() -> datetime:
    """The moment by which models end and prices change."""
    return datetime.now(UTC)


class Thinking(BaseModel):
    """How thinking is controlled: by a token budget (2.5) or by a level (3.x); the wrong one gives a 400."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    style: Literal["budget", "level"]
    value: int | str

    @model_validator(mode="after")
    def _fits_its_style(self) -> Self:
        budget = isinstance(self.value, int) and self.value >= 0
        if not (budget if self.style == "budget" else self.value in ("minimal", "low", "medium", "high")):
            raise ValueError(f"{self.value!r} is none: a budget is a number of tokens, a level minimal, low, medium or high")
        return self


class Price(DatedPrice):
    """US dollars per million tokens, from a day on."""

    input: Dollars
    output: Dollars
    cached: Dollars

    def cost_usd(self, tokens: TokenUsage) -> float:
        """What these tokens cost."""
        fresh = tokens.prompt - tokens.cached
        return (fresh * self.input + tokens.cached * self.cached + tokens.output * self.output) / 1e6

    def worst_case_usd(self, *, prompt_bytes: int, max_output_tokens: int) -> float:
        """An upper bound of a call's cost: a token is at least one byte, nothing is cached, the whole output limit is used."""
        return (prompt_bytes * max(self.input, self.cached) + max_output_tokens * self.output) / 1e6

    def at_tier(self, factors: TierFactors) -> Price:
        """The price of a call at another tier, where this is the standard price."""
        prices = {
            "input": factors.tokens * self.input,
            "output": factors.tokens * self.output,
            "cached": factors.cached * self.cached,
        }
        return self.model_copy(update=prices)

    def __str__(self) -> str:
        return f"${self.input:.2f} in and ${self.output:.2f} out per million tokens"


def dearest(prices: Iterable[Price]) -> Price:
    """Of each kind of token the highest price."""
    every = list(prices)
    return Price(
        input=max(price.input for price in every),
        output=max(price.output for price in every),
        cached=max(price.cached for price in every),
    )


class ModelProfile(TableEntry[Price]):
    """The profile of a model. ``thinking`` None: requests have no thinking parameter. ``tiers``: those beside standard."""

    thinking: Thinking | None
    sampling: bool
    max_output_tokens: int = Field(ge=1)
    cache_minimum: int = Field(ge=0)
    tiers: Mapping[CallTier, TierFactors] = {}

    @model_validator(mode="after")
    def _has_other_tiers(self) -> Self:
        if CallTier.STANDARD in self.tiers:
            raise ValueError("tiers: standard is what 'prices' say")
        return self

    def tier(self, wanted: CallTier) -> CallTier:
        """The tier at which a call is made where this one is wanted: standard if the model does not take it."""
        return wanted if wanted in self.tiers else CallTier.STANDARD

    def price(self, first: datetime, last: datetime | None = None, tier: CallTier = CallTier.STANDARD) -> Price:
        """The price of a call at this tier between these moments.

        The dearer one where it changed meanwhile, or may have by the provider's clock; the standard one where the model does not
        take the tier.
        """
        standard = dearest(self.prices_between(first, last or first))
        return standard.at_tier(self.tiers[tier]) if tier in self.tiers else standard


@cache
def model_profiles() -> Mapping[str, ModelProfile]:
    """All profiles by model id. Raises ``ModelTableError``."""
    return read_table(TABLE, ModelProfile)


def with_successors(profile: ModelProfile) -> Iterator[ModelProfile]:
    """The model, its successor, and so on."""
    return line_of(model_profiles(), profile.id)


def asked_at(model: str, moment: datetime) -> ModelProfile:
    """The model that is asked at this moment where this one is configured: itself, or the first successor that has not ended."""
    return next(profile for profile in with_successors(model_profiles()[model]) if not profile.ended(moment))


def profile_of(version: str) -> ModelProfile | None:
    """The profile of a ``modelVersion``; None: unknown."""
    return entry_of(model_profiles(), version)


def price_of(version: str, asked: ModelProfile, first: datetime, last: datetime, tier: CallTier = CallTier.STANDARD) -> Price:
    """What a call costs that this ``modelVersion`` answered at this tier; the dearest there is for one that we do not know.

    An answer without a version may be of the model asked, or of a successor.
    """
    answered = profile_of(version) if version else None
    if answered is not None:
        return answered.price(first, last, tier)
    able = model_profiles().values() if version else with_successors(asked)
    return dearest(profile.price(first, last, tier) for profile in able)


class PriceChange(NamedTuple):
    """What ends or changes on a day, in one sentence."""

    day: date
    sentence: str


def changes(model: str, moment: datetime) -> list[PriceChange]:
    """What ends or changes where this model is configured: its end and those of its successors, past or to come, and new prices."""
    found, today = [], moment.astimezone(UTC).date()
    for profile in with_successors(model_profiles()[model]):
        found += [
            PriceChange(price.since, f"{profile.id} costs {price} from {price.since} on; now {profile.price(moment)}")
            for price in profile.prices
            if today < price.since < (profile.until or date.max)
        ]
        if profile.until is None:
            break
        verb, then = ("ended", "instead") if profile.ended(moment) else ("ends", "then")
        found.append(PriceChange(profile.until, f"{profile.id} {verb} {profile.until}; {profile.successor} is asked {then}"))
    return found


def names_model(message: str, model: str) -> bool:
    """Whether an error's message names this model, and not one whose id only begins or ends like it."""
    return re.search(rf"(?<![\w.-]){re.escape(model)}(?![\w-]|\.\w)", message) is not None
