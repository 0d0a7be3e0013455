"""The generator as a Dagster resource: one event loop beside Dagster's thread, on which a run works on its world.

Here: the bridge between the two. Assets are ordinary functions on Dagster's thread; their calls go through a blocking portal to one
event loop that lives for the whole run, so that heartbeats and calls continue while Dagster writes its events and the io manager
its documents. Not here: the API gateway and the providers behind it (providers.py), the work (orchestrator.py) and durable
execution (durable/).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TypeVar

import dagster as dg
from anyio import to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal
from pymongo.errors import PyMongoError
from sqlalchemy.exc import SQLAlchemyError

from generia_assets.assets.external import published
from generia_assets.assets.materialized import mark_superseded
from generia_assets.assets.providers import API_RESOURCES, ApiResources
from generia_assets.assets.worker import Worker, record_failure
from generia_assets.catalog import ASSETS, TaskType
from generia_assets.content.check import require_good_content
from generia_assets.content.yaml_files import ContentError
from generia_assets.dagster_instance import ended_by_dagster, is_being_stopped, is_of_dagsters_storage
from generia_assets.dagster_internals import PARTITION_NAME_TAG, plan_again
from generia_assets.durable.calls.publications import require_same_platform
from generia_assets.durable.collections import GENERATIONS, STATUS
from generia_assets.durable.indexes import ensure_indexes, indexes_of, once_an_hour
from generia_assets.durable.orders.decisions import GENERATION_TAG, Assignment, RefusedRunError
from generia_assets.durable.status import State, status_of
from generia_assets.durable.tasks.control import mark_generation_lost, mark_start_failed, mark_waiting
from generia_assets.durable.tasks.opening import open_session
from generia_assets.durable.tasks.session import WorldSession
from generia_assets.logging_setup import levelled_lines, log_context
from generia_assets.queries.completeness import check_made
from generia_assets.settings import Settings
from resources import tracing
from resources.gateway.outcomes import CallError, TransientError
from resources.kafka.resource import KafkaResource
from resources.mongodb.connection import (
    KeptMongoResource,
    MongoDatabase,
    MongoForbiddenError,
    MongoResource,
    MongoUnavailableError,
    connect_async,
    is_outage,
    retried_on_outage,
)
from resources.mongodb.document_store import DocumentStore
from resources.settings import spare_loopback

ResultT = TypeVar("ResultT")

logger = logging.getLogger(__name__)

END_AGAIN_SECONDS = 1.0


def generator_resource(settings: Settings) -> dg.ResourceDefinition:
    """The generator of each run: its event loop starts with the run and ends with it."""

    @contextmanager
    def running(context: dg.InitResourceContext) -> Iterator[GeneratorResource]:
        spare_loopback()
        import_module("google.genai")  # takes half a second, which must not block the event loop
        tracing.prepare()
        gc.freeze()  # what was imported stays: collecting over it costs a tenth of a world and copies memory that runs share
        run = context.run
        about = {"world": run.tags.get(PARTITION_NAME_TAG, ""), "run": run.run_id} if run else {}
        ended = ended_by_dagster(context.instance, run.run_id) if run and context.instance else nullcontext()
        with levelled_lines(), log_context(**about), start_blocking_portal("asyncio", {"use_uvloop": True}) as portal:
            found = context.resources
            apis = ApiResources(*(getattr(found, name) for name in API_RESOURCES))
            with closing(KeptMongoResource(found.mongo.uri, found.mongo.database)) as mongo:
                generator = GeneratorResource(settings, mongo, found.kafka, apis, portal)
                try:
                    with ended:  # closing is not interrupted: it gives the world back
                        yield generator
                finally:
                    # This runs in a finally clause of Dagster's: sys.exception() is the error that ends the run, if any.
                    generator.close(sys.exception(), context)
                    tracing.flush()

    return dg.ResourceDefinition(resource_fn=running, required_resource_keys={"mongo", "kafka", *API_RESOURCES})


@dataclass(eq=False)
class GeneratorResource:
    """The generator of one run: settings, the event loop, and the session of the run's world."""

    settings: Settings
    mongo: MongoResource
    kafka: KafkaResource
    apis: ApiResources
    portal: BlockingPortal
    _session: WorldSession | None = field(default=None, init=False, repr=False)
    _closing: AsyncExitStack | None = field(default=None, init=False, repr=False)
    _worker: Worker | None = field(default=None, init=False, repr=False)

    def close(self, error: BaseException | None, context: dg.InitResourceContext) -> None:
        """Close the session and every client. ``error``: what ends the run outside of our steps, such as Dagster's storage."""
        if self._worker is not None and self._session is not None and not self._session.ended and context.instance is not None:
            ours = (dg.DagsterExecutionInterruptedError, KeyboardInterrupt)
            if error is not None and (isinstance(error, ours) or is_of_dagsters_storage(error)):
                stopped = context.run is not None and is_being_stopped(context.instance, context.run.run_id)
                with suppress(dg.Failure):  # the error that ends the run is reported already
                    record_failure(self._worker, error, stopped_by_person=stopped)
        if self._closing is not None:
            self.portal.call(self._closing.aclose)

    @contextmanager
    def world(self, context: dg.AssetExecutionContext, assignment: Assignment, *, last: bool) -> Iterator[Worker]:
        """The run's world, whose lease is acquired at the first step and kept until the run ends.

        A failure or an interruption becomes the world's state and the step's ``dg.Failure``.

        Args:
            context: The step's.
            assignment: The run's work on its world.
            last: No later step of this run works on the world: when this one has ended (all its outputs stored) the world is
                ``completed``.
        """
        if self._session is None:
            try:
                days = self.settings.history_ttl_days
                indexes = indexes_of((kind.collection for kind in ASSETS.values()), history_ttl_days=days)
                with self.mongo.connection() as database, once_an_hour(database, indexes) as due:
                    if due:
                        ensure_indexes(database, history_ttl_days=days)
                        DocumentStore(database).ensure_indexes(ASSETS.values())
            # the watchdog orders the world again, because the missing right may be granted meanwhile
            except MongoForbiddenError as error:
                with suppress(MongoForbiddenError), self.mongo.connection() as database:
                    mark_waiting(database, assignment.world_id, str(error))
                raise
        worker = self._worker = Worker(self.portal, lambda: self._opened(context.instance, assignment))
        worker.session = self._session  # opened by an earlier step
        try:
            yield worker
            if last:
                superseded = self.read(partial(_finish, worker.acquired))
                worker.record(lambda session: session.complete(superseded))
        except GeneratorExit:  # Dagster could not store an output: the session records that when the run ends
            raise
        except BaseException as error:
            if worker.session is not None and worker.session.ended:  # the signal came too late: the world is completed
                raise
            try:
                record_failure(worker, error, stopped_by_person=is_being_stopped(context.instance, context.run.run_id))
            finally:
                self.report_outcome(context, assignment.makes)
            raise
        if last:
            self._report_published(context)

    def _report_published(self, context: dg.AssetExecutionContext) -> None:
        """Report the completed world as a materialization of the platform. Without MongoDB there is none; the world is complete."""
        with suppress(PyMongoError, MongoUnavailableError), self.mongo.connection() as database:
            world = status_of(database[STATUS].find_one({"_id": context.partition_key}))
            generation = database[GENERATIONS].find_one({"_id": world.generation}, {"started_at": 1}) or {}
            context.log_event(published(world, generation.get("started_at", world.created_at)))

    def report_outcome(self, context: dg.AssetExecutionContext, makes: Iterable[TaskType]) -> None:
        """Report how the world stands after a failed run, by which Dagster colours its partition.

        Assets of a completed world, which this run did not replace, are materialized. Those of a failed world are failed, also the
        ones that this run had made before.
        """
        names = [kind.name for kind in ASSETS.values() if kind.task_type in makes]
        with suppress(PyMongoError, MongoUnavailableError), self.mongo.connection() as database:
            state = (database[STATUS].find_one({"_id": context.partition_key}, {"status": 1}) or {}).get("status")
            if state == State.FAILED.value:
                plan_again(context.instance, context.run, names, context.partition_key)
            elif state == State.COMPLETED.value:
                for name in names:
                    described = "What the world had before stays; this run has made nothing of it."
                    unchanged = {**_former_metadata(context, name), "unchanged": dg.MetadataValue.bool(True)}
                    context.log_event(dg.AssetMaterialization(name, described, unchanged, context.partition_key))

    def read(self, question: Callable[[MongoDatabase], ResultT]) -> ResultT:
        """The result of a query that can be repeated. Once the world's lease is held an outage is retried, as on the event loop."""
        timeout = self.settings.patience_seconds if self._session is not None else 0.0
        answer: ResultT = retried_on_outage(timeout)(self._asked, question)
        return answer

    def _asked(self, question: Callable[[MongoDatabase], ResultT]) -> ResultT:
        with self.mongo.connection() as database:
            return question(database)

    async def _opened(self, instance: dg.DagsterInstance, run: Assignment) -> WorldSession:
        if self._session is not None:
            return self._session
        world_id, settings, patience = run.world_id, self.settings, self.settings.patience_seconds
        async with AsyncExitStack() as stack:
            client = connect_async(self.mongo.uri)
            stack.push_async_callback(client.close)
            database = client[self.mongo.database]
            try:
                require_good_content()  # the files may have been edited since this process's parent looked at them
                await require_same_platform(database, world_id, settings.platform)
                providers = await self.apis.open(settings, database, run.run_id, stack)
            except Exception as error:
                # the watchdog orders the world again after these errors
                if not isinstance(error, TransientError) and not is_outage(error):
                    ours = isinstance(error, (CallError, ContentError))
                    why = str(error) if ours else f"{type(error).__name__}: {error}"
                    await to_thread.run_sync(self._asked, lambda there: mark_start_failed(there, world_id, why, run.order))
                raise
            try:
                self._session = await open_session(
                    client,
                    database,
                    providers,
                    run,
                    settings,
                    run_is_over=lambda run_id: (found := instance.get_run_by_id(run_id)) is not None and found.is_finished,
                    connect_events=self.kafka.progress,
                    forget_staged=lambda: to_thread.run_sync(
                        self._asked, lambda there: DocumentStore(there, patience_seconds=patience).forget_staged(world_id)
                    ),
                    end_run=partial(_end_run, instance, run.run_id),
                )
            except RefusedRunError as error:
                if (generation := run.tags.get(GENERATION_TAG)) is not None:
                    why = str(error)
                    await to_thread.run_sync(self._asked, lambda there: mark_generation_lost(there, world_id, generation, why))
                raise
            stack.push_async_callback(self._session.aclose)
            self._closing = stack.pop_all()
        return self._session


def _former_metadata(context: dg.AssetExecutionContext, name: str) -> Mapping[str, dg.MetadataValue]:
    """The metadata of the world's last materialization of this asset by another run; it has the world's name and samples."""
    of_world = dg.AssetRecordsFilter(dg.AssetKey(name), asset_partitions=[context.partition_key])
    for record in context.instance.fetch_materializations(of_world, limit=2).records:
        if record.run_id != context.run.run_id and record.asset_materialization is not None:
            metadata: Mapping[str, dg.MetadataValue] = record.asset_materialization.metadata
            return metadata
    return {}


async def _end_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Terminate the run through Dagster; what its storage cannot write now is tried again."""
    try:
        await to_thread.run_sync(instance.run_launcher.terminate, run_id)
    except (OSError, SQLAlchemyError) as error:
        logger.warning("Dagster cannot terminate run %s yet: %s", run_id, type(error).__name__)
        await asyncio.sleep(END_AGAIN_SECONDS)
        await _end_run(instance, run_id)


def _finish(session: WorldSession, database: MongoDatabase) -> dict[str, int]:
    """Publish the generation's staged documents, if they are complete. Returns the number of superseded publications by kind.

    Raises ``NotWholeError``; nothing has changed then.
    """
    world_id, generation, store = session.generation.world_id, session.generation, DocumentStore(database)
    world = status_of(database[STATUS].find_one({"_id": world_id}))
    check_made(database, world, generation.tasks, generation.keys)
    store.publish(world_id, session.commits.token.epoch)
    return mark_superseded(store, world_id) if generation.before is not None else world.superseded
