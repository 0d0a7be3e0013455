"""The worlds' pages as a server and as files: headers, missing pages, bounds, languages. Not here: the browser
(test_browser.py)."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import requests

from generia_assets.content.keys import author_of
from generia_assets.durable.collections import TASKS
from generia_assets.durable.status import State
from generia_assets.pages.gallery import write_gallery
from generia_assets.pages.links import FileLinks
from generia_assets.queries.feed import FeedOrder
from tests.support.databases import database_with_indexes
from tests.support.pages_site import get, serving
from tests.support.pages_world import MadeUp

POSTS = 120


@pytest.fixture(scope="module")
def database(mongo_client: Any) -> Iterator[Any]:
    with database_with_indexes(mongo_client) as name:
        yield mongo_client[name]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages") / "media"


@pytest.fixture(scope="module")
def world(database: Any, media: Path) -> MadeUp:
    return MadeUp(database, media, users=6, posts=POSTS).make()


@pytest.fixture(scope="module")
def site(mongodb_uri: str, database: Any, media: Path) -> Iterator[str]:
    with serving(mongodb_uri, database.name, media) as address:
        yield address


def keys_in(html: str) -> list[str]:
    return re.findall(r'data-post-id="post-(\S+)"', html)


def test_every_answer_has_strict_headers(site: str, world: MadeUp) -> None:
    """Pages, styles, pictures and errors allow no script except our file, no guessing of types and no frames; no page has an inline
    script."""
    for path in ("/", f"/worlds/{world.world_id}", "/static/pages.js", f"/media/{world.world_id}/icon/one.png", "/nowhere"):
        headers = requests.get(site + path, timeout=60).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    html = get(f"{site}/worlds/{world.world_id}").text
    assert re.findall(r"<script(?![^>]*\bsrc=)", html) == []
    assert re.findall(r"<[^>]+\son\w+=", re.sub(r"&lt;.*?&gt;", "", html)) == []


def test_texts_are_compressed(site: str, world: MadeUp) -> None:
    """Pages, styles and scripts are compressed if the client accepts it, pictures never."""
    page, picture = f"/worlds/{world.world_id}", f"/media/{world.world_id}/icon/one.png"
    for path, encoding in ((page, "gzip"), ("/static/style.css", "gzip"), ("/static/pages.js", "gzip"), (picture, None)):
        assert get(site + path).headers.get("content-encoding") == encoding, path
    plain = requests.get(site + page, headers={"accept-encoding": "identity"}, timeout=10)
    assert "content-encoding" not in plain.headers
    assert plain.text == get(site + page).text


@pytest.mark.parametrize(
    "path",
    ["/media/../secret.png", "/media/%2e%2e/secret.png", "/media/..%2fsecret.png", "/media/link.png", "/media/%2fetc%2fpasswd",
     "/media/note.txt", "/media/", "/media/a%00.png", "/static/..%2fapp.py", "/static/%2e%2e%2fmessages.yaml"],
)  # fmt: skip
def test_only_files_of_the_folder_of_pictures_are_served(site: str, media: Path, path: str) -> None:
    """No address leads out of the folder of pictures, by dots or by a link, and only pictures are served from it."""
    media.mkdir(exist_ok=True)
    (media.parent / "secret.png").write_bytes(b"secret")
    (media / "note.txt").write_text("secret")
    link = media / "link.png"
    if not link.is_symlink():
        link.symlink_to(media.parent / "secret.png")
    with socket.create_connection(("127.0.0.1", int(site.rpartition(":")[2])), timeout=60) as raw:  # unchanged, not normalized
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"secret" not in answer


def test_a_missing_page_is_a_404_with_links(site: str, world: MadeUp) -> None:
    """Unknown worlds, people, posts and pages have a page with status 404 and links to existing ones."""
    assert 'href="/"' in get(f"{site}/worlds/no-such-world", 404).text
    for what in ("characters/c9999", "posts/c0000-p9999", "posts/%3Cscript%3E", "persons", "posts", "pictures/1"):
        assert f'href="/worlds/{world.world_id}/people"' in get(f"{site}/worlds/{world.world_id}/{what}", 404).text
    assert get(f"{site}/worlds/{world.world_id}/live?after=0", 204).text == ""
    assert get(f"{site}/worlds/no-such-world/live", 204).text == ""


def test_a_world_has_pages_under_each_of_its_names(site: str, database: Any, media: Path) -> None:
    """Its name, the beginning of its id and ``last`` redirect to the page under its id; an ambiguous or unknown name does not."""
    for word in ("moth", "mothball"):
        shown = MadeUp(database, media, users=2, posts=2, word=word).make()
    at = f"/worlds/{shown.world_id}"
    for word in ("Mothball%20Town", shown.world_id[:20], "last"):
        for page in ("", "/people", "/characters/c0001?order=newest", "/tags/a%2Fb%3F"):
            answer = requests.get(f"{site}/worlds/{word}{page}", timeout=60, allow_redirects=False)
            assert (answer.status_code, answer.headers["location"]) == (307, f"{at}{page}".replace("%2F", "/"))
    for word in ("moth", "mot(", "a%00b", "m" * 40_000):
        assert 'href="/"' in get(f"{site}/worlds/{word}", 404).text


def test_an_ordered_world_has_pages(site: str, database: Any, media: Path) -> None:
    """After the order the pages show the sentence, the pending stages, and empty lists instead of errors."""
    ordered = MadeUp(database, media)
    ordered.say(State.PENDING, name="")
    html = get(f"{site}/worlds/{ordered.world_id}").text
    assert "without a name" in html and "A world of &lt;script&gt;" in html and html.count('<li class="pending">') == 6
    assert 'data-live="' in html
    for page in ("people", "about"):
        get(f"{site}/worlds/{ordered.world_id}/{page}")
    assert ordered.world_id in get(site).text


@pytest.mark.parametrize("order", FeedOrder)
def test_the_feed_has_every_post_once_in_order_on_bounded_pages(site: str, world: MadeUp, order: FeedOrder) -> None:
    """The links to the next page give each post once, in the chosen direction of the timeline, at most 50 on a page; each page
    links to the other direction."""
    seen: list[str] = []
    address: str | None = f"/worlds/{world.world_id}?order={order.value}"
    while address:
        html = get(site + address).text
        keys = keys_in(html)
        assert 0 < len(keys) <= 50
        seen += keys
        assert {False: "Newest first", True: "Oldest first"}[order is FeedOrder.OLDEST] in re.findall(
            r'aria-current="true">([^<]+)', html
        )
        onward = re.search(r'<p class="onward"><a href="([^"]+)"', html)
        address = unescape(onward[1]) if onward else None
    assert seen == [world.post_key(index) for index in range(POSTS)][:: order.direction]


@pytest.mark.parametrize("growing", [False, True])
def test_a_reply_is_shown_with_the_post_that_it_answers(site: str, database: Any, media: Path, growing: bool) -> None:
    """In the feed the whole post is above the reply, and the answered post counts and quotes the reply. The page of a reply has the
    whole thread, and the page of an answered post has the reply. People are shown with what they are. This also holds while the
    world grows."""
    world = MadeUp(database, media, users=5, posts=10)
    world = world.begin() if growing else world.make()
    first, second, third = (world.post_key(index) for index in (3, 4, 5))
    address = f"{site}/worlds/{world.world_id}"
    feed = get(address).text
    assert keys_quoted(article(feed, second)) == [first] and keys_quoted(article(feed, third)) == [second]
    assert "1 reply<" in article(feed, first) and "In reply to" not in article(feed, first)
    assert "0 replies<" in article(feed, third) and re.search(excerpt_of(second), article(feed, first))
    assert "rewritten since" in article(feed, world.post_key(9)) and "rewritten since" not in article(feed, second)
    assert article(feed, world.post_key(9)).count("tortoise" * 60) == 1
    assert article(feed, second).count("tortoise day\u00a01") == 1
    assert 'data-fact="time_of_day"' not in feed and 'data-fact="time_of_day"' in get(f"{address}/posts/{second}").text
    thread = get(f"{address}/posts/{third}").text
    assert keys_quoted(article(thread, third)) == [first, second]
    page = get(f"{address}/posts/{first}").text
    assert keys_in(page) == [first, second, third] and not re.search(excerpt_of(second), page)
    person = get(f"{address}/characters/{author_of(first)}").text
    assert re.search(excerpt_of(second), article(person, first)) and "tortoise Person 4" in article(person, first)
    for said in ("tortoise kind", "23 tortoise", "tortoise trade &lt;script&gt;"):
        assert said in person


def test_a_feed_shows_each_profile_line_once(site: str, database: Any, media: Path) -> None:
    """It stands at the first post of its author on the page; the page of a person has it above the posts only."""
    world = MadeUp(database, media, users=3, posts=9).make()
    feed, person = (get(f"{site}/worlds/{world.world_id}{page}").text for page in ("", "/characters/c0001"))
    headers = [[part.partition("</header>")[0] for part in html.split('<article class="post')[1:]] for html in (feed, person)]
    assert [" bio " in header for header in headers[0]] == [True] * 3 + [False] * 6
    assert [" bio " in header for header in headers[1]] == [False] * 3
    assert " bio " in person


def test_a_card_of_a_person_names_acquaintances(site: str, database: Any, media: Path) -> None:
    """It names at most three, each with the relation to this person; if nobody knows anybody there is neither a graph nor its
    help."""
    crowd = MadeUp(database, media, users=15, posts=15).make()
    html = get(f"{site}/worlds/{crowd.world_id}/people").text
    cards = html.split('<li class="person-card"')[1:]
    assert "</a> (neighbour &lt;script&gt;" in cards[0]
    assert [card.partition("</li>")[0].count("/characters/") - 2 for card in cards] == [2, *[3] * 13, 2]
    alone = MadeUp(database, media, users=1, posts=1).make()
    html = get(f"{site}/worlds/{alone.world_id}/people").text
    assert "1 post<" in html
    assert [said for said in ("Knows", "Who knows whom", "Choose somebody", '<svg viewBox="0 0 176') if said in html] == []


def test_a_posts_page_shows_its_plan(site: str, database: Any, media: Path) -> None:
    """It shows the place in the timeline, the latest event, the wish, the answered post (only its author if the post quotes it) and
    the heard ideas, and that the only post of a person was planned without a call. It shows none of this for an idea of an old
    world."""
    world = MadeUp(database, media, users=2, posts=2).make()
    world.trace("c0001-p0000")
    address = f"{site}/worlds/{world.world_id}/posts/c0001-p0000"
    said = [
        "<dd>1</dd>",
        "Latest event by then",
        "From the sentence",
        f'<dd><a href="/worlds/{world.world_id}/posts/c0000-p0000">',
        "Heard from others",
        "<bdi>@person0</bdi>: a walk &lt;script&gt;",
        "without a call of the model",
    ]
    html = get(address).text
    assert [one for one in said if one not in html] == []
    talk = MadeUp(database, media, users=5, posts=10).make()
    talk.trace(talk.post_key(5))
    html = get(f"{site}/worlds/{talk.world_id}/posts/{talk.post_key(5)}").text
    quoted = f'/worlds/{talk.world_id}/posts/{talk.post_key(4)}"><bdi dir="ltr">tortoise Person 4</bdi></a></dd>'
    assert quoted in html
    fields = ("t", "after", "in_reply_to", "wish")
    database[TASKS].update_many({"world_id": world.world_id}, {"$unset": {f"result.briefs.0.{name}": 1 for name in fields}})
    html = get(address).text
    assert [one for one in said if one in html] == said[4:6]


def article(html: str, key: str) -> str:
    """The HTML of the post with this key on the page."""
    return html.partition(f'data-key="{key}"')[2].partition("</article>")[0]


def keys_quoted(html: str) -> list[str]:
    return re.findall(r'<blockquote class="quote"><a href="[^"]*/posts/([^"]+)"', html)


def excerpt_of(key: str) -> str:
    """The pattern of a reply that is quoted with its author beside the post that it answers."""
    return rf'class="said" href="[^"]*/posts/{key}">(?s:.*?)</b> tortoise {key}'


@pytest.mark.parametrize(
    ("language", "word", "expected"),
    [
        ("Russian", "черепаха", 'lang="ru" dir="ltr"'),
        ("Hebrew", "צב", 'lang="he" dir="rtl"'),
        ("French", "tortue", 'lang="en" dir="ltr"'),
    ],
)
def test_language_and_direction_are_the_worlds(
    site: str, database: Any, media: Path, language: str, word: str, expected: str
) -> None:
    """The page has the attributes for language and direction; if we have no messages in the world's language, its texts have their
    own attributes."""
    world = MadeUp(database, media, users=2, posts=2, language=language, word=word).make()
    html = get(f"{site}/worlds/{world.world_id}").text
    assert f"<html {expected}" in html
    assert ('dir="ltr" lang="fr"' in html) is (language == "French")


class Links(HTMLParser):
    """The addresses on a page, and the posts and people that it shows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: set[str] = set()
        self.posts: list[str] = []
        self.people: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.addresses.add(value)
            elif name == "data-post-id" and value:
                self.posts.append(value)
            elif name == "data-character" and value:
                self.people.add(value)


def test_the_gallery_is_a_whole_site_of_relative_links(database: Any, media: Path, tmp_path: Path, world: MadeUp) -> None:
    """Every link of every page leads to a file of the same folder, and every post and person has a page; writing it again replaces
    it."""
    (tmp_path / world.world_id).mkdir()
    (tmp_path / world.world_id / "left-over.html").write_text("of a former making")
    index = write_gallery(database, world.world_id, galleries=tmp_path, media=media)
    assert index == tmp_path / world.world_id / "index.html"
    posts: list[str] = []
    broken = []
    newest = ("index-newest.html", "index-newest-2.html", "index-newest-3.html")
    from_the_newest = [key for name in newest for key in Links((index.parent / name).read_text("utf-8")).posts]
    assert from_the_newest == [f"post-{world.post_key(number)}" for number in reversed(range(POSTS))]
    for page in index.parent.rglob("*.html"):
        found = Links(page.read_text("utf-8"))
        for address in found.addresses - {"#main", "#posts", "#of", "#graph"}:
            target = (page.parent / address.partition("#")[0]).resolve()
            if not (target.is_relative_to(index.parent) and target.is_file()):
                broken.append((page.name, address))
        if page.name.startswith("index"):
            posts += found.posts if page.name not in newest else []
    assert broken == []
    assert sorted(posts) == sorted(f"post-{world.post_key(number)}" for number in range(POSTS))
    assert Links(index.read_text("utf-8")).posts[0] == f"post-{world.post_key(0)}"
    assert Links(index.read_text("utf-8")).people == {f"c{number:04d}" for number in range(6)}
    tag = index.parent / FileLinks().tag("tortoise")
    assert len(Links(tag.read_text("utf-8")).posts) == 50 and "119 posts" in tag.read_text("utf-8")  # all but the deleted one
    assert not (index.parent / "left-over.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == [world.world_id]
