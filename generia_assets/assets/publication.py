"""Two orders that follow the timeline: the priority of tasks, and which post is published next.

Posts are published in the order of the timeline, one at a time, whatever order they are made in: a reorder buffer over the places
``t`` of the timeline. It holds numbers, not texts; each post waits in a coroutine of its own, and only so many wait at once. Not
here: how something is published once (durable/calls/platform_client.py), and slots (resources/gateway/concurrency.py).
"""

from __future__ import annotations

import asyncio
import heapq
from contextlib import suppress

from generia_assets.asset_spec import Unit
from generia_assets.catalog import NEEDED_BY_POSTS, TaskType
from generia_assets.content import social
from generia_assets.content.documents import WorldRequest
from generia_assets.content.keys import WORLD_KEY, character_index
from generia_assets.content.shares import BATCH
from generia_assets.content.timeline import timeline

NOT_NEEDED_AFTER = 20
"""Priority of a task that no post needs, such as a picture: so many posts of the timeline go before it, counted from the world's
beginning or from when the person joins. So these tasks neither delay the first posts nor wait for the last ones."""
_STAGES = tuple(reversed(TaskType))
WAITING = 4
"""Painted posts that wait for their turn in memory, for each call at once. Those painted beyond them are postponed: their tasks
end, and are executed again when their turn is near."""

RESUMED = 32
"""A postponed post is resumed when it is among the next so many of the timeline: what it reads and records delays no turn."""


STANDSTILL_SECONDS = 0.25
"""The order stands still when no place has been settled for so long."""


class Priorities:
    """The priority of each task of a world, from its type and key alone; lower goes first (``TaskRunner.priority_of``)."""

    def __init__(self, request: WorldRequest, *, avatars_first: bool = False) -> None:
        """``avatars_first``: posts need the avatars of those whom their pictures show."""
        avatars = {TaskType.GENERATE_CHARACTER_AVATAR.asset.name} if avatars_first else set()
        self._needed = NEEDED_BY_POSTS | avatars
        self._seed, self._size = request.seed, request.size
        self._line = timeline(request.seed, *request.size)

    def __call__(self, task_type: TaskType, key: str) -> int:
        """The place of the earliest post that needs the task, then how near the task is to the post's end."""
        later = 0 if task_type.asset.name in self._needed else NOT_NEEDED_AFTER
        return (self._place(task_type.asset.unit, key) + later) * len(_STAGES) + _STAGES.index(task_type)

    def _place(self, unit: Unit, key: str) -> int:
        if key == WORLD_KEY:
            return 0
        if key.startswith("b"):  # when the first person of this batch, or an acquaintance of one, joins
            batch, people = int(key[1:]), self._size.people
            near = range(max(0, batch - 1) * BATCH, min(people, (batch + 1) * BATCH))
            needing = (index for index in near if social.ready_after(self._seed, people, index, self._size.former) >= batch)
            return min(map(self._line.joined, needing))
        person, _, item = key.partition("-")
        index = character_index(person)
        if not item:
            return self._line.joined(index)
        number = int(item[1:])
        return self._line.t_of(index, number * BATCH if unit is Unit.POST_BATCH else number)


class PostponedError(Exception):
    """Too many posts wait for their turn already: the task ends, and is executed again when its turn is near."""


class PublicationOrder:
    """Gives each place its turn when every earlier one is settled: published, or known never to come in this run."""

    def __init__(self, places: int, *, waiting: int) -> None:
        self._settled = bytearray(places + 1)
        """One for each place, and one that is never settled."""
        self._next = 0
        self._most_waiting = waiting
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._postponed: list[int] = []
        """A heap: the earliest first."""
        self._moved = asyncio.Event()
        self._moved_at = 0.0
        self.first_settled = asyncio.Event()
        """Set when the first place is settled, or there is none."""
        if not places:
            self.first_settled.set()

    def has_come(self, t: int) -> bool:
        return t <= self._next

    async def turn(self, t: int) -> None:
        """Return when it is the turn of this place. Raises ``PostponedError`` where too many wait already, unless it is soon."""
        if self.has_come(t):
            return
        if len(self._waiting) >= self._most_waiting and not self._is_soon(t):
            heapq.heappush(self._postponed, t)
            raise PostponedError(f"{len(self._waiting)} posts wait for their turn")
        self._waiting[t] = asyncio.get_running_loop().create_future()
        try:
            await self._waiting[t]
        finally:
            del self._waiting[t]

    def settle(self, t: int) -> None:
        """This place is published or will not be: the next one has its turn. Settling it twice changes nothing."""
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
        self._moved_at = asyncio.get_running_loop().time()

    async def backpressure(self) -> None:
        """Return when half of the posts that may wait do, or fewer, or when the order stands still.

        Where posts are made faster than they can be published, one that is made earlier is only postponed, which costs seven reads.
        """
        loop = asyncio.get_running_loop()
        while 2 * len(self._waiting) > self._most_waiting and (left := self._moved_at + STANDSTILL_SECONDS - loop.time()) > 0:
            self._moved.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), left)

    async def next_postponed(self) -> int | None:
        """The next postponed place whose turn is soon; None when all places are settled."""
        while self._next < len(self._settled) - 1:
            if self._postponed and self._is_soon(self._postponed[0]):
                return heapq.heappop(self._postponed)
            self._moved.clear()
            await self._moved.wait()
        return None

    def _is_soon(self, t: int) -> bool:
        return t < self._next + RESUMED
