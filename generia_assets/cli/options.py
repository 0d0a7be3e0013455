"""The options and arguments that several commands have, and what the shell completes.

Here: meaning, units and limits. Not here: how a value is read (parsers.py), and the order that they make (order.py). A completion
that fails prints nothing: an error message in the middle of the command line would help nobody.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from generia_assets.cli.parsers import Completer, choice, flag, option, seconds

Latency = Annotated[float, option("--latency", "SECONDS", "Seconds the Gemini emulator takes for an answer, 0 to 60.", seconds)]
PlatformOption = Annotated[
    str | None,
    option(
        "--platform",
        "local|grpc",
        "grpc: through the platform's services; an emulator of them is started if no address is set. Without it as PLATFORM says.",
        choice(("local", "grpc")),
    ),
]
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
    from generia_assets.cli.connections import addresses, listens, quick_database
    from generia_assets.settings import SettingsError, settings

    try:
        chosen = settings()
        uri = addresses(chosen).mongodb_uri
        if not listens(uri):
            return []
    except (SettingsError, OSError):
        return []
    from pymongo import DESCENDING
    from pymongo.errors import PyMongoError

    from generia_assets.content.text import plural
    from generia_assets.durable.collections import STATUS
    from generia_assets.queries.worlds import LAST

    fields = dict.fromkeys(("name", "status", "users_predicted", "posts_predicted"), 1)
    try:
        with quick_database(uri, chosen) as database:
            worlds = list(database[STATUS].find({}, fields).sort("updated_at", DESCENDING).limit(COMPLETED_WORLDS))
    except PyMongoError:
        return []
    newest = [(LAST, "the world that was ordered last")] if worlds and LAST.startswith(incomplete) else []
    return newest + [
        (
            str(world["_id"]),
            ", ".join(
                (
                    str(world.get("name") or "no name yet"),
                    str(world["status"]),
                    plural(world["users_predicted"], "person"),
                    plural(world["posts_predicted"], "post"),
                )
            ),
        )
        for world in worlds
        if any(str(word or "").casefold().startswith(incomplete.casefold()) for word in (world["_id"], world.get("name")))
    ]


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
    text = " ".join(filter(None, (before, WORLD_HELP, more)))
    return typer.Argument(metavar=metavar, help=text, show_default=False, parser=world_word, autocompletion=complete)


World = Annotated[str, world_argument()]
