"""Likeness: which of many texts are nearly the same, in one pass, in seconds and bounded memory for ten thousand of them.

Here: the measure and the search. The measure is the Jaccard index of two texts' four-letter sequences: it needs no words, so it
holds for scripts without spaces, and a few exchanged names hardly change it. The search compares only texts that share some of
their sixteen smallest hashes (min-wise sampling: as large a part of these as of all). Not here: what is done about it
(assets/checks, tasks); ideas are compared by their words (ideas.py).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nsmallest
from zlib import crc32

from generia_assets.content.text import words

NEAR_DUPLICATE = 0.6
"""Likeness from which two texts are one text with changes.

Tried on written posts (tests/content/test_likeness.py): two about the same thing, of one person, are below 0.1; one whose names or
whose one sentence of three were exchanged is between 0.6 and 0.85, in English, Russian and Japanese alike. The emulator, which
writes from few templates, repeats itself: of 150 of its posts two thirds lie between 0.3 and 0.6 from their nearest, one in six
above, and five are the very same; its concepts stay below 0.5.
"""
COPY = 1.0
"""Likeness of two texts that differ in case and punctuation at most."""
MOST_COMPARED = 20_000
"""Texts looked at, the first ones; about 40 MB of posts."""

_LENGTH = 4
_SAMPLE = 16
_FEWEST_SHARED = 6
"""Hashes of the sample that two texts must share to be compared; near duplicates share ten on average, five once in 50 times."""
_CROWD = 30
"""Texts remembered under one hash: a sequence that everybody uses tells nothing."""
_NEAREST = 3
"""Texts that each text is compared with at most, those it shares most with."""


@dataclass(frozen=True)
class Pair:
    """Two texts by their keys, and how like they are (0 to 1)."""

    one: str
    other: str
    similarity: float


def sequences(text: str) -> set[int]:
    """The text's four-letter sequences as numbers, for whoever compares one text with many."""
    letters = " ".join(words(text.casefold().replace("_", " "))).encode("utf-16-le", "ignore")
    width = 2 * _LENGTH
    return {crc32(letters[place : place + width]) for place in range(0, max(2, len(letters) - width + 2), 2)}


def similarity(one: str, other: str) -> float:
    """How like two texts are, from 0 (no sequence in common) to 1 (the same but for case and punctuation)."""
    return share(sequences(one), sequences(other))


def share(left: set[int], right: set[int]) -> float:
    """The likeness of two texts by their ``sequences``."""
    return len(left & right) / len(left | right)


def near_duplicates(texts: Iterable[tuple[str, str]], threshold: float = NEAR_DUPLICATE) -> list[Pair]:
    """For each text (key, text) that is nearly one before it: the pair, with the nearest.

    At most ``MOST_COMPARED`` are looked at.
    """
    known: list[tuple[str, str]] = []
    first: dict[str, str] = {}
    holders: defaultdict[int, list[int]] = defaultdict(list)
    found: list[Pair] = []
    for key, text in texts:
        if len(known) == MOST_COMPARED:
            break
        if text in first:
            found.append(Pair(key, first[text], 1.0))
            continue
        first[text] = key
        mine = sequences(text)
        sample = nsmallest(_SAMPLE, mine)
        shared = Counter(place for number in sample for place in holders[number])
        fewest = min(_FEWEST_SHARED, len(sample))
        near = [known[place] for place, count in shared.most_common(_NEAREST) if count >= fewest]
        pairs = [Pair(key, other, share(mine, sequences(theirs))) for other, theirs in near]
        if pairs and (nearest := max(pairs, key=lambda pair: pair.similarity)).similarity >= threshold:
            found.append(nearest)
        for number in sample:
            if len(holders[number]) < _CROWD:
                holders[number].append(len(known))
        known.append((key, text))
    return found
