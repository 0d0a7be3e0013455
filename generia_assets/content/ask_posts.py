"""What the model is asked about posts: the ideas of a batch, and one post in full.

Here: which data goes into which template, and the shape of the answer. Not here: the words (prompts/*.j2), the checks (drafts.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from generia_assets.content import axes
from generia_assets.content.documents import Acquaintance, Character, PostBrief, WorldDescription, WorldRequest, character_index
from generia_assets.content.drafts import IdeasDraft, PostDraft
from generia_assets.content.ideas import Ideas
from generia_assets.content.prefix import ask
from generia_assets.content.prompt import Prompt
from generia_assets.content.schemas import Shape
from generia_assets.content.storyline import Storyline, storyline

IDEAS_WEIGHED = 2
"""Candidates with probabilities for each post (verbalized sampling)."""

# Output tokens: of a batch, for each idea in it, of one post.
_ROOM_BATCH = 2_048
_ROOM_IDEA = 500
_ROOM_POST = 4_096

_STORY_BEFORE = 3
_STORY_AFTER = 1
"""Ideas before and after a post that are told with it."""


def line_of(
    request: WorldRequest, world: WorldDescription, character_: Character, acquaintances: Sequence[Acquaintance]
) -> Storyline:
    """The plan of this character's posts; the same for the ideas and for each post."""
    index = character_index(character_.key)
    drawn_from = axes.self_seed(request.seed, index, character_.selves)
    return storyline(drawn_from, index, character_.posts_count, len(world.calendar), len(acquaintances))


def _told_relations(character_: Character) -> dict[str, str]:
    """What this person says of those they know, by username: with the one thing that really happened between the two."""
    return {tie.username: tie.description for tie in character_.relationships}


def post_batch(
    request: WorldRequest,
    world: WorldDescription,
    character_: Character,
    acquaintances: Sequence[Acquaintance],
    *,
    first: int,
    numbers: Sequence[int],
    earlier: Ideas,
    made: Sequence[PostBrief] = (),
    softened: str = "",
) -> Prompt:
    """Asks for the ideas of these ``numbers`` of a batch, counted from 1; number 1 is the post with order ``first``.

    ``earlier`` are the ideas of this character's former batches, ``made`` those of this batch that an earlier answer gave.
    """
    existing = earlier.count + len(made)
    line = line_of(request, world, character_, acquaintances)
    return ask(
        request,
        world,
        "post_batch",
        IdeasDraft,
        _ROOM_BATCH + _ROOM_IDEA * len(numbers),
        Shape(
            items=(
                ("ideas", len(numbers), len(numbers)),
                ("ideas.considered", IDEAS_WEIGHED, IDEAS_WEIGHED),
                *((("ideas.mentions", 0, 2),) if acquaintances else ()),
            ),
            ranges=(
                ("ideas.number", min(numbers), max(numbers)),
                ("ideas.event", 0, len(world.calendar)),
                *((("ideas.mentions", 1, len(acquaintances)),) if acquaintances else ()),
            ),
            without=() if acquaintances else ("ideas.mentions",),
        ),
        wanted=[(number, line.slots[first + number - 1]) for number in numbers],
        total=character_.posts_count,
        existing=existing,
        to_come=max(0, character_.posts_count - existing - len(numbers)),
        arc=line.arc,
        ideas_weighed=IDEAS_WEIGHED,
        character=character_,
        axes=axes.posting_axes(request.seed, character_index(character_.key), character_.selves),
        acquaintances=acquaintances,
        relations=_told_relations(character_),
        long_before=earlier.spread,
        latest=(*earlier.latest, *made),
        softened=softened,
    )


def post(
    request: WorldRequest,
    world: WorldDescription,
    character_: Character,
    brief: PostBrief,
    acquaintances: Sequence[Acquaintance],
    story: Sequence[PostBrief],
    *,
    softened: str = "",
    former: str = "",
) -> Prompt:
    """Asks for a post in full.

    ``story``: this character's ideas, of which the nearest are told; ``former``: the text it replaces.
    """
    slot = line_of(request, world, character_, acquaintances).slots[brief.order]
    ordered = sorted(story, key=lambda other: other.order)
    return ask(
        request,
        world,
        "post",
        PostDraft,
        _ROOM_POST,
        Shape(items=(("hashtags", 0, 4),)),
        character=character_,
        axes=axes.posting_axes(request.seed, character_index(character_.key), character_.selves),
        acquaintances=acquaintances,
        relations=_told_relations(character_),
        brief=brief,
        form=slot.form,
        length=slot.length,
        beat=slot.beat,
        before=[other for other in ordered if other.order < brief.order][-_STORY_BEFORE:],
        after=[other for other in ordered if other.order > brief.order][:_STORY_AFTER],
        softened=softened,
        former=former,
    )
