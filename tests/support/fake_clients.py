"""Fakes for tests of tasks: a text client with prepared answers, an image client and a platform client that record their calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from generia_assets.content.documents import Media
from generia_assets.content.prompt import Prompt
from generia_assets.tasks.clients import ImageRequest, NewCharacter, NewPost, TaskClients
from resources.gateway.outcomes import CallError, RefusedError

DraftT = TypeVar("DraftT", bound=BaseModel)
Answer = dict[str, Any] | Exception | Callable[[Prompt], dict[str, Any]]


def refused(reason: str = "SAFETY") -> RefusedError:
    """A refusal by moderation."""
    return RefusedError(f"refused: {reason}", reason=reason)


@dataclass
class FakeTextClient:
    """Returns the prepared answers in turn and records the prompts."""

    answers: Sequence[Answer]
    prompts: list[Prompt] = field(default_factory=list)

    async def write(self, prompt: Prompt, draft: type[DraftT], *, once: bool = False) -> DraftT:
        self.prompts.append(prompt)
        answer = self.answers[len(self.prompts) - 1]
        if isinstance(answer, Exception):
            raise answer
        return draft.model_validate(answer(prompt) if callable(answer) else answer)


@dataclass
class FakeImageClient:
    """Refuses the first ``refusals`` pictures, makes the others, and records all orders."""

    refusals: int = 0
    refusal: CallError = field(default_factory=refused)
    pictures: list[ImageRequest] = field(default_factory=list)
    owners: list[str | None] = field(default_factory=list)

    async def paint(self, picture: ImageRequest, *, character_id: str | None = None) -> Media:
        self.pictures.append(picture)
        self.owners.append(character_id)
        if len(self.pictures) <= self.refusals:
            raise self.refusal
        name = f"media-{len(self.pictures)}"
        return Media(media_id=name, url=f"/{name}", prompt=picture.prompt, width=picture.width, height=picture.height)


@dataclass
class FakePlatformClient:
    """Records everything that was published, in order."""

    published: list[tuple[str, Any]] = field(default_factory=list)

    async def world_params(self, name: str, params: dict[str, Any], users_count: int, posts_count: int) -> None:
        self.published.append(("world_params", (name, params, users_count, posts_count)))

    async def world_images(self, header_media_id: str, icon_media_id: str) -> None:
        self.published.append(("world_images", (header_media_id, icon_media_id)))

    async def character(self, character: NewCharacter) -> str:
        self.published.append(("character", character))
        return "character-1"

    async def character_changed(self, character_id: str, character: NewCharacter) -> None:
        self.published.append(("character_changed", (character_id, character)))

    async def avatar(self, character_id: str, media: Media) -> None:
        self.published.append(("avatar", (character_id, media.media_id)))

    async def post(self, post: NewPost, turn: Callable[[], Awaitable[None]]) -> str:
        await turn()
        self.published.append(("post", post))
        return "post-1"


@dataclass
class Bench:
    """The clients of a task, and access to the fakes."""

    text: FakeTextClient
    images: FakeImageClient
    platform: FakePlatformClient

    @property
    def clients(self) -> TaskClients:
        return TaskClients(self.text, self.images, self.platform)


def a_bench(*answers: Answer, refused_pictures: int = 0) -> Bench:
    """Clients whose text client returns these answers."""
    return Bench(FakeTextClient(answers), FakeImageClient(refused_pictures), FakePlatformClient())
