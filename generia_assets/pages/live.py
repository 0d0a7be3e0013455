"""The live feed of a growing world, by server-sent events: progress, new people, new posts, as HTML of the pages' own templates.

Here: following the world's events (durable/events.py) and its status record for one browser until the world is finished, the
browser is gone or the server ends. An event's number is the message's id: a browser that was cut off goes on after the last one it
got. Nothing blocks the event loop: what reads much or renders runs on a thread. Not here: the page that shows it
(static/pages.js).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pymongo
from pydantic import ValidationError
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import PyMongoError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from generia_assets.content.documents import CharacterAvatar, Media
from generia_assets.content.pictures import AVATAR_SIZE, POST_SIZE
from generia_assets.durable.collections import STATUS, WORLD_EVENTS
from generia_assets.durable.events import EVENTS, AnyEvent, CharacterCreated, PostPublished
from generia_assets.durable.status import WorldStatus, statuses
from generia_assets.pages.links import ServedLinks
from generia_assets.pages.pages import WorldPages
from generia_assets.reading.feed import FeedPost
from generia_assets.reading.people import PersonCard, keys_by_username
from generia_assets.reading.records import events as event_records
from generia_assets.reading.shelves import Shelves
from generia_assets.reading.worlds import over, view_of, world
from resources.mongo import AsyncMongoDatabase, MongoDatabase, MongoDocument

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
class Follower:
    """What one browser has been told of a world: the last event's number, what its page shows, whose portrait is still to come."""

    world_id: str
    after: int
    shown: dict[str, str] = field(default_factory=dict)
    unpainted: dict[str, PersonCard] = field(default_factory=dict)
    portraits_at: float = 0.0


@dataclass(frozen=True)
class News:
    """What is to be told of a world after an event, to everybody who has been told up to there.

    ``told``: the messages about events. ``last``: the number of the newest of them. ``places``: the parts of a page that stand
    beside the posts, as they are now. ``unpainted``: people of these events whose portraits are still to come.
    """

    over: bool
    last: int
    told: tuple[str, ...]
    places: Mapping[str, str]
    title: str
    unpainted: Mapping[str, PersonCard]


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
        return _Stream(self._follow(request, Follower(world_id, after)), lambda: self._left(world_id))

    def _left(self, world_id: str) -> None:
        self._followers[world_id] -= 1
        if not self._followers[world_id]:
            del self._followers[world_id]
            self._shown.pop(world_id, None)

    async def _follow(self, request: Request, follower: Follower) -> AsyncIterator[str]:
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
                yield _message("end", {})
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
        return await run_in_threadpool(self._rendered, status, after, found)

    def _rendered(self, status: WorldStatus, after: int, records: list[MongoDocument]) -> News:
        """The news of these events as a page shows them. Blocks."""
        world_id = status.world_id
        shelves = Shelves.of(self._database, world_id)
        pages = WorldPages(view_of(shelves, status), ServedLinks(world_id), shelves.unreadable)
        places = {"masthead": pages.masthead(), "progress": pages.progress(), "side": pages.side()}
        self._shown[world_id] = _Shown(status, places, pages.title)
        events = [(one.seq, _event(one.event)) for one in event_records(records)]
        mentioned = {name for _, event in events if isinstance(event, PostPublished) for name in event.mentions}
        keys = keys_by_username(shelves, mentioned)
        unpainted: dict[str, PersonCard] = {}
        told = tuple(_told_of(number, event, pages, keys, unpainted) for number, event in events)
        last = max([after, *(record["seq"] for record in records)])
        return News(over(status), last, told, places, pages.title, unpainted)

    async def _portraits(self, follower: Follower) -> list[str]:
        """The portraits that were painted since: no event tells of them."""
        if not follower.unpainted or time.monotonic() - follower.portraits_at < PORTRAITS_S:
            return []
        follower.portraits_at = time.monotonic()
        people = dict(follower.unpainted)
        painted = await self._shared(
            (follower.world_id, *people), lambda: run_in_threadpool(self._painted, follower.world_id, people)
        )
        for key in painted:
            del follower.unpainted[key]
        return list(painted.values())

    def _painted(self, world_id: str, people: dict[str, PersonCard]) -> dict[str, str]:
        """The messages about those of these people who have a portrait by now, by key. Blocks."""
        shelves = Shelves.of(self._database, world_id)
        view = world(shelves)
        painted = shelves["character_avatars"].by_key(CharacterAvatar, list(people)) if view else {}
        if view is None or not painted:
            return {}
        pages = WorldPages(view, ServedLinks(world_id))
        return {
            key: _message("portrait", {"key": key, "html": pages.portrait(people[key].model_copy(update={"avatar": found.avatar}))})
            for key, found in painted.items()
        }


def _new_to(follower: Follower, news: News) -> list[str]:
    """What of the news this browser has not been told yet; from now on it has."""
    follower.after = news.last
    follower.unpainted |= news.unpainted
    changed = {place: html for place, html in news.places.items() if follower.shown.get(place) != html}
    follower.shown |= changed
    return [*news.told, *(_message(place, {"html": html, "title": news.title}) for place, html in changed.items())]


def _event(body: MongoDocument) -> AnyEvent | None:
    try:
        return EVENTS.validate_python(body)
    except ValidationError:  # of a later version than these pages: a reader ignores what it does not know
        return None


def _told_of(number: int, event: AnyEvent | None, pages: WorldPages, keys: dict[str, str], unpainted: dict[str, PersonCard]) -> str:
    """The message about an event; without content if a page shows nothing of it. Adds to those who are not painted yet."""
    match event:
        case CharacterCreated():
            person = _person(event.key, event, bio=event.bio)
            unpainted[event.key] = person
            return _message("person", {"key": event.key, "html": pages.person_chip(person)}, number=number)
        case PostPublished():
            author = _person(event.character_key, event)
            if author.avatar is None:
                unpainted.setdefault(event.character_key, author)
            return _message("post", {"key": event.key, "html": pages.post_card(_post(event, author, keys))}, number=number)
        case _:
            return f"id: {number}\n\n"


def _person(key: str, event: CharacterCreated | PostPublished, *, bio: str = "") -> PersonCard:
    return PersonCard(
        key=key,
        character_id=event.character_id,
        username=event.username,
        display_name=event.display_name,
        bio=bio,
        avatar=_picture(event.avatar_url, AVATAR_SIZE) if event.avatar_url else None,
    )


def _post(event: PostPublished, author: PersonCard, keys: dict[str, str]) -> FeedPost:
    return FeedPost(
        key=event.key,
        post_id=event.post_id,
        author=author,
        content=event.content,
        hashtags=event.hashtags,
        mentions={name: keys[name] for name in event.mentions if name in keys},
        mood=event.mood,
        location=event.location,
        moment=event.moment,
        time_of_day=event.time_of_day,
        image=_picture(event.image_url, POST_SIZE),
        deleted=event.deleted,
        published_at=event.published_at,
    )


def _picture(url: str, size: tuple[int, int]) -> Media:
    return Media(media_id="", url=url, prompt="", width=size[0], height=size[1])


def _message(kind: str, data: dict[str, str], *, number: int | None = None) -> str:
    numbered = "" if number is None else f"id: {number}\n"
    return f"{numbered}event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
