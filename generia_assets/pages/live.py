"""The live feed of a growing world, by server-sent events: progress, new people, new posts, as HTML of the pages' own templates.

Here: following the world's events (durable/events/events.py) and its status record for one browser until the world is finished, the
browser is gone or the server ends. An event's number is the message's id: a browser that was cut off resumes after the last one it
got. Nothing blocks the event loop: long queries and rendering run on a thread. The library sse-starlette sends heartbeats, notices
that a browser left, and gives up on one that does not read. Not here: the content of messages (news.py), and the page that shows
them (static/pages.js).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pymongo
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import PyMongoError
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from generia_assets.durable.collections import STATUS, WORLD_EVENTS
from generia_assets.durable.status import WorldStatus, statuses
from generia_assets.pages.news import News, as_message, news_of, portraits_of
from generia_assets.queries.people import PersonCard
from resources.mongodb.connection import AsyncMongoDatabase, MongoDatabase

logger = logging.getLogger(__name__)

LOOK_S = 0.2
"""Seconds between two reads of a world, and so the longest delay until a published post is sent."""
SHARED_S = 0.1
"""Seconds for which the result of a read is shared."""
MOST_FOLLOWERS = 300
"""Browsers that follow worlds at once, in one process; more get a 503 with RETRY_AFTER_S."""
RETRY_AFTER_S = 30
PORTRAITS_S = 1.0
ANSWER_S = 8.0
"""Time limit of MongoDB for an answer, and of a browser for reading a message."""
MOST_EVENTS = 200
"""Events read at once, so that a browser that connects late does not delay the others."""
HEARTBEAT_S = 10.0
RECONNECT_MS = 1000
AFTER_OUTAGE_MS = 5000


ResultT = TypeVar("ResultT")


def last_number(database: MongoDatabase, world_id: str) -> int:
    """The number of the world's newest event; 0 before the first."""
    newest = database[WORLD_EVENTS].find_one({"world_id": world_id}, {"seq": 1}, sort=[("seq", DESCENDING)])
    return newest["seq"] if newest else 0


@dataclass
class FeedFollower:
    """The state of one browser: the last event's number, the parts that its page shows, the people without a portrait."""

    world_id: str
    after: int
    shown: dict[str, str] = field(default_factory=dict)
    unpainted: dict[str, PersonCard] = field(default_factory=dict)
    portraits_at: float = 0.0


class _Stream(EventSourceResponse):
    """The stream of one browser. ``on_end`` is called at its end, also if it ends before anything was sent."""

    def __init__(self, messages: AsyncIterator[bytes], on_end: Callable[[], None]) -> None:
        super().__init__(messages, ping=HEARTBEAT_S, send_timeout=ANSWER_S, cleanup_timeout=ANSWER_S)
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            logger.info("live feed %s: the browser does not read", scope["path"])
        finally:
            self._on_end()


class LiveFeed:
    """The live feeds of all worlds. The asynchronous client is the event loop's, the other one the threads'.

    However many browsers follow a world, it is read and rendered once for all that have received the same events (``_shared``).
    """

    def __init__(self, events: AsyncMongoDatabase, database: MongoDatabase, closing: Callable[[], bool]) -> None:
        self._events = events
        self._database = database
        self._closing = closing
        self._followers: Counter[str] = Counter()
        self._looks: dict[Hashable, tuple[float, asyncio.Future[Any]]] = {}
        self._shown: dict[str, tuple[WorldStatus, News]] = {}
        """By world: its last status record, and the parts of a page that were made with it."""

    async def answer(self, request: Request) -> Response:
        """The stream. 204, after which a browser does not reconnect: the world is finished or unknown. 503: too many browsers."""
        world_id = str(request.path_params["world_id"])
        asked = request.headers.get("last-event-id") or request.query_params.get("after", "")
        after = int(asked) if asked.isdecimal() and len(asked) < 16 else 0
        try:
            with pymongo.timeout(ANSWER_S):
                news = await self._news(world_id, after)
        except PyMongoError:  # an outage: after an error status a browser would never reconnect
            return Response(f"retry: {AFTER_OUTAGE_MS}\n\n", media_type="text/event-stream", headers={"cache-control": "no-store"})
        if news is None or (news.over and not news.messages):
            self._shown.pop(world_id, None)
            return Response(status_code=204)
        if self._followers.total() >= MOST_FOLLOWERS:
            return Response("Too many browsers follow worlds at once.", 503, headers={"retry-after": str(RETRY_AFTER_S)})
        self._followers[world_id] += 1
        return _Stream(self._follow(FeedFollower(world_id, after)), lambda: self._on_end(world_id))

    def _on_end(self, world_id: str) -> None:
        self._followers[world_id] -= 1
        if not self._followers[world_id]:
            del self._followers[world_id]
            self._shown.pop(world_id, None)

    async def _follow(self, follower: FeedFollower) -> AsyncIterator[bytes]:
        yield ServerSentEvent(retry=RECONNECT_MS).encode()
        while not self._closing():
            try:
                with pymongo.timeout(ANSWER_S):
                    news = await self._news(follower.world_id, follower.after)
                    messages = [] if news is None else _new_to(follower, news) + await self._portraits(follower)
            except PyMongoError:  # an outage: the browser reconnects and resumes
                return
            for message in messages:
                yield message
            if news is None or (news.over and not news.messages):
                yield as_message("end", {})
                return
            if len(news.messages) < MOST_EVENTS:
                await asyncio.sleep(LOOK_S)

    async def _news(self, world_id: str, after: int) -> News | None:
        """The news after this event; None without a world whose record can be read."""
        return await self._shared((world_id, after), lambda: self._look(world_id, after))

    async def _shared(self, what: Hashable, look: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
        """The result of a read that began a moment ago, else of a new one."""
        now = time.monotonic()
        self._looks = {key: value for key, value in self._looks.items() if value[0] > now or not value[1].done()}
        if what not in self._looks:
            self._looks[what] = now + SHARED_S, asyncio.ensure_future(look())
        found: ResultT = await asyncio.shield(self._looks[what][1])  # a browser that leaves must not cancel it for the others
        return found

    async def _look(self, world_id: str, after: int) -> News | None:
        # The status before the events: when it is over, they are all there.
        found = await self._events[STATUS].find({"_id": world_id}).to_list()
        status = next(statuses(found, logger.warning), None)
        if status is None:
            return None
        wanted = {"world_id": world_id, "seq": {"$gt": after}}
        found = await self._events[WORLD_EVENTS].find(wanted).sort("seq", ASCENDING).limit(MOST_EVENTS).to_list()
        shown = self._shown.get(world_id)
        if shown is not None and shown[0] == status and not found:
            return replace(shown[1], last=after)
        news = await run_in_threadpool(news_of, self._database, status, after, found)
        self._shown[world_id] = status, replace(news, messages=(), unpainted={})
        return news

    async def _portraits(self, follower: FeedFollower) -> list[bytes]:
        """The portraits that were painted since, which have no events."""
        if not follower.unpainted or time.monotonic() - follower.portraits_at < PORTRAITS_S:
            return []
        follower.portraits_at = time.monotonic()
        people = dict(follower.unpainted)
        painted = await self._shared(
            (follower.world_id, *people), lambda: run_in_threadpool(portraits_of, self._database, follower.world_id, people)
        )
        for key in painted:
            del follower.unpainted[key]
        return list(painted.values())


def _new_to(follower: FeedFollower, news: News) -> list[bytes]:
    """The news that this browser does not have yet; marks them as sent."""
    follower.after = news.last
    follower.unpainted |= news.unpainted
    changed = {place: html for place, html in news.places.items() if follower.shown.get(place) != html}
    follower.shown |= changed
    return [*news.messages, *(as_message(place, {"html": html, "title": news.title}) for place, html in changed.items())]
