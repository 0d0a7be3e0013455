"""``generia show``: every object that MongoDB keeps of a world, by section, type and id (R14, 8.3)."""

from __future__ import annotations

import json as json_module
from itertools import islice
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.text import Text as Line

from generia_assets.cli import inert
from generia_assets.cli.console import CommandError, own_name, results
from generia_assets.cli.formats import as_json
from generia_assets.cli.known import known, open_database
from generia_assets.cli.order_options import Json, World
from generia_assets.cli.parsers import choice, whole
from generia_assets.reading.sections import RECORDS, Section, counts, documents, types_of
from resources.mongo import MongoDatabase, MongoDocument

AnySection = Annotated[
    str | None,
    typer.Argument(
        metavar="SECTION",
        help=f"What to show: {', '.join(section.value for section in Section)}. Without it, how many objects each has.",
        show_default=False,
        autocompletion=lambda: [section.value for section in Section],
    ),
]
Type = Annotated[
    str | None,
    typer.Option("--type", metavar="NAME", help="Only objects of this type (tasks, history, publications, events)."),
]
Id = Annotated[
    str | None,
    typer.Option("--id", metavar="ID", help="Only the object with this id: its own, a key such as c0007-p0003, or a @username."),
]
Limit = Annotated[int, typer.Option("--limit", parser=whole(1), metavar="NUMBER", help="At most so many objects.")]


def show(
    world: World, section: AnySection = None, of_type: Type = None, item: Id = None, limit: Limit = 20, json: Json = False
) -> None:
    """Show every object that MongoDB keeps of a world, by section, type and id.

    A finished world's objects are its materialized ones; of a world in the making, what is there so far. With --json a JSON array
    (without SECTION: an object with the number of each).

    \b
    generia show WORLD
    generia show WORLD characters --id @mira
    generia show WORLD tasks --type generate_post --limit 3 --json
    """
    console = results()
    wanted = None if section is None else choice(Section)(section)
    with open_database() as database:
        known(database, world)
        if wanted is None:
            _overview(console, database, world, json=json)
            return
        _check_type(database, world, wanted, of_type)
        found = list(islice(documents(database, world, wanted, of_type=of_type, item=item), limit + 1))
    if json:
        typer.echo(as_json(found[:limit]))
        return
    for document in found[:limit]:
        console.print(Line("─" * 80, "dim"))
        console.print(Line(_readable(document)))
    if len(found) > limit:
        console.print(f"… and more; --limit {limit * 5} shows them.")
    if not found and item is not None:
        listed = f"`{own_name()} show {world} {wanted.value}` lists them"
        raise CommandError(f"--id {inert.line(item, 60)}: nothing of that id in {wanted.value}; {listed}")
    if not found:
        console.print(f"Nothing in {wanted.value} yet.")


def _overview(console: Console, database: MongoDatabase, world: str, *, json: bool) -> None:
    numbers = counts(database, world)
    if json:
        typer.echo(as_json({name.value: count for name, count in numbers.items()}))
        return
    for name, count in numbers.items():
        kinds = ", ".join(types_of(database, world, name)) if name in RECORDS and count else ""
        line = Line(f"{name.value:14}{count:8}")
        line.append(f"  {inert.line(kinds)}", "dim")
        console.print(line)


def _check_type(database: MongoDatabase, world: str, section: Section, of_type: str | None) -> None:
    if of_type is None:
        return
    if section not in RECORDS:
        allowed = ", ".join(one.value for one in RECORDS)
        raise CommandError(f"--type {of_type}: {section.value} are all of one type; it is for {allowed}", 2)
    if of_type not in (there := types_of(database, world, section)):
        raise CommandError(f"--type {of_type[:60]!r}: not among this world's {section.value}; there are {', '.join(there)}", 2)


def _readable(document: MongoDocument) -> str:
    plain = json_module.loads(json_module.dumps(document, default=str))
    return inert.block(yaml.safe_dump(plain, allow_unicode=True, sort_keys=False, width=96).rstrip())
