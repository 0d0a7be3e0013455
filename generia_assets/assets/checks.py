"""Asset checks: a world holds exactly what was ordered, nobody twice, and every post is published with its picture.

Here: what must be true of a finished world, counted in MongoDB. A check that fails names what is missing and
how to ask for it again.
"""

import dagster as dg

from generia_assets.assets.materialized import ASSETS
from generia_assets.content.documents import WorldRequest
from generia_assets.durable.collections import STATUS
from generia_assets.partitions import worlds
from resources.mongo import MongoDatabase, MongoDocument
from resources.mongo_io_manager import DocumentStore
from resources.mongo_resource import MongoResource


def _ordered(database: MongoDatabase, world_id: str) -> WorldRequest:
    return DocumentStore(database).read(ASSETS["world_request"].place, world_id, WorldRequest)[0]


def _exact(database: MongoDatabase, world_id: str, asset: str, ordered: int) -> dg.AssetCheckResult:
    """Exactly as many documents as were ordered; what failed for good is named."""
    found = DocumentStore(database).count(ASSETS[asset].place, world_id) or 0
    status = database[STATUS].find_one({"_id": world_id}, {"failures": 1}) or {}
    failed = [failure for failure in status.get("failures", []) if failure["type"] == ASSETS[asset].task_type.value]
    named = ", ".join(f"{failure['key']} ({failure['error'][:80]})" for failure in failed[:5])
    advice = f"; failed: {named}. Materialize {asset} again with these keys" if named else ""
    return dg.AssetCheckResult(
        passed=found == ordered,
        description=f"{found} of {ordered}{advice}",
        metadata={"ordered": ordered, "found": found, "failed_for_good": len(failed)},
    )


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
        return _exact(database, context.partition_key, "post_images", _ordered(database, context.partition_key).posts_count)


@dg.asset_check(asset="character_briefs", description="No name occurs twice.", partitions_def=worlds)
def unique_names(context: dg.AssetCheckExecutionContext, mongo: MongoResource) -> dg.AssetCheckResult:
    """Usernames and display names are unique in the world, whatever their case."""
    with mongo.connection() as database:
        twice: list[str] = []
        for field in ("username", "display_name"):
            pipeline: list[MongoDocument] = [
                {"$match": {"world_id": context.partition_key}},
                {"$group": {"_id": {"$toLower": f"${field}"}, "count": {"$sum": 1}}},
                {"$match": {"count": {"$gt": 1}}},
                {"$limit": 10},
            ]
            twice += [row["_id"] for row in database[ASSETS["character_briefs"].place.collection].aggregate(pipeline)]
        return dg.AssetCheckResult(passed=not twice, description=f"twice: {', '.join(twice)}" if twice else "every name once")


CHECKS = [exact_characters, exact_posts, exact_publications, unique_names]
