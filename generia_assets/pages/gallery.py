"""The gallery: a finished world as a folder of files that opens without a server.

Here: which files there are, and their pictures beside them (hard links where the file system allows, else copies). The new folder
takes the place of the former one when it is whole. Not here: the pages themselves (pages.py, the same as the server's).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from generia_assets.pages.links import FileLinks, is_elsewhere, media_file, numbered
from generia_assets.pages.pages import WorldPages
from generia_assets.queries.feed import FeedOrder, FeedPage, FeedPost, feed_page, posts_of, threads
from generia_assets.queries.people import PeoplePage, people_page, person
from generia_assets.queries.shelves import AssetViews
from generia_assets.queries.traces import Trace, trace
from generia_assets.queries.worlds import WorldView, world
from resources.mongodb.connection import MongoDatabase

STATIC = Path(__file__).with_name("static")
MOST_TRACES = 200
"""Posts up to which each post's page tells where it came from, some 100 KB a page; the served pages tell it of any world."""


@dataclass(frozen=True)
class _Writer:
    """One world on its way into a folder."""

    shelves: AssetViews
    view: WorldView
    folder: Path
    media: Path

    def pages(self, up: int = 0) -> WorldPages:
        return WorldPages(self.view, FileLinks(up))

    def write(self, path: str, html: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(html, "utf-8")

    def picture(self, url: str) -> None:
        """Put a picture beside the pages; one that is gone stays a hole in a page, not the end of all of them."""
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
    shelves = AssetViews.of(database, world_id)
    view = world(shelves)
    if view is None:
        raise LookupError(f"world {world_id}: nobody ordered it here")
    place, unfinished = galleries / world_id, galleries / f".{world_id}.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(STATIC, unfinished / "static")
    writer = _Writer(shelves, view, unfinished, media)
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
    people = people_page(writer.shelves)
    for order in FeedOrder:
        for number, page in enumerate(_feed_pages(partial(feed_page, writer.shelves, order)), start=1):
            onward = numbered("index", order, number + 1) if page.after else None
            html = writer.pages().feed(page, people, order=order, first=number == 1, onward=onward, live=None)
            writer.write(numbered("index", order, number), html)
            if order is FeedOrder.NEWEST:
                _write_posts(writer, page.posts)


def _write_posts(writer: _Writer, posts: Sequence[FeedPost]) -> None:
    traced = writer.view.status.posts_created <= MOST_TRACES
    around = threads(writer.shelves, posts)
    for post in posts:
        origin = _trace(writer, post) if traced else None
        writer.write(f"posts/{post.key}.html", writer.pages(1).post(post, around[post.key], origin))
        if post.image is not None:
            writer.picture(post.image.url)


def _trace(writer: _Writer, post: FeedPost) -> Trace | None:
    try:
        return trace(writer.shelves.database, writer.shelves.world_id, post.key)
    except LookupError:  # its tasks are gone, the post is not
        return None


def _write_people(writer: _Writer) -> None:
    for number, page in enumerate(_people_pages(writer.shelves), start=1):
        onward = numbered("people", number=number + 1) if page.after else None
        writer.write(numbered("people", number=number), writer.pages().people(page, onward=onward))
        for card in page.people:
            _write_person(writer, card.key)
            if card.avatar is not None:
                writer.picture(card.avatar.url)


def _write_person(writer: _Writer, key: str) -> None:
    found = person(writer.shelves, key)
    if found is None:
        return
    for order in FeedOrder:
        for number, page in enumerate(_feed_pages(partial(posts_of, writer.shelves, key, order)), start=1):
            onward = numbered(key, order, number + 1) if page.after else None
            html = writer.pages(1).person(found, page, order=order, onward=onward)
            writer.write(f"characters/{numbered(key, order, number)}", html)


def _feed_pages(read: Callable[..., FeedPage]) -> Iterator[FeedPage]:
    """All pages of a feed, at least one."""
    after: str | None = ""
    while after is not None:
        page = read(after=after)
        after = page.after
        yield page


def _people_pages(shelves: AssetViews) -> Iterator[PeoplePage]:
    after: str | None = ""
    while after is not None:
        page = people_page(shelves, after=after)
        after = page.after
        yield page
