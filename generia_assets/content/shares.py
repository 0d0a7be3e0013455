"""Shares: how a world's posts are divided among its people.

Here: an uneven, seeded division with an exact sum (R4: "posts distributed among them by algorithm"). Not here: what is posted.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from generia_assets.content import seeding

BATCH = 10
"""Ideas, and concepts, in one answer of the model at most."""
_UNEVENNESS = 0.7
"""Standard deviation of the logarithm of how much people post; in a crowd the busiest tenth writes about a third."""
_ONE_DIALOG_UP_TO = 8
"""Average of posts a person up to which no person gets more than one answer can hold."""


_FOR_THE_NEW = 2 / 3
"""Share of an extension's posts of which each new person has one first; the rest is for old and new people alike."""


class Size(NamedTuple):
    """How many people and posts a world has. ``former``: before it was extended; None for a world as it was ordered.

    Whatever is drawn for a size is, of the people and posts of ``former``, what was drawn for ``former``.
    """

    people: int
    posts: int
    former: Size | None = None

    @classmethod
    def of(cls, people: int, posts: int, former: Iterable[tuple[int, int]] = ()) -> Size:
        """The size with these people and posts, and before each extension these of ``former``, in order."""
        before: Size | None = None
        for counts in former:
            before = cls(*counts, before)
        return cls(people, posts, before)

    @property
    def extensions(self) -> int:
        return 0 if self.former is None else self.former.extensions + 1

    @property
    def calendar_posts(self) -> int:
        """The posts over which the calendar's events happen: the first ones that were ordered. Later posts come after them all."""
        return self.former.calendar_posts if self.former is not None and self.former.posts else self.posts


def ceiling(people: int, posts: int) -> int:
    """Most posts one person gets: as many as one answer holds (10) while that allows uneven shares, then three times the average.

    One request for ideas a person is what keeps 25 people with 150 posts at 205 calls.
    """
    if posts <= _ONE_DIALOG_UP_TO * people:
        return BATCH
    return math.ceil(3 * posts / people)


@lru_cache(maxsize=16)
def shares(seed: int, people: int, posts: int, former: Size | None = None) -> tuple[int, ...]:
    """How many posts each of ``people`` (at least 1) gets; the sum is exactly ``posts`` (at least 0).

    With enough posts each person has one. Uneven wherever the numbers leave a choice. About 1 µs a person. ``former``: as in
    ``Size``; nobody loses a post by an extension.
    """
    if former is not None:
        return _extended(seed, Size(people, posts, former), former)
    rng = seeding.seeded_rng(seed, "shares")
    if posts <= people:
        chosen = set(rng.sample(range(people), posts))
        return tuple(int(index in chosen) for index in range(people))
    result = _divided(rng, [1] * people, posts)
    if people > 1 and min(result) == max(result) > 1:
        # All shares are equal by chance, as in small worlds: make them uneven.
        busier, quieter = rng.sample(range(people), 2)
        result[quieter] -= 1
        result[busier] += 1
    return tuple(result)


def _extended(seed: int, size: Size, former: Size) -> tuple[int, ...]:
    rng, posts = seeding.seeded_rng(seeding.seed_of(seed, size.extensions), "shares"), size.posts - former.posts
    new = range(former.people, size.people)
    first = set(rng.sample(new, min(len(new), math.ceil(posts * _FOR_THE_NEW))))
    added = _divided(rng, [int(index in first) for index in range(size.people)], posts)
    before = (*shares(seed, *former), *[0] * len(new))
    return tuple(map(sum, zip(before, added, strict=True)))


def _divided(rng: random.Random, least: Sequence[int], posts: int) -> list[int]:
    """So many posts, divided unevenly among people who have at least so many each."""
    people, result = len(least), list(least)
    top = ceiling(people, posts)
    weights = [math.exp(rng.gauss(0.0, _UNEVENNESS)) for _ in range(people)]
    left = posts - sum(least)
    # Largest remainders: whole posts by weight, cut at the ceiling; what was cut goes to those below it. When nothing is cut, the
    # posts that are left go one by one to the largest fractions.
    while left:
        below = [index for index in range(people) if result[index] < top]
        weight = sum(weights[index] for index in below)
        exact = {index: left * weights[index] / weight for index in below}
        given = {index: min(top - result[index], int(portion)) for index, portion in exact.items()}
        if not any(given[index] < int(exact[index]) for index in below):
            rest = left - sum(given.values())
            by_fraction = sorted(
                (index for index in below if result[index] + given[index] < top),
                key=lambda index: exact[index] - given[index],
                reverse=True,
            )
            for index in by_fraction[:rest]:
                given[index] += 1
        for index, portion in given.items():
            result[index] += portion
        left -= sum(given.values())
    return result
