"""``generia view``: the worlds' pages on this machine, until Ctrl-C.

Here: the port, the address, and a MongoDB for the worlds of this folder while no `generia dev` runs. Not here: the pages (pages/).
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from generia_assets.cli.connections import addresses, database_at, get_world, is_set
from generia_assets.cli.console import CommandError, remarks, results
from generia_assets.cli.data_dir import RunningGenerator, lock_data_dir, running_generator
from generia_assets.cli.options import flag, option, whole, world_argument
from generia_assets.cli.rendering.formats import as_json
from generia_assets.interrupts import interruptible, uninterrupted
from generia_assets.processes import start

if TYPE_CHECKING:
    import uvicorn

    from generia_assets.pages.app import Source
    from generia_assets.settings import Settings

PORT = 3001
LOOPBACK = "127.0.0.1"
LAST_WORDS_S = 1
"""What an answer that is on its way when Ctrl-C comes may still take."""

AnyWorld = Annotated[str | None, world_argument("Without it all are listed.")]
PortOption = Annotated[int, option("--port", "NUMBER", "Port of the worlds' pages on this machine.", whole(1, 65_535))]
Host = Annotated[str, option("--host", "ADDRESS", "Address to serve at. The pages ask for no password: keep them on loopback.")]


AsJson = Annotated[bool, flag("--json", "When it answers, one JSON object on standard output: its url.")]


def view(world: AnyWorld = None, port: PortOption = PORT, host: Host = LOOPBACK, json: AsJson = False) -> None:
    """Each world looks like the social network that it is about: feed, people, who knows whom, and of every post how it came about.

    \b
    generia view
    generia view WORLD --port 3002
    """
    from generia_assets.pages.app import Source
    from generia_assets.pages.links import ServedLinks
    from generia_assets.settings import Settings, settings

    chosen = settings()
    with interruptible(), _listening(host, port) as listener, _mongodb(chosen) as uri:
        if world is not None:
            with database_at(uri, chosen) as database:
                world = get_world(database, world).world_id
        hosts = (*chosen.known_hosts, host)
        public_url = chosen.pages_url if chosen.pages_url != Settings.model_fields["pages_url"].default else ""
        source = Source(uri, chosen.mongodb_database, chosen.media_dir.absolute(), hosts, public_url)
        named = f"[{host}]" if ":" in host else host
        url = f"http://{named}:{port}{ServedLinks(world).feed() if world else '/'}"
        if json:
            typer.echo(as_json({"url": url}))
        else:
            results().print(f"Worlds' pages   {url}   (Ctrl-C ends)")
        _serve(source, listener)


def _serve(source: Source, listener: socket.socket) -> None:
    """Answer until interrupted; open live feeds are told at once."""
    import uvicorn

    from generia_assets.pages.app import pages_app

    server: uvicorn.Server
    app = pages_app(source, closing=lambda: server.should_exit)
    config = uvicorn.Config(app, log_level="warning", lifespan="on", ws="none", timeout_graceful_shutdown=LAST_WORDS_S)
    server = uvicorn.Server(config)
    server.run(sockets=[listener])


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket at this address, before anything else is begun. Raises ``CommandError`` if it cannot be had."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise CommandError(
            f"--host {host}: neither an address nor the name of a host ({error.strerror}); give one, such as {LOOPBACK}", 2
        ) from None
    if not ip_address(str(address[0]).partition("%")[0]).is_loopback:
        remarks().print(f"Warning: the pages ask for no password. Everybody who can reach {host}:{port} can read all worlds.")
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(128)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise CommandError(f"--host {host}: no address of this machine; give one, such as {LOOPBACK}", 2) from None
            advice = f"give another one, such as --port {port + 1}" if port < 65_535 else "give another one"
            raise CommandError(f"--port {port}: {host} cannot be listened at ({error.strerror}); {advice}", 2) from None
        yield listener


@contextmanager
def _mongodb(chosen: Settings) -> Iterator[str]:
    """The URI of the MongoDB that is set or that runs from this folder; else of one that is started for as long as this lasts."""
    if is_set(chosen, "mongodb_uri") or running_generator(chosen.generia_data_dir) is not None:
        uri = addresses(chosen).mongodb_uri
        with database_at(uri, chosen):  # it answers, or the command ends with a line
            pass
        yield uri
        return
    with lock_data_dir(chosen.generia_data_dir, allow_beside=False) as home:
        command: list[str | Path] = [sys.executable, "-m", "local_services.mongod", "--dbpath", home.mongodb]
        child = start("mongod", command, log_path=home.logs / "mongod.log")
        try:
            alone = RunningGenerator(  # what other commands find: worlds can be looked at, and not ordered
                command="view",
                pid=os.getpid(),
                mongodb_uri=child.ready_value,
                kafka_bootstrap_servers=chosen.kafka_bootstrap_servers,
                kafka_api_version=chosen.kafka_api_version,
                dagster_home=str(home.dagster),
            )
            home.announce(alone)
            yield child.ready_value
        finally:
            with uninterrupted():
                child.stop()
