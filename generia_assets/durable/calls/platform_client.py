"""The publisher: a task's way to the platform, every creation a publication that is made once.

Here: what each word of ``tasks.tools.Publisher`` means in calls of the platform, and that a create whose answer was lost is
looked for before it is sent again. Not here: how a publication survives a death (publications.py), and the platform itself
(resources/platform/protocol.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from pydantic import TypeAdapter

from generia_assets.content.documents import Media
from generia_assets.durable.calls.ledger import BudgetLedger
from generia_assets.durable.calls.providers import Providers, labels_of
from generia_assets.durable.calls.publications import Publications
from generia_assets.durable.tasks.checkpoints import Checkpoints
from generia_assets.durable.tasks.runner import TaskContext
from generia_assets.tasks.clients import NewCharacter, NewPost, StoredPicture
from resources.gateway.api_gateway import Answer, Api, Call
from resources.images import GeneratedImage
from resources.platform.protocol import StoredMedia

ValueT = TypeVar("ValueT")

_STORED = TypeAdapter(StoredMedia)
_IMAGE_SUFFIX = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}


class TaskPlatformClient:
    """See ``tasks.tools.Publisher``."""

    def __init__(
        self,
        world_id: str,
        task: TaskContext,
        steps: Checkpoints,
        providers: Providers,
        account: BudgetLedger,
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
        """Tell the platform about the world; telling it twice changes nothing."""
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
        """Give the world its pictures; giving them twice changes nothing."""
        send = partial(
            self._platform.update_world_image, world_id=self._world_id, image_uuid=header_media_id, icon_uuid=icon_media_id
        )
        await self._call("update_world_image", {"image_uuid": header_media_id, "icon_uuid": icon_media_id}, send)

    async def character(self, character: NewCharacter) -> str:
        """Create the character, once."""

        async def send(key: str) -> str:
            create = partial(
                self._platform.create_character,
                key=key,
                world_id=self._world_id,
                display_name=character.display_name,
                meta=character.meta,
            )
            return await self._create("create_character", {"key": key, "display_name": character.display_name}, key, create)

        return await self._once("character", send)

    async def character_changed(self, character_id: str, character: NewCharacter) -> None:
        """Tell what the character has become; telling it twice changes nothing."""
        send = partial(
            self._platform.update_character, character_id=character_id, display_name=character.display_name, meta=character.meta
        )
        await self._call("update_character", {"character_id": character_id, "display_name": character.display_name}, send)

    async def avatar(self, character_id: str, media: Media) -> None:
        """Give the character its avatar; giving it twice changes nothing."""
        send = partial(
            self._platform.update_character, character_id=character_id, avatar_media_id=media.media_id, avatar_url=media.url
        )
        await self._call("update_character", {"character_id": character_id, "avatar_media_id": media.media_id}, send)

    async def post(self, post: NewPost, turn: Callable[[], Awaitable[None]]) -> str:
        """Publish the post, once, in its turn."""

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
            return await self._create("create_post", {"key": key, "character_id": post.character_id}, key, create)

        return await self._once("post", send, turn=turn)

    async def media(self, picture: StoredPicture, image: GeneratedImage, character_id: str | None) -> StoredMedia:
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

    async def _once(
        self,
        kind: str,
        send: Callable[[str], Awaitable[str]],
        *,
        readable: bool = True,
        turn: Callable[[], Awaitable[None]] | None = None,
    ) -> str:
        key, task, find = f"{self._task.task_id}:{kind}", self._task, self._find if readable else None
        return await self._publications.once(
            key, kind, task.task_id, self._steps, resumed=task.resumed, find=find, send=send, turn=turn
        )

    async def _find(self, key: str) -> str | None:
        """What the platform made under this key, if it did: asked on the one path to the outside, like everything."""
        return await self._call("find", {"key": key}, partial(self._platform.find, key=key))

    async def _create(self, request_type: str, data: dict[str, object], key: str, create: Callable[[], Awaitable[str]]) -> str:
        """Create; where an attempt was sent and its answer never came, the next one first looks whether it did its work."""
        sent = False

        async def once() -> str:
            nonlocal sent
            if sent and (found := await self._platform.find(key=key)) is not None:
                return found
            sent = True
            return await create()

        return await self._call(request_type, data, once)

    async def _call(self, request_type: str, data: dict[str, object], send: Callable[[], Awaitable[ValueT]]) -> ValueT:
        async def answer() -> Answer[ValueT]:
            value = await send()
            return Answer(value, {"answer": str(value) if value is not None else "ok"})

        call = Call(
            api=Api.PLATFORM,
            request_type=request_type,
            task_id=self._task.task_id,
            priority=self._task.priority,
            labels=labels_of(self._task),
            request_data=data,
            send=answer,
            timeout_seconds=self._providers.timeouts.platform,
        )
        return await self._providers.outside.call(call, self._account)
