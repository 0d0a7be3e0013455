"""The catalogue: the nine assets and the task types that make them, one row each. Every other table is derived from it.

Not here: how a task makes it (tasks/), what its documents hold (content/documents.py), and what its prompts say (content/prompts).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Self

from generia_assets.asset_spec import AssetSpec, LlmCall, PictureSlot, Unit
from generia_assets.content import documents
from generia_assets.content.documents import Document, Media
from generia_assets.content.pictures import AVATAR_SIZE, HEADER_SIZE, ICON_SIZE, POST_SIZE

_EVERY_REQUEST = ("prompts/system.j2", "data/languages.yaml", "data/banlist/*.yaml")
_OF_A_WORLD = (*_EVERY_REQUEST, "prompts/world.j2")
_CALENDAR = "prompts/_calendar.j2"
_DRAWN = tuple(f"data/{name}.yaml" for name in ("axes", "people", "posts", "relations"))
_OF_PEOPLE = (*_OF_A_WORLD, _CALENDAR, *_DRAWN)
_OF_POSTS = (*_EVERY_REQUEST, *(f"prompts/{name}.j2" for name in ("world_in_brief", "_acquaintances", "_person")), *_DRAWN)
_OF_A_PICTURE = (*_OF_A_WORLD, "prompts/picture.j2", "prompts/refine_picture.j2")
_WORLD = ("world_request", "world_description")


class TaskType(StrEnum):
    """A task type, by the name the platform uses in messages and documents (R4). ``asset``: its row.

    The members are the catalogue, in the order of the work.
    """

    asset: AssetSpec

    def __new__(cls, row: AssetSpec | str) -> Self:
        """A member of a row. (``TaskType("generate_post")`` finds the member and does not come here.)"""
        assert isinstance(row, AssetSpec)  # noqa: S101
        member = str.__new__(cls, row.task_name)
        member._value_ = row.task_name
        member.asset = row
        object.__setattr__(row, "task_type", member)
        return member

    INIT_WORLD_CREATION = AssetSpec(
        task_name="init_world_creation",
        name="world_request",
        holds=documents.WorldRequest,
        unit=Unit.WORLD,
        upstream=(),
        stage="initializing",
        description="What was ordered: the user's sentence, how many people and posts, the quality; checked.",
        rerun="A new world by hand: job `new_world`.",
        content_files=("data/languages.yaml",),
        section="request",
        step="order",
        shown=("user_prompt",),
    )
    GENERATE_WORLD_DESCRIPTION = AssetSpec(
        task_name="generate_world_description",
        name="world_description",
        holds=documents.WorldDescription,
        unit=Unit.WORLD,
        upstream=("world_request",),
        stage="world_description",
        llm_calls=(LlmCall("world_description", 3_900, 3_200),),
        description="The world itself: name, 2-30 paragraphs, customs of naming, a calendar everyone lives by, one visual style. "
        "Loaded by every later task.",
        content_files=(*_EVERY_REQUEST, "prompts/world_description.j2", "prompts/complaints.j2"),
        section="description",
        step="description",
        shown=("name", "description_short", "visual_style"),
        collection="world_parameters",
        one_per_world=True,
    )
    GENERATE_WORLD_IMAGE = AssetSpec(
        task_name="generate_world_image",
        name="world_images",
        holds=documents.WorldImages,
        unit=Unit.WORLD,
        upstream=_WORLD,
        per="world_description",
        stage="world_image",
        llm_calls=(LlmCall("world_images", 2_700, 250),),
        pictures=(
            PictureSlot("world_header", "header", "header", HEADER_SIZE),
            PictureSlot("world_icon", "icon", "icon", ICON_SIZE),
        ),
        description="The world's wide header and its icon.",
        content_files=(*_OF_A_WORLD, "prompts/world_images.j2", "prompts/picture.j2"),
        section="images",
        step="world pictures",
        shown=("header", "icon"),
    )
    GENERATE_CHARACTER_BATCH = AssetSpec(
        task_name="generate_character_batch",
        name="character_briefs",
        holds=documents.CharacterBrief,
        unit=Unit.PEOPLE_BATCH,
        upstream=_WORLD,
        stage="characters",
        llm_calls=(LlmCall("character_batch", 7_800, 2_900),),
        description="Everyone's concept and name, invented ten at a time in one dialog, and their shares of the posts.",
        rerun="One person as somebody else under the same name: job `rerun_character`.",
        content_files=(
            *_OF_PEOPLE,
            *(f"prompts/{name}.j2" for name in ("character_batch", "regenerate_character", "complaints", "world_in_short")),
        ),
        section="briefs",
        step="concept",
        shown=("display_name", "username", "concept", "moderation"),
        begin="concept",
        counts_banned_terms=True,
    )
    GENERATE_CHARACTER = AssetSpec(
        task_name="generate_character",
        name="characters",
        holds=documents.Character,
        unit=Unit.PERSON,
        upstream=(*_WORLD, "character_briefs"),
        stage="characters",
        counter="users_created",
        llm_calls=(LlmCall("character", 4_800, 1_600),),
        description="Everyone in full: life, looks, voice, secret, relations; known to the platform.",
        rerun="One person as somebody else: job `rerun_character`.",
        content_files=(*_OF_PEOPLE, *(f"prompts/{name}.j2" for name in ("_acquaintances", "character", "complaints"))),
        step="character",
        shown=("display_name", "username", "bio", "personality", "speaking_style", "moderation"),
        begin="person",
    )
    GENERATE_CHARACTER_AVATAR = AssetSpec(
        task_name="generate_character_avatar",
        name="character_avatars",
        holds=documents.CharacterAvatar,
        unit=Unit.PERSON,
        upstream=(*_WORLD, "characters"),
        per="characters",
        stage="characters",
        llm_calls=(LlmCall("refine_avatar", 3_200, 130, high_quality_only=True),),
        pictures=(PictureSlot("avatar", "avatar", "avatars", AVATAR_SIZE),),
        description="Everyone's portrait, as they chose it.",
        rerun="One again: materialize with `keys: [c0007]`.",
        content_files=_OF_A_PICTURE,
        section="avatars",
        step="avatar",
        shown=("avatar",),
        begin="avatar",
    )
    GENERATE_POST_BATCH = AssetSpec(
        task_name="generate_post_batch",
        name="post_briefs",
        holds=documents.PostBrief,
        unit=Unit.POST_BATCH,
        upstream=(*_WORLD, "characters"),
        stage="posts",
        llm_calls=(LlmCall("post_batch", 4_100, 650, not_for_one_post=True),),
        description="The ideas of everyone's posts along the world's timeline, in one dialog a person.",
        rerun="One person's again, with texts and pictures: materialize this, `posts` and `post_images` with `keys: [c0007]`.",
        content_files=(*_OF_POSTS, _CALENDAR, "prompts/post_batch.j2", "prompts/complaints.j2"),
        step="idea",
        shown=("t", "after", "moment", "wish", "idea", "form", "event", "mentions", "in_reply_to", "moderation"),
        begin="ideas",
    )
    GENERATE_POST = AssetSpec(
        task_name="generate_post",
        name="posts",
        holds=documents.Post,
        unit=Unit.POST,
        upstream=(*_WORLD, "characters", "post_briefs"),
        stage="posts",
        llm_calls=(LlmCall("post", 3_500, 450),),
        description="The posts in full: text, what it replies to, mood, place, mentions, a prompt for the picture.",
        rerun="One in other words: job `rerun_post`.",
        content_files=(*_OF_POSTS, "prompts/post.j2", "prompts/picture.j2"),
        step="post",
        shown=("in_reply_to", "quote", "content", "comments", "hashtags", "mood", "context", "image_prompt", "deleted_reason"),
        begin="text",
        in_order_of_world=True,
        counts_banned_terms=True,
    )
    GENERATE_POST_IMAGE = AssetSpec(
        task_name="generate_post_image",
        name="post_images",
        holds=documents.PostImage,
        unit=Unit.POST,
        upstream=(*_WORLD, "characters", "posts"),
        stage="posts",
        counter="posts_created",
        llm_calls=(LlmCall("refine_post_image", 3_350, 130, high_quality_only=True),),
        pictures=(PictureSlot("post_image", "image", "posts", POST_SIZE),),
        description="The posts' pictures; their last act publishes the post on the platform, in the world's order.",
        rerun="One post again: job `rerun_post`.",
        content_files=_OF_A_PICTURE,
        step="picture",
        shown=("image", "post_id"),
        begin="picture",
        in_order_of_world=True,
    )


ASSETS: Mapping[str, AssetSpec] = MappingProxyType({task_type.asset.name: task_type.asset for task_type in TaskType})
"""The rows by the asset's name, in the order of the work."""
LLM_CALLS: Mapping[str, LlmCall] = MappingProxyType({call.request_type: call for one in ASSETS.values() for call in one.llm_calls})
"""The calls of the model by request type."""


@cache
def asset_of(document: type[Document]) -> AssetSpec:
    return next(asset for asset in ASSETS.values() if asset.document is document)


def pictures_of(document: Document) -> list[tuple[PictureSlot, Media]]:
    return [(slot, getattr(document, slot.field)) for slot in asset_of(type(document)).pictures]


def upstream_of(name: str) -> tuple[str, ...]:
    """All assets that this one is made of, directly or not, in the order of the work."""
    direct = ASSETS[name].upstream
    found = {*direct, *(further for one in direct for further in upstream_of(one))}
    return tuple(one for one in ASSETS if one in found)


def with_downstream(name: str) -> tuple[str, ...]:
    """An asset and everything that is made of it, in the order of the work."""
    return (name, *(one for one in ASSETS if name in upstream_of(one)))


def followers_of(name: str) -> list[AssetSpec]:
    """The assets that are made once for each document of this one (``AssetSpec.per``)."""
    return [asset for asset in ASSETS.values() if asset.per == name]


EXTENDED = (TaskType.INIT_WORLD_CREATION.asset.name, *with_downstream(TaskType.GENERATE_CHARACTER_BATCH.asset.name))
"""The assets of which an extension makes more."""
PARTS = tuple(task_type for task_type in TaskType if task_type is not TaskType.INIT_WORLD_CREATION)
"""The task types of a part of a world: what an order may make again by itself."""
CONTENT = with_downstream("world_description")[1:]
"""The assets that the streaming multi-asset makes."""
NEEDED_BY_POSTS = frozenset({*upstream_of("post_images"), "post_images"})
"""The assets without which no post is published; the others are made beside them."""
