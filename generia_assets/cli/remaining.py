"""How long a world still takes: by the pace of its own tasks, and until there is one, by its quote.

Here: the estimate, of a whole world as of parts made again. Nothing is estimated while the world waits for something, or for
nobody.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from generia_assets.cli.formats import about
from generia_assets.cli.pace import Pace, lately_in
from generia_assets.cli.quotes import quote_of
from generia_assets.durable.collections import GENERATIONS
from generia_assets.durable.orders import OrderError, stored_parameters
from generia_assets.durable.status import WorldStatus
from generia_assets.settings import Settings
from generia_assets.tasks.kinds import TaskType
from resources.mongo import MongoDatabase

WINDOW_S = 10.0
"""The pace is taken over so long."""
ENOUGH_S = 3.0
ENOUGH_TASKS = 5
FULL_SWING = 0.05
"""Share of the posts after which the tasks' pace tells something: before that, they end one after the other."""


class Remaining:
    """Watches a world's finished tasks go by."""

    def __init__(self, quoted_seconds: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``quoted_seconds``: what the whole was expected to take; None: nobody knows."""
        self._quoted = quoted_seconds
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def seconds(self, status: WorldStatus, elapsed: float) -> float | None:
        """Seconds left, or None where that cannot be said. ``elapsed``: seconds since the order."""
        now = self._clock()
        if status.done or status.waiting_for is not None or status.parked is not None or status.generation is None:
            self._seen.clear()
            return None
        self._seen.append((now, status.tasks_completed + status.tasks_failed))
        while now - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()
        if status.tasks_completed + status.tasks_failed >= status.task_predicted:
            return 0.0  # only the documents are still being written
        if status.posts_created >= max(1.0, FULL_SWING * status.posts_predicted):
            return self._by_pace(status)
        return self._by_quote(elapsed)

    def _by_pace(self, status: WorldStatus) -> float | None:
        (since, first), (until, last) = self._seen[0], self._seen[-1]
        if until - since < ENOUGH_S or last - first < ENOUGH_TASKS:
            return None
        return max(0.0, (status.task_predicted - last) * (until - since) / (last - first))

    def _by_quote(self, elapsed: float) -> float | None:
        return None if self._quoted is None or elapsed >= self._quoted else self._quoted - elapsed


def quoted_seconds(database: MongoDatabase, settings: Settings, status: WorldStatus, pace: Pace | None) -> float | None:
    """What the world's present making was expected to take, for its own order; None for one that is over or was interrupted.

    ``pace``: of its calls, where that is known; None: as measured lately.
    """
    making = database[GENERATIONS].find_one({"_id": status.generation}, {"tasks": 1, "keys": 1})
    if making is None or status.done or status.takeovers:
        return None
    makes = [TaskType(name) for name in making["tasks"]]
    try:
        order = stored_parameters(status.parameters)
        pace = pace or lately_in(database, settings)
        return 60 * quote_of(settings, pace, status.world_id, order, makes, keys=making["keys"]).minutes
    except OrderError:  # what cannot be estimated is made all the same
        return None


def in_words(seconds: float) -> str:
    """A time left, no more exact than it is known."""
    return f"about {about(seconds)} left" if seconds >= 5 else "a few seconds left"
