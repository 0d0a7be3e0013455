"""Looking at worlds: ``generia status``, ``show``, ``stats`` and ``logs``.

Here: the commands and how they print. Not here: what they read (sections.py, statistics.py).
"""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated

import typer
import yaml
from pymongo import DESCENDING
from rich.table import Table
from rich.text import Text as Line

from generia_assets.cli import inert
from generia_assets.cli.addresses import addresses, database_at
from generia_assets.cli.console import CommandError, results
from generia_assets.cli.displays import progress_line
from generia_assets.cli.follow import world_status
from generia_assets.cli.order_options import Json, World, whole
from generia_assets.cli.panel import STAGE_WORDS
from generia_assets.cli.processes import last_lines
from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import WorldStatus
from generia_assets.reading.sections import RECORDS, Section, counts, documents, types_of
from generia_assets.reading.statistics import request_figures
from generia_assets.settings import settings
from resources.mongo import MongoDatabase, MongoDocument

WORLDS = 20
AnyWorld = Annotated[str | None, typer.Argument(help="A world's id; without it the newest worlds are listed.", show_default=False)]
AnySection = Annotated[
    Section | None, typer.Argument(help="What to show; without it, how many objects each has.", show_default=False)
]
Type = Annotated[
    str | None, typer.Option("--type", metavar="NAME", help="Only objects of this type (tasks, history, publications).")
]
Limit = Annotated[int, typer.Option("--limit", parser=whole(1), metavar="NUMBER", help="At most so many objects.")]
Lines = Annotated[int, typer.Option("--lines", parser=whole(1), metavar="NUMBER", help="Lines from the end.")]
AnyPart = Annotated[str | None, typer.Argument(help="A part, such as daemon; without it they are listed.", show_default=False)]


def status(world: AnyWorld = None, json: Json = False) -> None:
    """Show one world's state in detail, or a table of the newest worlds."""
    with _database() as database:
        if world is not None:
            _one_world(_known(database, world), json=json)
            return
        found = [WorldStatus.model_validate(one) for one in database[STATUS].find().sort("updated_at", DESCENDING).limit(WORLDS)]
    if json:
        typer.echo(json_module.dumps([one.model_dump(mode="json") for one in found], ensure_ascii=False, default=str))
        return
    table = Table("world", "name", "state", "people", "posts", "dollars", "changed", box=None, header_style="bold", pad_edge=False)
    for one in found:
        state = f"{one.status.value} ({one.parked.kind})" if one.parked else one.status.value
        table.add_row(
            Line(inert.line(one.world_id), no_wrap=True),
            Line(inert.line(one.name, 24)),
            Line(state),
            f"{one.users_created}/{one.users_predicted}",
            f"{one.posts_created}/{one.posts_predicted}",
            f"{one.cost_usd:.4f}",
            _ago(one.updated_at),
        )
    results().print(table if found else "No world was ordered yet.")


def show(world: World, section: AnySection = None, of_type: Type = None, limit: Limit = 20, json: Json = False) -> None:
    """Show every object that MongoDB keeps of a world."""
    console = results()
    with _database() as database:
        _known(database, world)
        if section is None:
            for name, count in counts(database, world).items():
                kinds = f"  ({', '.join(types_of(database, world, name))})" if name in RECORDS and count else ""
                console.print(f"{name.value:14}{count:8}{kinds}")
            return
        if of_type is not None and section not in RECORDS:
            allowed = ", ".join(one.value for one in RECORDS)
            raise CommandError(f"--type {of_type}: {section.value} are all of one type; it is for {allowed}", 2)
        if of_type is not None and of_type not in (known := types_of(database, world, section)):
            raise CommandError(f"--type {of_type[:60]!r}: not among this world's {section.value}; there are {', '.join(known)}", 2)
        found = list(islice(documents(database, world, section, of_type=of_type), limit + 1))
    if json:
        typer.echo(json_module.dumps(found[:limit], ensure_ascii=False, default=str))
        return
    for document in found[:limit]:
        console.print(Line("─" * 80, "dim"))
        console.print(Line(_readable(document)))
    if len(found) > limit:
        console.print(f"… and more; --limit {limit * 5} shows them.")
    if not found:
        console.print(f"Nothing in {section.value} yet.")


def stats(world: World, json: Json = False) -> None:
    """Count a world's requests: calls, tokens, dollars, times."""
    with _database() as database:
        known = _known(database, world)
        figures = request_figures(database, world)
    if json:
        typer.echo(json_module.dumps([one.model_dump() for one in figures]))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("api", "request", "outcome"):
        table.add_column(column)
    for column in ("calls", "tokens in", "cached", "out", "dollars", "p50 ms", "p95 ms"):
        table.add_column(column, justify="right")
    for one in figures:
        table.add_row(
            *(Line(inert.line(text)) for text in (one.api, one.request_type, one.outcome)),
            str(one.calls),
            f"{one.prompt_tokens:,}",
            f"{one.cached_tokens:,}",
            f"{one.output_tokens:,}",
            f"{one.cost_usd:.4f}",
            str(one.p50_ms),
            str(one.p95_ms),
        )
    console = results()
    console.print(table)
    console.print(progress_line(known))


def logs(part: AnyPart = None, lines: Lines = 40) -> None:
    """Show the logs of the parts that demo and dev start."""
    folder = settings().generia_data_dir.absolute() / "logs"
    known = {path.stem: path for path in sorted(folder.glob("*.log"))}
    console = results()
    if part is None:
        for name, path in known.items():
            console.print(f"{name:14}{path.stat().st_size:10} bytes  {path}")
        if not known:
            console.print(f"No logs in {folder}: nothing was started from here yet.")
        return
    if part not in known:
        raise CommandError(f"{part[:60]!r}: no such part; {folder} has logs of {', '.join(known) or 'none'}", 2)
    console.print(Line(inert.block(last_lines(known[part], lines))))


@contextmanager
def _database() -> Iterator[MongoDatabase]:
    chosen = settings()
    with database_at(addresses(chosen).mongodb_uri, chosen) as database:
        yield database


def _known(database: MongoDatabase, world: str) -> WorldStatus:
    found = world_status(database, world)
    if found is None:
        raise CommandError(f"world {inert.line(world, 80)}: nobody ordered it here; `generia status` lists those that were")
    return found


def _one_world(world: WorldStatus, *, json: bool) -> None:
    if json:
        typer.echo(world.model_dump_json(by_alias=True))
        return
    console = results()
    console.print(Line(f"{inert.line(world.name) or '(no name yet)'}  {world.world_id}", "bold"))
    console.print(Line(f"  prompt      {inert.line(str(world.parameters.get('user_prompt', '')), 300)}"))
    console.print(f"  state       {progress_line(world)}")
    stages = ", ".join(f"{STAGE_WORDS[stage.name]} {stage.status.value}" for stage in world.stages)
    rows = [
        ("stages", stages),
        ("tasks", f"{world.tasks_completed} completed, {world.tasks_failed} failed, {world.task_predicted} planned"),
        ("calls", f"{world.api_calls_made_LLM} of {world.api_call_limits_LLM} of the model"),
        ("pictures", f"{world.api_calls_made_images} of {world.api_call_limits_images}"),
        ("dollars", _dollars(world)),
        ("ordered", f"{world.created_at:%Y-%m-%d %H:%M:%S} UTC, changed {_ago(world.updated_at)}"),
        ("owner", f"run {world.owner.run_id}" if world.owner.run_id else "nobody works on it now"),
        ("generation", f"{world.generation or 'none yet'}, taken up {world.takeovers} times after a death"),
    ]
    if world.parked is not None:
        rows.append(("parked", f"{world.parked.kind}, {_ago(world.parked.since)}"))
    rows += [("failed", inert.line(f"{one.type} {one.key}: {one.error}", 200)) for one in world.failures]
    for name, text in rows:
        console.print(Line(f"  {name:12}{text}"))


def _dollars(world: WorldStatus) -> str:
    cap = "no cap" if world.cost_limit_usd is None else f"cap {world.cost_limit_usd:.4f}"
    return f"{world.llm_cost_total:.4f} model + {world.image_cost_total:.4f} pictures ({cap})"


def _readable(document: MongoDocument) -> str:
    plain = json_module.loads(json_module.dumps(document, default=str))
    return inert.block(yaml.safe_dump(plain, allow_unicode=True, sort_keys=False, width=96).rstrip())


def _ago(moment: datetime) -> str:
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
