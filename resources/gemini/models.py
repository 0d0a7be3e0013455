"""The profiles of known models (models.yaml): parameters, prices by day, the end of a model and its successor.

Here: how a table of models is read, also that of pictures (image_models.py), and what follows from it and a date. Not here: the
fleet's notes about models from the API's answers (model_resolver.py), and sending requests (client.py).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Generic, Literal, NamedTuple, Self, TypeVar

import yaml
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator

from resources.explanation import explain
from resources.gateway.calls import TokenUsage
from resources.gemini.tiers import CallTier

TABLE = Path(__file__).parent / "models.yaml"
RESERVED_AHEAD = timedelta(days=1)
"""A call is reserved at the dearest price until then: it may wait, and be answered after a change."""
PROVIDER_BEHIND_UTC = timedelta(hours=8)
"""A day of the provider's begins at midnight Pacific time, at the latest so long after the same day began by UTC."""

_VERSION = re.compile(r"(-(\d[\w.-]*|preview[\w.-]*|exp[\w.-]*|latest))?")
"""What may follow a model's id in the name of one of its versions: -001, -preview-09-2026, -latest; but not -lite or -image."""

Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]


def now() -> datetime:
    """The moment by which models end and prices change."""
    return datetime.now(UTC)


class ModelTableError(ValueError):
    """The table of models is inconsistent. The message names the model and the entry."""


class DatedPrice(BaseModel, extra="forbid", frozen=True):
    """US dollars, from a day on."""

    since: date = Field(date.min, alias="from")


PriceT = TypeVar("PriceT", bound=DatedPrice)


def dearest(prices: Iterable[PriceT]) -> PriceT:
    """Of each kind of token the highest price."""
    first, *others = prices
    if not others:
        return first
    kinds = type(first).model_fields.keys() - {"since"}
    return first.model_copy(update={kind: max(getattr(price, kind) for price in (first, *others)) for kind in kinds})


class TableEntry(BaseModel, Generic[PriceT], extra="forbid", frozen=True):
    """One model of a table."""

    id: str
    prices: tuple[PriceT, ...] = Field(min_length=1)
    until: date | None = None
    successor: str | None = None

    @model_validator(mode="after")
    def _has_dates_in_order(self) -> Self:
        dates = [price.since for price in self.prices]
        if dates[0] != date.min or dates != sorted(set(dates)):
            raise ValueError("prices: the first has no 'from', the others have one each, in their order")
        if self.until is not None and self.successor is None:
            raise ValueError(f"until: whoever ends ({self.until}) needs a successor")
        return self

    def ended(self, moment: datetime) -> bool:
        """Whether the model is asked no more. The day counts by UTC: its successor is asked before the provider's day begins."""
        return self.until is not None and moment.astimezone(UTC).date() >= self.until

    def price(self, first: datetime, last: datetime | None = None) -> PriceT:
        """The price of a call between these moments; the dearer one where it changed, or may have by the provider's clock."""
        from_day, to_day = (first.astimezone(UTC) - PROVIDER_BEHIND_UTC).date(), (last or first).astimezone(UTC).date()
        following = [price.since for price in self.prices[1:]] + [date.max]
        held = zip(self.prices, following, strict=True)
        return dearest(price for price, replaced in held if price.since <= to_day and replaced > from_day)


EntryT = TypeVar("EntryT", bound=TableEntry)  # type: ignore[type-arg]  # of prices of any kind


def read_table(path: Path, entry: type[EntryT]) -> Mapping[str, EntryT]:
    """Read and check a table of models by id. Raises ``ModelTableError`` with every wrong entry."""
    try:
        raw = yaml.load(path.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  a tenth of the time
        entries = {name: {"id": name, **body} for name, body in raw.items()}
        table: dict[str, EntryT] = TypeAdapter(dict[str, entry]).validate_python(entries)  # type: ignore[valid-type]
    except ValidationError as error:
        raise ModelTableError(f"{path}: {explain(error)}") from None
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        raise ModelTableError(f"{path} is no table of models by id: {' '.join(str(error).split())}") from None
    for name in table:
        line = [name]
        while (successor := table[line[-1]].successor) is not None:
            if successor not in table or successor in line:
                known = "is its own successor in the end" if successor in line else "has no profile"
                raise ModelTableError(f"{path}: {line[-1]}.successor: {successor} {known}")
            line.append(successor)
    return table


def line_of(table: Mapping[str, EntryT], model: str) -> Iterator[EntryT]:
    """The model, its successor, and so on."""
    entry = table[model]
    yield entry
    while entry.successor is not None:
        entry = table[entry.successor]
        yield entry


def entry_of(table: Mapping[str, EntryT], version: str) -> EntryT | None:
    """The entry of a ``modelVersion`` (``models/gemini-2.5-flash-001``): the longest id that fits; None: unknown."""
    name = version.rpartition("/")[2]
    ids = [each for each in table if name.startswith(each) and _VERSION.fullmatch(name, len(each))]
    return table[max(ids, key=len)] if ids else None


class TierFactors(BaseModel, extra="forbid", frozen=True):
    """The price of a service tier as a part of the standard price: of input and output, and of cached input."""

    tokens: Factor
    cached: Factor


class Price(DatedPrice):
    """US dollars per million tokens, from a day on."""

    input: Dollars
    output: Dollars
    cached: Dollars

    def cost_usd(self, tokens: TokenUsage) -> float:
        fresh = tokens.prompt - tokens.cached
        return (fresh * self.input + tokens.cached * self.cached + tokens.output * self.output) / 1e6

    def worst_case_usd(self, *, prompt_bytes: int, max_output_tokens: int) -> float:
        """An upper bound of a call's cost: a token is at least one byte, nothing is cached, the whole output limit is used."""
        return (prompt_bytes * max(self.input, self.cached) + max_output_tokens * self.output) / 1e6

    def at_tier(self, factors: TierFactors) -> Self:
        """The price of a call at another tier, where this is the standard price."""
        prices = {
            "input": factors.tokens * self.input,
            "output": factors.tokens * self.output,
            "cached": factors.cached * self.cached,
        }
        return self.model_copy(update=prices)

    def __str__(self) -> str:
        return f"${self.input:.2f} in and ${self.output:.2f} out per million tokens"


class ModelProfile(TableEntry[Price]):
    """The profile of a model. ``tiers``: those beside standard.

    ``thinking``: a budget of tokens (2.5) or a level (3.x), the wrong one gives a 400; None: requests have no such parameter.
    """

    thinking: Annotated[int, Field(ge=0, strict=True)] | Literal["minimal", "low", "medium", "high"] | None
    sampling: bool
    max_output_tokens: int = Field(ge=1)
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
        """The same at this tier; the standard price where the model does not take the tier."""
        standard = super().price(first, last)
        return standard.at_tier(self.tiers[tier]) if tier in self.tiers else standard


@cache
def model_profiles() -> Mapping[str, ModelProfile]:
    """All profiles by model id. Raises ``ModelTableError``."""
    return read_table(TABLE, ModelProfile)


def asked_at(model: str, moment: datetime) -> ModelProfile:
    """The model that is asked at this moment where this one is configured: itself, or the first successor that has not ended."""
    return next(profile for profile in line_of(model_profiles(), model) if not profile.ended(moment))


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
    able = model_profiles().values() if version else line_of(model_profiles(), asked.id)
    return dearest(profile.price(first, last, tier) for profile in able)


class PriceChange(NamedTuple):
    """What ends or changes on a day, in one sentence."""

    day: date
    sentence: str


def changes(model: str, moment: datetime) -> list[PriceChange]:
    """What ends or changes where this model is configured: its end and those of its successors, past or to come, and new prices."""
    found, today = [], moment.astimezone(UTC).date()
    for profile in line_of(model_profiles(), model):
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
