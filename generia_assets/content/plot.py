"""The plot: what happens among the people of a batch while they post, step by step.

Here: which posts tell its steps, drawn from the seed before any person is invented. Not here: the steps, which the model invents
together with the people (ask_people.py), and what else posts are about (storyline.py). People of an extension have no plot.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

from generia_assets.content.shares import BATCH, Size
from generia_assets.content.social import acquaintances
from generia_assets.content.timeline import timeline

MOST_STEPS = 5
"""Steps of one plot."""
_LEAST_STEPS = 2
_POSTS_A_STEP = 4
"""Posts of a batch for each step of its plot: the others each tell something of their own."""


def plot_posts(seed: int, size: Size, index: int) -> Sequence[int]:
    """The places ``t`` of the posts that tell the plot of this person's batch, in their order. None of them is a reply, a
    vignette, or anybody's first post."""
    while size.former is not None:
        size = size.former
    return _plots(seed, size).get(index // BATCH, ()) if index < size.people else ()


@lru_cache(maxsize=8)
def _plots(seed: int, size: Size) -> Mapping[int, Sequence[int]]:
    """The posts of each batch's plot: of those that can tell a step, the first, the last, and some evenly between.

    It is told by the author of the last one and by people who know that author, so that they comment on each other's steps; where
    these have too few posts, by anybody of the batch.
    """
    line = timeline(seed, *size)
    able: defaultdict[int, list[int]] = defaultdict(list)
    for t, (person, order, replied) in enumerate(zip(line.people, line.orders, line.replies, strict=True)):
        others = able[person // BATCH]
        if order and replied < 0 and not line.vignettes[t]:
            others.append(t)
    posts = Counter(person // BATCH for person in line.people)
    plots: dict[int, Sequence[int]] = {}
    for batch, those in able.items():
        steps = min(len(those), MOST_STEPS, (posts[batch] + 2) // _POSTS_A_STEP)
        if steps < _LEAST_STEPS:
            continue
        last = line.people[those[-1]]
        tellers = {last, *(tie.index for tie in acquaintances(seed, size.people, last))}
        theirs = [t for t in those if line.people[t] in tellers]
        if len(theirs) >= steps and len({line.people[t] for t in theirs}) > 1:
            those = theirs
        plots[batch] = [those[place * (len(those) - 1) // (steps - 1)] for place in range(steps)]
    return plots
