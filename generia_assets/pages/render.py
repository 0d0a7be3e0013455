"""The pages: functions from read models to HTML, the same for the server and for files.

Here: the values of each template. Not here: reading them (queries/), and the pages' addresses (links.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import getmembers, isfunction
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from generia_assets.content import pictures
from generia_assets.pages import texts
from generia_assets.pages.graph import graph_of
from generia_assets.pages.links import Links
from generia_assets.pages.texts import Locale, locale_of
from generia_assets.queries.feed import FeedOrder, FeedPage, FeedPost, Thread
from generia_assets.queries.people import PeoplePage, PersonCard, PersonView
from generia_assets.queries.traces import Trace
from generia_assets.queries.worlds import WorldQuery, WorldsPage, WorldState, WorldView
from resources.mongodb.stored import UnreadableRecord

_TEMPLATES, STATIC = (Path(__file__).with_name(name) for name in ("templates", "static"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    own = (function for _, function in getmembers(texts, isfunction) if function.__module__ == texts.__name__)
    environment.filters |= {function.__name__: function for function in own}
    environment.globals["sizes"] = pictures
    return environment


@dataclass(frozen=True)
class Search:
    """What somebody looked for in a world, and what was found; ``found`` None: nothing was asked for.

    ``people``: those whose names have the text; with ``unclear`` those who could be meant by ``by``, and no posts.
    ``count``: posts of all pages.
    """

    text: str
    by: str
    order: FeedOrder
    known: Sequence[PersonCard]
    people: Sequence[PersonCard] = ()
    unclear: bool = False
    found: FeedPage | None = None
    count: int = 0
    onward: str | None = None
    hashtags: Sequence[tuple[str, int]] = ()


class WorldPages:
    """The pages of the world of ``view``, with these addresses."""

    def __init__(self, view: WorldView, links: Links, unreadable: Sequence[UnreadableRecord] = ()) -> None:
        """``unreadable``: documents of the world that were found and cannot be shown; the page names them."""
        self._view = view
        self._links = links
        self._unreadable = unreadable
        self._locale = locale_of(view.language)

    def feed(
        self, page: FeedPage, people: PeoplePage, *, order: FeedOrder, first: bool, onward: str | None, live: str | None
    ) -> str:
        """The feed; ``first``: its first page.

        ``onward``: address of the next page; ``live``: address of a growing world's live feed.
        """
        return self._page("feed.html", page=page, people=people, order=order, first=first, onward=onward, live=live)

    def tag(self, tag: str, page: FeedPage, *, count: int, order: FeedOrder, onward: str | None) -> str:
        """The posts with a hashtag; ``count``: of all pages."""
        return self._page("tag.html", tag=tag, page=page, count=count, order=order, onward=onward)

    def search(self, search: Search) -> str:
        return self._page("search.html", search=search)

    def people(self, people: PeoplePage, *, onward: str | None) -> str:
        return self._page("people.html", people=people, graph=graph_of(people.people, people.relations), onward=onward)

    def person(self, person: PersonView, page: FeedPage, *, order: FeedOrder, onward: str | None) -> str:
        known = [relation.person for relation in person.known if relation.person is not None]
        graph = graph_of([person.card, *known], person.relations, narrow=True) if known else None  # it stands in the narrow column
        return self._page("person.html", person=person, page=page, graph=graph, order=order, onward=onward)

    def post(self, post: FeedPost, thread: Thread, trace: Trace | None, *, earlier: str, later: str) -> str:
        """A post in its thread, and its trace, if any. ``earlier``, ``later``: the keys of the posts next to it, '' for none."""
        return self._page("post.html", post=post, thread=thread, trace=trace, earlier=earlier, later=later)

    def about(self) -> str:
        return self._page("about.html")

    def missing(self, what: str) -> str:
        """The page for something missing in this world; ``what`` is a key of messages.yaml."""
        return self._page("missing.html", what=what)

    def fragment(self, name: str, **values: object) -> str:
        """A part of a page, for one that is open: the template of this name in ``templates/fragments``."""
        return self._page(f"fragments/{name}.html", **values)

    @property
    def title(self) -> str:
        """The world's name, or the message that it has none."""
        return self._view.name or self._locale.messages["unnamed"]

    def _page(self, template: str, **values: object) -> str:
        return _render(template, self._links, self._locale, {"world": self._view, "unreadable": self._unreadable, **values})


def worlds(page: WorldsPage, links: Links, *, query: WorldQuery, languages: Sequence[str], older: str | None) -> str:
    """The worlds that the query found. ``languages``: those that can be chosen."""
    values = {
        "page": page,
        "unreadable": page.unreadable,
        "locales": [locale_of(view.language) for view in page.worlds],
        "query": query,
        "states": list(WorldState),
        "languages": languages,
        "older": older,
    }
    return _render("worlds.html", links, locale_of(""), values)


def problem(links: Links, *, status: int, title: str, advice: str) -> str:
    return _render("problem.html", links, locale_of(""), {"status": status, "title": title, "advice": advice})


def _render(template: str, links: Links, locale: Locale, values: Mapping[str, object]) -> str:
    return _environment().get_template(template).render(links=links, locale=locale, messages=locale.messages, **values)
