"""Searching: worlds in the list of all, and posts and people inside a world."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import Browser, expect

from generia_assets.content.keys import character_key
from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import State
from generia_assets.queries.asset_views import AssetViews
from generia_assets.queries.feed import FeedOrder
from generia_assets.queries.search import MOST_FOUND, PostQuery, found_keys, terms
from tests.support.pages_site import Site, a_page, a_site, get
from tests.support.pages_world import MadeUp
from tests.support.waiting import PATIENCE_S

expect.set_options(timeout=PATIENCE_S * 1000)
TEXTS = {
    0: "Zürich's CAFÉ opens",
    1: "Ёлка стоит у реки",
    2: "בְּרֵאשִׁית ברא",
    3: "قَالَ الأمير",
    4: "海辺のカフェで歌う",
    5: "हिन्दी में लिखा",
    6: "a (very) odd ^text$ with 100% [signs] and #Tide",
    7: "the blue whale sang",
    8: "the whale was blue",
}


@pytest.fixture(scope="module")
def site(mongo_client: Any, mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with a_site(mongo_client, mongodb_uri, tmp_path_factory.mktemp("search")) as site:
        yield site


def with_texts(world: MadeUp, *, growing: bool = False) -> MadeUp:
    """The world with these texts in its posts, and a hashtag in the last of them."""
    documents = dict(world.documents())
    tags = {6: ("Tide", "C++/C"), 7: ("tide",)}
    documents["posts"] = [
        one.model_copy(update={"content": TEXTS.get(one.t, "nothing"), "hashtags": tags.get(one.t, ()), "location": ""})
        for one in documents["posts"]
    ]
    return world.begin(documents) if growing else world.make(documents=documents)


@pytest.fixture(scope="module", params=[False, True], ids=["finished", "growing"])
def world(request: pytest.FixtureRequest, site: Site) -> MadeUp:
    return with_texts(site.world(users=3, posts=12), growing=request.param)


def keys_in(html: str) -> list[str]:
    return re.findall(r'data-post-id="post-(\S+)"', html)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        pytest.param("zurich cafe", [0], id="P35 without accents and capitals"),
        pytest.param("ZÜRICH", [0], id="P35 with them"),
        pytest.param("елка РЕКИ", [1], id="P35 Russian"),
        pytest.param("בראשית", [2], id="P35 Hebrew with points"),
        pytest.param("قال الامير", [3], id="P35 Arabic with vowels and a hamza"),
        pytest.param("カフェ", [4], id="P35 Japanese, inside a line without spaces"),
        pytest.param("हिन्दी", [5], id="P35 Hindi"),
        pytest.param("हिन्द", [5], id="P35 the beginning of a Hindi word"),
        pytest.param("100% [signs] (very) ^text$", [6], id="P35 signs of regular expressions"),
        pytest.param("whale blue", [7, 8], id="P35 all words, in any order"),
        pytest.param('"blue whale"', [7], id="P35 a phrase"),
        pytest.param("#TIDE", [6, 7], id="P35 a hashtag"),
        pytest.param("#tid", [], id="P35 part of a hashtag"),
        pytest.param("whale \0 tide", [7], id="P35 a control character"),
        pytest.param("tortoise", [3], id="P35 a comment"),
        pytest.param("tortoise الأمير", [3], id="P35 a comment and its post"),
        pytest.param("elephant", [], id="P35 nothing"),
    ],
)
def test_a_search_finds_words_in_every_script(world: MadeUp, asked: str, found: list[int]) -> None:
    """Parts of words are found, ignoring case and accents; special characters are literal; also while a world grows."""
    keys = found_keys(AssetViews.of(world.database, world.world_id), PostQuery(asked), 1)
    assert keys == [world.post_key(index) for index in found]


@pytest.mark.parametrize("asked", ["", "   ", "#", "# ##", '""', "\u0301"])
def test_a_text_without_words_is_not_a_search(asked: str) -> None:
    """It shows no results instead of all posts."""
    assert terms(asked) == [] and not PostQuery(asked)


@pytest.mark.parametrize("order", FeedOrder)
def test_results_are_in_the_order_of_the_world_and_only_once(site: Site, order: FeedOrder) -> None:
    """Words and a person together find that person's posts; over all pages each post comes once; an unpublished post is neither
    found nor counted."""
    world = site.world(users=2, posts=130).make()
    missing = world.post_key(64)
    world.database["post_images"].delete_one({"world_id": world.world_id, "key": missing})
    wanted = [world.post_key(index) for index in range(0, 130, 2) if world.post_key(index) != missing]
    address: str | None = f"/worlds/{world.world_id}/search?" + urlencode(
        {"q": "TORTOISE c0000", "by": "@person0", "order": order.value}
    )
    seen: list[str] = []
    while address:
        html = get(site.address + address).text
        assert f"{len(wanted)} post{'s' * (len(wanted) != 1)}<" in html
        seen += keys_in(html)
        onward = re.search(r'<p class="onward"><a href="([^"]+)"', html)
        address = unescape(onward[1]) if onward else None
    assert seen == wanted[:: order.direction]


def test_a_person_is_found_by_username_or_name(site: Site) -> None:
    """A unique part of a name is enough; several people are offered as choices for the same search; an unknown name gives a
    message."""
    world = site.world(users=12, posts=24).make()
    address = site.page_of(world, "/search?")
    for one in ("person3", "@person3", "Person 3"):
        assert set(keys_in(get(address + urlencode({"by": one})).text)) == {world.post_key(3), world.post_key(15)}
    several = get(address + urlencode({"by": "Person 1", "q": "day"})).text
    assert keys_in(several) == [] and "Several people have this name" in several
    assert [unescape(link) for link in re.findall(r'class="chip" href="([^"]+)"', several)] == [
        f"/worlds/{world.world_id}/search?q=day&by=person{number}" for number in (1, 10, 11)
    ]
    assert "Nobody here has this name" in get(address + urlencode({"by": "Person 99"})).text
    assert 'data-character="c0007"' in get(address + urlencode({"q": "person 7"})).text


def test_a_search_finds_a_post_by_its_comment(site: Site, world: MadeUp) -> None:
    """A search for a word of a comment finds its post, which is shown with its comments."""
    html = get(site.page_of(world, "/search?q=tortoise")).text
    assert keys_in(html) == [world.post_key(3)]
    assert html.count('<li class="said">') == len(world.post(world.post_key(3)).comments) == 2


def test_a_search_without_results_names_what_it_reads(site: Site, world: MadeUp) -> None:
    """A word that is only in a profile is not found, and the page says what was searched; with results it does not."""
    asked = {word: get(site.page_of(world, f"/search?q={word}")).text for word in ("trade", "whale")}
    assert [word for word, html in asked.items() if "Posts, comments and names are searched, not profiles" in html] == ["trade"]


def test_a_hashtag_has_a_page_whatever_its_letters(site: Site, world: MadeUp) -> None:
    """Each hashtag of a post links to all posts with it, in upper or lower case, also with a slash in it; the search lists hashtags
    with their counts."""
    feed = get(site.page_of(world, "?order=oldest")).text
    links = [unescape(link) for link in re.findall(r'href="([^"]+)" rel="tag"', feed)]
    assert links == [f"/worlds/{world.world_id}/tags/{quote(tag, safe='')}" for tag in ("Tide", "C++/C", "tide")]
    for link, found in zip(links, ([6, 7], [6], [6, 7]), strict=True):
        for order in FeedOrder:
            html = get(f"{site.address}{link}?order={order.value}").text
            assert keys_in(html) == [world.post_key(index) for index in found][:: order.direction]
    assert "Nothing was found" in get(site.page_of(world, "/tags/none")).text
    popular = get(site.page_of(world, "/search")).text
    assert re.findall(r'rel="tag"[^>]*>#([^<]+)</a> <span class="quiet">(\d+)', popular) == [("Tide", "2"), ("C++/C", "1")]


def test_a_search_reads_only_the_posts_of_one_world(site: Site) -> None:
    """It uses an index of the world's posts, in order, for any number of other worlds."""
    world = with_texts(site.world(users=3, posts=12))
    view = AssetViews.of(world.database, world.world_id)["posts"]
    query = {**view.filter, **PostQuery("whale").conditions()}
    explained = world.database[view.collection].find(query).sort([("t", -1), ("key", -1)]).limit(MOST_FOUND).explain()
    winning = str(explained["queryPlanner"]["winningPlan"])
    assert "IXSCAN" in winning and "COLLSCAN" not in winning and "'SORT'" not in winning


@pytest.fixture(scope="module")
def worlds(site: Site) -> dict[str, str]:
    """The ids of worlds in several languages and states, by a name for each."""
    site.database[STATUS].delete_many({})
    english, russian = (
        site.world(users=1, posts=1, word="heron").make(),
        site.world(users=1, posts=1, word="цапля", language="Russian"),
    )
    russian.make(State.FAILED)
    stopped, ordered = site.world(users=1, posts=1, word="newt").make(), site.world(users=1, posts=1, word="toad")
    stopped.say(State.IN_PROGRESS, parked={"kind": "stopped", "since": datetime.now(UTC)})
    ordered.say(State.PENDING, name="")
    made = {"heron": english, "цапля": russian, "newt": stopped, "toad": ordered}
    return {word: one.world_id for word, one in made.items()}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["heron", "newt", "toad", "цапля"]),
        ({"q": "HERON tow"}, ["heron"]),
        ({"q": "цапля"}, ["цапля"]),
        ({"q": "world script"}, ["heron", "newt", "toad", "цапля"]),
        ({"state": "completed"}, ["heron"]),
        ({"state": "failed"}, ["цапля"]),
        ({"state": "stopped"}, ["newt"]),
        ({"state": "in_progress"}, ["toad"]),
        ({"state": "nonsense"}, ["heron", "newt", "toad", "цапля"]),
        ({"language": "Russian"}, ["цапля"]),
        ({"language": "English"}, ["heron", "newt"]),
        ({"language": "English", "state": "completed", "q": "newt"}, []),
        ({"language": "Klingon"}, []),
    ],
)
def test_the_list_of_worlds_is_searched_by_words_state_and_language(
    site: Site, worlds: dict[str, str], query: dict[str, str], found: list[str]
) -> None:
    """All parameters of the address are combined; an unknown state is ignored."""
    html = get(f"{site.address}/?{urlencode(query)}").text
    assert set(re.findall(r'<li data-world="([^"]+)"', html)) == {worlds[word] for word in found}
    assert ("Nothing was found" in html) is not found
    assert ("<option selected>Russian" in html) is (query.get("language") == "Russian")


def test_a_search_in_the_list_of_worlds_continues_on_later_pages(site: Site, worlds: dict[str, str]) -> None:
    """The link to older worlds keeps the search."""
    record = site.database[STATUS].find_one({"_id": worlds["heron"]})
    assert record is not None
    moments = (datetime(2026, 1, 1 + day, tzinfo=UTC) for day in range(26))
    site.database[STATUS].insert_many(
        {**record, "_id": f"old {n}", "name": "old", "updated_at": at} for n, at in enumerate(moments)
    )
    first = get(f"{site.address}/?q=old&state=completed").text
    onward = re.search(r'<p class="onward"><a href="([^"]+)"', first)
    assert onward is not None
    rest = get(site.address + unescape(onward[1])).text
    assert first.count("<li data-world=") == 24 and set(re.findall(r'data-world="([^"]+)"', rest)) == {"old 0", "old 1"}
    site.database[STATUS].delete_many({"name": "old"})


def test_a_world_in_progress_shows_what_is_made_now(browser: Browser, site: Site) -> None:
    """One line lists the purposes of the calls in flight, in the order of the work, on the world's page and in the list of worlds;
    without a call it names the stage. An open page is updated when a call begins."""
    world = site.world(users=2, posts=4).begin()
    types = ("generate_post", "generate_character_avatar", "generate_post", "no_such_task")
    notes = {f"call{n}": {"api_type": "llm", "labels": {"task_type": task_type}} for n, task_type in enumerate(types)}
    world.say(State.IN_PROGRESS, generation=f"{world.world_id}:1", current_stage="posts")
    with a_page(browser) as page:
        page.goto(site.page_of(world))
        expect(page.locator("#progress .headline")).to_have_text("Growing: posts")
        change = {"$set": {"in_flight": notes}, "$inc": {"api_calls_made_LLM": 3}}
        world.database[STATUS].update_one({"_id": world.world_id}, change)
        expect(page.locator("#progress .headline")).to_have_text("Being made now: portraits 1 · posts 2")
        page.goto(site.address)
        expect(page.locator(f"[data-world='{world.world_id}']")).to_contain_text("Being made now: portraits 1 · posts 2")


def test_a_search_needs_no_script(browser: Browser, site: Site) -> None:
    """In a browser without scripts the form of the feed leads to the results, and from there to the posts of one person."""
    world = with_texts(site.world(users=3, posts=12))
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(site.page_of(world))
        page.get_by_role("searchbox").fill("blue")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("[data-post-id]")).to_have_count(2)
        page.get_by_label("By: a name").fill("person1")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("[data-post-id]")).to_have_attribute("data-key", f"{character_key(1)}-p0002")
        page.get_by_role("link", name="tortoise Person 1").first.click()
        page.get_by_role("searchbox").fill("nothing")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("[data-post-id]")).to_have_attribute("data-key", world.post_key(10))
        page.go_back()
        page.go_back()
        page.get_by_role("link", name="#tide").click()
        expect(page.locator("h1")).to_have_text("#tide")
        expect(page.locator("[data-post-id]")).to_have_count(2)
