"""The relay: takes a world's live events from the outbox to Kafka, in order, at least once, without holding up a run.

A run is given the events of each transaction that it has made, and reads only those that it has not: of earlier runs, or too many
while Kafka was away. ``catch_up`` sends what ended runs had to leave behind.

Whoever sends begins at or before the first event that is not marked as sent, and sends the next one when the one before it has
arrived. So two at once (a run that lost its world, the watchdog) do no harm: whoever reads and skips the numbers they have seen
sees every event, in order. ``progress`` is made on the spot from the status record; it is sent between two events, never stored.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

from pymongo import ASCENDING
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from generia_assets.durable.collections import STATUS, WORLD_EVENTS
from generia_assets.durable.events.events import LiveEvent, Progress, Standing
from generia_assets.durable.events.outbox import RECORD, in_its_place
from generia_assets.durable.status import State, unowned
from resources import tracing
from resources.cancellation import cancel_and_wait
from resources.kafka.producer import EventTooLargeError, InOrder
from resources.mongodb.connection import AsyncMongoDatabase, MongoDatabase, MongoDocument

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.5
"""How often the relay looks into the outbox at most."""
PROGRESS_SECONDS = 0.5
MARK_SECONDS = 1.0
"""How often is noted what was sent: a run that dies in between leaves so much to be sent twice."""
CLOSING_SECONDS = 2.0
"""What a run's end may be held up by; what is not sent by then is the watchdog's."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 30.0
PAGE = 100
"""Events read at once."""
MOST_FRESH = 1_000
"""Events in memory; more of them are read again."""
MOST_WORLDS = 200
"""Worlds caught up by one ``catch_up`` at most."""

_MAJORITY = ReadConcern("majority")
"""What could still be rolled back is not sent."""
_PROGRESS = set(Progress.model_fields) - set(Standing.model_fields) - set(LiveEvent.model_fields)


class Wire:
    """The connection to the topic, for one thread: made when there is something to send, dropped when it fails."""

    def __init__(self, connect: Callable[[], InOrder]) -> None:
        self._connect = connect
        self._sender: InOrder | None = None
        self.arrived = 0
        """Number of the last event that arrived."""

    def send(self, world_id: str, rows: Sequence[MongoDocument]) -> None:
        """Send these rows of the outbox, one after the other. Raises ``ConnectionError``; the first may have arrived then."""
        try:
            if self._sender is None:
                self._sender = self._connect()
            for row in rows:
                event, headers = row["event"], tracing.headers(row.get("traceparent") or "")
                try:
                    self._sender(world_id, json.dumps(event, ensure_ascii=False).encode(), headers)
                except EventTooLargeError as error:
                    logger.warning("world %s: event %s %s is left out: %s", world_id, event["seq"], event["event_type"], error)
                self.arrived = event["seq"]
        except ConnectionError:
            self.close()
            raise

    def close(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()


class Relay:
    """Sends the live events of one world, for the run that works on it, without holding it up.

    Make it on the event loop; call ``changed`` after each transaction; ``aclose`` sends the rest for ``CLOSING_SECONDS`` at most.
    An outage of Kafka is waited out; a defect ends the sending for this run, never the run.
    """

    def __init__(self, database: AsyncMongoDatabase, world_id: str, connect: Callable[[], InOrder]) -> None:
        self._status = database.get_collection(STATUS, read_concern=_MAJORITY)
        self._events = database.get_collection(WORLD_EVENTS, read_concern=_MAJORITY)
        self._world_id = world_id
        self._wire = Wire(connect)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"relay:{world_id}")
        self._changed, self._closing = asyncio.Event(), asyncio.Event()
        self._record: MongoDocument | None = None
        self._fresh: list[MongoDocument] = []
        self._sent = self._marked = 0
        self._marked_at = self._progress_at = 0.0
        self._progress: Progress | None = None
        self._outage = self._sent_all = False
        self.traceparent = ""
        """The trace context of ``progress``."""
        self._sending = asyncio.create_task(self._send_always(), name=f"relay:{world_id}")

    def changed(self, record: MongoDocument | None, rows: Sequence[MongoDocument]) -> None:
        """Something about the world became durable: its status record as it is now (None: not known), and these new events."""
        self._record = record
        self._fresh += rows
        if record is None or len(self._fresh) > MOST_FRESH:
            self._fresh = []
        self._changed.set()

    async def aclose(self) -> None:
        """Send what is left while Kafka answers, for a moment at most, and stop."""
        self._closing.set()
        self._changed.set()
        try:
            await asyncio.wait({self._sending}, timeout=0 if self._outage else CLOSING_SECONDS)
            if not self._sent_all:
                logger.warning("world %s: its last events are left to the watchdog sensor", self._world_id)
        finally:
            await cancel_and_wait(self._sending)
            closing = asyncio.get_running_loop().run_in_executor(self._thread, self._wire.close)
            self._thread.shutdown(wait=False)
            await asyncio.wait({closing}, timeout=CLOSING_SECONDS / 2)

    async def _send_always(self) -> None:
        try:
            while not self._closing.is_set():
                await self._changed.wait()
                self._changed.clear()
                try:
                    await self._send_through_outages()
                except PyMongoError as error:  # an outage of MongoDB: the next change sends them
                    logger.warning("live events wait: MongoDB does not answer (%s)", type(error).__name__)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), INTERVAL_SECONDS)
            with suppress(ConnectionError, PyMongoError):  # an outage in the last moment: aclose logs what is left
                await self._send_pending(last=True)
                self._sent_all = True
        except Exception:  # a defect of ours must not cost a world
            logger.exception("world %s: live events stop for this run", self._world_id)

    async def _send_through_outages(self) -> None:
        """Send what is pending, through an outage of Kafka if need be."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(ConnectionError),
            wait=wait_exponential_jitter(initial=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS),
            before_sleep=self._log_outage,
        ):
            with attempt:
                await self._send_pending()
        if self._outage:
            self._outage = False
            logger.warning("Kafka answers again; the live events of world %s are caught up", self._world_id)

    def _log_outage(self, state: RetryCallState) -> None:
        if not self._outage:
            self._outage = True
            error = state.outcome.exception() if state.outcome else None
            logger.warning("live events of world %s wait in the outbox, the generation goes on: %s", self._world_id, error)

    async def _send_pending(self, *, last: bool = False) -> None:
        """Send all events that are durable by now, then where the world stands."""
        record = None if last else self._record
        if record is None:
            record = await self._status.find_one({"_id": self._world_id}, RECORD)
        if record is None:
            return
        self._sent = max(self._sent, self._wire.arrived, record.get("events_sent", 0))
        durable = record.get("events_seq", 0)
        while self._sent < durable:
            page = [row for row in self._fresh if row["seq"] > self._sent]
            if not page or page[0]["seq"] != self._sent + 1:
                found = self._events.find(*_page(self._world_id, self._sent)).sort("seq", ASCENDING).limit(PAGE)
                page = await found.to_list()
            await self._send(page)
            self._sent = page[-1]["seq"] if page else durable  # without a page they were older than events are kept
            self._fresh = [row for row in self._fresh if row["seq"] > self._sent]
        if last or time.monotonic() - self._marked_at > MARK_SECONDS:
            await self._mark(last=last)
        if not last and durable == self._sent:
            await self._send_progress(record)

    async def _send_progress(self, record: MongoDocument) -> None:
        if record["status"] != State.IN_PROGRESS.value or record.get("parked") is not None:  # nobody works on the world
            return
        figures = Progress.model_validate({name: record[name] for name in _PROGRESS})
        progress = in_its_place(figures, record, record.get("events_seq", 0))
        if self._progress is not None and progress == self._progress.model_copy(update={"at": progress.at}):
            return
        if time.monotonic() - self._progress_at < PROGRESS_SECONDS:
            self._changed.set()  # sent next time
            return
        self._progress, self._progress_at = progress, time.monotonic()
        await self._send([{"event": progress.model_dump(mode="json"), "traceparent": self.traceparent}])

    async def _send(self, rows: Sequence[MongoDocument]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._wire.send, self._world_id, rows)

    async def _mark(self, *, last: bool) -> None:
        """Note what was sent. By the truth of it, not by who owns the world: a number that arrived has arrived."""
        if self._sent > self._marked:
            await self._status.update_one({"_id": self._world_id}, {"$max": {"events_sent": self._sent}})
            self._marked, self._marked_at = self._sent, time.monotonic()
        if last:
            await self._status.update_one(*_all_sent(self._world_id, self._sent))


def catch_up(database: MongoDatabase, connect: Callable[[], InOrder], *, silence_seconds: float, seconds: float) -> int:
    """Send the events of worlds that no run works on, for so long at most; how many were sent.

    ``silence_seconds``: how long an owner's lease must be over. Raises ``ConnectionError`` while Kafka is away.
    """
    deadline, silent = time.monotonic() + seconds, datetime.now(UTC) - timedelta(seconds=silence_seconds)
    unsent = {"events_pending": True, "$or": unowned(silent)}
    status, events = (database.get_collection(name, read_concern=_MAJORITY) for name in (STATUS, WORLD_EVENTS))
    worlds = status.find(unsent, {"events_sent": 1, "events_seq": 1}).sort("updated_at", ASCENDING).limit(MOST_WORLDS).to_list()
    count = 0
    with closing(Wire(connect)) as wire:
        for world in worlds:
            world_id, sent = world["_id"], world.get("events_sent", 0)
            while page := events.find(*_page(world_id, sent)).sort("seq", ASCENDING).limit(PAGE).to_list():
                wire.send(world_id, page)
                sent, count = page[-1]["seq"], count + len(page)
                status.update_one({"_id": world_id}, {"$max": {"events_sent": sent}})
                if time.monotonic() > deadline:
                    return count
            # what is there no more is older than events are kept
            status.update_one(*_all_sent(world_id, max(sent, world["events_seq"])))
            if time.monotonic() > deadline:
                break
    return count


def _page(world_id: str, sent: int) -> tuple[MongoDocument, MongoDocument]:
    return {"world_id": world_id, "seq": {"$gt": sent}}, {"event": 1, "seq": 1, "traceparent": 1}


def _all_sent(world_id: str, sent: int) -> tuple[MongoDocument, MongoDocument]:
    """The world owes nothing more, unless another event came meanwhile."""
    return {"_id": world_id, "events_seq": {"$lte": sent}}, {"$unset": {"events_pending": ""}}
