"""The work of ``generia stop`` and ``generia resume``: one world, or many at once (``--all``, filters, several worlds).

One world is stopped by ending its run through Dagster. Many are stopped by MongoDB alone: one update holds the calls, and each run
ends itself when it sees that. Where Dagster is reached, runs that wait in its queue are cancelled, too; elsewhere they end when
they begin. Not here: the options (control.py).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from generia_assets.cli.connections import addresses, database_at, get_world, open_database, open_world
from generia_assets.cli.console import CommandError, ask, command_name, remarks, safe_line
from generia_assets.cli.dagster_link import (
    POLL_S,
    active_runs,
    cancel_queued,
    end_runs,
    instance_at,
    instance_if_known,
    last_found,
    mark_cancelled,
)
from generia_assets.cli.rendering.formats import print_result
from generia_assets.cli.selection import Filters, selected
from generia_assets.content.text import plural
from generia_assets.durable.leases import brake
from generia_assets.durable.tasks.control import ResumeError, ResumeOptions, give_up, hold_calls, mark_stopped, resume_world
from generia_assets.queries.worlds import ids_of, over, world_status
from generia_assets.settings import settings
from resources.mongodb.connection import MongoDatabase

if TYPE_CHECKING:
    from dagster import DagsterInstance

STOP_S = 10.0
"""How long a run may take to end. Then its world is taken from it, and it is left to itself."""
TIDY_S = 30.0
"""How long the run of a world that is over may take to give it back."""
RUNS_END_S = 25.0
"""How long runs of many worlds may take to end: they wait for the answers to their calls in flight."""


def stop_one(world: str, *, for_good: bool, json: bool) -> None:
    chosen = settings()
    where = addresses(chosen)
    with database_at(where.mongodb_uri, chosen) as database:
        found = get_world(database, world)
        world = found.world_id
        waits = found.generation is None and not over(found)  # its run may be in Dagster's queue
        if for_good and (over(found) or not (found.owned or waits)):
            _give_up(database, world, json=json)
            return
        if found.done:
            raise CommandError(f"world {world} is over already: {found.status.value}")
        if where.dagster_home is None:
            advice = "run this where the generator runs, or terminate the world's run in Dagster's pages"
            raise CommandError(f"DAGSTER_HOME is not set, and no `generia dev` runs from this folder: {advice}")
        hold_calls(database, world)  # first: Dagster takes its time, and the run its own to end
        with instance_at(where.dagster_home) as instance:
            ended = end_runs(instance, world)
            if not ended and found.owned and not (found.owner.run_id and instance.has_run(found.owner.run_id)):
                hold_calls(database, world, seconds=0)
                raise CommandError(
                    f"DAGSTER_HOME={where.dagster_home} knows no run of world {world}; run {found.owner.run_id} has it"
                )
            holder = _await_end(database, instance, world)
            mark_stopped(database, world, taken_from=holder)
            mark_cancelled(instance, [run.run_id for run in active_runs(instance, world)])
        now = world_status(database, world)
        if now is None or not over(now):
            raise CommandError(f"world {world}: another run resumed it meanwhile; stop it again")
        if now.done:
            raise CommandError(f"world {world} was over before it could be stopped: {now.status.value}")
        if for_good:
            _give_up(database, world, json=json)
            return
    text = f"World {world} is stopped and keeps what it has. To go on: {command_name()} resume {world}"
    print_result({"world_id": world, "stopped": True, "runs_ended": ended}, text, json=json)


def _give_up(database: MongoDatabase, world: str, *, json: bool) -> None:
    completed = give_up(database, world)
    now = "completed, as it was before" if completed else "failed, and can be ordered again"
    text = f"What was unfinished of world {world} is given up; it is {now}."
    print_result({"world_id": world, "given_up": True, "completed": completed}, text, json=json)


def _await_end(database: MongoDatabase, instance: DagsterInstance, world: str) -> str | None:
    """Return when the world's runs are over, those too that Dagster began meanwhile; after ``STOP_S`` the run that still has it."""
    deadline = time.monotonic() + STOP_S
    while (holder := _holder(database, world)) is not None or active_runs(instance, world):
        if time.monotonic() > deadline:
            return holder
        time.sleep(POLL_S)
        end_runs(instance, world)
    return None


def _holder(database: MongoDatabase, world: str) -> str | None:
    found = world_status(database, world)
    return found.owner.run_id if found is not None and found.owned else None


def resume_one(world: str, options: ResumeOptions, *, json: bool) -> None:
    with open_world(world) as (database, found):
        world = found.world_id
        # Where it is over, its run is only tidying up.
        if over(found) and (holder := last_found(lambda: _holder(database, world), TIDY_S)):
            raise CommandError(f"run {holder} has not ended within {TIDY_S:g} s; see its log in Dagster's pages")
        retried = resume_world(database, world, options)
    again = f", {plural(retried, 'failed task')} again" if retried else ""
    text = f"World {world} goes on within about ten seconds{again}. To see it: {command_name()} watch {world}"
    print_result({"world_id": world, "resumed": True, "tasks_retried": retried}, text, json=json)


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
        called_off = f"No call of {plural(count, 'world')} begins any more."
        remarks().print(f"{called_off} Runs wait for the answers to calls in flight, and end.")
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
    fields = {"worlds": count, "held_after_s": held_after, "queued_runs_cancelled": cancelled, "taken_from": taken}
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
