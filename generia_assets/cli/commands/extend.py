"""``generia extend``: more people and posts for a completed world, by Kafka message.

Here: which message that is, and what it will cost. Not here: what an extension adds (content/extension.py), and how it is made
(assets/orchestrator.py).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from generia_assets.catalog import ASSETS, EXTENDED
from generia_assets.cli.connections import addresses, get_world, open_database
from generia_assets.cli.console import CommandError, command_name, remarks, results
from generia_assets.cli.options import Json, World
from generia_assets.cli.parsers import dollars, option, whole
from generia_assets.cli.rendering.formats import as_json
from generia_assets.cli.rendering.formats import dollars as in_dollars
from generia_assets.content.keys import EXTENSION
from generia_assets.content.text import plural
from generia_assets.durable.orders.order import ExtensionParameters, Order, OrderError, StoredParameters, parse_stored
from generia_assets.durable.status import WorldStatus
from generia_assets.settings import settings

if TYPE_CHECKING:
    from generia_assets.cli.commands.rerun import DryRun
    from generia_assets.cli.quotes import Quote

Added = Annotated[int, option("--users", "+NUMBER", "So many people more, who know some of those who are there.", whole(0))]
AddedPosts = Annotated[int, option("--posts", "+NUMBER", "So many posts more, by old and new people, after all others.", whole(0))]
Cap = Annotated[
    float | None,
    option("--max-cost-usd", "USD", "A new cap, of all that the world has cost; without it the world's own stays.", dollars),
]


def extend(
    world: World,
    users: Added = 0,
    posts: AddedPosts = 0,
    max_cost_usd: Cap = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Add people and posts to a completed world, by Kafka message.

    Prints first what it will take. What exists stays as it is, byte for byte. New people know some of the old ones. New posts come
    after the last one: they answer old posts and tell what has come of the calendar's events. Until all of it is made, readers see
    the world as it was. A world that is not finished is finished first (`resume`). Needs Kafka, MongoDB and a running generator.

    \b
    generia extend WORLD --users +10 --posts +60
    generia extend WORLD --posts +20 --max-cost-usd 1.50
    generia extend WORLD --users +3 --posts +12 --dry-run
    """
    from generia_assets.assets.materialized import refuse_another_plan
    from generia_assets.cli.commands.rerun import require_completed
    from generia_assets.cli.order import send
    from generia_assets.cli.quotes import knowledge_of, likely_language, quote_of

    if not users and not posts:
        raise CommandError("say what is added: --users +NUMBER, --posts +NUMBER, or both", 2)
    chosen, by = settings(), ExtensionParameters(add_users=users, add_posts=posts, max_cost_usd=max_cost_usd)
    makes = [ASSETS[name].task_type for name in EXTENDED]
    with open_database() as database:
        status = get_world(database, world)
        require_completed(status)
        extended = parse_stored(status.parameters).extended(by, status.cost_limit_usd)
        try:
            extended.require_within(max_users=chosen.max_users, max_posts=chosen.max_posts)
            refuse_another_plan(database, status.world_id, makes, (EXTENSION,))
        except OrderError as error:
            raise CommandError(str(error), 2) from None
        known, language = knowledge_of(database, chosen), likely_language(extended)
        quote = quote_of(chosen, known, status.world_id, extended, makes, keys=(EXTENSION,), language=language)
    task_id = None if dry_run else str(uuid.uuid4())
    if not json:
        console = results() if dry_run else remarks()
        console.print(_said(status, extended, quote))
    if task_id is not None:
        send(Order(status.world_id, by, task_id=task_id), addresses(chosen).kafka, chosen.kafka_tasks_topic)
    if json:
        counts = {"users_count": extended.users_count, "posts_count": extended.posts_count}
        typer.echo(as_json({"world_id": status.world_id, "task_id": task_id, **by.document(), **counts, "quote": quote}))
    elif task_id is None:
        results().print("Nothing was ordered (--dry-run).")
    else:
        remarks().print(f"Ordered in {chosen.kafka_tasks_topic}. To watch it: {command_name()} watch {world} --task {task_id}")
        typer.echo(task_id)


def _said(status: WorldStatus, extended: StoredParameters, quote: Quote) -> str:
    """What the world will have, what that takes, and whether its cap allows it."""
    from generia_assets.cli.commands.rerun import takes

    people, posts = plural(extended.users_count, "person"), plural(extended.posts_count, "post")
    lines = [f"The world will have {people} and {posts}.", takes(quote)]
    cap, spent = extended.max_cost_usd, status.cost_usd
    if cap is not None and spent + quote.cost_interval_usd[1] > cap:
        how = "will probably" if spent + quote.cost_usd > cap else "may"
        lines.append(f"It has cost {in_dollars(spent)} so far: its cap of {in_dollars(cap)} {how} stop this on the way.")
    return "\n".join(lines)
