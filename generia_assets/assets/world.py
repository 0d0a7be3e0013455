"""Assets ``world_request`` (the checked order) and ``world_description`` (the world itself).

A person gives a new order in the launch form; the order of a message was recorded before the run.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import dagster as dg
from anyio import to_thread

from generia_assets.assets import run_tags
from generia_assets.assets.definition import definition_of
from generia_assets.assets.description import banned_terms, figures, results_of
from generia_assets.assets.external import ORDERS_TOPIC
from generia_assets.assets.generator import GeneratorResource
from generia_assets.assets.jobs import WorldRequestConfig
from generia_assets.assets.materialized import WorldDocuments
from generia_assets.assets.runs import assignment_of, is_final_step, keep_partition
from generia_assets.catalog import ASSETS
from generia_assets.content import banlist
from generia_assets.content.documents import WorldDescription, WorldRequest
from generia_assets.content.keys import EXTENSION, WORLD_KEY
from generia_assets.durable.collections import STATUS
from generia_assets.durable.leases.changes import Change
from generia_assets.durable.orders.order import WORLD_ID_PATTERN, Order, OrderError, WorldParameters
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.status import status_of
from generia_assets.durable.tasks.session import WorldSession
from generia_assets.partitions import worlds
from generia_assets.settings import settings
from generia_assets.tasks.generate_world_description import generate_world_description
from generia_assets.tasks.init_world_creation import InitWorldParameters, init_world_creation
from generia_assets.tasks.task_definition import TaskParameters
from resources.gemini.tiers import ServiceTier
from resources.mongodb.connection import MongoDatabase
from resources.mongodb.document_store import DocumentStore, DocumentStream


@dg.asset(name="world_request", partitions_def=worlds, deps=[ORDERS_TOPIC], **definition_of("world_request"))
def world_request(
    context: dg.AssetExecutionContext, config: WorldRequestConfig, generator: dg.ResourceParam[GeneratorResource]
) -> Iterator[dg.Output[DocumentStream[WorldRequest]]]:
    """Check the order and record it; a message's order is read from MongoDB."""
    world_id = context.partition_key
    assignment = assignment_of(context, generator, partial(_order, world_id, config, generator.settings.service_tier))
    with generator.world(context, assignment, last=is_final_step(context)) as worker:

        def described(database: MongoDatabase) -> WorldDescription:
            return next(WorldDocuments(DocumentStore(database), world_id).stream(WorldDescription))

        async def check(session: WorldSession) -> WorldRequest:
            ordered = {"created_at": datetime.now(UTC), **session.parameters.model_dump(exclude_none=True)}
            parameters = InitWorldParameters(world_id=world_id, **ordered)
            is_extended = EXTENSION in session.generation.keys
            world = await to_thread.run_sync(generator.read, described) if is_extended else None
            return await session.runner.execute(None, init_world_creation, parameters, world)

        request = worker.run(check)
        keep_partition(context)
        asset, generation = ASSETS["world_request"], worker.acquired.generation.id
        metadata = generator.read(lambda database: figures(database, world_id, generation, [asset]))[asset.name]
        name = generator.read(lambda database: status_of(database[STATUS].find_one({"_id": world_id}))).name
        yield dg.Output(
            DocumentStream([request], fence=worker.acquired.commits.token.epoch, staged=True),
            metadata={
                **results_of(world_id, name, [request]),
                **metadata,
                "users": request.users_count,
                "posts": request.posts_count,
            },
        )


def require_world_id(field: str, world_id: str) -> None:
    """Raise ``OrderError`` for a value of this field that cannot name a world."""
    if not re.fullmatch(WORLD_ID_PATTERN, world_id):
        raise OrderError(f"{field}={world_id!r}: name a world by letters, digits, - and _, at most 64")


def _order(world_id: str, config: WorldRequestConfig, service_tier: ServiceTier, database: MongoDatabase) -> WorldParameters | None:
    """The new parameters, if the launch form has any; a world without an order is recorded with them. Raises ``OrderError``."""
    require_world_id("partition", world_id)
    given, limits = config.parameters(), {"max_users": settings().max_users, "max_posts": settings().max_posts}
    known = database[STATUS].find_one({"_id": world_id}, {"refused": 1})
    if known is None or known.get("refused"):  # then the run belongs to a message, and the world was never ordered
        if given is None:
            raise OrderError(f"world {world_id} was never ordered: give prompt, users and posts in the launch form")
        record_order(database, Order(world_id, given), **limits, service_tier=service_tier)
        return None
    if given is not None:
        given.require_within(**limits)
    return given


@dg.asset(name="world_description", partitions_def=worlds, **definition_of("world_description"))
def world_description(
    context: dg.AssetExecutionContext, generator: dg.ResourceParam[GeneratorResource], world_request: WorldRequest
) -> Iterator[dg.Output[DocumentStream[WorldDescription]]]:
    """Generate the description, publish it on the platform, store it as WorldParameters."""
    with generator.world(context, assignment_of(context, generator), last=is_final_step(context)) as worker:

        async def describe(session: WorldSession) -> WorldDescription:
            parameters = TaskParameters(key=WORLD_KEY)
            world = await session.runner.execute(None, generate_world_description, parameters, world_request)
            await session.commits.commit(Change(values={"name": world.name}))
            return world

        world = worker.run(describe)
        keep_partition(context)
        context.instance.add_run_tags(context.run.run_id, run_tags.named(world.name))
        world_id, generation, asset = context.partition_key, worker.acquired.generation.id, ASSETS["world_description"]
        metadata = generator.read(lambda database: figures(database, world_id, generation, [asset]))[asset.name]
        text = "\n\n".join((world.name, world.description_short, world.description, *(event.name for event in world.calendar)))
        banned = banlist.find_banned(text, world.user_preferences.language, wished=world_request.user_prompt)
        yield dg.Output(
            DocumentStream([world], fence=worker.acquired.commits.token.epoch, staged=True),
            metadata={
                **results_of(world_id, world.name, [world]),
                "paragraphs": len(world.description.split("\n\n")),
                "events": len(world.calendar),
                "visual_style": world.visual_style,
                **banned_terms(dict.fromkeys(banned, 1)),
                **metadata,
            },
        )
