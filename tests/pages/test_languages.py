"""Worlds in Russian, Hebrew, Arabic, Japanese and Hindi, made with the emulator and shown in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from generia_assets.durable.collections import STATUS
from generia_assets.pages.texts import all_messages
from tests.pages.test_looks import CUT_OFF, all_in_sight, left_of
from tests.support.pages_site import SERIOUS_ONES, Scheme, a_page, load_axe, serving
from tests.support.worlds_in_process import Worlds, worlds_in_process

ASTRAY = r"""([lang, script, direction]) => {
    const own = new RegExp(`\\p{Script=${script}}`, 'gu'), texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const astray = [];
    while (texts.nextNode()) {
        const text = texts.currentNode.data, parent = texts.currentNode.parentElement;
        const letters = text.match(/\p{L}/gu)?.length ?? 0, ours = text.match(own)?.length ?? 0;
        if (2 * ours <= letters || parent.closest('pre, svg')) continue;
        const said = parent.closest('[lang]').lang, read = getComputedStyle(parent).direction;
        if (said !== lang || read !== direction) astray.push([said, read, text.trim()]);
    }
    return astray;
}"""
"""Texts in the world's script that say another language, or are read from the other side. Prompts are English."""


@pytest.fixture(scope="module")
def worlds(mongodb_uri: str, broker: str, gemini_process: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    home = tmp_path_factory.mktemp("languages")
    with worlds_in_process(home, mongodb_uri=mongodb_uri, broker=broker, gemini=gemini_process) as made:
        yield made


@pytest.fixture(scope="module")
def site(worlds: Worlds, mongodb_uri: str) -> Iterator[str]:
    with serving(mongodb_uri, worlds.settings.mongodb_database, worlds.settings.media_dir) as address:
        yield address


@pytest.mark.parametrize(
    ("language", "lang", "sentence", "script", "width", "scheme"),
    [
        ("Russian", "ru", "Город на спине черепахи, которая снова пошла; никаких королей", "Cyrillic", 390, "dark"),
        ("Hebrew", "he", "עיירת נמל על גבו של לווייתן, שבה איש אינו יודע לשחות", "Hebrew", 390, "light"),
        ("Arabic", "ar", "بلدة مرفأ على ظهر حوت، لا يعرف فيها أحد السباحة", "Arabic", 1280, "dark"),
        ("Japanese", "ja", "鯨の背中にある港町。誰も泳げない。", "Hiragana", 390, "dark"),
        ("Hindi", "hi", "व्हेल की पीठ पर बसा एक बंदरगाह, जहाँ किसी को तैरना नहीं आता", "Devanagari", 1280, "light"),
    ],
    ids=["Russian", "Hebrew", "Arabic", "Japanese", "Hindi"],
)
def test_every_page_has_the_language_and_direction_of_its_world(
    browser: Browser, worlds: Worlds, site: str, language: str, lang: str, sentence: str, script: str, width: int, scheme: Scheme
) -> None:
    """Each kind of page is in the world's language, starts at its side, marks its texts with it, fits the screen, and has no
    barrier that axe finds. This holds while the world grows and when it is finished."""
    world_id, made = worlds.make(users=3, posts=8, prompt=sentence, seed=5)
    assert made.success, made.failure
    (description,) = worlds.documents("world_description", world_id)
    assert description.user_preferences.language == language
    messages, direction = all_messages()[lang], "rtl" if lang in ("he", "ar") else "ltr"
    posts = worlds.documents("posts", world_id)
    reply = next((post.key for post in posts if post.in_reply_to), "c0001-p0000")
    tag = next(tag for post in posts for tag in post.hashtags)
    address = f"{site}/worlds/{world_id}"
    with a_page(browser, width=width, scheme=scheme) as page:
        for path in ("", "/people", "/characters/c0001", "/about", f"/posts/{reply}", f"/tags/{tag}", f"/search?q={tag}"):
            page.goto(f"{address}{path}")
            _is_read_its_way(page, lang, direction, script, width)
            expect(page.locator(".tabs a").first).to_have_text(messages["feed"])
            first, second = left_of(page, ".tabs a:nth-child(1)"), left_of(page, ".tabs a:nth-child(2)")
            assert (first < second) is (direction == "ltr")
        page.goto(f"{address}/about")
        slanted = page.locator("blockquote").first.evaluate("one => getComputedStyle(one).fontStyle") == "italic"
        assert slanted is (lang == "ru")  # the other scripts have no italics
        growing: dict[str, Any] = {"status": "in_progress", "current_stage": "posts"}
        worlds.database[STATUS].update_one({"_id": world_id}, {"$set": growing})
        page.goto(address)
        expect(page.locator(".progress .headline")).to_contain_text(messages["stage_posts"])
        _is_read_its_way(page, lang, direction, script, width)


def _is_read_its_way(page: Page, lang: str, direction: str, script: str, width: int) -> None:
    assert page.evaluate("[document.documentElement.lang, getComputedStyle(document.body).direction]") == [lang, direction]
    assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url
    assert page.evaluate(CUT_OFF, width) == [], page.url
    assert page.evaluate(ASTRAY, [lang, script, direction]) == [], page.url
    all_in_sight(page)
    load_axe(page)
    assert page.evaluate(SERIOUS_ONES) == [], page.url
