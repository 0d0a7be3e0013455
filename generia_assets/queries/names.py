"""Finding an item of a world by its key, by a username, or by the id it has on the platform. Not here: the item itself."""

from __future__ import annotations

from dataclasses import dataclass

from generia_assets.catalog import TaskType
from generia_assets.content.keys import WORLD_KEY, author_of, is_character_key, is_post_key
from generia_assets.durable.collections import GENERATIONS, PUBLICATIONS, TASKS
from generia_assets.queries.records import completed
from resources.mongodb.connection import MongoDatabase, MongoDocument


class UnknownItemError(LookupError):
    """Nothing in this world has that name. The message describes the forms of names."""


@dataclass(frozen=True)
class ItemName:
    """An item of a world, by its key."""

    world_id: str
    key: str

    @property
    def character(self) -> str | None:
        """The key of the character whose item this is; None for the world's own items."""
        return None if self.key == WORLD_KEY else author_of(self.key)

    @property
    def is_post(self) -> bool:
        return is_post_key(self.key)


def generations_of(database: MongoDatabase, world_id: str) -> list[str]:
    """The ids of the world's generations, the newest first."""
    return [str(one["_id"]) for one in database[GENERATIONS].find({"world_id": world_id}, {"_id": 1}).sort("started_at", -1)]


def item_named(database: MongoDatabase, world_id: str, name: str) -> ItemName:
    """The item that ``name`` means in this world. Raises ``UnknownItemError``; a key is not looked up."""
    if name == WORLD_KEY or is_character_key(name) or is_post_key(name):
        return ItemName(world_id, name)
    found = published(database, name, world_id=world_id) or _by_username(database, world_id, name.removeprefix("@"))
    if found is None:
        raise UnknownItemError(
            f"{name[:60]!r} is nothing in world {world_id}: give a character's key (c0007) or username (@name), a post's key "
            "(c0007-p0003), or the id that one of them has on the platform"
        )
    return found


def published(database: MongoDatabase, platform_id: str, *, world_id: str | None = None) -> ItemName | None:
    """The item that the platform knows by this id; without ``world_id`` a post of any world."""
    among = {"kind": "post"} if world_id is None else {"world_id": world_id, "kind": {"$in": ["post", "character"]}}
    publication = database[PUBLICATIONS].find_one({"answer": platform_id, **among}, {"task_id": 1})
    task = publication and database[TASKS].find_one({"_id": publication["task_id"]}, {"world_id": 1, "key": 1})
    return ItemName(task["world_id"], task["key"]) if task else None


def username_of(database: MongoDatabase, world_id: str, character: str) -> str:
    """The username of the person with this key, as the newest completed task has it; the key itself until the person is written."""
    task = database[TASKS].find_one({**_written(database, world_id), "key": character}, {"result.username": 1}, sort=_NEWEST)
    return character if task is None else str(task["result"]["username"])


def _by_username(database: MongoDatabase, world_id: str, username: str) -> ItemName | None:
    wanted = {**_written(database, world_id), "result.username": username}
    task = database[TASKS].find_one(wanted, {"key": 1}, sort=_NEWEST)
    return None if task is None else ItemName(world_id, task["key"])


_NEWEST = [("updated_at", -1)]


def _written(database: MongoDatabase, world_id: str) -> MongoDocument:
    return completed(world_id, {"$in": generations_of(database, world_id)}, TaskType.GENERATE_CHARACTER)
