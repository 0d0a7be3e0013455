"""The options that describe a world to be made, the same in every command that has them, and their checks.

Here: meaning, units and limits. Not here: how a value is read (parsers.py), and the message to Kafka (order.py).
"""

from __future__ import annotations

import re
import uuid
from typing import Annotated

import typer

from generia_assets.cli.completion import complete_world
from generia_assets.cli.console import CommandError
from generia_assets.cli.parsers import choice, dollars, seconds, whole
from generia_assets.content.documents import Quality
from generia_assets.content.seeding import LARGEST_SEED
from generia_assets.durable.orders.parameters import worded
from generia_assets.durable.orders.records import WORLD_ID_PATTERN
from generia_assets.settings import Settings

DEFAULT_PROMPT = "a city where dreams turn solid until dawn"
DEFAULT_USERS, DEFAULT_POSTS, DEFAULT_SEED = 5, 12, 3
"""The order that ``generia demo`` makes without options: the Gemini emulator has recorded answers for exactly this one."""
ANY = 10**40
"""The largest order that is accepted is a setting, which is told when the number is held against it (``check_order``)."""

Users = Annotated[
    int,
    typer.Option("--users", parser=whole(1, ANY), metavar="NUMBER", help="How many people, at least 1; exactly so many are made."),
]
Posts = Annotated[
    int,
    typer.Option("--posts", parser=whole(0, ANY), metavar="NUMBER", help="How many posts of all people together; exactly so many."),
]
Prompt = Annotated[
    str, typer.Option("--prompt", metavar="TEXT", help="The world in a sentence or two. All content comes in its language.")
]
QualityOption = Annotated[
    Quality,
    typer.Option(
        "--quality",
        parser=choice(Quality),
        metavar="standard|high",
        help="high: every picture's prompt is refined by a call of its own (more calls).",
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        "--max-cost-usd",
        parser=dollars,
        metavar="DOLLARS",
        help="Cap for this world, US dollars; without it the installation's MAX_COST_USD.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        parser=whole(0, LARGEST_SEED),
        metavar="NUMBER",
        help="The same seed, sentence and counts give the same random draws; without it the seed is drawn from the world's id.",
    ),
]
Latency = Annotated[
    float,
    typer.Option("--latency", parser=seconds, metavar="SECONDS", help="Seconds the Gemini emulator takes for an answer, 0 to 60."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, everything else on standard error.")]
JsonLines = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
WORLD_HELP = "The world: its id, the beginning of its id, its partition's name in Dagster, or last for the newest."


def world_word(given: str) -> str:
    """A parser of what can name a world: whatever cannot is refused before a server is asked."""
    if not re.fullmatch(WORLD_ID_PATTERN, given):
        raise typer.BadParameter(f"{given[:60]!r} is no world's id, nor the beginning of one; `generia list` shows the worlds.")
    return given


World = Annotated[
    str,
    typer.Argument(metavar="WORLD", help=WORLD_HELP, show_default=False, parser=world_word, autocompletion=complete_world),
]


def check_order(settings: Settings, *, users: int, posts: int, prompt: str) -> None:
    """Raise ``CommandError`` (exit status 2) for an order that the generator would refuse."""
    for option, value, limit, setting in (
        ("--users", users, settings.max_users, "MAX_USERS"),
        ("--posts", posts, settings.max_posts, "MAX_POSTS"),
    ):
        if value > limit:
            raise CommandError(f"{option} {value}: at most {limit} ({setting})", 2)
    try:
        worded(prompt)
    except ValueError as error:
        raise CommandError(f"--prompt {prompt[:60]!r}: {error}", 2) from None


def check_world_id(world_id: str | None) -> str | None:
    """The id in its usual form. Raises ``CommandError`` (exit status 2) for what is no UUID."""
    if world_id is None:
        return None
    try:
        return str(uuid.UUID(world_id))
    except ValueError:
        raise CommandError(f"--world-id {world_id[:60]!r}: must be a UUID, such as {uuid.uuid4()}", 2) from None
