"""A task's calls of the platform: what is created there is created once, although the platform knows no idempotency keys.

A create whose answer was lost is in doubt (publications.py), also one of a run that died. That is resolved before anything is sent
again: a post is looked for, a character is created again and the possible orphan is recorded, an upload is made again
(docs/decisions/in-doubt.md). Not here: the platform itself (resources/platform/protocol.py).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from generia_assets.content.documents import Media
from generia_assets.content.text import cut
from generia_assets.durable.calls.pictures import PendingPicture, PendingPictures
from generia_assets.durable.calls.publications import Doubt, Publications, key_of
from generia_assets.durable.calls.task_calls import TaskCalls
from generia_assets.tasks.clients import ImageRequest, NewCharacter, NewPost
from resources.gateway.calls import Answer, Api
from resources.gateway.outcomes import CallError, RequestFailedError, RequestRejectedError, TransientError
from resources.platform.protocol import StoredMedia

ValueT = TypeVar("ValueT")

LATE_SECONDS = 5.0
"""A post that timed out is looked for after so long: the platform's services give up, or commit, soon after a call's deadline."""
LONGEST_NAME = 100
"""Characters of a name that the platform takes (docs/requirements.md)."""
_STORED = TypeAdapter(StoredMedia)


class PublishedBeforeError(CallError):
    """The platform has made what is in doubt. No call was made. ``answer`` is its id."""

    def __init__(self, answer: str) -> None:
        super().__init__(f"it was published before, as {answer}")
        self.answer = answer


def _media_kind(picture: ImageRequest, made: PendingPicture) -> str:
    return f"media:{picture.media_type.name.lower()}:{made.sha256[:12]}"


class TaskPlatformClient:
    """See ``tasks.clients.PlatformClient``."""

    def __init__(self, world_id: str, calls: TaskCalls, publications: Publications) -> None:
        self._world_id = world_id
        self._calls = calls
        self._platform = calls.providers.platform
        self._publications = publications

    async def world_params(self, name: str, params: dict[str, object], users_count: int, posts_count: int) -> None:
        send = partial(
            self._platform.update_world_params,
            world_id=self._world_id,
            params=params,
            name=cut(name, LONGEST_NAME),
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
        async def send(key: str, doubt: Doubt) -> str:
            create = partial(
                self._platform.create_character,
                key=key,
                world_id=self._world_id,
                display_name=cut(character.display_name, LONGEST_NAME),
                meta=character.meta,
            )

            async def resolve() -> None:
                if not self._platform.has_keys:
                    await self._publications.note_orphan(key)
                doubt.exists = False

            data = {"key": key, "display_name": character.display_name}
            return await self._create("create_character", data, create, doubt, resolve)

        return await self._publications.once(self._calls.task, self._calls.checkpoints, "character", send)

    async def character_changed(self, character_id: str, character: NewCharacter) -> None:
        name = cut(character.display_name, LONGEST_NAME)
        send = partial(self._platform.update_character, character_id=character_id, display_name=name, meta=character.meta)
        await self._call("update_character", {"character_id": character_id, "display_name": name}, send)

    async def avatar(self, character_id: str, media: Media) -> None:
        send = partial(self._platform.update_character, character_id=character_id, avatar_media_id=media.media_id)
        await self._call("update_character", {"character_id": character_id, "avatar_media_id": media.media_id}, send)

    async def post(self, post: NewPost, turn: Callable[[], Awaitable[None]]) -> str:
        async def send(key: str, doubt: Doubt) -> str:
            create = partial(
                self._platform.create_post,
                key=key,
                world_id=self._world_id,
                character_id=post.character_id,
                caption=post.caption,
                media_id=post.media_id,
                tags=post.tags,
            )
            find = partial(self._platform.find_posts, world_id=self._world_id, character_id=post.character_id, caption=post.caption)
            data: dict[str, object] = {"key": key, "character_id": post.character_id}

            async def resolve() -> None:
                if doubt.late:
                    await asyncio.sleep(LATE_SECONDS)
                if found := await self._publications.not_of_others(key, await self._call("find_posts", data, find)):
                    raise PublishedBeforeError(found[0])
                if doubt.late and not self._platform.has_keys:
                    await self._publications.note_orphan(key)
                doubt.late = False

            return await self._create("create_post", data, create, doubt, resolve)

        return await self._publications.once(self._calls.task, self._calls.checkpoints, "post", send, turn=turn)

    async def has_media(self, picture: ImageRequest, made: PendingPicture) -> bool:
        return await self._publications.is_answered(key_of(self._calls.task, _media_kind(picture, made)))

    async def media(
        self, picture: ImageRequest, made: PendingPicture, pending: PendingPictures, character_id: str | None
    ) -> StoredMedia:
        """Upload a picture, whose file goes when that is recorded; the recorded answer is the stored media as JSON."""
        kind = picture.media_type.name.lower()

        async def send(key: str, _: Doubt) -> str:
            upload = partial(
                self._platform.upload_media,
                key=key,
                world_id=self._world_id,
                character_id=character_id,
                filename=f"{kind}{Path(made.name).suffix}",
                content_type=made.mime,
                media_type=int(picture.media_type),
                path=pending.path(made),
            )
            media = await self._call("upload_media", {"key": key, "kind": kind, "bytes": made.size}, upload)
            return _STORED.dump_json(media).decode()

        task, checkpoints, recorded = self._calls.task, self._calls.checkpoints, partial(pending.remove, made)
        stored = await self._publications.once(
            task, checkpoints, _media_kind(picture, made), send, repeatable=True, recorded=recorded
        )
        return _STORED.validate_json(stored)

    async def _create(
        self,
        request_type: str,
        data: Mapping[str, object],
        create: Callable[[], Awaitable[str]],
        doubt: Doubt,
        resolve: Callable[[], Awaitable[None]],
    ) -> str:
        """Create. While an attempt before is in doubt, also one of an earlier run, ``resolve`` comes before the next one."""

        @asynccontextmanager
        async def attempt() -> AsyncIterator[None]:
            if doubt.exists:
                await resolve()
            before, doubt.exists = doubt.exists, True
            try:
                yield
            except CallError as error:
                failed = error if isinstance(error, TransientError) else None
                doubt.exists = before or (failed is not None and failed.in_doubt)
                doubt.late |= failed is not None and failed.late
                raise

        try:
            return await self._call(request_type, data, create, attempt)
        except PublishedBeforeError as before:
            return before.answer

    async def _call(
        self,
        request_type: str,
        data: Mapping[str, object],
        send: Callable[[], Awaitable[ValueT]],
        attempt: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> ValueT:
        async def answer() -> Answer[ValueT]:
            value = await send()
            return Answer(value, {"answer": str(value) if value is not None else "ok"})

        await self._calls.task.claimed()
        call = self._calls.new(Api.PLATFORM, request_type, data, answer, attempt=attempt)
        try:
            return await self._calls.providers.gateway.call(call, self._calls.ledger)
        except RequestRejectedError:  # perhaps for what a model answered
            raise
        except RequestFailedError:
            self._calls.checkpoints.outlive_attempt = True
            raise
