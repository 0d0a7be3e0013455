"""What finished worlds tell of the price of one to be made: tokens of a call, and how far a bill may be off (R13).

Here: which worlds count, and the statistics. Tokens are medians over these worlds. A bill differs from the planned calls at these
tokens for two reasons. Texts of one world are longer than those of another. And some calls are made more than once (an answer is
asked for again, a call is lost), which is a steadier share of a large world's bill than of a small one's. Not here: the sums of a
world (durable/calls/usage.py), prices, and what is quoted where nothing has been learned (generia_assets/quotes.py).
"""

from __future__ import annotations

import logging
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import mean, median, stdev
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from generia_assets.catalog import LLM_CALLS
from generia_assets.durable.calls.usage import CallUsage, Usage
from generia_assets.durable.collections import GENERATIONS

if TYPE_CHECKING:
    from resources.mongodb.connection import MongoDatabase

logger = logging.getLogger(__name__)

MOST_WORLDS = 200
"""Worlds that are learned from: those that were completed last."""
FEWEST_WORLDS = 8
"""Worlds of a language or of a model that are enough to leave out the others."""
_DEVIATIONS = 1.96
_TAIL = 0.025
_DRAWS = 200
_MOST_IN_A_DRAW = 100


@dataclass(frozen=True)
class Interval:
    """The expected value of a figure, and the interval that holds 19 of 20."""

    low: float
    middle: float
    high: float

    def times(self, other: Interval | float) -> Interval:
        """The product, uncertain as both are."""
        by = other if isinstance(other, Interval) else Interval(other, other, other)
        return Interval(self.low * by.low, self.middle * by.middle, self.high * by.high)

    def plus(self, other: Interval) -> Interval:
        """The sum, with both figures at their ends at once."""
        return Interval(self.low + other.low, self.middle + other.middle, self.high + other.high)


CERTAIN = Interval(1, 1, 1)


class CallTokens(NamedTuple):
    """Tokens of one call; ``cached`` are part of ``prompt``. ``variation``: standard deviation of its price, as a part of it."""

    prompt: float
    cached: float
    output: float
    variation: float = 0.0


ASSUMED_TOKENS: Mapping[str, CallTokens] = {name: CallTokens(call.input, 0, call.output) for name, call in LLM_CALLS.items()}
"""The catalogue's, for calls that nothing is known of."""
Cost = Callable[[str, CallTokens], float]
"""US dollars of a call of this request type."""


class _World:
    """A finished world, as others are compared with it."""

    def __init__(self, usage: Usage) -> None:
        self.usage = usage
        self.models = {call.model for call in usage.calls}
        self.planned_calls = sum(usage.planned.values())

    @cached_property
    def tokens(self) -> Mapping[str, CallTokens]:
        """Of a call by request type."""
        by_type: defaultdict[str, list[CallUsage]] = defaultdict(list)
        for call in self.usage.calls:
            by_type[call.request_type].append(call)
        return {name: _of_one(calls) for name, calls in by_type.items()}

    @property
    def is_whole(self) -> bool:
        """Whether its answers named their tokens, and had a price."""
        return self.planned_usd > 0 and all(call.prompt > 0 for call in self.usage.calls)

    @cached_property
    def planned_usd(self) -> float:
        """What the planned calls alone cost."""
        dollars: defaultdict[str, float] = defaultdict(float)
        calls: defaultdict[str, int] = defaultdict(int)
        for call in self.usage.calls:
            dollars[call.request_type] += call.usd
            calls[call.request_type] += call.calls
        return sum(count * dollars[name] / calls[name] for name, count in self.usage.planned.items() if calls[name])


@dataclass(frozen=True)
class Experience:
    """What these worlds tell. ``source`` names them; ``same_model``: the model to be asked made them."""

    worlds: Sequence[_World]
    source: str
    same_model: bool

    @cached_property
    def tokens(self) -> Mapping[str, CallTokens]:
        """Of a call by request type: the median over the worlds, or the catalogue's estimate."""
        found: defaultdict[str, list[CallTokens]] = defaultdict(list)
        for world in self.worlds:
            for name, tokens in world.tokens.items():
                found[name].append(tokens)
        medians = {name: CallTokens(*map(median, zip(*every, strict=True))) for name, every in found.items()}
        return {**ASSUMED_TOKENS, **medians}

    def texts(self, planned: Mapping[str, int], cost: Cost) -> Interval:
        """US dollars of these calls, repeated ones included.

        Another model caches more or less of the same prompts. Where worlds of others are learned from, half as much is expected,
        and nothing at the high end.
        """
        as_before = self._expected(planned, cost)
        if self.same_model:
            return as_before

        def caching(part: float) -> Interval:
            return self._expected(planned, lambda name, tokens: cost(name, tokens._replace(cached=part * tokens.cached)))

        return Interval(as_before.low, caching(0.5).middle, caching(0).high)

    def _expected(self, planned: Mapping[str, int], cost: Cost) -> Interval:
        def dollars(calls: Mapping[str, int], tokens: Mapping[str, CallTokens]) -> float:
            known = {**self.tokens, **tokens}
            return sum(count * cost(name, known[name]) for name, count in calls.items() if name in known)

        typical = dollars(planned, self.tokens)
        if typical <= 0:
            return Interval(0, 0, 0)
        made = [world.usage.planned for world in self.worlds]
        ratios = [
            math.log(dollars(calls, world.tokens) / dollars(calls, self.tokens))
            for calls, world in zip(made, self.worlds, strict=True)
        ]
        deviations = [
            math.sqrt(count) * tokens.variation * cost(name, tokens) / typical
            for name, count in planned.items()
            for tokens in (self.tokens[name],)
        ]
        worlds = len(ratios)
        reach = _student(worlds) * math.hypot(stdev(ratios) * math.sqrt(1 + 1 / worlds), *deviations)
        middle = median(ratios)
        texts = Interval(*(typical * math.exp(middle + end) for end in (-reach, 0, reach)))
        bills = tuple((world.planned_calls, world.planned_usd, world.usage.texts_usd) for world in self.worlds)
        return texts.times(_repeats(bills, sum(planned.values())))

    def pictures(self, count: int) -> Interval:
        """US dollars of so many pictures, refused and lost ones included, as a multiple of their price."""
        priced = [world.usage for world in self.worlds if world.usage.pictures * world.usage.picture_usd > 0]
        bills = tuple((one.pictures, one.pictures * one.picture_usd, one.pictures_usd) for one in priced)
        return _repeats(bills, count) if len(bills) >= FEWEST_WORLDS else CERTAIN


def finished_worlds(database: MongoDatabase) -> list[Usage]:
    """What the worlds used that were completed last. A record that cannot be read is left out, and logged."""
    records = database[GENERATIONS].find({"usage": {"$exists": True}}, {"usage": 1}).sort("updated_at", -1).limit(MOST_WORLDS)
    found = []
    for record in records:
        try:
            found.append(Usage.model_validate(record["usage"]))
        except ValidationError as error:
            logger.warning("generation %s: its usage is not learned from: %s", record["_id"], error.errors()[0]["msg"])
    return found


def learn(worlds: Iterable[Usage], *, model: str, language: str | None = None) -> Experience | None:
    """What these worlds tell of one in this language (None: in any) with this model.

    Too few of the language: those of all languages. Too few of the model: those of all models. Too few of these: None.
    """
    every = [world for world in map(_World, worlds) if world.is_whole]
    same = [world for world in every if world.models == {model}]
    spoken = [world for world in same if world.usage.language == language]
    for chosen, source in (
        (spoken, f"in {language} with {model}"),
        (same, f"in all languages with {model}"),
        (every, "with other models"),
    ):
        if len(chosen) >= FEWEST_WORLDS:
            return Experience(chosen, source, same_model=chosen is not every)
    return None


def _of_one(calls: Sequence[CallUsage]) -> CallTokens:
    """Tokens of one of these calls, on average."""
    count, usd = sum(call.calls for call in calls), sum(call.usd for call in calls)
    squared = sum(call.usd_squared for call in calls) / count
    variance = max(0.0, squared - (usd / count) ** 2) * count / max(1, count - 1)
    return CallTokens(
        sum(call.prompt for call in calls) / count,
        sum(call.cached for call in calls) / count,
        sum(call.output for call in calls) / count,
        math.sqrt(variance) * count / usd if usd else 0.0,
    )


def _student(count: int) -> float:
    """Deviations of the mean of so many figures that hold 19 of 20 others (Student's t, near enough from 8 on)."""
    return _DEVIATIONS * (1 + (_DEVIATIONS**2 + 1) / (4 * (count - 1)))


@lru_cache(maxsize=64)
def _repeats(bills: tuple[tuple[int, float, float], ...], size: int) -> Interval:
    """What bills of this size are, as a multiple of what was planned: of each bill its size, what was planned, and the bill.

    A larger one is put together from bills that are drawn, always the same ones.
    """
    rng = random.Random(0)  # noqa: S311  no secret comes from it
    size = min(size, _MOST_IN_A_DRAW * round(mean(made for made, _, _ in bills)))
    drawn = list[float]()
    for _ in range(_DRAWS):
        made = 0
        planned = billed = 0.0
        while made < size or not made:
            one, expected, bill = rng.choice(bills)
            made, planned, billed = made + one, planned + expected, billed + bill
        drawn.append(billed / planned)
    drawn.sort()
    tail = int(_TAIL * _DRAWS)
    return Interval(drawn[tail], median(drawn), drawn[-1 - tail])
