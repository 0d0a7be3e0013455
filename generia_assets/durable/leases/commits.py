"""Commits: every change to a world's tasks, counters and records in one fenced transaction, many changes at a time.

Here: the world's only writer in this process, an ordered queue. Whoever waits for a change has everything that was enqueued before
it durable, too. So most changes are only enqueued, and go with the transaction of the next change that somebody waits for. Changes
that arrive while a transaction runs go together into the next one: a hundred tasks at once cost a few transactions, and the status
record's counters agree with the tasks collection at every moment that anyone can observe. Every transaction has the owner's epoch
in its filter: the write of a run that lost its world changes nothing and raises ``LeaseLostError``. A commit whose answer was lost
in an outage is recognised by its id, so nothing is counted twice.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import chain
from typing import TypeVar

from pymongo import InsertOne, ReturnDocument, WriteConcern
from pymongo.asynchronous.client_session import AsyncClientSession

from generia_assets.durable.collections import STATUS, TASKS, WORLD_EVENTS
from generia_assets.durable.events.outbox import RECORD, outbox
from generia_assets.durable.leases.changes import (
    HELD,
    Change,
    FencingToken,
    WriteOperation,
    bounds_of,
    status_update,
    within_bounds,
)
from resources.cancellation import cancel_and_wait
from resources.gateway.outcomes import LeaseLostError
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument, retry_on_outage

ResultT = TypeVar("ResultT")

WINDOW_SECONDS = 0.08
"""Between the beginnings of two transactions at least. 47 calls a second are 12 transactions; with half of this, 19."""
LATEST_SECONDS = 0.05
"""When a change that nobody waits for is written: what follows from it is mostly enqueued by then. A death costs what is not."""
HELD_SECONDS = 0.5
"""When a change that is held for its task is written without it."""
RECENT_SECONDS = 1.0
"""How long the world counts as owned after a fenced write has begun, if it succeeds."""
TAKEOVER_SECONDS = 1.25
"""How long the owner of a world that its former owner did not release sends nothing: the former one may count it as owned."""

_MAJORITY = WriteConcern("majority")
_READ = RECORD | {"held": HELD, "priority": 1}


@dataclass(eq=False)
class _Entry:
    """A change in the queue. ``written`` is False where its bounds did not hold: then nothing of it was written."""

    change: Change
    written: asyncio.Future[bool]


@dataclass
class Batch:
    """The changes of one transaction. Those that are refused are left out under another id.

    ``record`` and ``events``, once it is made: the status record after it (None: not known), and its events as the outbox has them.
    """

    changes: Sequence[Change]
    commit_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    record: MongoDocument | None = None
    events: Sequence[MongoDocument] = ()


class _MadeBeforeError(Exception):
    """This commit was made by a try whose answer was lost."""


class _RefusedError(Exception):
    """The bounds of these changes do not hold. Its argument: the status record."""


class Commits:
    """The writer of one world, in one session of its own. Make it on the event loop; ``aclose`` writes what is still waiting.

    ``on_written`` is called after each transaction with the status record (None: not known) and the new events (outbox.py).
    """

    def __init__(
        self,
        session: AsyncClientSession,
        database: AsyncMongoDatabase,
        token: FencingToken,
        *,
        outage_timeout: float,
        on_written: Callable[[MongoDocument | None, Sequence[MongoDocument]], None] = lambda record, events: None,
    ) -> None:
        self._session = session
        self._collection = cache(database.get_collection)
        self.token = token
        self.outage_timeout = outage_timeout
        self._on_written = on_written
        self.traceparent = ""
        """The trace context of events that happen in none."""
        self._waiting: list[_Entry] = []
        self._held: dict[str, list[_Entry]] = {}
        self._last: asyncio.Future[bool] | None = None
        self._wanted = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._failure: BaseException | None = None
        self._owned_at = -RECENT_SECONDS
        self.priority = 0
        """The world's, at the last write."""
        self._writer = asyncio.create_task(self._write_all(), name=f"commits:{token.world_id}")
        self.transactions = 0

    def retry(self, operation: Callable[[], Awaitable[ResultT]]) -> Awaitable[ResultT]:
        """Run a MongoDB operation of this world that may be repeated, through outages; see ``retry_on_outage``."""
        return retry_on_outage(operation, timeout_seconds=self.outage_timeout)

    @property
    def owned_recently(self) -> bool:
        """Whether a write has shown within ``RECENT_SECONDS`` that this run owns the world and that nobody holds its calls.

        The moment counts at which that write began. Another run that takes the world over sends nothing for ``TAKEOVER_SECONDS``,
        so the two never send at the same time. A process that stood still finds an old moment when it wakes.
        """
        return time.monotonic() - self._owned_at < RECENT_SECONDS

    async def commit(self, change: Change) -> bool:
        """Return when the change, and all that was enqueued before it, is durable; False: its bounds do not hold.

        Raises ``LeaseLostError``, or what the transaction raised.
        """
        return await self.written(self.enqueue(change))

    async def written(self, enqueued: asyncio.Future[bool]) -> bool:
        """The same for a change that was enqueued."""
        if not enqueued.done():
            self._wanted.set()
        return await asyncio.shield(enqueued)

    def enqueue(self, change: Change, *, held_for: str | None = None) -> asyncio.Future[bool]:
        """Write the change, in order, with what the next one who waits waits for, or after a moment.

        ``held_for`` a task: with the transaction that stores what this task brings (``Change.releases``), or after a moment.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        # A failure is raised to whoever commits next; asyncio need not warn about the one nobody awaited.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        if self._failure is not None:
            future.set_exception(self._failure)
        elif held_for is not None:
            self._held.setdefault(held_for, []).append(_Entry(change, future))
            loop.call_later(HELD_SECONDS, self._release, held_for)
        else:
            if change.releases is not None:
                self._waiting += self._held.pop(change.releases, [])
            self._waiting.append(_Entry(change, future))
            self._last = future
            if self._timer is None:
                self._timer = loop.call_later(LATEST_SECONDS, self._wanted.set)
        return future

    def _release(self, task_id: str) -> None:
        if held := self._held.pop(task_id, None):
            self._waiting += held
            self._last = held[-1].written
            self._wanted.set()

    async def flush(self) -> None:
        """Return when everything enqueued before is durable."""
        for task_id in list(self._held):
            self._release(task_id)
        if self._failure is not None:
            raise self._failure
        if self._last is not None:
            await self.written(self._last)

    async def aclose(self) -> None:
        """Write what is waiting, then stop. A world that was lost has nothing left to write.

        Raises what the writing died of, if it did; the writer has stopped all the same.
        """
        try:
            with suppress(LeaseLostError):
                await self.flush()
        finally:
            await cancel_and_wait(self._writer)
            if self._timer is not None:
                self._timer.cancel()
            await self._session.end_session()

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        began = -WINDOW_SECONDS
        while True:
            await self._wanted.wait()
            if (rest := began + WINDOW_SECONDS - loop.time()) > 0:
                await asyncio.sleep(rest)
            self._wanted.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            entries, self._waiting = self._waiting, []
            if not entries:
                continue
            began = loop.time()
            batch = Batch([entry.change for entry in entries])
            try:
                await self.retry(partial(self._write, batch))
            except Exception as error:  # noqa: BLE001  handed to everyone who waits, now and later
                self._failure = error
                for entry in (*entries, *self._waiting, *chain.from_iterable(self._held.values())):
                    if not entry.written.done():
                        entry.written.set_exception(error)
                self._waiting, self._held = [], {}
                continue
            made = {id(change) for change in batch.changes}
            for entry in entries:
                if not entry.written.done():
                    entry.written.set_result(id(entry.change) in made)
            self._on_written(batch.record, batch.events)

    async def _write(self, batch: Batch) -> None:
        """Write the batch, without the changes whose bounds do not hold."""
        while batch.changes:
            began = time.monotonic()
            try:
                record, events = await self._session.with_transaction(partial(self._apply, batch=batch), write_concern=_MAJORITY)
            except _MadeBeforeError:
                return
            except _RefusedError as refused:
                permitted = within_bounds(batch.changes, refused.args[0])
                if len(permitted) == len(batch.changes):  # by the sum of doubles in another order
                    permitted = [change for change in permitted if not change.bounds]
                batch.changes, batch.commit_id = permitted, uuid.uuid4().hex
                continue
            self.transactions += 1
            batch.record, batch.events = record, events
            self._owned_at = -RECENT_SECONDS if record["held"] else began
            self.priority = record.get("priority", 0)
            return

    async def _apply(self, session: AsyncClientSession, *, batch: Batch) -> tuple[MongoDocument, list[MongoDocument]]:
        changes, added = batch.changes, 0
        tasks = [operation for change in changes for operation in (*change.enlist, *change.transitions)]
        if tasks:
            moved = await self._collection(TASKS).bulk_write(tasks, session=session)
            if (found := moved.matched_count + (added := moved.upserted_count)) != len(tasks):
                await self._require_owned(session, batch)
                raise LeaseLostError(
                    f"run {self.token.run_id} changes {len(tasks)} tasks of world {self.token.world_id} but holds only {found} of "
                    f"them; it writes nothing more"
                )
        owned: MongoDocument = {**self.token.filter, "last_commit": {"$ne": batch.commit_id}}
        if bounds := bounds_of(changes):
            owned["$expr"] = {"$and": bounds}
        new_events = [event for change in changes for event in change.events]
        record = await self._collection(STATUS).find_one_and_update(
            owned,
            status_update(changes, batch.commit_id, tasks_added=added, events=len(new_events)),
            projection=_READ,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        if record is None:
            raise _RefusedError(await self._require_owned(session, batch))
        records: defaultdict[str, list[WriteOperation]] = defaultdict(list)
        for change in changes:
            for collection, operations in change.records.items():
                records[collection].extend(operations)
        if events := outbox(new_events, record, self.traceparent):
            records[WORLD_EVENTS].extend(InsertOne(row) for row in events)
        for collection, operations in records.items():
            await self._collection(collection).bulk_write(operations, ordered=False, session=session)
        return record, events

    async def _require_owned(self, session: AsyncClientSession, batch: Batch) -> MongoDocument:
        """The status record, for which a filter or a task did not match. Raises what ends the transaction if that is the reason."""
        bounded = {name for change in batch.changes for bound in change.bounds for name in (*bound.fields, bound.limit)}
        projection: MongoDocument = {"held": HELD, "last_commit": 1, **dict.fromkeys(bounded, 1)}
        found = await self._collection(STATUS).find_one(self.token.filter, projection, session=session)
        if found is None:
            raise LeaseLostError(f"run {self.token.run_id} no longer owns world {self.token.world_id}; it writes nothing more")
        if found.get("last_commit") == batch.commit_id:
            raise _MadeBeforeError
        return found
