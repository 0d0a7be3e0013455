"""The platform on this machine: characters, posts and worlds in MongoDB, pictures as files. For development, demos and tests.

Here: the ``Platform`` protocol with the real platform's rules, and reading back what was published. Not here: the shape of the
records (protocol.py), files (media_files.py), and the real services.

Unlike the real platform it keeps its keys: every id follows from its key, so the same key twice is the same thing, even when
two calls race or one died half-way.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from bson.errors import BSONError
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ConnectionFailure, DuplicateKeyError, PyMongoError

from resources.gateway.outcomes import FatalCallError, TransientError
from resources.mongodb.connection import AsyncMongoDatabase, MongoDatabase, MongoDocument, as_forbidden, missing_indexes
from resources.platform.media_files import media_path, safe_id, write_whole
from resources.platform.protocol import (
    PlatformCharacter,
    PlatformCounts,
    PlatformMedia,
    PlatformPost,
    PlatformWorld,
    StoredMedia,
    WorldOnPlatform,
)

_IDS = uuid.UUID("5c6b7a3e-3f0c-5e58-9d0e-6a2f6f0f4b11")
"""Namespace of the ids made from keys."""

CreatedT = TypeVar("CreatedT", PlatformCharacter, PlatformMedia, PlatformPost)


def id_of(key: str) -> str:
    """The id that a creation under this key has."""
    return str(uuid.uuid5(_IDS, key))


_INDEXED = ("platform_characters", "platform_media", "platform_posts")
_INDEX = IndexModel([("world_id", ASCENDING), ("created_at", ASCENDING), ("_id", ASCENDING)])


def lacks_indexes(database: MongoDatabase) -> bool:
    """Whether the local platform's indexes are missing in its database."""
    return any(missing_indexes(database[name].index_information(), [_INDEX]) for name in _INDEXED)


@contextmanager
def _database_errors() -> Iterator[None]:
    """MongoDB's errors as outcomes: a server that does not answer is transient, anything else cannot be helped by asking again."""
    try:
        yield
    except (PyMongoError, BSONError) as error:
        gone = isinstance(error, ConnectionFailure) or (isinstance(error, PyMongoError) and error.timeout)
        if gone:
            raise TransientError(f"The local platform's MongoDB did not answer ({type(error).__name__}).") from error
        said = as_forbidden(error) or error
        raise FatalCallError(f"The local platform's MongoDB refused the call: {said}") from error


class LocalPlatform:
    """The platform in one database (collections ``platform_…``) and one folder.

    ``url_prefix`` stands before a picture's path in its URL: ``media`` makes URLs relative to the folder above the media root,
    where pages lie. ``latency_seconds`` is waited in every call, so that a slow platform can be tried.
    Call ``ensure_indexes`` once before the first call. The database's client belongs to the caller.
    """

    def __init__(
        self, database: AsyncMongoDatabase, media_root: Path, *, latency_seconds: float = 0.0, url_prefix: str = "media"
    ) -> None:
        self._worlds = database["platform_worlds"]
        self._characters = database["platform_characters"]
        self._media = database["platform_media"]
        self._posts = database["platform_posts"]
        self._media_root = media_root
        self._latency_seconds = latency_seconds
        self._url_prefix = url_prefix.rstrip("/")

    async def ensure_indexes(self) -> None:
        """Make what reading a world's records in order needs. (Ids follow from keys, so ``_id`` keeps keys unique.)"""
        with _database_errors():
            for collection in (self._characters, self._media, self._posts):
                if missing := missing_indexes(await collection.index_information(), [_INDEX]):
                    await collection.create_indexes(missing)

    async def update_world_params(
        self, *, world_id: str, params: Mapping[str, object], name: str, users_count: int, posts_count: int
    ) -> None:
        """See ``Platform``."""
        values = {"params": dict(params), "name": name, "users_count": users_count, "posts_count": posts_count}
        await self._update_world(world_id, values)

    async def update_world_image(self, *, world_id: str, image_uuid: str, icon_uuid: str) -> None:
        """See ``Platform``. Both must be media of this world."""
        for media_id in (image_uuid, icon_uuid):
            await self._media_of(media_id, world_id=world_id, character_id=None)
        await self._update_world(world_id, {"image_uuid": image_uuid, "icon_uuid": icon_uuid})

    async def create_character(self, *, key: str, world_id: str, display_name: str, meta: Mapping[str, object]) -> str:
        """See ``Platform``."""
        await self._answer_time()
        character = PlatformCharacter(
            id=id_of(key),
            key=key,
            world_id=safe_id(world_id, "The world id"),
            display_name=display_name,
            meta=dict(meta),
            is_ai=True,
            created_at=_now(),
        )
        return (await self._create(self._characters, character)).id

    async def update_character(
        self,
        *,
        character_id: str,
        display_name: str | None = None,
        meta: Mapping[str, object] | None = None,
        avatar_media_id: str | None = None,
        avatar_url: str | None = None,
    ) -> None:
        """See ``Platform``."""
        await self._answer_time()
        character = await self._ai_character(character_id)
        if avatar_media_id is not None:
            await self._media_of(avatar_media_id, world_id=character.world_id, character_id=character_id)
        values: MongoDocument = {
            "display_name": display_name,
            "meta": None if meta is None else dict(meta),
            "avatar_media_id": avatar_media_id,
            "avatar_url": avatar_url,
        }
        given = {name: value for name, value in values.items() if value is not None}
        with _database_errors():
            await self._characters.update_one({"_id": character_id}, {"$set": {**given, "updated_at": _now()}})

    async def upload_media(
        self,
        *,
        key: str,
        world_id: str,
        character_id: str | None,
        filename: str,
        content_type: str,
        media_type: int,
        data: bytes,
    ) -> StoredMedia:
        """See ``Platform``. ``filename`` is remembered and never part of a path. The file is there before its record is."""
        await self._answer_time()
        media_id = id_of(key)
        path = media_path(world_id=world_id, media_type=media_type, media_id=media_id, content_type=content_type)
        if not data:
            raise FatalCallError(f"Media {filename!r} is empty: there is no picture to keep.")
        if character_id is not None:
            await self._ai_character(character_id, world_id=world_id)
        media = PlatformMedia(
            id=media_id,
            key=key,
            world_id=world_id,
            character_id=character_id,
            media_type=media_type,
            content_type=content_type,
            filename=filename,
            path=str(path),
            created_at=_now(),
        )
        with _database_errors():
            stored = await self._media.find_one({"_id": media_id})
        if stored is None:
            await asyncio.to_thread(write_whole, self._media_root / path, data)
            media = await self._create(self._media, media)
        else:
            media = _same_world(PlatformMedia.model_validate(stored), media)
        return StoredMedia(media_id=media.id, url=self.url_of(media))

    async def create_post(
        self, *, key: str, world_id: str, character_id: str, caption: str, media_id: str, tags: Sequence[str]
    ) -> str:
        """See ``Platform``."""
        await self._answer_time()
        if not media_id:
            raise FatalCallError("A post without media is refused: upload its image first.")
        await self._ai_character(character_id, world_id=world_id)
        await self._media_of(media_id, world_id=world_id, character_id=character_id)
        post = PlatformPost(
            id=id_of(key),
            key=key,
            world_id=world_id,
            character_id=character_id,
            caption=caption,
            media_id=media_id,
            tags=tuple(tags),
            created_at=_now(),
        )
        return (await self._create(self._posts, post)).id

    async def find(self, *, key: str) -> str | None:
        """See ``Platform``."""
        await self._answer_time()
        with _database_errors():
            for collection in (self._characters, self._media, self._posts):
                if await collection.find_one({"_id": id_of(key)}, {"_id": 1}) is not None:
                    return id_of(key)
        return None

    async def aclose(self) -> None:
        """Nothing to give back: the database's client belongs to the caller."""

    def url_of(self, media: PlatformMedia) -> str:
        """The URL of a picture."""
        return f"{self._url_prefix}/{media.path}"

    async def counts(self, world_id: str) -> PlatformCounts:
        """How much of a world was published."""
        with _database_errors():
            return PlatformCounts(
                characters=await self._characters.count_documents({"world_id": world_id}),
                media=await self._media.count_documents({"world_id": world_id}),
                posts=await self._posts.count_documents({"world_id": world_id}),
            )

    async def world(self, world_id: str) -> WorldOnPlatform:
        """Everything that was published of a world."""
        with _database_errors():
            world = await self._worlds.find_one({"_id": world_id})
        return WorldOnPlatform(
            world=PlatformWorld.model_validate(world) if world else None,
            characters=await self._all(self._characters, PlatformCharacter, world_id),
            media=await self._all(self._media, PlatformMedia, world_id),
            posts=await self._all(self._posts, PlatformPost, world_id),
        )

    async def _update_world(self, world_id: str, values: MongoDocument) -> None:
        await self._answer_time()
        with _database_errors():
            await self._worlds.update_one(
                {"_id": safe_id(world_id, "The world id")},
                {"$set": {**values, "updated_at": _now()}, "$setOnInsert": {"created_at": _now()}},
                upsert=True,
            )

    async def _create(self, collection: AsyncCollection[MongoDocument], created: CreatedT) -> CreatedT:
        """Insert a record, or give the one that its key already made."""
        with _database_errors():
            try:
                await collection.insert_one(created.model_dump(by_alias=True))
            except DuplicateKeyError:
                stored = await collection.find_one({"_id": created.id})
                return _same_world(type(created).model_validate(stored), created)
        return created

    async def _ai_character(self, character_id: str, *, world_id: str | None = None) -> PlatformCharacter:
        with _database_errors():
            stored = await self._characters.find_one({"_id": character_id})
        if stored is None or world_id not in {None, stored["world_id"]}:
            raise FatalCallError(f"Character {character_id!r} is not known in this world: create it first.")
        character = PlatformCharacter.model_validate(stored)
        if not character.is_ai:
            raise FatalCallError(f"Character {character_id!r} belongs to a real user: nothing may be published in its name.")
        return character

    async def _media_of(self, media_id: str, *, world_id: str, character_id: str | None) -> None:
        """Refuse media that does not belong to this character (None: to the world itself)."""
        owner = {"_id": media_id, "world_id": world_id, "character_id": character_id}
        with _database_errors():
            known = await self._media.find_one(owner, {"_id": 1})
        if known is None:
            whose = f"the character {character_id!r}" if character_id else f"the world {world_id!r}"
            raise FatalCallError(f"Media {media_id!r} does not belong to {whose}: upload it for it first.")

    async def _all(self, collection: AsyncCollection[MongoDocument], record: type[CreatedT], world_id: str) -> tuple[CreatedT, ...]:
        with _database_errors():
            cursor = collection.find({"world_id": world_id}).sort([("created_at", ASCENDING), ("_id", ASCENDING)])
            return tuple([record.model_validate(stored) async for stored in cursor])

    async def _answer_time(self) -> None:
        if self._latency_seconds > 0:
            await asyncio.sleep(self._latency_seconds)


def _same_world(stored: CreatedT, asked: CreatedT) -> CreatedT:
    """What a key already made, unless it belongs to another world: then two publications share a key, which is a mistake."""
    if stored.world_id != asked.world_id:
        raise FatalCallError(f"Key {asked.key!r} was used in world {stored.world_id!r}: keys must differ between worlds.")
    return stored


def _now() -> datetime:
    return datetime.now(UTC)
