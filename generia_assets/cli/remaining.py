"""How long a world still takes: by the calls that are left, at the pace at which those before them went.

Here: the estimate, of a whole world as of parts made again. Not here: how long calls take beside each other (work.py). Nothing is
estimated while the world waits for something, or for nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from generia_assets.catalog import TaskType
from generia_assets.cli.formats import about
from generia_assets.cli.pace import Pace
from generia_assets.cli.work import Work, work_of
from generia_assets.durable.collections import GENERATIONS
from generia_assets.durable.orders.order import OrderError, parse_stored
from generia_assets.durable.status import WorldStatus
from generia_assets.queries.in_flight import InFlightCalls
from resources.mongodb.connection import MongoDatabase

PACE_S = 2.0
"""How often it is looked how long calls take."""
TRUST = 0.1
"""Share of the whole work at which its own pace counts as much as what was expected of it."""


class Remaining:
    """Watches the calls of one generation go by."""

    def __init__(self, work: Work | None, pace: Callable[[], Pace], *, clock: Callable[[], float] = time.monotonic) -> None:
        """``work``: all calls of the generation; None: nobody knows. ``pace``: how long calls take, asked now and then."""
        self._work = work
        self._ask_pace = pace
        self._clock = clock
        self._pace: Pace | None = None
        self._asked = 0.0
        self._began: Work | None = None
        """What was left at the first look."""
        self._worked = 0.0
        """Seconds since then in which the world waited for nothing."""
        self._looked = clock()

    def seconds(self, status: WorldStatus, air: InFlightCalls | None) -> float | None:
        """Seconds left, or None where that cannot be said."""
        now = self._clock()
        passed, self._looked = now - self._looked, now
        if self._work is None or status.done or status.waiting_for is not None or status.parked is not None or air is None:
            return None
        if status.tasks_completed + status.tasks_failed >= status.task_predicted:
            return 0.0  # only the documents are still being written
        if self._pace is None or now - self._asked > PACE_S:
            self._pace, self._asked = self._ask_pace(), now
        left = self._work.without(status.api_calls_made_LLM - air.llm, status.api_calls_made_images - air.images)
        if self._began is None:
            self._began = left
        else:
            self._worked += passed
        expected, at_first, whole = (
            work.seconds(self._pace, llm_at_once=max(1, air.llm_ceiling), images_at_once=max(1, air.image_ceiling))
            for work in (left, self._began, self._work)
        )
        gone_by, trust = max(0.0, at_first - expected), TRUST * whole
        return expected * (self._worked + trust) / (gone_by + trust) if trust else expected


def work_left(database: MongoDatabase, status: WorldStatus) -> Work | None:
    """All calls of the world's present generation; None for one that is over, or that cannot be estimated."""
    making = database[GENERATIONS].find_one({"_id": status.generation}, {"tasks": 1, "keys": 1})
    if making is None or status.done:
        return None
    try:
        order = parse_stored(status.parameters)
        return work_of(status.world_id, order, [TaskType(name) for name in making["tasks"]], making["keys"])
    except OrderError:  # what cannot be estimated is made all the same
        return None


def in_words(seconds: float) -> str:
    """A time left, no more exact than it is known."""
    return f"about {about(seconds)} left" if seconds >= 5 else "a few seconds left"
