"""The streaming multi-asset: a world's pictures, people and posts, made without barriers, shown asset by asset.

Here: seven assets in one step, any subset of which can be materialized again (what is not selected is loaded from MongoDB). The
order of the work is the conductor's; the lineage between the seven is declared here.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice

import dagster as dg

from generia_assets.assets.checks import ALL
from generia_assets.assets.checks.finding import World
from generia_assets.assets.definition import DESCRIPTIONS, GROUPS, KINDS, OWNER, code_version, storage_metadata
from generia_assets.assets.description import banned_terms_in, figures, results_of
from generia_assets.assets.forms import ContentConfig
from generia_assets.assets.generator import GeneratorResource
from generia_assets.assets.jobs import RERUN_PART
from generia_assets.assets.materialized import Materialized, merged_with_present, results
from generia_assets.assets.orchestrator import WorldOrchestrator
from generia_assets.assets.run_log import log_people
from generia_assets.assets.runs import assignment_of, is_final_step, keep_partition, selected_assets, selected_types
from generia_assets.assets.selection import Selection
from generia_assets.assets.tables import ROWS
from generia_assets.assets.worker import Worker
from generia_assets.catalog import ASSETS, CONTENT
from generia_assets.content.documents import Document, WorldDescription, WorldRequest
from generia_assets.durable.leases.commits import Change
from generia_assets.durable.tasks.session import WorldSession
from generia_assets.partitions import worlds
from resources.mongodb.document_store import DocumentStore, DocumentStream
from resources.mongodb.io_manager import MongoIOManager

INTERNAL_DEPS: dict[str, set[str]] = {
    "world_images": {"world_request", "world_description"},
    "character_briefs": {"world_request", "world_description"},
    "characters": {"world_request", "world_description", "character_briefs"},
    "character_avatars": {"world_request", "world_description", "characters"},
    "post_briefs": {"world_request", "world_description", "characters"},
    "posts": {"world_request", "world_description", "post_briefs", "characters"},
    "post_images": {"world_request", "world_description", "posts", "characters"},
}

_COUNTERS = {"characters": "users_created", "post_images": "posts_created"}


@dg.multi_asset(
    name="world_content",
    outs={
        name: dg.AssetOut(
            io_manager_key="mongo_io_manager",
            is_required=False,
            group_name=GROUPS[name],
            description=DESCRIPTIONS[name],
            owners=[OWNER],
            kinds=KINDS[name],
            code_version=code_version(name),
            metadata=storage_metadata(name),
            dagster_type=dg.Any,  # a stream; the documents' class is checked when they are stored
        )
        for name in CONTENT
    },
    internal_asset_deps={name: {dg.AssetKey(upstream) for upstream in deps} for name, deps in INTERNAL_DEPS.items()},
    partitions_def=worlds,
    can_subset=True,
)
def world_content(
    context: dg.AssetExecutionContext,
    config: ContentConfig,
    generator: dg.ResourceParam[GeneratorResource],
    documents: dg.ResourceParam[MongoIOManager],
    world_request: WorldRequest,
    world_description: WorldDescription,
) -> Iterator[dg.Output[DocumentStream[Document]]]:
    """Make what is selected, streaming; then hand each asset's documents to the io manager."""
    world_id, store = context.partition_key, documents.store
    del config  # read with the run's own configuration (runs.py), since an earlier step may be the one that takes the world
    assignment = assignment_of(context, generator)
    with ExitStack() as at_the_end, generator.world(context, assignment, last=is_final_step(context)) as worker:
        at_the_end.callback(_tell_of_people, context, store, worker)

        async def make(session: WorldSession) -> None:
            selection = Selection(selected_types(context), frozenset(session.generation.keys))
            conductor = WorldOrchestrator(
                session.runner, Materialized(store, world_id), selection, world_request, world_description
            )
            await conductor.run()
            await session.finishing()

        worker.run(make)
        keep_partition(context)
        selected = {key.path[-1] for key in context.selected_asset_keys}
        for name in selected_assets(context):
            if name in selected:
                yield _output(name, world_id, worker, store, generator)
        if worker.taken.generation.keys:
            recounted = store.patiently(lambda: _recounted(store, world_id))
            worker.say(lambda session: session.commits.commit(recounted))
    if context.run.job_name == RERUN_PART:
        made, world = set(selected_assets(context)), World(world_id, store.database, generator.settings.media_dir)
        for check in ALL:
            if check.asset in made:
                check.report(context, world)


def _tell_of_people(context: dg.AssetExecutionContext, store: DocumentStore, worker: Worker) -> None:
    """However it ended, and when the world has been told: nobody waits for this any more."""
    if worker.session is not None:
        log_people(context.log, store.database, context.partition_key, worker.session.generation.id)


def _recounted(store: DocumentStore, world_id: str) -> Change:
    """After some items only: an item that had failed before adds to what the world has, one made again does not."""
    counts = {counter: store.count(ASSETS[name], world_id, staged=True) or 0 for name, counter in _COUNTERS.items()}
    return Change(values=counts)


def _output(
    name: str, world_id: str, worker: Worker, store: DocumentStore, generator: GeneratorResource
) -> dg.Output[DocumentStream[Document]]:
    kind, generation, patience = ASSETS[name], worker.taken.generation, generator.settings.patience_seconds
    media = generator.settings.media_dir

    def made() -> Iterator[Document]:
        documents = results(store.database, world_id, generation.id, kind, patience_seconds=patience)
        return merged_with_present(store, world_id, kind, documents) if generation.keys else documents

    first = list(islice(results(store.database, world_id, generation.id, kind, patience_seconds=patience), ROWS))
    told = store.patiently(
        lambda: {
            **figures(store.database, world_id, generation.id, kind),
            **banned_terms_in(store.database, world_id, generation.id, kind),
        }
    )
    metadata = {**results_of(world_id, first, media), **told}
    return dg.Output(
        DocumentStream(made(), fence=worker.taken.commits.token.epoch, staged=True), output_name=name, metadata=metadata
    )
