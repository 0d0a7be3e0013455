"""Priorities: whose call goes first when calls of one world wait for slots, by the timeline.

What an earlier post needs goes first, and of one post's tasks the one that ends it. Here: the number of each task, from its type
and key alone, so that it is the same in every run. Not here: the slots (resources/gateway/concurrency.py).
"""

from __future__ import annotations

from generia_assets.catalog import TaskType
from generia_assets.content import social
from generia_assets.content.documents import WORLD_KEY, WorldRequest, character_index
from generia_assets.content.shares import BATCH
from generia_assets.content.timeline import timeline

PICTURES_AFTER = 20
"""Posts of the timeline that go before a picture which no post needs: of the world at its beginning, of a person when they join. So
these pictures neither hold up the first posts nor wait for the last ones."""

_STAGES = tuple(reversed(TaskType))


class Priorities:
    """The priority of each task of a world; lower goes first. See ``durable.journal.Journal.priority_of``."""

    def __init__(self, request: WorldRequest) -> None:
        self._seed, self._people = request.seed, request.users_count
        self._line = timeline(request.seed, request.users_count, request.posts_count)

    def __call__(self, task_type: TaskType, key: str) -> int:
        """The place of the earliest post that needs the task, then how near the task is to the post's end."""
        return self._needed_at(task_type, key) * len(_STAGES) + _STAGES.index(task_type)

    def _needed_at(self, task_type: TaskType, key: str) -> int:
        if key == WORLD_KEY:
            return PICTURES_AFTER if task_type is TaskType.GENERATE_WORLD_IMAGE else 0
        if key.startswith("b"):
            return self._batch_needed_at(int(key[1:]))
        person, _, item = key.partition("-")
        index = character_index(person)
        if task_type is TaskType.GENERATE_CHARACTER_AVATAR:
            return self._line.joined(index) + PICTURES_AFTER
        if not item:
            return self._line.joined(index)
        number = int(item[1:])
        return self._line.t_of(index, number * BATCH if task_type is TaskType.GENERATE_POST_BATCH else number)

    def _batch_needed_at(self, batch: int) -> int:
        """When the first person joins who is invented in this batch, or knows somebody who is."""
        near = range(max(0, batch - 1) * BATCH, min(self._people, (batch + 1) * BATCH))
        needing = (index for index in near if social.ready_after(self._seed, self._people, index) >= batch)
        return min(map(self._line.joined, needing))
