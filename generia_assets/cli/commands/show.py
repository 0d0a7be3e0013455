"""``generia show``: every object that MongoDB keeps of a world, by section, type and id (R14)."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text as Line

from generia_assets.cli.connections import open_world
from generia_assets.cli.console import CommandError, command_name, labelled, results, safe_block, safe_line
from generia_assets.cli.options import World, argument, choice, flag, limit_option, option
from generia_assets.cli.rendering.formats import as_json, json_default, print_limit
from generia_assets.queries.sections import RECORDS, SECTIONS, counts, documents, types_of

if TYPE_CHECKING:
    from resources.mongodb.connection import MongoDatabase, MongoDocument

SHOWN = 20
TYPED = [section for section, record in RECORDS.items() if record.type_field]

AnySection = Annotated[
    str | None,
    argument(
        "SECTION",
        f"What to show: {', '.join(SECTIONS)}. Without it, how many objects each has.",
        complete=lambda: list(SECTIONS),
    ),
]
Type = Annotated[str | None, option("--type", "NAME", f"Only objects of this type ({', '.join(TYPED)}).")]
Id = Annotated[
    str | None, option("--id", "ID", "Only the object with this id: its own, a key such as c0007-p0003, or a @username.")
]
Limit = Annotated[int | None, limit_option(SHOWN)]
Json = Annotated[bool, flag("--json", "One JSON array on standard output; without SECTION an object with the number of each.")]


def show(
    world: World, section: AnySection = None, of_type: Type = None, item: Id = None, limit: Limit = None, json: Json = False
) -> None:
    """A finished world's objects are its materialized ones; of a world in the making, what is there so far. Of bytes only their
    number is shown; pictures are files (`export --pictures`).

    \b
    generia show WORLD
    generia show WORLD characters --id @mira
    generia show WORLD tasks --type generate_post --json | jq '.[].attempt_count'
    """
    console = results()
    wanted = None if section is None else choice(SECTIONS)(section)
    with open_world(world) as (database, status):
        world = status.world_id
        if wanted is None:
            _overview(console, database, world, json=json)
            return
        _check_type(database, world, wanted, of_type)
        found = documents(database, world, wanted, of_type=of_type, item=item)
        first = next(found, None)
        if first is None and item is not None:
            listed = f"`{command_name()} show {world} {wanted}` lists them"
            raise CommandError(f"--id {safe_line(item, 60)}: nothing of that id in {wanted}; {listed}", 2)
        found = chain([] if first is None else [first], found)
        most = limit if json else limit or SHOWN
        if json:
            _as_array(islice(found, most))
        for document in () if json else islice(found, most):
            console.print(Line("─" * min(80, console.width), "dim"))
            console.print(Line(_readable(document, min(96, console.width - 10))))
        if most is not None and next(found, None) is not None:
            print_limit(most, json=json)
    if first is None and not json:
        console.print(f"Nothing in {wanted} yet.")


def _as_array(found: Iterator[MongoDocument]) -> None:
    """One JSON array, an object a line, written as they are read: a world's history can be larger than the memory."""
    begin = "["
    for document in found:
        typer.echo(begin + as_json(document), nl=False)
        begin = ",\n"
    typer.echo("]" if begin != "[" else "[]")


def _overview(console: Console, database: MongoDatabase, world: str, *, json: bool) -> None:
    numbers = counts(database, world)
    if json:
        typer.echo(as_json(numbers))
        return
    for name, count in numbers.items():
        kinds = ", ".join(types_of(database, world, name)) if count else ""
        labelled(console, f"{name:17}{count:7,}  ", Line(safe_line(kinds), "dim"))


def _check_type(database: MongoDatabase, world: str, section: str, of_type: str | None) -> None:
    if of_type is None:
        return
    if section not in TYPED:
        raise CommandError(f"--type {of_type}: {section} are all of one type; it is for {', '.join(TYPED)}", 2)
    if of_type not in (there := types_of(database, world, section)):
        raise CommandError(f"--type {of_type[:60]!r}: not among this world's {section}; there are {', '.join(there)}", 2)


def _readable(document: MongoDocument, width: int) -> str:
    import yaml

    simple = json_module.loads(json_module.dumps(document, default=json_default))
    return safe_block(yaml.safe_dump(simple, allow_unicode=True, sort_keys=False, width=width).rstrip())
