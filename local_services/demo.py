"""``generia demo``: a whole generator from nothing, one world, and an orderly end.

Here: the order of events, and what the emulators are asked for. Not here: the services (catalog.py), and how progress and summary
look (generia_assets/cli/rendering/).
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from generia_assets.catalog import ASSETS
from generia_assets.cli.connections import database_at
from generia_assets.cli.console import CommandError, command_name, remarks, results, safe_block, safe_line, short_path
from generia_assets.cli.options import Images, Json, Latency, Log, PlatformOption, Texts, flag
from generia_assets.cli.order import (
    DEFAULT_POSTS,
    DEFAULT_PROMPT,
    DEFAULT_SEED,
    DEFAULT_USERS,
    MaxCost,
    Posts,
    PriorityOption,
    Prompt,
    QualityOption,
    Seed,
    TierOption,
    Users,
    hand_over,
    new_order,
    world_parameters,
)
from generia_assets.content.documents import Quality
from generia_assets.content.text import plural

if TYPE_CHECKING:
    from generia_assets.cli.data_dir import DataDir
    from generia_assets.cli.rendering.summary import WorldResult
    from generia_assets.cli.watching import Snapshot, WatchOptions
    from generia_assets.durable.orders.order import Order
    from generia_assets.settings import Settings
    from local_services.catalog import ServiceCatalog
    from resources.mongodb.connection import MongoDatabase

Keep = Annotated[bool, flag("--keep", "Leave everything running afterwards, to look around, until Ctrl-C.")]

END_OF_RUN_S = 15.0
FIRST_LOOK_S, LOOK_S = 10.0, 5.0
"""When Dagster is asked about a world whose run has not begun (that imports Dagster: a second), and how often then."""
EMULATOR_S = 10.0
LAST_EVENT_S = 0.2
"""Between the release of a world's lease by its run and Dagster's record of the run's success."""


def demo(
    users: Users = DEFAULT_USERS,
    posts: Posts = DEFAULT_POSTS,
    prompt: Prompt = DEFAULT_PROMPT,
    quality: QualityOption = Quality.STANDARD,
    max_cost_usd: MaxCost = None,
    service_tier: TierOption = None,
    seed: Seed = None,
    priority: PriorityOption = 0,
    latency: Latency = 0.0,
    platform: PlatformOption = None,
    json: Json = False,
    keep: Keep = False,
    texts: Texts = False,
    log: Log = False,
    images: Images = None,
) -> None:
    """What is set in the environment or .env (MONGODB_URI, KAFKA_BOOTSTRAP_SERVERS, GEMINI_API_KEY or GEMINI_BASE_URL,
    DAGSTER_HOME, the platform's addresses) is used as it is; an embedded service is started for everything else. For the order
    without any option the Gemini emulator has recorded answers; every other order gets text that it makes up.

    \b
    generia demo --users 3 --posts 6
    generia demo --texts --log --images pictures --prompt "a lighthouse that collects shadows"
    generia demo --platform grpc
    GEMINI_API_KEY=… generia demo --users 25 --posts 150 --max-cost-usd 1
    """
    from generia_assets.cli.data_dir import lock_data_dir
    from generia_assets.cli.order import knowledge
    from generia_assets.cli.watching import WatchOptions
    from generia_assets.content.check import require_good_content
    from generia_assets.durable.status import State
    from generia_assets.interrupts import interruptible, uninterrupted
    from generia_assets.quotes import cap_warning, order_quote
    from generia_assets.settings import settings
    from local_services.catalog import ServiceCatalog, ServiceChoice

    chosen = settings()
    require_good_content()
    if seed is None and (users, posts, prompt) == (DEFAULT_USERS, DEFAULT_POSTS, DEFAULT_PROMPT):
        seed = DEFAULT_SEED
    parameters = world_parameters(
        chosen,
        users=users,
        posts=posts,
        prompt=prompt,
        quality=quality,
        max_cost_usd=max_cost_usd,
        service_tier=service_tier,
        seed=seed,
        priority=priority,
    )
    order = new_order(parameters)
    if max_cost_usd is not None and (
        warning := cap_warning(order_quote(chosen, knowledge(chosen), order.world_id, parameters), max_cost_usd)
    ):
        remarks().print(warning)
    console = remarks() if json else results()
    with interruptible(), lock_data_dir(chosen.generia_data_dir, allow_beside=True) as data_dir:
        run = _Demo(ServiceCatalog(data_dir, chosen, ServiceChoice(latency, platform)), data_dir, chosen, order, console)
        try:
            result = run.make_world(prompt, WatchOptions(log, images), full_texts=texts)
            if json:
                typer.echo(result.model_dump_json())
            if keep:
                run.keep()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                run.print_how_to_resume()
            with uninterrupted():
                run.catalog.services.stop()
            raise
        with uninterrupted():
            run.catalog.services.stop(idle=True)
    if result.status != State.COMPLETED.value:
        raise typer.Exit(1)


class _Demo:
    """One demo: its services, its folder, its order."""

    def __init__(self, catalog: ServiceCatalog, data_dir: DataDir, chosen: Settings, order: Order, console: Console) -> None:
        self.catalog = catalog
        self._data_dir = data_dir
        self._settings = chosen
        self._order = order
        self._world_id = order.world_id
        self._console = console
        # What goes before a command that is to use this demo's folder; nothing if it is the usual one.
        usual = data_dir.root == chosen.generia_data_dir.absolute()
        self._prefix = "" if usual else f"GENERIA_DATA_DIR={short_path(data_dir.root)} "

    def make_world(self, prompt: str, options: WatchOptions, *, full_texts: bool) -> WorldResult:
        """Start the services, order the world, show it until it is over, and print the summary."""
        from generia_assets.cli.rendering.displays import display_on
        from generia_assets.cli.rendering.summary import print_summary, world_result
        from generia_assets.cli.watching import WatchOptions, watch_world
        from generia_assets.durable.status import State
        from local_services.services import show_services
        from resources.kafka.producer import EventProducer

        catalog, data_dir = self.catalog, self._data_dir
        with ExitStack() as stack:
            with display_on(self._console, full_texts=full_texts) as display:
                catalog.start(lambda: show_services(display, catalog.services))
                data_dir.announce(catalog.running("demo"))
                producer = stack.enter_context(EventProducer(catalog.kafka))
                database = stack.enter_context(database_at(catalog.mongodb_uri, self._settings))
                if catalog.platform_emulator is not None:
                    add_world(catalog.platform_emulator, self._world_id)
                sent = datetime.now(UTC)
                hand_over(self._order, producer, self._settings.kafka_tasks_topic)
                display.begin("ordered", prompt)
                start = _StartCheck(database, catalog, self._world_id)

                def show(snapshot: Snapshot) -> None:
                    display.show(snapshot)
                    start.check()

                options = WatchOptions(options.log, options.images, latency=catalog.latency)
                status = watch_world(database, self._world_id, self._settings, options, show, data_dir=data_dir.root)
            gallery = self._gallery(database) if status.status is State.COMPLETED else None
            result = world_result(database, status, sent, gallery=None if gallery is None else str(gallery))
            if status.status is State.COMPLETED:
                media = short_path(data_dir.media / self._world_id) if catalog.platform_is_local else None
                print_summary(
                    self._console, database, status, result, media=media, gallery=gallery and short_path(gallery), bill=self._bill()
                )
                if catalog.platform_emulator is not None:
                    self._console.print(f"  {describe_arrived(catalog.platform_emulator, database, self._world_id)}")
                self._console.print(f"  logs: {short_path(data_dir.logs)}")
                self._console.print(
                    f"\nTo look around: {self._prefix}make dev (with Dagster's pages), and beside it, for example:\n"
                    f"  {self._prefix}{command_name()} show {self._world_id} posts"
                )
            else:
                reason = safe_line(status.message) or "no reason was recorded"
                remarks().print(f"World {self._world_id} {status.status.value}: {reason}\nLogs: {short_path(data_dir.logs)}")
            _await_end_of_run(database, self._world_id)
        return result

    def keep(self) -> None:
        """Leave everything running until Ctrl-C, which is here the orderly end."""
        self._console.print(f"\nEverything keeps running: {command_name()} show {self._world_id} posts. Ctrl-C ends it.")
        with suppress(KeyboardInterrupt):
            while True:
                self.catalog.services.check()
                time.sleep(0.5)
        self._console.print("Ending all services.")

    def print_how_to_resume(self) -> None:
        """What becomes of an interrupted world."""
        self._console.print(
            f"Interrupted. World {self._world_id} keeps what it has; all services are being ended.\n"
            f"To go on: {self._prefix}make dev resumes it within a minute; or at once, by\n"
            f"  {self._prefix}{command_name()} resume {self._world_id}"
        )

    def _gallery(self, database: MongoDatabase) -> Path | None:
        """Write the world's pages as files; None where the disk refuses them, which takes nothing from the world."""
        from generia_assets.pages.gallery import write_gallery

        data_dir = self._data_dir
        try:
            return write_gallery(database, self._world_id, galleries=data_dir.gallery, media=data_dir.media)
        except OSError as error:
            remarks().print(f"The world's pages could not be written below {short_path(data_dir.gallery)}: {error.strerror}")
            return None

    def _bill(self) -> str:
        if self.catalog.gemini_emulator is None:
            return "(Gemini's bill)"
        if recorded := recorded_answers(self.catalog.gemini_emulator):
            return f"(at Gemini's prices; {plural(recorded, 'recorded answer')}, nothing is billed)"
        return "(at Gemini's prices; the emulator bills nothing)"


class _StartCheck:
    """Checks that all services run, and that the world's run does not fail before it can begin: nothing else would report that."""

    def __init__(self, database: MongoDatabase, catalog: ServiceCatalog, world_id: str) -> None:
        self._database = database
        self._catalog = catalog
        self._world_id = world_id
        self._next_look = time.monotonic() + FIRST_LOOK_S
        self._failure: str | None = None
        self._begun = False

    def check(self) -> None:
        """Raise ``ChildFailedError`` for a service that ended, ``CommandError`` for a run that failed and is not repeated."""
        from generia_assets.cli.dagster_link import WorldRuns, instance_at
        from generia_assets.queries.worlds import world_status

        self._catalog.services.check()
        if self._begun or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_S
        status = world_status(self._database, self._world_id)
        self._begun = status is not None and status.owner.epoch > 0
        if self._begun:
            return
        with instance_at(self._catalog.dagster_home) as instance:
            before, self._failure = self._failure, WorldRuns(instance, self._world_id).failure()
        if self._failure is not None and before is not None:  # Dagster has had the time to repeat it
            raise CommandError(f"World {self._world_id} cannot be made, its run failed: {safe_block(self._failure)}")


def _await_end_of_run(database: MongoDatabase, world_id: str) -> None:
    """Wait until the run has released its world: it still checks what it made, and Dagster would repeat a run cut off in that."""
    from generia_assets.queries.worlds import world_status

    deadline = time.monotonic() + END_OF_RUN_S
    while time.monotonic() < deadline:
        status = world_status(database, world_id)
        if status is None or status.owner.run_id is None:
            break
        time.sleep(0.05)
    time.sleep(LAST_EVENT_S)


def recorded_answers(gemini: str) -> int:
    """How many answers of the Gemini emulator at this URL were recorded ones; 0 where it does not say."""
    with suppress(CommandError):  # no world fails for want of this number
        return int(_call("GET", f"{gemini}/emulator/stats").get("recorded", 0))
    return 0


def add_world(platform: str, world_id: str) -> None:
    """The platform emulator at this URL has this world from here on, as a platform that orders it has. Raises ``CommandError``."""
    _call("POST", f"{platform}/worlds", {"id": world_id})


def describe_arrived(platform: str, database: MongoDatabase, world_id: str) -> str:
    """What has arrived on the platform emulator, and whether its feed has the world's order. Raises ``CommandError``."""
    there = _call("GET", f"{platform}/emulator/worlds/{world_id}")
    images = database[ASSETS["post_images"].collection].find({"world_id": world_id}, {"t": 1, "post_id": 1}).sort("t")
    feed = [post["id"] for post in there["posts"]]
    order = "in the world's order" if feed == [image["post_id"] for image in images] else "NOT in the world's order"
    characters, pictures = plural(len(there["characters"]), "character"), plural(len(there["media"]), "picture")
    return f"on the platform (an emulator, gone when this ends): {characters}, {pictures}, {plural(len(feed), 'post')} {order}"


def _call(method: str, url: str, body: object = None) -> Any:  # noqa: ANN401  as JSON
    import requests

    with requests.Session() as session:
        session.trust_env = False  # no proxy stands before an emulator
        try:
            answer = session.request(method, url, json=body, timeout=EMULATOR_S)
            answer.raise_for_status()
            return answer.json()
        except requests.RequestException as error:
            raise CommandError(f"the emulator does not answer as it should: {error}") from error
