"""Where each page, picture and style is: under a server's paths, or as files beside each other.

Here: both kinds of addresses, behind one protocol, so that every page is written once. Not here: what is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, urlsplit

from generia_assets.queries.feed import FeedOrder


class Links(Protocol):
    """Addresses as a page writes them into its HTML."""

    def static(self, name: str) -> str:
        """A style, a script, an icon of ours."""
        ...

    def media(self, url: str) -> str:
        """A picture, by the platform's URL."""
        ...

    def worlds(self) -> str | None:
        """The list of all worlds, or None where there is none."""
        ...

    def feed(self, order: FeedOrder = FeedOrder.NEWEST) -> str:
        """The world's first page, its posts in this order."""
        ...

    def people(self) -> str:
        """Who is who."""
        ...

    def about(self) -> str:
        """The world's description."""
        ...

    def person(self, key: str, order: FeedOrder = FeedOrder.NEWEST) -> str:
        """A person's page, their posts in this order."""
        ...

    def post(self, key: str) -> str:
        """A post's page."""
        ...


_ASKED = {FeedOrder.NEWEST: "", FeedOrder.OLDEST: f"?order={FeedOrder.OLDEST.value}"}


def is_elsewhere(url: str) -> bool:
    """Whether a picture lies on another server: the real platform's URLs are absolute, the local one's are paths."""
    return urlsplit(url).scheme in ("http", "https")


@dataclass(frozen=True)
class ServedLinks:
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

    def feed(self, order: FeedOrder = FeedOrder.NEWEST) -> str:
        """See ``Links``."""
        return f"/worlds/{quote(self.world_id, safe='')}{_ASKED[order]}"

    def people(self) -> str:
        """See ``Links``."""
        return f"{self.feed()}/people"

    def about(self) -> str:
        """See ``Links``."""
        return f"{self.feed()}/about"

    def person(self, key: str, order: FeedOrder = FeedOrder.NEWEST) -> str:
        """See ``Links``."""
        return f"{self.feed()}/characters/{key}{_ASKED[order]}"

    def post(self, key: str) -> str:
        """See ``Links``."""
        return f"{self.feed()}/posts/{key}"


@dataclass(frozen=True)
class FileLinks:
    """Addresses in a folder of files, as a page writes them that lies ``up`` folders below the world's own."""

    up: int = 0

    def static(self, name: str) -> str:
        """See ``Links``."""
        return self._file(f"static/{name}")

    def media(self, url: str) -> str:
        """See ``Links``. Pictures lie beside the pages, without the names of worlds (gallery.py puts them there)."""
        return url if is_elsewhere(url) else self._file(media_file(url))

    def worlds(self) -> str | None:
        """See ``Links``."""
        return None

    def feed(self, order: FeedOrder = FeedOrder.NEWEST) -> str:
        """See ``Links``."""
        return self._file(numbered("index", order))

    def people(self) -> str:
        """See ``Links``."""
        return self._file("people.html")

    def about(self) -> str:
        """See ``Links``."""
        return self._file("about.html")

    def person(self, key: str, order: FeedOrder = FeedOrder.NEWEST) -> str:
        """See ``Links``."""
        return self._file(f"characters/{numbered(key, order)}")

    def post(self, key: str) -> str:
        """See ``Links``."""
        return self._file(f"posts/{key}.html")

    def _file(self, path: str) -> str:
        return "../" * self.up + quote(path)


def numbered(name: str, order: FeedOrder = FeedOrder.NEWEST, number: int = 1) -> str:
    """The file of a page of a list: ``index.html``, ``index-2.html``, and in the other order ``index-oldest.html``."""
    ordered = name if order is FeedOrder.NEWEST else f"{name}-{order.value}"
    return f"{ordered}.html" if number == 1 else f"{ordered}-{number}.html"


def media_file(url: str) -> str:
    """The place of a picture in a world's folder: ``media/<world>/posts/<id>.webp`` is ``media/posts/<id>.webp`` there."""
    parts = url.lstrip("/").split("/")
    return "/".join(["media", *parts[-2:]])
