"""Reading the feed from MongoDB: its order, its pages while posts arrive, its threads, and one materialization at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generia_assets.catalog import ASSETS
from generia_assets.content.documents import PostImage
from generia_assets.durable.collections import TASKS
from generia_assets.queries.asset_views import AssetViews, consistent_read
from generia_assets.queries.feed import FeedOrder, FeedPage, commented_by, feed_page, post, posts_by_key, threads
from resources.mongodb.document_store import DocumentStream
from tests.support.databases import database_with_indexes
from tests.support.pages_world import MadeUp


@pytest.fixture(scope="module")
def database(mongo_client: Any) -> Iterator[Any]:
    with database_with_indexes(mongo_client) as name:
        yield mongo_client[name]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("feed") / "media"


@pytest.mark.parametrize("order", FeedOrder)
@pytest.mark.parametrize("timeless", [False, True])
@pytest.mark.parametrize("growing", [False, True])
def test_new_posts_do_not_move_the_pages_of_the_feed(
    database: Any, media: Path, order: FeedOrder, timeless: bool, growing: bool
) -> None:
    """The next page continues after the last shown post, in each order; in an old world without a timeline also among posts of the
    same moment. This holds while a world grows and when it is finished."""
    world = MadeUp(database, media, users=4, posts=30)
    documents = dict(world.documents())
    documents["post_images"] = [world.published(world.post_key(index), index // 10 if timeless else 0) for index in range(30)]
    late = [documents["post_images"].pop(index) for index in (29, 14)]
    if growing:
        world.begin(documents)
    else:
        world.make(documents=documents)
    if timeless:
        forget_the_timeline(world)
    views = AssetViews.of(database, world.world_id)
    pages: list[FeedPage] = [feed_page(views, order, limit=7)]
    arrived = False
    while pages[-1].after:
        if not arrived:
            arrived = True
            add(world, late, growing=growing, timeless=timeless)
        pages.append(feed_page(views, order, after=pages[-1].after, limit=7))
    keys = [post.key for page in pages for post in page.posts]
    assert len(keys) == len(set(keys))
    missed = {world.post_key(29)} if order is FeedOrder.NEWEST else set()  # it belongs above the shown posts
    assert {world.post_key(index) for index in range(30)} - set(keys) == missed
    if not timeless:
        assert [world.index_of(key) for key in keys] == sorted(map(world.index_of, keys), reverse=order is FeedOrder.NEWEST)


def test_the_posts_of_an_old_world_keep_their_order(database: Any, media: Path) -> None:
    """Without a timeline posts are ordered by the time of publication; posts of one author that were published out of order are put
    in the author's order, all others keep their places."""
    world = MadeUp(database, media, users=2, posts=6).make()
    overtaking = ["c0000-p0002", "c0001-p0000", "c0000-p0000", "c0000-p0001", "c0001-p0002", "c0001-p0001"]
    world.keep("post_images", [world.published(key, second) for second, key in enumerate(overtaking)])
    forget_the_timeline(world)
    views = AssetViews.of(database, world.world_id)
    expected = ["c0001-p0002", "c0001-p0001", "c0000-p0002", "c0000-p0001", "c0001-p0000", "c0000-p0000"]
    for order in FeedOrder:
        assert [post.key for post in feed_page(views, order).posts] == expected[:: -order.direction]


@pytest.mark.parametrize("order", FeedOrder)
def test_a_world_begun_without_a_timeline_has_every_post_once(database: Any, media: Path, order: FeedOrder) -> None:
    """Posts without a place in the timeline come before those with one, and each page continues where the last one ended."""
    world = MadeUp(database, media, users=4, posts=12).make()
    early = {"world_id": world.world_id, "t": {"$lt": 6}}
    database["post_images"].update_many(early, {"$unset": {"t": 1}})
    views = AssetViews.of(database, world.world_id)
    keys, after = list[str](), ""
    while len(keys) < 12:
        page = feed_page(views, order, after=after, limit=1)
        keys, after = [*keys, *(one.key for one in page.posts)], page.after or ""
    assert after == ""
    assert keys == [world.post_key(index) for index in range(12)][:: order.direction]


def forget_the_timeline(world: MadeUp) -> None:
    """Make the world like one from before the timeline existed."""
    for collection, field in (("posts", "t"), ("post_images", "t"), (TASKS, "result.t")):
        world.database[collection].update_many({"world_id": world.world_id}, {"$unset": {field: 1}})


def add(world: MadeUp, late: list[PostImage], *, growing: bool, timeless: bool) -> None:
    """Publish these posts beside those that are there."""
    made = [one.model_dump(mode="json" if growing else "python", exclude={"t"} if timeless else None) for one in late]
    collection = world.database[TASKS if growing else "post_images"]
    beside = collection.find_one({"world_id": world.world_id, **({"type": "generate_post_image"} if growing else {})})
    for one in made:
        new = {**beside, "_id": f"late {one['key']} of {world.world_id}"}
        collection.insert_one({**new, "key": one["key"], "result": one} if growing else {**new, **one})


def test_a_thread_has_the_posts_above_and_below(database: Any, media: Path) -> None:
    """Above a post are the posts that it answers, from the first of the thread on, and below it all replies, in the order of the
    world. A quote keeps its original text, with a mark if the post was rewritten. Unpublished texts are not shown."""
    world = MadeUp(database, media, users=5, posts=30).make()
    first, second, third = (world.post_key(index) for index in (13, 14, 15))
    views = AssetViews.of(database, world.world_id)
    posts = {found.key: found for found in posts_by_key(views, [first, second, third])}
    found = threads(views, posts.values())
    assert [one.key for one in found[third].above] == [first, second]
    assert [one.key for one in found[first].below] == [second, third]
    assert [one.key for one in found[second].above] == [first] and [one.key for one in found[second].below] == [third]
    assert posts[first].replies[0].key == second and posts[first].in_reply_to is None
    quoted = posts[second].in_reply_to
    assert quoted is not None and (quoted.content, quoted.rewritten) == (world.post(first).content, False)
    rewritten = post(views, world.post_key(19))
    assert rewritten is not None and rewritten.in_reply_to is not None and rewritten.in_reply_to.rewritten
    database["post_images"].delete_one({"world_id": world.world_id, "key": second})
    assert (post(views, first) or rewritten).replies == ()


def test_comments_of_existing_people_are_shown(database: Any, media: Path) -> None:
    """They are in order, with the card of the author; a comment by a person who is not written yet is left out."""
    world = MadeUp(database, media, users=5, posts=30).make()
    key = world.post_key(3)
    views = AssetViews.of(database, world.world_id)
    found = post(views, key)
    assert found is not None
    written = [(one.character, one.content) for one in world.post(key).comments]
    assert [(one.author.key, one.content) for one in found.comments] == written and len(written) == 2
    assert [one.key for one in commented_by(views, [written[0][0]])] == [world.post_key(index) for index in (3, 13, 23)]
    database["characters"].delete_one({"world_id": world.world_id, "key": written[0][0]})
    found = post(views, key)
    assert found is not None and [(one.author.key, one.content) for one in found.comments] == written[1:]


def test_a_read_never_mixes_two_materializations(database: Any, media: Path) -> None:
    """When an asset is replaced during a read, the read starts again with the new one."""
    world = MadeUp(database, media, users=2, posts=4).make()
    reads = 0

    def read(views: AssetViews) -> list[str]:
        nonlocal reads
        reads += 1
        if reads == 1:
            newer = DocumentStream([world.published("c0000-p0000", 9)])
            world.store.replace(ASSETS["post_images"], world.world_id, "run-2", newer)
        return [post.key for post in feed_page(views).posts]

    assert consistent_read(database, world.world_id, read) == ["c0000-p0000"]
    assert reads == 2
