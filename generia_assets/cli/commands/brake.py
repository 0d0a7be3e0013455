"""Many worlds at once: ``generia stop`` and ``generia resume`` with ``--all``, with filters, or with several worlds.

Stopping needs MongoDB alone: one update holds the calls, and each run ends itself when it sees that. Where Dagster is reached, runs
that wait in its queue are cancelled, too; elsewhere they end when they begin. Not here: one world (control.py).
"""

from __future__ import annotations

import time

from generia_assets.cli.connections import addresses, database_at, open_database
from generia_assets.cli.console import CommandError, ask, command_name, remarks, safe_line
from generia_assets.cli.dagster_link import cancel_queued, instance_if_known, last_found, mark_cancelled
from generia_assets.cli.rendering.formats import print_result
from generia_assets.cli.selection import Filters, selected
from generia_assets.content.text import plural
from generia_assets.durable.leases import brake
from generia_assets.durable.tasks.control import ResumeError, ResumeOptions, resume_world
from generia_assets.queries.worlds import ids_of
from generia_assets.settings import settings
from resources.mongodb.connection import MongoDatabase

RUNS_END_S = 25.0
"""How long runs may take to end: they wait for the answers to their calls in flight. Then the worlds are taken from them."""


def stop_many(worlds: list[str], filters: Filters, *, every: bool, dry_run: bool, yes: bool, json: bool) -> None:
    """Stop these worlds, or all, which also stops what is ordered from now on."""
    chosen = settings()
    where = addresses(chosen)
    with database_at(where.mongodb_uri, chosen) as database:
        query = brake.running(selected(database, worlds, filters))
        count = len(ids_of(database, query))
        if dry_run:
            print_result({"worlds": count}, f"{plural(count, 'world')} would be stopped.", json=json)
            return
        later = " Orders that come later wait until `resume --all`." if every else ""
        ask(f"Stop {plural(count, 'world')}?{later}", yes=yes)
        began = time.monotonic()
        if every:
            brake.engage(database)
        count = brake.hold(database, query, brake.StoppedWith.ALL if every else brake.StoppedWith.FILTER)
        held_after = time.monotonic() - began
        remarks().print(
            f"No call of {plural(count, 'world')} begins any more. Runs wait for the answers to calls in flight, and end."
        )
        with instance_if_known(where.dagster_home) as instance:
            brake.mark_held_stopped(database)
            cancelled = 0 if instance is None else cancel_queued(instance, brake.held_orders(database))
            taken = last_found(lambda: brake.owners_of_held(database), RUNS_END_S)
            brake.mark_held_stopped(database, taken=True)
            if instance is not None:
                mark_cancelled(instance, taken)
    go_on = f"{command_name()} resume {'--all' if every else 'with the same worlds or filters'}"
    lost = f" {plural(len(taken), 'run')} did not end, and lost the world." if taken else ""
    queued = (
        f" {plural(cancelled, 'run')} left Dagster's queue."
        if where.dagster_home is not None
        else " Dagster is not reached from here: runs in its queue end when they begin."
    )
    fields = {
        "worlds": count,
        "held_after_s": held_after,
        "queued_runs_cancelled": cancelled,
        "taken_from": taken,
    }
    print_result(fields, f"{plural(count, 'world')} stopped.{queued}{lost} To go on: {go_on}", json=json)


def resume_many(
    worlds: list[str], filters: Filters, options: ResumeOptions, *, every: bool, dry_run: bool, yes: bool, json: bool
) -> None:
    """Resume these worlds, or all that ``stop --all`` stopped. Filters choose among held worlds."""
    with open_database() as database:
        if not every and (since := brake.engaged_since(database)):
            raise CommandError(f"everything is stopped since {since:%Y-%m-%d %H:%M} UTC; first: {command_name()} resume --all")
        query = selected(database, worlds, filters)
        if not worlds:
            query = brake.held({"stopped_with": brake.StoppedWith.ALL.value} if every else query)
        ids = ids_of(database, query)
        if dry_run:
            print_result({"worlds": len(ids)}, f"{plural(len(ids), 'world')} would go on.", json=json)
            return
        ask(f"Let {plural(len(ids), 'world')} go on?", yes=yes)
        if every:
            brake.disengage(database)
        refused = {one: why for one in ids if (why := _refusal(database, one, options))}
    for one, why in refused.items():
        remarks().print(f"{safe_line(one)}: {safe_line(why, 400)}")
    resumed = len(ids) - len(refused)
    text = f"{plural(resumed, 'world')} of {len(ids)} go on: Dagster starts fifty in five seconds at most."
    print_result({"worlds": len(ids), "resumed": resumed, "refused": refused}, text, json=json)
    if refused:
        raise CommandError(f"{plural(len(refused), 'world')} did not go on; each is named above with the reason")


def _refusal(database: MongoDatabase, world_id: str, options: ResumeOptions) -> str:
    try:
        resume_world(database, world_id, options)
    except ResumeError as error:
        return str(error)
    return ""
