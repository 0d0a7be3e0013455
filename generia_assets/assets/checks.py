"""Asset checks: a world holds exactly what was ordered, nobody twice, and every post is published with its picture.

Here: what must be true of a finished world, counted in MongoDB. A check that fails names what is missing and
how to ask for it again.
"""

from collections.abc import Iterable, Sequence

import dagster as dg

from generia_assets.assets.materialized import ASSETS
from generia_assets.content.documents import WorldRequest
from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import Failure
from generia_assets.partitions import worlds
from generia_assets.tasks.kinds import TaskType
from resources.document_store import DocumentStore
from resources.mongo import MongoDatabase, MongoDocument
from resources.mongo_resource import MongoResource

_PEOPLE = (TaskType.GENERATE_CHARACTER,)
_POSTS = (*_PEOPLE, TaskType.GENERATE_POST_BATCH, TaskType.GENERATE_POST)
_WAY_TO = {"characters": _PEOPLE, "posts": _POSTS, "post_images": (*_POSTS, TaskType.GENERATE_POST_IMAGE)}
"""The items' tasks on the way to an asset: when one of them fails for good, the asset lacks something."""


def _ordered(database: MongoDatabase, world_id: str) -> WorldRequest:
    return DocumentStore(database).read(ASSETS["world_request"].place, world_id, WorldRequest)[0]


def _exact(database: MongoDatabase, world_id: str, asset: str, ordered: int, twice: Sequence[str] = ()) -> dg.AssetCheckResult:
    """Exactly as many documents as were ordered, none twice; what failed for good is named, wherever on the way it did."""
    found = DocumentStore(database).count(ASSETS[asset].place, world_id) or 0
    document = database[STATUS].find_one({"_id": world_id}, {"failures": 1}) or {}
    failed = [failure for failure in map(Failure.model_validate, document.get("failures", [])) if failure.type in _WAY_TO[asset]]
    says = [f"{found} of {ordered}"]
    if twice:
        says.append(f"twice: {', '.join(twice)}")
    if failed:
        named = ", ".join(f"{failure.key} ({failure.error[:80]})" for failure in failed[:5])
        says.append(f"failed: {named}. Materialize {', '.join(_again(asset, failed))} again with keys {', '.join(_keys(failed))}")
    return dg.AssetCheckResult(
        passed=found == ordered and not twice,
        description="; ".join(says),
        metadata={"ordered": ordered, "found": found, "failed_for_good": len(failed)},
    )


def _again(asset: str, failed: Iterable[Failure]) -> list[str]:
    """The assets from the first that lacks something to this one."""
    way = _WAY_TO[asset]
    first = min(way.index(failure.type) for failure in failed)
    return [name for name, kind in ASSETS.items() if kind.task_type in way[first:]]


def _keys(failed: Iterable[Failure]) -> list[str]:
    """The keys to give in the launch form: a batch of ideas is made again by its person's key."""
    return sorted({failure.key.partition("-b")[0] for failure in failed})[:5]


def _twice(database: MongoDatabase, world_id: str, asset: str, field: str) -> list[str]:
    """Values of this field that occur more than once, whatever their case; at most ten."""
    pipeline: list[MongoDocument] = [
        {"$match": {"world_id": world_id}},
        {"$group": {"_id": {"$toLower": f"${field}"}, "count": {"$sum": 1}}},
        {"$match": {"count": {"$gt": 1}}},
        {"$limit": 10},
    ]
    return [row["_id"] for row in database[ASSETS[asset].place.collection].aggregate(pipeline, allowDiskUse=True)]


@dg.asset_check(asset="characters", description="As many people as were ordered.", partitions_def=worlds)
def exact_characters(context: dg.AssetCheckExecutionContext, mongo: MongoResource) -> dg.AssetCheckResult:
    """As many characters as ``users_count``."""
    with mongo.connection() as database:
        return _exact(database, context.partition_key, "characters", _ordered(database, context.partition_key).users_count)


@dg.asset_check(asset="posts", description="As many posts as were ordered.", partitions_def=worlds)
def exact_posts(context: dg.AssetCheckExecutionContext, mongo: MongoResource) -> dg.AssetCheckResult:
    """As many posts as ``posts_count``."""
    with mongo.connection() as database:
        return _exact(database, context.partition_key, "posts", _ordered(database, context.partition_key).posts_count)


@dg.asset_check(asset="post_images", description="Every post is published, with its picture.", partitions_def=worlds)
def exact_publications(context: dg.AssetCheckExecutionContext, mongo: MongoResource) -> dg.AssetCheckResult:
    """As many published posts as ``posts_count``, no two under one id."""
    with mongo.connection() as database:
        ordered = _ordered(database, context.partition_key).posts_count
        twice = _twice(database, context.partition_key, "post_images", "post_id")
        return _exact(database, context.partition_key, "post_images", ordered, twice)


@dg.asset_check(asset="character_briefs", description="No name occurs twice.", partitions_def=worlds)
def unique_names(context: dg.AssetCheckExecutionContext, mongo: MongoResource) -> dg.AssetCheckResult:
    """Usernames and display names are unique in the world, whatever their case."""
    with mongo.connection() as database:
        fields = ("username", "display_name")
        twice = [name for field in fields for name in _twice(database, context.partition_key, "character_briefs", field)]
        return dg.AssetCheckResult(passed=not twice, description=f"twice: {', '.join(twice)}" if twice else "every name once")


CHECKS = [exact_characters, exact_posts, exact_publications, unique_names]
