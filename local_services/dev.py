"""``generia dev``: the generator with everything it needs, and Dagster's pages, until Ctrl-C."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console

from generia_assets.cli.console import own_name, results
from generia_assets.cli.displays import display_on
from generia_assets.cli.home import claim
from generia_assets.cli.order_options import Latency
from generia_assets.cli.parsers import whole
from generia_assets.content.check import require_good_content
from generia_assets.interrupts import interruptible, uninterrupted
from generia_assets.settings import settings
from local_services.catalog import MONGODB, PAGES, WEBSERVER, ServiceCatalog, ServiceChoice
from local_services.start_display import show_services
from resources.kafka.address import KafkaAddress

Port = Annotated[
    int,
    typer.Option(
        "--port", parser=whole(0, 65_535), metavar="NUMBER", help="Port of Dagster's pages on this machine; 0: a free one."
    ),
]
PagesPort = Annotated[
    int,
    typer.Option(
        "--pages-port", parser=whole(0, 65_535), metavar="NUMBER", help="Port of the worlds' pages on this machine; 0: a free one."
    ),
]
CHECK_S = 0.5


def dev(latency: Latency = 0.0, port: Port = 3000, pages_port: PagesPort = 3001) -> None:
    """Start the generator and Dagster's pages, and stay until Ctrl-C.

    What is set in the environment or .env (MONGODB_URI, KAFKA_BOOTSTRAP_SERVERS, GEMINI_API_KEY or GEMINI_BASE_URL, DAGSTER_HOME)
    is used as it is; an embedded part is started for everything else. Worlds and Dagster's history are kept in GENERIA_DATA_DIR.

    \b
    generia dev --latency 0.5
    GEMINI_API_KEY=… generia dev
    """
    chosen = settings()
    require_good_content()
    console = results()
    with interruptible(), claim(chosen.generia_data_dir, may_stand_beside=False) as home:
        parts = ServiceCatalog(home, chosen, ServiceChoice(latency, webserver_port=port, pages_port=pages_port))
        try:
            with display_on(console) as display:
                parts.start(lambda: show_services(display, parts.parts))
            home.announce(parts.running("dev"))
            _say_what_next(console, parts)
            while True:
                parts.parts.check()
                time.sleep(CHECK_S)
        except KeyboardInterrupt:
            console.print("Ending all parts. Worlds that are not finished keep what they have.")
        finally:
            with uninterrupted():
                parts.parts.stop()


def _say_what_next(console: Console, parts: ServiceCatalog) -> None:
    console.print(f"\nDagster's pages   {parts.parts.address(WEBSERVER)}")
    console.print(f"Worlds' pages     {parts.parts.address(PAGES)}")
    console.print(f"MongoDB           {parts.parts.address(MONGODB)}")
    console.print(f"Kafka             {for_clients(parts.kafka)}")
    console.print(
        "\nOrder a world, in another terminal:\n"
        f'  {own_name()} send --users 5 --posts 12 --prompt "a harbour on the back of a whale"\n'
        f"  {own_name()} watch WORLD --texts\n"
        "or in Dagster's pages: Jobs, new_world; its page says where the form is: a name for the world, prompt, users, posts.\n"
        "Ctrl-C ends everything."
    )


def for_clients(kafka: KafkaAddress) -> str:
    """The broker's address, with what a client of one's own has to be told; docs/events.md has examples."""
    version = kafka.api_version.replace(".", ", ")
    return kafka.bootstrap_servers + (f"  (kafka-python needs api_version=({version}))" if version else "")
