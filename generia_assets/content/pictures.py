"""Image prompts: made of the world's visual style and the drafts' prompts, without a model.

Here: the final prompts and the sizes. Not here: the template (prompts/picture.j2), the calls (the tasks). The style comes first in
every image of a world, and a person's looks have the same words in every image of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from generia_assets.content.documents import FrozenModel, WorldDescription
from generia_assets.content.rendering import render
from generia_assets.content.text import one_line, sentence

HEADER_SIZE = (1536, 640)
ICON_SIZE = (512, 512)
AVATAR_SIZE = (512, 512)
POST_SIZE = (1024, 768)
"""Width and height in pixels; multiples of 64, which every image model takes."""

PLAIN_STYLE = "Plain colour photograph in soft daylight."
"""Replaces a world's own style when an image API refuses that."""
KEEP_FACES = (
    "Keep these faces: the same features, hair, skin and age, so that everybody is recognized. "
    "Clothes, pose, light and background are those of the scene, not those of the reference pictures."
)
UNSEEN_SCENE = "Somebody seen from behind at a window, the face turned away, one hand on the sill."
UNSEEN_LOOK = "a figure in a plain grey coat, seen from behind"
"""A person whose looks are refused or not described."""


def picture_prompt(world: WorldDescription, kind: str, scene: str, *, look: str = "", manner: str = "") -> str:
    """The prompt of a ``header``, ``icon``, ``avatar`` or ``post`` picture: the world's style on a line, the scene on the next.

    ``scene``: what is seen; ``look``: the person in it, if any; ``manner``: how the picture was made.
    """
    return _two_lines(_rendered(world.visual_style, kind, scene, look, manner))


def milder_prompts(world: WorldDescription, kind: str) -> tuple[str, str]:
    """The prompts that replace a refused one: a neutral one in the world's style, then one without anything of the world."""
    return neutral_prompt(world, kind), one_line(_rendered(PLAIN_STYLE, kind, neutral=True))


def neutral_prompt(world: WorldDescription, kind: str) -> str:
    """A prompt of the same kind that cannot offend: the world's style and a neutral scene."""
    return _two_lines(_rendered(world.visual_style, kind, neutral=True))


@lru_cache(maxsize=16)  # a picture that is refused has the same prompts as the one before it
def _rendered(style: str, kind: str, scene: str = "", look: str = "", manner: str = "", *, neutral: bool = False) -> str:
    return render("picture", style=sentence(style), kind=kind, scene=scene, look=look, manner=manner, neutral=neutral)


def _two_lines(rendered: str) -> str:
    """Style and scene on two lines: what all images share, and what this one shows."""
    style, _, scene = rendered.strip().partition("\n")
    return f"{one_line(style)}\n{one_line(scene)}"


class Shown(FrozenModel):
    """A person in a picture: what the prompt calls them, their appearance in words, and their avatar's media id, if known."""

    who: str
    look: str = ""
    media_id: str = ""


AUTHOR, FRIEND = "The author", "The friend"
"""What image prompts call the people in a post's picture."""


def is_in(image_prompt: str, who: str) -> bool:
    """Whether the author or the friend stands in the scene; something of theirs does not count ("the author's empty chair")."""
    return re.search(rf"\b{who}\b(?!['’])", image_prompt, re.IGNORECASE) is not None


def scene_with_people(image_prompt: str, people: Sequence[Shown]) -> str:
    looks = (f"{one.who}, face visible: {sentence(one.look)}" for one in people)
    return " ".join((sentence(image_prompt), *looks))


def with_references(prompt: str, people: Sequence[Shown]) -> str:
    """The prompt of a request that has reference pictures of these people, in this order."""
    if not people:
        return prompt
    ordinals = ("first", "second", "third", "fourth")
    named = (f"{one.who} is the person in the {ordinal} picture." for ordinal, one in zip(ordinals, people, strict=False))
    return "\n".join((prompt, " ".join((*named, KEEP_FACES))))
