"""The limit of concurrent calls to one API, over all runs, processes and machines (R17), with its rate control (AIMD).

The renewer, a task, leases slots from the fleet, renews the lease and gives slots back. It makes one small update a second, so that
the number of database calls does not grow with the number of slots; it asks more often only while processes compete.

Invariant: the shares in the document (slot_shares.py) never add up to more than the limit, except for calls in flight when the
limit falls, or when a process was silent for longer than its lease. A dead process's share comes back when its lease ends, by the
server's clock.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from resources.cancellation import cancel_and_wait
from resources.gateway.call_queue import CallQueue, Place
from resources.gateway.slot_shares import SUCCESSES_PER_INCREASE, SlotRequest, SlotShares, share_update
from resources.mongodb.connection import MongoDocument

logger = logging.getLogger(__name__)

CONTENDED_SECONDS = 0.1
"""Interval between requests of all waiting processes together: each asks as often as its weight is among theirs."""
TOGETHER_SECONDS = 0.025
"""Calls that start to wait within this time are one request."""
OUTAGE_SECONDS = 0.5
"""How often MongoDB is asked again while it is away."""
RENEW_SECONDS = 1.0
"""How often a process with calls in flight renews its lease (or a third of the lease, if that is shorter)."""
RISE_SECONDS = 2.0
"""Time in which a lowered ceiling rises by one, while calls are made and none is answered 429."""
HOLD_SECONDS = 15.0
"""Time for which a ceiling that was found (one call more was answered 429) stays before one more is tried."""


class ConcurrencyLimiter:
    """The limiter of one API, as one process sees it. Create it on the event loop; ``aclose`` gives all slots back.

    Attributes:
        queue: The calls of this process.
        ceiling: Calls at once over all processes, as the fleet's document last said.
        weight: Of this process beside the others (slot_shares.weight_of).
    """

    def __init__(
        self,
        collection: AsyncCollection[MongoDocument],
        kind: str,
        *,
        limit: int,
        lease_seconds: float,
        holder: str = "",
        rise_seconds: float = RISE_SECONDS,
        hold_seconds: float = HOLD_SECONDS,
    ) -> None:
        """``limit``: calls at once over all processes; a process that is silent for ``lease_seconds`` loses its slots.

        ``holder``: this process's name; '' = a random one.
        """
        self._collection = collection
        self._id = f"slots:{kind}"
        self._limit = limit
        self._lease_seconds = lease_seconds
        self._rise_seconds = rise_seconds
        self._hold_seconds = hold_seconds
        self._renew_seconds = min(RENEW_SECONDS, lease_seconds / 3)
        self._holder = holder or uuid.uuid4().hex
        self.queue = CallQueue(self._may_call, self._on_change)
        self._held = 0  # counted as ours in the fleet's document: more than we may use until the calls above that end
        self._requested = 0
        self.ceiling = limit
        self.weight = 1.0
        self._short = 0.0  # weights of the processes that want more than they have
        self._others_short = False
        self._leased_until = 0.0
        self._paused_until = 0.0
        self._pause_to_report = 0.0  # until when
        self._refused_call: float | None = None  # when it began
        self._fits = limit  # calls that stayed in flight when others were refused
        self._successes = 0
        self._changed = asyncio.Event()
        self._renewer: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def slot(self, priority: int) -> AsyncIterator[None]:
        """Hold one slot. Of the calls that wait in this process, the lowest ``priority`` comes first, then the longest wait."""
        with self.place(priority) as place:
            await place.slot()
            yield

    def place(self, priority: int) -> Place:
        """A place in the queue, for a call that prepares itself before it gets its slot."""
        if self._renewer is None or self._renewer.done():
            self._renewer = asyncio.create_task(self._renew(), name=self._id)
            self._renewer.add_done_callback(self._renewer_ended)
        return self.queue.place(priority)

    def limited(self, *, started_at: float, retry_after: float | None) -> None:
        """The provider answered 429: lower the fleet's ceiling, unless the call was in flight at the last lowering.

        ``started_at``: when it was sent (``time.monotonic``). ``retry_after``: seconds in which no process of the fleet calls.
        """
        # Until the fleet's document is read again: one more call than those in flight here would get a 429, too.
        others = self.queue.in_use - 1
        self.queue.may_use = max(1, min(self.queue.may_use, others))
        if others > 0:
            self._fits = min(self._fits, others)
        until = time.monotonic() + (retry_after or 0.0)
        self._paused_until = max(self._paused_until, until)
        self._pause_to_report = max(self._pause_to_report, until)
        self._refused_call = max(self._refused_call or 0.0, started_at)
        self._changed.set()

    def succeeded(self) -> None:
        """A call succeeded: enough of them, in the whole fleet, raise a lowered ceiling."""
        if self.ceiling < self._limit:
            self._successes += 1
            if self._successes >= SUCCESSES_PER_INCREASE:
                self._changed.set()

    async def aclose(self) -> None:
        if self._renewer is not None:
            await cancel_and_wait(self._renewer)
            self._renewer = None
        with suppress(PyMongoError):  # the lease ends by itself
            await self._collection.update_one(
                {"_id": self._id}, {"$pull": {"holders": {"id": self._holder}}, "$inc": {"successes": self._successes}}
            )

    @property
    def _wanted(self) -> int:
        return min(self._limit, self.queue.calls)

    def _may_call(self) -> bool:
        return self._paused_until <= time.monotonic() < self._leased_until

    def _on_change(self) -> None:
        """Ask the fleet for slots that calls here wait for, or give back what others wait for."""
        queue, wanted = self.queue, self._wanted
        surplus = max(queue.in_use, min(queue.may_use, wanted)) < self._held
        if wanted > max(self._requested, queue.may_use) or (surplus and self._others_short):
            self._changed.set()

    async def _renew(self) -> None:
        """Renew, ask for more, give back, until no slot is wanted; then wait for the next call."""
        while True:
            self._changed.clear()
            try:
                await self._ask()
            except PyMongoError as error:  # an outage: the lease expires by itself, and the request is repeated
                logger.warning("%s: cannot reach MongoDB (%s); waiting", self._id, type(error).__name__)
                await asyncio.sleep(OUTAGE_SECONDS)
                continue
            self.queue.advance()
            asked_at = time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._rest()):
                    await self._changed.wait()
            await asyncio.sleep(max(0.0, asked_at + TOGETHER_SECONDS - time.monotonic()))

    def _rest(self) -> float | None:
        """Seconds until the next request if nothing changes; None: none is needed."""
        if self._requested == 0 and not self.queue.waiting:
            return None
        # A process that fills its slots learns soon that another one wants some.
        rest = self._renew_seconds / 2 if self.queue.waiting and not self._others_short else self._renew_seconds
        if self.queue.waiting and self.queue.may_use < min(self.ceiling, self._wanted):
            rest = min(rest, CONTENDED_SECONDS * max(1.0, self._short / self.weight))
        pause = self._paused_until - time.monotonic()
        return min(rest, pause) if pause > 0 else rest

    async def _ask(self) -> None:
        asked_at = time.monotonic()
        refused_call, pause_to_report = self._refused_call, self._pause_to_report
        succeeded, self._successes = self._successes, 0
        # Slots that were used a moment ago are kept for the next call, unless another process needs them.
        queue = self.queue
        wants = self._wanted if self._others_short else max(self._wanted, min(queue.may_use, queue.most_in_use))
        queue.most_in_use = queue.in_use
        # Until the update returns no slot beyond these is given out: another process may get it meanwhile. What nobody else is
        # short of is kept, so that calls which come meanwhile do not wait for the answer.
        keeps = queue.in_use if self._others_short else max(queue.in_use, min(queue.may_use, wants))
        queue.may_use = min(queue.may_use, keeps)
        request = SlotRequest(
            holder=self._holder,
            in_use=queue.in_use,
            keeps=keeps,
            wants=wants,
            limit=self._limit,
            lease=_milliseconds(self._lease_seconds),
            fits=self._fits,
            refused_ago=None if refused_call is None else _milliseconds(asked_at - refused_call),
            pause=_milliseconds(max(0.0, pause_to_report - asked_at)),
            succeeded=succeeded,
            rise=_milliseconds(self._rise_seconds),
            hold=_milliseconds(self._hold_seconds),
            weight=self.weight,
        )
        found = await self._collection.find_one_and_update(
            {"_id": self._id}, share_update(request), upsert=True, return_document=ReturnDocument.AFTER
        )
        self._requested = wants
        if self._refused_call == refused_call:
            self._refused_call, self._fits = None, self._limit
        if self._pause_to_report == pause_to_report:
            self._pause_to_report = 0.0
        self._learn(SlotShares.model_validate(found), asked_at)

    def _learn(self, shares: SlotShares, asked_at: float) -> None:
        short = {entry.id: entry.weight for entry in shares.holders if entry.wants > entry.share}
        mine = shares.of(self._holder)
        refused_meanwhile = self._refused_call is not None
        self.queue.may_use = min(mine.may_use, self._fits) if refused_meanwhile else mine.may_use
        self._held = mine.share
        self.ceiling = shares.effective
        self._short = sum(short.values())
        self._others_short = any(holder != self._holder for holder in short)
        self._leased_until = asked_at + self._lease_seconds
        if shares.pause_ms > 0:
            self._paused_until = max(self._paused_until, time.monotonic() + shares.pause_ms / 1000)

    def _renewer_ended(self, renewer: asyncio.Task[None]) -> None:
        """The renewer ends when it is cancelled, or by a bug: then every call that waits gets the error."""
        if not renewer.cancelled() and (error := renewer.exception()) is not None:
            self.queue.fail(error)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
