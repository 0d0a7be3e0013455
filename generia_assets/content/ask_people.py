"""Requests to the model about people: the concepts of a batch, and one person in full.

Not here: the templates (prompts/*.j2), the checks (drafts.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from generia_assets.content import axes, social
from generia_assets.content.documents import Acquaintance, Character, CharacterBrief, WorldDescription, WorldRequest
from generia_assets.content.drafts import CharacterDraft, ConceptsDraft, RegeneratedCharacterDraft, RegeneratedConceptDraft
from generia_assets.content.keys import character_index
from generia_assets.content.names import CharacterIndex
from generia_assets.content.plot import plot_posts
from generia_assets.content.prompt import Prompt, Shape, ask
from generia_assets.content.shares import shares
from generia_assets.content.storyline import Slot, storyline, wishes_of
from generia_assets.content.timeline import events_before, timeline

# Output tokens: of a batch, for each person in it, of one person in full.
_OUTPUT_BATCH = 2_048
_OUTPUT_PERSON = 700
_OUTPUT_CHARACTER = 8_192


@dataclass(frozen=True)
class TieToDescribe:
    """A tie whose fact is asked for: the two indices, the lower one ``elder``, and the tie in whole sentences."""

    elder: int
    newer: int
    says: str


def ties_to_describe(
    request: WorldRequest, numbers: Sequence[int], first: int, known: Mapping[int, CharacterBrief]
) -> tuple[TieToDescribe, ...]:
    """The ties between the people asked for, and with those who exist (``known``, by index); each once."""
    asked, whom = {first + number - 1 for number in numbers}, _called(numbers, first, known)
    return tuple(
        TieToDescribe(
            elder=min(index, tie.index),
            newer=max(index, tie.index),
            says=f"{tie.sentence(whom[index], whom[tie.index])}. Between them: {tie.between}.",
        )
        for index in sorted(asked)
        for tie in social.acquaintances(request.seed, request.users_count, index, request.size.former)
        if tie.index in known or (tie.index in asked and tie.index > index)
    )


def _called(numbers: Sequence[int], first: int, known: Mapping[int, CharacterBrief]) -> dict[int, str]:
    """What the request calls people, by index: those asked for by their numbers, those who exist by their names."""
    names = {index: f"{brief.display_name} (@{brief.username})" for index, brief in known.items()}
    return names | {first + number - 1: f"number {number}" for number in numbers}


@dataclass(frozen=True)
class StepToInvent:
    """A step of the plot that is asked for: the index of who tells it, of whom their post names (-1: nobody), and the post."""

    teller: int
    named: int
    slot: Slot

    @property
    def t(self) -> int:
        return self.slot.t


def steps_to_invent(request: WorldRequest, world: WorldDescription, first: int) -> tuple[StepToInvent, ...]:
    """The steps of the plot of the batch that begins with the character with the index ``first``."""
    line = timeline(request.seed, *request.size)
    steps: list[StepToInvent] = []
    for t in plot_posts(request.seed, request.size, first):
        teller = line.people[t]
        slot = storyline(request, world, teller).slots[line.orders[t]]
        ties = social.acquaintances(request.seed, request.users_count, teller, request.size.former)
        steps.append(StepToInvent(teller, ties[slot.partner - 1].index if slot.partner else -1, slot))
    return tuple(steps)


def happened_when_joining(request: WorldRequest, world: WorldDescription, index: int) -> int:
    """How many events have happened when the character with this index joins; they do not know later ones."""
    line = timeline(request.seed, *request.size)
    joined = line.joined(index)
    time = line.times[joined] if joined < len(line) else joined
    return events_before(request.seed, request.size.calendar_posts, len(world.calendar), time)


def character_batch(
    request: WorldRequest,
    world: WorldDescription,
    *,
    first: int,
    numbers: Sequence[int],
    characters: CharacterIndex,
    made: Sequence[CharacterBrief] = (),
    mild: bool = False,
) -> Prompt:
    """Asks for the concepts of these ``numbers`` of a batch, counted from 1; number 1 is the character with index ``first``.

    ``characters`` are the people of earlier batches, ``made`` those of this batch that an earlier answer gave. ``mild`` leaves out
    the user's sentence and what happened in the world and between people, for use after refusals.
    """
    existing = characters.count + len(made)
    joined = 0 if mild else happened_when_joining(request, world, first)
    given = shares(request.seed, *request.size)
    known = by_index((*characters.latest, *made))
    ties, whom = () if mild else ties_to_describe(request, numbers, first, known), _called(numbers, first, known)
    steps = () if mild else steps_to_invent(request, world, first)
    return ask(
        request,
        world,
        "character_batch",
        ConceptsDraft,
        _OUTPUT_BATCH + _OUTPUT_PERSON * len(numbers),
        Shape(
            items=(("people", len(numbers), len(numbers)),),
            ranges=(("people.number", min(numbers), max(numbers)),),
            slots=(("ties", slots_of("tie", ties)), ("plot", slots_of("step", steps))),
        ),
        extent="world_in_short" if mild else "world",
        joined=joined,
        happened=max((joined, *(step.slot.after for step in steps))),
        made=made,
        wanted=[
            {
                "number": index - first + 1,
                "axes": axes.character_axes(request.seed, index),
                "posts": given[index],
                "secret": axes.profile(request.seed, index).secret,
                "wish": "" if mild else _wish(request, world, index),
                "opens": _opens(request, index),
            }
            for index in (first + number - 1 for number in numbers)
        ],
        ties=ties,
        steps=[(step.slot, whom[step.teller], whom.get(step.named, "")) for step in steps],
        wishes=wishes_of(request, world),
        total=request.users_count,
        existing=existing,
        to_come=max(0, request.users_count - existing - len(numbers)),
        names=characters.names,
        latest=(*characters.latest, *made),
        unnamed=characters.unnamed,
    )


def _opens(request: WorldRequest, index: int) -> bool:
    """Whether the first post of the world is by this person."""
    return index in timeline(request.seed, *request.size).people[:1]


def _wish(request: WorldRequest, world: WorldDescription, index: int) -> str:
    """The wish that this person's account lives on: each one once before any comes twice."""
    return axes.balanced_sample(request.seed, "wishes of accounts", wishes_of(request, world), index)


def by_index(briefs: Sequence[CharacterBrief]) -> dict[int, CharacterBrief]:
    return {character_index(brief.key): brief for brief in briefs}


def slots_of(what: str, wanted: Sequence[object]) -> tuple[str, ...]:
    """The names under which something about each of the ``wanted`` is asked for: ``tie_1``, or ``person_1``, is the first.

    Slots instead of an array: complete and without repeats by construction, and one schema for all with as many.
    """
    return tuple(f"{what}_{place}" for place in range(1, len(wanted) + 1))


def regenerated_concept(
    request: WorldRequest,
    world: WorldDescription,
    former: CharacterBrief,
    others: Sequence[CharacterBrief],
    acquaintances: Sequence[Acquaintance],
    *,
    mild: bool = False,
) -> Prompt:
    """Asks for another concept under the name of ``former``, similar to none of the ``others``, whose concepts are in the request
    in full.

    ``mild`` has one line of each, and the world in short, for use after refusals.
    """
    index = character_index(former.key)
    return ask(
        request,
        world,
        "character_batch",
        RegeneratedConceptDraft,
        _OUTPUT_BATCH + _OUTPUT_PERSON,
        Shape(slots=(("ties", slots_of("person", acquaintances)),)),
        template="regenerate_character",
        extent="world_in_short" if mild else "world",
        mild=mild,
        happened=0 if mild else happened_when_joining(request, world, index),
        former=former,
        others=others,
        axes=axes.character_axes(request.seed, index, former.selves + 1),
        secret=axes.profile(request.seed, index, former.selves + 1).secret,
        wish="" if mild else _wish(request, world, index),
        opens=_opens(request, index),
        acquaintances=acquaintances,
        wishes=wishes_of(request, world),
    )


def character(
    request: WorldRequest,
    world: WorldDescription,
    brief: CharacterBrief,
    acquaintances: Sequence[Acquaintance],
    *,
    described_by: Sequence[Character] = (),
    softened: str = "",
    mild: bool = False,
) -> Prompt:
    """Asks for a person in full. ``mild`` leaves out the concept, the draw, what happened and all but one line of others, for when
    these are what is refused.

    ``described_by``: people who stay as they are and describe this one already; their side of the relation is asked for, too.
    """
    index = character_index(brief.key)
    return ask(
        request,
        world,
        "character",
        RegeneratedCharacterDraft if described_by else CharacterDraft,
        _OUTPUT_CHARACTER,
        Shape(
            items=(("story", 2, 6), ("interests", 4, 6), ("common_topics", 4, 6)),
            slots=(("relations", slots_of("person", acquaintances)),),
        ),
        happened=0 if mild else happened_when_joining(request, world, index),
        brief=brief,
        axes=brief.axes,
        profile=axes.profile(request.seed, index, brief.selves),
        wishes=wishes_of(request, world),
        acquaintances=[other.model_copy(update={"concept": "", "fact": ""}) for other in acquaintances] if mild else acquaintances,
        described_by={other.username: other.speaking_style for other in described_by},
        relations={},
        label="person_",
        softened=softened,
        mild=mild,
    )
