"""Likeness: which of many texts are nearly the same, in one pass, in seconds and bounded memory for ten thousand of them.

Here: the measure and the search. The measure is the Jaccard index of two texts' four-letter sequences: it needs no words, so it
holds for scripts without spaces, and a few exchanged names hardly change it. The search compares only texts that share some of
their sixteen smallest hashes (min-wise sampling: two texts with half of their sequences in common share eight of them on average,
and share none once in 65,000 times). Not here: what is done about it (assets/checks, tasks/another_self.py); ``text.alike``
compares words and is stricter.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nsmallest
from zlib import crc32

NEAR_DUPLICATE = 0.5
"""Likeness from which two texts are one text with changes.

Tried (tests/unit/test_likeness.py): different posts of one person about one occasion, English and Russian, are below 0.2, and so
are posts of one world on the emulator's few templates, which share whole sentences now and then, with rare exceptions below 0.45;
a post whose names, numbers or one sentence of three were exchanged is above 0.6.
"""
MOST_COMPARED = 20_000
"""Texts looked at, the first ones; about 40 MB of posts."""

_LENGTH = 4
_SAMPLE = 16
_FEWEST_SHARED = 2
"""Hashes of the sample that two texts must share to be compared."""
_CROWD = 30
"""Texts remembered under one hash: a sequence that everybody uses tells nothing."""
_NEAREST = 4
"""Texts that each text is compared with at most, those it shares most with."""
_BETWEEN_WORDS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Pair:
    """Two texts by their keys, and how like they are (0 to 1)."""

    one: str
    other: str
    likeness: float


def _sequences(text: str) -> set[int]:
    letters = _BETWEEN_WORDS.sub(" ", text.casefold()).strip().encode("utf-16-le", "ignore")
    width = 2 * _LENGTH
    return {crc32(letters[place : place + width]) for place in range(0, max(2, len(letters) - width + 2), 2)}


def likeness(one: str, other: str) -> float:
    """How like two texts are, from 0 (no sequence in common) to 1 (the same but for case and punctuation)."""
    left, right = _sequences(one), _sequences(other)
    return len(left & right) / len(left | right)


def near_duplicates(texts: Iterable[tuple[str, str]], threshold: float = NEAR_DUPLICATE) -> list[Pair]:
    """For each text (key, text) that is nearly one before it: the pair, with the nearest.

    At most ``MOST_COMPARED`` are looked at.
    """
    known: list[tuple[str, str]] = []
    holders: defaultdict[int, list[int]] = defaultdict(list)
    found: list[Pair] = []
    for key, text in texts:
        if len(known) == MOST_COMPARED:
            break
        sample = nsmallest(_SAMPLE, _sequences(text))
        shared = Counter(place for number in sample for place in holders[number])
        fewest = min(_FEWEST_SHARED, len(sample))
        near = [known[place] for place, count in shared.most_common(_NEAREST) if count >= fewest]
        pairs = [Pair(key, other, likeness(text, theirs)) for other, theirs in near]
        if pairs and (nearest := max(pairs, key=lambda pair: pair.likeness)).likeness >= threshold:
            found.append(nearest)
        for number in sample:
            if len(holders[number]) < _CROWD:
                holders[number].append(len(known))
        known.append((key, text))
    return found
