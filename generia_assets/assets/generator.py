"""The generator as a Dagster resource: one event loop beside Dagster's thread, on which a run works on its world.

Here: the bridge. Assets are ordinary functions on Dagster's thread; what they do outside goes through a blocking portal to one
event loop that lives for the whole run, so that heartbeats and calls go on while Dagster writes its events and the io manager its
documents, and nothing blocking ever stands on the loop. Not here: the work (conductor.py) and how it survives (durable/).
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, nullcontext, suppress
from functools import partial
from importlib import import_module
from typing import TypeVar

import dagster as dg
from anyio import to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.storage.tags import PARTITION_NAME_TAG
from pydantic import Field, PrivateAttr
from pymongo.errors import PyMongoError
from sqlalchemy.exc import SQLAlchemyError

from generia_assets.assets.failures import is_of_dagsters_storage, settle_failure
from generia_assets.assets.materialized import ASSETS
from generia_assets.assets.superseded import mark_superseded
from generia_assets.assets.worker import Worker
from generia_assets.content.check import require_good_content
from generia_assets.content.mistakes import ContentError
from generia_assets.dagster_instance import ended_by_dagster
from generia_assets.durable.calls.api_status import BreakerStatusStore, is_trusted, name_of, trust
from generia_assets.durable.calls.task_calls import Providers
from generia_assets.durable.collections import FLEET, STATUS, ensure_indexes
from generia_assets.durable.orders.decisions import GENERATION_TAG, RefusedRunError
from generia_assets.durable.status import State, status_of
from generia_assets.durable.tasks.control import mark_generation_lost, mark_start_failed, mark_waiting
from generia_assets.durable.tasks.session import Assignment, SessionOptions, WorldSession, open_session
from generia_assets.logging_setup import levelled_lines, log_context
from generia_assets.queries.whole import check_made
from generia_assets.settings import settings
from generia_assets.tasks.task_definition import TaskType
from resources.gateway.api_gateway import Api, ApiGateway, ApiPolicy
from resources.gateway.breaker import Breaker, BreakerConfig
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gateway.outcomes import CallError, TransientError
from resources.gateway.poison import Tally
from resources.kafka.resource import KafkaResource
from resources.mongodb.connection import (
    AsyncMongoDatabase,
    MongoDatabase,
    MongoForbiddenError,
    MongoUnavailableError,
    connect_async,
    is_outage,
    retried_on_outage,
)
from resources.mongodb.document_store import DocumentStore
from resources.mongodb.resource import MongoResource
from resources.providers import GeminiResource, ImagesResource, PlatformResource

ResultT = TypeVar("ResultT")
ArgumentT = TypeVar("ArgumentT")


class GeneratorResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic only for its own base
    """What makes worlds: providers, limits and patience, and the session of the run's world."""

    mongo: MongoResource
    kafka: KafkaResource
    gemini: GeminiResource
    images: ImagesResource
    platform: PlatformResource
    llm_concurrency: int = Field(description="LLM calls at once over all runs and machines")
    image_concurrency: int = Field(description="image calls at once over all runs and machines")
    platform_concurrency: int = Field(description="platform calls at once over all runs and machines")
    task_concurrency: int = Field(description="tasks at once in this process")
    breaker_failure_rate: float = Field(description="share of failed calls that opens a breaker")
    breaker_window_calls: int = Field(description="calls the rate is taken over")
    breaker_minimum_calls: int = Field(description="calls before a rate counts")
    breaker_open_seconds: float = Field(description="first wait before a probe")
    breaker_open_max_seconds: float = Field(description="longest wait before a probe")
    patience_seconds: float = Field(description="how long an outage is waited out")
    world_lease_seconds: float = Field(description="silence after which a run has lost its world")
    slot_lease_seconds: float = Field(description="silence after which a process has lost its slots")
    max_takeovers: int = Field(description="times a world is taken up after a death")
    history_ttl_days: int = Field(description="days the record of requests is kept")

    _portal: BlockingPortal | None = PrivateAttr(default=None)
    _session: WorldSession | None = PrivateAttr(default=None)
    _closing: AsyncExitStack | None = PrivateAttr(default=None)
    _worker: Worker | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[GeneratorResource]:
        """Start the event loop for the run; at its end close the session, every client and the loop."""
        import_module("google.genai")  # half a second of importing that must not stand on the event loop
        gc.collect()
        gc.freeze()  # what is imported stays; collecting around it costs a tenth of a world's CPU
        run = context.run
        about = {"world": run.tags.get(PARTITION_NAME_TAG, ""), "run": run.run_id} if run else {}
        ended = ended_by_dagster(context.instance, run.run_id) if run and context.instance else nullcontext()
        with levelled_lines(), log_context(**about), start_blocking_portal("asyncio") as portal, ended:
            self._portal = portal
            try:
                yield self
            finally:
                # This runs in a finally clause of Dagster's: what ends the run, if anything does, is the exception of the moment.
                self._settle_interruption(sys.exception(), context)
                if self._closing is not None:
                    portal.call(self._closing.aclose)
                self._session = self._closing = self._portal = self._worker = None

    def _settle_interruption(self, error: BaseException | None, context: dg.InitResourceContext) -> None:
        """Say what it means that the run ends outside of our steps: between two of them, or while Dagster stored an output."""
        ours = (DagsterExecutionInterruptedError, KeyboardInterrupt)
        if error is None or not (isinstance(error, ours) or is_of_dagsters_storage(error)) or context.instance is None:
            return
        if self._worker is not None and self._session is not None and not self._session.ended:
            with suppress(dg.Failure):  # whoever ends the run says so already
                settle_failure(self._worker, error, stopped_by_person=is_being_stopped(context.instance, str(context.run_id)))

    @contextmanager
    def world(self, context: dg.AssetExecutionContext, assignment: Assignment, *, last: bool) -> Iterator[Worker]:
        """The run's world, taken at the first step and kept until the run ends.

        ``last``: no later step of this run works on the world, so that when this one has ended (all its outputs stored) the world
        says ``completed``. A failure or an interruption becomes the world's state and the step's ``dg.Failure``.
        """
        if self._session is None:
            try:
                with self.mongo.connection() as database:
                    ensure_indexes(database, history_ttl_days=self.history_ttl_days)
                    DocumentStore(database).ensure_indexes(kind.place for kind in ASSETS.values())
            except MongoForbiddenError as error:  # the watchdog orders the world again: the right may be given meanwhile
                with suppress(MongoForbiddenError), self.mongo.connection() as database:
                    mark_waiting(database, assignment.world_id, str(error))
                raise
        worker = self._worker = Worker(self._running_portal(), lambda: self._opened(context.instance, assignment))
        worker.session = self._session  # taken by an earlier step
        try:
            yield worker
            if last:
                superseded = self.read(partial(_finish, worker.taken))
                worker.say(lambda session: session.complete(superseded))
        except GeneratorExit:  # Dagster could not store an output: the session says so when the run ends
            raise
        except BaseException as error:
            try:
                settle_failure(worker, error, stopped_by_person=is_being_stopped(context.instance, context.run.run_id))
            finally:
                self.still_there(context, assignment.wanted.makes)
            raise

    def still_there(self, context: dg.AssetExecutionContext, makes: Iterable[TaskType]) -> None:
        """Tell Dagster that a completed world has what this run did not replace: else its partition would be called failed."""
        with suppress(PyMongoError, MongoUnavailableError), self.mongo.connection() as database:
            if database[STATUS].count_documents({"_id": context.partition_key, "status": State.COMPLETED.value}):
                for name in (kind.name for kind in ASSETS.values() if kind.task_type in makes):
                    said = "What the world had before stays; this run has made nothing of it."
                    unchanged = {"unchanged": dg.MetadataValue.bool(True)}
                    context.log_event(dg.AssetMaterialization(name, said, unchanged, context.partition_key))

    def read(self, question: Callable[[MongoDatabase], ResultT]) -> ResultT:
        """The answer to a question that can be asked again. Once the world is taken an outage is waited out, as on the loop."""
        patience = self.patience_seconds if self._session is not None else 0.0
        answer: ResultT = retried_on_outage(patience)(self._asked, question)
        return answer

    def _asked(self, question: Callable[[MongoDatabase], ResultT]) -> ResultT:
        with self.mongo.connection() as database:
            return question(database)

    def _running_portal(self) -> BlockingPortal:
        if self._portal is None:
            raise RuntimeError("the generator is used outside of a run")
        return self._portal

    async def _opened(self, instance: dg.DagsterInstance, assignment: Assignment) -> WorldSession:
        if self._session is not None:
            return self._session
        async with AsyncExitStack() as stack:
            client = connect_async(self.mongo.uri)
            stack.push_async_callback(client.close)
            database = client[self.mongo.database]
            try:
                require_good_content()  # the files may have been edited since this process's parent looked at them
                providers = await self._providers(database, assignment.run.run_id, stack)
            except Exception as error:
                if not isinstance(error, TransientError) and not is_outage(error):  # of those the watchdog orders the world again
                    ours = isinstance(error, (CallError, ContentError))
                    said = str(error) if ours else f"{type(error).__name__}: {error}"
                    await to_thread.run_sync(self._mark_start_failed, assignment, said)
                raise
            try:
                self._session = await open_session(
                    client,
                    database,
                    providers,
                    assignment,
                    SessionOptions(
                        lease_seconds=self.world_lease_seconds,
                        outage_timeout=self.patience_seconds,
                        task_concurrency=self.task_concurrency,
                        max_recoveries=self.max_takeovers,
                        budget_spare=settings().budget_spare,
                    ),
                    run_is_over=lambda run_id: run_is_over(instance, run_id),
                    connect_events=self.kafka.progress,
                    forget_staged=lambda: to_thread.run_sync(self._forget_staged, assignment.world_id),
                )
            except RefusedRunError as error:
                if (generation := assignment.run.tags.get(GENERATION_TAG)) is not None:
                    await to_thread.run_sync(self._generation_is_lost, assignment.world_id, generation, str(error))
                raise
            stack.push_async_callback(self._session.aclose)
            self._closing = stack.pop_all()
        return self._session

    async def _providers(self, database: AsyncMongoDatabase, run_id: str, stack: AsyncExitStack) -> Providers:
        gemini = self.gemini.open()
        stack.push_async_callback(gemini.aclose)
        images = self.images.open()
        stack.push_async_callback(images.aclose)
        platform = await self.platform.open(database)
        stack.push_async_callback(platform.aclose)
        limits = {Api.LLM: self.llm_concurrency, Api.IMAGE: self.image_concurrency, Api.PLATFORM: self.platform_concurrency}
        board = BreakerStatusStore(database[FLEET], run_id, lease_seconds=self.slot_lease_seconds)
        stack.push_async_callback(board.aclose)
        lanes = {api: self._lane(database, api, limit, board) for api, limit in limits.items()}
        stack.push_async_callback(await self._trusting(database, {api: lane.tally for api, lane in lanes.items()}))
        outside = ApiGateway(lanes, patience_seconds=self.patience_seconds)
        stack.push_async_callback(outside.aclose)
        timeouts = {
            Api.LLM: self.gemini.timeout_seconds,
            Api.IMAGE: self.images.timeout_seconds,
            Api.PLATFORM: self.platform.timeout_seconds,
        }
        roster = self.gemini.roster(database, FLEET)
        return Providers(outside, gemini, roster, images, platform, timeouts, self.gemini.max_reasks, self.patience_seconds)

    async def _trusting(self, database: AsyncMongoDatabase, tallies: Mapping[Api, Tally]) -> Callable[[], Awaitable[None]]:
        """Tell the tallies whether model and image API have answered an earlier run; what is returned tells later runs."""
        names = {
            Api.LLM: name_of(Api.LLM, self.gemini.base_url, self.gemini.api_key),
            Api.IMAGE: name_of(Api.IMAGE, self.images.provider),  # its address and key are its own matter
        }
        for api, name in names.items():
            tallies[api].trusted = await is_trusted(database[FLEET], name)

        async def note() -> None:
            with suppress(PyMongoError):  # a later run notes it
                for api, name in names.items():
                    if tallies[api].answered:  # also when it was trusted before: trust ends a month after the last answer
                        await trust(database[FLEET], name)

        return note

    def _lane(self, database: AsyncMongoDatabase, api: Api, limit: int, board: BreakerStatusStore) -> ApiPolicy:
        slots = ConcurrencyLimiter(database[FLEET], api.value, limit=limit, lease_seconds=self.slot_lease_seconds)
        config = BreakerConfig(
            failure_rate=self.breaker_failure_rate,
            window_calls=self.breaker_window_calls,
            minimum_calls=self.breaker_minimum_calls,
            open_seconds=self.breaker_open_seconds,
            open_max_seconds=self.breaker_open_max_seconds,
        )
        return ApiPolicy(slots, Breaker(api.value, config, board.breaker(api)))

    def _generation_is_lost(self, world_id: str, generation: str, message: str) -> None:
        with self.mongo.connection() as database:
            mark_generation_lost(database, world_id, generation, message)

    def _forget_staged(self, world_id: str) -> None:
        with self.mongo.connection() as database:
            DocumentStore(database, patience_seconds=self.patience_seconds).forget_staged(world_id)

    def _mark_start_failed(self, assignment: Assignment, message: str) -> None:
        with self.mongo.connection() as database:
            mark_start_failed(database, assignment.world_id, message, assignment.run.order)


def _finish(session: WorldSession, database: MongoDatabase) -> dict[str, int]:
    """Make what the generation has made visible, if it is whole; what the platform has too much of, by kind.

    Raises ``NotWholeError``; nothing has changed then.
    """
    world_id, generation, store = session.assignment.world_id, session.generation, DocumentStore(database)
    world = status_of(database[STATUS].find_one({"_id": world_id}))
    check_made(database, world, generation.tasks, generation.keys)
    store.publish(world_id, session.commits.token.epoch)
    return mark_superseded(store, world_id) if generation.before is not None else world.superseded


def is_being_stopped(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether somebody asked Dagster to terminate this run; an interruption without that is a deploy or a shutdown."""
    try:
        run = instance.get_run_by_id(run_id)
    except SQLAlchemyError:  # then nobody can have asked through it; what failed before this question is what counts
        return False
    return run is not None and run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def run_is_over(instance: dg.DagsterInstance, run_id: str) -> bool:
    """What Dagster believes; a run it does not know (another instance's) is over only when its lease ends."""
    run = instance.get_run_by_id(run_id)
    return run is not None and run.is_finished
