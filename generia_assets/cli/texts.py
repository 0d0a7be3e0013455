"""The texts and pictures of a world, as they are made: the description, the people, the posts.

Here: reading them from the journal's completed tasks, so that they are seen before the world's assets are materialized at its end.
Not here: how they look (displays.py), and where pictures are put (pictures.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Self

from pymongo import ASCENDING, DESCENDING
from pymongo.change_stream import CollectionChangeStream

from generia_assets.catalog import TaskType, pictures_of
from generia_assets.cli import inert
from generia_assets.content.documents import Character, Document, Post, WorldDescription
from generia_assets.content.keys import WORLD_KEY, author_of
from generia_assets.durable.collections import TASKS
from generia_assets.durable.status import State
from generia_assets.queries.names import username_of
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.stored import readable

logger = logging.getLogger(__name__)

WAIT_MS = 250
"""How long one look waits for something new; also the pace of those who watch."""


@dataclass(frozen=True)
class PictureView:
    """A picture that was made: its name without a suffix, such as ``posts/c0007-p0003``, and where the platform has it."""

    name: str
    url: str


@dataclass(frozen=True)
class Text:
    """Something to read: ``kind`` is 'world', 'person', 'post' or 'picture'; all that is read is harmless for a terminal."""

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
            return Text("world", inert.line(made.name), inert.block(made.description))
        case Character():
            return Text("person", inert.line(f"{made.display_name} @{made.username}"), inert.block(made.bio))
        case Post():
            tags = " ".join(f"#{tag.lstrip('#')}" for tag in made.hashtags)
            answered = f" ↩ @{username(author_of(made.in_reply_to))}" if made.in_reply_to else ""
            title = inert.line(f"@{made.username}{answered}, {made.moment}")
            return Text("post", title, inert.block(f"{made.content}\n{tags}".rstrip()))
    pictures = _pictures(made)
    return Text("picture", ", ".join(one.name for one in pictures), " ".join(inert.line(one.url) for one in pictures), pictures)


def _pictures(made: Document) -> tuple[PictureView, ...]:
    return tuple(
        PictureView(slot.folder if made.key == WORLD_KEY else f"{slot.folder}/{made.key}", media.url)
        for slot, media in pictures_of(made)
    )


KINDS = (TaskType.GENERATE_WORLD_DESCRIPTION, TaskType.GENERATE_CHARACTER, TaskType.GENERATE_POST)
PICTURES = tuple(task_type for task_type in TaskType if task_type.asset.pictures)


class TextStream:
    """The texts of one world: first those that are there, then new ones as they come. Close it, or use it in a ``with`` block."""

    def __init__(self, database: MongoDatabase, world_id: str, *, earlier: int | None = None) -> None:
        """``earlier``: how many of those that are there already are told, the newest ones; None: all."""
        self._world_id = world_id
        self._tasks = database[TASKS]
        types = [task_type.value for task_type in (*KINDS, *PICTURES)]
        # Opened before the first reading: what is written in between is in both, and told once.
        self._changes: CollectionChangeStream[MongoDocument] = self._tasks.watch(
            [
                {"$match": {"operationType": "update", "updateDescription.updatedFields.status": State.COMPLETED.value}},
                {"$match": {"fullDocument.world_id": world_id, "fullDocument.type": {"$in": types}}},
            ],
            full_document="updateLookup",
            max_await_time_ms=WAIT_MS,
        )
        self._told: set[str] = set()
        self._earlier: Iterator[MongoDocument] = self._written(types, earlier)

    def _written(self, types: list[str], most: int | None) -> Iterator[MongoDocument]:
        wanted = {"world_id": self._world_id, "type": {"$in": types}, "status": State.COMPLETED.value}
        found = self._tasks.find(wanted, {"world_id": 1, "type": 1, "result": 1})
        if most is None:
            yield from found.sort("updated_at", ASCENDING)
        elif most:
            yield from reversed(list(found.sort("updated_at", DESCENDING).limit(most)))

    def new(self) -> list[Text]:
        """What was written since the last time; waits up to ``WAIT_MS`` for the first."""
        texts = [text for task in self._earlier if (text := self._tell(task))]
        while (change := self._changes.try_next()) is not None:
            text = self._tell(change["fullDocument"])
            if text:
                texts.append(text)
        return texts

    def _tell(self, task: MongoDocument) -> Text | None:
        if task["_id"] in self._told or not task.get("result"):
            return None
        self._told.add(task["_id"])
        return text_of(self._tasks.database, task)

    def close(self) -> None:
        """End the subscription."""
        self._changes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
