"""What all nine assets have in common: group, owner, kinds, code version, where their documents lie.

Here: one function that describes an asset, so that the nine agree. A code version is the fingerprint of what decides an asset's
content: its task's code, and the prompts and data it is asked with (``MADE_WITH``); a changed prompt shows in the UI as a changed
code version of the assets that are asked for with it, and of no others.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

from generia_assets import content
from generia_assets.catalog import ASSETS

OWNER = "team:generia"

GROUPS: Mapping[str, str] = {
    "world_request": "world",
    "world_description": "world",
    "world_images": "world",
    "character_briefs": "people",
    "characters": "people",
    "character_avatars": "people",
    "post_briefs": "posts",
    "posts": "posts",
    "post_images": "posts",
}
DESCRIPTIONS: Mapping[str, str] = {
    "world_request": "What was ordered: the user's sentence, how many people and posts, the quality; checked. Task type "
    "`init_world_creation`. A new world by hand: job `new_world`.",
    "world_description": "The world itself: name, 2-30 paragraphs, customs of naming, a calendar everyone lives by, one visual "
    "style. Loaded by every later task. Task type `generate_world_description`.",
    "world_images": "The world's wide header and its icon. Task type `generate_world_image`.",
    "character_briefs": "Everyone's concept and name, invented ten at a time in one dialog, and their shares of the posts. Task "
    "type `generate_character_batch`. One person as somebody else under the same name: job `rerun_character`.",
    "characters": "Everyone in full: life, looks, voice, secret, relations; known to the platform. Task type "
    "`generate_character`. One person as somebody else: job `rerun_character`.",
    "character_avatars": "Everyone's portrait, as they chose it. Task type `generate_character_avatar`. One again: materialize "
    "with `keys: [c0007]`.",
    "post_briefs": "The ideas of everyone's posts along the world's timeline, in one dialog a person. Task type "
    "`generate_post_batch`. One person's again, with texts and pictures: materialize this, `posts` and `post_images` with "
    "`keys: [c0007]`.",
    "posts": "The posts in full: text, what it replies to, mood, place, mentions, a prompt for the picture. Task type "
    "`generate_post`. One in other words: job `rerun_post`.",
    "post_images": "The posts' pictures; their last act publishes the post on the platform, in the world's order. Task type "
    "`generate_post_image`. One post again: job `rerun_post`.",
}
KINDS: Mapping[str, set[str]] = {
    name: {"python", "mongodb"} | ({"gemini"} if name not in ("world_request", "character_avatars", "post_images") else set())
    for name in ASSETS
}
_EVERY_REQUEST = ("prompts/system.j2", "data/languages.yaml", "data/banlist/*.yaml")
_OF_A_WORLD = (*_EVERY_REQUEST, "prompts/world.j2")
_DRAWS = tuple(f"data/{name}.yaml" for name in ("axes", "people", "posts", "relations"))
_OF_PEOPLE = (*_OF_A_WORLD, "prompts/_calendar.j2", *_DRAWS)
_OF_A_PERSON = (*_OF_PEOPLE, "prompts/_acquaintances.j2")
_OF_POSTS = (*_OF_A_PERSON, "prompts/_person.j2")
_PICTURE = (*_OF_A_WORLD, "prompts/picture.j2", "prompts/refine_picture.j2")

MADE_WITH: Mapping[str, tuple[str, ...]] = {
    "world_request": ("data/languages.yaml",),
    "world_description": (*_EVERY_REQUEST, "prompts/world_description.j2", "prompts/complaints.j2"),
    "world_images": (*_OF_A_WORLD, "prompts/world_images.j2", "prompts/picture.j2"),
    "character_briefs": (
        *_OF_PEOPLE,
        *(f"prompts/{name}.j2" for name in ("character_batch", "another_self", "complaints", "world_in_short")),
    ),
    "characters": (*_OF_A_PERSON, "prompts/character.j2", "prompts/complaints.j2"),
    "character_avatars": _PICTURE,
    "post_briefs": (*_OF_POSTS, "prompts/post_batch.j2", "prompts/complaints.j2"),
    "posts": (*_OF_POSTS, "prompts/post.j2", "prompts/picture.j2"),
    "post_images": _PICTURE,
}
"""The templates and data each asset is made with, below content/; tests/assets/test_code_versions.py holds it to what is read."""
_CONTENT = Path(inspect.getfile(content)).parent


def storage_metadata(name: str) -> dict[str, object]:
    """Where the io manager keeps the asset, as definition metadata."""
    place = ASSETS[name]
    return {"collection": place.collection, "one_per_world": place.one_per_world, "task_type": ASSETS[name].task_type.value}


@cache
def code_version(name: str, content_folder: Path = _CONTENT) -> str:
    """Fingerprint of the asset's task, and of the prompts and data it is made with."""
    digest = hashlib.sha256()
    task = inspect.getfile(import_module(f"generia_assets.tasks.{ASSETS[name].task_type.value}"))
    made_with = sorted({path for pattern in MADE_WITH[name] for path in content_folder.glob(pattern)})
    for path in [Path(task), *made_with]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
