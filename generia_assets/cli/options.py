"""Options and arguments: how they are declared, how their values are read, those that several commands have, and what the shell
completes.

Each parser's message names what was given and what is allowed. A completion that fails prints nothing: an error message in the
middle of the command line would help nobody. Not here: options of an order (order.py) and those that choose worlds (selection.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from math import inf, nan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer

if TYPE_CHECKING:
    from resources.mongodb.connection import MongoDatabase, MongoDocument

ChoiceT = TypeVar("ChoiceT", bound=str)
Completer = Callable[..., Sequence[str | tuple[str, str]]]

WHOLE = re.compile(r"[+-]?[0-9]{1,40}")
LARGEST = 10**9
"""Of a whole number without a limit of its own: what is larger is a slip of the hand, and too much for a database."""
AGO = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*(s|min|m|h|d)")
UNITS = {"s": 1, "min": 60, "m": 60, "h": 3_600, "d": 86_400}


def option(
    name: str, metavar: str, about: str, parser: Callable[[str], Any] | None = None, *, complete: Completer | None = None
) -> Any:  # noqa: ANN401  as typer.Option
    """An option with a value, read by ``parser``; ``complete`` gives the shell's suggestions."""
    return typer.Option(name, metavar=metavar, help=about, parser=parser, autocompletion=complete)


def flag(name: str, about: str, *shorter: str) -> Any:  # noqa: ANN401  as typer.Option
    return typer.Option(name, *shorter, help=about)


def argument(metavar: str, about: str, parser: Callable[[str], Any] | None = None, *, complete: Completer | None = None) -> Any:  # noqa: ANN401  as typer.Argument
    """As ``option``, without a name."""
    return typer.Argument(metavar=metavar, help=about, show_default=False, parser=parser, autocompletion=complete)


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


def dollars(given: str | float) -> float:
    """A parser of US dollars above 0; its message names what was given and what is allowed."""
    try:
        number = float(given)
    except ValueError:
        number = nan
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


Json = Annotated[bool, flag("--json", "One JSON object on standard output, everything else on standard error.")]
JsonLines = Annotated[bool, flag("--json", "One JSON object a line on standard output.")]

Texts = Annotated[bool, flag("--texts", "Print the world's description, people and posts whole, as they are written.")]
Log = Annotated[bool, flag("--log", "Print the world's log as it grows: stages, tasks, attempts, failures, waiting.")]
Images = Annotated[
    Path | None, option("--images", "FOLDER", "Copy the pictures into FOLDER/WORLD as they are made, under telling names.")
]
Yes = Annotated[bool, flag("--yes", "Do not ask first.")]
CountOnly = Annotated[bool, flag("--dry-run", "Say how many worlds there are, and change nothing.")]

COMPLETED_WORLDS = 50
"""Worlds among which the shell's completion looks, the newest."""


def complete_world(incomplete: str) -> list[tuple[str, str]]:
    """The ids of the newest worlds whose ids or names begin like this, each with its name, state and size."""
    from generia_assets.cli.connections import ask_quickly
    from generia_assets.content.text import plural
    from generia_assets.durable.collections import STATUS
    from generia_assets.settings import SettingsError, settings

    fields = dict.fromkeys(("name", "status", "users_predicted", "posts_predicted"), 1)

    def newest(database: MongoDatabase) -> list[MongoDocument]:
        return list(database[STATUS].find({}, fields).sort("updated_at", -1).limit(COMPLETED_WORLDS))

    try:
        worlds = ask_quickly(settings(), newest)
    except (SettingsError, OSError):
        return []
    if not worlds:
        return []
    from generia_assets.queries.worlds import LAST  # with pymongo

    found = [(LAST, "the world that was ordered last")] if LAST.startswith(incomplete) else []
    for world in worlds:
        world_id, name = str(world["_id"]), str(world.get("name") or "")
        if any(word.casefold().startswith(incomplete.casefold()) for word in (world_id, name)):
            size = f"{plural(world['users_predicted'], 'person')}, {plural(world['posts_predicted'], 'post')}"
            found.append((world_id, f"{name or 'no name yet'}, {world['status']}, {size}"))
    return found


def complete_part(incomplete: str) -> list[tuple[str, str]]:
    from generia_assets.cli.data_dir import service_logs
    from generia_assets.settings import SettingsError, settings

    try:
        logs = service_logs(settings().generia_data_dir)
    except (SettingsError, OSError):
        return []
    return [(name, f"log of a service: {path.name}") for name, path in logs.items() if name.startswith(incomplete)]


def complete_world_or_part(incomplete: str) -> list[tuple[str, str]]:
    return complete_part(incomplete) + complete_world(incomplete)


WORLD_HELP = "The world: its id, its name, the beginning of one of both, or last for the newest."
LONGEST_NAME = 300


def world_word(given: str) -> str:
    """A parser of what can name a world: anything else is refused before a server is asked."""
    if not given.strip() or len(given) > LONGEST_NAME:
        raise typer.BadParameter(f"{given[:60]!r} is no world's id or name; `generia list` shows the worlds.")
    return given.strip()


def world_argument(more: str = "", *, metavar: str = "WORLD", before: str = "", complete: Completer = complete_world) -> Any:  # noqa: ANN401  as typer.Argument
    """An argument that names a world, or something else beside it: ``before`` and ``more`` say what."""
    return argument(metavar, " ".join(filter(None, (before, WORLD_HELP, more))), world_word, complete=complete)


World = Annotated[str, world_argument()]
