"""Similarity: which texts are nearly the same, and which ideas of posts repeat one another.

Here: two measures with their searches. Whole texts: the Jaccard index of their four-letter sequences, which holds for scripts
without spaces and hardly changes with a few exchanged names; the search of ten thousand texts takes seconds, because it compares
only texts that share some of their sixteen smallest hashes (min-wise sampling). Ideas are short: the share of words in common, in
``Ideas``, the memory of one person's ideas (R4). Not here: the consequences (assets/checks, tasks).
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from heapq import nsmallest
from zlib import crc32

from generia_assets.content.documents import PostBrief
from generia_assets.content.text import cut, words

NEAR_DUPLICATE = 0.6
"""Similarity from which two texts are one text with changes.

Measured on written posts (tests/content/test_similarity.py): two about one thing, of one person, are below 0.1; one whose names or
whose one sentence of three were exchanged is between 0.6 and 0.85, in English, Russian and Japanese alike. The emulator, which
writes from few templates, repeats itself: of 150 of its posts two thirds lie between 0.3 and 0.6 from their nearest, one in six
above, and five are the very same; its concepts stay below 0.5.
"""
COPY = 1.0
"""Similarity of two texts that differ in case and punctuation at most, or of two ideas with the same words."""
REPEATED_IDEA = 0.85
"""Share of words two ideas have in common (Jaccard index) from which they say the same."""

_LINE = 90
"""Characters of an idea in a line."""
MOST_COMPARED = 20_000
"""Texts looked at, the first ones; about 40 MB of posts."""

_LENGTH = 4
_SAMPLE = 16
_FEWEST_SHARED = 6
"""Hashes of the sample that two texts must share to be compared; near duplicates share ten on average, five once in 50 times."""
_CROWD = 30
"""Texts remembered under one hash: a sequence that is in many texts identifies none."""
_NEAREST = 3
"""Texts that each text is compared with at most, those it shares most with."""


@dataclass(frozen=True)
class Pair:
    """Two texts by their keys, and their similarity (0 to 1)."""

    one: str
    other: str
    similarity: float


def sequences(text: str) -> set[int]:
    """The text's four-letter sequences as numbers, for comparing one text with many."""
    letters = " ".join(words(text.casefold().replace("_", " "))).encode("utf-16-le", "ignore")
    width = 2 * _LENGTH
    return {crc32(letters[place : place + width]) for place in range(0, max(2, len(letters) - width + 2), 2)}


def similarity(one: str, other: str) -> float:
    """The similarity of two texts, from 0 (no sequence in common) to 1 (the same but for case and punctuation)."""
    return share(sequences(one), sequences(other))


def share(left: set[int], right: Collection[int]) -> float:
    common = len(left.intersection(right))
    return common / (len(left) + len(right) - common)


def near_duplicates(texts: Iterable[tuple[str, str]]) -> list[Pair]:
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
        if pairs and (nearest := max(pairs, key=lambda pair: pair.similarity)).similarity >= NEAR_DUPLICATE:
            found.append(nearest)
        for number in sample:
            if len(holders[number]) < _CROWD:
                holders[number].append(len(known))
        known.append((key, text))
    return found


def _shared_prefix(size: int) -> int:
    """Number of an idea's rarest words of which a similar idea has at least one; ``size``: the idea's number of words."""
    return size - int(size * REPEATED_IDEA) + 1


class Ideas:
    """The ideas of one person's posts so far: the latest in full, the others as words.

    Grows batch by batch; a new idea is compared only with those that share one of its longest words (the rarest, without
    counting them), so the check costs about the same for the tenth and the ten thousandth. About 2 kB are kept of an idea.
    """

    MOST_IN_FULL = 30
    """Most ideas that are in a request in full, the latest ones (about 2,000 tokens)."""
    MOST_LINES = 20
    """Most older ones that are in a request as a line each, evenly spread from the first on (about 500 tokens)."""

    def __init__(self, briefs: Iterable[PostBrief] = ()) -> None:
        self._latest: deque[PostBrief] = deque(maxlen=self.MOST_IN_FULL)
        self._lines: list[str] = []
        self._words: list[array[int]] = []
        self._holders: defaultdict[int, array[int]] = defaultdict(lambda: array("I"))
        self.add(*briefs)

    def add(self, *briefs: PostBrief) -> None:
        for brief in briefs:
            rare_first = _rare_first(brief.idea)
            for word in rare_first[: _shared_prefix(len(rare_first))]:
                self._holders[word].append(len(self._words))
            self._words.append(array("I", rare_first))
            self._lines.append(f"{brief.order + 1}. {cut(' '.join(brief.idea.split()), _LINE)}")
            self._latest.append(brief)

    def repeats(self, idea: str, threshold: float = REPEATED_IDEA) -> bool:
        """Whether one of the ideas has nearly the same words; ``threshold`` from ``REPEATED_IDEA`` to 1."""
        rare_first = _rare_first(idea)
        theirs = {place for word in rare_first[: _shared_prefix(len(rare_first))] for place in self._holders.get(word, ())}
        mine = set(rare_first)
        return any(share(mine, self._words[place]) >= threshold for place in theirs)

    @property
    def count(self) -> int:
        return len(self._words)

    @property
    def latest(self) -> tuple[PostBrief, ...]:
        """The latest ideas, oldest first; at most ``MOST_IN_FULL``."""
        return tuple(self._latest)

    @property
    def spread(self) -> tuple[str, ...]:
        """A line each of some of those before the latest, from the first on; at most ``MOST_LINES``."""
        before = self.count - len(self._latest)
        lines = min(before, self.MOST_LINES)
        return tuple(self._lines[place * before // lines] for place in range(lines))


def _rare_first(idea: str) -> list[int]:
    """The idea's words as numbers, each once, long ones first: in every language the frequent words are short."""
    # A text without words is compared as it is.
    found = set(words(idea.casefold())) or {idea.strip()}
    return list(dict.fromkeys(crc32(word.encode("utf-8", "ignore")) for word in sorted(found, key=lambda word: (-len(word), word))))
