"""The live feed of a growing world, by server-sent events: progress, new people, new posts, as HTML of the pages' own templates.

Here: following the world's events (durable/events.py) and its status record for one browser until the world is finished, the
browser is gone or the server ends. An event's number is the message's id: a browser that was cut off goes on after the last one it
got. Nothing blocks the event loop: what reads much or renders runs on a thread. Not here: the page that shows it
(static/pages.js).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pymongo
from pydantic import ValidationError
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import PyMongoError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from generia_assets.content.documents import CharacterAvatar, Media
from generia_assets.content.pictures import AVATAR_SIZE, POST_SIZE
from generia_assets.durable.collections import STATUS, WORLD_EVENTS
from generia_assets.durable.events import EVENTS, AnyEvent, CharacterCreated, PostPublished
from generia_assets.durable.status import WorldStatus
from generia_assets.pages.links import ServedLinks
from generia_assets.pages.pages import WorldPages
from generia_assets.reading.feed import FeedPost
from generia_assets.reading.people import PersonCard, keys_by_username
from generia_assets.reading.shelves import Shelves
from generia_assets.reading.worlds import over, world
from resources.mongo import AsyncMongoDatabase, MongoDatabase, MongoDocument

LOOK_S = 0.2
"""How often a world is looked at; the longest that a published post takes to be on its way."""
PORTRAITS_S = 1.0
ANSWER_S = 8.0
"""Nobody waits longer for MongoDB: then it does not answer."""
MOST_EVENTS = 200
"""Events taken at once, so that a browser that comes late does not hold up the others."""
HEARTBEAT_S = 10.0
RECONNECT_MS = 1000
AFTER_OUTAGE_MS = 5000


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
    status: WorldStatus | None = None

    def expects_news(self, status: WorldStatus | None) -> bool:
        """Whether something may have changed beside events: the status record did, or portraits are being painted."""
        before, self.status = self.status, status
        return status != before or bool(self.unpainted)


class LiveFeed:
    """The live feeds of all worlds. The asynchronous client is the event loop's, the other one the threads'."""

    def __init__(self, events: AsyncMongoDatabase, database: MongoDatabase, closing: Callable[[], bool]) -> None:
        self._events = events
        self._database = database
        self._closing = closing

    async def answer(self, request: Request) -> Response:
        """The stream, or 204, which tells a browser not to come again: the world is finished, or there is none."""
        world_id = str(request.path_params["world_id"])
        asked = request.headers.get("last-event-id") or request.query_params.get("after", "")
        after = int(asked) if asked.isdecimal() and len(asked) < 16 else 0
        try:
            with pymongo.timeout(ANSWER_S):
                status = await self._status(world_id)
                nothing_to_come = status is None or (over(status) and not await self._new_events(world_id, after))
        except PyMongoError:  # an outage: after an error a browser would never come again
            return Response(f"retry: {AFTER_OUTAGE_MS}\n\n", media_type="text/event-stream", headers={"cache-control": "no-store"})
        if nothing_to_come:
            return Response(status_code=204)
        return StreamingResponse(
            self._told(request, Follower(world_id, after)),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def _told(self, request: Request, follower: Follower) -> AsyncIterator[str]:
        yield f"retry: {RECONNECT_MS}\n\n"
        spoke = time.monotonic()
        while not self._closing() and not await request.is_disconnected():
            began = time.monotonic()
            try:
                with pymongo.timeout(ANSWER_S):
                    status = await self._status(follower.world_id)  # before the events: when it is over, they are all there
                    events = await self._new_events(follower.world_id, follower.after)
                    changed = events or follower.expects_news(status)
                    messages = await run_in_threadpool(self._messages, follower, events) if changed else []
            except PyMongoError:  # an outage: the browser comes again, and goes on where it was
                return
            for message in messages:
                yield message
                spoke = began
            if (status is None or over(status)) and not events:
                yield _message("end", {})
                return
            if began - spoke > HEARTBEAT_S:
                yield ": still here\n\n"
                spoke = began
            if len(events) < MOST_EVENTS:
                await asyncio.sleep(LOOK_S)

    async def _status(self, world_id: str) -> WorldStatus | None:
        found = await self._events[STATUS].find_one({"_id": world_id})
        return None if found is None else WorldStatus.model_validate(found)

    async def _new_events(self, world_id: str, after: int) -> list[MongoDocument]:
        wanted = {"world_id": world_id, "seq": {"$gt": after}}
        return await self._events[WORLD_EVENTS].find(wanted).sort("seq", ASCENDING).limit(MOST_EVENTS).to_list()

    def _messages(self, follower: Follower, records: list[MongoDocument]) -> list[str]:
        """What to tell of these events, and what changed beside them. Blocks."""
        shelves = Shelves.of(self._database, follower.world_id)
        view = world(shelves)
        if view is None:
            return []
        pages = WorldPages(view, ServedLinks(follower.world_id))
        messages = []
        mentioned: set[str] = set()
        events = [(record["seq"], _event(record["event"])) for record in records]
        for _, event in events:
            if isinstance(event, PostPublished):
                mentioned.update(event.mentions)
        keys = keys_by_username(shelves, mentioned)
        for number, event in events:
            told = _told_of(event, pages, keys, follower)
            follower.after = number
            messages.append(_message(*told, number=number) if told else f"id: {number}\n\n")
        for place, html in (("masthead", pages.masthead()), ("progress", pages.progress()), ("side", pages.side())):
            if follower.shown.get(place) != html:
                follower.shown[place] = html
                messages.append(_message(place, {"html": html, "title": pages.title}))
        return messages + self._portraits(follower, shelves, pages)

    def _portraits(self, follower: Follower, shelves: Shelves, pages: WorldPages) -> list[str]:
        """The portraits that were painted since: no event tells of them."""
        if not follower.unpainted or time.monotonic() - follower.portraits_at < PORTRAITS_S:
            return []
        follower.portraits_at = time.monotonic()
        painted = shelves["character_avatars"].by_key(CharacterAvatar, list(follower.unpainted))
        messages = []
        for key, found in painted.items():
            person = follower.unpainted.pop(key).model_copy(update={"avatar": found.avatar})
            messages.append(_message("portrait", {"key": key, "html": pages.portrait(person)}))
        return messages


def _event(body: MongoDocument) -> AnyEvent | None:
    try:
        return EVENTS.validate_python(body)
    except ValidationError:  # of a later version than these pages: a reader ignores what it does not know
        return None


def _told_of(
    event: AnyEvent | None, pages: WorldPages, keys: dict[str, str], follower: Follower
) -> tuple[str, dict[str, str]] | None:
    """The message about an event, if a page shows anything of it."""
    match event:
        case CharacterCreated():
            person = _person(event.key, event, bio=event.bio)
            follower.unpainted[event.key] = person
            return "person", {"key": event.key, "html": pages.person_chip(person)}
        case PostPublished():
            author = _person(event.character_key, event)
            if author.avatar is None:
                follower.unpainted.setdefault(event.character_key, author)
            return "post", {"key": event.key, "html": pages.post_card(_post(event, author, keys))}
        case _:
            return None


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
