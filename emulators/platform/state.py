"""The state of the services: database, object store, and shared look-ups, with their refusals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import grpc

from emulators.dice import Dice
from emulators.platform.database import CharacterRow, Database, MediaRow, RefusalError, WorldRow, to_uuid
from emulators.platform.objects import ObjectStore

DEFAULT_URL_SECONDS = 3600


class MediaError(RefusalError):
    """An error of the media service, which has no code: callers get UNKNOWN, also from the post service."""

    def __init__(self, message: str) -> None:
        super().__init__(grpc.StatusCode.UNKNOWN, message)


@dataclass(frozen=True)
class ServedCall:
    """What a call depends on beside its request: the source of ids, and how long a URL for an upload is valid."""

    dice: Dice
    url_seconds: float


class PlatformState:
    """The state of the services. ``any_world``: an unknown world gets a row at its first UpdateWorldParams."""

    def __init__(self, objects: ObjectStore, worlds: Iterable[str], *, any_world: bool) -> None:
        self.database = Database()
        self.objects = objects
        self.any_world = any_world
        for world_id in worlds:
            self.add_world(world_id)

    def add_world(self, world_id: str) -> WorldRow:
        """Add a world with this id. Raises ``DatabaseError`` if it is not a UUID."""
        one = to_uuid(world_id)
        return self.database.worlds.setdefault(one, WorldRow(id=one))

    def world(self, world_id: str) -> WorldRow:
        """The world's row. Raises ``RefusalError`` (NOT_FOUND) and ``DatabaseError``."""
        found = self.database.worlds.get(to_uuid(world_id))
        if found is None:
            raise RefusalError(grpc.StatusCode.NOT_FOUND, "world not found")
        return found

    def character(self, character_id: str) -> CharacterRow:
        """The character's row. Raises ``RefusalError`` (NOT_FOUND) and ``DatabaseError``."""
        found = self.database.characters.get(to_uuid(character_id))
        if found is None:
            raise RefusalError(grpc.StatusCode.NOT_FOUND, "character not found")
        return found

    def media(self, media_id: str) -> MediaRow:
        """The picture's row. Raises ``MediaError`` and ``DatabaseError``."""
        found = self.database.media.get(to_uuid(media_id))
        if found is None:
            raise MediaError("failed to get media: sql: no rows in result set")
        return found

    def media_url(self, media_id: str | None) -> str:
        """A presigned URL of the picture; '' if there is none."""
        row = self.database.media.get(media_id or "")
        return "" if row is None else self.objects.presign_get(row.object_name, DEFAULT_URL_SECONDS)[0]


def to_time(moment: datetime) -> str:
    """RFC 3339, as the services write times."""
    return moment.isoformat().replace("+00:00", "Z")
