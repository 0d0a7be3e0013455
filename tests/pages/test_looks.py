"""The layout of the worlds' pages in Chromium: barriers that axe finds, colours, widths, and the direction of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from generia_assets.durable.status import State
from generia_assets.pages.texts import HUES, all_messages
from tests.support.pages_site import SCHEMES, SERIOUS_ONES, Scheme, Site, a_page, a_site, load_axe
from tests.support.pages_world import DELETED_KEY, MadeUp
from tests.support.waiting import PATIENCE_S

expect.set_options(timeout=PATIENCE_S * 1000)
WAITING = {"api": "llm", "reason": "quota", "since": "2026-01-01T00:00:00Z"}
CUT_OFF = """width => [...document.querySelectorAll('main :is(h1, h2, h3, p, li, dd, dt, span, a, pre)')]
    .filter(one => one.innerText?.trim() && !one.closest('[tabindex="0"], .unseen'))
    .filter(one => { const box = one.getBoundingClientRect(); return box.left < 0 || box.right > width })
    .map(one => one.outerHTML.slice(0, 200))"""
"""What has text and reaches past the sides of the screen, where nothing scrolls."""
CONTRAST = """() => axe.run(unlike(window.tried ??= new Set()), { runOnly: ['color-contrast'], selectors: false }).then(found => [
    found.violations.map(one => one.nodes[0].html),
    found.incomplete.map(one => one.nodes[0].html),
    found.passes[0].nodes.length,
])"""
"""Elements whose contrast is too low, those of which axe cannot say it, and how many have enough: of those that look the same,
one is tried, once on a page."""


@pytest.fixture(scope="module")
def site(mongo_client: Any, mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with a_site(mongo_client, mongodb_uri, tmp_path_factory.mktemp("looks")) as site:
        yield site


@pytest.fixture(scope="module")
def world(site: Site) -> MadeUp:
    world = site.world(users=2, posts=10).make()
    world.trace(DELETED_KEY)
    return world


@pytest.fixture(scope="module")
def growing(site: Site) -> MadeUp:
    """A world with people and posts, with two completed stages and one in progress, that waits for its model."""
    world = site.world(users=2, posts=10).make()
    world.say(
        State.IN_PROGRESS, users_created=2, posts_created=9, current_stage="characters", waiting_for=WAITING, stages=stages(2)
    )
    return world


@pytest.fixture(scope="module")
def failed(site: Site) -> MadeUp:
    """A world that ended with a message, before its first post."""
    world = site.world(users=2, posts=0).make()
    world.say(State.FAILED, users_created=2, posts_created=0, message="Its budget is spent.", stages=stages(3, now=State.FAILED))
    return world


@pytest.fixture(scope="module")
def hebrew(site: Site) -> MadeUp:
    return site.world(users=2, posts=10, language="Hebrew", word="צב").make()


def stages(done: int, *, now: State = State.IN_PROGRESS) -> list[dict[str, str]]:
    """The stages of a status record after this number of completed ones."""
    names = ("initializing", "world_description", "world_image", "characters", "posts", "finishing")
    states = [State.COMPLETED] * done + [now] + [State.PENDING] * len(names)
    return [{"name": name, "status": state.value} for name, state in zip(names, states, strict=False)]


def all_in_sight(page: Page) -> None:
    """Open folded parts, draw the parts outside the screen, and remove the one decoration behind which axe cannot check colours."""
    page.evaluate(
        """() => {
            for (const one of document.querySelectorAll('details')) one.open = true;
            const style = new CSSStyleSheet();
            style.replaceSync('.posts .post { content-visibility: visible !important } .step::before { display: none !important }');
            document.adoptedStyleSheets = [style];
        }"""
    )


def test_axe_finds_nothing_serious(
    browser: Browser, site: Site, world: MadeUp, growing: MadeUp, failed: MadeUp, hebrew: MadeUp
) -> None:
    """No kind of page has a serious or critical barrier, on a phone and a desktop, light and dark, or is wider than the screen.
    Only colours differ between light and dark: every rule is checked in one of them, and the rules for colours in both.
    """
    posts = [f"/posts/{key}" for key in (DELETED_KEY, world.post_key(3), world.post_key(5), "x")]
    own = [site.page_of(world, path) for path in ("?order=oldest", "/people", "/characters/c0001", "/about", *posts)]
    own += [
        site.page_of(world, path) for path in ("/search", "/search?q=tortoise&by=person0", "/search?by=person", "/tags/tortoise")
    ]
    others = [site.page_of(growing), site.page_of(failed), site.page_of(hebrew), site.page_of(hebrew, "/characters/c0001")]
    barriers: list[tuple[object, ...]] = []
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    for address in (f"{site.address}/", f"{site.address}/worlds/none", *own, *others):
        page.goto(address)
        all_in_sight(page)
        load_axe(page)
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                barriers += [(address, width, scheme, *found) for found in page.evaluate(SERIOUS_ONES, scheme != SCHEMES[0])]
    context.close()
    assert barriers == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_hue_has_enough_contrast(
    browser: Browser, site: Site, world: MadeUp, growing: MadeUp, failed: MadeUp, scheme: Scheme
) -> None:
    """The contrast is enough for each colour that a world or a person can have, not only for those of the test's worlds."""
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    of_worlds = (site.page_of(world, f"/posts/{DELETED_KEY}"), site.page_of(growing), site.page_of(failed))
    for address in (f"{site.address}/", *of_worlds):
        page.goto(address)
        all_in_sight(page)
        page.evaluate("document.querySelector('.news')?.removeAttribute('hidden')")
        load_axe(page)
        accents = set()
        for hue in range(HUES):
            page.evaluate("hue => { for (const one of document.querySelectorAll('[data-hue]')) one.dataset.hue = hue }", hue)
            accents.add(page.evaluate("getComputedStyle(document.body).getPropertyValue('--accent')"))
            violations, incomplete, passes = page.evaluate(CONTRAST)
            assert violations == [], (address, hue)
            assert incomplete == [], (address, hue)  # axe checked all colours
            assert passes >= (10 if hue == 0 else 1)  # the next hues: what they change
        assert len(accents) == HUES
    context.close()


@pytest.mark.parametrize("width", [320, 390])
def test_the_form_of_the_list_fits_a_phone(browser: Browser, site: Site, world: MadeUp, width: int) -> None:
    """Each control of the form that searches for worlds is one line high and wider than high, and nothing is wider than the
    screen."""
    with a_page(browser, width=width) as page:
        page.goto(f"{site.address}/")
        boxes = [one.bounding_box() for one in page.locator(".search > *").all()]
        assert len(boxes) == 4
        assert all(box and box["height"] < 60 and box["width"] > box["height"] for box in boxes), boxes
        assert page.evaluate(CUT_OFF, width) == []


LINES = "all => all.map(one => Math.round(one.clientHeight / parseFloat(getComputedStyle(one).lineHeight)))"
"""How many lines each of these texts has on the screen."""


@pytest.fixture(scope="module")
def long(site: Site) -> MadeUp:
    """A world with a long tagline, and with long names, usernames and moments."""
    world = site.world(users=5, posts=10)
    documents = dict(world.documents())

    def longer(one: Any) -> dict[str, str]:
        return {"username": f"the_honourable_{one.username}_of_the_long_street"}

    documents["world_description"] = [world.description().model_copy(update={"description_short": "You have until sunrise. " * 12})]
    documents["characters"] = [
        one.model_copy(
            update={
                **longer(one),
                "display_name": "Maximiliane Featherstone",
                "relationships": tuple(known.model_copy(update=longer(known)) for known in one.relationships),
            }
        )
        for one in documents["characters"]
    ]
    documents["posts"] = [one.model_copy(update={"moment": "15 November, at breakfast"}) for one in documents["posts"]]
    return world.make(documents=documents)


def test_a_phone_shows_posts_at_once(browser: Browser, site: Site, long: MadeUp) -> None:
    """The first post begins in the upper half of the screen, whatever is above it; the world's own page has the whole tagline."""
    with a_page(browser, width=390) as page:
        page.goto(site.page_of(long))
        assert (page.locator("[data-post-id]").first.bounding_box() or {"y": 999})["y"] <= 420
        assert page.locator(".tagline").evaluate_all(LINES) == [3]
        expect(page.get_by_role("searchbox")).to_have_count(0)
        page.goto(site.page_of(long, "/about"))
        assert page.locator(".tagline").evaluate_all(LINES)[0] > 5


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_long_texts_are_wrapped_or_shortened(browser: Browser, site: Site, long: MadeUp, width: int) -> None:
    """A moment is never broken; a username and the words of a reply end with an ellipsis; a quote has at most four lines; the
    number of replies is beside the share button."""
    with a_page(browser, width=width) as page:
        page.goto(site.page_of(long))
        all_in_sight(page)
        for selector, most in ((".moment", 1), (".by bdi", 1), (".actions > .said .clamped", 1), (".quote .clamped", 4)):
            lines = page.locator(selector).evaluate_all(LINES)
            assert lines and max(lines) <= most, selector
        assert page.evaluate(CUT_OFF, width) == []
        tops = page.locator(".actions").evaluate_all("all => all.map(one => [...one.children].map(each => each.offsetTop))")
        assert all(count == share for count, share, *_ in tops)


def test_names_in_the_graph_stay_apart_on_a_phone(browser: Browser, site: Site, long: MadeUp) -> None:
    """The lines of a name are farther apart than its letters are high, and no name reaches the edge of the picture."""
    with a_page(browser, width=390) as page:
        page.goto(site.page_of(long, "/people"))
        frame = page.locator(".graph svg").bounding_box()
        assert frame is not None
        names = page.locator(".graph svg a").evaluate_all(
            """all => all.map(one => [...one.querySelectorAll('.who')].map(line => {
                const box = line.getBoundingClientRect();
                return [box.left, box.right, box.top, line.getScreenCTM().d * parseFloat(getComputedStyle(line).fontSize)];
            }))"""
        )
        assert len(names) == 5 and all(len(lines) == 2 for lines in names)
        for (left, right, top, size), (other_left, other_right, below, _) in names:
            assert below - top >= 1.2 * size >= 12
            assert min(left, other_left) >= frame["x"] + 4 and max(right, other_right) <= frame["x"] + frame["width"] - 4


@pytest.mark.parametrize("width", [390, 1280])
def test_the_hint_of_the_search_form_is_shown_whole(browser: Browser, site: Site, world: MadeUp, width: int) -> None:
    """The form's hint is not longer than its field, in each language."""
    with a_page(browser, width=width) as page:
        page.goto(site.page_of(world, "/search"))
        for lang, messages in all_messages().items():
            for name, said in (("q", messages["search_for"]), ("by", messages["by_person"])):
                lack = page.locator(f"[name={name}]").evaluate(
                    """(field, said) => {
                        const style = getComputedStyle(field), drawn = document.createElement('canvas').getContext('2d');
                        drawn.font = style.font;
                        return drawn.measureText(said).width + 2 * parseFloat(style.paddingInlineStart) - field.clientWidth;
                    }""",
                    said,
                )
                assert lack <= 0, (lang, name)


def test_a_right_to_left_world_is_laid_out_from_the_right(browser: Browser, site: Site, hebrew: MadeUp) -> None:
    """The icon is right of the name, tabs begin at the right, and the page's own texts are Hebrew."""
    with a_page(browser) as page:
        page.goto(site.page_of(hebrew))
        assert left_of(page, ".masthead .icon") > left_of(page, ".world-name")
        assert left_of(page, ".tabs a:nth-child(1)") > left_of(page, ".tabs a:nth-child(2)")
        expect(page.locator(".tabs [aria-current]")).to_have_text("עדכונים")


def test_a_word_in_another_script_does_not_change_the_direction_of_a_line(browser: Browser, site: Site) -> None:
    """A hashtag or an interest in another script has its own direction, and its place among the others."""
    world = site.world(users=2, posts=2, word="سلحفاة").make()
    with a_page(browser) as page:
        page.goto(site.page_of(world, "/characters/c0000"))
        for items in (".tags a", ".profile .facts li"):
            assert left_of(page, f"{items}:nth-child(1)") <= left_of(
                page, f"{items}:nth-child(2)"
            )  # or the second is on the next line
            assert page.locator(items).first.evaluate("one => getComputedStyle(one).direction") == "rtl"


def left_of(page: Page, selector: str) -> float:
    box = page.locator(selector).first.bounding_box()
    assert box is not None
    return box["x"]
