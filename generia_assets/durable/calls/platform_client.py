"""A task's calls of the platform: what is created there is created once, although the platform knows no idempotency keys.

A creation is a publication: its intent is written (fenced, durable) before the call, its answer with the task's next commit. An
intent without an answer after a death, and a create whose answer was lost while its run lived on, are in doubt, which is settled
before anything is sent again: a post is looked for, a character is created again and the possible orphan is recorded, an upload is
made again (docs/decisions/in-doubt.md). Not here: the platform itself (resources/platform/protocol.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from pydantic import TypeAdapter
from pymongo import UpdateOne

from generia_assets.content.documents import Media
from generia_assets.durable.calls.task_calls import Checkpoints, TaskCalls
from generia_assets.durable.collections import PUBLICATIONS
from generia_assets.durable.leases.commits import Change, Commits, WriteOperation
from generia_assets.tasks.clients import ImageRequest, NewCharacter, NewPost
from resources.gateway.api_gateway import Answer, Api
from resources.gateway.outcomes import CallError, TransientError
from resources.images import GeneratedImage
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument
from resources.platform.protocol import StoredMedia

logger = logging.getLogger(__name__)

ValueT = TypeVar("ValueT")

LATE_SECONDS = 5.0
"""A post that timed out is looked for after so long: the platform's services give up, or commit, soon after a call's deadline."""
_SENT, _NOT_CREATED = "sent", "not_created"
_STORED = TypeAdapter(StoredMedia)
_IMAGE_SUFFIX = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}


class PublishedBeforeError(CallError):
    """The platform has made what is in doubt. No call was made. ``answer`` is its id."""

    def __init__(self, answer: str) -> None:
        super().__init__(f"it was published before, as {answer}")
        self.answer = answer


@dataclass
class Doubt:
    """Whether the platform may have made a thing whose answer is not known; ``late``: it may still be making it."""

    exists: bool
    late: bool = False


class Publications:
    """The publications of one world for the run that owns it."""

    def __init__(self, database: AsyncMongoDatabase, commits: Commits) -> None:
        self._database = database
        self._commits = commits

    async def once(
        self,
        key: str,
        kind: str,
        task_id: str,
        checkpoints: Checkpoints,
        *,
        resumed: bool,
        send: Callable[[str, Doubt], Awaitable[str]],
        turn: Callable[[], Awaitable[None]] | None = None,
    ) -> str:
        """The platform's answer for ``key``: as recorded, or by ``send``, which is given the key and settles what is in doubt.

        What ``checkpoints`` has not written yet becomes durable with the intent, before anything is sent. ``turn`` is awaited
        between the intent and the sending: what an earlier post has in doubt is settled then.
        """
        doubt = Doubt(exists=False)
        if resumed:
            known = await self._commits.retry(lambda: self._database[PUBLICATIONS].find_one({"_id": key}))
            if known is not None and (answer := known.get("answer")) is not None:
                self._answered(key, answer)
                return str(answer)
            doubt.exists = known is not None and known["status"] == _SENT
        intent: dict[str, list[WriteOperation]] = {PUBLICATIONS: [self._intent(key, kind, task_id)]}
        await self._commits.commit(Change(records=checkpoints.unwritten() | intent, releases=task_id))
        try:
            if turn is not None:
                await turn()
            answer = await send(key, doubt)
        except Exception:
            if not doubt.exists:
                self._update(key, {"status": _NOT_CREATED})
            raise
        self._answered(key, answer)
        return answer

    async def not_of_others(self, key: str, ids: Sequence[str]) -> list[str]:
        """Those of these posts that are not the recorded answer of another publication of this world."""
        await self._commits.flush()
        others = {"kind": "post", "world_id": self._commits.token.world_id, "_id": {"$ne": key}, "answer": {"$in": list(ids)}}
        known = await self._commits.retry(lambda: self._database[PUBLICATIONS].distinct("answer", others))
        return [one for one in ids if one not in known]

    async def note_orphan(self, key: str) -> None:
        """Record, before it is created again, that there may be one more on the platform than anybody refers to."""
        logger.warning("%s is created again, since an answer was lost: an orphan may be on the platform (docs/operating.md)", key)
        update = UpdateOne({"_id": key}, {"$inc": {"possible_orphans": 1}})
        await self._commits.commit(Change(records={PUBLICATIONS: [update]}))

    def _intent(self, key: str, kind: str, task_id: str) -> UpdateOne:
        token = self._commits.token
        return UpdateOne(
            {"_id": key},
            {
                "$setOnInsert": {"kind": kind, "task_id": task_id, "world_id": token.world_id, "created_at": datetime.now(UTC)},
                "$set": {"status": _SENT, "run_id": token.run_id, "epoch": token.epoch},
            },
            upsert=True,
        )

    def _answered(self, key: str, answer: str) -> None:
        self._update(key, {"status": "answered", "answer": answer, "answered_at": datetime.now(UTC)})

    def _update(self, key: str, values: MongoDocument) -> None:
        self._commits.enqueue(Change(records={PUBLICATIONS: [UpdateOne({"_id": key}, {"$set": values})]}))


class TaskPlatformClient:
    """See ``tasks.clients.PlatformClient``."""

    def __init__(self, world_id: str, calls: TaskCalls, publications: Publications) -> None:
        self._world_id = world_id
        self._calls = calls
        self._platform = calls.providers.platform
        self._publications = publications

    async def world_params(self, name: str, params: dict[str, object], users_count: int, posts_count: int) -> None:
        """Describe the world to the platform; repeating it changes nothing."""
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
        """Give the world its pictures; repeating it changes nothing."""
        send = partial(
            self._platform.update_world_image, world_id=self._world_id, image_uuid=header_media_id, icon_uuid=icon_media_id
        )
        await self._call("update_world_image", {"image_uuid": header_media_id, "icon_uuid": icon_media_id}, send)

    async def character(self, character: NewCharacter) -> str:
        """Create the character, once."""

        async def send(key: str, doubt: Doubt) -> str:
            create = partial(
                self._platform.create_character,
                key=key,
                world_id=self._world_id,
                display_name=character.display_name,
                meta=character.meta,
            )

            async def settle() -> None:
                """The platform cannot be asked for it."""
                if not self._platform.has_keys:
                    await self._publications.note_orphan(key)
                doubt.exists = False

            data = {"key": key, "display_name": character.display_name}
            return await self._create("create_character", data, create, doubt, settle)

        return await self._once("character", send)

    async def character_changed(self, character_id: str, character: NewCharacter) -> None:
        """Update the character; repeating it changes nothing."""
        send = partial(
            self._platform.update_character, character_id=character_id, display_name=character.display_name, meta=character.meta
        )
        await self._call("update_character", {"character_id": character_id, "display_name": character.display_name}, send)

    async def avatar(self, character_id: str, media: Media) -> None:
        """Give the character its avatar; repeating it changes nothing."""
        send = partial(
            self._platform.update_character, character_id=character_id, avatar_media_id=media.media_id, avatar_url=media.url
        )
        await self._call("update_character", {"character_id": character_id, "avatar_media_id": media.media_id}, send)

    async def post(self, post: NewPost, turn: Callable[[], Awaitable[None]]) -> str:
        """Publish the post, once, in its turn."""

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

            async def settle() -> None:
                if doubt.late:
                    await asyncio.sleep(LATE_SECONDS)
                if found := await self._publications.not_of_others(key, await self._call("find_posts", data, find)):
                    raise PublishedBeforeError(found[0])
                if doubt.late and not self._platform.has_keys:
                    await self._publications.note_orphan(key)
                doubt.late = False

            return await self._create("create_post", data, create, doubt, settle)

        return await self._once("post", send, turn=turn)

    async def media(self, picture: ImageRequest, image: GeneratedImage, character_id: str | None) -> StoredMedia:
        """Upload a picture; the recorded answer is the stored media as JSON."""
        kind = picture.media_type.name.lower()

        async def send(key: str, _: Doubt) -> str:
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
        return _STORED.validate_json(await self._once(f"media:{kind}:{digest}", send))

    async def _once(
        self, kind: str, send: Callable[[str, Doubt], Awaitable[str]], turn: Callable[[], Awaitable[None]] | None = None
    ) -> str:
        task, checkpoints = self._calls.task, self._calls.checkpoints
        key = f"{task.task_id}:{kind}"
        return await self._publications.once(key, kind, task.task_id, checkpoints, resumed=task.resumed, send=send, turn=turn)

    async def _create(
        self,
        request_type: str,
        data: Mapping[str, object],
        create: Callable[[], Awaitable[str]],
        doubt: Doubt,
        settle: Callable[[], Awaitable[None]],
    ) -> str:
        """Create. While an attempt before is in doubt, also one of an earlier run, ``settle`` comes before the next one."""

        @asynccontextmanager
        async def attempt() -> AsyncIterator[None]:
            if doubt.exists:
                await settle()
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

        call = self._calls.new(Api.PLATFORM, request_type, data, answer, attempt=attempt)
        return await self._calls.providers.gateway.call(call, self._calls.ledger)
