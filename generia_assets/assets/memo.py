"""Values that many wait for: each is made once at a time for all who ask, and the latest ones stay.

Here: sharing and forgetting, so that memory does not grow with the world. Not here: what is made.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")


class Memo(Generic[ValueT]):
    """Values by number (from 0 to below ``numbers``). ``make(number, again)`` makes one; ``again``: it was made before by this memo
    and has been forgotten, so that it is only to be loaded. An error ends the task group.
    """

    def __init__(
        self, group: asyncio.TaskGroup, make: Callable[[int, bool], Awaitable[ValueT]], *, numbers: int, kept: int
    ) -> None:
        self._group = group
        self._make = make
        self._made = bytearray(numbers)
        self._kept = kept
        self._tasks: OrderedDict[int, asyncio.Task[ValueT]] = OrderedDict()

    async def get(self, number: int) -> ValueT:
        """The value, made now if it is not there; whoever asks meanwhile waits for the same."""
        task = self._tasks.get(number)
        if task is None:
            self._forget()
            task = self._tasks[number] = self._group.create_task(self._once(number))
        self._tasks.move_to_end(number)
        return await task

    def there(self, number: int) -> ValueT | None:
        """The value, if it is there."""
        task = self._tasks.get(number)
        return task.result() if task is not None and task.done() else None

    async def _once(self, number: int) -> ValueT:
        value = await self._make(number, bool(self._made[number]))
        self._made[number] = 1
        return value

    def _forget(self) -> None:
        """Forget those that nobody has asked for longest. What is being made stays, so that nothing is made twice at once."""
        surplus = len(self._tasks) + 1 - self._kept
        for number in [number for number, task in self._tasks.items() if task.done()][: max(0, surplus)]:
            del self._tasks[number]
