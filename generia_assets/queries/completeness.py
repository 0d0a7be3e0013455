"""Whether a world is complete: it has all ordered documents, except those that depend on tasks that failed for good.

Not here: checks of single documents (assets/checks).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from pymongo import DESCENDING

from generia_assets.asset_spec import Unit
from generia_assets.catalog import ASSETS, TaskType, upstream_of
from generia_assets.content.keys import EXTENSION, author_of, character_key
from generia_assets.content.shares import shares
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.orders.order import parse_stored
from generia_assets.durable.orders.workload import request_of
from generia_assets.durable.status import State, WorldStatus, statuses
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.document_store import POINTERS, DocumentStore

MOST_LOOKED_AT = 2_000
"""Completed worlds that ``broken`` looks at, those that changed last first."""


class NotWholeError(RuntimeError):
    """Documents are missing that are not counted as failed: the world must not become ``completed``."""


@dataclass(frozen=True)
class Missing:
    """An asset that has fewer documents than the world needs of it: ``needed`` excludes documents that are counted as failed."""

    asset: str
    found: int
    needed: int

    def __str__(self) -> str:
        return f"{self.found} of {self.needed} {self.asset}"


def missing(database: MongoDatabase, world: WorldStatus, *, staged: bool = False) -> list[Missing]:
    """The incomplete assets, in the order of the work. ``staged``: staged documents count instead of those they will replace."""
    counts = DocumentStore(database).found(ASSETS.values(), world.world_id, staged=staged)
    return _lacking(database, world, {name: counts[kind.collection] for name, kind in ASSETS.items()})


def _lacking(database: MongoDatabase, world: WorldStatus, found: Mapping[str, int]) -> list[Missing]:
    numbers = {Unit.WORLD: 1, Unit.PERSON: world.users_predicted, Unit.POST: world.posts_predicted}
    ordered = {name: numbers[asset.unit.document] for name, asset in ASSETS.items()}
    if all(found[name] >= count for name, count in ordered.items()):
        return []
    failed = _failed(database, world)
    needed = {name: count - failed.get(name, 0) for name, count in ordered.items()}
    return [Missing(name, found[name], count) for name, count in needed.items() if found[name] < count]


def _failed(database: MongoDatabase, world: WorldStatus) -> dict[str, int]:
    """How many documents of each asset depend on tasks that failed for good, in any generation."""
    keys: dict[str, set[str]] = {task_type.value: set() for task_type in TaskType}
    items = {"type": {"$in": list(keys)}, "key": {"$type": "string"}}  # and no orders for worlds that exist, which have none
    wanted, lost = {"world_id": world.world_id, "status": State.FAILED.value, **items}, set[tuple[str, int]]()
    for task in database[TASKS].find(wanted, {"type": 1, "key": 1, "parameters.first": 1, "parameters.count": 1}):
        keys[task["type"]].add(task["key"])
        if task["type"] == TaskType.GENERATE_POST_BATCH.value:  # an extension adds to a batch that was made before
            first, count = task["parameters"]["first"], task["parameters"]["count"]
            lost |= {(author_of(task["key"]), order) for order in range(first, first + count)}
    people = keys[TaskType.GENERATE_CHARACTER]
    request = request_of(world.world_id, parse_stored(world.parameters))
    share = {character_key(index): count for index, count in enumerate(shares(request.seed, *request.size))}
    ideas = sum(share.get(person, 0) for person in people)
    ideas += sum(person not in people and order < share.get(person, 0) for person, order in lost)
    failed: dict[str, int] = {}
    for name, asset in ASSETS.items():
        way = [one.task_type for one in map(ASSETS.__getitem__, (*upstream_of(name), name)) if one.unit is asset.unit.document]
        if asset.unit is Unit.PERSON:
            failed[name] = len(set().union(*(keys[task_type] for task_type in way)))
        elif asset.unit.document is Unit.POST:
            failed[name] = ideas + sum(key.split("-")[0] not in people for task_type in way for key in keys[task_type])
    return failed


def check_made(database: MongoDatabase, world: WorldStatus, makes: Collection[TaskType], keys: Collection[str]) -> None:
    """Raise ``NotWholeError`` if a generation of these task types is incomplete, counting its staged documents.

    For a generation of some items: if an asset would have fewer documents than before.
    """
    store, mine = DocumentStore(database), [kind for kind in ASSETS.values() if kind.task_type in makes]
    if keys and EXTENSION not in keys:
        found, before = (store.found(mine, world.world_id, staged=staged) for staged in (True, False))
        counts = [Missing(kind.name, found[kind.collection], before[kind.collection]) for kind in mine]
        lacking = [one for one in counts if one.found < one.needed]
    else:
        names = {kind.name for kind in mine}
        lacking = [one for one in missing(database, world, staged=True) if one.asset in names]
    if lacking:
        raise NotWholeError(
            f"world {world.world_id} is not whole, and is not called completed: there are {', '.join(map(str, lacking))}. Go on "
            f"with it: generia resume {world.world_id}"
        )


@dataclass(frozen=True)
class BrokenDocuments:
    """A world whose status and documents disagree: the problem, and the command that repairs it."""

    world_id: str
    wrong: str
    mend: str


def broken(database: MongoDatabase) -> Iterator[BrokenDocuments]:
    """Completed worlds that lack documents, and worlds with documents and no status record.

    By the numbers that the materializations' pointers have: the check ``world_is_whole`` counts the documents of one world itself.
    """
    completed = {"status": State.COMPLETED.value, "generation": {"$type": "string"}}
    pipeline: list[MongoDocument] = [
        {"$match": completed},
        {"$sort": {"updated_at": DESCENDING}},
        {"$limit": MOST_LOOKED_AT},
        {"$lookup": {"from": POINTERS, "localField": "_id", "foreignField": "world_id", "as": "pointers"}},
    ]
    for document in database[STATUS].aggregate(pipeline):
        counts = {one["_id"]: int(one["count"]) for one in document["pointers"]}
        for world in statuses([document], unreadable=lambda _: None):  # doctor reports unreadable records separately
            found = {name: counts.get(f"{world.world_id}:{kind.collection}", 0) for name, kind in ASSETS.items()}
            if lacking := _lacking(database, world, found):
                wrong = f"is called completed with {', '.join(map(str, lacking))}"
                yield BrokenDocuments(world.world_id, wrong, mend(world, lacking))
    unknown: list[MongoDocument] = [
        {"$group": {"_id": "$world_id"}},
        {"$lookup": {"from": STATUS, "localField": "_id", "foreignField": "_id", "as": "status"}},
        {"$match": {"status": []}},
        {"$limit": MOST_LOOKED_AT},
    ]
    for row in database[POINTERS].aggregate(unknown):
        mended = "order it anew in Dagster's job new_world, or delete what collection materializations points to"
        yield BrokenDocuments(str(row["_id"]), "has documents and no status record", mended)


def mend(world: WorldStatus, lacking: Collection[Missing]) -> str:
    """The command that makes the missing documents and those that depend on them."""
    first = next(iter(lacking)).asset
    if world.unfinished is not None:
        return f"generia resume {world.world_id}"
    if first in ("world_request", "world_description"):
        return f"launch job world for {world.world_id} in Dagster's pages: it makes all of the world again"
    return f"generia rerun {world.world_id} --part {ASSETS[first].section}"
