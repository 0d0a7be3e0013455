"""The worlds themselves: ``generia list``, and ``generia status`` of one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text as Line

from generia_assets.cli.connections import open_database, open_world, settings
from generia_assets.cli.console import command_name, labels, results, safe_line
from generia_assets.cli.options import Json, JsonLines, limit_option, world_argument
from generia_assets.cli.rendering.formats import FittedTable, ago, as_json, moment, of_total, print_limit
from generia_assets.cli.selection import StateOption, state_query
from generia_assets.content.text import dollars, plural
from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import State, WorldStatus, statuses
from resources.mongodb.stored import UnreadableRecord

if TYPE_CHECKING:
    from generia_assets.queries.in_flight import BreakerView, InFlightCalls

AnyWorld = Annotated[str | None, world_argument("Without it the newest worlds are listed.")]
SHORT_ID = 8
SHOWN = 20
Limit = Annotated[int | None, limit_option(SHOWN, 10_000)]


def status(world: AnyWorld = None, json: Json = False) -> None:
    """Without WORLD the newest worlds are listed, as by `list`.

    \b
    generia status WORLD
    generia status WORLD --json | jq .cost_usd
    """
    from generia_assets.queries.in_flight import in_flight

    if world is None:
        list_worlds(json=json)
        return
    with open_world(world) as (database, found):
        _show(found, in_flight(database, found.world_id, settings()), json=json)


def list_worlds(state: StateOption = None, limit: Limit = None, json: JsonLines = False) -> None:
    """Worlds of the former worker are listed as history: they can be read, and no run works on them. A status record that cannot be
    read is listed after the others with the reason.

    \b
    generia list --state in_progress
    generia list --state parked --json | jq -r .world_id | xargs -n1 generia resume
    """
    most = limit if json else limit or SHOWN
    with open_database() as database:
        # Read whole before anything is printed: a world that changes while a slow reader blocks us would move, and be missed.
        newest = database[STATUS].find(state_query(state)).sort("updated_at", -1)
        records = list(newest if most is None else newest.limit(most + 1))
    unreadable: list[UnreadableRecord] = []
    found = list(statuses(records[:most], unreadable.append))
    if json:
        for one in found:
            typer.echo(as_json(_as_fields(one)))
        for record in unreadable:
            typer.echo(as_json({"world_id": record.id, "unreadable": record.reason}))
    else:
        _list(found, unreadable, state)
    if most is not None and len(records) > most:
        print_limit(most, json=json)


def _list(found: list[WorldStatus], unreadable: list[UnreadableRecord], state: str | None) -> None:
    if not found and not unreadable:
        text = "No world was ordered yet" if state is None else f"No world is {state}"
        results().print(f'{text}. To order one: {command_name()} send --prompt "a harbour on the back of a whale"')
        return
    if found:
        _table(found).print(results())
    for record in unreadable:
        results().print(Line(safe_line(f"unreadable: {record.id}: {record.reason}", 400), "red"))


def _table(worlds: list[WorldStatus]) -> FittedTable:
    rows: list[Sequence[str | Line]] = [
        (
            safe_line(one.world_id),
            safe_line(one.name, 18),
            Line(_state(one), _STYLES.get(one.status, "")),
            of_total(one.users_created, one.users_predicted),
            of_total(one.posts_created, one.posts_predicted),
            f"{one.cost_usd:.3f}",
            ago(one.updated_at),
        )
        for one in worlds
    ]
    return FittedTable(
        ("world", "name", "state", "people", "posts", "dollars", "changed"),
        texts=3,
        gives_way=("world", "changed", "dollars", "people", "posts", "name"),
        rows=rows,
        short={"world": [safe_line(one.world_id)[:SHORT_ID] for one in worlds]},  # enough to name it by
    )


_STYLES = {State.COMPLETED: "green", State.FAILED: "red", State.IN_PROGRESS: "yellow"}


def _state(world: WorldStatus) -> str:
    priority = f", priority {world.priority}" if world.priority and not world.done else ""
    if world.deleting_since:
        return f"being deleted{priority}"
    state = world.status.value.replace("_", " ")
    if world.history:
        return f"history: {state}{priority}"
    return f"parked: {world.parked.kind}{priority}" if world.parked and not world.done else f"{state}{priority}"


def _show(world: WorldStatus, calls: InFlightCalls, *, json: bool) -> None:
    breakers = () if world.done else calls.breakers
    if json:
        typer.echo(as_json({**_as_fields(world), "breakers": breakers}))
        return
    console = results()
    console.print(Line(f"{safe_line(world.name) or '(no name)'}  {world.world_id}", "bold"))
    labels(console, _rows(world, calls, breakers))
    if world.failures:
        console.print(f"  To try again what failed: {command_name()} resume {world.world_id} --retry-failed")
    elif world.parked is not None and not world.done:
        console.print(f"  To let it go on: {command_name()} resume {world.world_id}")


def _rows(world: WorldStatus, calls: InFlightCalls, breakers: Iterable[BreakerView]) -> Iterator[tuple[str, str]]:
    from generia_assets.cli.rendering.lines import STAGE_WORDS, breaker_line, progress_line

    yield "prompt", safe_line(str(world.parameters.get("user_prompt", "")), 300)
    yield "state", progress_line(world)
    if world.waiting_for is not None:
        since = ago(world.waiting_for.since)
        yield "waiting", safe_line(f"for {world.waiting_for.api}, begun {since}: {world.waiting_for.reason}", 300)
    yield "stages", ", ".join(f"{STAGE_WORDS[stage.name]} {stage.status.value.replace('_', ' ')}" for stage in world.stages)
    yield "tasks", f"{world.tasks_completed} completed, {world.tasks_failed} failed, {world.task_predicted} planned"
    yield "calls", f"{world.api_calls_made_LLM} of at most {world.api_call_limits_LLM} of the model in this generation"
    yield "pictures", f"{world.api_calls_made_images} of at most {world.api_call_limits_images} in this generation"
    if world.owner.run_id:
        flying = f"{calls.llm} of {calls.llm_ceiling} calls of the model, {calls.images} of {calls.image_ceiling} pictures"
        yield "in flight", flying
    for one in breakers:
        yield "breaker", breaker_line(one)
    cap = "no cap" if world.cost_limit_usd is None else f"cap {dollars(world.cost_limit_usd)}"
    yield "cost", f"{dollars(world.llm_cost_total)} model + {dollars(world.image_cost_total)} pictures in all ({cap})"
    yield "tier", world.service_tier.value
    yield "priority", str(world.priority)
    yield "ordered", f"{moment(world.created_at)} UTC, changed {ago(world.updated_at)}"
    yield "owner", _owner(world)
    yield "generation", f"{world.generation or 'none yet'}, resumed {plural(world.takeovers, 'time')} after a death"
    if world.parked is not None:
        yield "parked", f"{world.parked.kind}, {ago(world.parked.since)}"
    if world.superseded:
        counts = ", ".join(f"{kind}: {count}" for kind, count in world.superseded.items())
        yield "superseded", f"{counts}, on the platform only: {command_name()} show {world.world_id} superseded"
    for failure in world.failures:
        yield "failed", safe_line(f"{failure.type} {failure.key}: {failure.error}", 200)


def _owner(world: WorldStatus) -> str:
    if world.deleting_since:
        return f"being deleted; to finish that: {command_name()} delete {world.world_id}"
    if world.history:
        return "made by the former worker: kept as history, nobody works on it"
    return f"run {world.owner.run_id}" if world.owner.run_id else "nobody works on it now"


def _as_fields(world: WorldStatus) -> dict[str, object]:
    """The status record as JSON has it: the contract's fields, and what one would otherwise have to add up."""
    return {"world_id": world.world_id, **world.model_dump(mode="json", by_alias=True), "cost_usd": round(world.cost_usd, 6)}
