"""Single pages and views: pictures in a dialog, keys, shared links, a person on a phone, the graph of a hundred people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect
from starlette.testclient import TestClient

from generia_assets.pages.app import Source, pages_app
from generia_assets.pages.gallery import write_gallery
from tests.support.pages_site import SERIOUS_ONES, Scheme, Site, a_page, a_site, load_axe
from tests.support.pages_world import DELETED_KEY, SCRIPT, MadeUp
from tests.support.waiting import PATIENCE_S

expect.set_options(timeout=PATIENCE_S * 1000)
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "reduced_motion": "reduce"}


DIALOG_IS_LEFT = "() => !history.state?.picture"
"""The browser has gone back from the dialog's entry in its history: what leads on before that may be undone by it."""


@pytest.fixture(scope="module")
def site(mongo_client: Any, mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with a_site(mongo_client, mongodb_uri, tmp_path_factory.mktemp("viewing")) as site:
        yield site


@pytest.fixture(scope="module")
def world(site: Site) -> MadeUp:
    return site.world(users=6, posts=60).make()


@pytest.fixture(scope="module")
def crowd(site: Site) -> MadeUp:
    return site.world(users=100, posts=100).make()


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(**PHONE)  # type: ignore[arg-type]
    yield context.new_page()
    context.close()


def focused(page: Page) -> str | None:
    """The key of the post that has the focus."""
    key: str | None = page.evaluate("document.activeElement.closest('[data-key]')?.dataset.key")
    return key


def test_pictures_follow_each_other_in_a_dialog(browser: Browser, site: Site, world: MadeUp) -> None:
    """A picture opens over the page; j, k and the arrows show the others, further posts are loaded, and closing (also the browser's
    Back) leads to the post of the last picture. The picture of a deleted post is left out."""
    with a_page(browser) as page:
        page.goto(site.page_of(world))
        address = page.url
        page.locator("a.picture").first.click()
        zoom = page.locator("dialog.zoom")
        expect(zoom.locator("img")).to_be_visible()
        expect(zoom.locator(".caption a")).to_have_attribute("href", site.page_of(world, f"/posts/{world.post_key(0)}"))
        expect(zoom.locator(".caption")).to_contain_text(SCRIPT)
        seen = []
        for key in ("j", "ArrowRight", "k", "ArrowLeft", "k", "j"):
            page.keyboard.press(key)
            seen.append(zoom.locator(".caption a").evaluate("link => link.href.split('/').pop()"))
        assert world.post_key(1) == DELETED_KEY
        assert seen == [world.post_key(index) for index in (2, 3, 2, 0, 0, 2)]
        for place in range(3, 50):  # further posts are loaded near the end: before the last picture or after it
            page.keyboard.press("j")
            expect(zoom.locator(".count")).to_have_text(re.compile(rf"^{place} / (49|59)$"))
        expect(page.locator("#posts > article")).to_have_count(60)
        page.keyboard.press("j")
        expect(zoom.locator(".count")).to_have_text("50 / 59")
        page.keyboard.press("Escape")
        expect(zoom).to_be_hidden()
        expect(page.locator(f"[data-key={world.post_key(50)}] a.picture")).to_be_focused()
        assert page.url == address
        expect(page.locator(f"[data-key={world.post_key(50)}]")).to_be_in_viewport()
        page.wait_for_function(DIALOG_IS_LEFT)
        page.keyboard.press("e")
        expect(zoom).to_be_visible()
        page.go_back()
        expect(zoom).to_be_hidden()
        expect(page.locator(f"[data-key={world.post_key(50)}] a.picture")).to_be_focused()
        assert page.url == address
        expect(page.locator(f"[data-key={world.post_key(50)}]")).to_be_in_viewport()


def test_a_picture_is_seen_in_its_own_size(phone: Page, site: Site, world: MadeUp) -> None:
    """A tap on a picture that is larger than the screen shows it in full size, another tap shows the whole picture; a swipe shows
    the next."""
    phone.goto(site.page_of(world, f"/posts/{world.post_key(0)}"))
    phone.locator("a.picture").first.tap()
    stage, image = phone.locator(".zoom .stage"), phone.locator(".zoom img")
    expect(stage).to_be_visible()
    image.evaluate("image => image.decode()")
    assert stage.evaluate("stage => stage.scrollWidth <= stage.clientWidth")
    image.tap()
    assert image.evaluate("image => [image.naturalWidth, image.getBoundingClientRect().width]") == [1024, 1024]
    image.tap()
    assert stage.evaluate("stage => stage.scrollWidth <= stage.clientWidth")
    phone.locator(".zoom .close").tap()
    expect(stage).to_be_hidden()


def test_keys_lead_from_post_to_post(browser: Browser, site: Site, world: MadeUp) -> None:
    """j and k move the focus through the posts, o opens one, arrows lead to the next post of the world, p to the author."""
    with a_page(browser) as page:
        page.goto(site.page_of(world))
        for key, at in (("j", 0), ("j", 1), ("j", 2), ("k", 1), ("ArrowRight", 2)):
            page.keyboard.press(key)
            assert focused(page) == world.post_key(at)
            expect(page.locator(f"[data-key={world.post_key(at)}] header")).to_be_in_viewport()
        page.keyboard.press("o")
        for key, at in (("", 2), ("ArrowRight", 3), ("j", 4), ("k", 3)):
            if key:
                page.keyboard.press(key)
            page.wait_for_url(f"**/posts/{world.post_key(at)}")
            page.wait_for_load_state()
        page.keyboard.press("e")
        expect(page.locator("dialog.zoom img")).to_be_visible()
        page.keyboard.press("Escape")
        page.wait_for_function(DIALOG_IS_LEFT)
        page.keyboard.press("p")
        expect(page.locator("h1")).to_have_text("tortoise Person 3")
        for key, missing in ((world.post_key(0), "prev"), (world.post_key(59), "next")):
            page.goto(site.page_of(world, f"/posts/{key}"))
            expect(page.locator(".around a")).to_have_count(1)
            expect(page.locator(f".around a[rel={missing}]")).to_have_count(0)


def test_keys_can_be_turned_off(browser: Browser, site: Site, world: MadeUp) -> None:
    """Single letters then have no effect, for people who type or speak to the browser; the choice is stored."""
    with a_page(browser) as page:
        page.goto(site.page_of(world))
        page.keyboard.press("?")
        expect(page.locator("dialog.keys")).to_be_visible()
        page.keyboard.press("j")
        page.get_by_label("Single keys are on").uncheck()
        page.keyboard.press("Escape")
        for _ in range(2):
            page.keyboard.press("j")
            assert focused(page) is None
            page.reload()
        page.keyboard.press("?")
        page.get_by_label("Single keys are on").check()
        page.get_by_role("button", name="Close").click()
        page.keyboard.press("Control+j")
        assert focused(page) is None
        page.keyboard.press("j")
        assert focused(page) == world.post_key(0)


def test_arrows_follow_the_direction_of_reading(browser: Browser, site: Site) -> None:
    """In a Hebrew world the left arrow leads forward and the right one back."""
    hebrew = site.world(users=2, posts=3, language="Hebrew", word="צב").make()
    with a_page(browser) as page:
        page.goto(site.page_of(hebrew))
        page.locator("a.picture").first.click()
        counts = []
        for key in ("ArrowLeft", "ArrowRight"):
            page.keyboard.press(key)
            counts.append(page.locator(".zoom .count").inner_text())
        assert counts == ["2 / 2", "1 / 2"]
        assert page.locator(".zoom .close").evaluate("one => one.getBoundingClientRect().left") < 100
        page.keyboard.press("Escape")
        page.wait_for_function(DIALOG_IS_LEFT)
        page.keyboard.press("?")
        expect(page.locator(".keys dt").first).to_have_text("j ←")


def test_a_link_is_copied(browser: Browser, site: Site, world: MadeUp) -> None:
    """Share copies the post's whole address to the clipboard and shows a message."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(site.page_of(world))
    page.locator(f"[data-key={world.post_key(2)}]").get_by_role("button", name="Share").click()
    expect(page.locator(".toast")).to_have_text("The link is copied.")
    assert page.evaluate("navigator.clipboard.readText()") == site.page_of(world, f"/posts/{world.post_key(2)}")
    page.goto(site.page_of(world, "/characters/c0001"))
    page.locator(".profile").get_by_role("button", name="Share").click()
    expect(page.locator(".toast")).to_have_text("The link is copied.")
    assert page.evaluate("navigator.clipboard.readText()") == site.page_of(world, "/characters/c0001")
    context.close()


def test_pages_work_without_scripts(browser: Browser, site: Site, world: MadeUp) -> None:
    """Without scripts a picture links to its post, and there is no button without effect."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site.page_of(world))
    expect(page.locator("button[type=button]:visible")).to_have_count(0)
    page.locator("a.picture").first.click()
    expect(page.locator("article.alone")).to_have_attribute("data-key", world.post_key(0))
    context.close()


def preview(html: str) -> dict[str, str]:
    """The Open Graph tags of a page, by name."""
    return dict(re.findall(r'<meta property="og:([\w:]+)" content="([^"]*)">', html))


def test_a_shared_link_has_a_preview(site: Site, world: MadeUp) -> None:
    """Each kind of page has title, text, picture and address, all absolute; a deleted post has neither text nor picture."""
    title = "tortoise Person 2 (@person2)"
    media = f"{site.address}/media/{world.world_id}"
    for path, expected in {
        "": {"type": "website", "title": "tortoise town", "image": f"{media}/header/one.png"},
        "/people": {"type": "website", "title": "People · tortoise town", "image": f"{media}/header/one.png"},
        "/about": {"type": "website", "title": "The world · tortoise town", "image": f"{media}/header/one.png"},
        "/characters/c0002": {"type": "profile", "title": title, "image": f"{media}/avatars/one.png"},
        "/posts/c0002-p0000": {"type": "article", "title": title, "image": f"{media}/posts/one.png"},
    }.items():
        html = requests.get(site.page_of(world, path), timeout=60).text
        tags = preview(html)
        assert tags | expected == tags, path
        assert tags["url"] == site.page_of(world, path)
        assert f'<link rel="canonical" href="{site.page_of(world, path)}">' in html
        assert "<script>document" not in html
    assert "tortoise c0002-p0000" in tags["description"]
    tags = preview(requests.get(site.page_of(world, f"/posts/{DELETED_KEY}"), timeout=60).text)
    assert tags["description"] == "Deleted content." and "image" not in tags
    assert preview(requests.get(site.page_of(world, "/posts/none"), timeout=60).text) == {}


@pytest.mark.parametrize(
    ("public_url", "host", "address"),
    [
        pytest.param("", "127.0.0.1:3001", "http://127.0.0.1:3001", id="S5 the name that was asked"),
        pytest.param("", "[::1]:3001", "http://[::1]:3001", id="S5 the same, IPv6"),
        pytest.param("https://worlds.example.org/a", "127.0.0.1:3001", "https://worlds.example.org/a", id="S5 PAGES_URL"),
        pytest.param("", "evil.example", None, id="S5 a forged name"),
        pytest.param("", "127.0.0.1:80@evil.example", None, id="S5 a forged name behind a known one"),
        pytest.param("", "127.0.0.1:3001/@evil.example", None, id="S5 a path in the name"),
        pytest.param("", '127.0.0.1"><script>', None, id="S5 markup in the name"),
        pytest.param("", "localhost:3001?x", None, id="S5 a query in the name"),
        pytest.param("", "localhost:port", None, id="S5 a port that is none"),
    ],
)
def test_previews_lead_to_this_server(
    site: Site, mongodb_uri: str, world: MadeUp, public_url: str, host: str, address: str | None
) -> None:
    """Absolute addresses come from PAGES_URL or from a known host, in whatever form a forged host is sent."""
    source = Source(mongodb_uri, site.database.name, site.media, public_url=public_url)
    with TestClient(pages_app(source), base_url="http://127.0.0.1") as client:
        answer = client.get(f"/worlds/{world.world_id}", headers={"host": host})
    assert answer.status_code == (200 if address else 403)
    assert "evil" not in answer.text
    if address:
        tags = preview(answer.text)
        assert (tags["url"], tags["image"].partition("/media/")[0]) == (f"{address}/worlds/{world.world_id}", address)


def test_a_life_comes_before_the_posts_on_a_phone(browser: Browser, phone: Page, site: Site, world: MadeUp) -> None:
    """On a phone: the profile, the life, the acquaintances, then the posts, with a link to them. On a desktop they are side by
    side, and the posts begin below the profile."""
    address = site.page_of(world, "/characters/c0002")
    places = "selectors => selectors.map(one => document.querySelector(one).getBoundingClientRect().top)"
    selectors = [".profile", ".side .prose", ".relations", "#posts article"]
    phone.goto(address)
    tops = phone.evaluate(places, selectors)
    assert tops == sorted(tops)
    phone.locator(".jump").tap()
    expect(phone.locator("#of")).to_be_in_viewport()
    with a_page(browser) as page:
        page.goto(address)
        profile, life, ties, posts = page.evaluate(places, selectors)
        assert profile == life < posts < ties
        expect(page.locator(".jump")).to_be_hidden()


def test_a_hundred_people_fit_a_phone(phone: Page, site: Site, crowd: MadeUp) -> None:
    """The whole graph is on the screen, and each portrait can be hit; a tap lists every acquaintance with the relation, a second
    tap opens the page."""
    phone.goto(site.page_of(crowd, "/people"))
    box = phone.locator(".graph svg").bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["height"] <= 844
    sizes = phone.locator(".face").evaluate_all("all => all.map(one => one.getBoundingClientRect().width)")
    assert len(sizes) == 100 and min(sizes) >= 24
    node = phone.locator("[data-node=c0050] .face")
    node.tap()
    expect(phone.locator(".ties .of")).to_have_text("tortoise Person 50")
    names = ["tortoise Person 43", "tortoise Person 49", "tortoise Person 51", "tortoise Person 57"]
    assert phone.locator(".ties li b").all_inner_texts() == names
    assert set(phone.locator(".ties li span > span").all_inner_texts()) == {f"neighbour {SCRIPT}", ""}
    expect(phone.locator(".ties li").first).to_be_in_viewport()
    expect(phone.locator("[data-node].on")).to_have_count(5)
    assert phone.url.endswith("/people")
    node.tap()
    expect(phone.locator("h1")).to_have_text("tortoise Person 50")


def test_a_pointer_shows_relations_and_can_reach_them(browser: Browser, site: Site, crowd: MadeUp) -> None:
    """A pointer over a person shows the relations, can move to them without closing them, and can follow one; names are below
    portraits."""
    with a_page(browser) as page:
        page.goto(site.page_of(crowd, "/people"))
        assert page.locator(".who").first.evaluate("one => one.getBoundingClientRect().height") >= 11
        page.locator("[data-node=c0010]").hover()
        expect(page.locator(".ties .of")).to_have_text("tortoise Person 10")
        page.locator(".ties li a").first.hover()
        expect(page.locator(".ties .of")).to_have_text("tortoise Person 10")
        page.locator("h1").hover()
        expect(page.locator(".ties")).to_have_text("Choose somebody to see whom they know, and how.")
        page.locator("[data-node=c0010]").hover()
        page.locator(".ties li a").first.click()
        expect(page.locator("h1")).to_have_text("tortoise Person 3")


def test_the_gallery_shows_pictures_in_the_dialog_too(browser: Browser, site: Site, world: MadeUp, tmp_path: Path) -> None:
    """The gallery's pages open pictures and support keys; they have no address that can be shared, and no share button."""
    index = write_gallery(site.database, world.world_id, galleries=tmp_path, media=site.media)
    assert "og:" not in index.read_text()
    with a_page(browser) as page:
        page.goto(index.as_uri())
        expect(page.locator("[data-share]")).to_have_count(0)
        keys = page.locator(".keys kbd").evaluate_all("all => all.map(one => one.textContent)")
        assert {"j", "?"} < set(keys) and not {"c", "/"} & set(keys)
        page.locator("a.picture").first.click()
        page.keyboard.press("j")
        assert page.locator(".zoom img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 1024
        page.keyboard.press("Escape")
        page.wait_for_function(DIALOG_IS_LEFT)
        page.goto((index.parent / "posts" / f"{world.post_key(4)}.html").as_uri())
        page.keyboard.press("j")
        page.wait_for_url(f"**/{world.post_key(5)}.html")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_dialogs_have_no_barriers(browser: Browser, site: Site, crowd: MadeUp, width: int, scheme: Scheme) -> None:
    """axe finds nothing serious in the dialog of pictures, the list of keys, and the relations of one of a hundred people."""
    world = site.world(users=2, posts=3).make()
    with a_page(browser, width=width, scheme=scheme) as page:
        for path, opened in (("", "a.picture"), ("/people", "[data-node=c0050]"), ("", None)):
            page.goto(site.page_of(crowd if path else world, path))
            if path:
                page.locator(str(opened)).focus()
                expect(page.locator(".ties li")).to_have_count(4)
            elif opened:
                page.locator(opened).first.click()
                expect(page.locator("dialog.zoom")).to_be_visible()
            else:
                page.keyboard.press("?")
                expect(page.locator("dialog.keys")).to_be_visible()
            load_axe(page)
            assert page.evaluate(SERIOUS_ONES) == [], opened
            assert page.evaluate("document.documentElement.scrollWidth") <= width
