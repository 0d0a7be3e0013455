"""Requests to the model about a world: its description, its pictures, and (quality ``high``) better picture prompts.

Not here: the templates (prompts/*.j2), the checks (drafts.py).
"""

from __future__ import annotations

from generia_assets.content import prompt
from generia_assets.content.documents import WorldDescription, WorldRequest
from generia_assets.content.drafts import FEWEST_EVENTS, PicturePromptDraft, WorldDraft, WorldImagesDraft
from generia_assets.content.prompt import Prompt, Shape, ask, schema_of
from generia_assets.content.rendering import PromptDelimiter, render

# Output tokens. Far above the length that is asked for: the limit stops a runaway answer, and thinking counts, too.
_OUTPUT_WORLD = 16_384
_OUTPUT_IMAGES = 2_048

_SMALL = 30
"""Posts below which a world has the fewest events."""
_MOST_ASKED = 8
"""Events of the calendar of all other worlds."""
_WORLD_ITEMS = (
    ("wishes", 1, 8),
    ("paragraphs", 2, 10),
    ("custom_details", 4, 7),
    ("common_activities", 6, 8),
    ("typical_stories", 4, 6),
    ("naming_examples", 5, 5),
    ("calendar.days", 6, 6),
    ("hashtags", 5, 8),
)


def world_description(request: WorldRequest, *, softened: str = "") -> Prompt:
    """Asks for the world. ``softened``: the reason of a refusal, to ask for the same for a general audience."""
    events = FEWEST_EVENTS if request.posts_count < _SMALL else _MOST_ASKED  # few enough that each of them has posts
    return Prompt(
        request_type="world_description",
        system=prompt.guessed_system(request),
        world="",
        item=render(
            "world_description",
            delimiter=PromptDelimiter.of(request.seed),
            user_prompt=request.user_prompt,
            users=request.users_count,
            posts=request.posts_count,
            events=events,
            softened=softened,
        ),
        schema=schema_of(WorldDraft, Shape(items=(*_WORLD_ITEMS, ("calendar", FEWEST_EVENTS, events)))),
        max_output_tokens=_OUTPUT_WORLD,
    )


def world_images(request: WorldRequest, world: WorldDescription) -> Prompt:
    return ask(request, world, "world_images", WorldImagesDraft, _OUTPUT_IMAGES)


def refine_picture(request: WorldRequest, world: WorldDescription, kind: str, scene: str, text: str = "") -> Prompt:
    """Quality ``high``: asks for a better prompt of an ``avatar`` or a ``post`` picture of this scene."""
    return ask(
        request,
        world,
        "refine_avatar" if kind == "avatar" else "refine_post_image",
        PicturePromptDraft,
        _OUTPUT_IMAGES,
        template="refine_picture",
        kind=kind,
        scene=scene,
        text=text,
    )
