"""The worlds' pages in Chromium: what people see and do there; ``a_page`` checks that the console has no errors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from pymongo import MongoClient
from pymongo.monitoring import CommandListener, CommandStartedEvent

from generia_assets.content.keys import character_key
from generia_assets.pages.gallery import write_gallery
from generia_assets.queries.asset_views import AssetViews
from generia_assets.queries.feed import FeedOrder, feed_page
from tests.support.pages_site import a_page, serving
from tests.support.pages_world import DELETED_KEY, SCRIPT, MadeUp
from tests.support.waiting import PATIENCE_S

expect.set_options(timeout=PATIENCE_S * 1000)
MANY_POSTS = 10_000
MOST_BYTES = 2_000_000
"""What a page of the feed of many posts may weigh when it opens, pictures included."""
MOST_ELEMENTS = 3_000


@pytest.fixture(scope="module")
def database(mongo_client: Any) -> Iterator[Any]:
    name = f"test_browser_{time.monotonic_ns()}"
    yield mongo_client[name]
    mongo_client.drop_database(name)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages") / "media"


@pytest.fixture(scope="module")
def world(database: Any, media: Path) -> MadeUp:
    return MadeUp(database, media, users=6, posts=60).make()


@pytest.fixture(scope="module")
def site(mongodb_uri: str, database: Any, media: Path) -> Iterator[str]:
    with serving(mongodb_uri, database.name, media) as address:
        yield address


def test_all_user_and_model_texts_are_shown_as_text(browser: Browser, site: str, world: MadeUp) -> None:
    """A script in the sentence, a post, a life or a relation is shown as text on every page, and never executed."""
    with a_page(browser) as page:
        for path in ("", "/people", "/characters/c0002", "/posts/c0002-p0000", "/about"):
            page.goto(f"{site}/worlds/{world.world_id}{path}")
            assert page.title() != "owned"
            assert page.locator("main script, main img[src=x]").count() == 0
            if path != "/people":
                expect(page.locator("main")).to_contain_text(SCRIPT)


def test_the_feed_shows_posts_and_links_to_every_page(browser: Browser, site: str, world: MadeUp) -> None:
    """It shows posts with their pictures and authors. A mention links to the person, and a post of that person to its own page, the
    only one with its origin."""
    with a_page(browser) as page:
        page.goto(f"{site}/worlds/{world.world_id}?order=newest")
        newest = page.locator("[data-post-id]").first
        expect(newest).to_have_attribute("data-post-id", f"post-{world.post_key(59)}")
        assert newest.locator(".picture img").evaluate("image => image.complete ? image.naturalWidth : -1") in (1024, -1)
        assert page.locator("[data-character]").count() == world.users
        newest.locator("a.mention").first.click()
        expect(page.locator("[data-character] h1")).to_have_text("tortoise Person 0")
        expect(page.get_by_text("How it came about")).to_have_count(0)
        page.locator("[data-post-id]").first.locator("a.replies").click()
        expect(page.locator("#trace")).to_have_text("How it came about")
        page.goto(f"{site}/worlds/{world.world_id}/posts/{DELETED_KEY}")
        expect(page.locator("article.deleted")).to_contain_text("Deleted content.")


def test_older_posts_are_loaded_automatically(browser: Browser, site: str, world: MadeUp) -> None:
    """Scrolling to the end loads the posts of the next page, each once, and the link to the next page disappears after the last."""
    with a_page(browser) as page:
        page.goto(f"{site}/worlds/{world.world_id}")
        expect(page.locator("[data-post-id]")).to_have_count(50)
        page.locator(".onward").scroll_into_view_if_needed()
        expect(page.locator("[data-post-id]")).to_have_count(60)
        expect(page.locator(".onward")).to_be_hidden()
        assert len(set(page.locator("[data-post-id]").evaluate_all("all => all.map(one => one.dataset.postId)"))) == 60


def test_the_reader_chooses_the_order_of_the_feed(browser: Browser, site: str, world: MadeUp) -> None:
    """A finished world begins with its first post. A plain link reverses the feed, also without scripts; posts that are loaded
    automatically have the same order, and there is a link back. A reply links to the post that it answers, and that post to its
    replies."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/worlds/{world.world_id}")
    expect(page.locator("[data-key]").first).to_have_attribute("data-key", world.post_key(0))
    page.get_by_role("link", name="Newest first").click()
    expect(page.locator("[data-key]").first).to_have_attribute("data-key", world.post_key(world.posts - 1))
    page.get_by_role("link", name="Oldest first").click()
    expect(page.locator("[data-key]").first).to_have_attribute("data-key", world.post_key(0))
    expect(page.get_by_role("link", name="Oldest first")).to_have_attribute("aria-current", "true")
    # Not by a click: posts get their height when they become visible, and can move the link away from the pointer.
    page.get_by_role("link", name="Newer posts").press("Enter")
    expect(page.locator("[data-key]").first).to_have_attribute("data-key", world.post_key(50))
    context.close()
    with a_page(browser) as page:
        page.goto(f"{site}/worlds/{world.world_id}?order=oldest")
        page.locator(".onward").scroll_into_view_if_needed()
        expect(page.locator("[data-key]")).to_have_count(60)
        keys = page.locator("[data-key]").evaluate_all("all => all.map(one => one.dataset.key)")
        assert keys == [world.post_key(index) for index in range(60)]
        reply = page.locator(f"[data-key={world.post_key(4)}]")
        expect(reply.locator(".quote")).to_be_hidden()  # directly below its post
        page.goto(f"{site}/worlds/{world.world_id}?order=newest")
        page.locator(".onward").scroll_into_view_if_needed()
        reply.locator(".quote a").click()
        expect(page.locator("article.alone")).to_have_attribute("data-key", world.post_key(3))
        page.goto(f"{site}/worlds/{world.world_id}?order=newest")
        page.locator(".onward").scroll_into_view_if_needed()
        page.locator(f"[data-key={world.post_key(3)}] a.replies").press("Enter")
        expect(page.locator("#replies article").first).to_have_attribute("data-key", world.post_key(4))
        expect(page.locator("#replies")).to_be_in_viewport()
        page.goto(f"{site}/worlds/{world.world_id}/characters/c0000")
        page.get_by_role("link", name="Oldest first").click()
        expect(page.locator("#posts > [data-key]").first).to_have_attribute("data-key", "c0000-p0000")


def test_everything_can_be_done_by_keyboard(browser: Browser, site: str, world: MadeUp) -> None:
    """The first Tab skips the header; the focus is visible; in the graph it shows whom a person knows."""
    with a_page(browser) as page:
        page.goto(f"{site}/worlds/{world.world_id}/people")
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        expect(page.locator(".skip")).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Who knows whom")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        node = page.locator("[data-node]:focus")
        expect(node).to_have_attribute("data-node", "c0000")
        assert "tortoise Person 1" in (node.get_attribute("aria-label") or "")
        expect(page.locator(".graph svg.pointed line.on")).to_have_count(1)
        expect(page.locator(".ties li")).to_have_text(f"tortoise Person 1neighbour {SCRIPT}")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("tortoise Person 0")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_pages_of_ten_thousand_posts_are_as_small_as_those_of_fifty(
    browser: Browser, site: str, database: Any, media: Path
) -> None:
    """Bytes and elements of a page are bounded: in the feed, its later pages, the list of people and a person with hundreds of
    posts."""
    world = MadeUp(database, media, users=100, posts=MANY_POSTS).make()
    with a_page(browser) as page:
        weight = 0

        def weigh(answer: Any) -> None:
            nonlocal weight
            weight += int(answer.headers.get("content-length") or 0)

        page.on("response", weigh)
        for path in ("", "?after=c0050-p0050", "/people", "/characters/c0050"):
            weight = 0
            page.goto(f"{site}/worlds/{world.world_id}{path}", wait_until="load")
            elements = page.evaluate("document.querySelectorAll('*').length")
            assert weight < MOST_BYTES, (path, weight)
            assert elements < MOST_ELEMENTS, (path, elements)
        assert page.locator("[data-post-id]").count() == 50
        assert page.locator("[data-post-id] .picture img:not([loading=lazy])").count() == 0


class Asked(CommandListener):
    """Records the queries."""

    def __init__(self) -> None:
        self.finds: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "find":
            self.finds.append({name: event.command[name] for name in ("find", "filter", "sort", "limit") if name in event.command})

    def succeeded(self, event: object) -> None:
        pass

    def failed(self, event: object) -> None:
        pass


@pytest.mark.parametrize("growing", [False, True])
def test_every_query_of_the_feed_uses_an_index(mongodb_uri: str, database: Any, media: Path, growing: bool) -> None:
    """No page scans all posts for replies, and no page of a finished world scans them for the next posts, in either order."""
    world = MadeUp(database, media, users=5, posts=200)
    world = world.begin() if growing else world.make()
    asked = Asked()
    with MongoClient(mongodb_uri, event_listeners=[asked]) as client:
        views = AssetViews.of(client[database.name], world.world_id)
        for order in FeedOrder:
            feed_page(views, order, after=world.post_key(100))
    replies = [one for one in asked.finds if "in_reply_to" in str(one)]
    feeds = [one for one in asked.finds if one.get("limit") and one["find"] == "post_images"]
    assert (len(replies), len(feeds)) == (2, 0 if growing else 2)
    for one in (*replies, *feeds):
        winning = str(database.command("explain", one)["queryPlanner"]["winningPlan"])
        assert "IXSCAN" in winning and "COLLSCAN" not in winning
        assert "in_reply_to_1" in winning if one in replies else "'SORT'" not in winning


def test_the_gallery_works_without_a_server(browser: Browser, database: Any, media: Path, tmp_path: Path, world: MadeUp) -> None:
    """Pictures, styles, people and the next page come from files, without a request to a server."""
    index = write_gallery(database, world.world_id, galleries=tmp_path, media=media)
    with a_page(browser) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(index.as_uri())
        assert page.locator(".masthead .icon").evaluate("image => image.naturalWidth") == 512
        page.locator(".onward a").press("Enter")
        expect(page.locator("[data-post-id]")).to_have_count(10)
        page.get_by_role("link", name="Newest first").click()
        expect(page.locator("[data-key]").first).to_have_attribute("data-key", world.post_key(world.posts - 1))
        page.locator(".onward a").press("Enter")
        page.locator(f"[data-key={world.post_key(4)}] .quote a").click()
        expect(page.locator("article.alone")).to_have_attribute("data-key", world.post_key(3))
        page.locator(".tabs a", has_text="People").click()
        expect(page.locator("[data-character]")).to_have_count(world.users)
        page.locator(f"[data-character={character_key(2)}] h2 a").click()
        expect(page.locator("h1")).to_have_text("tortoise Person 2")
        assert [url for url in asked if not url.startswith(index.parent.as_uri())] == []
