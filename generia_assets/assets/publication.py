"""The order of publication: posts go out in the order of the timeline, one at a time, whatever order they are made in.

Here: a reorder buffer over the places ``t`` of the timeline. It holds numbers, not texts: who waits, waits in a coroutine of its
own, and of those only so many do. Not here: what is published, and how once (durable/calls/publications.py).
"""

from __future__ import annotations

import asyncio

WAITING = 100
"""Painted posts that wait for their turn in memory. What is painted beyond them is let go, and done again when its turn comes."""


class PostponedError(Exception):
    """Too many posts wait for their turn already: the task must end, and is done again when its turn has come."""


class PublicationOrder:
    """Gives each place its turn when every earlier one is settled: published, or known never to come in this run."""

    def __init__(self, places: int, *, waiting: int = WAITING) -> None:
        self._settled = bytearray(places + 1)
        """One for each place, and one that is never settled."""
        self._next = 0
        self._most_waiting = waiting
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._postponed: set[int] = set()
        self._moved = asyncio.Event()
        self.first_settled = asyncio.Event()
        """Set when the first place is settled, or there is none."""
        if not places:
            self.first_settled.set()

    def has_come(self, t: int) -> bool:
        """Whether it is the turn of this place, or was."""
        return t <= self._next

    async def turn(self, t: int) -> None:
        """Return when it is the turn of this place. Raises ``PostponedError`` where too many wait already."""
        if self.has_come(t):
            return
        if len(self._waiting) >= self._most_waiting:
            self._postponed.add(t)
            raise PostponedError(f"{len(self._waiting)} posts wait for their turn")
        self._waiting[t] = asyncio.get_running_loop().create_future()
        try:
            await self._waiting[t]
        finally:
            del self._waiting[t]

    def settle(self, t: int) -> None:
        """This place is published or will not be: who waits for it need not wait longer. Settling it twice changes nothing."""
        self._settled[t] = 1
        if t != self._next:
            return
        while self._settled[self._next]:
            self._next += 1
        self.first_settled.set()
        waits = self._waiting.get(self._next)
        if waits is not None and not waits.done():
            waits.set_result(None)
        self._moved.set()

    async def next_postponed(self) -> int | None:
        """The next postponed place whose turn has come; None when all places are settled."""
        while self._next < len(self._settled) - 1:
            if self._next in self._postponed:
                self._postponed.remove(self._next)
                return self._next
            self._moved.clear()
            await self._moved.wait()
        return None
