"""The page of a growing world in Chromium: new items, the posts that a growing page removes, and an outage of the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from generia_assets.content.documents import Comment
from generia_assets.durable.collections import STATUS, TASKS, WORLD_EVENTS
from generia_assets.durable.events.events import Completed, Waiting, character_created, post_published
from generia_assets.durable.status import State, status_of
from generia_assets.pages.news import news_of
from generia_assets.queries.people import PEOPLE_PAGE
from tests.support.pages_site import Site, a_page, a_site, serving
from tests.support.pages_world import SCRIPT, MadeUp
from tests.support.waiting import PATIENCE_S

expect.set_options(timeout=PATIENCE_S * 1000)
MOST_POSTS = 300
"""In a page that only grows (static/pages.js)."""
FEWER_POSTS = 100
"""The bound of a page in tests that need not draw so many."""


@pytest.fixture(scope="module")
def site(mongo_client: Any, mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with a_site(mongo_client, mongodb_uri, tmp_path_factory.mktemp("growing")) as site:
        yield site


def publish(world: MadeUp, index: int, *, made: int = 0) -> None:
    """Write the event that this post of the world was published, as number ``made``."""
    key = world.post_key(index)
    author = world.character(index % world.users)
    world.tell(post_published(author, world.post(key), world.published(key, index), None), posts_created=made or index + 1)


def shown(page: Page) -> list[str]:
    """The keys of the page's posts, from the top."""
    keys: list[str] = page.locator("[data-post-id]").evaluate_all("all => all.map(one => one.dataset.key)")
    return keys


def keep_fewer_posts(page: Page) -> None:
    """From the next page on, its bound is ``FEWER_POSTS``."""

    def answer(route: Route) -> None:
        served = route.fetch()
        script = served.text().replace(f"MOST_POSTS = {MOST_POSTS};", f"MOST_POSTS = {FEWER_POSTS};")
        assert script != served.text()
        route.fulfill(response=served, body=script)

    page.route("**/pages.js*", answer)


def test_the_page_of_a_growing_world_shows_new_items_without_a_reload(browser: Browser, site: Site) -> None:
    """It shows name, pictures, people, portraits, posts at the top, the awaited service, and the end; texts stay text."""
    world = site.world(users=2, posts=2)
    world.say(State.PENDING, name="")
    with a_page(browser) as page:
        page.goto(site.page_of(world))
        expect(page.locator("#empty")).to_be_visible()
        page.evaluate("window.here = true")
        world.keep("world_description", [world.description()])
        world.tell(character_created(world.character(0)), status="in_progress", name="tortoise town", users_created=1)
        expect(page.locator(".world-name")).to_have_text("tortoise town")
        expect(page.locator("[data-character=c0000] .avatar img")).to_have_count(0)
        world.keep("characters", [world.character(0)])
        world.keep("character_avatars", [world.avatar(0)])
        expect(page.locator("[data-character=c0000] .avatar img")).to_have_count(1)
        for number in range(2):
            key = f"c0000-p{number:04d}"
            event = post_published(world.character(0), world.post(key), world.published(key, number), None)
            world.tell(event, posts_created=number + 1)
            expect(page.locator("[data-post-id]").first).to_have_attribute("data-post-id", f"post-{key}")
        expect(page.locator("#progress")).to_contain_text("2 / 2")
        expect(page.locator("[data-post-id]").first).to_contain_text(SCRIPT)
        world.tell(Waiting(api="llm", reason=SCRIPT), waiting_for={"api": "llm", "reason": SCRIPT, "since": "2026-01-01T00:00:00Z"})
        expect(page.locator("#progress")).to_contain_text(SCRIPT)
        world.tell(Completed(), status="completed", waiting_for=None)
        expect(page.locator("#progress")).to_contain_text("Completed.")
        assert page.evaluate("window.here") is True
        assert page.locator("#empty").count() == 0
        assert page.title() != "owned"


def test_a_new_reply_is_counted_without_a_reload(browser: Browser, site: Site) -> None:
    """A new reply quotes its post, and that post shows it at once; a post of an earlier place is inserted there."""
    world = site.world(users=5, posts=10).begin()
    with a_page(browser) as page:
        world.say(State.IN_PROGRESS, generation=f"{world.world_id}:1")
        world.database[TASKS].update_many(
            {"world_id": world.world_id, "type": "generate_post_image"}, {"$set": {"status": "pending"}}
        )
        page.goto(site.page_of(world))
        expect(page.locator("#empty")).to_be_visible()
        for index in (3, 5, 4):
            done = {"world_id": world.world_id, "type": "generate_post_image", "key": world.post_key(index)}
            world.database[TASKS].update_one(done, {"$set": {"status": "completed"}})
            publish(world, index)
            expect(page.locator(f"[data-key={world.post_key(index)}]")).to_be_visible()  # so that each arrives alone
        assert shown(page) == [world.post_key(index) for index in (5, 4, 3)]
        expect(page.locator(f"[data-key={world.post_key(4)}] .quote")).to_contain_text(f"tortoise {world.post_key(3)}")
        for answered in (3, 4):
            expect(page.locator(f"[data-key={world.post_key(answered)}] .actions")).to_contain_text(
                f"tortoise {world.post_key(answered + 1)}"
            )
            expect(page.locator(f"[data-key={world.post_key(answered)}] .replies")).to_contain_text("1 reply")
        expect(page.locator(f"[data-key={world.post_key(5)}] .replies")).to_contain_text("0 replies")


def test_a_comment_appears_when_its_author_exists(browser: Browser, site: Site) -> None:
    """Without a reload a comment of a new person is inserted at its place among the others, on shown posts and on posts that wait
    while somebody reads."""
    world = site.world(users=5, posts=10)
    documents, late = dict(world.documents()), world.character(4)
    said = [Comment(character=late.key, username=late.username, content=f"Number {number} {SCRIPT}") for number in range(4)]
    by_author = world.post(world.post_key(3)).comments[1]
    of = {world.post_key(2): said[:1], world.post_key(8): said[1:2], world.post_key(3): [said[2], by_author, said[3]]}
    documents["posts"] = [one.model_copy(update={"comments": tuple(of.get(one.key, ()))}) for one in documents["posts"]]
    world.begin(documents)
    not_yet = [{"type": "generate_character", "key": late.key}, {"type": "generate_post_image", "key": world.post_key(8)}]
    tasks, of_world = world.database[TASKS], {"world_id": world.world_id}
    tasks.update_many({**of_world, "$or": not_yet}, {"$set": {"status": "pending"}})
    with a_page(browser) as page:
        page.goto(site.page_of(world))
        page.locator(f"[data-key={world.post_key(2)}]").scroll_into_view_if_needed()
        expect(page.locator(".answers .said")).to_have_count(1)
        tasks.update_one({**of_world, **not_yet[1]}, {"$set": {"status": "completed"}})
        post = next(one for one in documents["posts"] if one.key == world.post_key(8))
        world.tell(post_published(world.character(3), post, world.published(post.key, 8), None))
        expect(page.locator(".news")).to_have_text("New posts: 1")
        tasks.update_one({**of_world, **not_yet[0]}, {"$set": {"status": "completed"}})
        world.tell(character_created(late))
        expect(page.locator(".answers .said")).to_have_count(4)
        page.locator(".news a").click()
        for key, comments in of.items():
            texts = [f"{world.character(int(one.username[-1])).display_name} {one.content}" for one in comments]
            expect(page.locator(f"[data-key={key}] .answers .said > :last-child")).to_have_text(texts)
        assert page.title() != "owned"


@pytest.mark.parametrize(("state", "expected"), [(State.COMPLETED, 1), (State.IN_PROGRESS, 0)])
def test_old_comments_are_not_sent_again(site: Site, state: State, expected: int) -> None:
    """While a world is made again, its stored posts are the former ones; the live feed of a finished world has its comments."""
    world = site.world(users=5, posts=10).make(state)
    world.tell(character_created(world.character(4)))
    status = status_of(site.database[STATUS].find_one({"_id": world.world_id}))
    news = news_of(site.database, status, 0, list(site.database[WORLD_EVENTS].find({"world_id": world.world_id})))
    assert sum(b"event: commented" in message for message in news.messages) == expected


def test_a_page_with_the_oldest_first_grows_at_its_end(browser: Browser, site: Site) -> None:
    """New posts come after the shown ones; a full page keeps its first posts and links to the others, each once."""
    world = site.world(users=3, posts=FEWER_POSTS + 60)
    with a_page(browser) as page:
        keep_fewer_posts(page)
        grown(page, site, world, order="oldest")
        expect(page.locator("[data-post-id]")).to_have_count(FEWER_POSTS)
        assert shown(page) == [world.post_key(index) for index in range(FEWER_POSTS)]
        go_to_the_end(page, world.posts)
        assert shown(page) == [world.post_key(index) for index in range(world.posts)]


def test_a_browser_without_connection_continues_where_it_was(browser: Browser, site: Site, mongodb_uri: str) -> None:
    """When the server is back the new posts appear; none is missing and none is shown twice."""
    world = site.world(users=2, posts=4)
    world.say(State.IN_PROGRESS)

    def publish(number: int) -> None:
        key = f"c0000-p{number:04d}"
        world.tell(post_published(world.character(0), world.post(key), world.published(key, number), None))

    context = browser.new_context()
    page = context.new_page()  # not a_page: the console has an error for the outage
    try:
        with serving(mongodb_uri, site.database.name, site.media) as address:
            page.goto(f"{address}/worlds/{world.world_id}")
            publish(0)
            expect(page.locator("[data-post-id]")).to_have_count(1)
        publish(1)
        publish(2)
        with serving(mongodb_uri, site.database.name, site.media, port=int(address.rpartition(":")[2])):
            expect(page.locator("[data-post-id]")).to_have_count(3)
            publish(3)
            expect(page.locator("[data-post-id]")).to_have_count(4)
            order = page.locator("[data-post-id]").evaluate_all("all => all.map(one => one.dataset.key)")
            assert order == [f"c0000-p{number:04d}" for number in (3, 2, 1, 0)]
            world.say(State.COMPLETED)
    finally:
        context.close()


def test_a_reader_of_older_posts_keeps_them(browser: Browser, site: Site) -> None:
    """A page opened at a world's start keeps its newest posts; scrolling to their end loads the others, each once. While
    somebody reads loaded posts none is removed, and each new post is announced once, however often its event arrives. Back at the
    top the page is bounded again, and the next pages still have every post.
    """
    world = site.world(users=3, posts=FEWER_POSTS + 60)
    with a_page(browser) as page:
        keep_fewer_posts(page)
        last = world.posts - 1
        grown(page, site, world, held_back=2)
        expect(page.locator("[data-post-id]")).to_have_count(FEWER_POSTS)
        go_to_the_end(page, last - 1)
        assert len(set(shown(page))) == last - 1
        for _ in range(2):
            publish(world, last - 1)
        world.tell(
            Waiting(api="llm", reason="quota"), waiting_for={"api": "llm", "reason": "quota", "since": "2026-01-01T00:00:00Z"}
        )
        expect(page.locator("#progress")).to_contain_text("quota")  # so both events have arrived
        expect(page.locator(".news span")).to_have_text("1")
        expect(page.locator("[data-post-id]")).to_have_count(last - 1)
        page.evaluate("scrollTo(0, 0)")
        expect(page.locator(".news a")).to_be_hidden()
        publish(world, last)
        expect(page.locator(f"[data-key={world.post_key(last)}]")).to_be_visible()
        expect(page.locator("[data-post-id]")).to_have_count(FEWER_POSTS)
        go_to_the_end(page, world.posts)
        assert len(set(shown(page))) == world.posts


PICTURES_ARE_THERE = """() => [...document.images].every(one => {
    const place = one.getBoundingClientRect()
    return one.complete || place.bottom < 0 || place.top > innerHeight
})"""
"""Of those in sight: nothing moves them any more."""


def on_screen(page: Page, key: str) -> float:
    """The distance from the top of the screen to the post, in pixels."""
    top: float = page.locator(f"[data-key={key}]").evaluate("post => post.getBoundingClientRect().top")
    return top


@pytest.mark.parametrize("anchors", [True, False], ids=["Chromium", "Safari"])
def test_nothing_moves_while_somebody_reads(browser: Browser, site: Site, anchors: bool) -> None:
    """While somebody reads, new posts, people, the world's name and the awaited service move nothing, with or without the browser's
    scroll anchoring. The posts wait; a key shows them all in order, with the focus on the first of them."""
    world = site.world(users=3, posts=40)
    documents = dict(world.documents())
    with a_page(browser) as page:
        if not anchors:
            page.add_init_script("CSS.supports = () => false")
        world.say(State.IN_PROGRESS, name="")
        for asset in ("characters", "posts", "post_images"):
            world.keep(asset, [one for one in documents[asset] if getattr(one, "t", 0) < 30])
        page.goto(site.page_of(world))
        if not anchors:
            page.evaluate(
                "() => { const one = new CSSStyleSheet(); one.replaceSync('html { overflow-anchor: none }');"
                " document.adoptedStyleSheets = [one] }"
            )
        read = world.post_key(27)
        page.locator(f"[data-key={read}]").scroll_into_view_if_needed()
        page.wait_for_function(PICTURES_ARE_THERE)
        before = on_screen(page, read)
        for index in (31, 30, 32):
            publish(world, index, made=index)
        world.keep("world_description", [world.description()])
        world.tell(character_created(world.character(0)), users_created=1, name="tortoise town")
        waiting = {"api": "llm", "reason": "quota " * 30, "since": "2026-01-01T00:00:00Z"}
        world.tell(Waiting(api="llm", reason="quota"), waiting_for=waiting)
        expect(page.locator("#progress")).to_contain_text("quota")
        expect(page.locator(".world-name")).to_have_text("tortoise town")
        expect(page.locator(".news")).to_have_text("New posts: 3")
        assert abs(on_screen(page, read) - before) < 2
        assert shown(page)[0] == world.post_key(29)
        page.locator(".news a").press("Enter")
        expect(page.locator(".news a")).to_be_hidden()
        assert shown(page)[:4] == [world.post_key(index) for index in (32, 31, 30, 29)]
        expect(page.locator(f"[data-key={world.post_key(32)}] h2 a")).to_be_focused()
        expect(page.locator(f"[data-key={world.post_key(32)}]")).to_be_in_viewport()


def test_more_new_posts_than_a_page_keeps_leave_no_gap(browser: Browser, site: Site) -> None:
    """If more posts arrive during reading than the page keeps, it shows the newest, and after them every other one, each once."""
    world = site.world(users=3, posts=MOST_POSTS + 100)
    with a_page(browser) as page:
        grown(page, site, world, held_back=MOST_POSTS + 50)
        page.locator(f"[data-key={world.post_key(40)}]").scroll_into_view_if_needed()
        for index in range(50, world.posts):
            publish(world, index)
        expect(page.locator(".news span")).to_have_text(str(MOST_POSTS + 50))
        page.locator(".news a").click()
        expect(page.locator("[data-post-id]")).to_have_count(MOST_POSTS)
        go_to_the_end(page, world.posts)
        assert shown(page) == [world.post_key(index) for index in reversed(range(world.posts))]


def test_the_page_restores_the_position_of_a_reader_who_comes_back(browser: Browser, site: Site) -> None:
    """After the browser's Back and after a reload the post is at its former position, even if it is far down and others were added
    above it."""
    world = site.world(users=3, posts=160).make(State.IN_PROGRESS)
    world.keep("post_images", [world.published(world.post_key(index), index) for index in range(150)])
    with a_page(browser) as page:
        page.goto(site.page_of(world))
        read = world.post_key(75)
        while page.locator(f"[data-key={read}]").count() == 0:
            page.locator(".onward").scroll_into_view_if_needed()
        page.locator(f"[data-key={read}] .replies").scroll_into_view_if_needed()
        page.wait_for_function(PICTURES_ARE_THERE)
        before = on_screen(page, read)
        page.locator(f"[data-key={read}] .replies").click()
        expect(page.locator("article.alone")).to_be_visible()
        world.keep("post_images", [world.published(world.post_key(index), index) for index in range(world.posts)])
        page.go_back()
        expect(page.locator(f"[data-key={read}]")).to_be_in_viewport()
        page.wait_for_function(PICTURES_ARE_THERE)
        assert abs(on_screen(page, read) - before) < 40
        page.reload()
        expect(page.locator(f"[data-key={read}]")).to_be_in_viewport()


def test_a_page_shows_no_more_people_than_it_opens_with(browser: Browser, site: Site) -> None:
    """For any number of people the row above the posts has the newest hundred, and then a link to all."""
    world = site.world(users=PEOPLE_PAGE + 5, posts=1)
    world.say(State.IN_PROGRESS)
    with a_page(browser) as page:
        page.goto(site.page_of(world))
        expect(page.locator(".strip")).to_be_hidden()
        for index in range(world.users):
            world.tell(character_created(world.character(index)), users_created=index + 1)
        expect(page.locator("#people [data-character]").first).to_have_attribute("data-character", f"c{world.users - 1:04d}")
        expect(page.locator("#people [data-character]")).to_have_count(PEOPLE_PAGE)
        expect(page.locator("#people .more")).to_be_visible()


def grown(page: Page, site: Site, world: MadeUp, *, held_back: int = 0, order: str = "newest") -> None:
    """Open the world's page before its first post, then publish all but this number, out of order."""
    world.say(State.IN_PROGRESS)
    page.goto(site.page_of(world, f"?order={order}"))
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator(".onward")).to_be_hidden()
    world.make(State.IN_PROGRESS)
    indices = [index ^ 7 for index in range(world.posts + 7)]
    published = [index for index in indices if index < world.posts - held_back]
    for made, index in enumerate(published, start=1):
        publish(world, index, made=made)
    expect(page.locator("#progress")).to_contain_text(f"{len(published)} / {world.posts}")
    first = max(published) if order == "newest" else 0
    expect(page.locator("[data-post-id]").first).to_have_attribute("data-key", world.post_key(first))  # progress may arrive first


def go_to_the_end(page: Page, posts: int) -> None:
    """Scroll until nothing more is loaded; then the page has this number of posts."""
    while page.locator(".onward").is_visible():
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.locator("[data-post-id]")).to_have_count(posts)
