"""The live feed of a growing world, by server-sent events: progress, new people, new posts, as HTML of the pages' own templates.

Here: following the world's events (durable/events/events.py) and its status record for one browser until the world is finished, the
browser is gone or the server ends. An event's number is the message's id: a browser that was cut off goes on after the last one it
got. Nothing blocks the event loop: what reads much or renders runs on a thread. Not here: what is told (news.py), and the page that
shows it (static/pages.js).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pymongo
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import PyMongoError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from generia_assets.durable.collections import STATUS, WORLD_EVENTS
from generia_assets.durable.status import WorldStatus, statuses
from generia_assets.pages.news import News, as_message, news_of, portraits_of
from generia_assets.queries.people import PersonCard
from generia_assets.queries.worlds import over
from resources.mongodb.connection import AsyncMongoDatabase, MongoDatabase

logger = logging.getLogger(__name__)

LOOK_S = 0.2
"""How often a world is looked at; the longest that a published post takes to be on its way."""
SHARED_S = 0.1
"""How long what was found is found again by others."""
MOST_FOLLOWERS = 300
"""Browsers that follow worlds at once, in one process; more are told to come later."""
RETRY_AFTER_S = 30
PORTRAITS_S = 1.0
ANSWER_S = 8.0
"""Nobody waits longer for MongoDB: then it does not answer."""
MOST_EVENTS = 200
"""Events taken at once, so that a browser that comes late does not hold up the others."""
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
    """What one browser has been told of a world: the last event's number, what its page shows, whose portrait is still to come."""

    world_id: str
    after: int
    shown: dict[str, str] = field(default_factory=dict)
    unpainted: dict[str, PersonCard] = field(default_factory=dict)
    portraits_at: float = 0.0


@dataclass(frozen=True)
class _Shown:
    """A world's status record and the parts of a page that were made with it."""

    status: WorldStatus
    places: Mapping[str, str]
    title: str


class _Stream(StreamingResponse):
    """The stream of one browser. ``left`` is called at its end, also if it ends before anything was sent."""

    def __init__(self, messages: AsyncIterator[str], left: Callable[[], None]) -> None:
        super().__init__(messages, media_type="text/event-stream", headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        self._left = left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._left()


class LiveFeed:
    """The live feeds of all worlds. The asynchronous client is the event loop's, the other one the threads'.

    However many browsers follow a world, it is looked at and rendered once for all that have been told the same (``_shared``).
    """

    def __init__(self, events: AsyncMongoDatabase, database: MongoDatabase, closing: Callable[[], bool]) -> None:
        self._events = events
        self._database = database
        self._closing = closing
        self._followers: Counter[str] = Counter()
        self._looks: dict[Hashable, tuple[float, asyncio.Future[Any]]] = {}
        self._shown: dict[str, _Shown] = {}

    async def answer(self, request: Request) -> Response:
        """The stream. 204, which tells a browser not to come again: the world is finished, or there is none. 503: come later."""
        world_id = str(request.path_params["world_id"])
        asked = request.headers.get("last-event-id") or request.query_params.get("after", "")
        after = int(asked) if asked.isdecimal() and len(asked) < 16 else 0
        try:
            with pymongo.timeout(ANSWER_S):
                news = await self._news(world_id, after)
        except PyMongoError:  # an outage: after an error a browser would never come again
            return Response(f"retry: {AFTER_OUTAGE_MS}\n\n", media_type="text/event-stream", headers={"cache-control": "no-store"})
        if news is None or (news.over and not news.told):
            self._shown.pop(world_id, None)
            return Response(status_code=204)
        if self._followers.total() >= MOST_FOLLOWERS:
            return Response("Too many browsers follow worlds at once.", 503, headers={"retry-after": str(RETRY_AFTER_S)})
        self._followers[world_id] += 1
        return _Stream(self._follow(request, FeedFollower(world_id, after)), lambda: self._left(world_id))

    def _left(self, world_id: str) -> None:
        self._followers[world_id] -= 1
        if not self._followers[world_id]:
            del self._followers[world_id]
            self._shown.pop(world_id, None)

    async def _follow(self, request: Request, follower: FeedFollower) -> AsyncIterator[str]:
        yield f"retry: {RECONNECT_MS}\n\n"
        spoke = time.monotonic()
        while not self._closing() and not await request.is_disconnected():
            began = time.monotonic()
            try:
                with pymongo.timeout(ANSWER_S):
                    news = await self._news(follower.world_id, follower.after)
                    messages = [] if news is None else _new_to(follower, news) + await self._portraits(follower)
            except PyMongoError:  # an outage: the browser comes again, and goes on where it was
                return
            for message in messages:
                yield message
                spoke = began
            if news is None or (news.over and not news.told):
                yield as_message("end", {})
                return
            if began - spoke > HEARTBEAT_S:
                yield ": still here\n\n"
                spoke = began
            if len(news.told) < MOST_EVENTS:
                await asyncio.sleep(LOOK_S)

    async def _news(self, world_id: str, after: int) -> News | None:
        """What there is to tell after this event; None without a world whose record can be read."""
        return await self._shared((world_id, after), lambda: self._look(world_id, after))

    async def _shared(self, what: Hashable, look: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
        """What was found by whoever looked a moment ago, else by looking now."""
        now = time.monotonic()
        self._looks = {key: value for key, value in self._looks.items() if value[0] > now or not value[1].done()}
        if what not in self._looks:
            self._looks[what] = now + SHARED_S, asyncio.ensure_future(look())
        found: ResultT = await asyncio.shield(self._looks[what][1])  # one browser that leaves must not end it for the others
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
        if shown is not None and shown.status == status and not found:
            return News(over(status), after, (), shown.places, shown.title, {})
        news = await run_in_threadpool(news_of, self._database, status, after, found)
        self._shown[world_id] = _Shown(status, news.places, news.title)
        return news

    async def _portraits(self, follower: FeedFollower) -> list[str]:
        """The portraits that were painted since: no event tells of them."""
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


def _new_to(follower: FeedFollower, news: News) -> list[str]:
    """What of the news this browser has not been told yet; from now on it has."""
    follower.after = news.last
    follower.unpainted |= news.unpainted
    changed = {place: html for place, html in news.places.items() if follower.shown.get(place) != html}
    follower.shown |= changed
    return [*news.told, *(as_message(place, {"html": html, "title": news.title}) for place, html in changed.items())]
