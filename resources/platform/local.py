"""The platform on this machine: characters, posts and worlds in MongoDB, pictures as files. For development, demos and tests.

The real platform's rules hold. Unlike the real platform it has idempotency keys: every id is derived from its key, so the same key
twice is the same thing, even when two calls race or one was interrupted.
"""

import asyncio
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TypeVar

from bson.errors import BSONError
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ConnectionFailure, DuplicateKeyError, PyMongoError

from resources.gateway.outcomes import FatalCallError, RequestRejectedError, TransientError
from resources.mongodb.connection import AsyncMongoDatabase, MongoDatabase, MongoDocument, as_forbidden, missing_indexes
from resources.pictures import MOST_BYTES, bytes_of_file, extension_of, place_whole, read_whole, safe_id
from resources.platform.protocol import StoredMedia

_IDS = uuid.UUID("5c6b7a3e-3f0c-5e58-9d0e-6a2f6f0f4b11")
"""Namespace of the ids made from keys."""


@lru_cache(maxsize=100)
def id_of(key: str) -> str:
    return str(uuid.uuid5(_IDS, key))


OwnerT = TypeVar("OwnerT")

MOST_REMEMBERED = 2_000
"""Characters, and media, whose owner is remembered: half a megabyte each. Others are read."""

FOLDERS = {1: "header", 2: "icon", 3: "avatars", 4: "posts"}
"""Folder by the platform's media type (contracts, MediaService)."""

_INDEXED = ("platform_characters", "platform_media", "platform_posts")
_INDEX = IndexModel([("world_id", ASCENDING), ("created_at", ASCENDING), ("_id", ASCENDING)])


def lacks_indexes(database: MongoDatabase) -> bool:
    return any(missing_indexes(database[name].index_information(), [_INDEX]) for name in _INDEXED)


@contextmanager
def _database_errors() -> Iterator[None]:
    """MongoDB's errors as outcomes: a server that does not answer is transient, any other error is fatal."""
    try:
        yield
    except (PyMongoError, BSONError) as error:
        gone = isinstance(error, ConnectionFailure) or (isinstance(error, PyMongoError) and error.timeout)
        if gone:
            raise TransientError(f"The local platform's MongoDB did not answer ({type(error).__name__}).") from error
        raise FatalCallError(f"The local platform's MongoDB refused the call: {as_forbidden(error) or error}") from error


class LocalPlatform:
    """The platform in one database (collections ``platform_…``) and one folder, whose pictures have URLs below ``media/``.

    Call ``ensure_indexes`` once before the first call. The database's client belongs to the caller.
    """

    has_keys = True

    def __init__(self, database: AsyncMongoDatabase, media_root: Path) -> None:
        self._worlds = database["platform_worlds"]
        self._characters, self._media, self._posts = (database[name] for name in _INDEXED)
        self._media_root = media_root
        self._worlds_of: dict[str, str] = {}
        """The worlds of AIs' characters. Here and in ``_owners``: the latest that this process created or read."""
        self._owners: dict[str, tuple[str, str | None]] = {}
        """World and character of media."""
        self._last_moment = datetime.min.replace(tzinfo=UTC)

    async def ensure_indexes(self) -> None:
        """Create the indexes for reading a world's records in order. (Ids are derived from keys, so ``_id`` keeps keys unique.)"""
        with _database_errors():
            for collection in (self._characters, self._media, self._posts):
                if missing := missing_indexes(await collection.index_information(), [_INDEX]):
                    await collection.create_indexes(missing)

    async def update_world_params(
        self, *, world_id: str, params: Mapping[str, object], name: str, users_count: int, posts_count: int
    ) -> None:
        values = {"params": dict(params), "name": name, "users_count": users_count, "posts_count": posts_count}
        await self._update_world(world_id, values)

    async def update_world_image(self, *, world_id: str, image_uuid: str, icon_uuid: str) -> None:
        """Both must be media of this world."""
        for media_id in (image_uuid, icon_uuid):
            await self._check_media(media_id, world_id=world_id, character_id=None)
        await self._update_world(world_id, {"image_uuid": image_uuid, "icon_uuid": icon_uuid})

    async def create_character(self, *, key: str, world_id: str, display_name: str, meta: Mapping[str, object]) -> str:
        safe_id(world_id, "The world id")
        character = {"display_name": display_name, "meta": dict(meta), "is_ai": True, "avatar_media_id": None}
        created = await self._create(self._characters, key, world_id, character)
        if created["is_ai"]:
            _remember(self._worlds_of, created["_id"], world_id)
        return str(created["_id"])

    async def update_character(
        self,
        *,
        character_id: str,
        display_name: str | None = None,
        meta: Mapping[str, object] | None = None,
        avatar_media_id: str | None = None,
    ) -> None:
        character = await self._ai_character(character_id)
        if avatar_media_id is not None:
            await self._check_media(avatar_media_id, world_id=character["world_id"], character_id=character_id)
        values: MongoDocument = {
            "display_name": display_name,
            "meta": None if meta is None else dict(meta),
            "avatar_media_id": avatar_media_id,
        }
        given = {name: value for name, value in values.items() if value is not None}
        with _database_errors():
            await self._characters.update_one({"_id": character_id}, {"$set": {**given, "updated_at": datetime.now(UTC)}})

    async def upload_media(
        self, *, key: str, world_id: str, character_id: str | None, filename: str, content_type: str, media_type: int, path: Path
    ) -> StoredMedia:
        """``filename`` is remembered and never part of a path. The file is there before its record is."""
        if media_type not in FOLDERS:
            raise FatalCallError(f"Media type {media_type} is not known; there are {sorted(FOLDERS)}.")
        name = f"{id_of(key)}.{extension_of(content_type)}"
        kept = PurePosixPath(safe_id(world_id, "The world id"), FOLDERS[media_type], name)
        if character_id is not None:
            await self._check_character(character_id, world_id)
        media: MongoDocument = {
            "character_id": character_id,
            "media_type": media_type,
            "content_type": content_type,
            "filename": filename,
            "path": str(kept),
        }
        await asyncio.to_thread(_keep, path, self._media_root / kept)
        stored = await self._create(self._media, key, world_id, media)
        _remember(self._owners, stored["_id"], (world_id, stored["character_id"]))
        return StoredMedia(media_id=stored["_id"], url=f"media/{stored['path']}")

    async def create_post(
        self, *, key: str, world_id: str, character_id: str, caption: str, media_id: str, tags: Sequence[str]
    ) -> str:
        if not media_id:
            raise FatalCallError("A post without media is refused: upload its image first.")
        await self._check_character(character_id, world_id)
        await self._check_media(media_id, world_id=world_id, character_id=character_id)
        post: MongoDocument = {"character_id": character_id, "caption": caption, "media_id": media_id, "tags": list(tags)}
        return str((await self._create(self._posts, key, world_id, post))["_id"])

    async def find_posts(self, *, world_id: str, character_id: str, caption: str) -> list[str]:
        wanted = {"world_id": world_id, "character_id": character_id, "caption": caption}
        with _database_errors():
            found = self._posts.find(wanted, {"_id": 1}).sort([("created_at", ASCENDING), ("_id", ASCENDING)])
            return [str(post["_id"]) async for post in found]

    async def download_media(self, *, media_id: str) -> bytes:
        with _database_errors():
            media = await self._media.find_one({"_id": media_id}, {"path": 1})
        if media is None:
            raise RequestRejectedError(f"Media {media_id!r} is not known: upload it first.")
        return await asyncio.to_thread(read_whole, self._media_root / media["path"], MOST_BYTES)

    async def aclose(self) -> None:
        """Nothing to give back: the database's client belongs to the caller."""

    async def _update_world(self, world_id: str, values: MongoDocument) -> None:
        with _database_errors():
            await self._worlds.update_one(
                {"_id": safe_id(world_id, "The world id")},
                {"$set": {**values, "updated_at": datetime.now(UTC)}, "$setOnInsert": {"created_at": datetime.now(UTC)}},
                upsert=True,
            )

    async def _create(
        self, collection: AsyncCollection[MongoDocument], key: str, world_id: str, values: MongoDocument
    ) -> MongoDocument:
        """Insert a record, or return the existing one of its key."""
        # Never the moment before: feeds sort by it, and MongoDB keeps no less than milliseconds.
        self._last_moment = max(datetime.now(UTC), self._last_moment + timedelta(milliseconds=1))
        created = {"_id": id_of(key), "key": key, "world_id": world_id, **values, "created_at": self._last_moment}
        with _database_errors():
            try:
                await collection.insert_one(created)
            except DuplicateKeyError:
                created = await collection.find_one({"_id": id_of(key)}) or created
        if created["world_id"] != world_id:  # two publications share a key, which is a bug
            raise FatalCallError(f"Key {key!r} was used in world {created['world_id']!r}: keys must differ between worlds.")
        return created

    async def _check_character(self, character_id: str, world_id: str) -> None:
        if self._worlds_of.get(character_id) != world_id:
            await self._ai_character(character_id, world_id=world_id)
            _remember(self._worlds_of, character_id, world_id)

    async def _ai_character(self, character_id: str, *, world_id: str | None = None) -> MongoDocument:
        with _database_errors():
            character = await self._characters.find_one({"_id": character_id})
        if character is None or world_id not in {None, character["world_id"]}:
            raise FatalCallError(f"Character {character_id!r} is not known in this world: create it first.")
        if not character["is_ai"]:
            raise FatalCallError(f"Character {character_id!r} belongs to a real user: nothing may be published in its name.")
        return character

    async def _check_media(self, media_id: str, *, world_id: str, character_id: str | None) -> None:
        """Refuse media that does not belong to this character (None: to the world itself)."""
        if self._owners.get(media_id) == (world_id, character_id):
            return
        owner = {"_id": media_id, "world_id": world_id, "character_id": character_id}
        with _database_errors():
            known = await self._media.find_one(owner, {"_id": 1})
        if known is None:
            whose = f"the character {character_id!r}" if character_id else f"the world {world_id!r}"
            raise FatalCallError(f"Media {media_id!r} does not belong to {whose}: upload it for it first.")


def _remember(owners: dict[str, OwnerT], record_id: str, owner: OwnerT) -> None:
    """Records never change their owner: what is remembered need not be read again."""
    owners[record_id] = owner
    if len(owners) > MOST_REMEMBERED:
        del owners[next(iter(owners))]


def _keep(source: Path, target: Path) -> None:
    bytes_of_file(source)  # raises where there is no file, or nothing in it
    place_whole(target, source)
