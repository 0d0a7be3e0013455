"""Following a world until it is finished: its status record, the calls in flight, what was written; a few times a second.

Here: the reading, and for how long it is waited for what MongoDB does not know. Not here: how it looks (displays.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from generia_assets.cli import inert
from generia_assets.cli.console import CommandError, own_name
from generia_assets.cli.pace import Pace, of_world, recent_latency_in
from generia_assets.cli.remaining import Remaining, work_left
from generia_assets.cli.texts import WAIT_MS, Text, TextStream
from generia_assets.durable.collections import GENERATIONS, TASKS
from generia_assets.durable.status import State, WorldStatus
from generia_assets.queries.in_flight import InFlightCalls, in_flight
from generia_assets.queries.log import LogFollower, LogLine
from generia_assets.queries.worlds import over, world_status
from generia_assets.settings import Settings
from resources.mongodb.connection import MongoDatabase

LOG_S = 1.0
"""How often the log is read: in a large world that is a longer look than the others."""


@dataclass(frozen=True)
class Moment:
    """What is to be seen now. ``status`` None: the order has not been read yet.

    ``seconds`` since the order (of a later generation: since its beginning), ``left`` None where nobody can say.
    """

    status: WorldStatus | None
    texts: list[Text]
    seconds: float = 0.0
    air: InFlightCalls | None = None
    left: float | None = None
    log: tuple[LogLine, ...] = ()


@dataclass(frozen=True)
class Watching:
    """What is followed beside the status: the texts, the ``log``, a later order's ``task``, which is to be over, too.

    ``earlier``: how many of the texts are told that were there before; None: all. ``patience_s``: how long an order may take to be
    read from Kafka; None: as long as it takes. ``pace``: of the calls, where that is known.
    """

    settings: Settings
    earlier: int | None = None
    log: bool = False
    task: str | None = None
    patience_s: float | None = None
    pace: Pace | None = None


def follow(database: MongoDatabase, world_id: str, watching: Watching) -> Iterator[Moment]:
    """The world, moment by moment, at most four times a second; the last one is the finished or stopped world, or none any more.

    Raises ``CommandError`` when the world or the task is still unknown after ``patience_s``.
    """
    chosen = watching.settings
    expected = watching.pace or recent_latency_in(database, chosen)

    opened, began_looking = datetime.now(UTC), time.monotonic()
    began: tuple[str | None, datetime] = (None, opened)

    def pace() -> Pace:
        return of_world(database, world_id, began[1], expected)

    remaining = Remaining(None, pace)
    with ExitStack() as stack:
        stream = stack.enter_context(TextStream(database, world_id, earlier=watching.earlier))
        log = LogFollower(database, world_id, None, calls=False) if watching.log else None
        log_read, seen = 0.0, False
        while True:
            looked = time.monotonic()
            order = _order(database, world_id, watching.task)  # before the status: an order that is begun is what that tells of
            status = world_status(database, world_id)  # before the texts: the last moment has all of them
            if status is not None and (began[0] != status.generation or began[0] is None):
                began = (status.generation, _began_at(database, status))
                remaining = Remaining(work_left(database, status), pace)
            end = status.finished_at if status is not None and status.finished_at else datetime.now(UTC)
            seconds = max(0.0, (end - began[1]).total_seconds())
            lines: tuple[LogLine, ...] = ()
            if log is not None and status is not None and (looked - log_read >= LOG_S or over(status)):
                log_read, lines = looked, tuple(log.new())
            air: InFlightCalls | None = None
            if status is not None and not status.done:
                air = in_flight(database, world_id, llm_limit=chosen.llm_concurrency, image_limit=chosen.image_concurrency)
            left = remaining.seconds(status, air) if status is not None else None
            yield Moment(status, stream.new(), seconds, air, left, lines)
            if status is None and seen:
                return
            if status is not None and over(status) and (watching.task is None or order in _BEGUN):
                return
            seen = status is not None
            if watching.patience_s is not None and looked - began_looking > watching.patience_s:
                _check_known(world_id, watching, status, order)
            time.sleep(max(0.0, WAIT_MS / 1000 - (time.monotonic() - looked)))


def _began_at(database: MongoDatabase, status: WorldStatus) -> datetime:
    """When the world's present making began: when it was ordered, or, of a later one, when its run began."""
    newest = list(database[GENERATIONS].find({"world_id": status.world_id}).sort("started_at", -1).limit(2))
    return newest[0]["started_at"] if len(newest) > 1 else status.created_at


_BEGUN = (State.IN_PROGRESS, State.COMPLETED, State.FAILED)
"""An order in one of these has its say in the world's status: when that is over, so is the order, or it is stopped with it."""


def _order(database: MongoDatabase, world_id: str, task_id: str | None) -> State | None:
    """The state of this order for the world; None while there is no such order."""
    found = None if task_id is None else database[TASKS].find_one({"_id": task_id, "world_id": world_id}, {"status": 1})
    return None if found is None else State(found["status"])


def _check_known(world_id: str, watching: Watching, status: WorldStatus | None, order: State | None) -> None:
    """Raise ``CommandError`` where an order is still to be read that should have been by now."""
    if status is not None and (watching.task is None or order is not None):
        return
    what = f"world {world_id}" if status is None else f"task {watching.task} of world {world_id}"
    name = own_name()
    raise CommandError(
        f"{inert.line(what, 160)}: no such order was read within {watching.patience_s:g} s. `{name} list` shows the worlds that "
        f"were ordered, `{name} dead-letters` the messages that were no orders; `{name} doctor` says whether Kafka is reachable. "
        "To wait longer for the generator: --wait SECONDS"
    )
