"""Numbered answers: which entry of an answer is for which number asked.

Here: matching, for people and ideas alike. Models skip, repeat and invent numbers; what they wrote is used all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar


class Numbered(Protocol):
    """An entry that says which number it is for."""

    @property
    def number(self) -> int:
        """The number this entry claims."""
        ...


EntryT = TypeVar("EntryT", bound=Numbered)


def settle(entries: Iterable[EntryT], wanted: Sequence[int]) -> dict[int, EntryT]:
    """One entry for each wanted number, as far as there are enough; what is too much is cut.

    An entry gets the number it claims if that is wanted and free; the others fill what is left, in order.
    """
    settled: dict[int, EntryT] = {}
    others: list[EntryT] = []
    for entry in entries:
        if entry.number in wanted and entry.number not in settled:
            settled[entry.number] = entry
        else:
            others.append(entry)
    free = [number for number in wanted if number not in settled]
    settled.update(zip(free, others, strict=False))
    return {number: settled[number] for number in wanted if number in settled}
