"""The options that describe a world to be made, the same in every command that has them, and their checks.

Here: meaning, units, limits and the messages for what is not allowed. Not here: the message to Kafka (order.py).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from math import inf, nan
from typing import Annotated

import typer

from generia_assets.cli.console import CommandError
from generia_assets.content.documents import Quality
from generia_assets.settings import Settings
from generia_assets.tasks.init_world_creation import PROMPT_LIMIT

WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
LONGEST_LATENCY_S = 60.0
DEFAULT_PROMPT = "a city where dreams turn solid until dawn"


def whole(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """A parser of whole numbers within these limits; its message names what was given and what is allowed."""
    allowed = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"

    def parse(given: str | int) -> int:
        text = str(given)
        number = int(text) if WHOLE.fullmatch(text) else None
        if number is None or number < minimum or (maximum is not None and number > maximum):
            raise typer.BadParameter(f"{text[:60]!r} is not a whole number {allowed}.")
        return number

    return parse


def seconds(given: str | float) -> float:
    """A parser of seconds between 0 and ``LONGEST_LATENCY_S``; its message names what was given and what is allowed."""
    try:
        number = float(given)
    except ValueError:
        number = nan
    if not 0 <= number <= LONGEST_LATENCY_S:
        raise typer.BadParameter(f"{str(given)[:60]!r} is not a number of seconds from 0 to {LONGEST_LATENCY_S:g}.")
    return number


def dollars(given: str | float) -> float:
    """A parser of US dollars above 0; its message names what was given and what is allowed."""
    try:
        number = float(given)
    except ValueError:
        number = nan
    if not 0 < number < inf:
        raise typer.BadParameter(f"{str(given)[:60]!r} is not an amount in US dollars above 0.")
    return number


def quality_level(given: str) -> Quality:
    """A parser of quality levels; its message names what was given and what is allowed."""
    try:
        return Quality(given)
    except ValueError:
        allowed = " or ".join(level.value for level in Quality)
        raise typer.BadParameter(f"{given[:60]!r} is not {allowed}.") from None


Users = Annotated[
    int, typer.Option("--users", parser=whole(1), metavar="NUMBER", help="How many people, at least 1; exactly so many are made.")
]
Posts = Annotated[
    int, typer.Option("--posts", parser=whole(0), metavar="NUMBER", help="How many posts of all people together; exactly so many.")
]
Prompt = Annotated[
    str, typer.Option("--prompt", metavar="TEXT", help="The world in a sentence or two. All content comes in its language.")
]
QualityOption = Annotated[
    Quality,
    typer.Option(
        "--quality",
        parser=quality_level,
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
Latency = Annotated[
    float,
    typer.Option("--latency", parser=seconds, metavar="SECONDS", help="Seconds the Gemini emulator takes for an answer, 0 to 60."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, everything else on standard error.")]
World = Annotated[str, typer.Argument(help="The world's id.", show_default=False)]


def check_order(settings: Settings, *, users: int, posts: int, prompt: str) -> None:
    """Raise ``CommandError`` (exit status 2) for an order that the generator would refuse."""
    for option, value, limit, setting in (
        ("--users", users, settings.max_users, "MAX_USERS"),
        ("--posts", posts, settings.max_posts, "MAX_POSTS"),
    ):
        if value > limit:
            raise CommandError(f"{option} {value}: at most {limit} ({setting})", 2)
    if not any(character.isalpha() for character in prompt):
        raise CommandError(f"--prompt {prompt[:60]!r}: has no words; describe the world in a sentence or two", 2)
    if len(prompt) > PROMPT_LIMIT:
        raise CommandError(f"--prompt: has {len(prompt)} characters; at most {PROMPT_LIMIT}", 2)


def check_world_id(world_id: str | None) -> str | None:
    """The id in its usual form. Raises ``CommandError`` (exit status 2) for what is no UUID."""
    if world_id is None:
        return None
    try:
        return str(uuid.UUID(world_id))
    except ValueError:
        raise CommandError(f"--world-id {world_id[:60]!r}: must be a UUID, such as {uuid.uuid4()}", 2) from None
