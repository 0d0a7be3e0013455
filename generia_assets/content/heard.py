"""What somebody has heard: the ideas of acquaintances' earlier posts that the request for a post tells.

Here: which posts they are, from the seed alone, so that the same request is made again after a restart. Not here: the ideas
themselves, which are the model's.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice

from generia_assets.content import social
from generia_assets.content.timeline import timeline

MOST_HEARD = 4
"""Ideas of others that one request tells at most."""


def heard_before(seed: int, people: int, posts: int, t: int) -> tuple[int, ...]:
    """The places ``t`` of the posts whose ideas the post at ``t`` is told, in their order: the latest one of each acquaintance
    before a second one of anybody.

    A reply is told the post that it replies to, and nothing else. Replies are not told, because they say what their post says; nor
    are the posts of people with one post, who have no idea apart from the post itself.
    """
    line = timeline(seed, people, posts)
    if line.replies[t] >= 0:
        return ()
    ranked: list[tuple[int, int]] = []
    for tie in social.acquaintances(seed, people, line.people[t]):
        if line.count_of(tie.index) < 2:
            continue
        begin, end = line.starts[tie.index], line.starts[tie.index + 1]
        before = bisect_left(line.places, t, begin, end)
        latest = (line.places[place] for place in range(before - 1, begin - 1, -1) if line.replies[line.places[place]] < 0)
        ranked += ((rank, -earlier) for rank, earlier in enumerate(islice(latest, MOST_HEARD)))
    return tuple(sorted(-earlier for _, earlier in sorted(ranked)[:MOST_HEARD]))
