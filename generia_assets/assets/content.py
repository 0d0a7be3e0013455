"""The streaming multi-asset: a world's pictures, people and posts, made concurrently in one step.

Here: the step. Any subset of its assets can be materialized again; assets that are not selected are loaded from MongoDB.
Not here: the order of the work (orchestrator.py).
"""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain, islice

import dagster as dg

from generia_assets.assets.checks import ALL, evaluations
from generia_assets.assets.checks.finding import World
from generia_assets.assets.definition import definition_of
from generia_assets.assets.description import ROWS, banned_terms_in, figures, results_of
from generia_assets.assets.generator import GeneratorResource
from generia_assets.assets.jobs import RERUN_PART, ContentConfig
from generia_assets.assets.materialized import Materialized, WorldDocuments, merged_with_present, task_results
from generia_assets.assets.orchestrator import WorldOrchestrator
from generia_assets.assets.run_log import log_people
from generia_assets.assets.runs import assets_of_step, assignment_of, is_final_step, keep_partition, selected_assets
from generia_assets.assets.selection import Selection, WorldRun
from generia_assets.catalog import ASSETS, CONTENT
from generia_assets.content.documents import Document, WorldDescription, WorldRequest
from generia_assets.content.plan import Extension
from generia_assets.durable.leases.changes import Change
from generia_assets.durable.tasks.session import WorldSession
from generia_assets.partitions import worlds
from resources.mongodb.document_store import DocumentStream
from resources.mongodb.io_manager import MongoIOManager


@dg.multi_asset(
    name="world_content",
    outs={name: dg.AssetOut(is_required=False, **definition_of(name)) for name in CONTENT},
    internal_asset_deps={name: {dg.AssetKey(upstream) for upstream in ASSETS[name].upstream} for name in CONTENT},
    partitions_def=worlds,
    can_subset=True,
)
def world_content(
    context: dg.AssetExecutionContext,
    config: ContentConfig,
    generator: dg.ResourceParam[GeneratorResource],
    mongo_io_manager: dg.ResourceParam[MongoIOManager],
    world_request: WorldRequest,
    world_description: WorldDescription,
) -> Iterator[dg.Output[DocumentStream[Document]]]:
    """Make what is selected, then stream each asset's documents to the io manager."""
    world_id, settings, names = context.partition_key, generator.settings, assets_of_step(context)
    store, database = mongo_io_manager.store, mongo_io_manager.store.database
    del config  # runs.py reads it in the run's configuration, since an earlier step may be the one that acquires the world
    assignment = assignment_of(context, generator)
    with ExitStack() as at_the_end, generator.world(context, assignment, last=is_final_step(context)) as worker:

        def log_work() -> None:  # also after a failure; the world's state is recorded before, and nothing waits for this
            if worker.session is not None:
                log_people(context.log, database, world_id, worker.session.generation.id)

        at_the_end.callback(log_work)

        async def make(session: WorldSession) -> None:
            keys = session.generation.keys
            types = frozenset(ASSETS[name].task_type for name in names)
            selection = Selection(types, frozenset(keys), Extension.among(keys, world_request))
            materialized = Materialized(WorldDocuments(store, world_id))
            run = WorldRun(
                session.runner,
                materialized,
                selection,
                world_request,
                world_description,
                settings.calls_at_once,
                takes_references=session.takes_references,
            )
            await WorldOrchestrator(run).run()
            await session.finishing()

        worker.run(make)
        keep_partition(context)
        generation, assets = worker.acquired.generation, [ASSETS[name] for name in names]
        counted = store.retry_on_outage(lambda: figures(database, world_id, generation.id, assets))
        for asset in assets:
            documents = task_results(database, world_id, generation.id, asset, patience_seconds=settings.patience_seconds)
            first = list(islice(documents, ROWS))
            documents = chain(first, documents)
            if generation.keys:
                documents = merged_with_present(store, world_id, asset, documents)
            banned = store.retry_on_outage(partial(banned_terms_in, database, world_id, generation.id, asset))
            shown = results_of(world_id, world_description.name, first, settings.media_dir)
            stream = DocumentStream(documents, fence=worker.acquired.commits.token.epoch, staged=True)
            yield dg.Output(stream, output_name=asset.name, metadata={**shown, **counted[asset.name], **banned})
        if generation.keys:  # an item that had failed before raises the world's counters, one made again does not
            recounted = store.retry_on_outage(
                lambda: {one.counter: store.count(one, world_id, staged=True) or 0 for one in ASSETS.values() if one.counter}
            )
            worker.record(lambda session: session.commits.commit(Change(values=recounted)))
    if context.run.job_name == RERUN_PART:
        made, world = set(selected_assets(context)), World(world_id, database, settings.media_dir)
        for evaluation in evaluations(context.instance, world, (check for check in ALL if check.asset in made)):
            context.log_event(evaluation)
