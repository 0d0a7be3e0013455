"""The pages' pieces without a server: words, texts, addresses, the picture of who knows whom."""

from __future__ import annotations

import re
import string
from itertools import combinations
from pathlib import Path

import pytest

from generia_assets.content.social import acquaintances
from generia_assets.pages import texts
from generia_assets.pages.graph import ACROSS, DOWN, graph_of
from generia_assets.pages.links import FileLinks, ServedLinks
from generia_assets.pages.texts import all_messages, locale_of
from generia_assets.queries.people import PersonCard, RelationView

PAGES = Path(__file__).parents[2] / "generia_assets" / "pages"


def test_every_language_has_the_same_messages() -> None:
    """A page in any of our languages lacks no word, and no word is there that no page says."""
    english = set(all_messages()["en"])
    assert {code: english ^ set(messages) for code, messages in all_messages().items() if english ^ set(messages)} == {}
    templates = "\n".join(path.read_text() for path in (PAGES / "templates").rglob("*.html")) + (PAGES / "render.py").read_text()
    computed = ("stage_", "state_", "step_", "missing_", "now_")
    unused = [word for word in english if not word.startswith(computed) and not re.search(rf"\b{word}\b", templates)]
    assert unused == []


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("English", ("en", "en", "ltr")),
        ("Russian", ("ru", "ru", "ltr")),
        ("Hebrew", ("he", "he", "rtl")),
        ("Arabic", ("ar", "ar", "rtl")),
        ("Persian", ("en", "fa", "rtl")),
        ("French", ("en", "fr", "ltr")),
        ("Klingon", ("en", "tlh", "ltr")),
        ("Elvish", ("en", "", "ltr")),
        ("", ("en", "", "ltr")),
    ],
)
def test_a_page_speaks_its_worlds_language(language: str, expected: tuple[str, str, str]) -> None:
    """The page's own language is one we have words in, the content's its own, and the direction that of the content's script."""
    speaking = locale_of(language)
    assert (speaking.lang, speaking.content, speaking.dir) == expected


def test_mentions_become_links_and_markup_stays_text() -> None:
    """Only who exists is linked to, and nothing that anybody wrote is markup."""
    linked = texts.linked("Hi @ann.b, <b>@nobody</b> x@ann.b & @ann.b.", {"ann.b": 'characters/"c0.html'})
    link = '<a class="mention" href="characters/&#34;c0.html">@ann.b</a>'
    assert linked == f"Hi {link}, &lt;b&gt;@nobody&lt;/b&gt; x@ann.b &amp; {link}."


def test_addresses_are_relative_in_files_and_stay_on_the_server() -> None:
    """A file's page finds its pictures from any depth; hostile ids and names end up quoted, other servers' pictures as they are."""
    assert FileLinks(1).media("media/w/posts/a.webp") == "../media/posts/a.webp"
    assert FileLinks().person("c0001") == "characters/c0001.html"
    assert ServedLinks("a/../b?c").feed() == "/worlds/a%2F..%2Fb%3Fc"
    assert ServedLinks("w").media("media/w/posts/a b.webp") == "/media/w/posts/a%20b.webp"
    assert ServedLinks("w").media("https://cdn.example/a.webp") == "https://cdn.example/a.webp"


@pytest.mark.parametrize("count", [0, 1, 2, 12, 100])
def test_the_picture_of_who_knows_whom_is_readable(count: int) -> None:
    """Everybody is inside the frame, no two portraits or names cover each other, and it is the same picture every time."""
    people = [PersonCard(key=f"c{n:04d}", character_id="", username=f"p{n}", display_name=letter(n)) for n in range(count)]
    pairs = {(min(n, tie.index), max(n, tie.index)) for n in range(count) for tie in acquaintances(3, count, n)}
    ties = [RelationView(one=f"c{one:04d}", other=f"c{other:04d}", kinds=("rival",)) for one, other in sorted(pairs)]
    graph = graph_of(people, ties)
    assert (len(graph.nodes), len(graph.edges)) == (count, len(pairs))
    assert all(0 < node.x < graph.width and 0 < node.y < graph.height for node in graph.nodes)
    covered = [
        (one.person.key, other.person.key)
        for one, other in combinations(graph.nodes, 2)
        if abs(one.x - other.x) < 0.8 * ACROSS and abs(one.y - other.y) < 0.7 * DOWN
    ]
    assert covered == []
    assert graph_of(people, ties) == graph


@pytest.mark.parametrize("count", range(2, 9))
def test_the_words_of_a_tie_cover_nobody(count: int) -> None:
    """What two people are to each other is written within the picture, and neither over a portrait, a name nor other such words."""
    people = [
        PersonCard(key=f"c{n:04d}", character_id="", username=f"p{n}", display_name="Bridget Charlene Chaney") for n in range(count)
    ]
    pairs = {(min(n, tie.index), max(n, tie.index)) for n in range(count) for tie in acquaintances(5, count, n)}
    graph = graph_of(
        people, [RelationView(one=f"c{one:04d}", other=f"c{two:04d}", kinds=("mentor", "rival")) for one, two in sorted(pairs)]
    )
    assert graph.labelled
    boxes = [(node.x - 33, node.y - 33, node.x + 33, node.y + 33) for node in graph.nodes]
    boxes += [(node.x - 60, node.y + 40, node.x + 60, node.y + 56) for node in graph.nodes]
    for x, y in (edge.words_at for edge in graph.edges):
        words = (x - 45, y - 10, x + 45, y + 3)
        assert words[0] >= 0 and words[2] <= graph.width
        assert [box for box in boxes if words[0] < box[2] and box[0] < words[2] and words[1] < box[3] and box[1] < words[3]] == []
        boxes.append(words)


def letter(number: int) -> str:
    return string.ascii_uppercase[number % 26]
