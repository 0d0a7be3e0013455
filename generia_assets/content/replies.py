"""Replies: who replies to which post, chosen post by post while timeline.py puts the posts of a world in order.

In a small world the replies to a post follow it at once, in a thread. In a large world they come when its text is written.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from itertools import permutations
from math import ceil

from generia_assets.content import axes, seeding
from generia_assets.content.shares import Size

REPLY_SHARE = 0.34
"""Share of the posts of a large world that reply to another one, where acquaintances post near each other."""
_OPENING = 12
"""Posts, at most, of the first sixth: none of them is a reply."""
LONGEST_CHAIN = 3
"""Posts in a chain of replies, the first one included."""
MOST_REPLIES = 2
"""Replies to one post."""
_THREADS = (3, 1)
"""Replies in a thread, at most, in turn. Where possible the author of the first post is the second to reply."""
SOON, _LATEST = 3, 18
"""The posts after the gap among which a reply comes, in a small and in a large world. A reply that comes within the first number
has the time of its post, and so have the posts between them."""
LOOK_AHEAD = 6
"""One of the next so many posts comes earlier for a thread."""
_GAP = 12
"""How many posts later a reply comes in a large world, where possible, so that the text of its post is written by then. In a
smaller world it is one for every 40 posts; where it is none, replies come in threads."""
LONGEST_WAIT = _GAP + _LATEST
"""A reply comes at most so many posts after its post, in any world."""


_VIGNETTES = (True, False, True, False, False)
"""Which posts are vignettes, in turn along the timeline. Not counted: replies, the ending, and a person's only post."""


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
        self._seed, self._people, self._shares, self._named = seed, size.people, shares, named
        self._gap, self._within = min(_GAP, size.posts // 40), min(_LATEST, SOON + size.posts // 15)
        self._posts, self._last = size.posts, size.calendar_posts - 1
        self._opening = opening(size.calendar_posts) if self._gap else 1
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
        # The threads so far; the replies that the latest still gets, and its first post.
        self._threads = self._left = self._first = 0

    def next(self, waiting: Sequence[int]) -> tuple[int, int]:
        """The author of the next post, and the post it replies to, or -1. ``waiting``: the authors of the posts to come, at least
        one; the reply of a thread is by any of them, another post by the first."""
        t = len(self.authors)
        if not self._gap and not t:
            # A small world begins with a thread, if one of its next authors can reply to another.
            return next((author for author in waiting if any(self._can_follow(author, other) for other in waiting)), waiting[0]), -1
        if not self._gap and self._last - 2 <= t < self._last:
            # A small world ends with a thread, if one of its last three authors can reply to another.
            waiting = next((order[:1] for order in permutations(waiting) if self._can_follow(*order[-2:])), waiting)
            if t == self._last - 1 and len(waiting) == 1:
                return waiting[0], -1
        if t >= self._opening and self._given + 1 <= self._due(t):
            rng = seeding.seeded_rng(self._seed, "reply", t)
            found = [
                (*self._rank(author, post), rng.random(), author, post)
                for author in sorted(set(waiting[:1] if self._gap else waiting))
                if self._may_reply(author)
                for post in self._answerable(author)
            ]
            if found:
                return min(found)[-2:]
        return waiting[0], -1

    def _due(self, t: int) -> float:
        """How many posts reply up to ``t``, this one included."""
        if self._gap:
            return 0 if t == self._last else REPLY_SHARE * (t + 1) + 1
        if t == self._last:
            return self._posts
        # Up to half of the posts; fewer in the smallest worlds, where each person has few. One is kept for the ending.
        return min(0.6 * self._posts - 2, self._posts if self._left else (t + 2) / 2)

    def _can_follow(self, author: int, other: int) -> bool:
        """Whether ``other`` can reply to the next post, if that is by ``author``."""
        return author in self._named[other] and self._may_reply(other)

    def _may_reply(self, author: int) -> bool:
        return self._written[author] + self._others < self._shares[author]

    def add(self, author: int, target: int = -1, time: int | None = None) -> None:
        """Add the next post. ``time``: of a post of the former world, which keeps its time."""
        t = len(self.authors)
        ends = t == self._last or (t == self._last - 1 and not self._gap)
        vignette = False
        if target < 0 and not ends and self._shares[author] > 1:
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
            self._first, self._left = t, 0
            return
        if not self._left:
            self._left = _THREADS[self._threads % len(_THREADS)]
            self._threads += 1
        self._left -= 1
        self._answers[target] += 1
        self._given += 1
        self._written[author] += 1
        self._received[self.authors[target]] += 1
        self._pairs.add((target, author))
        if time is None and t - self.times[target] <= SOON:
            self.times[target:] = array("l", [self.times[target]] * (t + 1 - target))

    def _answerable(self, author: int) -> list[int]:
        """The posts to which this author can reply now."""
        t = len(self.authors)
        return [
            post
            for post in (self._in_thread(t) if not self._gap else self._earlier(t, author))
            if self.authors[post] in self._named[author]
            and self._depth[post] < LONGEST_CHAIN - 1
            and self._answers[post] < MOST_REPLIES
            and (post, author) not in self._pairs
        ]

    def _in_thread(self, t: int) -> Sequence[int]:
        """A thread goes on from its first or its latest post. One begins at the latest post; nobody gets a second thread before
        others had one, except the end."""
        if self._left and t != self._last:
            return sorted({self._first, t - 1})
        first_in_turn = self._received[self.authors[t - 1]] * self._people <= self._given
        return [t - 1] if self.targets[t - 1] < 0 and (first_in_turn or t == self._last) else []

    def _earlier(self, t: int, author: int) -> Sequence[int]:
        """The posts not too long ago; those whose text is written by now, if there are any."""
        recent = [
            post
            for other in self._named[author]
            for post in self._latest.get(other, ())
            if t - self.times[post] <= self._gap + self._within
        ]
        return [post for post in recent if post < t - self._gap] or recent

    def _rank(self, author: int, post: int) -> tuple[int, int]:
        """The lowest is chosen: answers to replies to the author's own posts come first, then, in a large world, those to posts of
        whoever was answered least."""
        answered = self.targets[post]
        return int(answered < 0 or self.authors[answered] != author), self._received[self.authors[post]] if self._gap else 0
