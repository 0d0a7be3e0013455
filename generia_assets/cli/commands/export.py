"""``generia export``: a whole world as files: JSON Lines by section, and a book in Markdown.

Here: the command, and the JSON Lines. Not here: the book (book.py). Everything is streamed: memory does not grow with the world.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from generia_assets.cli.connections import open_world, settings
from generia_assets.cli.console import CommandError, remarks, short_path
from generia_assets.cli.options import Json, World, choice, flag, option
from generia_assets.cli.rendering.formats import as_json, json_default
from generia_assets.content.text import plural

BOOK = "world.md"
PICTURES = "pictures"
BOTH = "both"


Folder = Annotated[
    Path | None, option("--folder", "FOLDER", "Where to write; without it a folder here that is named like the world's id.")
]
Format = Annotated[str, option("--format", "jsonl|markdown|both", "Which files are written.", choice(("jsonl", "markdown", BOTH)))]
Pictures = Annotated[
    bool, flag("--pictures", "Copy the pictures into FOLDER/pictures; without it the book links to where they are.")
]
Force = Annotated[bool, flag("--force", "Write into a folder that has something in it, over files of these names.")]


def export(
    world: World, folder: Folder = None, to: Format = BOTH, pictures: Pictures = False, force: Force = False, json: Json = False
) -> None:
    """A file SECTION.jsonl for each section of `show`, one document a line, and world.md with description, people and feed. Posts
    are in the order of the world. Texts of users and models are escaped in the book. A world in the making is written as far as it
    is.

    \b
    generia export WORLD --folder brinehold --pictures
    generia export WORLD --format jsonl --json
    """
    from generia_assets.cli.rendering.book import Book
    from generia_assets.cli.texts import PictureFolder
    from generia_assets.queries.sections import SECTIONS, documents

    chosen = settings()
    with open_world(world) as (database, status):
        target = _target(folder or Path(status.world_id), force=force)
        copied = PictureFolder(target / PICTURES, None, chosen.generia_data_dir) if pictures else None
        written: dict[str, int] = {}
        try:
            if to in ("jsonl", BOTH):
                for section in SECTIONS:
                    found = documents(database, status.world_id, section)
                    lines = (f"{json_module.dumps(one, ensure_ascii=False, default=json_default)}\n" for one in found)
                    written[f"{section}.jsonl"] = _write(target / f"{section}.jsonl", lines)
            if to in ("markdown", BOTH):
                book = Book(database, status, target, chosen.generia_data_dir, copied)
                written[BOOK] = _write(target / BOOK, book.pages())
        except OSError as error:
            raise CommandError(f"{short_path(target)}: {error.strerror or error}; what was written so far stays there") from None
    if json:
        typer.echo(as_json({"world_id": status.world_id, "folder": str(target), "files": written}))
        return
    console = remarks()
    for name, count in written.items():
        console.print(f"{short_path(target / name)}: {plural(count, 'line' if name == BOOK else 'document')}")
    if copied is not None:
        console.print(f"{short_path(target / PICTURES)}: {plural(copied.copied, 'picture')}")
    typer.echo(str(short_path(target)))


def _target(folder: Path, *, force: bool) -> Path:
    target = folder.absolute()
    try:
        target.mkdir(parents=True, exist_ok=True)
        full = next(target.iterdir(), None) is not None
    except OSError as error:
        raise CommandError(f"--folder {folder}: {error.strerror}", 2) from None
    if full and not force:
        raise CommandError(f"--folder {folder}: has something in it already; give another one, or --force to write over it", 2)
    return target


def _write(path: Path, texts: Iterable[str]) -> int:
    """Write the file so that it is there whole or not at all; return how many lines it has."""
    unfinished, count = path.with_name(f".{path.name}.part"), 0
    try:
        with unfinished.open("w", encoding="utf-8", errors="replace") as file:
            for text in texts:
                file.write(text)
                count += text.count("\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count
