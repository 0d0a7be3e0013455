"""``generia dev``: the generator with everything it needs, and Dagster's pages, until Ctrl-C."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from generia_assets.cli.console import command_name, results
from generia_assets.cli.options import choice, option, whole

if TYPE_CHECKING:
    from local_services.catalog import ServiceCatalog
    from resources.kafka.address import KafkaAddress

LONGEST_LATENCY_S = 60.0


def _seconds(given: str | float) -> float:
    """A parser of seconds between 0 and ``LONGEST_LATENCY_S``; its message names the value and what is allowed."""
    try:
        number = float(given)
    except ValueError:
        number = -1.0
    if not 0 <= number <= LONGEST_LATENCY_S:
        raise typer.BadParameter(f"{str(given)[:60]!r} is not a number of seconds from 0 to {LONGEST_LATENCY_S:g}.")
    return number


Latency = Annotated[float, option("--latency", "SECONDS", "Seconds the Gemini emulator takes for an answer, 0 to 60.", _seconds)]
PlatformOption = Annotated[
    str | None,
    option(
        "--platform",
        "local|grpc",
        "grpc: through the platform's services; an emulator of them is started if no address is set. Without it as PLATFORM says.",
        choice(("local", "grpc")),
    ),
]
Port = Annotated[int, option("--port", "NUMBER", "Port of Dagster's pages on this machine; 0: a free one.", whole(0, 65_535))]
PagesPort = Annotated[
    int, option("--pages-port", "NUMBER", "Port of the worlds' pages on this machine; 0: a free one.", whole(0, 65_535))
]
LAUNCHPAD = "/locations/generia/jobs/new_world/playground"
"""The form of job ``new_world``, in Dagster's pages."""
CHECK_S = 0.5


def dev(latency: Latency = 0.0, platform: PlatformOption = None, port: Port = 3000, pages_port: PagesPort = 3001) -> None:
    """What is set in the environment or .env (MONGODB_URI, KAFKA_BOOTSTRAP_SERVERS, GEMINI_API_KEY or GEMINI_BASE_URL,
    DAGSTER_HOME, the platform's addresses) is used as it is; an embedded service is started for everything else. Worlds and
    Dagster's history are kept in GENERIA_DATA_DIR.

    \b
    generia dev --latency 0.5
    GEMINI_API_KEY=… generia dev
    """
    from generia_assets.cli.data_dir import lock_data_dir
    from generia_assets.cli.rendering.displays import display_on
    from generia_assets.content.check import require_good_content
    from generia_assets.interrupts import interruptible, uninterrupted
    from generia_assets.settings import settings
    from local_services.catalog import ServiceCatalog, ServiceChoice
    from local_services.services import show_services

    chosen = settings()
    require_good_content()
    console = results()
    with interruptible(), lock_data_dir(chosen.generia_data_dir, allow_beside=False) as data_dir:
        catalog = ServiceCatalog(
            data_dir, chosen, ServiceChoice(latency, platform, any_world=True, webserver_port=port, pages_port=pages_port)
        )
        try:
            with display_on(console) as display:
                catalog.start(lambda: show_services(display, catalog.services))
            data_dir.announce(catalog.running("dev"))
            _print_next_steps(console, catalog)
            while True:
                catalog.services.check()
                time.sleep(CHECK_S)
        except KeyboardInterrupt:
            console.print("Ending all services. Worlds that are not finished keep what they have.")
        finally:
            with uninterrupted():
                catalog.services.stop()


def _print_next_steps(console: Console, catalog: ServiceCatalog) -> None:
    from local_services.catalog import MONGODB, PAGES, WEBSERVER

    console.print(f"\nDagster's pages   {catalog.services.address(WEBSERVER)}")
    console.print(f"Worlds' pages     {catalog.services.address(PAGES)}")
    console.print(f"MongoDB           {catalog.services.address(MONGODB)}")
    console.print(f"Kafka             {client_address(catalog.kafka)}")
    console.print(
        "\nOrder a world, in another terminal:\n"
        f'  {command_name()} send --users 5 --posts 12 --prompt "a harbour on the back of a whale"\n'
        f"  {command_name()} watch WORLD --texts\n"
        f"or by a form that is filled in: {catalog.services.address(WEBSERVER)}{LAUNCHPAD}\n"
        "Ctrl-C ends everything."
    )


def client_address(kafka: KafkaAddress) -> str:
    """The broker's address, with the settings that other clients need; docs/events.md has examples."""
    version = kafka.settings.kafka_api_version.replace(".", ", ")
    return kafka.bootstrap_servers + (f"  (kafka-python needs api_version=({version}))" if version else "")
