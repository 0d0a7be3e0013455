"""The live feed (R12): progress of worlds and new posts as versioned JSON events in Kafka, keyed by world id.

Here: what an event says and when it is sent: after every commit that changed something, at most a few times a second, and always
the last one. The status record in MongoDB is the truth; an event that cannot be sent is logged and dropped, never waited for.

``{"version": 1, "event_type": "world_progress", "world_id", "status", "current_stage", "tasks_total", "tasks_completed",
"tasks_failed", "task_predicted", "users_created", "posts_created", "cost_usd", "at"}``
``{"version": 1, "event_type": "post_created", "world_id", "post_id", "character_id", "key", "image_url", "at"}``
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from pymongo.errors import PyMongoError

from generia_assets.content.documents import PostImage
from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import WorldStatus
from resources.mongo import AsyncMongoDatabase
from resources.stopping import stop

logger = logging.getLogger(__name__)

VERSION = 1
INTERVAL_SECONDS = 0.25
"""Progress of a world is told at most so often."""


class Sender(Protocol):
    """Sends one event and returns when it has arrived; may block, may raise ``ConnectionError``."""

    def __call__(self, key: str, value: bytes) -> None:
        """Send ``value`` under ``key``."""
        ...


class Feed:
    """The feed of one world. Make it on the event loop; ``aclose`` sends the last word."""

    def __init__(self, database: AsyncMongoDatabase, world_id: str, connect: Callable[[], Sender]) -> None:
        self._database = database
        self._world_id = world_id
        self._connect = connect
        self._send: Sender | None = None
        self._posts: list[PostImage] = []
        self._changed = asyncio.Event()
        self._broken = False
        self._sending = threading.Lock()
        self._teller = asyncio.create_task(self._tell(), name=f"feed:{world_id}")

    def changed(self) -> None:
        """Something about the world changed."""
        self._changed.set()

    def post(self, post: PostImage) -> None:
        """A post was published."""
        self._posts.append(post)
        self._changed.set()

    async def aclose(self) -> None:
        """Tell the world's last state and stop."""
        await stop(self._teller)
        await self._tell_once()

    async def _tell(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._tell_once()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _tell_once(self) -> None:
        if self._broken:
            return
        try:
            found = await self._database[STATUS].find_one({"_id": self._world_id})
        except PyMongoError as error:  # an outage of MongoDB: the next change tells the news
            logger.warning("the live feed misses a moment: MongoDB does not answer (%s)", type(error).__name__)
            return
        if found is None:
            return
        posts, self._posts = self._posts, []
        events = [post_created(self._world_id, post) for post in posts] + [world_progress(WorldStatus.model_validate(found))]
        await asyncio.to_thread(self._send_all, events)

    def _send_all(self, events: list[bytes]) -> None:
        with self._sending:  # the last word comes after what a teller stopped in the middle is still sending
            if self._broken:
                return
            try:
                if self._send is None:
                    self._send = self._connect()
                for event in events:
                    self._send(self._world_id, event)
            except ConnectionError as error:
                self._broken = True
                logger.warning("the live feed is silent for this run: %s", error)


def world_progress(status: WorldStatus) -> bytes:
    """The event of a world's progress."""
    return _event(
        "world_progress",
        world_id=status.world_id,
        status=status.status.value,
        current_stage=status.current_stage.value,
        tasks_total=status.tasks_total,
        tasks_completed=status.tasks_completed,
        tasks_failed=status.tasks_failed,
        task_predicted=status.task_predicted,
        users_created=status.users_created,
        posts_created=status.posts_created,
        cost_usd=status.cost_usd,
    )


def post_created(world_id: str, post: PostImage) -> bytes:
    """The event of a new post."""
    return _event(
        "post_created",
        world_id=world_id,
        post_id=post.post_id,
        character_id=post.character_id,
        key=post.key,
        image_url=post.image.url,
    )


def _event(event_type: str, **fields: object) -> bytes:
    body = {"version": VERSION, "event_type": event_type, **fields, "at": datetime.now(UTC).isoformat()}
    return json.dumps(body, ensure_ascii=False).encode()
