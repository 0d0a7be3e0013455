"""Following a world until it is finished: its status record, the calls in the air, what was written; a few times a second.

Here: the reading. Not here: how it looks (displays.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from generia_assets.cli.remaining import Remaining
from generia_assets.cli.texts import WAIT_MS, Text, TextStream
from generia_assets.durable.collections import GENERATIONS, TASKS
from generia_assets.durable.status import WorldStatus
from generia_assets.reading.air import Air, in_the_air
from generia_assets.reading.log import Follower, LogLine
from generia_assets.reading.worlds import over, world_status
from generia_assets.settings import Settings
from resources.mongo import MongoDatabase

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
    air: Air | None = None
    left: float | None = None
    log: tuple[LogLine, ...] = ()


@dataclass(frozen=True)
class Watching:
    """What is followed beside the status: the texts, the ``log``, a later order's ``task``, which is to be over, too.

    ``earlier``: how many of the texts are told that were there before; None: all.
    """

    settings: Settings
    earlier: int | None = None
    log: bool = False
    task: str | None = None
    quoted_seconds: float | None = None


def follow(database: MongoDatabase, world_id: str, watching: Watching) -> Iterator[Moment]:
    """The world, moment by moment, at most four times a second; the last one is the finished or stopped world."""
    remaining, chosen = Remaining(watching.quoted_seconds), watching.settings
    opened = datetime.now(UTC)
    with ExitStack() as stack:
        stream = stack.enter_context(TextStream(database, world_id, earlier=watching.earlier))
        log = Follower(database, world_id, None, calls=False) if watching.log else None
        began: tuple[str | None, datetime] = (None, opened)
        log_read = 0.0
        while True:
            looked = time.monotonic()
            status = world_status(database, world_id)  # before the texts: the last moment has all of them
            if status is not None and (began[0] != status.generation or began[0] is None):
                began = (status.generation, _began_at(database, status))
            end = status.finished_at if status is not None and status.finished_at else datetime.now(UTC)
            seconds = max(0.0, (end - began[1]).total_seconds())
            lines: tuple[LogLine, ...] = ()
            if log is not None and status is not None and (looked - log_read >= LOG_S or over(status)):
                log_read, lines = looked, tuple(log.new())
            yield Moment(
                status,
                stream.new(),
                seconds,
                in_the_air(database, world_id, llm_limit=chosen.llm_concurrency, image_limit=chosen.image_concurrency)
                if status is not None and not status.done
                else None,
                remaining.seconds(status, seconds) if status is not None else None,
                lines,
            )
            if status is not None and over(status) and (watching.task is None or _task_is_over(database, status, watching.task)):
                return
            time.sleep(max(0.0, WAIT_MS / 1000 - (time.monotonic() - looked)))


def _began_at(database: MongoDatabase, status: WorldStatus) -> datetime:
    """When the world's present making began: when it was ordered, or, of a later one, when its run began."""
    newest = list(database[GENERATIONS].find({"world_id": status.world_id}).sort("started_at", -1).limit(2))
    return newest[0]["started_at"] if len(newest) > 1 else status.created_at


def _task_is_over(database: MongoDatabase, status: WorldStatus, task_id: str) -> bool:
    """Whether it is the order's own making of the world that this status, which is over, tells of; not the one before it."""
    task = database[TASKS].find_one({"_id": task_id}, {"created_at": 1})
    generation = database[GENERATIONS].find_one({"_id": status.generation}, {"started_at": 1})
    return task is not None and generation is not None and bool(generation["started_at"] >= task["created_at"])
