"""Slots: how many calls of one kind may be in the air at once, over all runs, processes and machines (R17), and at which pace.

Here: one small MongoDB document per kind, in which every process holds a leased share of the limit, and the local queue that
hands the share out by priority. One atomic update asks for more, renews, gives back and learns what others want, so that the
number of database calls does not grow with the number of slots used. The limit adapts: x0.75 when the provider says 429, +1 per
25 successes (AIMD), found and kept by all processes together.

Not here: what is called (outside.py). Invariant: the shares in the document never add up to more than the limit, but for calls
already in the air when the limit falls. A dead process's share comes back when its lease ends, by the server's clock.
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

from resources.mongo import MongoDocument

logger = logging.getLogger(__name__)

CONTENDED_REFRESH_SECONDS = 0.1
"""How often a process that waits for more, or must give back, looks again."""
RENEW_SECONDS = 1.0
"""How often a process with calls in the air renews its lease (or a third of the lease, if that is shorter)."""
DECREASE = 0.75
SUCCESSES_PER_INCREASE = 25


@dataclass(order=True)
class _Waiter:
    priority: int
    order: int
    turn: asyncio.Future[None] = field(compare=False)


@dataclass(frozen=True)
class SlotsView:
    """What a process knows about the slots: its share, what it uses, and the fleet's ceiling now."""

    share: int
    in_use: int
    waiting: int
    ceiling: int


class Slots:
    """The slots of one kind, as one process sees them. Make it on the event loop; ``aclose`` gives everything back."""

    def __init__(
        self, collection: AsyncCollection[MongoDocument], kind: str, *, limit: int, lease_seconds: float, holder: str = ""
    ) -> None:
        self._collection = collection
        self._id = f"slots:{kind}"
        self._limit = limit
        self._lease_ms = int(lease_seconds * 1000)
        self._renew_seconds = min(RENEW_SECONDS, lease_seconds / 3)
        self._holder = holder or uuid.uuid4().hex
        self._waiters: list[_Waiter] = []
        self._order = count()
        self._in_use = 0
        self._share = 0
        self._ceiling = limit
        self._leased_until = 0.0
        self._paused_until = 0.0
        self._refreshed_at = 0.0
        self._decreased_at = 0.0
        self._successes = 0
        self._changed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def view(self) -> SlotsView:
        """The state for people and tests."""
        return SlotsView(self._share, self._in_use, len(self._waiters), self._ceiling)

    @asynccontextmanager
    async def slot(self, priority: int) -> AsyncIterator[None]:
        """Hold one slot. Of those who wait in this process, the lowest ``priority`` comes first, then the longest wait."""
        await self._enter(priority)
        try:
            yield
        finally:
            self._in_use -= 1
            self._hand_out()
            if self._in_use + len(self._waiters) < self._share or self._share > self._ceiling:
                self._changed.set()

    async def limited(self, *, started_at: float, retry_after: float | None) -> None:
        """The provider refused a call made at ``started_at`` (``time.monotonic``) for its pace: lower the fleet's ceiling.

        Refusals of calls that were already in the air at the last lowering tell nothing new and lower nothing.
        ``retry_after`` seconds: nobody in the fleet calls before that.
        """
        pause = retry_after or 0.0
        self._paused_until = max(self._paused_until, time.monotonic() + pause)
        lower = started_at >= self._decreased_at
        if lower:
            self._decreased_at = time.monotonic()
        await self._collection.update_one(
            {"_id": self._id},
            [
                {
                    "$set": {
                        "ceiling": {"$max": [1.0, {"$multiply": ["$ceiling", DECREASE if lower else 1.0]}]},
                        "blocked_until": {"$max": ["$blocked_until", {"$add": ["$$NOW", int(pause * 1000)]}]},
                    }
                }
            ],
        )
        self._changed.set()

    def succeeded(self) -> None:
        """A call went well; every 25th lifts a lowered ceiling by one."""
        self._successes += 1
        if self._successes >= SUCCESSES_PER_INCREASE:
            self._changed.set()

    async def aclose(self) -> None:
        """Give the share back and stop renewing."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        with suppress(PyMongoError):  # the lease ends by itself
            await self._collection.update_one({"_id": self._id}, {"$pull": {"holders": {"id": self._holder}}})

    async def _enter(self, priority: int) -> None:
        waiter = _Waiter(priority, next(self._order), asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiters, waiter)
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep(), name=self._id)
        self._hand_out()
        if not waiter.turn.done():
            self._changed.set()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                heapq.heapify(self._waiters)
            elif waiter.turn.done() and not waiter.turn.cancelled():  # the turn had come: pass it on
                self._in_use -= 1
                self._hand_out()
            raise

    def _hand_out(self) -> None:
        now = time.monotonic()
        if now < self._paused_until or now >= self._leased_until:
            return
        while self._waiters and self._in_use < self._share:
            waiter = heapq.heappop(self._waiters)
            if waiter.turn.done():
                continue
            self._in_use += 1
            waiter.turn.set_result(None)

    async def _keep(self) -> None:
        """Renew, ask for more, give back: until nothing is wanted any more; then wait for the next wish."""
        while True:
            try:
                await self._refresh()
            except PyMongoError as error:  # an outage: what is held runs out by itself, what is wanted is asked for again
                logger.warning("%s: cannot reach MongoDB (%s); waiting", self._id, type(error).__name__)
                await asyncio.sleep(CONTENDED_REFRESH_SECONDS * 5)
                continue
            self._hand_out()
            self._changed.clear()
            wanted = self._in_use + len(self._waiters)
            timeout: float | None
            if wanted == 0 and self._share == 0:
                timeout = None
            elif self._waiters and self._share < min(self._limit, wanted):
                timeout = CONTENDED_REFRESH_SECONDS
            else:
                timeout = self._renew_seconds
            pause = self._paused_until - time.monotonic()
            if self._waiters and pause > 0:
                timeout = min(timeout or pause, pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._changed.wait()
            soonest = self._refreshed_at + CONTENDED_REFRESH_SECONDS / 4
            if (early := soonest - time.monotonic()) > 0:  # a burst of wishes is one question
                await asyncio.sleep(early)

    async def _refresh(self) -> None:
        asked_at = time.monotonic()
        lift = self._successes >= SUCCESSES_PER_INCREASE
        if lift:
            self._successes = 0
        found = await self._collection.find_one_and_update(
            {"_id": self._id},
            _share_update(
                self._holder, self._in_use, self._in_use + len(self._waiters), self._limit, self._lease_ms, lift=lift
            ),
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        self._refreshed_at = time.monotonic()
        if found is None:
            raise AssertionError("an upsert that returns the document after it returned none")  # pragma: no cover
        mine = next((h for h in found["holders"] if h["id"] == self._holder), {"share": 0})
        self._share = int(mine["share"])
        self._ceiling = int(found["ceiling"])
        self._leased_until = asked_at + self._lease_ms / 1000
        pause = max(0.0, float(found["pause_ms"]) / 1000)
        if pause:
            self._paused_until = max(self._paused_until, self._refreshed_at + pause)


def _share_update(holder: str, in_use: int, wants: int, limit: int, lease_ms: int, *, lift: bool) -> list[MongoDocument]:
    """The one atomic update: drop leases that ended, then take what is wanted, free, and fair.

    Fair: while somebody else has less than he wants, nobody takes more than the limit divided by those who want, rounded up.
    """
    others = {"$filter": {"input": {"$ifNull": ["$holders", []]}, "cond": {"$and": [
        {"$ne": ["$$this.id", holder]}, {"$gt": ["$$this.expires_at", "$$NOW"]}]}}}  # fmt: skip
    starving = {"$filter": {"input": "$holders", "cond": {"$gt": ["$$this.wants", "$$this.share"]}}}
    wanting = {"$filter": {"input": "$holders", "cond": {"$gt": ["$$this.wants", 0]}}}
    fair = {"$cond": [{"$gt": [{"$size": starving}, 0]},
            {"$ceil": {"$divide": ["$effective", {"$add": [1, {"$size": wanting}]}]}}, limit]}  # fmt: skip
    free = {"$max": [0, {"$subtract": ["$effective", {"$sum": "$holders.share"}]}]}
    return [
        {
            "$set": {
                "limit": limit,
                "ceiling": {"$min": [float(limit), {"$add": [{"$ifNull": ["$ceiling", float(limit)]}, 1.0 if lift else 0.0]}]},
                "holders": others,
                "blocked_until": {"$ifNull": ["$blocked_until", "$$NOW"]},
            }
        },
        {"$set": {"effective": {"$floor": "$ceiling"}, "pause_ms": {"$max": [0, {"$subtract": ["$blocked_until", "$$NOW"]}]}}},
        {"$set": {"grant": {"$toInt": {"$max": [in_use, {"$min": [wants, free, fair]}]}}}},
        {
            "$set": {
                "holders": {
                    "$cond": [
                        {"$gt": [wants, 0]},
                        {
                            "$concatArrays": [
                                "$holders",
                                [
                                    {
                                        "id": holder,
                                        "share": "$grant",
                                        "wants": wants,
                                        "expires_at": {"$add": ["$$NOW", lease_ms]},
                                    }
                                ],
                            ]
                        },
                        "$holders",
                    ]
                }
            }
        },
        {"$unset": ["grant", "effective"]},
    ]
