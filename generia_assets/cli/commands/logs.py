"""``generia logs``: a world's own log, and the logs of the services that demo and dev start."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text as Line

from generia_assets.cli.connections import get_world, open_database, settings
from generia_assets.cli.console import CommandError, command_name, labelled, results, safe_block, short_path
from generia_assets.cli.data_dir import service_logs
from generia_assets.cli.options import JsonLines, complete_part, complete_world_or_part, flag, option, whole, world_argument
from generia_assets.cli.rendering.formats import as_json
from generia_assets.interrupts import interruptible
from generia_assets.processes import last_lines

if TYPE_CHECKING:
    from generia_assets.queries.log import LogLine
    from resources.mongodb.connection import MongoDatabase

POLL_S = 1.0
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Dagster's processes write some into their logs, whoever reads them."""

WorldOrPart = Annotated[
    str | None,
    world_argument(
        before="A service of the generator, such as daemon; without it the services are listed. Or a world.",
        metavar="WORLD|PART",
        complete=complete_world_or_part,
    ),
]
Part = Annotated[
    str | None, option("--part", "PART", "The service with this name, even if a world is called so.", complete=complete_part)
]
MOST = 1_000_000
SHOWN = 40
Lines = Annotated[
    int | None, option("--lines", "NUMBER", f"Lines from the end; else {SHOWN}, and with --json all.", whole(1, MOST))
]
Follow = Annotated[bool, flag("--follow", "Go on with what comes, until the world is over, or Ctrl-C.", "-f")]
Calls = Annotated[bool, flag("--calls", "Also calls that went well: request, milliseconds, waiting, tokens, dollars.")]


def logs(
    world: WorldOrPart = None,
    part: Part = None,
    lines: Lines = None,
    follow: Follow = False,
    calls: Calls = False,
    json: JsonLines = False,
) -> None:
    """A world's log is what MongoDB keeps of it: stages, people, posts, tasks with their times and attempts, calls that went wrong,
    waiting and going on. Times are UTC. With --json each line has its level, kind, task type, key, task id and run id.

    \b
    generia logs WORLD --follow
    generia logs WORLD --json | jq 'select(.level != "info")'
    generia logs daemon --lines 100
    """
    console = results()
    logs = service_logs(settings().generia_data_dir)
    lines = lines or (MOST if json else SHOWN)
    wanted = part or (world if world in logs else None)
    with interruptible():
        if wanted is not None:
            _print_service_log(console, logs, wanted, lines, follow=follow, json=json)
        elif world is None:
            _list_services(console, logs, json=json)
        else:
            from resources.mongodb.connection import MongoSilentError

            try:
                with open_database() as database:
                    _print_world_log(console, database, world, lines, follow=follow, calls=calls, json=json)
            except MongoSilentError as error:
                raise CommandError(f"{_unknown_service(world, logs)}, and worlds cannot be looked up: {error}") from None


def _print_world_log(
    console: Console, database: MongoDatabase, world: str, lines: int, *, follow: bool, calls: bool, json: bool
) -> None:
    from generia_assets.cli.rendering.lines import print_log
    from generia_assets.queries.log import LogFollower, newest
    from generia_assets.queries.worlds import over, world_status

    def show(shown: list[LogLine]) -> None:
        if json:
            for line in shown:
                typer.echo(as_json(line))
        else:
            print_log(console, shown)

    status = get_world(database, world)
    world = status.world_id
    last = newest(database, world, lines, calls=calls)
    show(last)
    if not follow:
        return
    follower = LogFollower(database, world, status.created_at, calls=calls)
    follower.mark_shown(last)
    while True:
        now = world_status(database, world)
        show(follower.new())
        if now is None or (over(now) and now.owner.run_id is None):
            return
        time.sleep(POLL_S)


def _list_services(console: Console, logs: dict[str, Path], *, json: bool) -> None:
    for name, path in logs.items():
        size = path.stat().st_size
        if json:
            typer.echo(as_json({"part": name, "bytes": size, "path": str(path)}))
        else:
            labelled(console, f"{name:14}{size:10} bytes  ", str(short_path(path)))
    if not json:
        if not logs:
            console.print("No logs of services here: nothing was started from this folder yet.")
        console.print(f"A world's log: {command_name()} logs WORLD [--follow]")


def _unknown_service(name: str, logs: dict[str, Path]) -> str:
    return f"{name[:60]!r}: no such service; there are logs of {', '.join(logs) or 'none'}"


def _print_service_log(console: Console, logs: dict[str, Path], name: str, lines: int, *, follow: bool, json: bool) -> None:
    def show(line: str) -> None:
        line = _COLOURS.sub("", line)
        if json:
            typer.echo(as_json({"part": name, "text": line}))
        else:
            console.print(Line(safe_block(line)))

    if name not in logs:
        raise CommandError(_unknown_service(name, logs), 2)
    for line in last_lines(logs[name], lines).splitlines():
        show(line)
    if not follow:
        return
    with logs[name].open("rb") as log:
        log.seek(0, 2)
        while True:
            for raw in iter(log.readline, b""):
                show(raw.decode("utf-8", "replace").rstrip("\n"))
            time.sleep(POLL_S)
