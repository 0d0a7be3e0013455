"""The gallery: a finished world as a folder of files that opens without a server.

Here: the files, and their images beside them (hard links where the file system allows, else copies). The new folder replaces the
former one when it is complete. Not here: the pages themselves (render.py, the same as the server's).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from generia_assets.pages.links import FileLinks, is_elsewhere, media_file
from generia_assets.pages.render import STATIC, WorldPages
from generia_assets.queries.asset_views import AssetViews
from generia_assets.queries.feed import FeedOrder, FeedPage, FeedPost, feed_page, next_to, posts_of, threads
from generia_assets.queries.people import PeoplePage, people_page, person
from generia_assets.queries.traces import trace_if_kept
from generia_assets.queries.worlds import WorldView, world
from resources.mongodb.connection import MongoDatabase
from resources.pictures import link_or_copy

PageT = TypeVar("PageT", FeedPage, PeoplePage)

MOST_TRACES = 200
"""Posts up to which each post's page has its trace, some 100 KB a page; the served pages have it in any world."""


@dataclass(frozen=True)
class _Site:
    """Writes the pages of one world into a folder."""

    views: AssetViews
    view: WorldView
    folder: Path
    media: Path

    @cached_property
    def files(self) -> FileLinks:
        return FileLinks(usual=FeedOrder.usual(growing=self.view.growing))

    def pages(self, up: int = 0) -> WorldPages:
        return WorldPages(self.view, FileLinks(up, self.files.usual))

    def write(self, path: str, html: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(html, "utf-8")

    def picture(self, url: str) -> None:
        """Put an image beside the pages. A missing one is missing in its page, and the others are written."""
        source, target = self.media.parent / url, self.folder / media_file(url)
        if is_elsewhere(url) or target.exists() or not source.is_file():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(source, target)


def write_gallery(database: MongoDatabase, world_id: str, *, galleries: Path, media: Path) -> Path:
    """Write the world's pages into a folder of its own and return its index page.

    ``media`` is the folder of the local platform's pictures. Raises ``LookupError`` for a world that was never ordered,
    ``OSError`` when the disk refuses.
    """
    views = AssetViews.of(database, world_id)
    view = world(views)
    if view is None:
        raise LookupError(f"world {world_id}: nobody ordered it here")
    place, unfinished = galleries / world_id, galleries / f".{world_id}.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(STATIC, unfinished / "static")
    site = _Site(views, view, unfinished, media)
    _write_feed(site)
    _write_people(site)
    site.write("about.html", site.pages().about())
    if view.images is not None:
        site.picture(view.images.header.url)
        site.picture(view.images.icon.url)
    shutil.rmtree(place, ignore_errors=True)
    unfinished.rename(place)
    return place / "index.html"


def _write_feed(site: _Site) -> None:
    people = people_page(site.views)
    tags: dict[str, tuple[str, list[str]]] = {}
    for order in FeedOrder:
        for number, (page, file, onward) in enumerate(_all_pages(site, "index", partial(feed_page, site.views, order), order)):
            site.write(file, site.pages().feed(page, people, order=order, first=number == 0, onward=onward, live=None))
            if order is FeedOrder.NEWEST:
                _write_posts(site, page.posts)
                for post in page.posts:
                    for tag in post.tags:
                        tags.setdefault(site.files.tag_name(tag), (tag, []))[1].append(post.key)
    for tag, keys in tags.values():
        _write_tag(site, tag, keys)


def _write_tag(site: _Site, tag: str, keys: Sequence[str]) -> None:
    name = site.files.tag_name(tag)
    for order in FeedOrder:
        for page, file, onward in _all_pages(site, name, partial(feed_page, site.views, order, keys=keys), order):
            site.write(f"tags/{file}", site.pages(1).tag(tag, page, count=len(keys), order=order, onward=onward))


def _write_posts(site: _Site, posts: Sequence[FeedPost]) -> None:
    traced = site.view.status.posts_created <= MOST_TRACES
    around = threads(site.views, posts)
    for post in posts:
        origin = trace_if_kept(site.views.database, site.views.world_id, post.key) if traced else None
        earlier, later = (next_to(site.views, post.key, order) for order in (FeedOrder.NEWEST, FeedOrder.OLDEST))
        html = site.pages(1).post(post, around[post.key], origin, earlier=earlier, later=later)
        site.write(f"posts/{post.key}.html", html)
        if post.image is not None:
            site.picture(post.image.url)


def _write_people(site: _Site) -> None:
    for page, file, onward in _all_pages(site, "people", partial(people_page, site.views)):
        site.write(file, site.pages().people(page, onward=onward))
        for card in page.people:
            _write_person(site, card.key)
            if card.avatar is not None:
                site.picture(card.avatar.url)


def _write_person(site: _Site, key: str) -> None:
    found = person(site.views, key)
    if found is None:
        return
    for order in FeedOrder:
        for page, file, onward in _all_pages(site, key, partial(posts_of, site.views, key, order), order):
            site.write(f"characters/{file}", site.pages(1).person(found, page, order=order, onward=onward))


def _all_pages(
    site: _Site, name: str, read: Callable[..., PageT], order: FeedOrder | None = None
) -> Iterator[tuple[PageT, str, str | None]]:
    """All pages of a list, at least one, each with the name of its file and of the next page's."""
    after: str | None = ""
    number = 0
    while after is not None:
        page, number = read(after=after), number + 1
        after = page.after
        onward = site.files.numbered(name, order, number + 1) if after else None
        yield page, site.files.numbered(name, order, number), onward
