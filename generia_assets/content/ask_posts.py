"""Requests to the model about posts: the ideas of a batch, and one post in full.

Not here: the templates (prompts/*.j2), the checks (drafts.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from generia_assets.content import axes, languages
from generia_assets.content.documents import Acquaintance, Character, Post, PostBrief, WorldDescription, WorldRequest
from generia_assets.content.drafts import IdeasDraft, PostDraft
from generia_assets.content.keys import character_index
from generia_assets.content.prompt import Prompt, Shape, ask
from generia_assets.content.similarity import Ideas
from generia_assets.content.storyline import ALONE, Storyline, storyline, wishes_of

# Output tokens: of a batch, for each idea in it, of one post.
_OUTPUT_BATCH = 2_048
_OUTPUT_IDEA = 500
_OUTPUT_POST = 4_096

_STORY_BEFORE = 3
"""This person's earlier ideas that are in the request for a post."""


def line_of(request: WorldRequest, world: WorldDescription, character_: Character) -> Storyline:
    """The plan of this character's posts; the same for the ideas and for each post."""
    return storyline(request, world, character_index(character_.key), character_.selves)


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
    line = line_of(request, world, character_)
    slots = [line.slots[first + number - 1] for number in numbers]
    return ask(
        request,
        world,
        "post_batch",
        IdeasDraft,
        _OUTPUT_BATCH + _OUTPUT_IDEA * len(numbers),
        Shape(items=(("ideas", len(numbers), len(numbers)),), ranges=(("ideas.number", min(numbers), max(numbers)),)),
        extent="world_in_brief",
        wanted=list(zip(numbers, slots, strict=True)),
        plot={step.t: step.what for step in character_.plot},
        wishes=wishes_of(request, world),
        happened=max(slot.after for slot in slots),
        total=character_.posts_count,
        existing=existing,
        to_come=max(0, character_.posts_count - existing - len(numbers)),
        arc=line.arc,
        long_before=earlier.spread,
        latest=(*earlier.latest, *made),
        softened=softened,
        **_person(request, character_, acquaintances),
    )


def _person(request: WorldRequest, character_: Character, acquaintances: Sequence[Acquaintance]) -> dict[str, Any]:
    index = character_index(character_.key)
    return {
        "character": character_,
        "profile": axes.profile(request.seed, index, character_.selves),
        "acquaintances": acquaintances,
        "described_by": {},
        "label": "",
    }


def post(
    request: WorldRequest,
    world: WorldDescription,
    character_: Character,
    brief: PostBrief,
    acquaintances: Sequence[Acquaintance],
    story: Sequence[PostBrief],
    *,
    replied_to: Post | None = None,
    heard: Sequence[PostBrief] = (),
    softened: str = "",
    former: str = "",
) -> Prompt:
    """Asks for a post in full.

    ``story``: this character's ideas, the latest before it are in the request; ``replied_to``: the post it answers; ``heard``:
    earlier ideas of acquaintances; ``former``: the text it replaces.
    """
    slot = line_of(request, world, character_).slots[brief.order]
    partner = acquaintances[slot.partner - 1] if slot.partner else None
    known = replied_to.t + 1 if replied_to else slot.t  # a reply is written soon after its post
    answered = acquaintances[slot.answered - 1] if slot.answered else None
    comments = [acquaintances[place - 1] if place else None for place in slot.comments]
    return ask(
        request,
        world,
        "post",
        PostDraft,
        _OUTPUT_POST,
        Shape(items=(("hashtags", 0, 3), ("comments", len(slot.comments), len(slot.comments)))),
        extent="world_in_brief",
        brief=brief,
        slot=slot,
        plot_before=[step.what for step in character_.plot if step.t < known and slot.form.name not in ALONE],
        step=next((step.what for step in character_.plot if step.t == slot.t), ""),
        wish=wishes_of(request, world)[slot.wish - 1],
        happened=slot.after,
        partner=partner,
        replied_to=replied_to,
        heard=heard,
        inflects=languages.inflects(world.user_preferences.language),
        before=sorted((idea for idea in story if idea.order < brief.order), key=lambda idea: idea.order)[-_STORY_BEFORE:],
        softened=softened,
        former=former,
        planned=brief.idea != brief.of_plan,
        answered=answered,
        comments=comments,
        **_person(
            request,
            character_,
            [other.model_copy(update={"between": ""}) for other in acquaintances if other in (partner, answered, *comments)],
        ),
    )
