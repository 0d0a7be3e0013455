"""The worlds' pages with unusual and hostile requests (S13, S5), and their texts (P23, P25)."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import State
from generia_assets.pages import live
from generia_assets.pages.app import Source, pages_app
from generia_assets.pages.texts import direction
from generia_assets.settings import Settings
from tests.support.pages_site import Site, a_site
from tests.support.pages_world import MadeUp
from tests.support.waiting import PATIENCE_S, slowness

ARABIC = "«مرحبا» said the harbour master, and nobody in the whole town answered him."


@pytest.fixture(scope="module")
def site(mongo_client: Any, mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with a_site(mongo_client, mongodb_uri, tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="module")
def world(site: Site) -> MadeUp:
    return site.world(users=3, posts=6).make()


@pytest.fixture(scope="module")
def app(site: Site, mongodb_uri: str, world: MadeUp) -> Iterator[TestClient]:
    """The real application in this process: exceptions that it does not handle are raised here."""
    with TestClient(pages_app(Source(mongodb_uri, site.database.name, site.media)), base_url="http://127.0.0.1") as client:
        yield client


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param("before=9999-12-31T23:59:59-12:00", 400, id="S13 beyond the year 9999"),
        pytest.param("before=0001-01-01T00:00:00%2B14:00", 400, id="S13 before the year 1"),
        pytest.param("before=yesterday", 400, id="S13 no moment"),
        pytest.param("before=2026-01-01T00:00:00", 400, id="S13 without a time zone"),
        pytest.param("before=2026-01-01T00:00:00%2B00:00", 200, id="S13 a moment"),
        pytest.param("before=", 200, id="S13 empty"),
        pytest.param("after=x&other=%ff", 200, id="S13 what no page asks for"),
    ],
)
def test_the_list_accepts_only_moments(app: TestClient, query: str, status: int) -> None:
    """The link to older worlds has a moment that can be written in UTC; anything else is refused with the reason."""
    answer = app.get(f"/?{query}")
    assert answer.status_code == status
    assert ("date and time with a time zone" in answer.text) is (status == 400)


def test_a_search_that_takes_too_long_is_reported(app: TestClient, world: MadeUp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page does not call it an outage of MongoDB, and suggests a smaller search."""
    monkeypatch.setattr("generia_assets.pages.app.ANSWER_S", 1e-9)
    answer = app.get(f"/worlds/{world.world_id}/search?q=tortoise")
    assert answer.status_code == 503 and "This takes too long" in answer.text


anything = st.text(max_size=40) | st.sampled_from(
    ["c0001-p0001", "c0001", "9" * 400, "\0", "$ne", "٣", "../x", "2026-01-01T00:00:00+00:00"]
)


@settings(max_examples=12, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["before", "after", "order", "q", "by", "state", "language", "x"]), anything, anything)
@example("before", "9999-12-31T23:59:59-12:00", "c0001")
@example("after", "²", "c0001")
@example("language", "English", "c0001")
@example("q", "(" * 200, "[a")
@example("q", "a" * 200, "a" * 2000)
@pytest.mark.case("S13")
def test_no_text_in_an_address_breaks_a_page(app: TestClient, world: MadeUp, name: str, value: str, part: str) -> None:
    """For any query or path every page answers 200, 204, 400, 404 or a redirect, and never 500."""
    pages = ("", "/people", "/about", "/search", "/tags/a", "/characters/c0001", "/posts/c0001-p0001", "/live")
    addresses = ["/", *(f"/worlds/{world.world_id}{page}" for page in pages)]
    part = quote(part, safe="", errors="replace")
    odd = [
        f"/worlds/{part}",
        f"/worlds/{world.world_id}/characters/{part}",
        f"/worlds/{world.world_id}/posts/{part}",
        f"/worlds/{world.world_id}/tags/{part}",
        f"/media/{part}",
    ]
    for address in [*(f"{one}?{name}={quote(value, safe='', errors='replace')}" for one in addresses), *odd]:
        assert app.get(address, follow_redirects=False).status_code in (200, 204, 307, 400, 404), address


@pytest.mark.case("S13")
def test_live_feeds_are_bounded_and_pages_stay_fast(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit of live feeds a browser gets an answer to retry later, and pages are as fast as before; a closed feed frees
    its place."""
    monkeypatch.setattr(live, "MOST_FOLLOWERS", 40)
    growing = site.world(users=3, posts=6).begin()
    address = site.page_of(growing, "/live?after=0")
    with ExitStack() as stack:
        answers = [stack.enter_context(requests.get(address, stream=True, timeout=60)) for _ in range(60)]
        assert [answer.status_code for answer in answers] == [200] * 40 + [503] * 20
        assert answers[-1].headers["retry-after"] == "30"
        assert "content-encoding" not in answers[0].headers  # a compressor would delay events
        stop = threading.Event()
        changing = threading.Thread(target=change, args=(growing, stop))
        changing.start()
        began = time.monotonic()
        for _ in range(5):
            assert requests.get(site.page_of(growing), timeout=60).status_code == 200
        took = time.monotonic() - began
        stop.set()
        changing.join()
        assert took < 4 * slowness()
        for answer in answers[:5]:
            answer.close()
        deadline = time.monotonic() + PATIENCE_S
        while (again := stack.enter_context(requests.get(address, stream=True, timeout=60))).status_code == 503:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert again.status_code == 200


def test_a_head_request_of_a_live_feed_ends_at_once(site: Site) -> None:
    """HEAD gets the headers of the stream without the stream, which would never end."""
    growing = site.world(users=2, posts=2).begin()
    answer = requests.head(site.page_of(growing, "/live?after=0"), timeout=PATIENCE_S)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")


def change(world: MadeUp, stop: threading.Event) -> None:
    while not stop.wait(0.1):
        update = {"$inc": {"api_calls_made_LLM": 1}, "$set": {"updated_at": datetime.now(UTC)}}
        world.database[STATUS].update_one({"_id": world.world_id}, update)


@pytest.mark.parametrize(
    ("host", "known"),
    [
        pytest.param("localhost", True, id="S5 localhost"),
        pytest.param("127.0.0.1:3001", True, id="S5 loopback with a port"),
        pytest.param("[::1]:3001", True, id="S5 loopback, IPv6"),
        pytest.param("LOCALHOST:3001", True, id="S5 capitals"),
        pytest.param("worlds.example.org", True, id="S5 of PAGES_URL"),
        pytest.param("also.example.org", True, id="S5 of ALLOWED_HOSTS"),
        pytest.param("evil.example.com", False, id="S5 a foreign name that leads here"),
        pytest.param("127.0.0.1.evil.example.com", False, id="S5 a foreign name that looks like loopback"),
        pytest.param("localhost.", False, id="S5 another name"),
        pytest.param("", False, id="S5 no name"),
    ],
)
def test_pages_answer_only_known_hosts(site: Site, mongodb_uri: str, host: str, known: bool) -> None:
    """A page is served only for an allowed host name, so that no other site can read it through its own name."""
    chosen = Settings(
        _env_file=None, pages_url="https://worlds.example.org/generia", allowed_hosts="also.example.org, b.example.org"
    )
    source = Source(mongodb_uri, site.database.name, site.media, chosen.known_hosts)
    client = TestClient(pages_app(source), base_url="http://127.0.0.1")  # without a lifespan: the static file needs no database
    assert client.get("/static/icon.svg", headers={"host": host}).status_code in ((200,) if known else (400, 403))


@pytest.mark.parametrize("wrong", ["http://a.example.org", "a.example.org:3001", "a b", "*.*.org"])
def test_a_wrong_host_name_is_refused_at_the_start(wrong: str) -> None:
    """ALLOWED_HOSTS has names; an address or a port in it would never match."""
    with pytest.raises(ValueError, match="host names without port"):
        Settings(_env_file=None, allowed_hosts=wrong)


@pytest.mark.case("P25")
def test_the_direction_is_that_of_the_world_and_not_of_the_first_word(site: Site) -> None:
    """A text of an English world that begins with an Arabic quotation is left to right; the reverse in an Arabic world."""
    for language, way in (("English", "ltr"), ("Arabic", "rtl")):
        world = site.world(users=2, posts=2, language=language, word=ARABIC if way == "ltr" else "GENERIA: عالم").make()
        site.database[STATUS].update_one({"_id": world.world_id}, {"$set": {"parameters.user_prompt": ARABIC}})
        about = requests.get(site.page_of(world, "/about"), timeout=60).text
        assert re.search(rf'<div class="lead" dir="{way}"', about)
        assert re.search(r'<blockquote dir="ltr"[^>]*>«مرحبا»', about)  # the sentence is English, whatever its world's language is
        assert set(re.findall(r'<p class="tagline clamped" dir="(\w+)"', about)) == {way}
        feed = requests.get(site.page_of(world), timeout=60).text
        assert set(re.findall(r'<div class="text" dir="(\w+)"', feed)) == {way}


@pytest.mark.parametrize(
    ("text", "way"),
    [
        pytest.param(ARABIC, "ltr", id="P25 an English sentence that begins in Arabic"),
        pytest.param("Generia: עולם על גבו של לווייתן", "rtl", id="P25 a Hebrew one that begins in English"),
        pytest.param("12 + 3 = 15!", "ltr", id="P25 no letters"),
        pytest.param("", "ltr", id="P25 nothing"),
    ],
)
def test_the_direction_of_a_text_is_that_of_most_of_its_letters(text: str, way: str) -> None:
    """If the language is unknown, most letters decide, not the first one."""
    assert direction(text) == way


@pytest.mark.case("P23")
def test_a_world_that_ended_without_a_name_is_not_said_to_get_one(site: Site) -> None:
    """The page of a world that ended without a name does not say that it has no name yet, and does not show a limit as progress."""
    world = site.world(users=2, posts=2)
    world.say(State.FAILED, name="", api_calls_made_LLM=79, api_call_limits_LLM=129)
    html = requests.get(site.page_of(world), timeout=60).text
    assert "<title>A world without a name</title>" in html
    assert re.search(r"Model calls <b[^>]*>79</b> \(limit <span[^>]*>129</span>\)", html)
