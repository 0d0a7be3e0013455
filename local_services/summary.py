"""The summary that `demo` prints: texts, figures, who was paid, and the data received by the platform emulator.

Not here: the object of figures that programs read (generia_assets/cli/watching.py).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text as Line

from generia_assets.catalog import ASSETS, TaskType
from generia_assets.cli.console import CommandError, indented, safe_line
from generia_assets.cli.texts import text_of
from generia_assets.cli.watching import WorldResult
from generia_assets.content.text import plural
from generia_assets.durable.collections import HISTORY, TASKS
from generia_assets.durable.status import WorldStatus
from generia_assets.queries.records import completed
from resources.mongodb.connection import MongoDatabase, MongoDocument

SHOWN = 3
EMULATOR_S = 10.0


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
            for line in filter(None, text.body.splitlines()):
                indented(console, Line(safe_line(line, 600)), 4)
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
    in_order = [("result.t", 1), ("key", 1)]  # posts in the order of the timeline; other documents have no place in it
    found = database[TASKS].find(completed(status.world_id, status.generation, task_type), {"world_id": 1, "type": 1, "result": 1})
    return list(found.sort(in_order).limit(most))


def recorded_answers(gemini: str) -> int:
    """The number of recorded answers of the Gemini emulator at this URL; 0 if it does not report one."""
    with suppress(CommandError):  # a missing number must not fail the world
        return int(_call("GET", f"{gemini}/emulator/stats").get("recorded", 0))
    return 0


def add_world(platform: str, world_id: str) -> None:
    """Add this world to the platform emulator at this URL, as when a user orders it on the platform. Raises ``CommandError``."""
    _call("POST", f"{platform}/worlds", {"id": world_id})


def describe_arrived(platform: str, database: MongoDatabase, world_id: str) -> str:
    """The data received by the platform emulator, and whether its feed has the world's order. Raises ``CommandError``."""
    there = _call("GET", f"{platform}/emulator/worlds/{world_id}")
    images = database[ASSETS["post_images"].collection].find({"world_id": world_id}, {"t": 1, "post_id": 1}).sort("t")
    feed = [post["id"] for post in there["posts"]]
    order = "in the world's order" if feed == [image["post_id"] for image in images] else "NOT in the world's order"
    characters, pictures = plural(len(there["characters"]), "character"), plural(len(there["media"]), "picture")
    return f"on the platform (an emulator, gone when this ends): {characters}, {pictures}, {plural(len(feed), 'post')} {order}"


def _call(method: str, url: str, body: object = None) -> Any:  # noqa: ANN401  as JSON
    import requests

    with requests.Session() as session:
        session.trust_env = False  # an emulator is never behind a proxy
        try:
            answer = session.request(method, url, json=body, timeout=EMULATOR_S)
            answer.raise_for_status()
            return answer.json()
        except requests.RequestException as error:
            raise CommandError(f"the emulator does not answer as it should: {error}") from error
