"""The tools of a task: its only ways to the outside, as protocols.

Here: what a task may ask for. Not here: how it is done; generia_assets/durable builds the real tools on resources/, and
tests hand in small fakes. Each call below is one step of its task: when a task is taken up again after a death, calls
that were already answered return their answers without being made again, in the same order. So a task must make its calls
in an order that depends on nothing but its arguments and earlier answers (one after the other, never in parallel).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from generia_assets.content.documents import Media
from generia_assets.content.prompt import Prompt

DraftT = TypeVar("DraftT", bound=BaseModel)


class MediaType(IntEnum):
    """What a picture is for, by the platform's numbers (contracts.md, MediaService)."""

    WORLD_HEADER = 1
    WORLD_ICON = 2
    AVATAR = 3
    POST_IMAGE = 4


class StoredPicture(BaseModel):
    """An order for a picture: sizes in pixels, ``seed`` makes the same prompt give the same picture again."""

    model_config = ConfigDict(frozen=True)

    media_type: MediaType
    prompt: str
    width: int
    height: int
    seed: int


class TextClient(Protocol):
    """The language model."""

    async def write(self, prompt: Prompt, draft: type[DraftT], *, once: bool = False) -> DraftT:
        """Ask for a draft and return it, valid against its class.

        Damaged answers (cut, not JSON, against the schema) are asked again inside, with the error, a bounded number of times; with
        ``once`` never. Raises ``resources.gateway.outcomes.RefusedError`` when moderation refuses, ``InvalidAnswerError`` when
        asking again did not help, another ``RequestFailedError`` for what is wrong about this one request.
        """
        ...


class ImageClient(Protocol):
    """The image API, and the media service that keeps what it painted."""

    async def paint(self, picture: StoredPicture, *, character_id: str | None = None) -> Media:
        """Make the picture, upload it for this character (None: for the world), and return where it is kept.

        Raises ``RefusedError`` when the image API refuses the prompt.
        """
        ...


@dataclass(frozen=True)
class NewCharacter:
    """A character as the platform is told of it; ``meta`` are the contract's character fields."""

    display_name: str
    meta: dict[str, object]


@dataclass(frozen=True)
class NewPost:
    """A post as the platform is told of it. The media belongs to the character (a post without media is refused)."""

    character_id: str
    caption: str
    media_id: str
    tags: tuple[str, ...]


class PlatformClient(Protocol):
    """The platform's services. Every publication is made once, whatever dies in between."""

    async def world_params(self, name: str, params: dict[str, object], users_count: int, posts_count: int) -> None:
        """Tell the platform about the world; called as soon as the description exists."""
        ...

    async def world_images(self, header_media_id: str, icon_media_id: str) -> None:
        """Give the world its header and icon."""
        ...

    async def character(self, character: NewCharacter) -> str:
        """Create the character and return the platform's id of it."""
        ...

    async def character_changed(self, character_id: str, character: NewCharacter) -> None:
        """Tell the platform what a character it knows has become; the same character, not a second one."""
        ...

    async def avatar(self, character_id: str, media: Media) -> None:
        """Give the character its avatar."""
        ...

    async def post(self, post: NewPost, turn: Callable[[], Awaitable[None]]) -> str:
        """Publish the post as soon as ``turn`` has returned, and return the platform's id of it.

        What the task has done before is durable while it waits for its turn.
        """
        ...


@dataclass(frozen=True)
class TaskClients:
    """What a task is handed."""

    writer: TextClient
    painter: ImageClient
    publisher: PlatformClient
