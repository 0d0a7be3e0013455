"""Where each page, image and style is: under a server's paths, or as files beside each other.

Here: both kinds of addresses, behind one base class, so that every page is written once. Not here: what is at them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from generia_assets.queries.feed import FeedOrder


class Links(ABC):
    """Addresses as a page writes them into its HTML."""

    @abstractmethod
    def static(self, name: str) -> str:
        """A style, a script, an icon of ours."""

    @abstractmethod
    def media(self, url: str) -> str:
        """An image, by the platform's URL."""

    @abstractmethod
    def worlds(self) -> str | None:
        """The list of all worlds, or None where there is none."""

    @abstractmethod
    def _page(self, name: str, order: FeedOrder = FeedOrder.NEWEST) -> str:
        """A page of the world; '' is its first."""

    def feed(self, order: FeedOrder = FeedOrder.NEWEST) -> str:
        """The world's first page, its posts in this order."""
        return self._page("", order)

    def people(self) -> str:
        """Who is who."""
        return self._page("people")

    def about(self) -> str:
        """The world's description."""
        return self._page("about")

    def person(self, key: str, order: FeedOrder = FeedOrder.NEWEST) -> str:
        """A person's page, their posts in this order."""
        return self._page(f"characters/{key}", order)

    def post(self, key: str) -> str:
        """A post's page."""
        return self._page(f"posts/{key}")


def is_elsewhere(url: str) -> bool:
    """Whether an image is on another server: the real platform's URLs are absolute, the local one's are paths."""
    return urlsplit(url).scheme in ("http", "https")


@dataclass(frozen=True)
class ServedLinks(Links):
    """Addresses on the server."""

    world_id: str

    def static(self, name: str) -> str:
        """See ``Links``."""
        return f"/static/{name}"

    def media(self, url: str) -> str:
        """See ``Links``."""
        return url if is_elsewhere(url) else "/" + quote(url.lstrip("/"))

    def worlds(self) -> str | None:
        """See ``Links``."""
        return "/"

    def _page(self, name: str, order: FeedOrder = FeedOrder.NEWEST) -> str:
        query = "" if order is FeedOrder.NEWEST else f"?order={order.value}"
        return f"/worlds/{quote(self.world_id, safe='')}{f'/{name}' if name else ''}{query}"


@dataclass(frozen=True)
class FileLinks(Links):
    """Addresses in a folder of files, as a page writes them that is ``up`` folders below the world's own."""

    up: int = 0

    def static(self, name: str) -> str:
        """See ``Links``."""
        return self._file(f"static/{name}")

    def media(self, url: str) -> str:
        """See ``Links``. Images are beside the pages, without the names of worlds (gallery.py puts them there)."""
        return url if is_elsewhere(url) else self._file(media_file(url))

    def worlds(self) -> str | None:
        """See ``Links``."""
        return None

    def _page(self, name: str, order: FeedOrder = FeedOrder.NEWEST) -> str:
        return self._file(numbered(name or "index", order))

    def _file(self, path: str) -> str:
        return "../" * self.up + quote(path)


def numbered(name: str, order: FeedOrder = FeedOrder.NEWEST, number: int = 1) -> str:
    """The file of a page of a list: ``index.html``, ``index-2.html``, and in the other order ``index-oldest.html``."""
    ordered = name if order is FeedOrder.NEWEST else f"{name}-{order.value}"
    return f"{ordered}.html" if number == 1 else f"{ordered}-{number}.html"


def media_file(url: str) -> str:
    """The place of an image in a world's folder: ``media/<world>/posts/<id>.webp`` is ``media/posts/<id>.webp`` there."""
    parts = url.lstrip("/").split("/")
    return "/".join(["media", *parts[-2:]])
