"""Replies: who replies to which post, chosen post by post while timeline.py puts the posts of a world in order.

Not here: comments, which come with the text of a post (storyline.py).
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from math import ceil

from generia_assets.content import axes, seeding
from generia_assets.content.shares import Size

REPLY_SHARE = 0.2
"""Share of the posts that reply to another one, where acquaintances post near each other."""
_OPENING = 12
"""Posts, at most, of the first sixth: none of them is a reply."""
LONGEST_CHAIN = 3
"""Posts in a chain of replies, the first one included."""
MOST_REPLIES = 2
"""Replies to one post."""
_SOONEST, _LATEST = 3, 18
"""The posts after the gap among which a reply comes, in a small and in a large world."""
_GAP = 12
"""How many posts later a reply comes in a large world, where possible, so that the text of its post is written by then. In a
smaller world it is one for every 40 posts."""
LONGEST_WAIT = _GAP + _LATEST
"""A reply comes at most so many posts after its post, in any world."""


_VIGNETTES = (True, False)
"""Which posts are vignettes, in turn along the timeline. Not counted: replies, the ending, and each person's first
post, which shows what the account is about."""


def opening(posts: int) -> int:
    """Number of opening posts, each of which a new reader understands without another one."""
    return min(_OPENING, ceil(posts / 6))


class Replies:
    """The posts of a world so far, and what they reply to. The share of replies is kept along the whole timeline, wherever there is
    a post to reply to.

    ``shares``: how many posts each person writes; not all of them are replies, unless each person has one. ``named``: for each
    person, whom their posts may name.
    """

    def __init__(self, seed: int, size: Size, shares: Sequence[int], named: Mapping[int, Sequence[int]]) -> None:
        self._seed, self._shares, self._named = seed, shares, named
        self._gap, self._within = min(_GAP, size.posts // 40), min(_LATEST, _SOONEST + size.posts // 15)
        self._last, self._opening = size.calendar_posts - 1, opening(size.calendar_posts)
        self.authors, self.targets, self.times, self.vignettes = (array("l") for _ in range(4))
        self._depth, self._answers = array("b"), array("b")
        self._latest: dict[int, deque[int]] = {}
        self._pairs: set[tuple[int, int]] = set()
        self._given = self._vignettes = 0
        self._possible = 0
        """Posts so far that can be vignettes."""
        self._received, self._written = Counter[int](), Counter[int]()
        self._others = int(size.posts > size.people)
        """Posts of each person that are no replies, at least."""

    def target(self, author: int) -> int:
        """The post to which the next post replies, if that is by ``author``; -1: to none."""
        t = len(self.authors)
        if t < self._opening or t == self._last or self._given > REPLY_SHARE * (t + 1):
            return -1
        if self._others and author not in self._latest:
            return -1
        if self._written[author] + self._others >= self._shares[author]:
            return -1
        rng = seeding.seeded_rng(self._seed, "reply", t)
        found = [(*self._rank(author, post), rng.random(), post) for post in self._answerable(author)]
        return min(found)[-1] if found else -1

    def add(self, author: int, target: int = -1, time: int | None = None) -> None:
        """Add the next post. ``time``: of a post of the former world, which keeps its time."""
        t = len(self.authors)
        vignette = False
        if target < 0 and t != self._last and author in self._latest:
            vignette = axes.balanced_sample(self._seed, "moments", _VIGNETTES, self._possible)
            self._possible += 1
        self._vignettes += vignette
        self.vignettes.append(self._vignettes if vignette else 0)
        self._depth.append(0 if target < 0 else self._depth[target] + 1)
        self._latest.setdefault(author, deque(maxlen=2 * MOST_REPLIES)).append(t)
        self._answers.append(0)
        self.authors.append(author)
        self.targets.append(target)
        self.times.append(t if time is None else time)
        if target < 0:
            return
        self._answers[target] += 1
        self._given += 1
        self._written[author] += 1
        self._received[self.authors[target]] += 1
        self._pairs.add((target, author))
        if time is None and self.times[t - 1] == self.times[target]:
            self.times[t] = self.times[target]

    def _answerable(self, author: int) -> list[int]:
        """The posts to which this author can reply now: not too long ago; with a text by now, if there are any such."""
        t = len(self.authors)
        recent = [
            post
            for other in self._named[author]
            for post in self._latest.get(other, ())
            if t - self.times[post] <= self._gap + self._within
            and self._depth[post] < LONGEST_CHAIN - 1
            and self._answers[post] < MOST_REPLIES
            and (post, author) not in self._pairs
        ]
        if self._gap:
            return [post for post in recent if post < t - self._gap] or recent
        # In a small world a reply comes right after its post where it can, so that readers see what it replies to.
        since = t - 1
        while self.targets[since] >= 0:
            since -= 1
        few = self._given < REPLY_SHARE * (t + 1) - 1
        return [post for post in recent if post >= since] or (recent if few else [])

    def _rank(self, author: int, post: int) -> tuple[int, int]:
        """The lowest is chosen: answers to replies to the author's own posts come first, then those to posts of whoever was
        answered least."""
        answered = self.targets[post]
        return int(answered < 0 or self.authors[answered] != author), self._received[self.authors[post]]
