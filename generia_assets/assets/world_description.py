"""Asset ``world_description``: the world itself, stored once and loaded by every later task."""

from collections.abc import Iterator

import dagster as dg

from generia_assets.assets import run_tags
from generia_assets.assets.definition import DESCRIPTIONS, GROUPS, KINDS, OWNER, code_version, storage_metadata
from generia_assets.assets.description import banned_terms, figures, results_of
from generia_assets.assets.generator import GeneratorResource
from generia_assets.assets.runs import assignment_of, is_final_step, keep_partition
from generia_assets.catalog import ASSETS
from generia_assets.content import banlist
from generia_assets.content.documents import WORLD_KEY, WorldDescription, WorldRequest
from generia_assets.durable.leases.commits import Change
from generia_assets.durable.tasks.session import WorldSession
from generia_assets.partitions import worlds
from generia_assets.tasks.generate_world_description import generate_world_description
from generia_assets.tasks.task_definition import TaskParameters
from resources.mongodb.document_store import DocumentStream

NAME = "world_description"
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
def world_description(
    context: dg.AssetExecutionContext, generator: dg.ResourceParam[GeneratorResource], world_request: WorldRequest
) -> Iterator[dg.Output[DocumentStream[WorldDescription]]]:
    """Ask for the description, tell the platform, store it as WorldParameters."""
    with generator.world(context, assignment_of(context, generator), last=is_final_step(context)) as worker:

        async def describe(session: WorldSession) -> WorldDescription:
            parameters = TaskParameters(key=WORLD_KEY)
            world = await session.runner.execute(None, generate_world_description, parameters, world_request)
            await session.commits.commit(Change(values={"name": world.name}))
            return world

        world = worker.run(describe)
        keep_partition(context)
        context.instance.add_run_tags(context.run.run_id, run_tags.named(world.name))
        world_id, generation = context.partition_key, worker.taken.generation.id
        metadata = generator.read(lambda database: figures(database, world_id, generation, KIND))
        told = "\n\n".join((world.name, world.description_short, world.description, *(event.name for event in world.calendar)))
        yield dg.Output(
            DocumentStream([world], fence=worker.taken.commits.token.epoch, staged=True),
            metadata={
                **results_of(world_id, [world]),
                "name": world.name,
                "paragraphs": len(world.description.split("\n\n")),
                "events": len(world.calendar),
                "visual_style": world.visual_style,
                **banned_terms(
                    dict.fromkeys(banlist.find_banned(told, world.user_preferences.language, wished=world_request.user_prompt), 1)
                ),
                **metadata,
            },
        )
