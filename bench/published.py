"""A world as it stands on the platform, by the platform's own records: the local one's collections, or the emulator's report.

Not here: what must be true of it (exact.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pymongo import ASCENDING

from bench.stack import TestStack
from emulators.platform.stats import WorldReport, generator_key
from resources.mongodb.connection import MongoDatabase

PLATFORM_DATABASE = "generia_platform"


@dataclass(frozen=True)
class Published:
    """What the platform has of a world.

    Attributes:
        characters: The key each was made under, so that one that is there twice shows.
        feed: The posts' ids in the order of creation.
        media: The pictures that are there and have to be shown.
        shown: The pictures that are shown.
        files: Pictures on this machine; None where the platform keeps them.
        orphans: Characters beyond the first of a key that nothing refers to: made again, since the answer was lost.
        spare: Pictures that nothing has to show, for the same reason.
    """

    characters: list[str]
    feed: list[str]
    media: list[str]
    shown: list[str]
    files: list[str] | None = None
    orphans: int = 0
    spare: int = 0


def published(stack: TestStack, database: MongoDatabase, world_id: str) -> Published:
    if stack.platform is None:
        return _on_local_platform(database.client[PLATFORM_DATABASE], stack.folder / "media", world_id)
    with stack.platform as control:
        return _on_services(control.world(world_id))


def _on_local_platform(platform: MongoDatabase, media: Path, world_id: str) -> Published:
    characters = platform["platform_characters"].find({"world_id": world_id}, {"key": 1})
    created = platform["platform_posts"].find({"world_id": world_id}).sort([("created_at", ASCENDING), ("_id", ASCENDING)])
    world = platform["platform_worlds"].find_one({"_id": world_id}) or {}
    shown = [world.get("image_uuid"), world.get("icon_uuid")]
    shown += platform["platform_characters"].distinct("avatar_media_id", {"world_id": world_id})
    shown += platform["platform_posts"].distinct("media_id", {"world_id": world_id})
    return Published(
        characters=[row["key"] for row in characters],
        feed=[row["_id"] for row in created],
        media=platform["platform_media"].distinct("_id", {"world_id": world_id}),
        shown=[str(one) for one in shown],
        files=[path.stem for path in (media / world_id).rglob("*") if path.is_file()],
    )


def _on_services(report: WorldReport) -> Published:
    characters = [row for row in report.characters if row.id not in report.orphans]
    shown = [report.world.image_uuid, report.world.icon_uuid]
    shown += [row.avatar_media_id for row in characters] + [row.media_id for row in report.posts]
    return Published(
        characters=[generator_key(row) or f"without a key: {row.id}" for row in characters],
        feed=[row.id for row in report.posts],
        media=[row.id for row in report.media if row.confirmed and row.id not in report.unused_media],
        shown=[str(one) for one in shown],
        orphans=len(report.orphans),
        spare=len(report.unused_media),
    )
