"""Ordering worlds: ``generia send``, ``generia watch`` and ``generia quote``.

Here: the three commands. Not here: the message (order.py), how progress looks (displays.py).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from generia_assets.cli.addresses import addresses, database_at
from generia_assets.cli.console import CommandError, own_name, remarks, results
from generia_assets.cli.displays import display_on, progress_line
from generia_assets.cli.follow import follow, world_status
from generia_assets.cli.interrupts import interruptible
from generia_assets.cli.order import new_order
from generia_assets.cli.order import send as send_order
from generia_assets.cli.order_options import (
    DEFAULT_PROMPT,
    Json,
    MaxCost,
    Posts,
    Prompt,
    QualityOption,
    Users,
    World,
    check_order,
    check_world_id,
)
from generia_assets.cli.quotes import quote_for
from generia_assets.cli.result import world_result
from generia_assets.content.documents import Quality
from generia_assets.durable.status import State, WorldStatus
from generia_assets.settings import settings

WorldId = Annotated[str | None, typer.Option("--world-id", metavar="UUID", help="UUID for the world; without it a new one.")]
Texts = Annotated[bool, typer.Option("--texts", help="Print the world's description, people and posts as they are written.")]


def send(
    users: Users = 5,
    posts: Posts = 12,
    prompt: Prompt = DEFAULT_PROMPT,
    quality: QualityOption = Quality.STANDARD,
    world_id: WorldId = None,
    max_cost_usd: MaxCost = None,
    json: Json = False,
) -> None:
    """Order a world by Kafka message, and print the world's id."""
    chosen = settings()
    check_order(chosen, users=users, posts=posts, prompt=prompt)
    order = new_order(
        users=users, posts=posts, prompt=prompt, quality=quality, max_cost_usd=max_cost_usd, world_id=check_world_id(world_id)
    )
    kafka = addresses(chosen).kafka
    send_order(order, kafka, chosen.kafka_tasks_topic)
    if json:
        results().print_json(data={"world_id": order.world_id, "task_id": order.task_id, "topic": chosen.kafka_tasks_topic})
        return
    remarks().print(f"Ordered in {chosen.kafka_tasks_topic} at {kafka.bootstrap_servers}. To watch it: {own_name()} watch WORLD")
    typer.echo(order.world_id)


def watch(world: World, texts: Texts = False, json: Json = False) -> None:
    """Show a world's progress until it is finished. Exit status 0: completed, 1: failed or stopped."""
    chosen = settings()
    console = remarks() if json else results()
    status: WorldStatus | None = None
    with interruptible(), database_at(addresses(chosen).mongodb_uri, chosen) as database:
        with display_on(console, full_texts=texts) as display:
            known = world_status(database, world)
            display.began("watching", str(known.parameters.get("user_prompt", "")) if known else f"world {world}")
            for moment in follow(database, world, texts=texts):
                display.moment(moment)
                status = moment.status
        if status is None:
            raise CommandError(f"world {world}: its status record is gone; somebody deleted it")
        if json:
            typer.echo(world_result(database, status, status.created_at).model_dump_json())
        elif console.is_terminal:
            console.print(progress_line(status))
    if status.status is not State.COMPLETED:
        raise typer.Exit(1)


def quote(users: Users = 5, posts: Posts = 12, quality: QualityOption = Quality.STANDARD, json: Json = False) -> None:
    """Say what a world takes before it is ordered.

    Calls are exact when every answer is usable; tokens and US dollars are estimates.
    """
    chosen = settings()
    check_order(chosen, users=users, posts=posts, prompt=DEFAULT_PROMPT)
    quoted = quote_for(chosen, users=users, posts=posts, quality=quality, now=datetime.now(UTC))
    if json:
        typer.echo(quoted.model_dump_json())
        return
    console = results()
    console.print(f"{users} people, {posts} posts, quality {quality.value}, with {quoted.model}:")
    console.print(
        f"  {quoted.llm_calls} calls of the language model, {quoted.image_calls} pictures (exact, if every answer is usable)"
    )
    console.print(f"  about {quoted.input_tokens:,} tokens in, {quoted.output_tokens:,} out (estimated; other scripts take more)")
    console.print(f"  about ${quoted.cost_usd:.4f} (estimated, at the uncached price)")
    console.print(
        f"  never more than {quoted.llm_call_limit} calls and {quoted.image_call_limit} pictures (BUDGET_SPARE); "
        "a cap in dollars: --max-cost-usd of `send`, or MAX_COST_USD"
    )
