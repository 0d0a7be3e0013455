"""The social graph: who knows whom in a world, and how, derived from the seed.

Here: ties between indices, and ``introduce``, which returns them with names. Not here: kinds of relation (data/relations.yaml).

Shape: people come in batches of ten, as they are invented. Inside a batch there are two or three circles (rings with a few
chords), joined by one tie between neighbouring circles; sometimes, and always in the first full batch, one person
is a loner without acquaintances. One or two bridges join every batch with the one before it, so a world is one chain of small
circles, any two neighbouring batches are friends of friends, and no person has more than eight acquaintances.

Why so local: both sides must know of a relation, and nothing may wait for the whole world. A character can be written when
the batches of all acquaintances exist (``ready_after``): at once for nearly all, one batch later for the one or two who hold a
bridge to the next. And the ties of any index are computed from the seed and two batches, so a world of 100,000 people needs no
stored graph.

People who join when a world is extended come in batches of their own, counted from the first of them. Their first batch has ties to
the first ten people who were there before, the second to the next ten, and so on. The ties of those people to each other stay.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

from generia_assets.content import axes, data_files, seeding
from generia_assets.content.data_files import RelationKind
from generia_assets.content.documents import Acquaintance, CharacterBrief, WorldDescription, WorldRequest
from generia_assets.content.keys import self_key
from generia_assets.content.shares import BATCH, Size
from generia_assets.content.text import first_sentences

_LONER_CHANCE = 0.25
_LONER_FROM = 6
"""People a batch must have before one of them may be a loner."""
_CHORD_CHANCE = 0.3
_BOTH_NAME, _BOTH_NAME_WHERE_FEW = 0.15, 0.6
"""Share of the ties in which both name each other in posts: gives 15 to 30 % of mentions that are returned. Where few people write
a few posts each, most of the chosen mentions are never written, so the share is higher."""
_FEW = 15
"""People up to which a world has few."""
_TURN_CHANCE = 0.6
"""How often an event of the calendar changed what lies between two people."""
_MEETING = 0.6
"""Share of the people of an extension's batch who know one of those who were there before."""
_MOST_BEFORE_MEETING = 7
"""Acquaintances up to which somebody meets one more in each extension."""

_CONCEPT_SENTENCES = 2
"""Sentences of an acquaintance's concept that requests contain."""
_OF_THEIR_BRIEF = ("key", "username", "display_name", "kind", "age", "trade", "look", "selves")

ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class SeededRelation:
    """One side of a relation.

    ``relation`` is what the other is to this one; ``between`` is the same on both sides; ``turn`` chooses the event of the
    calendar that changed it (modulo the calendar's length), None for no event. ``names``: whether this one names the
    other in posts; of most pairs only one does. ``kind`` with ``is_first`` gives the whole sentence.
    """

    index: int
    relation: str
    between: str
    turn: int | None
    names: bool
    kind: RelationKind
    is_first: bool

    def sentence(self, this: str, other: str) -> str:
        """The relation as one unambiguous sentence, the same from both sides."""
        first, second = (this, other) if self.is_first else (other, this)
        return self.kind.says.format(first=first, second=second)


def batch_of(index: int) -> int:
    return index // BATCH


def _members(count: int, batch: int, former: Size | None) -> range:
    """The people of a batch of those who joined after ``former``."""
    first = (0 if former is None else former.people) + batch * BATCH
    return range(first, min(count, first + BATCH))


def _drawn_for(seed: int, former: Size | None) -> int:
    return seeding.seed_of(seed, 0 if former is None else former.extensions + 1)


@lru_cache(maxsize=256)
def _circles(seed: int, count: int, batch: int, former: Size | None) -> tuple[tuple[int, ...], ...]:
    """The circles of a batch; a person in none of them is a loner."""
    rng = seeding.seeded_rng(_drawn_for(seed, former), "circles", batch)
    people = list(_members(count, batch, former))
    rng.shuffle(people)
    if len(people) >= _LONER_FROM and (batch == 0 or rng.random() < _LONER_CHANCE):
        people.pop()
    if len(people) <= 5:
        return (tuple(people),)
    parts = 2 if len(people) <= 7 else rng.choice((2, 3))
    return tuple(tuple(people[part::parts]) for part in range(parts))


def _pairs_inside(circle: Sequence[int], rng: random.Random) -> list[tuple[int, int]]:
    """A ring through the circle and a few chords."""
    size = len(circle)
    if size < 3:
        return list(pairwise(circle))
    ring = [(circle[place], circle[(place + 1) % size]) for place in range(size)]
    chords = [(circle[place], circle[(place + 2) % size]) for place in range(size // 2) if rng.random() < _CHORD_CHANCE]
    return ring + (chords if size > 3 else [])


def _balanced_choices(values: Sequence[ValueT], count: int, rng: random.Random) -> list[ValueT]:
    """So many random values, each once before any comes twice: no person gets three siblings by accident."""
    chosen: list[ValueT] = []
    while len(chosen) < count:
        chosen += rng.sample(values, len(values))
    return chosen[:count]


@lru_cache(maxsize=256)
def _edges(seed: int, count: int, batch: int, former: Size | None) -> tuple[tuple[int, SeededRelation], ...]:
    """All ties inside a batch, its bridges to the batch before it, and its ties to people who were there before an extension.

    Each from both sides, with the index of the person whose side it is.
    """
    members = _members(count, batch, former)
    if not members:
        return ()
    relations = data_files.relations()
    rng = seeding.seeded_rng(_drawn_for(seed, former), "ties", batch)
    circles = _circles(seed, count, batch, former)
    near = [pair for circle in circles for pair in _pairs_inside(circle, rng)]
    far = [(rng.choice(one), rng.choice(other)) for one, other in pairwise(circles)]
    if batch > 0:
        here = rng.sample([person for circle in circles for person in circle], k=min(2, sum(map(len, circles))))
        there = rng.sample([person for circle in _circles(seed, count, batch - 1, former) for person in circle], k=2)
        bridges = 1 + (rng.random() < 0.5)
        far += list(zip(there, here, strict=False))[:bridges]
    if former is not None:
        far += list(zip(_who_meet(seed, batch, former, rng), rng.sample(members, math.ceil(_MEETING * len(members))), strict=False))

    between = iter(_balanced_choices(relations.between, len(near) + len(far), rng))
    held: defaultdict[int, set[str]] = defaultdict(set)
    edges: list[tuple[int, SeededRelation]] = []
    for pairs, kinds in ((near, relations.near), (far, relations.far)):
        deck: list[RelationKind] = []
        for pair in pairs:
            # Which of the two is the teacher and which the pupil is random, where their ages allow both.
            sides = [pair, (pair[1], pair[0])] if rng.random() < 0.5 else [(pair[1], pair[0]), pair]
            if not _first_fitting(seed, deck, sides, held, members):
                deck += rng.sample(kinds, len(kinds))
            kind, (left, right) = _first_fitting(seed, deck, sides, held, members) or (deck[0], sides[0])
            deck.remove(kind)
            for person in pair:
                held[person].add(kind.once)
            turn = rng.randrange(2**16) if rng.random() < _TURN_CHANCE else None
            # Chosen independently: in a network most people are named by others than those whom they name themselves.
            both, one = rng.random() < (_BOTH_NAME if count > _FEW else _BOTH_NAME_WHERE_FEW), rng.random() < 0.5
            same = next(between), turn
            edges.append((left, SeededRelation(right, kind.one, *same, both or one, kind, is_first=True)))
            edges.append((right, SeededRelation(left, kind.other, *same, both or not one, kind, is_first=False)))
    return tuple(edges)


def _first_fitting(
    seed: int,
    deck: Sequence[RelationKind],
    sides: Sequence[tuple[int, int]],
    held: Mapping[int, set[str]],
    members: Collection[int],
) -> tuple[RelationKind, tuple[int, int]] | None:
    """The first of these kinds that fits the ages of the two people, with their sides in it."""
    for kind in deck:
        for left, right in sides:
            one, other = axes.years(seed, left), axes.years(seed, right)
            least, most = kind.older_by or (-200, 200)
            # A bridge has no tie that excludes others: the ties of the person outside of the batch are not known here.
            bridge = left not in members or right not in members
            alone = not kind.once or not (bridge or kind.once in held[left] or kind.once in held[right])
            if alone and least <= other - one <= most and min(one, other) >= kind.both_from:
                return kind, (left, right)
    return None


def _who_meet(seed: int, batch: int, former: Size, rng: random.Random) -> list[int]:
    """The people of the former world whom this batch of new people meets, in random order."""
    there = [
        index
        for index in range(batch * BATCH, min(former.people, (batch + 1) * BATCH))
        if len(acquaintances(seed, former.people, index, former.former)) < _MOST_BEFORE_MEETING
    ]
    return rng.sample(there, len(there))


@lru_cache(maxsize=4096)
def acquaintances(seed: int, count: int, index: int, former: Size | None = None) -> tuple[SeededRelation, ...]:
    """Whom the character with this index knows in a world of ``count`` people, by index, in order. ``former``: as in ``Size``.

    Symmetric: each of these people has this character among their acquaintances, with the other side of the same relation.
    """
    if former is not None and index < former.people:
        known = acquaintances(seed, former.people, index, former.former)
        edges, ties = _edges(seed, count, batch_of(index), former), {tie.index: tie for tie in known}
    else:
        batch = (index - (0 if former is None else former.people)) // BATCH
        edges, ties = (*_edges(seed, count, batch, former), *_edges(seed, count, batch + 1, former)), {}
    for whose, tie in edges:
        if whose == index:
            ties.setdefault(tie.index, tie)
    return tuple(ties[other] for other in sorted(ties))


def ready_after(seed: int, count: int, index: int, former: Size | None = None) -> int:
    """The batch after whose concepts this character can be written: its own, or the last one of an acquaintance."""
    return max((batch_of(tie.index) for tie in acquaintances(seed, count, index, former)), default=batch_of(index))


def _fact_between(one: CharacterBrief, other: CharacterBrief) -> str:
    """One of the two briefs has it."""
    return one.facts.get(self_key(other.key, other.selves), "") or other.facts.get(self_key(one.key, one.selves), "")


def introduce(
    request: WorldRequest, world: WorldDescription, index: int, briefs: Mapping[int, CharacterBrief]
) -> tuple[Acquaintance, ...]:
    """The acquaintances of the character with this index, by name; those whose brief is not among ``briefs`` are left out.

    ``briefs`` by index: those of the character's own batch and of its neighbours suffice, the character's own among them.
    """
    turns = data_files.relations().turns
    own = briefs.get(index)
    return tuple(
        Acquaintance(
            **{name: getattr(other, name) for name in _OF_THEIR_BRIEF},
            relationship_type=tie.relation,
            summary=other.one_line,
            between=tie.between,
            concept=first_sentences(other.concept, _CONCEPT_SENTENCES),
            tie=tie.sentence(own.display_name if own else "this person", other.display_name),
            fact=_fact_between(own, other) if own else "",
            changed_by=0 if tie.turn is None or not world.calendar else tie.turn % len(world.calendar) + 1,
            change="" if tie.turn is None else turns[tie.turn % len(turns)],
            names=tie.names,
        )
        for tie in acquaintances(request.seed, request.users_count, index, request.size.former)
        if (other := briefs.get(tie.index)) is not None
    )
