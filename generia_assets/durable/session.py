"""A session: one run's work on one world, from taking it to giving it back.

Here: how ownership, generation, commits, account and journal come together, and how work stops when the world is lost. Not here:
Dagster (assets/generator.py runs sessions), and what is worked (assets/conductor.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from pymongo import AsyncMongoClient

from generia_assets.durable import order_tasks
from generia_assets.durable.account import WorldAccount, excusable
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.commits import Change, Commits
from generia_assets.durable.events import Failed
from generia_assets.durable.generations import (
    Generation,
    RunIdentity,
    Workload,
    begin,
    end,
    find_generation,
    new_generation,
)
from generia_assets.durable.journal import Journal
from generia_assets.durable.orders import OrderError
from generia_assets.durable.outbox import change_and_tell
from generia_assets.durable.ownership import keep_world, leave_world, take_world
from generia_assets.durable.patience import patiently
from generia_assets.durable.progress import StageTracker
from generia_assets.durable.providers import Providers
from generia_assets.durable.publications import Publications
from generia_assets.durable.relay import Relay, Sender
from generia_assets.durable.status import Parked, State, WorldStatus, status_of
from generia_assets.durable.toolbox import Toolbox
from resources.mongo import AsyncMongoDatabase, MongoDatabase, MongoDocument
from resources.outcomes import LostWorldError
from resources.stopping import stop

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")


class TooManyTakeoversError(RuntimeError):
    """The world's run died too often; something about the world kills its process."""


@dataclass(frozen=True)
class SessionOptions:
    """How a session behaves; seconds where not said otherwise."""

    lease_seconds: float
    patience_seconds: float
    task_concurrency: int
    max_takeovers: int


@dataclass(frozen=True)
class Assignment:
    """What a run is to do: its world, which items (none = all), the order it carries out, and how much work a new start is."""

    world_id: str
    run: RunIdentity
    keys: tuple[str, ...]
    order_task: str | None
    workload: Callable[[MongoDocument], Workload]
    """Called with the world's parameters when a new generation begins."""
    parameters: MongoDocument | None = None
    """New parameters, which replace the world's when a new generation begins."""


class WorldSession:
    """One run's work on one world. Made by ``open_session``; used and closed on the event loop."""

    def __init__(
        self,
        database: AsyncMongoDatabase,
        assignment: Assignment,
        generation: Generation,
        parameters: MongoDocument,
        commits: Commits,
        journal: Journal,
        stages: StageTracker,
        relay: Relay,
        heartbeat: asyncio.Task[None],
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
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether this run has said its last word about the world."""
        return self._ended

    async def work(self, work: Awaitable[ResultT]) -> ResultT:
        """Do this, and stop doing it the moment the world is lost (``LostWorldError``)."""
        working = asyncio.ensure_future(work)
        try:
            await asyncio.wait((working, self._heartbeat), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise self._heartbeat.exception() or LostWorldError("the heartbeat ended")
            result = await working
            await self.commits.flush()
            return result
        finally:
            if not working.done():
                await stop(working)

    async def finishing(self) -> None:
        """All work is done; the documents are about to be written."""
        if self.generation.finished:
            return  # they are being written again; who watches has heard the last word
        finishing = self._stages.finishing()
        await self.commits.commit(Change(values=finishing, events=self._stages.news()))

    async def completed(self) -> None:
        """Everything is written: the world's last word."""
        await end(self.commits, self.generation, self._stages, State.COMPLETED)
        self._ended = True

    async def failed(self, message: str, *, parked: Parked | None = None) -> None:
        """The generation is over without success; what exists stays, and a re-execution continues it."""
        await end(self.commits, self.generation, self._stages, State.FAILED, message=message, parked=parked)
        self._ended = True

    async def parked(self, message: str, why: Parked, *, until: datetime | None = None) -> None:
        """The world waits to be resumed; nothing is failed. ``until``: before this moment nobody tries by himself."""
        await end(self.commits, self.generation, self._stages, State.IN_PROGRESS, message=message, parked=why, until=until)
        self._ended = True

    async def let_go(self, message: str) -> None:
        """The run ends before its work does, and another one is to go on as soon as it can."""
        await self.commits.commit(Change(values={"message": message, "resumable": True}))
        self._ended = True

    async def aclose(self) -> None:
        """Stop the heartbeat, write what is waiting, give the world back. A run that ends without a last word has failed."""
        async with AsyncExitStack() as closing:  # each of these is done, whatever the one before it raises
            closing.push_async_callback(self._relay.aclose)
            closing.push_async_callback(leave_world, self.database, self.commits.fence)
            closing.push_async_callback(self.commits.aclose)
            await stop(self._heartbeat)
            if not self._ended:
                with suppress(LostWorldError):
                    await self.failed(
                        "the run ended before the world was finished: its log tells why; a re-execution goes on from here"
                    )


async def open_session(
    client: AsyncMongoClient[MongoDocument],
    database: AsyncMongoDatabase,
    providers: Providers,
    assignment: Assignment,
    options: SessionOptions,
    *,
    run_is_over: Callable[[str], bool],
    connect_events: Callable[[], Sender],
) -> WorldSession:
    """Take the world, find or start the generation, and be ready to work.

    Raises ``LookupError`` for a world nobody ordered, ``WorldTakenError``, and ``TooManyTakeoversError``.
    """
    world_id, run, patience = assignment.world_id, assignment.run, options.patience_seconds
    writing = client.start_session()
    fence = await take_world(
        database,
        world_id,
        run.run_id,
        writing,
        lease_seconds=options.lease_seconds,
        run_is_over=run_is_over,
        patience_seconds=patience,
    )
    heartbeat = asyncio.create_task(keep_world(database, fence, lease_seconds=options.lease_seconds), name=f"heartbeat:{world_id}")
    relay = Relay(database, world_id, connect_events)
    commits = Commits(writing, database, fence, patience=patience, on_written=relay.changed)
    try:
        status = await _status(database, world_id, patience)
        generation = await patiently(lambda: find_generation(database, world_id, run), patience_seconds=patience)
        work: Workload | None = None
        if generation is None:
            if assignment.parameters is not None:
                status = status.model_copy(update={"parameters": assignment.parameters})
            work = await _workload(commits, assignment, status)
            order = assignment.order_task or status.parameters.get("task_id")
            generation = await patiently(
                partial(new_generation, database, world_id, run, work, assignment.keys, order), patience_seconds=patience
            )
        excused = status.calls_excused if generation.continued else 0
        planned = sum(work.call_limits.values()) if work else status.api_call_limits_LLM + status.api_call_limits_images - excused
        account = WorldAccount(database, commits, generation.id, patience=patience, excusable=excusable(planned), excused=excused)
        await account.cut_off()
        await _count_takeover(commits, generation, status, run, options.max_takeovers)
        stages = StageTracker(generation.stages)
        await begin(commits, generation, run, work, status, stages)
    except BaseException:
        await stop(heartbeat)
        await commits.aclose()
        await leave_world(database, fence)
        await relay.aclose()
        raise
    publications = Publications(database, commits)
    journal = Journal(
        database,
        commits,
        generation.id,
        Toolbox(world_id, providers, account, publications),
        stages,
        adopted=generation.adopted,
        task_concurrency=options.task_concurrency,
        patience=patience,
    )
    return WorldSession(database, assignment, generation, status.parameters, commits, journal, stages, relay, heartbeat)


def could_not_begin(database: MongoDatabase, world_id: str, message: str, order_task: str | None = None) -> None:
    """A run cannot even take its world: where nobody else works on it, its record says so, and nobody waits for it or its order."""
    now = datetime.now(UTC)
    values = {
        "status": State.FAILED.value,
        "message": message,
        "resumable": True,
        "parked": None,
        "updated_at": now,
        "finished_at": now,
    }
    waited_for = {"$in": [State.PENDING.value, State.IN_PROGRESS.value]}
    nobodys = {"_id": world_id, "owner.run_id": None, "status": waited_for}
    change_and_tell(database, nobodys, values, Failed(message=message))
    if order_task is not None:
        order_tasks.give_up(database, order_task, message)


def say_what_it_waits_for(database: MongoDatabase, world_id: str, message: str) -> None:
    """A run cannot take its world yet: where nobody else works on it, its record says why, and stays as it is."""
    unfinished = {"$in": [State.PENDING.value, State.IN_PROGRESS.value]}
    database[STATUS].update_one(
        {"_id": world_id, "owner.run_id": None, "status": unfinished, "parked": None}, {"$set": {"message": message}}
    )


async def _workload(commits: Commits, assignment: Assignment, status: WorldStatus) -> Workload:
    """What there is to do. An order of what is not in the world says so in its task; the world stays as it is."""
    try:
        return assignment.workload(status.parameters)
    except OrderError as error:
        if assignment.order_task is not None:
            await commits.commit(Change(records={TASKS: [order_tasks.given_up(assignment.order_task, str(error))]}))
        raise


async def _status(database: AsyncMongoDatabase, world_id: str, patience: float) -> WorldStatus:
    found = await patiently(lambda: database[STATUS].find_one({"_id": world_id}), patience_seconds=patience)
    return status_of(found)


async def _count_takeover(commits: Commits, generation: Generation, status: WorldStatus, run: RunIdentity, most: int) -> None:
    """Count a generation that goes on because its run died; end it when that happened too often. A run that let go did not die."""
    died = generation.continued and status.status is State.IN_PROGRESS and status.parked is None and not status.resumable
    if not died:
        return
    if status.takeovers >= most:
        message = (
            f"the run of this world died {status.takeovers} times (MAX_TAKEOVERS): something about it kills its process. Look at "
            f"the logs of its runs, mend it, then: generia resume {status.world_id}"
        )
        values = {"status": State.FAILED.value, "message": message, "resumable": True, "takeovers": 0}
        orders = {} if generation.order is None else {TASKS: [order_tasks.given_up(generation.order, message)]}
        await commits.commit(Change(values=values, records=orders, events=[Failed(message=message)]))
        raise TooManyTakeoversError(message)
    logger.warning("world %s: run %s takes up what run %s left", status.world_id, run.run_id, status.owner.run_id)
    await commits.commit(Change(increments={"takeovers": 1}))
