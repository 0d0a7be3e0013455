"""External assets: the topic of orders, before the nine assets, and the platform, after them. No run of Dagster makes them.

Here: their definitions, and what a run tells of the platform when its world is completed. Plots over these events have time as
their axis, where those of the nine assets have the ids of the worlds.
Not here: the observations of their health (sensors/observations.py).
"""

from __future__ import annotations

from datetime import datetime

import dagster as dg

from generia_assets.assets.description import page_of, world_label
from generia_assets.durable.status import WorldStatus
from generia_assets.settings import Settings

ORDERS_TOPIC = "orders_topic"
PLATFORM = "platform"
_OWNERS = ["team:generia"]


def external_assets(settings: Settings) -> list[dg.AssetSpec]:
    return [
        dg.AssetSpec(
            ORDERS_TOPIC,
            description=f"Kafka's topic `{settings.kafka_tasks_topic}`: orders of worlds. The watchdog observes its lag.",
            group_name="orders",
            owners=_OWNERS,
            kinds={"kafka"},
            metadata={"topic": settings.kafka_tasks_topic, "dead_letters_topic": settings.kafka_dead_letters_topic},
        ),
        dg.AssetSpec(
            PLATFORM,
            deps=["world_images", "character_avatars", "post_images"],
            description="Where worlds are published. One materialization for each world that is completed: its name, size, cost "
            "and time (*Plots* shows them over time). The watchdog observes whether it answers.",
            group_name="platform",
            owners=_OWNERS,
            kinds={"grpc" if settings.platform == "grpc" else "mongodb"},
            metadata={"platform": settings.platform},
        ),
    ]


def published(world: WorldStatus, started_at: datetime) -> dg.AssetMaterialization:
    """What the platform has of a world that was just completed. ``started_at``: of the generation that completed it."""
    seconds = ((world.finished_at or world.updated_at) - started_at).total_seconds()
    return dg.AssetMaterialization(
        PLATFORM,
        description=f"World {world_label(world.world_id, world.name)} is complete",
        metadata={
            "world": world_label(world.world_id, world.name),
            "world_page": dg.MetadataValue.url(page_of(world.world_id)),
            "people": world.users_created,
            "posts": world.posts_created,
            "cost_usd": dg.MetadataValue.float(round(world.cost_usd, 6)),
            "seconds": dg.MetadataValue.float(round(seconds, 1)),
            "superseded": dg.MetadataValue.int(sum(world.superseded.values())),
        },
    )
