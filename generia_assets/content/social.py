"""The social graph: who knows whom in a world, and how, decided by the program from the seed.

Here: ties between indices, and ``introduce``, which puts names to them. Not here: kinds of relation (data/relations.yaml).

Shape: people come in batches of ten, as they are invented. Inside a batch there are two or three circles (rings with a few
chords), joined by one tie between neighbouring circles; now and then, and always in the first full batch, someone is a
loner who knows nobody. One or two bridges join every batch with the one before it, so a world is one chain of small
circles, any two neighbouring batches are friends of friends, and nobody has more than eight acquaintances.

Why so local: both sides must know of a relation, and nothing may wait for the whole world. A character can be written when
the batches of all acquaintances exist (``ready_after``): at once for nearly all, one batch later for the one or two who hold a
bridge to the next. And the ties of any index are computed from the seed and two batches, so a world of 100,000 people needs no
stored graph.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

from generia_assets.content import data_files, draw
from generia_assets.content.data_files import RelationKind
from generia_assets.content.documents import Acquaintance, CharacterBrief, WorldDescription, WorldRequest, character_key
from generia_assets.content.shares import BATCH

_LONER_CHANCE = 0.25
_LONER_FROM = 6
"""People a batch must have before one of them may be a loner."""
_CHORD_CHANCE = 0.3
_BOTH_NAME = 0.15
"""Share of the ties in which both name each other in posts: gives 15 to 30 % of mentions that are returned."""
_TURN_CHANCE = 0.6
"""How often an event of the calendar changed what lies between two people."""


CardT = TypeVar("CardT")


@dataclass(frozen=True)
class _Edge:
    """A tie seen from neither side: ``kind.one`` is what ``right`` is to ``left``."""

    left: int
    right: int
    kind: RelationKind
    between: str
    turn: int | None
    left_names: bool
    right_names: bool


@dataclass(frozen=True)
class Tie:
    """One side of a relation.

    ``relation`` is what the other is to this one; ``between`` is the same on both sides; ``turn`` draws the event of the
    calendar that changed it (take it modulo the calendar's length), None for no event. ``names``: whether this one names the other in
    posts; of most pairs only one does.
    """

    index: int
    relation: str
    between: str
    turn: int | None
    names: bool


def batch_of(index: int) -> int:
    """The batch in which the character with this index is invented."""
    return index // BATCH


def _members(count: int, batch: int) -> range:
    return range(batch * BATCH, min(count, (batch + 1) * BATCH))


@lru_cache(maxsize=256)
def _circles(seed: int, count: int, batch: int) -> tuple[tuple[int, ...], ...]:
    """The circles of a batch; whoever is in none of them is a loner."""
    lot = draw.lot(seed, "circles", batch)
    people = list(_members(count, batch))
    lot.shuffle(people)
    if len(people) >= _LONER_FROM and (batch == 0 or lot.random() < _LONER_CHANCE):
        people.pop()
    if len(people) <= 4:
        return (tuple(people),)
    parts = 2 if len(people) <= 7 else lot.choice((2, 3))
    return tuple(tuple(people[part::parts]) for part in range(parts))


def _pairs_inside(circle: Sequence[int], lot: random.Random) -> list[tuple[int, int]]:
    """A ring through the circle and a few chords."""
    size = len(circle)
    if size < 2:
        return []
    if size == 2:
        return [(circle[0], circle[1])]
    ring = [(circle[place], circle[(place + 1) % size]) for place in range(size)]
    chords = [(circle[place], circle[(place + 2) % size]) for place in range(size // 2) if lot.random() < _CHORD_CHANCE]
    return ring + (chords if size > 3 else [])


def _dealt(cards: Sequence[CardT], count: int, lot: random.Random) -> list[CardT]:
    """So many of these, each once before any comes twice: nobody gets three siblings by accident."""
    dealt: list[CardT] = []
    while len(dealt) < count:
        dealt += lot.sample(cards, len(cards))
    return dealt[:count]


@lru_cache(maxsize=256)
def _edges(seed: int, count: int, batch: int) -> tuple[_Edge, ...]:
    """All ties inside a batch, and its bridges to the batch before it."""
    if batch < 0 or not _members(count, batch):
        return ()
    relations = data_files.relations()
    lot = draw.lot(seed, "ties", batch)
    circles = _circles(seed, count, batch)
    near = [pair for circle in circles for pair in _pairs_inside(circle, lot)]
    far = [(lot.choice(one), lot.choice(other)) for one, other in pairwise(circles)]
    if batch > 0:
        here = lot.sample([person for circle in circles for person in circle], k=min(2, sum(map(len, circles))))
        there = lot.sample([person for circle in _circles(seed, count, batch - 1) for person in circle], k=2)
        bridges = 1 + (lot.random() < 0.5)
        far += list(zip(there, here, strict=False))[:bridges]

    between = _dealt(relations.between, len(near) + len(far), lot)
    kinds = _dealt(relations.near, len(near), lot) + _dealt(relations.far, len(far), lot)

    def edge(pair: tuple[int, int], kind: RelationKind, words: str) -> _Edge:
        # Who is teacher and who is pupil is a matter of chance, not of who was invented first.
        left, right = pair if lot.random() < 0.5 else (pair[1], pair[0])
        turn = lot.randrange(2**16) if lot.random() < _TURN_CHANCE else None
        # Drawn apart: in a network most people are named by others than those whom they name themselves.
        both, one = lot.random() < _BOTH_NAME, lot.random() < 0.5
        return _Edge(left, right, kind, words, turn, left_names=both or one, right_names=both or not one)

    return tuple(edge(*drawn) for drawn in zip(near + far, kinds, between, strict=True))


def acquaintances(seed: int, count: int, index: int) -> tuple[Tie, ...]:
    """Whom the character with this index knows in a world of ``count`` people, by index, in order.

    Symmetric: whoever is in the answer has this character in theirs, with the other word for the same relation.
    """
    batch = batch_of(index)
    ties: dict[int, Tie] = {}
    for edge in (*_edges(seed, count, batch), *_edges(seed, count, batch + 1)):
        if edge.left == index:
            ties.setdefault(edge.right, Tie(edge.right, edge.kind.one, edge.between, edge.turn, edge.left_names))
        elif edge.right == index:
            ties.setdefault(edge.left, Tie(edge.left, edge.kind.other, edge.between, edge.turn, edge.right_names))
    return tuple(ties[other] for other in sorted(ties))


def ready_after(seed: int, count: int, index: int) -> int:
    """The batch after whose concepts this character can be written: its own, or the next when it holds a bridge there."""
    return max((batch_of(tie.index) for tie in acquaintances(seed, count, index)), default=batch_of(index))


def between_words(tie: Tie, world: WorldDescription) -> str:
    """What lies between the two, with the event that changed it."""
    if tie.turn is None or not world.calendar:
        return tie.between
    event = world.calendar[tie.turn % len(world.calendar)]
    return f"{tie.between}; it changed at “{event.name}”"


def introduce(
    request: WorldRequest, world: WorldDescription, index: int, briefs: Mapping[int, CharacterBrief]
) -> tuple[Acquaintance, ...]:
    """The acquaintances of the character with this index, by name; those whose brief is not among ``briefs`` are left out.

    ``briefs`` by index: those of the character's own batch and of its neighbours suffice.
    """
    return tuple(
        Acquaintance(
            key=character_key(tie.index),
            username=briefs[tie.index].username,
            display_name=briefs[tie.index].display_name,
            relationship_type=tie.relation,
            summary=briefs[tie.index].one_line,
            between=between_words(tie, world),
        )
        for tie in acquaintances(request.seed, request.users_count, index)
        if tie.index in briefs
    )
