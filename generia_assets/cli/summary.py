"""The readable summary of a finished world: its name, a few people and posts, what it cost, where everything lies."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text as Line

from generia_assets.catalog import TaskType
from generia_assets.cli import inert
from generia_assets.cli.result import WorldResult
from generia_assets.cli.texts import text_of
from generia_assets.content.text import plural
from generia_assets.durable.collections import HISTORY, TASKS
from generia_assets.durable.status import State, WorldStatus
from resources.mongodb.connection import MongoDatabase, MongoDocument

PEOPLE = 3
POSTS = 3


def print_summary(
    console: Console,
    database: MongoDatabase,
    status: WorldStatus,
    result: WorldResult,
    *,
    media: Path | None,
    gallery: Path | None,
    bill: str,
) -> None:
    """Print it. ``bill`` says in words who was paid, ``media`` and ``gallery`` where pictures and pages are (None: elsewhere)."""
    short = _first(database, status, TaskType.GENERATE_WORLD_DESCRIPTION).get("description_short", "")
    console.print()
    console.print(Line(inert.line(status.name) or status.world_id, "bold cyan"))
    if short:
        _indented(console, inert.line(short), "italic")
    for title, task_type, most in (
        ("People", TaskType.GENERATE_CHARACTER, PEOPLE),
        ("Posts", TaskType.GENERATE_POST, POSTS),
    ):
        found = _some(database, status, task_type, most)
        if found:
            console.print()
            console.print(Line(title, "bold"))
        for text in filter(None, (text_of(database, task) for task in found)):
            _indented(console, text.title, "cyan")
            _indented(console, inert.line(text.body, 280), "", indent=4)
    console.print()
    console.print(Line("Figures", "bold"))
    for figure in _figures(database, status, result, bill):
        _indented(console, figure, "")
    if media is not None:
        _indented(console, f"pictures: {media}", "")
    if gallery is not None:
        _indented(console, f"pages, for a browser: {gallery}", "bold")


def _figures(database: MongoDatabase, status: WorldStatus, result: WorldResult, bill: str) -> list[str]:
    tokens = _tokens(database, status.world_id)
    first = "" if result.seconds_to_first_post is None else f", the first post after {result.seconds_to_first_post:.1f} s"
    failed = f", {plural(status.tasks_failed, 'task')} failed" if status.tasks_failed else ""
    people, posts, pictures = plural(result.characters, "person"), plural(result.posts, "post"), plural(result.images, "picture")
    return [
        f"{people}, {posts}, {pictures} in {result.seconds:.1f} s{first}{failed}",
        f"{plural(result.llm_calls, 'call')} of the language model, {plural(tokens, 'token')}: ${result.cost_usd:.4f} {bill}",
        f"world id: {result.world_id}",
    ]


def _tokens(database: MongoDatabase, world_id: str) -> int:
    total = {"$sum": {"$add": [{"$ifNull": ["$tokens.prompt", 0]}, {"$ifNull": ["$tokens.output", 0]}]}}
    rows = list(database[HISTORY].aggregate([{"$match": {"world_id": world_id}}, {"$group": {"_id": None, "tokens": total}}]))
    return int(rows[0]["tokens"]) if rows else 0


def _some(database: MongoDatabase, status: WorldStatus, task_type: TaskType, most: int) -> list[MongoDocument]:
    wanted = {
        "world_id": status.world_id,
        "generation": status.generation,
        "type": task_type.value,
        "status": State.COMPLETED.value,
    }
    in_order = [("result.t", 1), ("key", 1)]  # posts in the order of the world; all else has no place in it
    return list(database[TASKS].find(wanted, {"world_id": 1, "type": 1, "result": 1}).sort(in_order).limit(most))


def _first(database: MongoDatabase, status: WorldStatus, task_type: TaskType) -> MongoDocument:
    found = _some(database, status, task_type, 1)
    result: MongoDocument = found[0]["result"] if found else {}
    return result


def _indented(console: Console, text: str, style: str, *, indent: int = 2) -> None:
    if console.is_terminal:
        console.print(Padding(Line(text, style), (0, 0, 0, indent)))
    else:
        console.print(Line(" " * indent + text, style))
