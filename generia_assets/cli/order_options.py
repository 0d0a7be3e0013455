"""The options that describe a world to be made, the same in every command that has them.

Here: meaning, units and limits. Not here: how a value is read (parsers.py), and the order that they make (order.py).
"""

from __future__ import annotations

import re
from typing import Annotated

import typer

from generia_assets.cli.completion import complete_world
from generia_assets.cli.parsers import choice, dollars, seconds, whole
from generia_assets.content.documents import Quality
from generia_assets.content.seeding import LARGEST_SEED
from generia_assets.durable.orders.order import WORLD_ID_PATTERN

DEFAULT_PROMPT = "a city where dreams turn solid until dawn"
DEFAULT_USERS, DEFAULT_POSTS, DEFAULT_SEED = 5, 12, 3
"""The order that ``generia demo`` makes without options: the Gemini emulator has recorded answers for exactly this one."""
ANY = 10**40
"""The largest order that is accepted is a setting, which the message names when the number is checked (``order.new_order``)."""

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
