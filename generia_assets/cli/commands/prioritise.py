"""``generia prioritise``: the priority of a world that is ordered already.

It is a field of the world's status record: its run reads that each second, and the watchdog sensor corrects the place of queued
runs with each tick. So it needs MongoDB alone.
"""

from __future__ import annotations

from typing import Annotated

import typer

from generia_assets.cli.connections import open_world
from generia_assets.cli.console import CommandError
from generia_assets.cli.options import Json, World
from generia_assets.cli.parsers import whole
from generia_assets.cli.rendering.formats import print_result
from generia_assets.durable.orders.order import HIGHEST_PRIORITY

Priority = Annotated[
    int,
    typer.Argument(
        metavar="PRIORITY",
        help=f"-{HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}; a world is ordered with 0 unless its order says otherwise.",
        show_default=False,
        parser=whole(-HIGHEST_PRIORITY, HIGHEST_PRIORITY),
    ),
]


def prioritise(world: World, priority: Priority, json: Json = False) -> None:
    """Change a world's priority among all worlds.

    Queued worlds of a higher priority begin first; the queue has the new order within five seconds. Worlds in progress share the
    calls that may be in flight: a world whose priority is two higher gets twice as many, within about two seconds. Every world gets
    some.

    \b
    generia prioritise WORLD 10
    generia prioritise WORLD -5
    """
    from generia_assets.durable.tasks.control import prioritise as set_priority

    with open_world(world) as (database, found):
        if not set_priority(database, found.world_id, priority):
            raise CommandError(f"world {found.world_id} was made by the former worker: it is history, and no run works on it")
    over = " It is over; what is made of it again has this priority." if found.done else ""
    text = f"World {found.world_id} has priority {priority}, before {found.priority}.{over}"
    print_result({"world_id": found.world_id, "priority": priority, "before": found.priority}, text, json=json)
