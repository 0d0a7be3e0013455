"""A session: one run's work on one world, from taking it to giving it back.

Here: how ownership, generation, commits, account and journal come together, and how work stops when the world is lost. Not here:
Dagster (assets/generator.py runs sessions), and what is worked (assets/orchestrator.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from pymongo import AsyncMongoClient

from generia_assets.durable.calls.clients import GatewayClientFactory
from generia_assets.durable.calls.ledger import CALL_LIMIT, BudgetLedger, excusable, most_of_item
from generia_assets.durable.calls.providers import Providers
from generia_assets.durable.calls.publications import Publications
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.events.progress import StageTracker
from generia_assets.durable.events.relay import Relay, Sender
from generia_assets.durable.leases.commits import Change, Commits
from generia_assets.durable.leases.ownership import acquire_lease, release_lease, renew_lease
from generia_assets.durable.orders import tasks as order_tasks
from generia_assets.durable.orders.decisions import Choice, RefusedRunError, RunIdentity, RunScope, choose, goes_on_by_itself
from generia_assets.durable.orders.records import OrderError
from generia_assets.durable.retries import retry_on_outage
from generia_assets.durable.status import State, SuspendReason, Suspension, WorldStatus, status_of
from generia_assets.durable.tasks.generations import Generation, Workload, begin, end, generation_of, new_generation
from generia_assets.durable.tasks.runner import TaskRunner
from resources.cancellation import cancel_and_wait
from resources.gateway.outcomes import LeaseLostError
from resources.mongodb.connection import AsyncMongoDatabase, MongoDatabase, MongoDocument

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")


MOST_RETRIES = 10
"""Times in a row that a world is resumed for what may heal. ``OUTAGE_RETRY_SECONDS`` lie between two of them, and the patience
where calls are waited for: a quarter of an hour for Dagster's storage, three hours for a key that was good and is refused now."""


class TooManyRecoveriesError(RuntimeError):
    """The world's run died too often; something about the world kills its process."""


@dataclass(frozen=True)
class SessionOptions:
    """How a session behaves; seconds where not said otherwise."""

    lease_seconds: float
    patience_seconds: float
    task_concurrency: int
    max_takeovers: int
    budget_spare: float
    """Share of the limits of calls beyond the computed ones."""


@dataclass(frozen=True)
class Assignment:
    """What a run is to do: its world, what it would make of it, and how much work a new start is."""

    world_id: str
    run: RunIdentity
    wanted: RunScope
    workload: Callable[[MongoDocument], Workload]
    """Called with the world's parameters when a new generation begins."""


class WorldSession:
    """One run's work on one world. Made by ``open_session``; used and closed on the event loop."""

    def __init__(
        self,
        database: AsyncMongoDatabase,
        assignment: Assignment,
        generation: Generation,
        parameters: MongoDocument,
        commits: Commits,
        journal: TaskRunner,
        stages: StageTracker,
        relay: Relay,
        heartbeat: asyncio.Task[None],
        parked_before: Suspension | None,
    ) -> None:
        self.assignment = assignment
        self.generation = generation
        self.parameters = parameters
        """The world's order as it stands for this generation."""
        self.journal = journal
        self.commits = commits
        self.database = database
        self._stages = stages
        self._relay = relay
        self._heartbeat = heartbeat
        self._parked_before = parked_before
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether this run has said its last word about the world."""
        return self._ended

    async def work(self, work: Awaitable[ResultT]) -> ResultT:
        """Do this, and stop doing it the moment the world is lost (``LeaseLostError``)."""
        working = asyncio.ensure_future(work)
        try:
            await asyncio.wait((working, self._heartbeat), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise self._heartbeat.exception() or LeaseLostError("the heartbeat ended")
            result = await working
            await self.commits.flush()
            return result
        finally:
            if not working.done():
                await cancel_and_wait(working)

    async def finishing(self) -> None:
        """All work is done; the documents are about to be written."""
        if self.generation.finished:
            return  # they are being written again; who watches has heard the last word
        finishing = self._stages.finishing()
        await self.commits.commit(Change(values=finishing, events=self._stages.news()))

    async def completed(self, superseded: Mapping[str, int]) -> None:
        """Everything is written: the world's last word. ``superseded``: what the platform has too much of, by kind."""
        await self.commits.commit(Change(values={"superseded": dict(superseded)}))
        await end(self.database, self.commits, self.generation, self._stages, State.COMPLETED)
        self._ended = True

    async def failed(self, message: str, *, parked: SuspendReason | None = None) -> None:
        """The generation is over without success; what exists stays, and a re-execution continues it."""
        await end(self.database, self.commits, self.generation, self._stages, State.FAILED, message=message, parked=parked)
        self._ended = True

    async def parked(self, message: str, why: SuspendReason, *, until: datetime | None = None) -> None:
        """The world waits to be resumed; nothing is failed. ``until``: before this moment nobody tries by himself."""
        await end(
            self.database, self.commits, self.generation, self._stages, State.IN_PROGRESS, message=message, parked=why, until=until
        )
        self._ended = True

    async def suspended(self, message: str) -> str:
        """The world waits for what may heal or not: resumed ``MOST_RETRIES`` times in a row without a task completed, it fails.

        Returns the message with what happens next.
        """
        status = await _status(self.database, self.assignment.world_id, self.commits.patience)
        retries, completed = 1, status.tasks_completed
        if self._parked_before is not None and self._parked_before.tasks_completed == completed:
            retries += self._parked_before.retries
        if retries > MOST_RETRIES:
            message = f"{message}. It was tried again {MOST_RETRIES} times: generia resume {status.world_id} tries once more"
            await self.failed(message)
            return message
        message = f"{message}. It is tried again by itself ({retries} of {MOST_RETRIES})"
        counted = {"retries": retries, "tasks_completed": completed}
        await end(
            self.database,
            self.commits,
            self.generation,
            self._stages,
            State.IN_PROGRESS,
            message=message,
            parked=SuspendReason.OUTAGE,
            counted=counted,
        )
        self._ended = True
        return message

    async def let_go(self, message: str) -> None:
        """The run ends before its work does, and another one is to go on as soon as it can."""
        await self.commits.commit(Change(values={"message": message, "resumable": True}))
        self._ended = True

    async def aclose(self) -> None:
        """Stop the heartbeat, write what is waiting, give the world back. A run that ends without a last word is tried again."""
        async with AsyncExitStack() as closing:  # each of these is done, whatever the one before it raises
            closing.push_async_callback(self._relay.aclose)
            closing.push_async_callback(release_lease, self.database, self.commits.fence)
            closing.push_async_callback(self.commits.aclose)
            await cancel_and_wait(self._heartbeat)
            if not self._ended:
                with suppress(LeaseLostError):
                    await self.suspended("the run ended before the world was finished: its log tells why")


async def open_session(
    client: AsyncMongoClient[MongoDocument],
    database: AsyncMongoDatabase,
    providers: Providers,
    assignment: Assignment,
    options: SessionOptions,
    *,
    run_is_over: Callable[[str], bool],
    connect_events: Callable[[], Sender],
    forget_staged: Callable[[], Awaitable[None]],
) -> WorldSession:
    """Take the world, go on with its generation or start one, and be ready to work.

    ``forget_staged`` deletes documents that another generation has staged: done before this one begins, so that no death can
    leave them to it.
    Raises ``RefusedRunError`` before anything is touched, ``LookupError`` for a world nobody ordered, ``WorldTakenError``, and
    ``TooManyRecoveriesError``.
    """
    world_id, run, patience = assignment.world_id, assignment.run, options.patience_seconds
    await _chosen(database, assignment, patience)  # at once, if the answer is no: a world at work is waited for in vain
    writing = client.start_session()
    fence = await acquire_lease(
        database,
        world_id,
        run.run_id,
        writing,
        lease_seconds=options.lease_seconds,
        run_is_over=run_is_over,
        patience_seconds=patience,
    )
    heartbeat = asyncio.create_task(renew_lease(database, fence, lease_seconds=options.lease_seconds), name=f"heartbeat:{world_id}")
    relay = Relay(database, world_id, connect_events)
    commits = Commits(writing, database, fence, patience=patience, on_written=relay.changed)
    try:
        choice = await _chosen(database, assignment, patience)
        status, work = choice.status, None
        if choice.generation is not None:
            generation = generation_of(choice, choice.generation, run)
        else:
            if assignment.wanted.parameters is not None:
                status = status.model_copy(update={"parameters": assignment.wanted.parameters})
            work = await _workload(commits, assignment, status)
            generation = await retry_on_outage(
                partial(new_generation, database, choice, run, work, assignment.wanted.keys), patience_seconds=patience
            )
        excused = status.calls_excused if generation.continued else 0
        planned = sum(work.call_limits.values()) if work else status.api_call_limits_LLM + status.api_call_limits_images - excused
        limits = work.call_limits if work else {api: getattr(status, name) for api, name in CALL_LIMIT.items()}
        account = BudgetLedger(
            database,
            commits,
            generation.id,
            patience=patience,
            excusable=excusable(planned),
            excused=excused,
            most_of_item=most_of_item(limits, options.budget_spare),
        )
        await account.cut_off()
        stages = StageTracker(generation.stages)
        await _count_takeover(database, commits, generation, stages, status, run, options.max_takeovers)
        if not generation.continued or generation.finished:
            await forget_staged()
        await begin(commits, generation, run, work, status, stages)
    except BaseException:
        await cancel_and_wait(heartbeat)
        await commits.aclose()
        await release_lease(database, fence)
        await relay.aclose()
        raise
    publications = Publications(database, commits)
    journal = TaskRunner(
        database,
        commits,
        generation.id,
        GatewayClientFactory(world_id, providers, account, publications),
        stages,
        adopted=generation.adopted,
        task_concurrency=options.task_concurrency,
        patience=patience,
        planned=None if generation.keys else generation.tasks,
    )
    return WorldSession(
        database, assignment, generation, status.parameters, commits, journal, stages, relay, heartbeat, status.parked
    )


async def _chosen(database: AsyncMongoDatabase, assignment: Assignment, patience: float) -> Choice:
    """What this run does with its world. Refused, its order is given up, unless the world will be finished by itself."""
    run = assignment.run
    try:
        return await retry_on_outage(
            lambda: choose(database, assignment.world_id, run, assignment.wanted), patience_seconds=patience
        )
    except RefusedRunError as error:
        status = await _status(database, assignment.world_id, patience)
        if run.order is not None and not (status.generation is not None and goes_on_by_itself(status)):
            given_up = order_tasks.mark_given_up(run.order, str(error))
            await retry_on_outage(lambda: database[TASKS].bulk_write([given_up]), patience_seconds=patience)
        raise


def log_waiting(database: MongoDatabase, world_id: str, message: str) -> None:
    """A run cannot take its world yet: where nobody else works on it, its record says why, and stays as it is."""
    unfinished = {"$in": [State.PENDING.value, State.IN_PROGRESS.value]}
    database[STATUS].update_one(
        {"_id": world_id, "owner.run_id": None, "status": unfinished, "parked": None}, {"$set": {"message": message}}
    )


async def _workload(commits: Commits, assignment: Assignment, status: WorldStatus) -> Workload:
    """What there is to do. An order of what is not in the world says so in its task; the world stays as it is.

    The world's cap stays as a person has set it, higher or lower, unless the new order names its own.
    """
    try:
        work = assignment.workload(status.parameters)
    except OrderError as error:
        if assignment.run.order is not None:
            await commits.commit(Change(records={TASKS: [order_tasks.mark_given_up(assignment.run.order, str(error))]}))
        raise
    named = (assignment.wanted.parameters or {}).get("max_cost_usd") is not None
    return work if named or status.cost_limit_usd is None else replace(work, cost_limit_usd=status.cost_limit_usd)


async def _status(database: AsyncMongoDatabase, world_id: str, patience: float) -> WorldStatus:
    found = await retry_on_outage(lambda: database[STATUS].find_one({"_id": world_id}), patience_seconds=patience)
    return status_of(found)


async def _count_takeover(
    database: AsyncMongoDatabase,
    commits: Commits,
    generation: Generation,
    stages: StageTracker,
    status: WorldStatus,
    run: RunIdentity,
    most: int,
) -> None:
    """Count a generation that goes on because its run died; end it when that happened too often. A run that let go did not die."""
    died = generation.continued and status.status is State.IN_PROGRESS and status.parked is None and not status.resumable
    if not died:
        return
    if status.takeovers >= most:
        message = (
            f"the run of this world died {status.takeovers} times (MAX_TAKEOVERS): something about it kills its process. Look at "
            f"the logs of its runs, mend it, then: generia resume {status.world_id}"
        )
        stages.resume({entry.name: entry.status for entry in status.stages})
        await commits.commit(Change(values={"takeovers": 0}))
        await end(database, commits, generation, stages, State.FAILED, message=message)
        raise TooManyRecoveriesError(message)
    logger.warning("world %s: run %s takes up what run %s left", status.world_id, run.run_id, status.owner.run_id)
    await commits.commit(Change(increments={"takeovers": 1}))
