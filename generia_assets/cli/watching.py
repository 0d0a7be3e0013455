"""Watching a world until it is finished: its status record, the calls in flight, texts and log lines, a few times a second.

Here: reading them, waiting for an order that MongoDB does not know yet, the time left, and at the end the figures that programs
read. Not here: how it looks (rendering/displays.py), and how long calls take beside each other (estimates.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from generia_assets.catalog import ASSETS, TaskType
from generia_assets.cli.console import CommandError, command_name, safe_line
from generia_assets.cli.data_dir import DataDir
from generia_assets.cli.texts import WAIT_MS, PictureFolder, Text, TextStream
from generia_assets.content.documents import FrozenModel
from generia_assets.durable.collections import GENERATIONS, TASKS
from generia_assets.durable.orders.order import OrderError, parse_stored
from generia_assets.durable.status import State, WorldStatus
from generia_assets.estimates import CallCounts, CallLatency, count_calls, recent_latency, world_latency
from generia_assets.pages.links import ServedLinks
from generia_assets.queries.in_flight import InFlightCalls
from generia_assets.queries.in_flight import in_flight as calls_in_flight
from generia_assets.queries.log import LogFollower, LogLine
from generia_assets.queries.records import completed
from generia_assets.queries.worlds import over, world_status
from generia_assets.settings import Settings
from resources.mongodb.connection import MongoDatabase

LOG_S = 1.0
"""How often the log is read: in a large world this takes longer than the other queries."""
LATENCY_S = 2.0
"""How often it is measured how long calls take."""
TRUST = 0.1
"""Share of the whole work at which the world's own throughput counts as much as the expected one."""
_BEGUN = (State.IN_PROGRESS, State.COMPLETED, State.FAILED)
"""Once an order has one of these states, the world's status includes it: when the world is over, so is the order."""


@dataclass(frozen=True)
class Snapshot:
    """The world at one moment. ``status`` None: the order has not been read from Kafka yet.

    ``seconds`` since the order (of a later generation: since its beginning); ``left`` None: it cannot be estimated.
    """

    status: WorldStatus | None
    texts: list[Text]
    seconds: float = 0.0
    in_flight: InFlightCalls | None = None
    left: float | None = None
    log: tuple[LogLine, ...] = ()


@dataclass(frozen=True)
class WatchOptions:
    """What is shown beside the status: log lines, and pictures copied into a folder; and until when.

    ``earlier``: how many of the texts that exist already are shown; None: all. ``task``: a later order that must be over, too.
    ``wait_s``: how long an order may take to be read from Kafka; None: as long as it takes. ``latency`` of calls, where known.
    """

    log: bool = False
    images: Path | None = None
    earlier: int | None = None
    task: str | None = None
    wait_s: float | None = None
    latency: CallLatency | None = None


def watch_world(
    database: MongoDatabase,
    world_id: str,
    settings: Settings,
    options: WatchOptions,
    show: Callable[[Snapshot], None],
    *,
    data_dir: Path,
) -> WorldStatus:
    """Show the world until it is over. ``data_dir``: where the pictures of this machine's platform are.

    Raises ``CommandError`` if its status record is deleted meanwhile.
    """
    folder = None if options.images is None else PictureFolder(options.images, world_id, data_dir)
    status: WorldStatus | None = None
    for snapshot in follow(database, world_id, settings, options, folder):
        show(snapshot)
        status = snapshot.status
    if status is None:
        raise CommandError(f"world {world_id}: its status record is gone; somebody deleted it")
    return status


def follow(
    database: MongoDatabase, world_id: str, settings: Settings, options: WatchOptions, folder: PictureFolder | None = None
) -> Iterator[Snapshot]:
    """Snapshots of the world, at most four a second; the last one is of the finished, stopped or deleted world.

    Pictures are among the texts only with a ``folder``. Raises ``CommandError`` when the world or the task is still unknown after
    ``wait_s``.
    """
    expected = options.latency or recent_latency(database, settings)
    generation, began, looking_since = None, datetime.now(UTC), time.monotonic()
    time_left = TimeLeft(None, lambda: expected)
    with closing(TextStream(database, world_id, earlier=options.earlier, folder=folder)) as stream:
        log = LogFollower(database, world_id, None, calls=False) if options.log else None
        log_read_at, known = 0.0, False
        while True:
            now = time.monotonic()
            order = _order_state(database, world_id, options.task)  # before the status, which includes an order that has begun
            status = world_status(database, world_id)  # before the texts: the last snapshot has all of them
            if status is not None and (generation is None or generation != status.generation):
                generation, began = status.generation, _began_at(database, status)
                latency = partial(world_latency, database, world_id, began, expected.at(status.service_tier))
                time_left = TimeLeft(calls_left(database, status), latency)
            end = status.finished_at if status is not None and status.finished_at else datetime.now(UTC)
            lines: tuple[LogLine, ...] = ()
            if log is not None and status is not None and (now - log_read_at >= LOG_S or over(status)):
                log_read_at, lines = now, tuple(log.new())
            in_flight = None if status is None or status.done else calls_in_flight(database, world_id, settings)
            left = None if status is None else time_left.seconds(status, in_flight)
            yield Snapshot(status, stream.new(), max(0.0, (end - began).total_seconds()), in_flight, left, lines)
            if status is None and known:
                return
            if status is not None and over(status) and (options.task is None or order in _BEGUN):
                return
            known = status is not None
            if options.wait_s is not None and now - looking_since > options.wait_s:
                _check_order_is_read(world_id, options, status, order)
            time.sleep(max(0.0, WAIT_MS / 1000 - (time.monotonic() - now)))


def _began_at(database: MongoDatabase, status: WorldStatus) -> datetime:
    """When the present generation began: the first one with the order, a later one with its run."""
    newest = list(database[GENERATIONS].find({"world_id": status.world_id}).sort("started_at", -1).limit(2))
    return newest[0]["started_at"] if len(newest) > 1 else status.created_at


def _order_state(database: MongoDatabase, world_id: str, task_id: str | None) -> State | None:
    found = None if task_id is None else database[TASKS].find_one({"_id": task_id, "world_id": world_id}, {"status": 1})
    return None if found is None else State(found["status"])


def _check_order_is_read(world_id: str, options: WatchOptions, status: WorldStatus | None, order: State | None) -> None:
    """Raise ``CommandError`` where the order is still not read from Kafka."""
    if status is not None and (options.task is None or order is not None):
        return
    what = f"world {world_id}" if status is None else f"task {options.task} of world {world_id}"
    name = command_name()
    raise CommandError(
        f"{safe_line(what, 160)}: no such order was read within {options.wait_s:g} s. `{name} list` shows the worlds that "
        f"were ordered, `{name} dead-letters` the messages that were no orders; `{name} doctor` says whether Kafka is reachable. "
        "To wait longer for the generator: --wait SECONDS"
    )


class TimeLeft:
    """Estimates how long a generation still takes: by the calls that are left, at the throughput of those before them."""

    def __init__(
        self, calls: CallCounts | None, latency: Callable[[], CallLatency], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``calls``: all calls of the generation; None: unknown. ``latency``: measures how long calls take, now and then."""
        self._calls = calls
        self._measure = latency
        self._clock = clock
        self._latency: CallLatency | None = None
        self._measured_at = 0.0
        self._first_left: CallCounts | None = None
        """What was left at the first look."""
        self._worked = 0.0
        """Seconds since then in which the world waited for nothing."""
        self._looked_at = clock()

    def seconds(self, status: WorldStatus, in_flight: InFlightCalls | None) -> float | None:
        """Seconds left; None while the world waits, no run works on it, or nothing is known."""
        now = self._clock()
        passed, self._looked_at = now - self._looked_at, now
        if self._calls is None or status.done or status.waiting_for is not None or status.parked is not None or in_flight is None:
            return None
        if status.tasks_completed + status.tasks_failed >= status.task_predicted:
            return 0.0  # only the documents are still being written
        if self._latency is None or now - self._measured_at > LATENCY_S:
            self._latency, self._measured_at = self._measure(), now
        left = self._calls.without(status.api_calls_made_LLM - in_flight.llm, status.api_calls_made_images - in_flight.images)
        if self._first_left is None:
            self._first_left = left
        else:
            self._worked += passed
        expected, at_first, whole = (
            calls.seconds(self._latency, llm_at_once=max(1, in_flight.llm_ceiling), images_at_once=max(1, in_flight.image_ceiling))
            for calls in (left, self._first_left, self._calls)
        )
        done, trust = max(0.0, at_first - expected), TRUST * whole
        return expected * (self._worked + trust) / (done + trust) if trust else expected


def calls_left(database: MongoDatabase, status: WorldStatus) -> CallCounts | None:
    """All calls of the world's present generation; None for one that is over, or that cannot be estimated."""
    generation = database[GENERATIONS].find_one({"_id": status.generation}, {"tasks": 1, "keys": 1})
    if generation is None or status.done:
        return None
    try:
        order = parse_stored(status.parameters)
        return count_calls(status.world_id, order, [TaskType(name) for name in generation["tasks"]], generation["keys"])
    except OrderError:  # what cannot be estimated is made all the same
        return None


class WorldResult(FrozenModel):
    """The object of ``--json``. ``seconds`` count from the moment the order was sent.

    ``llm_calls`` and ``image_calls`` are of the present generation (of a rerun: of what was made again), ``cost_usd`` of all.

    ``gallery``: the world's page, a file or an address; null where none could be written.
    """

    world_id: str
    status: str
    characters: int
    posts: int
    images: int
    llm_calls: int
    image_calls: int
    cost_usd: float
    seconds: float
    seconds_to_first_post: float | None
    gallery: str | None


def world_result(database: MongoDatabase, status: WorldStatus, since: datetime, *, gallery: str | None = None) -> WorldResult:
    """The figures of a world that is over; ``since`` is when it was ordered."""
    end = status.finished_at or status.updated_at
    first_post = status.first_post_at
    return WorldResult(
        world_id=status.world_id,
        status=status.status.value,
        characters=status.users_created,
        posts=status.posts_created,
        images=_pictures(database, status),
        llm_calls=status.api_calls_made_LLM,
        image_calls=status.api_calls_made_images,
        cost_usd=round(status.cost_usd, 6),
        seconds=round((end - since).total_seconds(), 2),
        seconds_to_first_post=None if first_post is None else round((first_post - since).total_seconds(), 2),
        gallery=gallery,
    )


def page_of(settings: Settings, world_id: str) -> str:
    """The world's page: the file that `demo` wrote, or else its address on the pages' server (PAGES_URL)."""
    written = DataDir(settings.generia_data_dir.absolute()).gallery / world_id / "index.html"
    return str(written) if written.is_file() else f"{settings.pages_url}{ServedLinks(world_id).feed()}"


def _pictures(database: MongoDatabase, status: WorldStatus) -> int:
    return sum(
        len(asset.pictures) * database[TASKS].count_documents(completed(status.world_id, status.generation, asset.task_type))
        for asset in ASSETS.values()
        if asset.pictures
    )
