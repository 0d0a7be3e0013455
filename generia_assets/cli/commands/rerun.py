"""``generia rerun``: a part of a world, one person or one post again, by Kafka message.

Here: which message that is, what it will cost, and that it fits the world. Not here: what becomes of it (assets/selection.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from generia_assets.catalog import ASSETS, PARTS, TaskType, Unit, with_downstream
from generia_assets.cli.connections import addresses, get_world, open_database
from generia_assets.cli.console import CommandError, command_name, remarks, results
from generia_assets.cli.options import Json, World
from generia_assets.cli.parsers import choice, flag, option
from generia_assets.cli.rendering.formats import about, as_json
from generia_assets.content.text import plural
from generia_assets.durable.orders.order import Order, PartParameters, parse_stored
from generia_assets.durable.status import State, WorldStatus
from generia_assets.settings import settings

if TYPE_CHECKING:
    from generia_assets.cli.quotes import Quote
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
    """Make a part of a world, one person or one post again, by Kafka message.

    Prints first what it will take. What is made of it follows: posts with their pictures are published again. Everything else stays
    as it is, byte for byte; relations that named somebody who is now another are repaired. Of the description everything is made.
    The former documents stay until the new ones are complete. A world that is not finished is finished first (`resume`).
    Needs Kafka, MongoDB and a running generator.

    \b
    generia rerun WORLD --character @mira
    generia rerun WORLD --post c0007-p0003 --from picture
    generia rerun WORLD --part avatars --dry-run
    generia rerun WORLD --part description --alone
    """
    from generia_assets.assets.materialized import refuse_another_plan
    from generia_assets.cli.order import send
    from generia_assets.cli.quotes import knowledge_of, likely_language, quote_of

    given = [name for name, value in (("--part", part), ("--character", character), ("--post", post)) if value is not None]
    if len(given) > 1:
        raise CommandError(f"{' and '.join(given)}: one thing is made again at a time; give one of them", 2)
    if not given:
        raise CommandError("say what is to be made again: one of --part PART, --character PERSON, --post POST", 2)
    chosen = settings()
    with open_database() as database:
        status = get_world(database, world)
        require_completed(status)
        scope = _scope(database, status, part, character, post, begin, alone=alone)
        refuse_another_plan(database, status.world_id, scope.makes, scope.keys)
        order = parse_stored(status.parameters)
        known, language = knowledge_of(database, chosen), likely_language(order)
        quote = quote_of(chosen, known, status.world_id, order, scope.makes, keys=scope.keys, language=language)
    task_id = None if dry_run else str(uuid.uuid4())
    if not json:
        _print_plan(results() if dry_run else remarks(), scope, quote)
    if task_id is not None:
        kafka = addresses(chosen).kafka
        parameters = PartParameters(keys=scope.keys, with_what_follows=not scope.alone)
        send(Order(status.world_id, parameters, scope.task_type, task_id), kafka, chosen.kafka_tasks_topic)
    if json:
        made = {"task_type": scope.task_type, "keys": scope.keys, "makes": scope.makes}
        typer.echo(as_json({"world_id": status.world_id, "task_id": task_id, **made, "quote": quote}))
    elif task_id is None:
        results().print("Nothing was ordered (--dry-run).")
    else:
        remarks().print(f"Ordered in {chosen.kafka_tasks_topic}. To watch it: {command_name()} watch {world} --task {task_id}")
        typer.echo(task_id)


def require_completed(status: WorldStatus) -> None:
    """Raise ``CommandError`` for a world that is not finished: nothing else is made of it before."""
    from generia_assets.durable.orders.decisions import unfinished

    if status.status is State.PENDING:
        raise CommandError(f"world {status.world_id} has not been begun yet; wait for it: {command_name()} watch {status.world_id}")
    if status.status is not State.COMPLETED or status.unfinished is not None:
        raise CommandError(unfinished(status))


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


def _print_plan(console: Console, scope: _RerunScope, quote: Quote) -> None:
    of = f" of {', '.join(scope.keys)}" if scope.keys else " of the whole world"
    console.print(f"Makes again{of}: {_names(scope.makes)}.")
    if scope.alone and scope.follows:
        console.print(f"What was made of it stays, here and on the platform, and may no longer fit: {_names(scope.follows)}.")
    console.print(takes(quote))


def takes(quote: Quote) -> str:
    """What work on a world that exists takes, as a sentence."""
    return (
        f"Takes {plural(quote.llm_calls, 'call')} of {quote.model} and {plural(quote.image_calls, 'picture')}, "
        f"about {quote.price} and {about(60 * quote.minutes)}; never more than {plural(quote.llm_call_limit, 'call')} and "
        f"{plural(quote.image_call_limit, 'picture')}."
    )


def _names(task_types: Iterable[TaskType]) -> str:
    return ", ".join(task_type.value.removeprefix("generate_").replace("_", " ") for task_type in task_types)
