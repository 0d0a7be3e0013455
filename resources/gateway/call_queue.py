"""The calls of one process that wait for its slots, by priority.

A call first comes **near**, and prepares itself (it reserves its budget); then it gets a **slot**. The calls that are near are
those with a slot and the next few, so that a slot is used as soon as it is free. A call with a higher priority that arrives waits
for none but those few. Not here: how many slots the process may use (concurrency.py).
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count

AHEAD = 5
"""One call for so many slots is near without having one; at least one."""

Entries = list[tuple[int, int, "Place"]]
"""A heap: priority (the lowest first), order of arrival."""


class Place:
    """The place of one attempt at a call, as a context: wait to come ``near``, if it prepares itself, then for a ``slot``."""

    def __init__(self, queue: CallQueue, priority: int, order: int) -> None:
        self._queue = queue
        self._rank = (priority, order)
        self._turn: asyncio.Future[None] | None = None
        self._near_since = 0.0
        self.is_near = self.has_slot = False

    def __enter__(self) -> Place:
        self._queue.calls += 1
        return self

    def __exit__(self, *raised: object) -> None:
        """Give back what the call has, also a turn that came just as it was cancelled."""
        self._queue.calls -= 1
        self._queue.near -= self.is_near
        self._queue.in_use -= self.has_slot
        self._queue.changed()

    async def near(self) -> None:
        if not self.is_near:
            await self._wait(self._queue.far)
            self._near_since = time.monotonic()

    async def slot(self) -> None:
        """Wait for a slot, by priority alone where the call has not come near before."""
        if not self.has_slot:
            await self._wait(self._queue.ready)
            if self._near_since:
                self._queue.last_wait = time.monotonic() - self._near_since

    async def _wait(self, waiting: Entries) -> None:
        entry, self._turn = (*self._rank, self), asyncio.get_running_loop().create_future()
        heapq.heappush(waiting, entry)
        self._queue.changed()
        try:
            await self._turn
        except BaseException:
            if entry in waiting:
                waiting.remove(entry)
                heapq.heapify(waiting)
            raise

    def call_up(self, error: BaseException | None = None) -> None:
        if self._turn is None or self._turn.done():
            return
        if error is None:
            self._turn.set_result(None)
        else:
            self._turn.set_exception(error)


class CallQueue:
    """The queue of one API.

    Attributes:
        may_use: Slots that this process may fill.
        in_use: Calls with a slot.
        most_in_use: The most of them at once; whoever reads it resets it.
        near: Calls that are near, those with a slot included.
        calls: All calls in the queue.
        last_wait: Seconds from near to its slot, of the latest call that got one.
    """

    def __init__(self, is_open: Callable[[], bool], on_change: Callable[[], None]) -> None:
        """While ``is_open`` is false no call comes near or gets a slot; ``on_change``: a call has arrived or ended."""
        self._is_open = is_open
        self._on_change = on_change
        self._order = count()
        self.may_use = self.in_use = self.most_in_use = self.near = self.calls = 0
        self.last_wait = 0.0
        self.far: Entries = []
        self.ready: Entries = []

    @property
    def waiting(self) -> int:
        return self.calls - self.in_use

    def place(self, priority: int) -> Place:
        return Place(self, priority, next(self._order))

    def changed(self) -> None:
        self.advance()
        self._on_change()

    def advance(self) -> None:
        if not self._is_open():
            return
        while self.ready and self.in_use < self.may_use:
            place = heapq.heappop(self.ready)[2]
            self.near += not place.is_near
            self.in_use += 1
            place.is_near = place.has_slot = True
            place.call_up()
        self.most_in_use = max(self.most_in_use, self.in_use)
        while self.far and self.near < self.may_use + max(1, self.may_use // AHEAD):
            place = heapq.heappop(self.far)[2]
            self.near += 1
            place.is_near = True
            place.call_up()

    def fail(self, error: BaseException) -> None:
        """Raise this error in every call that waits."""
        for waiting in (self.far, self.ready):
            while waiting:
                heapq.heappop(waiting)[2].call_up(error)
