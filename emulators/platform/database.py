"""The platform's database: rows in memory, with the constraints of the PostgreSQL database of the real services.

Here: column types, foreign keys, and the database's error messages. Not here: the rules of the services (services.py).
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import grpc
from pydantic import BaseModel

LONGEST_WORLD_NAME = 100
_UUID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class RefusalError(Exception):
    """A service refuses a call with this gRPC code."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class DatabaseError(RefusalError):
    """The database refuses a statement; a service returns the message as INTERNAL."""

    def __init__(self, message: str) -> None:
        super().__init__(grpc.StatusCode.INTERNAL, f"pq: {message}")


class WorldRow(BaseModel):
    """A world, created by the platform and described by the generator."""

    id: str
    name: str = ""
    params: str = ""
    users_count: int = 0
    posts_count: int = 0
    image_uuid: str | None = None
    icon_uuid: str | None = None


class CharacterRow(BaseModel):
    """A character; ``meta`` is JSON."""

    id: str
    world_id: str
    real_user_id: str | None
    display_name: str
    avatar_media_id: str | None
    avatar_url: str = ""
    meta: str | None
    created_at: datetime


class MediaRow(BaseModel):
    """A picture, uploaded or announced. ``object_name`` is its name in the object store."""

    id: str
    world_id: str
    character_id: str | None
    filename: str
    content_type: str
    size: int
    media_type: int
    object_name: str
    confirmed: bool = False
    created_at: datetime


class PostRow(BaseModel):
    """A post. Its tags are not stored."""

    id: str
    world_id: str
    character_id: str
    caption: str
    media_id: str
    created_at: datetime


class Database:
    """The tables. A column's value is converted with ``to_uuid``, ``to_text`` or ``to_json`` before it is stored, as for SQL."""

    def __init__(self) -> None:
        self.worlds: dict[str, WorldRow] = {}
        self.characters: dict[str, CharacterRow] = {}
        self.media: dict[str, MediaRow] = {}
        self.posts: dict[str, PostRow] = {}
        self._last = datetime.fromtimestamp(0, UTC)

    def now(self) -> datetime:
        """The time of this creation, later than every earlier one."""
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        return self._last

    def insert_character(self, row: CharacterRow) -> None:
        """Raises ``DatabaseError`` without its world."""
        self._check_key("characters", "world_id", row.world_id, self.worlds)
        self.characters[row.id] = row

    def insert_media(self, row: MediaRow) -> None:
        """Raises ``DatabaseError`` without its world or its character."""
        self._check_key("media", "world_id", row.world_id, self.worlds)
        if row.character_id is not None:
            self._check_key("media", "character_id", row.character_id, self.characters)
        self.media[row.id] = row

    def insert_post(self, row: PostRow) -> None:
        """Raises ``DatabaseError`` without its world."""
        self._check_key("posts", "world_id", row.world_id, self.worlds)
        self.posts[row.id] = row

    @staticmethod
    def _check_key(table: str, column: str, value: str, rows: Mapping[str, object]) -> None:
        if value not in rows:
            name = f"{table}_{column}_fkey"
            raise DatabaseError(f'insert or update on table "{table}" violates foreign key constraint "{name}"')


def to_uuid(value: str) -> str:
    """The id as the database writes it, with dashes. Raises ``DatabaseError``."""
    if not _UUID.fullmatch(value):
        raise DatabaseError(f'invalid input syntax for type uuid: "{value}"')
    return str(uuid.UUID(value))


def to_text(value: str, longest: int | None = None) -> str:
    """The text, if its column accepts it. Raises ``DatabaseError``."""
    if "\0" in value:
        raise DatabaseError('invalid byte sequence for encoding "UTF8": 0x00')
    if longest is not None and len(value) > longest:
        raise DatabaseError(f"value too long for type character varying({longest})")
    return value


def to_json(value: str) -> str:
    """The text, if it is JSON that a ``jsonb`` column accepts. Raises ``DatabaseError``."""
    try:
        parsed = json.loads(value)
    except ValueError:
        raise DatabaseError("invalid input syntax for type json") from None
    if "\0" in json.dumps(parsed, ensure_ascii=False) or "\\u0000" in value:
        raise DatabaseError("unsupported Unicode escape sequence: \\u0000 cannot be converted to text.")
    return value
