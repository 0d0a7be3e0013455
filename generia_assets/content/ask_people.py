"""What the model is asked about people: the concepts of a batch, and one person in full.

Here: which data goes into which template, and the shape of the answer. Not here: the words (prompts/*.j2), the checks (drafts.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from generia_assets.content import axes, social
from generia_assets.content.documents import (
    Acquaintance,
    Character,
    CharacterBrief,
    WorldDescription,
    WorldRequest,
    character_index,
)
from generia_assets.content.drafts import AnotherSelfDraft, CharacterAnewDraft, CharacterDraft, ConceptsDraft
from generia_assets.content.names import Roster
from generia_assets.content.prefix import ask
from generia_assets.content.prompt import Prompt
from generia_assets.content.schemas import Shape
from generia_assets.content.shares import shares

IDEAS_WEIGHED = 3
"""Candidates for each person, with probabilities (verbalized sampling): enough to leave the most probable one."""

# Output tokens: of a batch, for each person in it, of one person in full.
_ROOM_BATCH = 2_048
_ROOM_PERSON = 700
_ROOM_CHARACTER = 8_192


@dataclass(frozen=True)
class _ToldTie:
    """A relation in the words of the concept stage: the other by number in this batch, or by name when that name exists."""

    whom: str
    relation: str
    between: str


@dataclass(frozen=True)
class _ToldPerson:
    number: int
    axes: dict[str, str]
    posts: int
    ties: tuple[_ToldTie, ...]


def _told_person(
    request: WorldRequest, world: WorldDescription, first: int, number: int, known: Mapping[int, CharacterBrief], *, mild: bool
) -> _ToldPerson:
    index = first + number - 1

    def whom(other: int) -> str:
        if other in known:
            return f"{known[other].display_name} (@{known[other].username}; {known[other].one_line})"
        if social.batch_of(other) == social.batch_of(index):
            return f"number {other - first + 1}"
        return "somebody who comes later"

    ties = social.acquaintances(request.seed, request.users_count, index)
    return _ToldPerson(
        number=number,
        axes=axes.character_axes(request.seed, index),
        posts=shares(request.seed, request.users_count, request.posts_count)[index],
        ties=tuple(
            _ToldTie(whom(tie.index), tie.relation, tie.between if mild else social.between_words(tie, world)) for tie in ties
        ),
    )


def character_batch(
    request: WorldRequest,
    world: WorldDescription,
    *,
    first: int,
    numbers: Sequence[int],
    roster: Roster,
    made: Sequence[CharacterBrief] = (),
    mild: bool = False,
) -> Prompt:
    """Asks for the concepts of these ``numbers`` of a batch, counted from 1; number 1 is the character with index ``first``.

    ``roster`` are the people of earlier batches, ``made`` those of this batch that an earlier answer gave. ``mild`` leaves out the
    user's sentence and what happened in the world, for when these are what is refused.
    """
    known = {character_index(brief.key): brief for brief in (*roster.latest, *made)}
    existing = roster.count + len(made)
    return ask(
        request,
        world,
        "character_batch",
        ConceptsDraft,
        _ROOM_BATCH + _ROOM_PERSON * len(numbers),
        Shape(
            items=(
                ("people", len(numbers), len(numbers)),
                ("people.considered", IDEAS_WEIGHED, IDEAS_WEIGHED),
            ),
            ranges=(("people.number", min(numbers), max(numbers)),),
        ),
        in_short=mild,
        wanted=[_told_person(request, world, first, number, known, mild=mild) for number in numbers],
        total=request.users_count,
        existing=existing,
        to_come=max(0, request.users_count - existing - len(numbers)),
        names=roster.names,
        latest=(*roster.latest, *made),
        untold=roster.untold,
        ideas_weighed=IDEAS_WEIGHED,
    )


def another_self(
    request: WorldRequest,
    world: WorldDescription,
    former: CharacterBrief,
    others: Sequence[CharacterBrief],
    acquaintances: Sequence[Acquaintance],
    *,
    mild: bool = False,
) -> Prompt:
    """Asks for another concept under the name of ``former``; ``others`` are told in full, so that it is like none of them.

    ``mild`` tells all of them in one line, and the world in short, for when these are what is refused.
    """
    index = character_index(former.key)
    return ask(
        request,
        world,
        "character_batch",
        AnotherSelfDraft,
        _ROOM_BATCH + _ROOM_PERSON,
        Shape(items=(("considered", IDEAS_WEIGHED, IDEAS_WEIGHED),)),
        template="another_self",
        in_short=mild,
        mild=mild,
        former=former,
        others=others,
        axes=axes.character_axes(request.seed, index, former.selves + 1),
        acquaintances=acquaintances,
        ideas_weighed=IDEAS_WEIGHED,
    )


def relation_slots(acquaintances: Sequence[Acquaintance]) -> tuple[str, ...]:
    """The names under which a character's relations are asked for: ``person_1`` is the first acquaintance."""
    return tuple(f"person_{place}" for place in range(1, len(acquaintances) + 1))


def character(
    request: WorldRequest,
    world: WorldDescription,
    brief: CharacterBrief,
    acquaintances: Sequence[Acquaintance],
    *,
    told_by: Sequence[Character] = (),
    softened: str = "",
    mild: bool = False,
) -> Prompt:
    """Asks for a person in full. ``mild`` leaves out the concept and the draw, for when these are what is refused.

    ``told_by`` are people who stay as they are and tell of this one already: their side of the relation is asked for, too.
    """
    # Slots instead of an array: complete and without repeats by construction, and one schema for all with as many.
    slots = relation_slots(acquaintances)
    shape = Shape(
        items=(("story", 2, 6), ("interests", 4, 6), ("common_topics", 4, 6)),
        slots=(("relations", slots),) if slots else (),
        without=() if slots else ("relations",),
    )
    return ask(
        request,
        world,
        "character",
        CharacterAnewDraft if told_by else CharacterDraft,
        _ROOM_CHARACTER,
        shape,
        brief=brief,
        axes=brief.axes,
        acquaintances=acquaintances,
        told={other.username: other.speaking_style for other in told_by},
        softened=softened,
        mild=mild,
    )
