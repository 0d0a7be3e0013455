"""What came of a world: the readable summary, and the one JSON object of figures that programs read."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.padding import Padding
from rich.text import Text as Line

from generia_assets.catalog import ASSETS, TaskType
from generia_assets.cli.console import safe_line
from generia_assets.cli.data_dir import DataDir
from generia_assets.cli.texts import text_of
from generia_assets.content.text import plural
from generia_assets.durable.collections import HISTORY, TASKS
from generia_assets.durable.status import State, WorldStatus
from generia_assets.pages.links import ServedLinks
from generia_assets.settings import Settings
from resources.mongodb.connection import MongoDatabase, MongoDocument


class WorldResult(BaseModel):
    """The object of ``--json``. ``seconds`` count from the moment the order was sent.

    ``gallery``: the world's page, a file or an address; null where none could be written.
    """

    model_config = ConfigDict(frozen=True)

    world_id: str
    status: str
    characters: int
    posts: int
    images: int
    llm_calls: int
    image_calls: int
    cost_usd: float
    seconds: float
    seconds_to_first_post: float | None
    gallery: str | None


def world_result(database: MongoDatabase, status: WorldStatus, since: datetime, *, gallery: str | None = None) -> WorldResult:
    """The figures of a world that is over; ``since`` is when it was ordered."""
    end = status.finished_at or status.updated_at
    first_post = status.first_post_at
    return WorldResult(
        world_id=status.world_id,
        status=status.status.value,
        characters=status.users_created,
        posts=status.posts_created,
        images=_pictures(database, status),
        llm_calls=status.api_calls_made_LLM,
        image_calls=status.api_calls_made_images,
        cost_usd=round(status.cost_usd, 6),
        seconds=round((end - since).total_seconds(), 2),
        seconds_to_first_post=None if first_post is None else round((first_post - since).total_seconds(), 2),
        gallery=gallery,
    )


def page_of(settings: Settings, world_id: str) -> str:
    """The world's page: the file that `demo` wrote, or else its address on the pages' server (PAGES_URL)."""
    written = DataDir(settings.generia_data_dir.absolute()).gallery / world_id / "index.html"
    return str(written) if written.is_file() else f"{settings.pages_url}{ServedLinks(world_id).feed()}"


def _pictures(database: MongoDatabase, status: WorldStatus) -> int:
    return sum(
        len(asset.pictures)
        * database[TASKS].count_documents(
            {
                "world_id": status.world_id,
                "generation": status.generation,
                "type": asset.task_name,
                "status": State.COMPLETED.value,
            }
        )
        for asset in ASSETS.values()
        if asset.pictures
    )


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
    console.print(Line(safe_line(status.name) or status.world_id, "bold cyan"))
    if short:
        _indented(console, safe_line(short), "italic")
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
            _indented(console, safe_line(text.body, 280), "", indent=4)
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
