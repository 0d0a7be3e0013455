"""``generia trace``: from a post, or a person, back to everything that led there (R14). Not here: the chain (queries/traces.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text as Line

from generia_assets.catalog import TaskType
from generia_assets.cli.connections import get_world, open_database
from generia_assets.cli.console import CommandError, command_name, indented, results, safe_line
from generia_assets.cli.options import Json, argument, choice, flag, option, world_argument
from generia_assets.cli.rendering.formats import as_json, duration
from generia_assets.content.text import dollars
from generia_assets.durable.status import State

if TYPE_CHECKING:
    from generia_assets.cli.rendering.lines import Depth
    from generia_assets.queries.names import ItemName
    from generia_assets.queries.traces import Step, Trace
    from resources.mongodb.connection import MongoDatabase

WorldOrPost = Annotated[
    str, world_argument("An item follows it. Or, alone, the id that a post has on the platform.", metavar="WORLD|POST")
]
AnItem = Annotated[
    str | None,
    argument("ITEM", "In that world: a post's key (c0007-p0003), a person's key (c0007) or @username, a platform's id, or world."),
]


STEPS = {task_type.asset.step.replace(" ", "-"): task_type for task_type in TaskType}

OneStep = Annotated[
    str | None,
    option("--step", "STEP", "Only this step: description, concept, character, avatar, idea, post, picture, …", choice(STEPS)),
]
Full = Annotated[bool, flag("--full", "Whole prompts and answers, instead of their beginnings.")]


def trace(world: WorldOrPost, item: AnItem = None, step: OneStep = None, full: Full = False, json: Json = False) -> None:
    """The chain is description, concept, character, idea, post, picture; of each step what it made, and the exact requests and
    answers with model, tokens, price and time. Platform calls are shown as figures.

    \b
    generia trace WORLD c0007-p0003
    generia trace WORLD @mira --step character --full
    generia trace 7d5b0c7e-8f0e-5a39-9d51-3f1f0f6b2a11 --json | jq '.steps[].cost_usd'
    """
    from generia_assets.queries import traces
    from generia_assets.queries.names import UnknownItemError

    with open_database() as database:
        meant = _meant(database, world, item)
        try:
            found = traces.trace(database, meant.world_id, meant.key)
        except UnknownItemError as error:
            raise CommandError(f"{error}. `{command_name()} show {meant.world_id} posts` lists what is there", 2) from None
    if step is not None:
        found = _only(found, step)
    if json:
        typer.echo(as_json(found))
        return
    _print(results(), found, "all" if full else "texts", whole=step is None)


def _meant(database: MongoDatabase, world: str, item: str | None) -> ItemName:
    from generia_assets.queries.names import item_named, published

    if item is None:
        post = published(database, world)
        if post is None:
            raise CommandError(
                f"{safe_line(world, 80)}: no published post has this id. Give WORLD and an item, such as "
                f"`{command_name()} trace WORLD c0000-p0000`; `{command_name()} show WORLD posts` lists keys",
                2,
            )
        return post
    return item_named(database, get_world(database, world).world_id, item)


def _only(found: Trace, word: str) -> Trace:
    steps = tuple(step for step in found.steps if step.task_type is STEPS[word])
    if not steps:
        there = ", ".join(step.name.replace(" ", "-") for step in found.steps)
        raise CommandError(f"--step {word}: no step of {found.key}; it has {there}", 2)
    return found.model_copy(update={"steps": steps})


def _print(console: Console, found: Trace, depth: Depth, *, whole: bool) -> None:
    who = f"  {safe_line(found.display_name)} @{safe_line(found.username)}" if found.username else ""
    console.print(Line(f"{found.kind} {found.key}{who}", "bold"))
    console.print(Line(f"of {safe_line(found.world_name) or 'a world without a name'} ({found.world_id})"))
    if platform_id := found.post_id or found.character_id:
        console.print(Line(f"on the platform: {safe_line(platform_id)}"))
    if whole:
        console.print(Line(f"it alone cost: {dollars(found.own_cost_usd)}"))
    for number, step in enumerate(found.steps, 1):
        console.print()
        _print_step(console, number, step, depth)


def _print_step(console: Console, number: int, step: Step, depth: Depth) -> None:
    from generia_assets.cli.rendering.lines import print_request

    line = Line(f"{number}. {step.name}", "bold cyan")
    line.append(f"  {safe_line(step.key)}  ", "cyan")
    line.append(step.status.value.replace("_", " "), "" if step.status is State.COMPLETED else "yellow")
    details = [f"{step.attempts} attempts"] if step.attempts > 1 else []
    if step.ended_at and step.started_at:
        details.append(duration(1000 * (step.ended_at - step.started_at).total_seconds()))
    if step.cost_usd:
        details.append(dollars(step.cost_usd) + (f" for {step.items} items together" if step.items > 1 else ""))
    line.append("".join(f", {detail}" for detail in details))
    console.print(line)
    if step.error:
        indented(console, Line(safe_line(step.error, 400), "yellow"), 4)
    for field in step.task_type.asset.shown:
        if value := _plain((step.made or {}).get(field)):
            made = Line(f"{field}: ", "dim")
            made.append(safe_line(value, 600), "not dim")
            indented(console, made, 4)
    for heard in step.heard:
        indented(console, Line(f"heard: {safe_line(heard, 600)}", "dim"), 4)
    for request in step.requests:
        print_request(console, request, "figures" if request.api == "platform" else depth, task=False)
    if step.without_call:
        console.print(Line("    planned by the program, without a call of the model", "dim"))
    elif not step.requests and step.task_type is not TaskType.INIT_WORLD_CREATION:
        console.print(Line("    no requests are kept of it (any more: HISTORY_TTL_DAYS)", "dim"))


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return str(value.get("url") or (f"@{value['username']}: {value['content']}" if "content" in value else ""))
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return "" if value is None else str(value)
