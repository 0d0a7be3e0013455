"""Stopping a world, letting it go on, and its priority: ``generia stop``, ``generia resume`` and ``generia prioritise``.

Stopping ends the world's run through Dagster, and the run leaves the world as it is. Letting it go on is a note in its status
record, which the generator's watchdog sensor takes up within seconds: so resuming needs MongoDB alone, wherever it is reached.
"""

from __future__ import annotations

from typing import Annotated

from generia_assets.cli.connections import open_world
from generia_assets.cli.console import CommandError
from generia_assets.cli.options import CountOnly, Json, World, Yes, argument, dollars, flag, option, whole
from generia_assets.cli.selection import After, All, Before, CostOver, Filters, PromptText, StateOption, Worlds, require_one_way
from generia_assets.durable.status import HIGHEST_PRIORITY

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
Priority = Annotated[
    int,
    argument(
        "PRIORITY",
        f"-{HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}; a world is ordered with 0 unless its order says otherwise.",
        whole(-HIGHEST_PRIORITY, HIGHEST_PRIORITY),
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
    """One world: no new call begins from now on. Its run is ended through Dagster, wherever DAGSTER_HOME or a running `generia dev`
    says that is; calls in flight are given up, and counted. A run that does not end within ten seconds loses the world.

    Several worlds, --all or filters: after two seconds no new call of them begins, on any machine; answers to calls in flight are
    kept. They stay stopped until `resume`. With --all, orders that come later wait for `resume --all`, too.

    \b
    generia stop WORLD
    generia stop WORLD --give-up
    generia stop --all --yes
    generia stop --state in_progress --cost-over 5 --dry-run
    """
    from generia_assets.cli.commands.stopping import stop_many, stop_one

    filters = Filters(state, prompt, ordered_before, ordered_after, cost_over)
    require_one_way(world, every, filters, ways="worlds, or --all, or filters")
    if world is None or len(world) > 1 or dry_run:
        if give_up:
            raise CommandError("--give-up is for one world at a time", 2)
        stop_many(world or [], filters, every=every, dry_run=dry_run, yes=yes, json=json)
    else:
        stop_one(world[0], for_good=give_up, json=json)


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
    """Limits can be raised at the same time. A new run continues a world within about ten seconds. Nothing that exists is made
    again. With --all it resumes what `stop --all` stopped, and nothing else. Filters choose among worlds that were stopped with
    others.

    \b
    generia resume WORLD
    generia resume WORLD --more-calls 50 --max-cost-usd 2
    generia resume WORLD --retry-failed
    generia resume --all --yes
    """
    from generia_assets.cli.commands.stopping import resume_many, resume_one
    from generia_assets.durable.tasks.control import ResumeOptions

    filters = Filters(state, prompt, ordered_before, ordered_after, cost_over)
    require_one_way(world, every, filters, ways="worlds, or --all, or filters")
    options = ResumeOptions(max_cost_usd, more_calls, retry_failed=retry_failed)
    if world is None or len(world) > 1 or dry_run:
        resume_many(world or [], filters, options, every=every, dry_run=dry_run, yes=yes, json=json)
    else:
        resume_one(world[0], options, json=json)


def prioritise(world: World, priority: Priority, json: Json = False) -> None:
    """Queued worlds of a higher priority begin first; the queue has the new order within five seconds. Worlds in progress share the
    calls that may be in flight: a world whose priority is two higher gets twice as many, within about two seconds. Every world gets
    some.

    \b
    generia prioritise WORLD 10
    generia prioritise WORLD -5
    """
    from generia_assets.cli.rendering.formats import print_result
    from generia_assets.durable.tasks.control import prioritise as set_priority

    # A field of the status record, which the run reads each second, and the sensor for queued runs with each tick.
    with open_world(world) as (database, found):
        if not set_priority(database, found.world_id, priority):
            raise CommandError(f"world {found.world_id} was made by the former worker: it is history, and no run works on it")
    over = " It is over; what is made of it again has this priority." if found.done else ""
    text = f"World {found.world_id} has priority {priority}, before {found.priority}.{over}"
    print_result({"world_id": found.world_id, "priority": priority, "before": found.priority}, text, json=json)
