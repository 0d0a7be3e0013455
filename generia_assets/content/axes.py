"""Axes: the properties in which the people of a world differ, chosen by seeded balanced samples.

Here: the samples. Not here: the axes (data/axes.yaml). Without them a model invents the same people for every world; independent
random choices repeat themselves, too (among ten people and ten ages, four ages are missing on average).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TypeVar

from generia_assets.content import data_files, seeding
from generia_assets.content.data_files import Age, Talker

ValueT = TypeVar("ValueT")

OR = "; or "
"""Between the values of an axis of which the model takes one."""


@lru_cache(maxsize=4096)
def _order(seed: int, axis: str, size: int, block: int) -> tuple[int, ...]:
    order = list(range(size))
    seeding.seeded_rng(seed, "axis", axis, block).shuffle(order)
    return tuple(order)


def balanced_sample(seed: int, axis: str, values: Sequence[ValueT], index: int) -> ValueT:
    """The one of these ``values`` of the ``axis`` that the character with this index gets.

    Latin-square-like: every block of ``len(values)`` characters gets each value exactly once, in a random order that is independent
    for each block and axis, so that values of two axes are not correlated. Needs no other character's values.
    """
    size = len(values)
    return values[_order(seed, axis, size, index // size)[index % size]]


def self_seed(seed: int, index: int, selves: int) -> int:
    """The seed of this person's random choices: the world's seed, or another one for each time they are regenerated."""
    return seeding.number(seed, "self", index, selves) if selves else seed


_FIFTHS = 5


def _age(seed: int, index: int) -> Age:
    """Every five people have one age from each fifth of the ages."""
    ages = sorted(data_files.axes().ages, key=lambda age: sum(age.years))
    fifth = balanced_sample(seed, "fifth of the ages", range(_FIFTHS), index)
    here = ages[len(ages) * fifth // _FIFTHS : len(ages) * (fifth + 1) // _FIFTHS]
    return balanced_sample(seed, f"age of fifth {fifth}", here, index // _FIFTHS)


@lru_cache(maxsize=4096)
def years(seed: int, index: int) -> int:
    """The age of the character with this index, in human years. A regenerated person keeps it: ties are chosen to fit it."""
    least, most = _age(seed, index).years
    return seeding.seeded_rng(seed, "years", index).randint(least, most)


def character_axes(seed: int, index: int, selves: int = 0) -> dict[str, str]:
    """The values of the character with this index, counted from 0: axis name to value, in the file's order, age first."""
    drawn_from, all_axes = self_seed(seed, index, selves), data_files.axes().axes
    two = balanced_sample(drawn_from, "some axes", tuple(combinations([axis for axis in all_axes if axis.some], 2)), index)
    age = f"{_age(seed, index).words} (as grown up as a human of {years(seed, index)})"
    return {"age": age} | {
        axis.name: OR.join(
            balanced_sample(drawn_from, axis.name, axis.values, axis.choices * index + place) for place in range(axis.choices)
        )
        for axis in all_axes
        if not axis.some or axis in two
    }


@dataclass(frozen=True)
class Profile:
    """The parts of a person's profile, and habits of posting. ``tags``: uses hashtags; ``names_with_at``: names others with @."""

    situations: tuple[str, ...]
    entrance: str
    format: str
    typing: str
    profile_line: str
    portrait: str
    secret: str
    talker: Talker
    tags: bool
    names_with_at: bool


SITUATIONS = 3
"""Situations in which a person is shown."""


@lru_cache(maxsize=2048)
def profile(seed: int, index: int, selves: int = 0) -> Profile:
    """The profile of the character with this index: each entry of a list once before any comes twice."""
    drawn_from, deals = self_seed(seed, index, selves), data_files.profile_options()

    def one(name: str, values: Sequence[str], place: int = index) -> str:
        return balanced_sample(drawn_from, name, values, place)

    talkers = {talker.name: talker for talker in data_files.post_kinds().talkers}
    return Profile(
        situations=tuple(one("situations", deals.situations, SITUATIONS * index + place) for place in range(SITUATIONS)),
        entrance=one("entrances", deals.entrances),
        format=one("formats", deals.formats),
        typing=one("typing", deals.typing),
        profile_line=one("profile lines", deals.profile_lines),
        portrait=one("portraits", deals.portraits),
        secret=one("secrets", deals.secrets),
        talker=talkers[one("talkers", tuple(talkers))],
        tags=one("hashtags", ("yes", "no", "no")) == "yes",
        names_with_at=one("names with @", ("yes", "no", "yes")) == "yes",
    )
