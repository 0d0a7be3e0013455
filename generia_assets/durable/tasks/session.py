"""A session: one run's work on one world, from acquiring its lease to releasing it."""

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pymongo import UpdateOne

from generia_assets.catalog import TaskType
from generia_assets.durable.calls.pictures import PendingPictures
from generia_assets.durable.calls.usage import usage_of
from generia_assets.durable.collections import GENERATIONS, STATUS, STEPS
from generia_assets.durable.events.progress import StageTracker
from generia_assets.durable.events.relay import Relay
from generia_assets.durable.leases.changes import Change
from generia_assets.durable.leases.commits import Commits
from generia_assets.durable.leases.ownership import release_lease
from generia_assets.durable.orders.order import WorldParameters
from generia_assets.durable.orders.workload import plan_of
from generia_assets.durable.status import State, SuspendReason, Suspension, status_of
from generia_assets.durable.tasks.generations import Generation, end
from generia_assets.durable.tasks.runner import TaskRunner
from resources import tracing
from resources.cancellation import cancel_and_wait
from resources.gateway.outcomes import LeaseLostError
from resources.mongodb.connection import AsyncMongoDatabase, ResultT

MOST_RETRIES = 10
"""Times in a row that a world is resumed for what may heal. ``OUTAGE_RETRY_SECONDS`` lie between two of them, and the outage
timeout where calls are waited for: a quarter of an hour for Dagster's storage, three hours for a key that was good and is refused
now."""


@dataclass
class WorldSession:
    """One run's work on one world. Made by ``open_session``; used and closed on the event loop.

    Attributes:
        parameters: The world's order as it stands for this generation.
        ended: Whether this run has recorded the world's last state. It records one, with one event: a second signal, or the
            session's end, may ask for another while the first is being written.
        takes_references: Whether pictures are made from the avatars of those they show.
    """

    database: AsyncMongoDatabase
    generation: Generation
    parameters: WorldParameters
    commits: Commits
    runner: TaskRunner
    stages: StageTracker
    relay: Relay
    pending: PendingPictures
    renewal: asyncio.Task[None]
    ending: asyncio.Task[None]
    span: tracing.Span
    suspended_before: Suspension | None
    ended: bool = False
    takes_references: bool = False
    _recording: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def work(self, work: Awaitable[ResultT]) -> ResultT:
        """Do this, and stop doing it the moment the lease is lost (``LeaseLostError``)."""
        working = asyncio.ensure_future(work)
        try:
            await asyncio.wait((working, self.renewal), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise self.renewal.exception() or LeaseLostError("the renewal of the lease ended")
            result = await working
            await self.commits.flush()
            return result
        finally:
            await cancel_and_wait(working)

    async def finishing(self) -> None:
        if not self.generation.finished:  # else they are written again, and the world's last event has been sent
            finishing = self.stages.finishing()
            await self.commits.commit(Change(values=finishing, events=self.stages.news()))

    async def complete(self, superseded: Mapping[str, int]) -> None:
        """Everything is written: the world is completed. ``superseded``: what the platform has too much of, by kind."""
        await self.commits.flush()
        await self.commits.commit(Change(values={"superseded": dict(superseded)}, records=await self._usage()))
        await self.commits.retry(lambda: self.database[STEPS].delete_many({"world_id": self.generation.world_id}))
        await self._end(State.COMPLETED)
        await self.pending.remove_all()

    async def fail(self, message: str, reason: SuspendReason | None = None) -> None:
        """The generation is over without success; what exists stays, and a re-execution continues it."""
        await self._end(State.FAILED, message, reason)

    async def suspend(self, message: str, reason: SuspendReason, *, until: datetime | None = None) -> None:
        """The world waits to be resumed; nothing has failed. ``until``: before this moment the watchdog does not resume it."""
        await self._end(State.IN_PROGRESS, message, reason, until=until)

    async def suspend_for_retry(self, message: str) -> str:
        """The world waits for what may heal or not: resumed ``MOST_RETRIES`` times in a row without a task completed, it fails.

        Returns the message with what happens next.
        """
        await self.commits.flush()
        found = await self.commits.retry(lambda: self.database[STATUS].find_one({"_id": self.generation.world_id}))
        retries, completed = 1, status_of(found).tasks_completed
        if self.suspended_before is not None and self.suspended_before.tasks_completed == completed:
            retries += self.suspended_before.retries
        if retries > MOST_RETRIES:
            message += f". It was tried again {MOST_RETRIES} times: generia resume {self.generation.world_id} tries once more"
            await self.fail(message)
        else:
            message += f". It is tried again by itself ({retries} of {MOST_RETRIES})"
            await self._end(State.IN_PROGRESS, message, SuspendReason.OUTAGE, retries=retries, tasks_completed=completed)
        return message

    async def release(self, message: str) -> None:
        """The run ends before its work does, and another one is to go on as soon as it can."""
        async with self._recording:
            if not self.ended:
                await self.commits.commit(Change(values={"message": message, "resumable": True}))
                self.span.set({"generia.outcome": "released"})
                self.ended = True

    async def _usage(self) -> dict[str, list[UpdateOne]]:
        """The record of what a new world used. A part that is made again says little of the price of a world."""
        made, world_id = self.generation, self.generation.world_id
        if made.finished or made.keys or made.tasks.keys() != set(TaskType):
            return {}
        planned = plan_of(world_id, self.parameters, made.tasks)
        usage = await self.commits.retry(lambda: usage_of(self.database, world_id, made.id, planned))
        return {GENERATIONS: [UpdateOne({"_id": made.id}, {"$set": {"usage": usage.model_dump()}})]}

    async def _end(
        self, state: State, message: str = "", reason: SuspendReason | None = None, *, until: datetime | None = None, **counted: int
    ) -> None:
        suspension = None if reason is None else Suspension(kind=reason.value, since=datetime.now(UTC), until=until, **counted)
        async with self._recording:
            if self.ended:
                return
            await end(self.database, self.commits, self.generation, self.stages, state, message=message, suspension=suspension)
            self.span.set({"generia.outcome": f"suspended: {suspension.kind}" if suspension else state.value})
            if state is State.FAILED:
                self.span.fail("failed" if reason is None else reason.value)
            self.ended = True

    async def aclose(self) -> None:
        """Stop renewing, write what is waiting, release the world. A run that recorded no last state is tried again."""
        async with AsyncExitStack() as closing:  # each of these is done, whatever the one before it raises
            closing.callback(self.span.end)
            closing.push_async_callback(self.relay.aclose)
            closing.push_async_callback(release_lease, self.database, self.commits.token)
            closing.push_async_callback(self.commits.aclose)
            await cancel_and_wait(self.ending)
            await cancel_and_wait(self.renewal)
            if not self.ended:
                with suppress(LeaseLostError):
                    await self.suspend_for_retry("the run ended before the world was finished: its log tells why")
