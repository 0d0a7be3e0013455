"""Watching a world until it is finished: its status record, the calls in flight, what was written; a few times a second.

Here: the reading, for how long it is waited for what MongoDB does not know, and the time that is left: by the calls that are left,
at the pace at which those before them went. Nothing is estimated while the world waits for something, or for nobody. Not here: how
it looks (rendering/displays.py), and how long calls take beside each other (estimates.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from generia_assets.catalog import TaskType
from generia_assets.cli.console import CommandError, own_name, safe_line
from generia_assets.cli.estimates import Pace, Work, of_world, recent_latency_in, work_of
from generia_assets.cli.texts import WAIT_MS, PictureFolder, Text, TextStream, without_pictures
from generia_assets.durable.collections import GENERATIONS, TASKS
from generia_assets.durable.orders.records import OrderError, stored_parameters
from generia_assets.durable.status import State, WorldStatus
from generia_assets.queries.air import InFlightCalls, in_flight
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
        f"{safe_line(what, 160)}: no such order was read within {watching.patience_s:g} s. `{name} list` shows the worlds that "
        f"were ordered, `{name} dead-letters` the messages that were no orders; `{name} doctor` says whether Kafka is reachable. "
        "To wait longer for the generator: --wait SECONDS"
    )


Texts = Annotated[bool, typer.Option("--texts", help="Print the world's description, people and posts whole, as they are written.")]
Log = Annotated[bool, typer.Option("--log", help="Print the world's log as it grows: stages, tasks, attempts, failures, waiting.")]
Images = Annotated[
    Path | None,
    typer.Option("--images", metavar="FOLDER", help="Copy the pictures into FOLDER/WORLD as they are made, under telling names."),
]


@dataclass(frozen=True)
class WatchOptions:
    """What is to be seen, beside the progress."""

    texts: bool = False
    log: bool = False
    images: Path | None = None


def watch_world(
    database: MongoDatabase,
    world_id: str,
    show: Callable[[Moment], None],
    watching: Watching,
    images: Path | None,
    *,
    data_dir: Path,
    check: Callable[[], None] = lambda: None,
) -> WorldStatus:
    """Show the world until it is over. ``check`` is called at every moment; ``data_dir`` is where this machine's pictures are.

    Raises ``CommandError`` if its status record goes away.
    """
    folder = None if images is None else PictureFolder(images, world_id, data_dir)
    status: WorldStatus | None = None
    for moment in _shown(follow(database, world_id, watching), folder):
        show(moment)
        check()
        status = moment.status
    if status is None:
        raise CommandError(f"world {world_id}: its status record is gone; somebody deleted it")
    return status


def _shown(moments: Iterator[Moment], folder: PictureFolder | None) -> Iterator[Moment]:
    for moment in moments:
        texts = without_pictures(moment.texts) if folder is None else folder.kept(moment.texts)
        yield replace(moment, texts=texts)


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
        order = stored_parameters(status.parameters)
        return work_of(status.world_id, order, [TaskType(name) for name in making["tasks"]], making["keys"])
    except OrderError:  # what cannot be estimated is made all the same
        return None
