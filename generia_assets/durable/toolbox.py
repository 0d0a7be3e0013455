"""The real tools of a task: language model, painter and publisher, each call a remembered step on the one path to the outside.

Here: what ties tasks/tools.py (what a task may ask for) to resources/ (how it is done). Not here: order, attempts and results of
tasks (journal.py).
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter

from generia_assets.content.documents import Media
from generia_assets.content.prompt import Prompt
from generia_assets.durable.account import WorldAccount
from generia_assets.durable.journal import TaskInHand
from generia_assets.durable.patience import patiently
from generia_assets.durable.publications import Publications
from generia_assets.durable.steps import StepLog
from generia_assets.tasks.tools import DraftT, NewCharacter, NewPost, Picture, Tools
from resources.gemini import GeminiClient, TextRequest
from resources.images import GeneratedImage, ImageGenerator
from resources.models import ModelProfile, ModelRoster
from resources.outcomes import InvalidAnswerError, ModelMissingError
from resources.outside import Answer, Api, Call, Outside
from resources.platform import Platform, StoredMedia

logger = logging.getLogger(__name__)

ValueT = TypeVar("ValueT")

_STORED = TypeAdapter(StoredMedia)
_IMAGE_SUFFIX = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}


@dataclass(frozen=True)
class Timeouts:
    """Seconds one call may take."""

    llm: float
    image: float
    platform: float


@dataclass(frozen=True)
class Providers:
    """Who is called: one object each for the whole process."""

    outside: Outside
    gemini: GeminiClient
    roster: ModelRoster
    images: ImageGenerator
    platform: Platform
    timeouts: Timeouts
    max_reasks: int
    patience: float


class Toolbox:
    """Makes the tools of a world's tasks. See ``journal.Toolmaker``."""

    def __init__(self, world_id: str, providers: Providers, account: WorldAccount, publications: Publications) -> None:
        self._world_id = world_id
        self._providers = providers
        self._account = account
        self._publications = publications

    def __call__(self, task: TaskInHand, steps: StepLog) -> Tools:
        """The tools of one task."""
        publisher = _Publisher(self._world_id, task, steps, self._providers, self._account, self._publications)
        return Tools(
            writer=_Writer(task, steps, self._providers, self._account),
            painter=_Painter(task, steps, self._providers, self._account, publisher),
            publisher=publisher,
        )


class _Writer:
    def __init__(self, task: TaskInHand, steps: StepLog, providers: Providers, account: WorldAccount) -> None:
        self._task = task
        self._steps = steps
        self._providers = providers
        self._account = account

    async def write(self, prompt: Prompt, draft: type[DraftT]) -> DraftT:
        for _ in range(self._providers.max_reasks):
            try:
                return await self._once(prompt, draft)
            except InvalidAnswerError as error:
                logger.info("%s: asked again: %s", prompt.request_type, error)
                prompt = prompt.with_more_room() if error.cut else prompt.with_complaints(str(error))
        return await self._once(prompt, draft)

    async def _once(self, prompt: Prompt, draft: type[DraftT]) -> DraftT:
        return await self._steps.once(
            partial(self._ask, prompt, draft),
            dump=lambda value: value.model_dump_json(),
            load=draft.model_validate_json,
        )

    async def _ask(self, prompt: Prompt, draft: type[DraftT]) -> DraftT:
        request = TextRequest(prompt.system, prompt.parts, prompt.schema, draft, prompt.max_output_tokens)
        while True:
            profile = await patiently(self._providers.roster.current, patience_seconds=self._providers.patience)
            try:
                return await self._providers.outside.call(self._call(prompt, request, profile), self._account)
            except ModelMissingError as error:
                retire = partial(self._providers.roster.retire, profile.id, str(error))
                await patiently(retire, patience_seconds=self._providers.patience)

    def _call(self, prompt: Prompt, request: TextRequest[DraftT], profile: ModelProfile) -> Call[DraftT]:
        async def send() -> Answer[DraftT]:
            return await self._providers.gemini.ask(request, profile)

        return Call(
            api=Api.LLM,
            request_type=prompt.request_type,
            task_id=self._task.task_id,
            priority=self._task.priority,
            labels=_labels(self._task),
            request_data={
                "model": profile.id,
                "system": prompt.system,
                "parts": list(prompt.parts),
                "schema": json.dumps(prompt.schema, ensure_ascii=False),
                "max_output_tokens": prompt.max_output_tokens,
            },
            send=send,
            worst_case_usd=profile.worst_case_usd(prompt_bytes=request.prompt_bytes, max_output_tokens=prompt.max_output_tokens),
            timeout_seconds=self._providers.timeouts.llm,
        )


class _Painter:
    def __init__(
        self, task: TaskInHand, steps: StepLog, providers: Providers, account: WorldAccount, publisher: _Publisher
    ) -> None:
        self._task = task
        self._steps = steps
        self._providers = providers
        self._account = account
        self._publisher = publisher

    async def paint(self, picture: Picture, *, character_id: str | None = None) -> Media:
        image = await self._steps.once(partial(self._generate, picture), dump=_dump_image, load=_load_image)
        stored = await self._publisher.media(picture, image, character_id)
        return Media(media_id=stored.media_id, url=stored.url, prompt=picture.prompt, width=picture.width, height=picture.height)

    async def _generate(self, picture: Picture) -> GeneratedImage:
        key = self._key(picture)
        images = self._providers.images

        async def send() -> Answer[GeneratedImage]:
            image = await images.generate(
                prompt=picture.prompt, width=picture.width, height=picture.height, seed=picture.seed, idempotency_key=key
            )
            data = {"mime": image.mime, "bytes": len(image.data), "provider_id": image.provider_id}
            return Answer(image, data, image.cost_usd)

        call = Call(
            api=Api.IMAGE,
            request_type=picture.media_type.name.lower(),
            task_id=self._task.task_id,
            priority=self._task.priority,
            labels=_labels(self._task),
            request_data=picture.model_dump(mode="json"),
            send=send,
            worst_case_usd=images.cost_per_image_usd,
            timeout_seconds=self._providers.timeouts.image,
        )
        return await self._providers.outside.call(call, self._account)

    def _key(self, picture: Picture) -> str:
        return hashlib.sha256(f"{self._task.task_id}/{picture.model_dump_json()}".encode()).hexdigest()[:32]


class _Publisher:
    def __init__(
        self,
        world_id: str,
        task: TaskInHand,
        steps: StepLog,
        providers: Providers,
        account: WorldAccount,
        publications: Publications,
    ) -> None:
        self._world_id = world_id
        self._task = task
        self._steps = steps
        self._platform = providers.platform
        self._providers = providers
        self._account = account
        self._publications = publications

    async def world_params(self, name: str, params: dict[str, object], users_count: int, posts_count: int) -> None:
        send = partial(
            self._platform.update_world_params,
            world_id=self._world_id,
            params=params,
            name=name,
            users_count=users_count,
            posts_count=posts_count,
        )
        await self._call("update_world_params", {"name": name}, send)

    async def world_images(self, header_media_id: str, icon_media_id: str) -> None:
        send = partial(
            self._platform.update_world_image, world_id=self._world_id, image_uuid=header_media_id, icon_uuid=icon_media_id
        )
        await self._call("update_world_image", {"image_uuid": header_media_id, "icon_uuid": icon_media_id}, send)

    async def character(self, character: NewCharacter) -> str:
        async def send(key: str) -> str:
            create = partial(
                self._platform.create_character,
                key=key,
                world_id=self._world_id,
                display_name=character.display_name,
                meta=character.meta,
            )
            return await self._call("create_character", {"key": key, "display_name": character.display_name}, create)

        return await self._once("character", send)

    async def avatar(self, character_id: str, media: Media) -> None:
        send = partial(
            self._platform.update_character, character_id=character_id, avatar_media_id=media.media_id, avatar_url=media.url
        )
        await self._call("update_character", {"character_id": character_id, "avatar_media_id": media.media_id}, send)

    async def post(self, post: NewPost) -> str:
        async def send(key: str) -> str:
            create = partial(
                self._platform.create_post,
                key=key,
                world_id=self._world_id,
                character_id=post.character_id,
                caption=post.caption,
                media_id=post.media_id,
                tags=post.tags,
            )
            return await self._call("create_post", {"key": key, "character_id": post.character_id}, create)

        return await self._once("post", send)

    async def media(self, picture: Picture, image: GeneratedImage, character_id: str | None) -> StoredMedia:
        """Upload a picture; the answer remembered is the stored media as JSON."""
        kind = picture.media_type.name.lower()

        async def send(key: str) -> str:
            upload = partial(
                self._platform.upload_media,
                key=key,
                world_id=self._world_id,
                character_id=character_id,
                filename=f"{kind}{_IMAGE_SUFFIX.get(image.mime, '')}",
                content_type=image.mime,
                media_type=int(picture.media_type),
                data=image.data,
            )
            media = await self._call("upload_media", {"key": key, "kind": kind, "bytes": len(image.data)}, upload)
            return _STORED.dump_json(media).decode()

        digest = hashlib.sha256(image.data).hexdigest()[:12]
        return _STORED.validate_json(await self._once(f"media:{kind}:{digest}", send, readable=False))

    async def _once(self, kind: str, send: Callable[[str], Awaitable[str]], *, readable: bool = True) -> str:
        key, task = f"{self._task.task_id}:{kind}", self._task
        return await self._publications.once(
            key, kind, task.task_id, self._steps, resumed=task.resumed, readable=readable, send=send
        )

    async def _call(self, request_type: str, data: dict[str, object], send: Callable[[], Awaitable[ValueT]]) -> ValueT:
        async def answer() -> Answer[ValueT]:
            value = await send()
            return Answer(value, {"answer": str(value) if value is not None else "ok"})

        call = Call(
            api=Api.PLATFORM,
            request_type=request_type,
            task_id=self._task.task_id,
            priority=self._task.priority,
            labels=_labels(self._task),
            request_data=data,
            send=answer,
            timeout_seconds=self._providers.timeouts.platform,
        )
        return await self._providers.outside.call(call, self._account)


def _labels(task: TaskInHand) -> dict[str, str]:
    return {"task_type": task.task_type.value, "key": task.key}


class _ImageHeader(BaseModel):
    """What is remembered of a picture beside its bytes."""

    mime: str
    cost_usd: float
    provider_id: str


def _dump_image(image: GeneratedImage) -> bytes:
    header = _ImageHeader(mime=image.mime, cost_usd=image.cost_usd, provider_id=image.provider_id).model_dump_json().encode()
    return len(header).to_bytes(4, "big") + header + image.data


def _load_image(stored: str | bytes) -> GeneratedImage:
    data = bytes(stored) if isinstance(stored, bytes) else stored.encode()
    end = 4 + int.from_bytes(data[:4], "big")
    header = _ImageHeader.model_validate_json(data[4:end])
    return GeneratedImage(data=data[end:], mime=header.mime, cost_usd=header.cost_usd, provider_id=header.provider_id)
