"""Commits: every change to a world's tasks, counters and records in one fenced transaction, many changes at a time.

Here: the world's only writer in this process. Changes that arrive while a transaction runs wait and go together into the next
one, so that a hundred tasks at once cost a few transactions, and the status record's counters agree with the tasks collection at
every moment that anyone can observe. Every transaction begins with the owner's epoch in its filter: the write of a run that lost
its world changes nothing and raises ``LeaseLostError``. A commit whose answer was lost in an outage is recognised by its id,
so nothing is counted twice.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import TypeAlias, TypeVar

from pymongo import DeleteMany, InsertOne, ReplaceOne, ReturnDocument, UpdateMany, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError
from tenacity import AsyncRetrying, RetryCallState, RetryError, retry_if_exception, stop_after_delay, wait_exponential_jitter

from generia_assets.durable.collections import STATUS, TASKS, WORLD_EVENTS
from generia_assets.durable.events.events import LiveEvent
from generia_assets.durable.events.outbox import RECORD, numbering, outbox
from resources.cancellation import cancel_and_wait
from resources.gateway.outcomes import LeaseLostError, OutageTimeoutError
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument, is_outage

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

LATEST_SECONDS = 0.5
"""When a change that is held for its task is written without it."""

WriteOperation: TypeAlias = InsertOne[MongoDocument] | ReplaceOne[MongoDocument] | UpdateOne | UpdateMany | DeleteMany


async def retry_on_outage(operation: Callable[[], Awaitable[ResultT]], *, timeout_seconds: float) -> ResultT:
    """Run a MongoDB operation that may be repeated, through outages. Raises ``OutageTimeoutError`` for one that lasts longer."""
    try:
        return await operation()  # nearly always: what follows costs 0.1 ms of CPU for each of thousands of operations
    except PyMongoError as error:
        if not is_outage(error):
            raise
    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(is_outage),
            wait=wait_exponential_jitter(initial=0.1, max=2.0, jitter=0.1),
            stop=stop_after_delay(timeout_seconds),
            before_sleep=_log_outage,
        ):
            with attempt:
                return await operation()
    except RetryError as error:
        last = error.last_attempt.exception()
        raise OutageTimeoutError(f"MongoDB did not come back within {timeout_seconds:.0f} s: {type(last).__name__}") from last
    raise AssertionError("tenacity ended without a result")  # pragma: no cover


def _log_outage(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    if state.attempt_number in (1, 10, 100):
        logger.warning("MongoDB does not answer (%s); waiting", type(error).__name__)


@dataclass(frozen=True)
class FencingToken:
    """Who may write: the world's owner at this epoch."""

    world_id: str
    run_id: str
    epoch: int

    @property
    def filter(self) -> MongoDocument:
        """Matches the status record only while this run owns the world."""
        return {"_id": self.world_id, "owner.run_id": self.run_id, "owner.epoch": self.epoch}


@dataclass(frozen=True)
class Change:
    """What becomes true together.

    ``transitions`` move tasks this run holds, each matching exactly one; ``enlist`` are upserts of pending tasks; ``records``
    go to other collections; ``increments``, ``values``, ``minima`` (keep the earlier moment), ``failures`` and ``unset`` to the
    status record; ``events`` describe it (events.py). ``releases`` names a task: what is held for it goes along.
    """

    transitions: Sequence[UpdateOne] = ()
    enlist: Sequence[UpdateOne] = ()
    records: Mapping[str, Sequence[WriteOperation]] = field(default_factory=dict)
    increments: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    minima: Mapping[str, datetime] = field(default_factory=dict)
    failures: Sequence[MongoDocument] = ()
    unset: Sequence[str] = ()
    events: Sequence[LiveEvent] = ()
    releases: str | None = None


_Entry: TypeAlias = "tuple[Change, asyncio.Future[None]]"


class Commits:
    """The writer of one world, in one session of its own. Make it on the event loop; ``aclose`` writes what is still waiting."""

    def __init__(
        self,
        session: AsyncClientSession,
        database: AsyncMongoDatabase,
        token: FencingToken,
        *,
        outage_timeout: float,
        on_written: Callable[[], None] = lambda: None,
    ) -> None:
        self._session = session
        self._database = database
        self.token = token
        self.outage_timeout = outage_timeout
        self._on_written = on_written
        self._waiting: list[_Entry] = []
        self._held: dict[str, list[_Entry]] = {}
        self._arrived = asyncio.Event()
        self._failure: BaseException | None = None
        self._writer = asyncio.create_task(self._write_all(), name=f"commits:{token.world_id}")
        self.transactions = 0

    def retry(self, operation: Callable[[], Awaitable[ResultT]]) -> Awaitable[ResultT]:
        """Run a MongoDB operation of this world that may be repeated, through outages; see ``retry_on_outage``."""
        return retry_on_outage(operation, timeout_seconds=self.outage_timeout)

    async def commit(self, change: Change) -> None:
        """Return when the change is durable. Raises ``LeaseLostError``, or what the transaction raised."""
        await asyncio.shield(self.enqueue(change))

    def enqueue(self, change: Change, *, held_for: str | None = None) -> asyncio.Future[None]:
        """Write the change with the next transaction, in order; whoever commits later need not wait for it twice.

        ``held_for`` a task: with the transaction that stores what this task brings (``Change.releases``), or after a moment.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_retrieve)
        if self._failure is not None:
            future.set_exception(self._failure)
        elif held_for is not None:
            self._held.setdefault(held_for, []).append((change, future))
            asyncio.get_running_loop().call_later(LATEST_SECONDS, self._release, held_for)
        else:
            if change.releases is not None:
                self._waiting += self._held.pop(change.releases, [])
            self._waiting.append((change, future))
            self._arrived.set()
        return future

    def _release(self, task_id: str) -> None:
        if held := self._held.pop(task_id, None):
            self._waiting += held
            self._arrived.set()

    async def flush(self) -> None:
        """Return when everything enqueued before is durable."""
        for task_id in list(self._held):
            self._release(task_id)
        await self.commit(Change())

    async def aclose(self) -> None:
        """Write what is waiting, then stop. A world that was lost has nothing left to write.

        Raises what the writing died of, if it did; the writer has stopped all the same.
        """
        try:
            with suppress(LeaseLostError):
                await self.flush()
        finally:
            await cancel_and_wait(self._writer)
            await self._session.end_session()

    async def _write_all(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batch, self._waiting = self._waiting, []
            if not batch:
                continue
            changes, commit_id = [change for change, _ in batch], uuid.uuid4().hex
            try:
                await self.retry(partial(self._write, changes, commit_id))
            except Exception as error:  # noqa: BLE001  handed to everyone who waits, now and later
                self._failure = error
                for _, future in (*batch, *self._waiting, *chain.from_iterable(self._held.values())):
                    if not future.done():
                        future.set_exception(error)
                self._waiting, self._held = [], {}
                continue
            for _, future in batch:
                if not future.done():
                    future.set_result(None)
            self._on_written()

    async def _write(self, changes: list[Change], commit_id: str) -> None:
        await self._session.with_transaction(partial(self._apply, changes=changes, commit_id=commit_id))
        self.transactions += 1

    async def _apply(self, session: AsyncClientSession, *, changes: list[Change], commit_id: str) -> None:
        owned = {**self.token.filter, "last_commit": {"$ne": commit_id}}
        events = [event for change in changes for event in change.events]
        record = await self._database[STATUS].find_one_and_update(
            owned,
            _status_update(changes, commit_id, len(events)),
            projection=RECORD,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        if record is None:
            await self._made_before(session, commit_id)
            return
        transitions = [transition for change in changes for transition in change.transitions]
        if transitions:
            moved = await self._database[TASKS].bulk_write(transitions, ordered=False, session=session)
            if moved.matched_count != len(transitions):
                raise LeaseLostError(
                    f"run {self.token.run_id} moved {len(transitions)} tasks of world {self.token.world_id} but holds only "
                    f"{moved.matched_count} of them; it writes nothing more"
                )
        enlist = [operation for change in changes for operation in change.enlist]
        if enlist:
            listed = await self._database[TASKS].bulk_write(enlist, ordered=False, session=session)
            if listed.upserted_count:
                await self._database[STATUS].update_one(
                    self.token.filter, {"$inc": {"tasks_total": listed.upserted_count}}, session=session
                )
        records: defaultdict[str, list[WriteOperation]] = defaultdict(list)
        for change in changes:
            for collection, operations in change.records.items():
                records[collection].extend(operations)
        if events:
            records[WORLD_EVENTS].extend(outbox(events, record))
        for collection, operations in records.items():
            await self._database[collection].bulk_write(operations, ordered=True, session=session)

    async def _made_before(self, session: AsyncClientSession, commit_id: str) -> None:
        """The filter matched nothing: this commit was made by a try whose answer was lost, or the world is no longer ours."""
        made = await self._database[STATUS].find_one({**self.token.filter, "last_commit": commit_id}, {"_id": 1}, session=session)
        if made is None:
            raise LeaseLostError(f"run {self.token.run_id} no longer owns world {self.token.world_id}; it writes nothing more")


def _status_update(changes: Sequence[Change], commit_id: str, events: int) -> MongoDocument:
    numbers = numbering(events)
    increments: defaultdict[str, float] = defaultdict(float, numbers.get("$inc", {}))
    values: dict[str, object] = {"updated_at": datetime.now(UTC), "last_commit": commit_id, **numbers.get("$set", {})}
    minima: dict[str, datetime] = {}
    failures: list[MongoDocument] = []
    for change in changes:
        for name, amount in change.increments.items():
            increments[name] += amount
        values.update(change.values)
        minima.update({name: min(moment, minima.get(name, moment)) for name, moment in change.minima.items()})
        failures.extend(change.failures)
    update: MongoDocument = {"$set": values}
    if increments:
        update["$inc"] = {name: _whole(name, amount) for name, amount in increments.items()}
    if minima:
        update["$min"] = minima
    if unset := [name for change in changes for name in change.unset]:
        update["$unset"] = dict.fromkeys(unset, "")
    if failures:
        update["$push"] = {"failures": {"$each": failures, "$slice": 100}}
    return update


def _whole(name: str, amount: float) -> float | int:
    """Costs are doubles, counters ints: the platform reads them by type."""
    return amount if "cost" in name else int(amount)


def _retrieve(future: asyncio.Future[None]) -> None:
    """A failed enqueue is raised to whoever commits next; asyncio need not warn about the one nobody awaited."""
    if not future.cancelled():
        future.exception()
