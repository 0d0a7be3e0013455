"""``generia demo``: a whole generator from nothing, one world, and an orderly end.

Here: the order of events. Not here: the parts (catalog.py), how progress and summary look (generia_assets/cli/).
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from generia_assets.cli import inert
from generia_assets.cli.addresses import database_at
from generia_assets.cli.console import CommandError, own_name, remarks, results, short
from generia_assets.cli.dagster_link import world_runs
from generia_assets.cli.displays import display_on
from generia_assets.cli.follow import Watching
from generia_assets.cli.home import DataDir, claim
from generia_assets.cli.order import hand_over, new_order, world_parameters
from generia_assets.cli.order_options import (
    DEFAULT_POSTS,
    DEFAULT_PROMPT,
    DEFAULT_SEED,
    DEFAULT_USERS,
    Json,
    Latency,
    MaxCost,
    Posts,
    Prompt,
    QualityOption,
    Seed,
    Users,
)
from generia_assets.cli.quotes import cap_warning
from generia_assets.cli.result import WorldResult, world_result
from generia_assets.cli.summary import print_summary
from generia_assets.cli.watching import Images, Log, Texts, WatchOptions, watch_world
from generia_assets.content.check import require_good_content
from generia_assets.content.documents import Quality
from generia_assets.content.text import plural
from generia_assets.durable.orders.order import Order
from generia_assets.durable.status import State
from generia_assets.interrupts import interruptible, uninterrupted
from generia_assets.pages.gallery import write_gallery
from generia_assets.queries.worlds import world_status
from generia_assets.settings import Settings, settings
from local_services.catalog import ServiceCatalog, ServiceChoice
from local_services.start_display import show_services
from resources.kafka.producer import EventProducer
from resources.mongodb.connection import MongoDatabase

Keep = Annotated[bool, typer.Option("--keep", help="Leave everything running afterwards, to look around, until Ctrl-C.")]

END_OF_RUN_S = 15.0
FIRST_LOOK_S, LOOK_S = 10.0, 5.0
"""When a world that has not begun is looked for in Dagster (a second of importing), and how often then."""
LAST_EVENT_S = 0.2
"""Between a run's giving back of its world and Dagster's record of its success."""


def demo(
    users: Users = DEFAULT_USERS,
    posts: Posts = DEFAULT_POSTS,
    prompt: Prompt = DEFAULT_PROMPT,
    quality: QualityOption = Quality.STANDARD,
    max_cost_usd: MaxCost = None,
    seed: Seed = None,
    latency: Latency = 0.0,
    json: Json = False,
    keep: Keep = False,
    texts: Texts = False,
    log: Log = False,
    images: Images = None,
) -> None:
    """Start a whole generator, make one world, show it, and end.

    What is set in the environment or .env (MONGODB_URI, KAFKA_BOOTSTRAP_SERVERS, GEMINI_API_KEY or GEMINI_BASE_URL, DAGSTER_HOME)
    is used as it is; an embedded part is started for everything else. For the order without any option the Gemini emulator has
    recorded answers; every other order gets text that it makes up.

    \b
    generia demo --users 3 --posts 6
    generia demo --texts --log --images pictures --prompt "a lighthouse that collects shadows"
    GEMINI_API_KEY=… generia demo --users 25 --posts 150 --max-cost-usd 1
    """
    chosen = settings()
    require_good_content()
    if seed is None and (users, posts, prompt) == (DEFAULT_USERS, DEFAULT_POSTS, DEFAULT_PROMPT):
        seed = DEFAULT_SEED
    parameters = world_parameters(
        chosen, users=users, posts=posts, prompt=prompt, quality=quality, max_cost_usd=max_cost_usd, seed=seed
    )
    order = new_order(parameters)
    if warning := cap_warning(chosen, parameters):
        remarks().print(warning)
    console = remarks() if json else results()
    with interruptible(), claim(chosen.generia_data_dir, may_stand_beside=True) as home:
        parts = ServiceCatalog(home, chosen, ServiceChoice(latency))
        try:
            result = _make_world(parts, home, chosen, order, parameters.user_prompt, console, WatchOptions(texts, log, images))
            if json:
                typer.echo(result.model_dump_json())
            if keep:
                _keep(parts, console, order.world_id)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                _say_how_to_go_on(console, home, chosen, order.world_id)
            with uninterrupted():
                parts.parts.stop()
            raise
        with uninterrupted():
            parts.parts.stop(idle=True)
    if result.status != State.COMPLETED.value:
        raise typer.Exit(1)


def _make_world(
    parts: ServiceCatalog, home: DataDir, settings: Settings, order: Order, prompt: str, console: Console, wishes: WatchOptions
) -> WorldResult:
    with ExitStack() as stack:
        with display_on(console, full_texts=wishes.texts) as display:
            parts.start(lambda: show_services(display, parts.parts))
            home.announce(parts.running("demo"))
            producer = stack.enter_context(EventProducer(parts.kafka))
            database = stack.enter_context(database_at(parts.mongodb_uri, settings))
            sent = datetime.now(UTC)
            hand_over(order, producer, settings.kafka_tasks_topic)
            display.began("ordered", prompt)
            watching = Watching(settings, log=wishes.log, pace=parts.pace)
            beginning = _Beginning(database, parts, order.world_id)
            status = watch_world(
                database, order.world_id, display, watching, wishes.images, data_dir=home.root, check=beginning.check
            )
        gallery = _gallery(database, home, order.world_id) if status.status is State.COMPLETED else None
        result = world_result(database, status, sent, gallery=None if gallery is None else str(gallery))
        if status.status is State.COMPLETED:
            bill = "(Gemini's bill)" if parts.real_model else "(at Gemini's prices; the emulator bills nothing)"
            if recorded := parts.recorded_answers():
                bill = f"(at Gemini's prices; {plural(recorded, 'recorded answer')}, nothing is billed)"
            media = short(home.media / order.world_id)
            print_summary(console, database, status, result, media=media, gallery=gallery and short(gallery), bill=bill)
            _say_where(console, home, settings, order.world_id)
        else:
            reason = inert.line(status.message) or "no reason was recorded"
            remarks().print(f"World {order.world_id} {status.status.value}: {reason}\nLogs: {short(home.logs)}")
        _let_the_run_end(database, order.world_id)
    return result


class _Beginning:
    """Looks whether all parts run, and whether the world's run failed before it could begin: then nobody would ever say so."""

    def __init__(self, database: MongoDatabase, parts: ServiceCatalog, world_id: str) -> None:
        self._database = database
        self._parts = parts
        self._world_id = world_id
        self._next_look = time.monotonic() + FIRST_LOOK_S
        self._failed: str | None = None
        self._begun = False

    def check(self) -> None:
        """Raise ``ChildFailedError`` for a part that ended, ``CommandError`` for a run that failed and is not repeated."""
        self._parts.parts.check()
        if self._begun or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_S
        status = world_status(self._database, self._world_id)
        self._begun = status is not None and status.owner.epoch > 0
        if self._begun:
            return
        with world_runs(self._parts.dagster_home, self._world_id) as runs:
            before, self._failed = self._failed, runs.failure()
        if self._failed is not None and before is not None:  # Dagster has had the time to repeat it
            raise CommandError(f"World {self._world_id} cannot be made, its run failed: {inert.block(self._failed)}")


def _gallery(database: MongoDatabase, home: DataDir, world_id: str) -> Path | None:
    """Write the world's pages as files. A disk that refuses them takes nothing from the world."""
    try:
        return write_gallery(database, world_id, galleries=home.gallery, media=home.media)
    except OSError as error:
        remarks().print(f"The world's pages could not be written below {short(home.gallery)}: {error.strerror}")
        return None


def _let_the_run_end(database: MongoDatabase, world_id: str) -> None:
    """Wait until the run has given its world back: it still checks what it made, and Dagster would repeat a run cut off in that."""
    deadline = time.monotonic() + END_OF_RUN_S
    while time.monotonic() < deadline:
        status = world_status(database, world_id)
        if status is None or status.owner.run_id is None:
            break
        time.sleep(0.05)
    time.sleep(LAST_EVENT_S)


def _keep(parts: ServiceCatalog, console: Console, world_id: str) -> None:
    console.print(f"\nEverything keeps running: {own_name()} show {world_id} posts. Ctrl-C ends it.")
    with suppress(KeyboardInterrupt):  # what was asked for is done: this is its orderly end
        while True:
            parts.parts.check()
            time.sleep(0.5)
    console.print("Ending all parts.")


def _place(home: DataDir, settings: Settings) -> str:
    """What goes before a command that is to use this demo's folder; nothing if it is the usual one."""
    return "" if home.root == settings.generia_data_dir.absolute() else f"GENERIA_DATA_DIR={short(home.root)} "


def _say_where(console: Console, home: DataDir, settings: Settings, world_id: str) -> None:
    place = _place(home, settings)
    console.print(f"  logs: {short(home.logs)}")
    console.print(f"\nTo look around: {place}make dev (with Dagster's pages), and beside it, for example:")
    console.print(f"  {place}{own_name()} show {world_id} posts")


def _say_how_to_go_on(console: Console, home: DataDir, settings: Settings, world_id: str) -> None:
    place = _place(home, settings)
    console.print(f"Interrupted. World {world_id} keeps what it has; all parts are being ended.")
    console.print(f"To go on: {place}make dev takes it up where it stands, within a minute; or at once when told to, by")
    console.print(f"  {place}{own_name()} resume {world_id}")
