"""The clients of a task: its only ways to external APIs, as protocols.

Here: what a task may call. Not here: the implementations; durable/ builds the real clients on resources/, and tests pass
small fakes. Each call is one checkpoint of its task: when a task is resumed, calls that were already answered return their
answers without being made again, in the same order. So the order of a task's calls must depend on nothing but its arguments and
earlier answers (one after the other, never in parallel).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, TypeVar

from pydantic import BaseModel

from generia_assets.content.documents import FrozenModel, Media
from generia_assets.content.pictures import Shown
from generia_assets.content.prompt import Prompt

DraftT = TypeVar("DraftT", bound=BaseModel)


class MediaType(IntEnum):
    """What an image is for, by the platform's numbers (docs/requirements.md, "Platform services")."""

    WORLD_HEADER = 1
    WORLD_ICON = 2
    AVATAR = 3
    POST_IMAGE = 4


class ImageRequest(FrozenModel):
    """A request for an image. Sizes in pixels; the same prompt and ``seed`` give the same image.

    ``references``: people in it whose avatars exist; an image API that takes reference pictures keeps their faces.
    """

    media_type: MediaType
    prompt: str
    width: int
    height: int
    seed: int
    references: tuple[Shown, ...] = ()


class TextClient(Protocol):
    """The language model."""

    async def write(self, prompt: Prompt, draft: type[DraftT], *, once: bool = False) -> DraftT:
        """Ask for a draft.

        Damaged answers (cut, not JSON, against the schema) are asked again inside, with the error, a bounded number of times.

        Args:
            prompt: the request.
            draft: the class of the answer.
            once: never ask again.

        Returns:
            The answer, valid against its class.

        Raises:
            RefusedError: moderation refuses.
            InvalidAnswerError: asking again did not help.
            RequestFailedError: anything else that is wrong with this request.
        """


class ImageClient(Protocol):
    """The image API, and the media service that keeps its images."""

    async def paint(self, picture: ImageRequest, *, character_id: str | None = None) -> Media:
        """Generate the image and upload it.

        Args:
            picture: the request.
            character_id: the platform's id of the owner; None: the world.

        Returns:
            Where the image is kept.

        Raises:
            RefusedError: the image API refuses the prompt.
        """


@dataclass(frozen=True)
class NewCharacter:
    """A character as it is published; ``meta`` are the contract's character fields."""

    display_name: str
    meta: dict[str, object]


@dataclass(frozen=True)
class NewPost:
    """A post as it is published. The media belongs to the character (a post without media is rejected)."""

    character_id: str
    caption: str
    media_id: str
    tags: tuple[str, ...]


class PlatformClient(Protocol):
    """The platform's services. Every publication is made exactly once, also after a crash."""

    async def world_params(self, name: str, params: dict[str, object], users_count: int, posts_count: int) -> None:
        """Publish the world's parameters; called as soon as the description exists."""

    async def world_images(self, header_media_id: str, icon_media_id: str) -> None:
        """Set the world's header and icon."""

    async def character(self, character: NewCharacter) -> str:
        """Create the character and return the platform's id of it."""

    async def character_changed(self, character_id: str, character: NewCharacter) -> None:
        """Update a character that the platform knows; it creates no second one."""

    async def avatar(self, character_id: str, media: Media) -> None:
        """Set the character's avatar."""

    async def post(self, post: NewPost, turn: Callable[[], Awaitable[None]]) -> str:
        """Publish the post when ``turn`` returns, and return the platform's id of it.

        The task's earlier steps are durable while it waits for its turn.
        """


@dataclass(frozen=True)
class TaskClients:
    """The clients that a task gets."""

    text: TextClient
    images: ImageClient
    platform: PlatformClient
