"""Asset ``world_request``: the order, checked. A person can give a new one in the launch form; a message has recorded it before."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from generia_assets.assets.definition import DESCRIPTIONS, GROUPS, KINDS, OWNER, code_version, storage_metadata
from generia_assets.assets.description import figures, results_of
from generia_assets.assets.forms import WorldRequestConfig
from generia_assets.assets.generator import GeneratorResource
from generia_assets.assets.runs import assignment_of, is_final_step, keep_partition, refuse_a_world_that_exists, selected_assets
from generia_assets.catalog import ASSETS
from generia_assets.content.documents import WorldRequest
from generia_assets.durable.collections import STATUS
from generia_assets.durable.orders.order import WORLD_ID_PATTERN, Order, OrderError, WorldParameters
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.tasks.session import WorldSession
from generia_assets.partitions import worlds
from generia_assets.settings import settings
from generia_assets.tasks.init_world_creation import InitWorldParameters, init_world_creation
from resources.mongodb.document_store import DocumentStream

NAME = "world_request"
KIND = ASSETS[NAME]


@dg.asset(
    name=NAME,
    partitions_def=worlds,
    io_manager_key="mongo_io_manager",
    group_name=GROUPS[NAME],
    description=DESCRIPTIONS[NAME],
    owners=[OWNER],
    kinds=KINDS[NAME],
    code_version=code_version(NAME),
    metadata=storage_metadata(NAME),
    dagster_type=dg.Any,  # a stream; the document's class is checked when it is stored
)
def world_request(
    context: dg.AssetExecutionContext, config: WorldRequestConfig, generator: dg.ResourceParam[GeneratorResource]
) -> Iterator[dg.Output[DocumentStream[WorldRequest]]]:
    """Check the order and record it; what a message ordered is taken from MongoDB."""
    world_id = context.partition_key
    try:
        with generator.mongo.connection() as database:
            refuse_a_world_that_exists(context, database, config.prompt)
        given = _order(world_id, config, generator)
    except OrderError as error:
        generator.still_there(context, [ASSETS[name].task_type for name in selected_assets(context)])
        raise dg.Failure(str(error), allow_retries=False) from None
    assignment = assignment_of(context, generator, parameters=given)
    with generator.world(context, assignment, last=is_final_step(context)) as worker:

        async def check(session: WorldSession) -> WorldRequest:
            ordered = {"created_at": datetime.now(UTC), **session.parameters.model_dump(exclude_none=True)}
            parameters = InitWorldParameters(world_id=world_id, **ordered)
            return await session.runner.execute(None, init_world_creation, parameters)

        request = worker.run(check)
        keep_partition(context)
        metadata = generator.read(lambda database: figures(database, world_id, worker.taken.generation.id, KIND))
        yield dg.Output(
            DocumentStream([request], fence=worker.taken.commits.token.epoch, staged=True),
            metadata={**results_of(world_id, [request]), **metadata, "users": request.users_count, "posts": request.posts_count},
        )


def _order(world_id: str, config: WorldRequestConfig, generator: GeneratorResource) -> WorldParameters | None:
    """The new parameters, if the launch form has any; a world nobody has ordered yet is recorded with them. Raises
    ``OrderError``."""
    if not re.fullmatch(WORLD_ID_PATTERN, world_id):
        raise OrderError(f"partition {world_id!r}: name a world by letters, digits, - and _, at most 64")
    given, limits = config.parameters(), {"max_users": settings().max_users, "max_posts": settings().max_posts}
    with generator.mongo.connection() as database:
        known = database[STATUS].find_one({"_id": world_id}, {"refused": 1})
        if known is None or known.get("refused"):  # then it stands for a message, and nobody ordered the world
            if given is None:
                raise OrderError(f"world {world_id} was never ordered: give prompt, users and posts in the launch form")
            record_order(database, Order(world_id, given), **limits)
            return None
    if given is not None:
        given.require_within(**limits)
    return given
