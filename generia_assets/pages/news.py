"""The news of a growing world: server-sent events with HTML of the pages' own templates.

Here: the messages about some events of a world (durable/events/events.py), rendered. Not here: following a world and sending them
(live.py), and the page that shows them (static/pages.js).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from sse_starlette import JSONServerSentEvent, ServerSentEvent

from generia_assets.content.documents import CharacterAvatar, Media
from generia_assets.content.pictures import AVATAR_SIZE, POST_SIZE
from generia_assets.durable.events.events import EVENTS, AnyEvent, CharacterCreated, PostPublished
from generia_assets.durable.status import WorldStatus
from generia_assets.pages.links import ServedLinks
from generia_assets.pages.render import WorldPages
from generia_assets.queries.asset_views import AssetViews
from generia_assets.queries.feed import FeedPost, PostContext, commented_by
from generia_assets.queries.people import PersonCard
from generia_assets.queries.records import read_events
from generia_assets.queries.worlds import over, view_of, world
from resources.mongodb.connection import MongoDatabase, MongoDocument


@dataclass(frozen=True)
class News:
    """The news after an event of a world, the same for every browser that has the events up to it.

    ``messages``: those about events. ``last``: the number of the newest of them. ``places``: the present parts of a page beside
    the posts. ``unpainted``: people of these events who have no portrait yet.
    """

    over: bool
    last: int
    messages: tuple[bytes, ...]
    places: Mapping[str, str]
    title: str
    unpainted: Mapping[str, PersonCard]


def news_of(database: MongoDatabase, status: WorldStatus, after: int, records: Sequence[MongoDocument]) -> News:
    """The news of these events, which come after the one with this number, as a page shows them. Blocks."""
    views = AssetViews.of(database, status.world_id)
    pages = WorldPages(view_of(views, status), ServedLinks(status.world_id), views.unreadable)
    places = {name: pages.fragment(name) for name in ("masthead", "progress", "side")}
    events = [(one.seq, _event(one.event)) for one in read_events(records)]
    posts = [event for _, event in events if isinstance(event, PostPublished)]
    replied = sorted({post.in_reply_to for post in posts if post.in_reply_to})
    context = PostContext.of(views, posts, replied=replied)
    unpainted: dict[str, PersonCard] = {}
    stale = not over(status) and not views["posts"].prefix  # while a world is made again, its stored posts are the former ones
    written = [event.key for _, event in events if isinstance(event, CharacterCreated)]
    messages = [
        as_message("commented", {"key": post.key, "html": pages.fragment("commented", post=post)})
        for post in commented_by(views, [] if stale else written)
    ]
    messages += [_message_about(number, event, pages, context, unpainted) for number, event in events]
    for key in replied:
        html = pages.fragment("replied", key=key, replies=context.replies.get(key, ()))
        messages.append(as_message("replied", {"key": key, "html": html}))
    last = max([after, *(record["seq"] for record in records)])
    return News(over(status), last, tuple(messages), places, pages.title, unpainted)


def portraits_of(database: MongoDatabase, world_id: str, people: Mapping[str, PersonCard]) -> dict[str, bytes]:
    """The messages about those of these people who have a portrait by now, by key. Blocks."""
    views = AssetViews.of(database, world_id)
    view = world(views)
    painted = views["character_avatars"].by_key(CharacterAvatar, list(people)) if view else {}
    if view is None or not painted:
        return {}
    pages, messages = WorldPages(view, ServedLinks(world_id)), {}
    for key, found in painted.items():
        html = pages.fragment("portrait", person=people[key].model_copy(update={"avatar": found.avatar}))
        messages[key] = as_message("portrait", {"key": key, "html": html})
    return messages


def as_message(kind: str, data: dict[str, str], *, number: int | None = None) -> bytes:
    """A server-sent event; after one with a number a browser that was cut off resumes."""
    return JSONServerSentEvent(data, event=kind, id=None if number is None else str(number)).encode()


def _event(body: MongoDocument) -> AnyEvent | None:
    try:
        return EVENTS.validate_python(body)
    except ValidationError:  # an event of a later version than these pages is ignored
        return None


def _message_about(
    number: int, event: AnyEvent | None, pages: WorldPages, context: PostContext, unpainted: dict[str, PersonCard]
) -> bytes:
    """The message about an event; without content if a page shows nothing of it.

    Adds people without a portrait to the unpainted ones.
    """
    match event:
        case CharacterCreated():
            person = _person(event.key, event)
            unpainted[event.key] = person
            return as_message("person", {"key": event.key, "html": pages.fragment("chip", person=person)}, number=number)
        case PostPublished():
            author = _person(event.character_key, event)
            if author.avatar is None:
                unpainted.setdefault(event.character_key, author)
            image = _picture(event.image_url, POST_SIZE)
            own = event.model_dump(include={"post_id", "t", "deleted"})
            html = pages.fragment("card", post=FeedPost(author=author, image=image, **own, **context.fields(event)))
            return as_message("post", {"key": event.key, "html": html}, number=number)
        case _:
            return ServerSentEvent(id=str(number)).encode()


def _person(key: str, event: CharacterCreated | PostPublished) -> PersonCard:
    named = event.model_dump(include={"character_id", "username", "display_name", "bio"})
    return PersonCard(key=key, avatar=_picture(event.avatar_url, AVATAR_SIZE) if event.avatar_url else None, **named)


def _picture(url: str, size: tuple[int, int]) -> Media:
    return Media(media_id="", url=url, prompt="", width=size[0], height=size[1])
