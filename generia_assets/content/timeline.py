"""The timeline: one order for all posts of a world, derived from the seed before any post is written.

Not here: what a slot is about (storyline.py). The same seed and counts give the same timeline in every process.

People join in the order in which they are invented, so the first posts need only the first batch of people. A person's own posts
are in the order of their life.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, islice
from math import ceil

from generia_assets.content import axes, seeding, social
from generia_assets.content.shares import BATCH, Size, shares

JOINING = 0.6
"""Share of the timeline over which people join."""
REPLY_SHARE = 0.34
"""Share of the posts that reply to another one, where acquaintances post one soon after the other."""
_OPENING = 12
"""Posts, at most, of the first quarter: none of them is a reply, and every second one is a vignette."""
LONGEST_CHAIN = 3
"""Posts in a chain of replies, the first one included."""
MOST_REPLIES = 2
"""Replies to one post."""
_FIRST_WITHIN = 5
"""People who join, at most, between a person's joining and their first post."""
_GAP = 12
"""How many posts later a reply comes in a large world, where possible, so that the text of its post is written by then. In a
smaller world it is one for every 40 posts."""
_SOON, _LATEST = 3, 18
"""The posts after the gap among which a reply comes, in a small and in a large world. A reply that comes within the first number
has the time of its post, and so have the posts between them."""
LONGEST_WAIT = _GAP + _LATEST
"""A reply comes at most so many posts after its post, in any world."""
_HOT_STRETCH = 4.0
"""How much longer the time after a hot event is than after another one."""


@dataclass(frozen=True)
class Timeline:
    """All post slots of a world.

    ``t`` counts from 0; ``people[t]`` is the index of the person who posts, ``orders[t]`` the place of the post among that person's
    posts, ``replies[t]`` the ``t`` of the post it replies to, or -1.
    """

    people: Sequence[int]
    orders: Sequence[int]
    replies: Sequence[int]
    times: Sequence[int]
    """For each ``t`` the place on the timeline at which it is written; a reply that comes soon has the place of its post."""
    starts: Sequence[int]
    """Where each person's slots begin in ``places``."""
    places: Sequence[int]
    """The ``t`` of each slot, person by person, in the order of their posts."""
    former: Timeline | None = None
    """Before the world was extended: it is the beginning of this one."""

    def __len__(self) -> int:
        return len(self.people)

    def t_of(self, index: int, order: int) -> int:
        return self.places[self.starts[index] + order]

    @property
    def count_of_people(self) -> int:
        return len(self.starts) - 1

    def count_of(self, index: int) -> int:
        return self.starts[index + 1] - self.starts[index]

    def joined(self, index: int) -> int:
        """The ``t`` at which this person is there: of their first post, or for a person without posts as if they had one."""
        if self.former is not None and index < self.former.count_of_people:
            return self.former.joined(index)
        if self.count_of(index):
            return self.t_of(index, 0)
        posts, people = (0, 0) if self.former is None else (len(self.former), self.former.count_of_people)
        return posts + int(JOINING * (index - people) / (self.count_of_people - people) * (len(self) - posts))


def opening(posts: int) -> int:
    """Number of opening posts, each of which a new reader understands without another one."""
    return min(_OPENING, ceil(posts / 4))


def is_vignette(seed: int, posts: int, t: int) -> bool:
    """Whether the post at ``t`` is a vignette: it has no event, names no person and replies to no post. After the opening one post
    in three is.

    ``posts``: those that were ordered first (``Size.calendar_posts``).
    """
    first = opening(posts)
    if t < first:
        return axes.balanced_sample(seed, "moments of the opening", (True, False), t)
    return axes.balanced_sample(seed, "moments", (True, False, False), t - first)


@lru_cache(maxsize=8)
def timeline(seed: int, people: int, posts: int, former: Size | None = None) -> Timeline:
    """The timeline of a world of ``people`` (at least 1) and ``posts``. About 10 µs a post.

    ``former``: as in ``Size``; an extension goes on after the last post of the former world.
    """
    size = Size(people, posts, former)
    before, first = (None, 0) if former is None else (timeline(seed, *former), former.people)
    given, own = shares(seed, *size), seeding.seed_of(seed, size.extensions)
    drawn: list[tuple[float, int, int]] = []
    for index, share in enumerate(given):
        written = before.count_of(index) if before is not None and index < first else 0
        count, joined, soon = share - written, 0.0, 1.0
        rng = seeding.seeded_rng(own, "timeline", index)
        if index >= first:
            # A person with an acquaintance in the next batch can be written only after that batch, so they join with it.
            beside = max(index, social.ready_after(seed, people, index, former) * BATCH) - first
            joined = JOINING * beside / (people - first)
            # The first post comes soon after joining, so that the first posts are of the people invented first. Then one comes in
            # each of equal parts of the remaining time, so that no person posts everything at once.
            soon = min(1.0, _FIRST_WITHIN * JOINING * count / (people - first))
        for order in range(count):
            part = rng.random() * (1.0 if order else soon)
            drawn.append((joined + (1 - joined) * (order + part) / count, index, written + order))
    drawn.sort()
    starts = (0, *accumulate(given))
    places = array("l", bytes(array("l").itemsize * posts))
    authors, orders = (array("l"), array("l")) if before is None else (array("l", before.people), array("l", before.orders))
    authors.extend(index for _, index, _ in drawn)
    orders.extend(order for _, _, order in drawn)
    for t, (index, order) in enumerate(zip(authors, orders, strict=True)):
        places[starts[index] + order] = t
    replies, times = _replies(seed, size, authors, before)
    return Timeline(authors, orders, replies, times, starts, places, before)


def _replies(seed: int, size: Size, authors: Sequence[int], before: Timeline | None) -> tuple[array[int], array[int]]:
    """``replies`` and ``times`` of the timeline; those of the former world stay. The share of replies is kept along the whole
    timeline, wherever there is a post to reply to."""
    known = () if before is None else before.replies
    gap, soon = min(_GAP, len(authors) // 40), min(_LATEST, _SOON + len(authors) // 15)
    replies, times = array("l"), array("l", () if before is None else before.times)
    depth, answered = array("b"), array("b", bytes(len(authors)))
    # In the order of their indices: ties are chosen batch by batch.
    named = {
        author: [tie.index for tie in social.acquaintances(seed, size.people, author, size.former) if tie.names]
        for author in sorted(set(authors[len(known) :]))
    }
    latest: dict[int, deque[int]] = {}
    answered_by: set[tuple[int, int]] = set()
    received = Counter[int]()
    given, first = 0, opening(size.calendar_posts)
    for t, author in enumerate(authors):
        target = known[t] if t < len(known) else -1
        if t >= len(known) and given < REPLY_SHARE * (t + 1) - 0.5 and t >= first and not is_vignette(seed, size.calendar_posts, t):
            possible = [
                earlier
                for other in named[author]
                for earlier in latest.get(other, ())
                if depth[earlier] < LONGEST_CHAIN - 1
                and answered[earlier] < MOST_REPLIES
                and t - times[earlier] <= gap + soon
                and (earlier, author) not in answered_by
            ]
            possible = [earlier for earlier in possible if earlier < t - gap] or possible
            if possible:
                rng = seeding.seeded_rng(seed, "reply", t)
                # First the answers to this author's own posts, then the posts of whoever was answered least.
                target = min(
                    sorted(possible),
                    key=lambda post: (replies[post] < 0 or authors[replies[post]] != author, received[authors[post]], rng.random()),
                )
        if target >= 0:
            answered[target] += 1
            received[authors[target]] += 1
            answered_by.add((target, author))
            given += 1
        replies.append(target)
        if t >= len(known):
            times.append(t)
        if target >= len(known) and t - times[target] <= _SOON:
            times[target:] = array("l", [times[target]] * (t + 1 - target))
        depth.append(0 if target < 0 else depth[target] + 1)
        latest.setdefault(author, deque(maxlen=2 * MOST_REPLIES)).append(t)
    return replies, times


def hot_events(seed: int, posts: int, events: int) -> tuple[int, ...]:
    """The events, counted from 1, about which nearly all people post: one to four, by the size of the world.

    None is among the last third: there would be too few posts after it.
    """
    early = range(1, ceil(events * 2 / 3) + 1)
    count = min(len(early), 1 + (posts >= 10) + (posts >= 60) + (posts >= 600))
    return tuple(sorted(seeding.seeded_rng(seed, "hot events").sample(early, count)))


@lru_cache(maxsize=64)
def _event_places(seed: int, posts: int, events: int) -> tuple[float, ...]:
    """Where on the timeline each event happens, from 0 to ``posts``. The first has just happened when the timeline begins."""
    hot = hot_events(seed, posts, events)
    stretches = [_HOT_STRETCH if event in hot else 1.0 for event in range(1, events + 1)]
    return tuple(posts * before / sum(stretches) for before in accumulate(stretches[:-1], initial=0.0))


def events_before(seed: int, posts: int, events: int, time: int) -> int:
    """How many of the calendar's ``events`` have happened at this time of the timeline; at least 1 where there are any."""
    return bisect_right(_event_places(seed, posts, events), time) if events else 0


def stretch(seed: int, posts: int, events: int, time: int) -> float:
    """How far the time between the latest event and the next one has gone at ``time``, from 0 to below 1; 1 after the calendar."""
    if time >= posts:
        return 1.0
    places = (*_event_places(seed, posts, events), float(posts))
    after = events_before(seed, posts, events, time)
    begin, end = places[after - 1], places[after]
    return (time - begin) / (end - begin)


MOST_HEARD = 4
"""Most ideas of others in one request."""


def heard_before(seed: int, people: int, posts: int, t: int, former: Size | None = None) -> tuple[int, ...]:
    """The places ``t`` of the posts whose ideas are in the request for the post at ``t``, in their order: the latest one of each
    acquaintance before a second one of any.

    The request for a reply has the post that it replies to, and nothing else. Replies are never among them, because they say what
    their post says; nor are the posts of people with one post, who have no idea apart from the post itself.
    """
    if former is not None and t < former.posts:
        return heard_before(seed, former.people, former.posts, t, former.former)
    line = timeline(seed, people, posts, former)
    if line.replies[t] >= 0:
        return ()
    ranked: list[tuple[int, int]] = []
    for tie in social.acquaintances(seed, people, line.people[t], former):
        if line.count_of(tie.index) < 2:
            continue
        begin, end = line.starts[tie.index], line.starts[tie.index + 1]
        before = bisect_left(line.places, t, begin, end)
        latest = (line.places[place] for place in range(before - 1, begin - 1, -1) if line.replies[line.places[place]] < 0)
        ranked += ((rank, -earlier) for rank, earlier in enumerate(islice(latest, MOST_HEARD)))
    return tuple(sorted(-earlier for _, earlier in sorted(ranked)[:MOST_HEARD]))
