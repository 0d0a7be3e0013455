"""Storylines: what a character's posts are, one after another, before anyone thinks of an idea.

Here: the seeded draw of form, length, event, partner and place in the story for each post. Not here: the forms themselves
(data/posts.yaml) and the ideas, which are the model's. Like the axes, a plan is a suggestion that the world's logic may bend.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from generia_assets.content import axes, data_files, draw
from generia_assets.content.data_files import PostForm

_EVENT_SHARE = 0.4
"""Share of a character's posts that hang on the world's calendar; the others hang on their own life."""
_PARTNER_SHARE = 0.35
"""Share of the posts that involve somebody they know, beside the forms that cannot do without."""


@dataclass(frozen=True)
class Slot:
    """One post to be. ``event`` counts the calendar's events and ``partner`` the acquaintances, both from 1; 0 is none."""

    order: int
    form: PostForm
    length: str
    event: int
    partner: int
    beat: str


@dataclass(frozen=True)
class Storyline:
    """All posts of one character in the order of their life, and what changes on the way."""

    arc: str
    slots: tuple[Slot, ...]


def _beats(order: int, total: int) -> tuple[str, ...]:
    beats = data_files.post_kinds().beats
    if total == 1:
        return beats.only
    if order == 0:
        return beats.first
    if order == total - 1:
        return beats.last
    place = order / (total - 1)
    return beats.early if place < 0.4 else beats.middle if place < 0.7 else beats.late


@lru_cache(maxsize=512)
def storyline(seed: int, index: int, posts: int, events: int, people: int) -> Storyline:
    """The plan of the ``posts`` of the character with this index, in a world with ``events``, who knows ``people`` others.

    No form comes twice before every form came once, no arc before so many people had every other; events keep the order of the
    calendar, so a character's posts move forward in time.
    """
    kinds = data_files.post_kinds()
    lot = draw.lot(seed, "storyline", index)
    arc = axes.dealt(seed, "arc", kinds.arcs, index)
    possible = [form for form in kinds.forms if people or not form.needs_someone]
    forms: list[PostForm] = []
    lengths: list[str] = []
    while len(forms) < posts:
        forms += lot.sample(possible, len(possible))
    while len(lengths) < posts:
        lengths += lot.sample(kinds.lengths, len(kinds.lengths))
    hanging = sorted(lot.sample(range(posts), round(posts * _EVENT_SHARE))) if events else []
    if events and posts == 1:
        # One post alone would never hang on anything: let it half of the time.
        hanging = [0] if lot.random() < 0.5 else []
    drawn = sorted(lot.randrange(events) + 1 for _ in hanging) if events else []
    event_of = dict(zip(hanging, drawn, strict=True))
    slots = tuple(
        Slot(
            order=order,
            form=forms[order],
            length=lengths[order],
            event=event_of.get(order, 0),
            partner=lot.randrange(people) + 1 if people and (forms[order].needs_someone or lot.random() < _PARTNER_SHARE) else 0,
            beat=draw.lot(seed, "beat", index, order).choice(_beats(order, posts)),
        )
        for order in range(posts)
    )
    return Storyline(arc, slots)
