"""The timeline: one order for all posts of a world, derived from the seed before any post is written.

Not here: what a slot is about (storyline.py). The same seed and counts give the same timeline in every process.

People join in the order in which they are invented, so the first posts need only the first batch of people. A person's own posts
are in the order of their life.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, islice
from math import ceil

from generia_assets.content import seeding, social
from generia_assets.content.replies import Replies
from generia_assets.content.shares import BATCH, Size, shares

JOINING = 0.6
"""Share of the timeline over which people join."""
_FIRST_WITHIN = 5
"""People who join, at most, between a person's joining and their first post."""
_NEAR = 5
"""Posts among which another author is looked for where a person would post twice in a row."""
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
    """For each ``t`` the place on the timeline at which it is written; a reply right after its post has the place of its post."""
    vignettes: Sequence[int]
    """For each ``t`` the number of the vignette, from 1, or 0. A vignette has no event, names no person and replies to no post.
    Half of the posts that reply to none are vignettes; nobody's first post is one."""
    starts: Sequence[int]
    """Where each person's slots begin in ``places``."""
    ending: int
    """The ``t`` of the last of the posts that were ordered first; -1 in a world without posts. It replies to none."""
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
    last = before.people[-1] if before is not None and len(before) else -1
    for place, (_, index, _) in enumerate(drawn):
        if index == last:  # somebody else of the same batch posts before, where one is near
            near = range(place + 1, min(len(drawn), place + _NEAR + 1))
            other = next((one for one in near if drawn[one][1] != last and drawn[one][1] // BATCH == last // BATCH), place)
            drawn.insert(place, drawn.pop(other))
        last = drawn[place][1]
    # In the order of their indices: ties are chosen batch by batch.
    named = {
        author: [tie.index for tie in social.acquaintances(seed, people, author, former) if tie.names]
        for author in sorted({index for _, index, _ in drawn})
    }
    replies, orders = Replies(seed, size, given, named), array("l", () if before is None else before.orders)
    if before is not None:
        for author, target, time in zip(before.people, before.replies, before.times, strict=True):
            replies.add(author, target, time)
    for _, author, order in drawn:
        orders.append(order)
        replies.add(author, replies.target(author))
    starts = (0, *accumulate(given))
    places = array("l", bytes(array("l").itemsize * posts))
    for t, (index, order) in enumerate(zip(replies.authors, orders, strict=True)):
        places[starts[index] + order] = t
    return Timeline(
        replies.authors, orders, replies.targets, replies.times, replies.vignettes, starts, size.calendar_posts - 1, places, before
    )


def hot_events(seed: int, posts: int, events: int) -> tuple[int, ...]:
    """The events, counted from 1, that come before others as subjects of posts: one to four, by the size of the world.

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
    # The last one happens before the ending, also in a world of few posts.
    whole = min(posts / sum(stretches), max(0, posts - 2) / (sum(stretches[:-1]) or 1))
    return tuple(whole * before for before in accumulate(stretches[:-1], initial=0.0))


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
