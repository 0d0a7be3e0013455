"""What came of a world: the readable summary, and the one JSON object of figures that programs read."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text as Line

from generia_assets.catalog import ASSETS, TaskType
from generia_assets.cli.console import indented, safe_line
from generia_assets.cli.data_dir import DataDir
from generia_assets.cli.texts import text_of
from generia_assets.content.documents import FrozenModel
from generia_assets.content.text import plural
from generia_assets.durable.collections import HISTORY, TASKS
from generia_assets.durable.status import WorldStatus
from generia_assets.pages.links import ServedLinks
from generia_assets.queries.records import completed
from generia_assets.settings import Settings
from resources.mongodb.connection import MongoDatabase, MongoDocument

SHOWN = 3


class WorldResult(FrozenModel):
    """The object of ``--json``. ``seconds`` count from the moment the order was sent.

    ``llm_calls`` and ``image_calls`` are of the present generation (of a rerun: of what was made again), ``cost_usd`` of all.

    ``gallery``: the world's page, a file or an address; null where none could be written.
    """

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
    made = (asset for asset in ASSETS.values() if asset.pictures)
    return sum(
        len(asset.pictures) * database[TASKS].count_documents(completed(status.world_id, status.generation, asset.task_type))
        for asset in made
    )


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
    world = next(iter(_results(database, status, TaskType.GENERATE_WORLD_DESCRIPTION, 1)), None)
    console.print()
    console.print(Line(safe_line(status.name) or status.world_id, "bold cyan"))
    if world and (short := world["result"].get("description_short")):
        indented(console, Line(safe_line(short), "italic"), 2)
    for title, task_type in (("People", TaskType.GENERATE_CHARACTER), ("Posts", TaskType.GENERATE_POST)):
        found = _results(database, status, task_type, SHOWN)
        if found:
            console.print()
            console.print(Line(title, "bold"))
        for text in filter(None, (text_of(database, task) for task in found)):
            indented(console, Line(text.title, "cyan"), 2)
            indented(console, Line(safe_line(text.body, 280)), 4)
    console.print()
    console.print(Line("Figures", "bold"))
    for figure in _figures(database, status, result, bill):
        indented(console, Line(figure), 2)
    if media is not None:
        indented(console, Line(f"pictures: {media}"), 2)
    if gallery is not None:
        indented(console, Line(f"pages, for a browser: {gallery}", "bold"), 2)


def _figures(database: MongoDatabase, status: WorldStatus, result: WorldResult, bill: str) -> list[str]:
    tokens = _tokens(database, status.world_id)
    first = "" if result.seconds_to_first_post is None else f", the first post after {result.seconds_to_first_post:.1f} s"
    failed = f", {plural(status.tasks_failed, 'task')} failed" if status.tasks_failed else ""
    people, posts, pictures = plural(result.characters, "person"), plural(result.posts, "post"), plural(result.images, "picture")
    texts = f"{plural(result.llm_calls, 'call')} of the language model, {plural(tokens, 'token')}"
    return [
        f"{people}, {posts}, {pictures} in {result.seconds:.1f} s{first}{failed}",
        f"{texts}, and {plural(result.image_calls, 'call')} for pictures: ${result.cost_usd:.4f} {bill}",
        f"world id: {result.world_id}",
    ]


def _tokens(database: MongoDatabase, world_id: str) -> int:
    total = {"$sum": {"$add": [{"$ifNull": ["$tokens.prompt", 0]}, {"$ifNull": ["$tokens.output", 0]}]}}
    rows = list(database[HISTORY].aggregate([{"$match": {"world_id": world_id}}, {"$group": {"_id": None, "tokens": total}}]))
    return int(rows[0]["tokens"]) if rows else 0


def _results(database: MongoDatabase, status: WorldStatus, task_type: TaskType, most: int) -> list[MongoDocument]:
    in_order = [("result.t", 1), ("key", 1)]  # posts by the world's timeline; the others have no place in it
    found = database[TASKS].find(completed(status.world_id, status.generation, task_type), {"world_id": 1, "type": 1, "result": 1})
    return list(found.sort(in_order).limit(most))
