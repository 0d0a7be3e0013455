"""Job ``new_world``: a form whose defaults make a world.

Here: an op that records the order as the Kafka sensor does; the watchdog's next tick starts the world's run. It is no asset job,
because a run of assets needs a partition that exists, and the person would have to add it first.
Not here: orders for a partition that a person added (world.py).
"""

import re
import unicodedata
import uuid
from textwrap import shorten

import dagster as dg
from pydantic import Field

from generia_assets.assets import run_tags
from generia_assets.assets.description import page_of
from generia_assets.assets.jobs import NEW_WORLD, WorldRequestConfig
from generia_assets.assets.world import require_world_id
from generia_assets.durable.collections import STATUS
from generia_assets.durable.orders.order import Order, OrderError, WorldParameters
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.status import State
from generia_assets.partitions import worlds
from generia_assets.settings import Settings
from resources.mongodb.connection import MongoResource

EXAMPLE = "a town on the back of a slow tortoise; trams, bees, no kings"
LONGEST_SLUG = 40
"""Characters of an id that are taken from the prompt."""


class NewWorldConfig(WorldRequestConfig):
    """The order of a new world."""

    prompt: str = Field(EXAMPLE, description="The world in a sentence or two, in your language; everything in it will be in it.")
    name: str = Field(
        "",
        description="The world's id, which is its partition in Dagster: letters, digits, - and _, at most 64. "
        "Empty: made of the first words of the prompt.",
    )

    def parameters(self) -> WorldParameters:
        """The order. Raises ``OrderError``."""
        given = super().parameters()
        if given is None:
            raise OrderError("prompt: empty; describe the new world in a sentence or two")
        return given


def build_new_world(settings: Settings) -> dg.JobDefinition:
    @dg.op(description="Record the order of a new world. The watchdog starts the run that makes it within five seconds.")
    def order_world(context: dg.OpExecutionContext, config: NewWorldConfig, mongo: dg.ResourceParam[MongoResource]) -> None:
        root = context.run.root_run_id or context.run_id  # a retry of this run is the same order
        world_id = config.name or world_id_of(config.prompt, root)
        limits = {"max_users": settings.max_users, "max_posts": settings.max_posts}
        try:
            require_world_id("name", world_id)
            order = Order(world_id, config.parameters(), task_id=str(uuid.uuid5(uuid.NAMESPACE_OID, root)))
            with mongo.connection() as database:
                record_order(database, order, **limits, service_tier=settings.service_tier)
                ordered = {"deferred": True, "ordered_by": f"job {NEW_WORLD}"}
                database[STATUS].update_one({"_id": world_id, "status": State.PENDING.value}, {"$set": ordered})
        except OrderError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        context.instance.add_dynamic_partitions(worlds.name or "", [world_id])
        context.instance.add_run_tags(context.run_id, {**run_tags.of_origin(run_tags.Origin.UI), **run_tags.named(world_id)})
        context.log.info(f"World {world_id} is ordered: its run, of job world, starts within five seconds.")
        context.add_output_metadata(
            {
                "world_id": world_id,
                "world_page": dg.MetadataValue.url(page_of(world_id)),
                "partition": dg.MetadataValue.url(f"/assets/posts?view=partitions&partition={world_id}"),
            }
        )

    form = {"prompt": EXAMPLE, "name": "", "users": 5, "posts": 12, "quality": "standard", "max_cost_usd": 0.0}

    @dg.job(
        name=NEW_WORLD,
        description="A new world by hand, without Kafka: *Launchpad*, *Launch Run*. The form's defaults make a small "
        "world. `generia quote` shows the price. The world is made by a run of job `world`.",
        config={"ops": {"order_world": {"config": form}}},
        executor_def=dg.in_process_executor,
    )
    def new_world() -> None:
        order_world()

    return new_world


def world_id_of(prompt: str, run_id: str) -> str:
    """An id that people can read: the first words of the prompt in ASCII, and four digits of the run's id."""
    ascii_text = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
    first, *rest = re.findall(r"[a-z0-9]+", ascii_text) or ["world"]
    slug = shorten(" ".join((first[:LONGEST_SLUG], *rest)), LONGEST_SLUG, placeholder="", break_long_words=False)
    return f"{slug.replace(' ', '-')}-{run_id[:4]}"
