"""Ideas: one memory of what a person's posts are about, so that no idea comes twice and no request grows with them.

Here: what is told of the ideas there are, and whether a new one repeats one of them (R4). Not here: what is done about a repeat
(tasks/generate_post_batch.py). Ideas are short, so the measure is the share of words in common; whole texts are compared by their
letters (likeness.py).
"""

from __future__ import annotations

from array import array
from collections import defaultdict, deque
from collections.abc import Iterable
from zlib import crc32

from generia_assets.content.documents import PostBrief
from generia_assets.content.text import cut, words

LIKENESS = 0.85
"""Share of words two ideas have in common (Jaccard index) from which they say the same."""
COPY = 1.0
"""All words in common."""

_LINE = 90
"""Characters of an idea that is told as a line."""


def _shared_prefix(size: int) -> int:
    """Of two texts of which one has ``size`` words and that are alike, one of so many of its rarest words is in both."""
    return size - int(size * LIKENESS) + 1


class Ideas:
    """The ideas of one person's posts so far: the latest in full, the others as words.

    Grows batch by batch; a new idea is compared only with those that share one of its longest words (the rarest, without
    counting them), so the check costs about the same for the tenth and the ten thousandth. About 2 kB are kept of an idea.
    """

    TOLD_IN_FULL = 30
    """Ideas told in full at most, the latest ones (about 2,000 tokens)."""
    TOLD_LINES = 20
    """Older ones told as a line each, evenly spread from the first on (about 500 tokens)."""

    def __init__(self, briefs: Iterable[PostBrief] = ()) -> None:
        self._latest: deque[PostBrief] = deque(maxlen=self.TOLD_IN_FULL)
        self._lines: list[str] = []
        self._words: list[array[int]] = []
        self._holders: defaultdict[int, array[int]] = defaultdict(lambda: array("I"))
        self.add(*briefs)

    def add(self, *briefs: PostBrief) -> None:
        """Remember these ideas."""
        for brief in briefs:
            rare_first = _rare_first(brief.idea)
            for word in rare_first[: _shared_prefix(len(rare_first))]:
                self._holders[word].append(len(self._words))
            self._words.append(array("I", rare_first))
            self._lines.append(f"{brief.order + 1}. {cut(' '.join(brief.idea.split()), _LINE)}")
            self._latest.append(brief)

    def repeats(self, idea: str, likeness: float = LIKENESS) -> bool:
        """Whether one of the ideas says the same with nearly the same words; ``likeness`` from ``LIKENESS`` to 1."""
        rare_first = _rare_first(idea)
        theirs = {place for word in rare_first[: _shared_prefix(len(rare_first))] for place in self._holders.get(word, ())}
        mine = set(rare_first)
        for place in theirs:
            both = len(mine.intersection(self._words[place]))
            if both >= likeness * (len(mine) + len(self._words[place]) - both):
                return True
        return False

    @property
    def count(self) -> int:
        """How many ideas there are."""
        return len(self._words)

    @property
    def latest(self) -> tuple[PostBrief, ...]:
        """The latest ideas, oldest first; at most ``TOLD_IN_FULL``."""
        return tuple(self._latest)

    @property
    def spread(self) -> tuple[str, ...]:
        """A line each of some of those before the latest, from the first on; at most ``TOLD_LINES``."""
        before = self.count - len(self._latest)
        told = min(before, self.TOLD_LINES)
        return tuple(self._lines[place * before // told] for place in range(told))


def _rare_first(idea: str) -> list[int]:
    """The idea's words as numbers, each once, long ones first: in every language the frequent words are short."""
    # A text without words is compared as it is.
    found = set(words(idea.casefold())) or {idea.strip()}
    return list(dict.fromkeys(crc32(word.encode("utf-8", "ignore")) for word in sorted(found, key=lambda word: (-len(word), word))))
