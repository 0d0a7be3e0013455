"""The server of the worlds' pages: its routes, and the queries of each.

Here: requests to pages. They are plain functions that Starlette runs on its threads, since reading and rendering block; only the
live feed (live.py) runs on the event loop. Not here: headers, files and errors (answers.py), and
starting the server (cli/commands/view.py).
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, urlencode

import pymongo
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from generia_assets.known_hosts import KnownHosts
from generia_assets.pages import render
from generia_assets.pages.answers import ERRORS, HEADERS_OF_ALL, PICTURE_TYPES, STATIC_TYPES, file, html
from generia_assets.pages.links import ServedLinks
from generia_assets.pages.live import ANSWER_S, LiveFeed, last_number
from generia_assets.pages.metrics import CONTENT_TYPE, Metrics
from generia_assets.pages.render import STATIC, Search, WorldPages
from generia_assets.queries.asset_views import AssetViews, consistent_read
from generia_assets.queries.feed import FeedOrder, FeedPage, feed_page, next_to, post, posts_of, threads
from generia_assets.queries.people import PeoplePage, people_found, people_page, person
from generia_assets.queries.search import LONGEST_QUERY, PostQuery, found_keys, popular_hashtags, terms
from generia_assets.queries.traces import trace_if_kept
from generia_assets.queries.worlds import WorldQuery, WorldState, WorldView, languages_of_worlds, world, worlds_named, worlds_page
from resources.gateway.waits import milliseconds_since
from resources.mongodb.connection import connect, connect_async
from resources.mongodb.stored import Moment

logger = logging.getLogger(__name__)

_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)
POPULAR = 24
"""Hashtags and people that a search suggests."""


@dataclass(frozen=True)
class Source:
    """The source of the pages: a database, by its address, and the folder of the local platform's pictures.

    ``hosts``: the names, beside those of loopback, by which browsers may ask for the pages. Any other name is refused: it may be a
    foreign page's own that resolves to this server (DNS rebinding). ``public_url``: where people reach the pages, for links that
    other sites follow; '' is the name by which a request asked.
    """

    mongodb_uri: str
    database: str
    media: Path
    hosts: tuple[str, ...] = ()
    public_url: str = ""


def pages_app(source: Source, *, closing: Callable[[], bool] = lambda: False) -> Starlette:
    """The application. ``closing``: whether the server shuts down; open live feeds then end, too."""

    @asynccontextmanager
    async def connected(app: Starlette) -> AsyncIterator[None]:
        with connect(source.mongodb_uri) as client:
            async with connect_async(source.mongodb_uri) as live_client:
                app.state.database = client[source.database]
                app.state.live = LiveFeed(live_client[source.database], client[source.database], closing)
                app.state.source = source
                app.state.metrics = Metrics(client[source.database])
                yield

    no_page = _of_world(lambda _request, _found: None, missing="missing_page")
    routes = [
        Route("/", _bounded(_worlds)),
        Route("/worlds/{world_id}", _of_world(_feed)),
        Route("/worlds/{world_id}/search", _of_world(_search)),
        Route("/worlds/{world_id}/tags/{tag:path}", _of_world(_tag)),
        Route("/worlds/{world_id}/people", _of_world(_people)),
        Route("/worlds/{world_id}/about", _of_world(lambda _, found: found.pages.about())),
        Route("/worlds/{world_id}/characters/{key}", _of_world(_person, missing="missing_person")),
        Route("/worlds/{world_id}/posts/{key}", _of_world(_post, missing="missing_post")),
        Route("/worlds/{world_id}/live", _live),
        Route("/worlds/{world_id}/{page}", no_page),
        Route("/worlds/{world_id}/{folder}/{page}", no_page),
        Route("/media/{path:path}", _picture),
        Route("/static/{name}", _static),
        Route("/health", _bounded(_health)),
        Route("/metrics", _bounded(_metrics)),
    ]
    # Pictures and the live feed are left as they are.
    middleware = [HEADERS_OF_ALL, Middleware(GZipMiddleware, compresslevel=6), Middleware(KnownHosts, allowed=source.hosts)]
    return Starlette(routes=routes, middleware=middleware, exception_handlers=ERRORS, lifespan=connected)


def _bounded(page: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """The page with a time limit, ``ANSWER_S``, after which it answers with an error."""

    @functools.wraps(page)
    def answer(request: Request) -> Response:
        began = time.monotonic()
        with pymongo.timeout(ANSWER_S):
            response = page(request)
        logger.debug("page %s: %d in %d ms", request.url.path, response.status_code, milliseconds_since(began))
        return response

    return answer


@dataclass(frozen=True)
class _World:
    """The world that a request asks for, in one consistent read.

    ``order``: of the posts, the usual one where the request has no other. ``after``: the key of the item to go after.
    """

    views: AssetViews
    view: WorldView
    links: ServedLinks
    pages: WorldPages
    order: FeedOrder
    after: str


def _of_world(page: Callable[[Request, _World], str | None], *, missing: str = "") -> Callable[[Request], Response]:
    """The page of a world as an answer; for None a 404 with the message ``missing``. Raises a 404 for an unknown world.

    A word that commands take for one world (its name, the beginning of its id, ``last``) leads to the page of that world.
    """

    def answer(request: Request) -> Response:
        def read(views: AssetViews) -> Response:
            if (view := world(views)) is None:
                return _redirect(request)
            source: Source = request.app.state.source
            # Only a known host comes this far (known_hosts.py): nobody makes the page lead to a stranger's.
            here = f"{request.url.scheme}://{request.headers['host']}"
            links = ServedLinks(views.world_id, source.public_url or here)
            wanted = request.query_params.get("order", "")
            order = FeedOrder(wanted) if wanted in set(FeedOrder) else FeedOrder.usual(growing=view.growing)
            pages = WorldPages(view, links, views.unreadable)
            found = _World(views, view, links, pages, order, request.query_params.get("after", ""))
            body = page(request, found)
            return html(body) if body is not None else html(found.pages.missing(missing), 404)

        return consistent_read(request.app.state.database, request.path_params["world_id"], read)

    return _bounded(answer)


def _redirect(request: Request) -> Response:
    """To the same page of the one world that the word in this address means. Raises a 404 where none or several fit."""
    word, *rest = request.scope["path"].removeprefix("/worlds/").split("/", 1)
    found = worlds_named(request.app.state.database, word, limit=2) if len(word) <= LONGEST_QUERY and "\0" not in word else []
    if len(found) != 1:
        raise HTTPException(404, "There is no such world here.")
    address = "/".join([ServedLinks(found[0].world_id).feed(), *map(quote, rest)])
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{address}{query}", headers={"cache-control": "no-store"})


def _worlds(request: Request) -> Response:
    database, asked = request.app.state.database, request.query_params
    state = asked.get("state", "")
    query = WorldQuery(asked.get("q", ""), WorldState(state) if state in set(WorldState) else None, asked.get("language", ""))
    page = worlds_page(database, query, before=_moment(asked.get("before", "")))
    given = {name: value for name in ("q", "state", "language") if (value := asked.get(name))}
    older = f"/?{urlencode({**given, 'before': page.before.isoformat()})}" if page.before else None
    return html(render.worlds(page, ServedLinks(""), query=query, languages=languages_of_worlds(database), older=older))


def _feed(request: Request, found: _World) -> str:
    last = last_number(found.views.database, found.views.world_id)  # before the documents: later events are sent as news
    page = feed_page(found.views, found.order, after=found.after)
    address, first = found.links.feed(), not found.after
    live = f"{address}/live?after={last}" if found.view.growing and first else None
    people = people_page(found.views) if first else PeoplePage()  # new posts are inserted above the first posts only
    return found.pages.feed(page, people, order=found.order, first=first, onward=_onward(address, found, page), live=live)


def _tag(request: Request, found: _World) -> str:
    tag = request.path_params["tag"]
    keys = found_keys(found.views, PostQuery(tag=tag), found.order.direction)
    page, count = feed_page(found.views, found.order, keys=keys, after=found.after), found.views["post_images"].count_of(keys)
    return found.pages.tag(tag, page, count=count, order=found.order, onward=_onward(found.links.tag(tag), found, page))


def _search(request: Request, found: _World) -> str:
    text, by = (request.query_params.get(name, "")[:LONGEST_QUERY].strip() for name in ("q", "by"))
    views, known = found.views, people_page(found.views).people
    search = Search(text, by, found.order, known)
    if not (terms(text) or by):
        return found.pages.search(replace(search, hashtags=popular_hashtags(views, POPULAR)))
    people = people_found(views, by.removeprefix("@") or text, POPULAR)
    if by and len(people) != 1:
        return found.pages.search(replace(search, people=people, unclear=True))
    keys = found_keys(views, PostQuery(text, person=people[0].key if by else ""), found.order.direction)
    page = feed_page(views, found.order, keys=keys, after=found.after)
    onward = _onward(found.links.search(q=text, by=by), found, page)
    count = views["post_images"].count_of(keys)
    return found.pages.search(replace(search, people=() if by else people, found=page, count=count, onward=onward))


def _people(request: Request, found: _World) -> str:
    page = people_page(found.views, after=found.after)
    return found.pages.people(page, onward=f"{found.links.people()}?after={quote(page.after)}" if page.after else None)


def _person(request: Request, found: _World) -> str | None:
    key = request.path_params["key"]
    shown = person(found.views, key)
    if shown is None:
        return None
    page = posts_of(found.views, key, found.order, after=found.after)
    return found.pages.person(shown, page, order=found.order, onward=_onward(found.links.person(key), found, page))


def _post(request: Request, found: _World) -> str | None:
    key = request.path_params["key"]
    shown = post(found.views, key)
    if shown is None:
        return None
    origin = trace_if_kept(found.views.database, found.views.world_id, key)
    earlier, later = (next_to(found.views, key, order) for order in (FeedOrder.NEWEST, FeedOrder.OLDEST))
    return found.pages.post(shown, threads(found.views, [shown])[key], origin, earlier=earlier, later=later)


async def _live(request: Request) -> Response:
    live: LiveFeed = request.app.state.live
    return await live.answer(request)


def _picture(request: Request) -> Response:
    source: Source = request.app.state.source
    return file(source.media, request.path_params["path"], PICTURE_TYPES)


def _static(request: Request) -> Response:
    return file(STATIC, request.path_params["name"], STATIC_TYPES)


def _health(request: Request) -> Response:
    request.app.state.database.command("ping")
    return PlainTextResponse("ok")


def _metrics(request: Request) -> Response:
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.text(), media_type=CONTENT_TYPE, headers={"cache-control": "no-store"})


def _onward(address: str, found: _World, page: FeedPage) -> str | None:
    """The address of the list's next page, in the same order."""
    separator = "&" if "?" in address else "?"
    return f"{address}{separator}{urlencode({'order': found.order.value, 'after': page.after})}" if page.after else None


def _moment(text: str) -> datetime | None:
    """The moment in a link to older worlds, None without one. Raises a 400 for anything else."""
    try:
        return _MOMENT.validate_python(text) if text else None
    except ValidationError:
        raise HTTPException(400, "This link's moment is none: before=… is a date and time with a time zone.") from None
