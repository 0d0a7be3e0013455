"""Axes: in which ways each person of a world is different, drawn by the program and spread evenly.

Here: the draw. Not here: the axes (data/axes.yaml). A model asked plainly gives every world the same people;
a plain random draw repeats itself too (among ten people and ten ages, four ages are missing on average).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from generia_assets.content import data_files, draw
from generia_assets.content.data_files import Axis


@lru_cache(maxsize=4096)
def _order(seed: int, axis: str, size: int, block: int) -> tuple[int, ...]:
    order = list(range(size))
    draw.lot(seed, "axis", axis, block).shuffle(order)
    return tuple(order)


def dealt(seed: int, axis: str, values: Sequence[str], index: int) -> str:
    """What is dealt to the character with this index of the ``values`` of what is called ``axis``.

    Latin-square-like: every block of ``len(values)`` characters gets each value exactly once, in an order of its own,
    drawn apart for each axis so that values of two axes do not travel together. Needs no other character's draw.
    """
    size = len(values)
    return values[_order(seed, axis, size, index // size)[index % size]]


def value(seed: int, axis: Axis, index: int) -> str:
    """What the axis gives the character with this index."""
    return dealt(seed, axis.name, axis.values, index)


def self_seed(seed: int, index: int, selves: int) -> int:
    """What is drawn from for this person: the world's seed, and another one for each time they are made anew."""
    return draw.number(seed, "self", index, selves) if selves else seed


def character_axes(seed: int, index: int, selves: int = 0) -> dict[str, str]:
    """The draw of the character with this index, counted from 0: axis name to value, in the file's order."""
    drawn_from = self_seed(seed, index, selves)
    return {axis.name: value(drawn_from, axis, index) for axis in data_files.axes().axes}


def posting_axes(seed: int, index: int, selves: int = 0) -> dict[str, str]:
    """The part of the draw that is told again with every post: how this person writes, what drives them."""
    drawn_from = self_seed(seed, index, selves)
    return {axis.name: value(drawn_from, axis, index) for axis in data_files.axes().axes if axis.in_posts}
