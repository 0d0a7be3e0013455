"""How options are declared, and how their values are read: each parser's message names what was given and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any, TypeVar
from uuid import UUID

import typer

ChoiceT = TypeVar("ChoiceT", bound=str)
Completer = Callable[[str], list[tuple[str, str]]]

WHOLE = re.compile(r"[+-]?[0-9]{1,40}")
LARGEST = 10**9
"""Of a whole number without a limit of its own: what is larger is a slip of the hand, and too much for a database."""
AGO = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*(s|min|m|h|d)")
UNITS = {"s": 1, "min": 60, "m": 60, "h": 3_600, "d": 86_400}
LONGEST_LATENCY_S = 60.0


def option(
    name: str, metavar: str, about: str, parser: Callable[[str], Any] | None = None, *, complete: Completer | None = None
) -> Any:  # noqa: ANN401  as typer.Option
    """An option with a value, read by ``parser``; ``complete`` gives the shell's suggestions."""
    return typer.Option(name, metavar=metavar, help=about, parser=parser, autocompletion=complete)


def flag(name: str, about: str, *shorter: str) -> Any:  # noqa: ANN401  as typer.Option
    return typer.Option(name, *shorter, help=about)


def limit_option(shown: int, maximum: int = LARGEST, *, what: str = "At most so many") -> Any:  # noqa: ANN401  as typer.Option
    """``--limit``; without it people see ``shown``, and programs all."""
    return option("--limit", "NUMBER", f"{what}; else {shown}, and with --json all.", whole(1, maximum))


def whole(minimum: int, maximum: int = LARGEST) -> Callable[[str], int]:
    """A parser of whole numbers within these limits; its message names what was given and what is allowed."""
    allowed = f"of at least {minimum}" if maximum >= LARGEST else f"from {minimum} to {maximum}"

    def parse(given: str | int) -> int:
        text = str(given)
        number = int(text) if WHOLE.fullmatch(text) else None
        if number is not None and number > maximum:
            raise typer.BadParameter(f"{text[:60]} is too much: at most {maximum} is allowed.")
        if number is None or number < minimum:
            raise typer.BadParameter(f"{text[:60]!r} is not a whole number {allowed}.")
        return number

    return parse


def task_id(given: str) -> str:
    """A parser of tasks' ids: UUIDs, as `rerun` prints them. Anything else would be waited for in vain."""
    try:
        return str(UUID(given))
    except ValueError:
        raise typer.BadParameter(f"{given[:60]!r} is no task's id, a UUID such as `generia rerun` prints.") from None


def _number(given: str | float) -> float:
    try:
        return float(given)
    except ValueError:
        return nan


def seconds(given: str | float) -> float:
    """A parser of seconds between 0 and ``LONGEST_LATENCY_S``; its message names what was given and what is allowed."""
    number = _number(given)
    if not 0 <= number <= LONGEST_LATENCY_S:
        raise typer.BadParameter(f"{str(given)[:60]!r} is not a number of seconds from 0 to {LONGEST_LATENCY_S:g}.")
    return number


def dollars(given: str | float) -> float:
    """A parser of US dollars above 0; its message names what was given and what is allowed."""
    number = _number(given)
    if not 0 < number < inf:
        raise typer.BadParameter(f"{str(given)[:60]!r} is not an amount in US dollars above 0.")
    return number


def choice(words: Iterable[ChoiceT]) -> Callable[[str], ChoiceT]:
    """A parser of one word out of a few; its message names what was given and what is allowed."""
    known = {str(word): word for word in words}

    def parse(given: str) -> ChoiceT:
        if given in known:
            return known[given]
        *others, last = known
        raise typer.BadParameter(f"{given[:60]!r} is not {', '.join(others)} or {last}.")

    return parse


def moment(given: str) -> datetime:
    """A parser of moments: ISO 8601 (UTC where it says no zone), or a time ago: 30s, 10min, 2h, 3d."""
    try:
        if found := AGO.fullmatch(given.strip()):
            return datetime.now(UTC) - timedelta(seconds=float(found[1]) * UNITS[found[2]])
        at = datetime.fromisoformat(given)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{given[:60]!r} is neither a moment such as 2026-11-23T14:30:00 (UTC) nor a time ago such as 10min or 2h."
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
