"""The gallery: a finished world as a folder of files that opens without a server.

Here: the files, and their images beside them (hard links where the file system allows, else copies). The new folder replaces the
former one when it is complete. Not here: the pages themselves (render.py, the same as the server's).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from generia_assets.pages.links import FileLinks, is_elsewhere, media_file
from generia_assets.pages.render import WorldPages
from generia_assets.queries.asset_views import AssetViews
from generia_assets.queries.feed import FeedOrder, FeedPage, FeedPost, feed_page, posts_of, threads
from generia_assets.queries.people import PeoplePage, people_page, person
from generia_assets.queries.traces import Trace, trace
from generia_assets.queries.worlds import WorldView, world
from resources.mongodb.connection import MongoDatabase

PageT = TypeVar("PageT", FeedPage, PeoplePage)

STATIC = Path(__file__).with_name("static")
MOST_TRACES = 200
"""Posts up to which each post's page has its trace, some 100 KB a page; the served pages have it in any world."""


@dataclass(frozen=True)
class _Writer:
    """Writes the pages of one world into a folder."""

    views: AssetViews
    view: WorldView
    folder: Path
    media: Path

    @cached_property
    def files(self) -> FileLinks:
        """The names of the files."""
        return FileLinks(usual=FeedOrder.usual(growing=self.view.growing))

    def pages(self, up: int = 0) -> WorldPages:
        return WorldPages(self.view, FileLinks(up, self.files.usual))

    def write(self, path: str, html: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(html, "utf-8")

    def picture(self, url: str) -> None:
        """Put an image beside the pages. One that is gone is missing in its page, and the others are written."""
        source, target = self.media.parent / url, self.folder / media_file(url)
        if is_elsewhere(url) or target.exists() or not source.is_file():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, target)


def write_gallery(database: MongoDatabase, world_id: str, *, galleries: Path, media: Path) -> Path:
    """Write the world's pages into a folder of its own and return its index page.

    ``media`` is the folder of the local platform's pictures. Raises ``LookupError`` for a world that nobody ordered, ``OSError``
    when the disk refuses.
    """
    views = AssetViews.of(database, world_id)
    view = world(views)
    if view is None:
        raise LookupError(f"world {world_id}: nobody ordered it here")
    place, unfinished = galleries / world_id, galleries / f".{world_id}.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(STATIC, unfinished / "static")
    writer = _Writer(views, view, unfinished, media)
    _write_feed(writer)
    _write_people(writer)
    writer.write("about.html", writer.pages().about())
    if view.images is not None:
        writer.picture(view.images.header.url)
        writer.picture(view.images.icon.url)
    shutil.rmtree(place, ignore_errors=True)
    unfinished.rename(place)
    return place / "index.html"


def _write_feed(writer: _Writer) -> None:
    people = people_page(writer.views)
    for order in FeedOrder:
        for number, page in enumerate(_all_pages(partial(feed_page, writer.views, order)), start=1):
            onward = writer.files.numbered("index", order, number + 1) if page.after else None
            html = writer.pages().feed(page, people, order=order, first=number == 1, onward=onward, live=None)
            writer.write(writer.files.numbered("index", order, number), html)
            if order is FeedOrder.NEWEST:
                _write_posts(writer, page.posts)


def _write_posts(writer: _Writer, posts: Sequence[FeedPost]) -> None:
    traced = writer.view.status.posts_created <= MOST_TRACES
    around = threads(writer.views, posts)
    for post in posts:
        origin = _trace(writer, post) if traced else None
        writer.write(f"posts/{post.key}.html", writer.pages(1).post(post, around[post.key], origin))
        if post.image is not None:
            writer.picture(post.image.url)


def _trace(writer: _Writer, post: FeedPost) -> Trace | None:
    try:
        return trace(writer.views.database, writer.views.world_id, post.key)
    except LookupError:  # its tasks are gone, the post is not
        return None


def _write_people(writer: _Writer) -> None:
    for number, page in enumerate(_all_pages(partial(people_page, writer.views)), start=1):
        onward = writer.files.numbered("people", number=number + 1) if page.after else None
        writer.write(writer.files.numbered("people", number=number), writer.pages().people(page, onward=onward))
        for card in page.people:
            _write_person(writer, card.key)
            if card.avatar is not None:
                writer.picture(card.avatar.url)


def _write_person(writer: _Writer, key: str) -> None:
    found = person(writer.views, key)
    if found is None:
        return
    for order in FeedOrder:
        for number, page in enumerate(_all_pages(partial(posts_of, writer.views, key, order)), start=1):
            onward = writer.files.numbered(key, order, number + 1) if page.after else None
            html = writer.pages(1).person(found, page, order=order, onward=onward)
            writer.write(f"characters/{writer.files.numbered(key, order, number)}", html)


def _all_pages(read: Callable[..., PageT]) -> Iterator[PageT]:
    """All pages of a list, at least one."""
    after: str | None = ""
    while after is not None:
        page = read(after=after)
        after = page.after
        yield page
