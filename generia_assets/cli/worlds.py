"""The worlds themselves: ``generia list``, and ``generia status`` of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer
from pymongo import DESCENDING
from rich.text import Text as Line

from generia_assets.cli import inert
from generia_assets.cli.completion import complete_world
from generia_assets.cli.console import own_name, remarks, results
from generia_assets.cli.formats import ago, as_json, dollars, moment
from generia_assets.cli.known import get_world, open_database
from generia_assets.cli.order_options import WORLD_HELP, Json, JsonLines, world_word
from generia_assets.cli.parsers import choice, whole
from generia_assets.cli.tables import FittedTable
from generia_assets.cli.words import STAGE_WORDS, breaker_line, progress_line
from generia_assets.content.text import plural
from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import OURS, State, WorldStatus, statuses
from generia_assets.queries.in_flight import InFlightCalls, in_flight
from generia_assets.settings import settings
from resources.mongodb.connection import MongoDocument
from resources.mongodb.stored import UnreadableRecord


class Which(StrEnum):
    """Which worlds are listed: the contract's states, and those in progress that nobody works on."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    PARKED = "parked"


AnyWorld = Annotated[
    str | None,
    typer.Argument(
        metavar="WORLD",
        help=f"{WORLD_HELP} Without it the newest worlds are listed.",
        show_default=False,
        parser=world_word,
        autocompletion=complete_world,
    ),
]
WhichOption = Annotated[
    Which | None,
    typer.Option(
        "--state",
        parser=choice(Which),
        metavar="STATE",
        help="Only worlds that are pending, in_progress, completed, failed, or parked (waiting to be resumed).",
    ),
]
SHORT_ID = 8
SHOWN = 20
"""Worlds that people are shown where they set no limit."""
Limit = Annotated[
    int | None,
    typer.Option("--limit", parser=whole(1, 10_000), metavar="NUMBER", help=f"At most so many; else {SHOWN}, and with --json all."),
]


def status(world: AnyWorld = None, json: Json = False) -> None:
    """Show one world's state: stages, counters, costs, what it waits for, what failed.

    Without WORLD the newest worlds are listed, as by `list`.

    \b
    generia status WORLD
    generia status WORLD --json | jq .cost_usd
    """
    if world is None:
        list_worlds(json=json)
        return
    with open_database() as database:
        found, chosen = get_world(database, world), settings()
        air = in_flight(database, found.world_id, llm_limit=chosen.llm_concurrency, image_limit=chosen.image_concurrency)
        _show(found, air, json=json)


def list_worlds(state: WhichOption = None, limit: Limit = None, json: JsonLines = False) -> None:
    """List worlds, those that changed last first: state, people, posts, dollars.

    Worlds of the former worker are listed as history: they can be read, and nobody works on them. A status record that cannot be
    read is listed after the others with the reason.

    \b
    generia list --state in_progress
    generia list --state parked --json | jq -r .world_id | xargs -n1 generia resume
    """
    most = limit if json else limit or SHOWN
    with open_database() as database:
        # Read whole before anything is told: a world that changes while a slow reader holds us up would move, and be missed.
        records = list(database[STATUS].find(_wanted(state)).sort("updated_at", DESCENDING).limit(0 if most is None else most + 1))
    unreadable: list[UnreadableRecord] = []
    found = list(statuses(records[:most], unreadable.append))
    if json:
        for one in found:
            typer.echo(as_json(_told(one)))
        for record in unreadable:
            typer.echo(as_json({"world_id": record.id, "unreadable": record.reason}))
    else:
        _list(found, unreadable, state)
    if most is not None and len(records) > most:
        (remarks() if json else results()).print(f"… and more, changed before these; --limit {most * 10} shows them.")


def _list(found: list[WorldStatus], unreadable: list[UnreadableRecord], state: Which | None) -> None:
    if not found and not unreadable:
        say = "No world was ordered yet" if state is None else f"No world is {state.value}"
        results().print(f'{say}. To order one: {own_name()} send --prompt "a harbour on the back of a whale"')
        return
    if found:
        _table(found).print(results())
    for record in unreadable:
        results().print(Line(inert.line(f"unreadable: {record.id}: {record.reason}", 400), "red"))


def _wanted(state: Which | None) -> MongoDocument:
    if state is None:
        return {}
    if state is Which.PARKED:
        return {**OURS, "parked": {"$ne": None}, "status": {"$in": [State.PENDING.value, State.IN_PROGRESS.value]}}
    return {"status": state.value}


def _table(worlds: list[WorldStatus]) -> FittedTable:
    rows: list[Sequence[str | Line]] = [
        (
            inert.line(one.world_id),
            inert.line(one.name, 18),
            Line(_state(one), _STYLES.get(one.status, "")),
            _counted(one.users_created, one.users_predicted),
            _counted(one.posts_created, one.posts_predicted),
            f"{one.cost_usd:.3f}",
            ago(one.updated_at),
        )
        for one in worlds
    ]
    return FittedTable(
        ("world", "name", "state", "people", "posts", "dollars", "changed"),
        texts=3,
        gives_way=("world", "changed", "name", "dollars"),
        rows=rows,
        short={"world": [inert.line(one.world_id)[:SHORT_ID] for one in worlds]},  # enough to name it by
    )


_STYLES = {State.COMPLETED: "green", State.FAILED: "red", State.IN_PROGRESS: "yellow"}


def _state(world: WorldStatus) -> str:
    if world.deleting_since:
        return "being deleted"
    if world.history:
        return f"history: {world.status.value.replace('_', ' ')}"
    if world.parked and not world.done:
        return f"parked: {world.parked.kind}"
    return "in progress" if world.status is State.IN_PROGRESS else world.status.value


def _counted(made: int, wanted: int) -> str:
    return str(made) if made == wanted else f"{made}/{wanted}"


def _show(world: WorldStatus, air: InFlightCalls, *, json: bool) -> None:
    breakers = () if world.done else air.breakers
    if json:
        typer.echo(as_json({**_told(world), "breakers": breakers}))
        return
    console = results()
    console.print(Line(f"{inert.line(world.name) or '(no name)'}  {world.world_id}", "bold"))
    rows = [
        ("prompt", inert.line(str(world.parameters.get("user_prompt", "")), 300)),
        ("state", progress_line(world)),
        ("stages", ", ".join(f"{STAGE_WORDS[stage.name]} {stage.status.value.replace('_', ' ')}" for stage in world.stages)),
        ("tasks", f"{world.tasks_completed} completed, {world.tasks_failed} failed, {world.task_predicted} planned"),
        ("calls", f"{world.api_calls_made_LLM} of at most {world.api_call_limits_LLM} of the model"),
        ("pictures", f"{world.api_calls_made_images} of at most {world.api_call_limits_images}"),
        ("cost", _cost(world)),
        ("ordered", f"{moment(world.created_at)} UTC, changed {ago(world.updated_at)}"),
        ("owner", _owner(world)),
        ("generation", f"{world.generation or 'none yet'}, resumed {plural(world.takeovers, 'time')} after a death"),
    ]
    rows[6:6] = [("breaker", breaker_line(one)) for one in breakers]
    if world.owner.run_id:
        flying = f"{air.llm} of {air.llm_ceiling} calls of the model, {air.images} of {air.image_ceiling} pictures"
        rows.insert(6, ("in the air", flying))
    if world.waiting_for is not None:
        since = ago(world.waiting_for.since)
        rows.insert(2, ("waiting", inert.line(f"for {world.waiting_for.api}, begun {since}: {world.waiting_for.reason}", 300)))
    if world.parked is not None:
        rows.append(("parked", f"{world.parked.kind}, {ago(world.parked.since)}"))
    if world.superseded:
        counts = ", ".join(f"{kind}: {count}" for kind, count in world.superseded.items())
        rows.append(("superseded", f"{counts}, on the platform only: {own_name()} show {world.world_id} superseded"))
    rows += [("failed", inert.line(f"{one.type} {one.key}: {one.error}", 200)) for one in world.failures]
    for name, text in rows:
        line = Line(f"  {name:12}", "dim")
        line.append(text, "not dim")
        console.print(line)
    if world.failures:
        console.print(f"  To try again what failed: {own_name()} resume {world.world_id} --retry-failed")
    elif world.parked is not None and not world.done:
        console.print(f"  To let it go on: {own_name()} resume {world.world_id}")


def _owner(world: WorldStatus) -> str:
    if world.deleting_since:
        return f"being deleted; to finish that: {own_name()} delete {world.world_id}"
    if world.history:
        return "made by the former worker: kept as history, nobody works on it"
    return f"run {world.owner.run_id}" if world.owner.run_id else "nobody works on it now"


def _told(world: WorldStatus) -> dict[str, object]:
    """The status record as JSON has it: the contract's fields, and what one would otherwise have to add up."""
    return {"world_id": world.world_id, **world.model_dump(mode="json", by_alias=True), "cost_usd": round(world.cost_usd, 6)}


def _cost(world: WorldStatus) -> str:
    cap = "no cap" if world.cost_limit_usd is None else f"cap {dollars(world.cost_limit_usd)}"
    return f"{dollars(world.llm_cost_total)} model + {dollars(world.image_cost_total)} pictures ({cap})"
