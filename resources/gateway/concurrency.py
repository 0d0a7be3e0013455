"""Slots: how many calls of one kind may be in the air at once, over all runs, processes and machines (R17), and at which pace.

Here: the local queue, which hands this process's share of the slots out by priority, and the keeper, which asks for more, renews
and gives back. It makes one small update a second while all is well, so that the number of database calls does not grow with the
number of slots used; only while processes compete does it look more often.

Not here: what is fair between processes (slot_shares.py), what is called (outside.py). Invariant: the shares in the document never
add up to more than the limit, but for calls already in the air when the limit falls, or when a process was silent for longer than
its lease. A dead process's share comes back when its lease ends, by the server's clock.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from resources.cancellation import cancel_and_wait
from resources.gateway.slot_shares import SUCCESSES_PER_INCREASE, SlotRequest, SlotShares, share_update
from resources.mongodb.connection import MongoDocument

logger = logging.getLogger(__name__)

CONTENDED_SECONDS = 0.1
"""How often the fleet's processes that wait for slots look again, all together: each of n looks every n-th time."""
TOGETHER_SECONDS = 0.025
"""Wishes that come within this time are one question."""
OUTAGE_SECONDS = 0.5
"""How often MongoDB is asked again while it is away."""
RENEW_SECONDS = 1.0
"""How often a process with calls in the air renews its lease (or a third of the lease, if that is shorter)."""
RISE_SECONDS = 2.0
"""A lowered ceiling rises by one in so long, while calls are made and none is refused for its pace."""
HOLD_SECONDS = 15.0
"""A ceiling that was found, because one more was refused, is kept for so long before one more is tried again."""


@dataclass(order=True)
class _Waiter:
    priority: int
    order: int
    turn: asyncio.Future[None] = field(compare=False)


@dataclass(frozen=True)
class LimiterView:
    """What a process knows about the slots: what it may use and uses, who waits here, and the fleet's ceiling now."""

    share: int
    in_use: int
    waiting: int
    ceiling: int


class ConcurrencyLimiter:
    """The slots of one kind, as one process sees them. Make it on the event loop; ``aclose`` gives everything back."""

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
        self._collection = collection
        self._id = f"slots:{kind}"
        self._limit = limit
        self._lease_seconds = lease_seconds
        self._rise_seconds = rise_seconds
        self._hold_seconds = hold_seconds
        self._renew_seconds = min(RENEW_SECONDS, lease_seconds / 3)
        self._holder = holder or uuid.uuid4().hex
        self._waiters: list[_Waiter] = []
        self._order = count()
        self._in_use = 0
        self._most_in_use = 0  # since the last question
        self._may_use = 0
        self._held = 0  # counted as ours by the fleet: more than we may use while calls above that end
        self._told_wants = 0
        self._ceiling = limit
        self._short = 0  # processes that want more than they have
        self._others_short = False
        self._leased_until = 0.0
        self._paused_until = 0.0
        self._pause_to_tell = 0.0  # until when
        self._refused_call: float | None = None  # when it began
        self._successes = 0
        self._changed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def view(self) -> LimiterView:
        """The state for people and tests."""
        return LimiterView(self._may_use, self._in_use, len(self._waiters), self._ceiling)

    @asynccontextmanager
    async def slot(self, priority: int) -> AsyncIterator[None]:
        """Hold one slot. Of those who wait in this process, the lowest ``priority`` comes first, then the longest wait."""
        await self._enter(priority)
        try:
            yield
        finally:
            self._leave()

    def limited(self, *, started_at: float, retry_after: float | None) -> None:
        """The provider refused a call made at ``started_at`` (``time.monotonic``) for its pace: lower the fleet's ceiling.

        Refusals of calls that were already in the air at the last lowering tell nothing new and lower nothing.
        ``retry_after`` seconds: nobody in the fleet calls before that.
        """
        # Until the fleet has answered: what else is in the air here was let through, and one more would be refused like this one.
        self._may_use = max(1, min(self._may_use, self._in_use - 1))
        until = time.monotonic() + (retry_after or 0.0)
        self._paused_until = max(self._paused_until, until)
        self._pause_to_tell = max(self._pause_to_tell, until)
        self._refused_call = max(self._refused_call or 0.0, started_at)
        self._changed.set()

    def succeeded(self) -> None:
        """A call went well: enough of them, in the whole fleet, lift a lowered ceiling."""
        if self._ceiling < self._limit:
            self._successes += 1
            if self._successes >= SUCCESSES_PER_INCREASE:
                self._changed.set()

    async def aclose(self) -> None:
        """Give the share back and stop renewing."""
        if self._keeper is not None:
            await cancel_and_wait(self._keeper)
            self._keeper = None
        with suppress(PyMongoError):  # the lease ends by itself
            await self._collection.update_one(
                {"_id": self._id}, {"$pull": {"holders": {"id": self._holder}}, "$inc": {"successes": self._successes}}
            )

    @property
    def _wanted(self) -> int:
        return min(self._limit, self._in_use + len(self._waiters))

    async def _enter(self, priority: int) -> None:
        waiter = _Waiter(priority, next(self._order), asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiters, waiter)
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep(), name=self._id)
            self._keeper.add_done_callback(self._keeper_ended)
        self._hand_out()
        if not waiter.turn.done() and self._wanted > self._told_wants:
            self._changed.set()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                heapq.heapify(self._waiters)
            elif not waiter.turn.cancelled():  # the turn had come: pass it on
                self._leave()
            raise

    def _leave(self) -> None:
        self._in_use -= 1
        self._hand_out()
        if self._others_short and max(self._in_use, min(self._may_use, self._wanted)) < self._held:
            self._changed.set()

    def _hand_out(self) -> None:
        now = time.monotonic()
        if now < self._paused_until or now >= self._leased_until:
            return
        while self._waiters and self._in_use < self._may_use:
            waiter = heapq.heappop(self._waiters)
            if waiter.turn.done():
                continue
            self._in_use += 1
            self._most_in_use = max(self._most_in_use, self._in_use)
            waiter.turn.set_result(None)

    async def _keep(self) -> None:
        """Renew, ask for more, give back: until nothing is wanted any more; then wait for the next wish."""
        while True:
            self._changed.clear()
            try:
                await self._ask()
            except PyMongoError as error:  # an outage: what is held runs out by itself, what is wanted is asked for again
                logger.warning("%s: cannot reach MongoDB (%s); waiting", self._id, type(error).__name__)
                await asyncio.sleep(OUTAGE_SECONDS)
                continue
            self._hand_out()
            asked_at = time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._rest()):
                    await self._changed.wait()
            await asyncio.sleep(max(0.0, asked_at + TOGETHER_SECONDS - time.monotonic()))

    def _rest(self) -> float | None:
        """Seconds until the next question if nothing changes; None: none is needed."""
        if self._told_wants == 0 and not self._waiters:
            return None
        rest = self._renew_seconds
        if self._waiters and self._may_use < min(self._ceiling, self._wanted):
            rest = min(rest, CONTENDED_SECONDS * max(1, self._short))
        pause = self._paused_until - time.monotonic()
        return min(rest, pause) if pause > 0 else rest

    async def _ask(self) -> None:
        asked_at = time.monotonic()
        refused_call, pause_to_tell = self._refused_call, self._pause_to_tell
        succeeded, self._successes = self._successes, 0
        # What was used a moment ago is kept for the next call, unless somebody else needs it.
        wants = self._wanted if self._others_short else max(self._wanted, min(self._may_use, self._most_in_use))
        self._most_in_use = self._in_use
        # While the fleet counts us by these figures no slot beyond them is handed out: it may be somebody else's by then.
        self._may_use = min(self._may_use, self._in_use)
        request = SlotRequest(
            holder=self._holder,
            in_use=self._in_use,
            wants=wants,
            limit=self._limit,
            lease=_milliseconds(self._lease_seconds),
            refused_ago=None if refused_call is None else _milliseconds(asked_at - refused_call),
            pause=_milliseconds(max(0.0, pause_to_tell - asked_at)),
            succeeded=succeeded,
            rise=_milliseconds(self._rise_seconds),
            hold=_milliseconds(self._hold_seconds),
        )
        found = await self._collection.find_one_and_update(
            {"_id": self._id}, share_update(request), upsert=True, return_document=ReturnDocument.AFTER
        )
        self._told_wants = wants
        if self._refused_call == refused_call:
            self._refused_call = None
        if self._pause_to_tell == pause_to_tell:
            self._pause_to_tell = 0.0
        self._learn(SlotShares.model_validate(found), asked_at)

    def _learn(self, shares: SlotShares, asked_at: float) -> None:
        short = shares.short_of_slots()
        mine = shares.of(self._holder)
        self._may_use, self._held = mine.may_use, mine.share
        self._ceiling = shares.effective
        self._short = len(short)
        self._others_short = any(holder != self._holder for holder in short)
        self._leased_until = asked_at + self._lease_seconds
        if shares.pause_ms > 0:
            self._paused_until = max(self._paused_until, time.monotonic() + shares.pause_ms / 1000)

    def _keeper_ended(self, keeper: asyncio.Task[None]) -> None:
        """A keeper ends only when it is stopped, or by a mistake of ours: then whoever waits must hear of it."""
        error = None if keeper.cancelled() else keeper.exception()
        while error is not None and self._waiters:
            waiter = heapq.heappop(self._waiters)
            if not waiter.turn.done():
                waiter.turn.set_exception(error)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
