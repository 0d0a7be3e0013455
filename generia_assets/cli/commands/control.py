"""Stopping a world and letting it go on: ``generia stop`` and ``generia resume``.

Stopping ends the world's run through Dagster, and the run leaves the world as it is. Letting it go on is a note in its status
record, which the generator's watchdog sensor takes up within seconds: so resuming needs MongoDB alone, wherever it is reached.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from generia_assets.cli.connections import addresses, database_at, get_world, open_world, settings
from generia_assets.cli.console import CommandError, command_name
from generia_assets.cli.options import CountOnly, Json, Yes, dollars, flag, option, whole
from generia_assets.cli.rendering.formats import print_result
from generia_assets.cli.selection import After, All, Before, CostOver, Filters, PromptText, StateOption, Worlds, require_one_way
from generia_assets.content.text import plural

if TYPE_CHECKING:
    from generia_assets.cli.dagster_link import WorldRuns
    from generia_assets.durable.status import WorldStatus
    from generia_assets.durable.tasks.control import ResumeOptions
    from resources.mongodb.connection import MongoDatabase

STOP_S = 10.0
"""How long a run may take to end. Then its world is taken from it, and it is left to itself."""
TIDY_S = 30.0
"""How long the run of a world that is over may take to give it back."""

MaxCost = Annotated[
    float | None, option("--max-cost-usd", "DOLLARS", "New cap for this world, US dollars over all that it has cost.", dollars)
]
MoreCalls = Annotated[
    int, option("--more-calls", "NUMBER", "Raise the limits of model calls and of pictures by so many each.", whole(0))
]
RetryFailed = Annotated[bool, flag("--retry-failed", "Try again what failed for good, too.")]
GiveUp = Annotated[
    bool,
    flag(
        "--give-up",
        "For good: what is unfinished is given up. A world completed before is as it was then; another can be ordered again.",
    ),
]


def stop(
    world: Worlds = None,
    every: All = False,
    state: StateOption = None,
    prompt: PromptText = None,
    ordered_before: Before = None,
    ordered_after: After = None,
    cost_over: CostOver = None,
    give_up: GiveUp = False,
    dry_run: CountOnly = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Stop worlds; what exists stays.

    One world: no new call begins from now on. Its run is ended through Dagster, wherever DAGSTER_HOME or a running `generia dev`
    says that is; calls in flight are given up, and counted. A run that does not end within ten seconds loses the world.

    Several worlds, --all or filters: after two seconds no new call of them begins, on any machine; answers to calls in flight are
    kept. They stay stopped until `resume`. With --all, orders that come later wait for `resume --all`, too.

    \b
    generia stop WORLD
    generia stop WORLD --give-up
    generia stop --all --yes
    generia stop --state in_progress --cost-over 5 --dry-run
    """
    from generia_assets.cli.commands.brake import stop_many

    filters = Filters(state, prompt, ordered_before, ordered_after, cost_over)
    require_one_way(world, every, filters, ways="worlds, or --all, or filters")
    if world is None or len(world) > 1 or dry_run:
        if give_up:
            raise CommandError("--give-up is for one world at a time", 2)
        stop_many(world or [], filters, every=every, dry_run=dry_run, yes=yes, json=json)
    else:
        _stop(world[0], give_up=give_up, json=json)


def _stop(world: str, *, give_up: bool, json: bool) -> None:
    from generia_assets.cli.dagster_link import world_runs
    from generia_assets.durable.tasks.control import hold_calls, mark_stopped
    from generia_assets.queries.worlds import over, world_status

    chosen = settings()
    where = addresses(chosen)
    with database_at(where.mongodb_uri, chosen) as database:
        found = get_world(database, world)
        world = found.world_id
        if give_up and (over(found) or not _owned(found)):
            _give_up(database, world, json=json)
            return
        if found.done:
            raise CommandError(f"world {world} is over already: {found.status.value}")
        if where.dagster_home is None:
            raise CommandError(
                "DAGSTER_HOME is not set, and no `generia dev` runs from this folder: run this where the generator runs, or "
                "terminate the world's run in Dagster's pages"
            )
        hold_calls(database, world)  # first: Dagster takes its time, and the run its own to end
        with world_runs(where.dagster_home, world) as runs:
            ended = runs.end()
            if not ended and _owned(found) and not runs.knows(found.owner.run_id):
                hold_calls(database, world, seconds=0)
                raise CommandError(
                    f"DAGSTER_HOME={where.dagster_home} knows no run of world {world}; run {found.owner.run_id} has it"
                )
            holder = _await_end(database, world, runs)
            mark_stopped(database, world, taken_from=holder)
            runs.give_up()
        now = world_status(database, world)
        if now is None or not over(now):
            raise CommandError(f"world {world}: another run resumed it meanwhile; stop it again")
        if now.done:
            raise CommandError(f"world {world} was over before it could be stopped: {now.status.value}")
        if give_up:
            _give_up(database, world, json=json)
            return
    text = f"World {world} is stopped and keeps what it has. To go on: {command_name()} resume {world}"
    print_result({"world_id": world, "stopped": True, "runs_ended": ended}, text, json=json)


def _give_up(database: MongoDatabase, world: str, *, json: bool) -> None:
    from generia_assets.durable.tasks.control import give_up as give_up_unfinished

    completed = give_up_unfinished(database, world)
    now = "completed, as it was before" if completed else "failed, and can be ordered again"
    text = f"What was unfinished of world {world} is given up; it is {now}."
    print_result({"world_id": world, "given_up": True, "completed": completed}, text, json=json)


def resume(
    world: Worlds = None,
    every: All = False,
    state: StateOption = None,
    prompt: PromptText = None,
    ordered_before: Before = None,
    ordered_after: After = None,
    cost_over: CostOver = None,
    max_cost_usd: MaxCost = None,
    more_calls: MoreCalls = 0,
    retry_failed: RetryFailed = False,
    dry_run: CountOnly = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Let stopped or failed worlds go on where they stand.

    Limits can be raised at the same time. A new run continues a world within about ten seconds. Nothing that exists is made again.
    With --all it resumes what `stop --all` stopped, and nothing else. Filters choose among worlds that were stopped with others.

    \b
    generia resume WORLD
    generia resume WORLD --more-calls 50 --max-cost-usd 2
    generia resume WORLD --retry-failed
    generia resume --all --yes
    """
    from generia_assets.cli.commands.brake import resume_many
    from generia_assets.durable.tasks.control import ResumeOptions

    filters = Filters(state, prompt, ordered_before, ordered_after, cost_over)
    require_one_way(world, every, filters, ways="worlds, or --all, or filters")
    options = ResumeOptions(max_cost_usd, more_calls, retry_failed=retry_failed)
    if world is None or len(world) > 1 or dry_run:
        resume_many(world or [], filters, options, every=every, dry_run=dry_run, yes=yes, json=json)
    else:
        _resume(world[0], options, json=json)


def _resume(world: str, options: ResumeOptions, *, json: bool) -> None:
    from generia_assets.cli.dagster_link import last_found
    from generia_assets.durable.tasks.control import resume_world
    from generia_assets.queries.worlds import over

    with open_world(world) as (database, found):
        world = found.world_id
        # Where it is over, its run is only tidying up.
        if over(found) and (holder := last_found(lambda: _holder(database, world), TIDY_S)):
            raise CommandError(f"run {holder} has not ended within {TIDY_S:g} s; see its log in Dagster's pages")
        retried = resume_world(database, world, options)
    again = f", {plural(retried, 'failed task')} again" if retried else ""
    text = f"World {world} goes on within about ten seconds{again}. To see it: {command_name()} watch {world}"
    print_result({"world_id": world, "resumed": True, "tasks_retried": retried}, text, json=json)


def _await_end(database: MongoDatabase, world: str, runs: WorldRuns) -> str | None:
    """Return when the world's runs are over, those too that Dagster began meanwhile; after ``STOP_S`` the run that still has it."""
    deadline = time.monotonic() + STOP_S
    while (holder := _holder(database, world)) is not None or runs.active():
        if time.monotonic() > deadline:
            return holder
        time.sleep(0.2)
        runs.end()
    return None


def _holder(database: MongoDatabase, world: str) -> str | None:
    from generia_assets.queries.worlds import world_status

    found = world_status(database, world)
    return found.owner.run_id if found is not None and _owned(found) else None


def _owned(world: WorldStatus) -> bool:
    expires_at = world.owner.expires_at
    return world.owner.run_id is not None and expires_at is not None and expires_at > datetime.now(UTC)
