"""Ordering worlds: ``generia send`` and ``generia watch``.

Not here: the price (quotes.py), the message (order.py), how progress looks (displays.py).
"""

from __future__ import annotations

from typing import Annotated

import typer

from generia_assets.cli import order as ordering
from generia_assets.cli.connections import addresses, get_world_or_order, open_database, settings
from generia_assets.cli.console import CommandError, command_name, remarks, results, safe_line
from generia_assets.cli.options import Images, Json, Log, Texts, World, option, task_id, whole
from generia_assets.cli.rendering.formats import as_json
from generia_assets.content.documents import Quality
from generia_assets.durable.collections import TASKS
from generia_assets.durable.status import State
from generia_assets.interrupts import interruptible

WorldId = Annotated[str | None, option("--world-id", "UUID", "UUID for the world; without it a new one.")]
Task = Annotated[
    str | None, option("--task", "ID", "Until this order for a part of it is carried out, too: the id `rerun` prints.", task_id)
]
Wait = Annotated[
    int, option("--wait", "SECONDS", "How long a new order may take to be read from Kafka before this ends.", whole(1, 86_400))
]


def send(
    prompt: ordering.Prompt,
    users: ordering.Users = ordering.DEFAULT_USERS,
    posts: ordering.Posts = ordering.DEFAULT_POSTS,
    quality: ordering.QualityOption = Quality.STANDARD,
    world_id: WorldId = None,
    max_cost_usd: ordering.MaxCost = None,
    service_tier: ordering.TierOption = None,
    seed: ordering.Seed = None,
    priority: ordering.PriorityOption = 0,
    json: Json = False,
) -> None:
    """The id alone goes to standard output. Needs Kafka; the order waits there until a generator reads it. `generia quote` tells
    the price first; with --max-cost-usd the world is cancelled before it costs more.

    \b
    generia send --users 25 --posts 150 --prompt "a harbour on the back of a whale"
    world=$(generia send --prompt "город, который чинит звёзды" --max-cost-usd 0.5) && generia watch $world
    """
    from generia_assets.quotes import cap_warning, order_quote

    chosen = settings()
    parameters = ordering.world_parameters(
        chosen,
        users=users,
        posts=posts,
        prompt=prompt,
        quality=quality,
        max_cost_usd=max_cost_usd,
        service_tier=service_tier,
        seed=seed,
        priority=priority,
    )
    order = ordering.new_order(parameters, world_id)
    kafka = addresses(chosen).kafka
    expected = order_quote(chosen, ordering.knowledge(chosen), order.world_id, parameters)
    ordering.send(order, kafka, chosen.kafka_tasks_topic)
    if json:
        typer.echo(as_json({"world_id": order.world_id, "task_id": order.task_id, "topic": chosen.kafka_tasks_topic}))
        return
    remarks().print(cap_warning(expected, max_cost_usd) or f"A world like this takes about {expected.price}.")
    remarks().print(
        f"Ordered in {chosen.kafka_tasks_topic} at {kafka.bootstrap_servers}. To watch it: {command_name()} watch {order.world_id}"
    )
    typer.echo(order.world_id)


def watch(
    world: World,
    texts: Texts = False,
    log: Log = False,
    images: Images = None,
    task: Task = None,
    wait: Wait = 30,
    json: Json = False,
) -> None:
    """A bar for each stage, the time left, calls in flight of those that may be, dollars so far, what is waited for, and the newest
    texts. Piped, a line for every change, at most one in two seconds. With --json, at the end one object with the fields of
    `demo --json`.

    \b
    generia watch WORLD --texts
    generia watch WORLD --log --images pictures
    """
    from generia_assets.cli.rendering.displays import LINES, display_on
    from generia_assets.cli.rendering.lines import progress_line
    from generia_assets.cli.watching import WatchOptions, page_of, watch_world, world_result

    chosen = settings()
    console = remarks() if json else results()
    with interruptible(), open_database() as database:
        known = get_world_or_order(database, world)
        world = known.world_id if known else world
        with display_on(console, full_texts=texts) as display:
            display.begin("watching", str(known.parameters.get("user_prompt", "")) if known else f"world {world}")
            earlier = 0 if task is not None else None if texts or images is not None else LINES
            options = WatchOptions(log, images, earlier, task, wait_s=wait)
            status = watch_world(database, world, chosen, options, display.show, data_dir=chosen.generia_data_dir)
        if json:
            typer.echo(as_json(world_result(database, status, status.created_at, gallery=page_of(chosen, status.world_id))))
        elif console.is_terminal:
            console.print(progress_line(status))
        failed = task and database[TASKS].find_one({"_id": task, "status": State.FAILED.value}, {"error": 1})
    if status.status is not State.COMPLETED:
        raise typer.Exit(1)
    if failed:
        raise CommandError(f"task {task} failed: {safe_line(str(failed.get('error') or 'no reason was recorded'), 300)}")
