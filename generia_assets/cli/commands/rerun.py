"""``generia rerun`` and ``generia extend``: a part of a world again, or more of it, by Kafka message.

Here: which message that is, what it will cost, and that it fits the world. Not here: what becomes of it (assets/selection.py,
content/plan.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from generia_assets.asset_spec import Unit
from generia_assets.catalog import ASSETS, EXTENDED, PARTS, TaskType, with_downstream
from generia_assets.cli.connections import addresses, open_world, settings
from generia_assets.cli.console import CommandError, command_name, remarks, results
from generia_assets.cli.options import Json, World, choice, dollars, flag, option, whole
from generia_assets.cli.rendering.formats import about, as_json
from generia_assets.content.keys import EXTENSION
from generia_assets.content.text import dollars as in_dollars
from generia_assets.content.text import plural
from generia_assets.durable.orders.order import ExtensionParameters, Order, PartParameters, StoredParameters, parse_stored
from generia_assets.durable.status import State, WorldStatus

if TYPE_CHECKING:
    from generia_assets.quotes import Quote
    from resources.mongodb.connection import MongoDatabase

PARTS_BY_WORD = {task_type.asset.section: task_type for task_type in PARTS}
OF_CHARACTER, OF_POST = (
    {asset.begin: asset.task_type for asset in ASSETS.values() if asset.begin and asset.unit in units}
    for units in ((Unit.PEOPLE_BATCH, Unit.PERSON, Unit.POST_BATCH), (Unit.POST,))
)
"""Where making a person or a post again can begin, by word; everything downstream is made again, too."""

Part = Annotated[
    str | None,
    option(
        "--part",
        "PART",
        f"This part of the whole world, with everything that is made of it: {', '.join(PARTS_BY_WORD)}.",
        choice(PARTS_BY_WORD),
    ),
]
Character = Annotated[
    str | None,
    option(
        "--character",
        "PERSON",
        "One person, by key (c0007) or @username: another person under the same name, with avatar and posts.",
    ),
]
Post = Annotated[
    str | None, option("--post", "POST", "One post, by key (c0007-p0003) or the platform's id: another text and picture.")
]
From = Annotated[
    str | None,
    option(
        "--from",
        "STEP",
        "Begin there instead: of a person concept, person (written again from the same concept), avatar (nothing else) or "
        "ideas (all posts); of a post text or picture.",
        choice((*OF_CHARACTER, *OF_POST)),
    ),
]
Alone = Annotated[bool, flag("--alone", "With --part: nothing else. What was made of it before stays, and may no longer fit.")]
DryRun = Annotated[bool, flag("--dry-run", "Only say what it would make and cost; order nothing.")]
Added = Annotated[int, option("--users", "+NUMBER", "So many people more, who know some of those who are there.", whole(0))]
AddedPosts = Annotated[int, option("--posts", "+NUMBER", "So many posts more, by old and new people, after all others.", whole(0))]
Cap = Annotated[
    float | None,
    option("--max-cost-usd", "USD", "A new cap, of all that the world has cost; without it the world's own stays.", dollars),
]


@dataclass(frozen=True)
class _RerunScope:
    """What is to be made again: ``follows`` are the task types that are made of the first, which the message names."""

    task_type: TaskType
    keys: tuple[str, ...] = ()
    alone: bool = False

    @property
    def follows(self) -> tuple[TaskType, ...]:
        return tuple(ASSETS[name].task_type for name in with_downstream(self.task_type.asset.name)[1:])

    @property
    def makes(self) -> tuple[TaskType, ...]:
        return (self.task_type,) if self.alone else (self.task_type, *self.follows)


def rerun(
    world: World,
    part: Part = None,
    character: Character = None,
    post: Post = None,
    begin: From = None,
    alone: Alone = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Prints first what it will take. What depends on it is made again, too, and posts with their pictures are published again. The
    whole world depends on the description. Everything else stays as it is, byte for byte; relations that name a person who is
    replaced are repaired. The former documents stay until the new ones are complete. A world that is not finished must be finished
    first (`resume`). Needs Kafka, MongoDB and a running generator.

    \b
    generia rerun WORLD --character @mira
    generia rerun WORLD --post c0007-p0003 --from picture
    generia rerun WORLD --part avatars --dry-run
    generia rerun WORLD --part description --alone
    """
    given = [name for name, value in (("--part", part), ("--character", character), ("--post", post)) if value is not None]
    if len(given) > 1:
        raise CommandError(f"{' and '.join(given)}: one thing is made again at a time; give one of them", 2)
    if not given:
        raise CommandError("say what is to be made again: one of --part PART, --character PERSON, --post POST", 2)
    with open_world(world) as (database, status):
        _require_completed(status)
        scope = _scope(database, status, part, character, post, begin, alone=alone)
        quote = _quote(database, status, parse_stored(status.parameters), scope.makes, scope.keys)
    order = Order(status.world_id, PartParameters(keys=scope.keys, with_what_follows=not scope.alone), scope.task_type)
    fields = {"task_type": scope.task_type, "keys": scope.keys, "makes": scope.makes}
    _carry_out(order, quote, _plan(scope), fields, dry_run=dry_run, json=json)


def extend(
    world: World, users: Added = 0, posts: AddedPosts = 0, max_cost_usd: Cap = None, dry_run: DryRun = False, json: Json = False
) -> None:
    """Prints first what it will take. What exists stays as it is, byte for byte. New people know some of the old ones. New posts
    come after the last one: they answer old posts and tell what has come of the calendar's events. Until all of it is made, readers
    see the world as it was. A world that is not finished is finished first (`resume`). Needs Kafka, MongoDB and a running
    generator.

    \b
    generia extend WORLD --users +10 --posts +60
    generia extend WORLD --posts +20 --max-cost-usd 1.50
    generia extend WORLD --users +3 --posts +12 --dry-run
    """
    if not users and not posts:
        raise CommandError("say what is added: --users +NUMBER, --posts +NUMBER, or both", 2)
    chosen, by = settings(), ExtensionParameters(add_users=users, add_posts=posts, max_cost_usd=max_cost_usd)
    with open_world(world) as (database, status):
        _require_completed(status)
        extended = parse_stored(status.parameters).extended(by, status.cost_limit_usd)
        extended.require_within(max_users=chosen.max_users, max_posts=chosen.max_posts)
        quote = _quote(database, status, extended, [ASSETS[name].task_type for name in EXTENDED], (EXTENSION,))
    people, count = plural(extended.users_count, "person"), plural(extended.posts_count, "post")
    lines = [f"The world will have {people} and {count}.", *_cap_warning(extended.max_cost_usd, status.cost_usd, quote)]
    fields = {**by.document(), "users_count": extended.users_count, "posts_count": extended.posts_count}
    _carry_out(Order(status.world_id, by), quote, lines, fields, dry_run=dry_run, json=json)


def _require_completed(status: WorldStatus) -> None:
    """Raise ``CommandError`` for a world that is not finished: nothing else is made of it before."""
    from generia_assets.durable.orders.decisions import unfinished

    if status.status is State.PENDING:
        raise CommandError(f"world {status.world_id} has not been begun yet; wait for it: {command_name()} watch {status.world_id}")
    if status.status is not State.COMPLETED or status.unfinished is not None:
        raise CommandError(unfinished(status))


def _quote(
    database: MongoDatabase, status: WorldStatus, order: StoredParameters, makes: Sequence[TaskType], keys: tuple[str, ...]
) -> Quote:
    """What this work on the world takes. Raises ``OrderError`` where the world was planned by another version."""
    from generia_assets.assets.materialized import refuse_another_plan
    from generia_assets.quotes import knowledge_of, likely_language, quote_of

    refuse_another_plan(database, status.world_id, makes, keys)
    known = knowledge_of(database, settings())
    return quote_of(settings(), known, status.world_id, order, makes, keys=keys, language=likely_language(order))


def _carry_out(order: Order, quote: Quote, plan: Iterable[str], fields: Mapping[str, object], *, dry_run: bool, json: bool) -> None:
    """Say what the order makes and takes; unless it is a dry run, send it."""
    from generia_assets.cli.order import send

    chosen, console = settings(), results() if dry_run else remarks()
    if not json:
        for line in plan:
            console.print(line)
        console.print(
            f"Takes {plural(quote.llm_calls, 'call')} of {quote.model} and {plural(quote.image_calls, 'picture')}, "
            f"about {quote.price} and {about(60 * quote.minutes)}; never more than {plural(quote.llm_call_limit, 'call')} and "
            f"{plural(quote.image_call_limit, 'picture')}."
        )
    if not dry_run:
        send(order, addresses(chosen).kafka, chosen.kafka_tasks_topic)
    if json:
        task_id = None if dry_run else order.task_id
        typer.echo(as_json({"world_id": order.world_id, "task_id": task_id, **fields, "quote": quote}))
    elif dry_run:
        console.print("Nothing was ordered (--dry-run).")
    else:
        watch = f"{command_name()} watch {order.world_id} --task {order.task_id}"
        console.print(f"Ordered in {chosen.kafka_tasks_topic}. To watch it: {watch}")
        typer.echo(order.task_id)


def _scope(
    database: MongoDatabase,
    status: WorldStatus,
    part: str | None,
    character: str | None,
    post: str | None,
    begin: str | None,
    *,
    alone: bool,
) -> _RerunScope:
    from generia_assets.queries.names import item_named

    if part is not None:
        if begin is not None:
            raise CommandError("--from is for --character and --post; a part is made whole", 2)
        return _RerunScope(PARTS_BY_WORD[part], alone=alone)
    if alone:
        raise CommandError("--alone is for --part; where a person or a post begins anew says --from", 2)
    words = OF_CHARACTER if character is not None else OF_POST
    first = begin or next(iter(words))
    if first not in words:
        raise CommandError(f"--from {first}: here it is {' or '.join(words)}", 2)
    item = item_named(database, status.world_id, character or post or "")
    if item.is_post is not (post is not None) or item.character is None:
        raise CommandError(f"{item.key} is no {'post' if post is not None else 'person'}", 2)
    return _RerunScope(words[first], (item.key,))


def _plan(scope: _RerunScope) -> Iterable[str]:
    of = f" of {', '.join(scope.keys)}" if scope.keys else " of the whole world"
    yield f"Makes again{of}: {_names(scope.makes)}."
    if scope.alone and scope.follows:
        yield f"What was made of it stays, here and on the platform, and may no longer fit: {_names(scope.follows)}."


def _cap_warning(cap: float | None, spent: float, quote: Quote) -> Iterable[str]:
    if cap is not None and spent + quote.cost_interval_usd[1] > cap:
        how = "will probably" if spent + quote.cost_usd > cap else "may"
        yield f"It has cost {in_dollars(spent)} so far: its cap of {in_dollars(cap)} {how} stop this on the way."


def _names(task_types: Iterable[TaskType]) -> str:
    return ", ".join(task_type.value.removeprefix("generate_").replace("_", " ") for task_type in task_types)
