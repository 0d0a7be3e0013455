"""The calls of the emulator and their results: counts of calls, and a world in the platform's database.

Not here: the endpoints that show them (app.py).
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from emulators.platform.database import CharacterRow, Database, MediaRow, PostRow, WorldRow


class PlatformStats(BaseModel):
    """PlatformCounts since the start or the last reset. ``calls`` counts gRPC methods, ``PUT``, ``GET`` and ``consul``."""

    model_config = ConfigDict(extra="forbid")

    calls: dict[str, int] = Field(default={}, description="calls received, by method")
    outcomes: dict[str, int] = Field(default={}, description="by outcome: ok, a fault's name, a gRPC code, HTTP's status")
    traceparents: dict[str, int] = Field(default={}, description="gRPC calls received, by their metadata traceparent, '' for none")
    in_flight: int = Field(default=0, description="gRPC calls being served now")
    worlds: int = 0
    characters: int = 0
    media: int = 0
    posts: int = 0


class PlatformCounts:
    """Keeps the counts of calls."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.traceparents: Counter[str] = Counter()
        self.in_flight = 0

    def stats(self, database: Database) -> PlatformStats:
        """The present counts."""
        return PlatformStats(
            calls=dict(self.calls),
            outcomes=dict(self.outcomes),
            traceparents=dict(self.traceparents),
            in_flight=self.in_flight,
            worlds=len(database.worlds),
            characters=len(database.characters),
            media=len(database.media),
            posts=len(database.posts),
        )


class WorldReport(BaseModel):
    """A world on the platform, each list in the order of creation; ``posts`` is its feed, oldest first.

    ``orphans``: characters that nothing refers to and that share their ``generator_key`` with another one.
    ``doubled_characters``, ``doubled_posts``: beyond the first of one ``generator_key`` (orphans are none), of one caption of a
    character. ``unused_media``: pictures that nothing shows. ``broken_media``: shown, but not there or not confirmed.
    """

    model_config = ConfigDict(extra="forbid")

    world: WorldRow
    characters: list[CharacterRow]
    media: list[MediaRow]
    posts: list[PostRow]
    orphans: list[str]
    doubled_characters: list[str]
    doubled_posts: list[str]
    unused_media: list[str]
    broken_media: list[str]


def world_report(database: Database, world_id: str) -> WorldReport:
    """The present state of the world. Raises ``KeyError``."""
    world = database.worlds[world_id]
    characters = [row for row in database.characters.values() if row.world_id == world_id]
    media = [row for row in database.media.values() if row.world_id == world_id]
    posts = sorted((row for row in database.posts.values() if row.world_id == world_id), key=lambda row: row.created_at)
    used = {post.character_id for post in posts} | {row.character_id for row in media}
    used |= {row.id for row in characters if row.avatar_media_id}
    shown = {world.image_uuid, world.icon_uuid, *(row.avatar_media_id for row in characters), *(post.media_id for post in posts)}
    there = {row.id for row in media if row.confirmed}
    same_key = _groups((key, row.id) for row in characters if (key := generator_key(row)))
    orphans = [one for ids in same_key for one in ids if one not in used]
    return WorldReport(
        world=world,
        characters=characters,
        media=media,
        posts=posts,
        orphans=orphans,
        doubled_characters=[one for ids in same_key for one in [one for one in ids if one in used][1:]],
        doubled_posts=[one for ids in _groups((f"{row.character_id}|{row.caption}", row.id) for row in posts) for one in ids[1:]],
        unused_media=[row.id for row in media if row.id not in shown],
        broken_media=sorted(one for one in shown if one is not None and one not in there),
    )


def generator_key(row: CharacterRow) -> str | None:
    """The key that the generator put into ``meta``."""
    meta = json.loads(row.meta) if row.meta else None
    key = meta.get("generator_key") if isinstance(meta, dict) else None
    return key if isinstance(key, str) else None


def _groups(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Ids that share a key with another one."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for key, one in pairs:
        found[key].append(one)
    return [ids for ids in found.values() if len(ids) > 1]
