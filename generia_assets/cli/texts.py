"""The texts and pictures of a world, as they are made: the description, the people, the posts.

Here: reading them from completed tasks, so that they are seen before the world's assets are materialized at its end, and copying
pictures into a folder of the host under names that say what they show (R14). Not here: how they look (rendering/displays.py).
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from operator import itemgetter
from pathlib import Path

from pymongo import ASCENDING, DESCENDING
from pymongo.change_stream import CollectionChangeStream

from generia_assets.catalog import TaskType, pictures_of
from generia_assets.cli.console import CommandError, safe_block, safe_line, short_path
from generia_assets.content.documents import Character, Document, Post, WorldDescription
from generia_assets.content.keys import WORLD_KEY, author_of
from generia_assets.durable.collections import TASKS
from generia_assets.durable.status import State
from generia_assets.queries.names import username_of
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.stored import readable

logger = logging.getLogger(__name__)

WAIT_MS = 250
"""How long one look waits for something new; also how often watchers look."""


@dataclass(frozen=True)
class PictureView:
    """A picture that was made: its name without a suffix, such as ``posts/c0007-p0003``, and where the platform has it."""

    name: str
    url: str


@dataclass(frozen=True)
class Text:
    """Something to read: ``kind`` is 'world', 'person', 'post' or 'picture'; title and body are safe for a terminal."""

    kind: str
    title: str
    body: str
    pictures: tuple[PictureView, ...] = ()


def text_of(database: MongoDatabase, task: MongoDocument) -> Text | None:
    """What a completed task of ``KINDS`` wrote, or of ``PICTURES`` painted; None where its result cannot be read (it is logged)."""
    found = readable(TaskType(task["type"]).asset.document, [task], TASKS, logger.warning, at=itemgetter("result"))
    return next((_text(made, lambda key: username_of(database, task["world_id"], key)) for made in found), None)


def _text(made: Document, username: Callable[[str], str]) -> Text:
    match made:
        case WorldDescription():
            return Text("world", safe_line(made.name), safe_block(made.description))
        case Character():
            return Text("person", safe_line(f"{made.display_name} @{made.username}"), safe_block(made.bio))
        case Post():
            tags = " ".join(f"#{tag.lstrip('#')}" for tag in made.hashtags)
            answered = f" ↩ @{username(author_of(made.in_reply_to))}" if made.in_reply_to else ""
            title = safe_line(f"@{made.username}{answered}, {made.moment}")
            said = "".join(f"\n  @{one.username}: {one.content}" for one in made.comments)
            return Text("post", title, safe_block(f"{made.content}\n{tags}".rstrip() + said))
    pictures = tuple(
        PictureView(slot.folder if made.key == WORLD_KEY else f"{slot.folder}/{made.key}", media.url)
        for slot, media in pictures_of(made)
    )
    return Text("picture", ", ".join(one.name for one in pictures), " ".join(safe_line(one.url) for one in pictures), pictures)


KINDS = (TaskType.GENERATE_WORLD_DESCRIPTION, TaskType.GENERATE_CHARACTER, TaskType.GENERATE_POST)
PICTURES = tuple(task_type for task_type in TaskType if task_type.asset.pictures)


class PictureFolder:
    """Copies pictures into ``folder/WORLD``. Local ones only; what is elsewhere stays there, and is named by its address."""

    def __init__(self, folder: Path, world_id: str | None, data_dir: Path) -> None:
        """``world_id`` None: the folder is this world's alone. ``data_dir``: where this machine's platform keeps its media.

        Raises ``CommandError`` if nothing can be written.
        """
        self._folder = folder.absolute() / (world_id or "")
        self.copied = 0
        self._data_dir = data_dir.absolute()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"--images {folder}: {error.strerror}; give a folder that can be written", 2) from None

    def copy(self, text: Text) -> Text:
        """The text; the pictures of it are copied, and it says where they are now."""
        paths = (self.path(picture) for picture in text.pictures)
        return replace(text, body="  ".join(str(short_path(path)) for path in paths if path) or text.body)

    def path(self, picture: PictureView) -> Path | None:
        """The path of the picture's copy, which is made if need be; None if the picture is not on this machine."""
        source = (self._data_dir / picture.url).resolve()
        if not source.is_relative_to(self._data_dir.resolve()) or not source.is_file():
            return None
        target = self._folder / f"{picture.name}{source.suffix}"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
        self.copied += 1
        return target


class TextStream:
    """The texts of one world: first those that exist already, then new ones as they come. Close it."""

    def __init__(
        self, database: MongoDatabase, world_id: str, *, earlier: int | None = None, folder: PictureFolder | None = None
    ) -> None:
        """``earlier``: how many of the texts that exist already are given, the newest ones; None: all.

        ``folder``: pictures are given, too, and copied there.
        """
        self._world_id = world_id
        self._folder = folder
        self._tasks = database[TASKS]
        self._types = [task_type.value for task_type in (*KINDS, *(PICTURES if folder else ()))]
        # Opened before the first query: what is written in between is in both, and given once.
        self._changes: CollectionChangeStream[MongoDocument] = self._tasks.watch(
            [
                {"$match": {"operationType": "update", "updateDescription.updatedFields.status": State.COMPLETED.value}},
                {"$match": {"fullDocument.world_id": world_id, "fullDocument.type": {"$in": self._types}}},
            ],
            full_document="updateLookup",
            max_await_time_ms=WAIT_MS,
        )
        self._seen: set[str] = set()
        self._earlier = self._find_earlier(earlier)

    def _find_earlier(self, most: int | None) -> Iterator[MongoDocument]:
        completed = {"world_id": self._world_id, "type": {"$in": self._types}, "status": State.COMPLETED.value}
        found = self._tasks.find(completed, {"world_id": 1, "type": 1, "result": 1})
        if most is None:
            yield from found.sort("updated_at", ASCENDING)
        elif most:
            yield from reversed(list(found.sort("updated_at", DESCENDING).limit(most)))

    def new(self) -> list[Text]:
        """What was written since the last time; waits up to ``WAIT_MS`` for the first."""
        changed = (change["fullDocument"] for change in iter(self._changes.try_next, None))
        return [text for task in chain(self._earlier, changed) if (text := self._text(task))]

    def _text(self, task: MongoDocument) -> Text | None:
        if task["_id"] in self._seen or not task.get("result"):
            return None
        self._seen.add(task["_id"])
        text = text_of(self._tasks.database, task)
        return text if text is None or self._folder is None else self._folder.copy(text)

    def close(self) -> None:
        self._changes.close()
