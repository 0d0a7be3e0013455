"""The room: how many tasks one process works on at once (R17), and how a task that only waits gives its place to another.

Here: ``TaskSlots``, from which the journal takes a place for each task, and ``wait_without_slot``, in which a task waits. Not here:
what tasks wait for (assets/publication.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class TaskSlot:
    """The place of one task."""

    room: asyncio.Semaphore
    taken: bool = False

    async def take(self) -> None:
        """Take the place; wait until there is one."""
        await self.room.acquire()
        self.taken = True

    def give_back(self) -> None:
        """Give the place to another task."""
        if self.taken:
            self.taken = False
            self.room.release()


_place: ContextVar[TaskSlot] = ContextVar("place of the task in hand")


class TaskSlots:
    """Places for tasks: at most so many at once."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for the task that is done inside."""
        place = TaskSlot(self._places)
        before = _place.set(place)
        try:
            await place.take()
            yield
        finally:
            place.give_back()
            _place.reset(before)


async def wait_without_slot(wait: Callable[[], Awaitable[None]]) -> None:
    """Called by a task: wait for this without a place. Raises what ``wait`` raises; then the task must end."""
    place = _place.get()
    place.give_back()
    await wait()
    await place.take()
