"""Watching a world with all that can be watched: full texts, its log, its pictures in a folder. The same in `demo` and `watch`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from generia_assets.cli.console import CommandError
from generia_assets.cli.displays import Display
from generia_assets.cli.follow import Moment, Watching, follow
from generia_assets.cli.pictures import PictureFolder, without_pictures
from generia_assets.durable.status import WorldStatus
from resources.mongodb.connection import MongoDatabase

Texts = Annotated[bool, typer.Option("--texts", help="Print the world's description, people and posts whole, as they are written.")]
Log = Annotated[bool, typer.Option("--log", help="Print the world's log as it grows: stages, tasks, attempts, failures, waiting.")]
Images = Annotated[
    Path | None,
    typer.Option("--images", metavar="FOLDER", help="Copy the pictures into FOLDER/WORLD as they are made, under telling names."),
]


@dataclass(frozen=True)
class WatchOptions:
    """What is to be seen, beside the progress."""

    texts: bool = False
    log: bool = False
    images: Path | None = None


def watch_world(
    database: MongoDatabase,
    world_id: str,
    display: Display,
    watching: Watching,
    images: Path | None,
    *,
    data_dir: Path,
    check: Callable[[], None] = lambda: None,
) -> WorldStatus:
    """Show the world until it is over. ``check`` is called at every moment; ``data_dir`` is where this machine's pictures are.

    Raises ``CommandError`` if its status record goes away.
    """
    folder = None if images is None else PictureFolder(images, world_id, data_dir)
    status: WorldStatus | None = None
    for moment in _shown(follow(database, world_id, watching), folder):
        display.moment(moment)
        check()
        status = moment.status
    if status is None:
        raise CommandError(f"world {world_id}: its status record is gone; somebody deleted it")
    return status


def _shown(moments: Iterator[Moment], folder: PictureFolder | None) -> Iterator[Moment]:
    for moment in moments:
        texts = without_pictures(moment.texts) if folder is None else folder.kept(moment.texts)
        yield replace(moment, texts=texts)
