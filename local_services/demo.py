"""``generia demo``: start a whole generator, make one world, and end in order.

Here: the order of steps. Not here: the services (catalog.py), the summary (summary.py), and the display of progress
(generia_assets/cli/rendering/).
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from generia_assets.catalog import LLM_CALLS
from generia_assets.cli.connections import database_at
from generia_assets.cli.console import command_name, remarks, results, safe_line, short_path
from generia_assets.cli.options import Images, Json, Log, Texts, flag
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
from local_services.dev import Latency, PlatformOption

if TYPE_CHECKING:
    from generia_assets.cli.data_dir import DataDir
    from generia_assets.cli.watching import Snapshot, WatchOptions, WorldResult
    from generia_assets.durable.orders.order import Order
    from generia_assets.estimates import CallLatency
    from generia_assets.settings import Settings
    from local_services.catalog import ServiceCatalog
    from resources.mongodb.connection import MongoDatabase

ANSWER_S = 0.1
"""An answer of the Gemini emulator without latency, while a world is made on two cores."""

Keep = Annotated[bool, flag("--keep", "Leave everything running afterwards, to look around, until Ctrl-C.")]


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
        # The prefix of a command that uses this demo's folder; empty if it is the default folder.
        usual = data_dir.root == chosen.generia_data_dir.absolute()
        self._prefix = "" if usual else f"GENERIA_DATA_DIR={short_path(data_dir.root)} "

    def make_world(self, prompt: str, options: WatchOptions, *, full_texts: bool) -> WorldResult:
        """Start the services, order the world, show it until it is over, and print the summary."""
        from generia_assets.cli.rendering.displays import display_on
        from generia_assets.cli.watching import WatchOptions, watch_world, world_result
        from generia_assets.durable.status import State
        from local_services.runs import StartCheck, await_end_of_run
        from local_services.services import show_services
        from local_services.summary import add_world, describe_arrived, print_summary
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
                latency = None if catalog.real_model else emulated_latency(catalog.latency)
                start = StartCheck(database, catalog, self._world_id)

                def show(snapshot: Snapshot) -> None:
                    display.show(snapshot)
                    start.check()

                options = WatchOptions(options.log, options.images, latency=latency)
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
            await_end_of_run(database, self._world_id)
        return result

    def keep(self) -> None:
        """Keep everything running until Ctrl-C, which ends the demo in order."""
        self._console.print(f"\nEverything keeps running: {command_name()} show {self._world_id} posts. Ctrl-C ends it.")
        with suppress(KeyboardInterrupt):
            while True:
                self.catalog.services.check()
                time.sleep(0.5)
        self._console.print("Ending all services.")

    def print_how_to_resume(self) -> None:
        """Print how to resume an interrupted world."""
        self._console.print(
            f"Interrupted. World {self._world_id} keeps what it has; all services are being ended.\n"
            f"To go on: {self._prefix}make dev resumes it within a minute; or at once, by\n"
            f"  {self._prefix}{command_name()} resume {self._world_id}"
        )

    def _gallery(self, database: MongoDatabase) -> Path | None:
        """Write the world's pages as files; None if the disk refuses them, which does not affect the world."""
        from generia_assets.pages.gallery import write_gallery

        data_dir = self._data_dir
        try:
            return write_gallery(database, self._world_id, galleries=data_dir.gallery, media=data_dir.media)
        except OSError as error:
            remarks().print(f"The world's pages could not be written below {short_path(data_dir.gallery)}: {error.strerror}")
            return None

    def _bill(self) -> str:
        from local_services.summary import recorded_answers

        if self.catalog.gemini_emulator is None:
            return "(Gemini's bill)"
        if recorded := recorded_answers(self.catalog.gemini_emulator):
            return f"(at Gemini's prices; {plural(recorded, 'recorded answer')}, nothing is billed)"
        return "(at Gemini's prices; the emulator bills nothing)"


def emulated_latency(seconds: float) -> CallLatency:
    """The latency of the Gemini emulator, from the option."""
    from generia_assets.estimates import CallLatency

    every = dict.fromkeys(LLM_CALLS, seconds + ANSWER_S)
    return CallLatency(every, flex=every)
