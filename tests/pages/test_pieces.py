"""The parts of pages without a server: messages, texts, addresses, the graph of people."""

from __future__ import annotations

import re
from inspect import getmembers, isfunction
from itertools import combinations
from pathlib import Path

import pytest
from jinja2.filters import FILTERS

from generia_assets.content.social import acquaintances
from generia_assets.pages import texts
from generia_assets.pages.graph import graph_of, spacing
from generia_assets.pages.links import FileLinks, ServedLinks
from generia_assets.pages.render import _environment
from generia_assets.pages.texts import all_messages, locale_of
from generia_assets.queries.people import PersonCard, RelationView

PAGES = Path(__file__).parents[2] / "generia_assets" / "pages"


def test_every_language_has_the_same_messages() -> None:
    """No language lacks a message, and no message is unused."""
    english = set(all_messages()["en"])
    assert {code: english ^ set(messages) for code, messages in all_messages().items() if english ^ set(messages)} == {}
    templates = "\n".join(path.read_text() for path in (PAGES / "templates").rglob("*.html")) + (PAGES / "render.py").read_text()
    assert english & set(dir(dict)) == set()  # a template would find the method of dict
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
        ("Japanese", ("ja", "ja", "ltr")),
        ("Hindi", ("hi", "hi", "ltr")),
        ("Persian", ("en", "fa", "rtl")),
        ("French", ("en", "fr", "ltr")),
        ("Klingon", ("en", "tlh", "ltr")),
        ("Elvish", ("en", "", "ltr")),
        ("", ("en", "", "ltr")),
    ],
)
def test_a_page_speaks_its_worlds_language(language: str, expected: tuple[str, str, str]) -> None:
    """The page's own texts are in a language that we have, the content in its own, and the direction is that of the content's
    script."""
    speaking = locale_of(language)
    assert (speaking.lang, speaking.content, speaking.dir) == expected


@pytest.mark.parametrize(
    ("lang", "replies"),
    [
        ("en", {0: "0 replies", 1: "1 reply", 2: "2 replies", 1000: "1\u202f000 replies"}),
        ("ru", {0: "0 ответов", 1: "1 ответ", 2: "2 ответа", 5: "5 ответов", 11: "11 ответов", 21: "21 ответ", 112: "112 ответов"}),
        ("he", {0: "0 תגובות", 1: "תגובה אחת", 2: "2 תגובות"}),
        ("ar", {0: "لا ردود", 1: "رد واحد", 2: "ردان", 3: "3 ردود", 11: "11 ردًا", 100: "100 رد", 103: "103 ردود"}),
        ("ja", {0: "返信0件", 1: "返信1件"}),
        ("hi", {0: "0 जवाब", 1: "1 जवाब", 2: "2 जवाब"}),
    ],
)
def test_a_count_has_the_form_of_its_number(lang: str, replies: dict[int, str]) -> None:
    """Every language has a form for every number, and no form without a number."""
    messages = all_messages()[lang]
    assert {count: texts.counted(count, messages["n_replies"], messages["plural"]) for count in replies} == replies
    for name in ("n_posts", "n_replies"):
        patterns = {re.sub(r"\d+", "{}", texts.counted(count, messages[name], messages["plural"])) for count in range(1000)}
        assert patterns == set(messages[name].split(" | "))


def test_a_date_does_not_break_at_its_numbers() -> None:
    """A line may be broken between two words of a date, but not between a number and the word beside it."""
    assert texts.unbroken("4 November, 3 in the morning").split(" ") == ["4\u00a0November,", "3\u00a0in", "the", "morning"]
    assert texts.unbroken("day 12 of rain").split(" ") == ["day\u00a012\u00a0of", "rain"]


def test_a_reply_is_quoted_without_its_address() -> None:
    """The address at the beginning of a reply is removed from its quote; a mention inside a sentence stays."""
    said = ("@ann.b, thank you", "@ann.b: yes", "@ann is right", "Yes, @ann, yes")
    assert [texts.unaddressed(one) for one in said] == ["thank you", "yes", *said[2:]]


def test_mentions_become_links_and_markup_is_escaped() -> None:
    """Only existing people are linked, and no text is interpreted as markup."""
    linked = texts.linked("Hi @ann.b, <b>@nobody</b> x@ann.b & @ann.b.", {"ann.b": 'characters/"c0.html'})
    link = '<a class="mention" href="characters/&#34;c0.html">@ann.b</a>'
    assert linked == f"Hi {link}, &lt;b&gt;@nobody&lt;/b&gt; x@ann.b &amp; {link}."


def test_addresses_are_relative_in_files_and_stay_on_the_server() -> None:
    """The page of a file finds its pictures from any depth; hostile ids and names are quoted, and addresses of other servers do not
    change."""
    assert FileLinks(1).media("media/w/posts/a.webp") == "../media/posts/a.webp"
    assert FileLinks().person("c0001") == "characters/c0001.html"
    assert ServedLinks("a/../b?c").feed() == "/worlds/a%2F..%2Fb%3Fc"
    assert ServedLinks("w").media("media/w/posts/a b.webp") == "/media/w/posts/a%20b.webp"
    assert ServedLinks("w").media("https://cdn.example/a.webp") == "https://cdn.example/a.webp"


@pytest.mark.parametrize("count", [0, 1, 2, 5, 12, 13, 40, 100])
def test_the_graph_of_people_is_readable(count: int) -> None:
    """All people are inside the frame, no two portraits or names overlap, and the graph is always the same. A phone shows the whole
    graph with portraits that a finger can hit."""
    people = [
        PersonCard(key=f"c{n:04d}", character_id="", username=f"p{n}", display_name="Bridget Charlene Chaney-Featherstonehaugh")
        for n in range(count)
    ]
    pairs = {(min(n, tie.index), max(n, tie.index)) for n in range(count) for tie in acquaintances(3, count, n)}
    ties = [relation(one, other) for one, other in sorted(pairs)]
    graph = graph_of(people, ties)
    assert (len(graph.nodes), len(graph.edges)) == (count, len(pairs))
    assert all(33 < node.x < graph.width - 33 and 33 < node.y < graph.height - 60 for node in graph.nodes)
    space = spacing(count)
    covered = [
        (one.person.key, other.person.key)
        for one, other in combinations(graph.nodes, 2)
        if abs(one.x - other.x) < 0.94 * space.across and abs(one.y - other.y) < 0.89 * space.down
    ]
    assert covered == []
    assert all(len(line) <= space.letters and len(node.name) <= space.lines for node in graph.nodes for line in node.name)
    assert graph_of(people, ties) == graph
    portrait = 66 * (1 if graph.few else 1.35) * min(1.0, 358 / graph.width)  # view.css
    assert portrait >= 24


def test_a_relation_is_shown_in_the_right_direction() -> None:
    """Each acquaintance of a person is shown with the relation to this person, not the reverse."""
    people = [PersonCard(key=f"c{n:04d}", character_id="", username=f"p{n}", display_name=f"N{n}") for n in range(3)]
    ties = [relation(0, 1, other_is="carer", one_is="frail friend"), relation(1, 2, one_is="boss")]
    assert [[(one.display_name, what) for one, what in node.knows] for node in graph_of(people, ties).nodes] == [
        [("N1", "carer")],
        [("N0", "frail friend"), ("N2", "")],
        [("N1", "boss")],
    ]


def relation(one: int, other: int, *, other_is: str = "", one_is: str = "") -> RelationView:
    return RelationView(one=f"c{one:04d}", other=f"c{other:04d}", other_is=other_is, one_is=one_is)


def test_no_filter_of_ours_replaces_one_of_jinja() -> None:
    """The functions of texts.py are filters of the templates, and none has the name of a built-in filter."""
    own = {name for name, function in getmembers(texts, isfunction) if function.__module__ == texts.__name__}
    assert own & FILTERS.keys() == set()
    assert own <= _environment().filters.keys()
