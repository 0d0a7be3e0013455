"""A task's calls of the platform: what is created there is created once, although the platform knows no idempotency keys.

A creation is a publication: its intent is written (fenced, durable) before the call, its answer with the task's next commit. Where
an intent has no answer after a death, the platform is asked for it, where it can be asked, before anything is sent again; so is a
create whose answer was lost while its run lived on. Not here: the platform itself (resources/platform/protocol.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter
from pymongo import UpdateOne

from generia_assets.content.documents import Media
from generia_assets.durable.calls.pending_pictures import PendingPicture, PendingPictures
from generia_assets.durable.calls.task_calls import Checkpoints, TaskCalls
from generia_assets.durable.collections import PUBLICATIONS
from generia_assets.durable.leases.commits import Change, Commits, WriteOperation
from generia_assets.tasks.clients import ImageRequest, NewCharacter, NewPost
from resources.gateway.api_gateway import Answer, Api
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument
from resources.platform.protocol import StoredMedia

ValueT = TypeVar("ValueT")

_STORED = TypeAdapter(StoredMedia)


def _media_kind(picture: ImageRequest, made: PendingPicture) -> str:
    return f"media:{picture.media_type.name.lower()}:{made.sha256[:12]}"


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
        find: Callable[[str], Awaitable[str | None]] | None,
        send: Callable[[str], Awaitable[str]],
        turn: Callable[[], Awaitable[None]] | None = None,
        recorded: Callable[[], None] | None = None,
    ) -> str:
        """The platform's answer for ``key``: as recorded, by asking the platform, or by sending now. ``send`` is given the key.

        What ``checkpoints`` has not written yet becomes durable with the intent, before anything is sent. ``find`` asks the
        platform; None: what is in doubt is sent again, since a second copy harms nobody (an upload that nothing refers to).
        ``turn`` is awaited between the intent and the sending, so that nothing but the sending takes time then. ``recorded`` is
        called when the answer is durable.
        """
        if resumed:
            known = await self._known(key)
            if known is not None:
                answer = known.get("answer")
                if answer is None and find is not None:
                    answer = await find(key)
                if answer is not None:
                    self._answered(key, answer, recorded)
                    return str(answer)
        intent: dict[str, list[WriteOperation]] = {PUBLICATIONS: [self._intent(key, kind, task_id)]}
        await self._commits.commit(Change(records=checkpoints.unwritten() | intent, releases=task_id))
        if turn is not None:
            await turn()
        answer = await send(key)
        self._answered(key, answer, recorded)
        return answer

    async def is_answered(self, key: str) -> bool:
        """Whether the platform's answer for ``key`` is recorded."""
        known = await self._known(key)
        return known is not None and known.get("answer") is not None

    async def _known(self, key: str) -> MongoDocument | None:
        return await self._commits.retry(lambda: self._database[PUBLICATIONS].find_one({"_id": key}))

    def _intent(self, key: str, kind: str, task_id: str) -> UpdateOne:
        token = self._commits.token
        return UpdateOne(
            {"_id": key},
            {
                "$setOnInsert": {"kind": kind, "task_id": task_id, "world_id": token.world_id, "created_at": datetime.now(UTC)},
                "$set": {"status": "sent", "run_id": token.run_id, "epoch": token.epoch},
            },
            upsert=True,
        )

    def _answered(self, key: str, answer: str, recorded: Callable[[], None] | None) -> None:
        update = UpdateOne({"_id": key}, {"$set": {"status": "answered", "answer": answer, "answered_at": datetime.now(UTC)}})
        written = self._commits.enqueue(Change(records={PUBLICATIONS: [update]}))
        if recorded is not None:
            written.add_done_callback(lambda done: None if done.cancelled() or done.exception() else recorded())


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

    async def has_media(self, picture: ImageRequest, made: PendingPicture) -> bool:
        """Whether the upload of this picture is recorded."""
        return await self._publications.is_answered(self._key(_media_kind(picture, made)))

    async def media(
        self, picture: ImageRequest, made: PendingPicture, pending: PendingPictures, character_id: str | None
    ) -> StoredMedia:
        """Upload a picture, whose file goes when that is recorded; the recorded answer is the stored media as JSON."""
        kind = picture.media_type.name.lower()

        async def send(key: str) -> str:
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

        recorded = partial(pending.remove, made)
        return _STORED.validate_json(await self._once(_media_kind(picture, made), send, readable=False, recorded=recorded))

    def _key(self, kind: str) -> str:
        return f"{self._calls.task.task_id}:{kind}"

    async def _once(
        self,
        kind: str,
        send: Callable[[str], Awaitable[str]],
        *,
        readable: bool = True,
        turn: Callable[[], Awaitable[None]] | None = None,
        recorded: Callable[[], None] | None = None,
    ) -> str:
        task, find = self._calls.task, self._find if readable else None
        return await self._publications.once(
            self._key(kind),
            kind,
            task.task_id,
            self._calls.checkpoints,
            resumed=task.resumed,
            find=find,
            send=send,
            turn=turn,
            recorded=recorded,
        )

    async def _find(self, key: str) -> str | None:
        """The id of what the platform made under this key, if it did."""
        return await self._call("find", {"key": key}, partial(self._platform.find, key=key))

    async def _create(self, request_type: str, data: dict[str, object], key: str, create: Callable[[], Awaitable[str]]) -> str:
        """Create; where an attempt was sent and its answer never came, the next one first asks whether it was carried out."""
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

        call = self._calls.new(Api.PLATFORM, request_type, data, answer)
        return await self._calls.providers.gateway.call(call, self._calls.ledger)
