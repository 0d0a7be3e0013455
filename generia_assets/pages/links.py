"""Addresses of pages, images and styles: a server's paths, or files beside each other.

Here: both kinds of addresses, behind one base class, so that every template exists once. Not here: the content (render.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from hashlib import blake2b
from urllib.parse import quote, urlencode, urlsplit

from generia_assets.queries.feed import FeedOrder


class Links(ABC):
    """Addresses as a page writes them into its HTML."""

    @abstractmethod
    def static(self, name: str) -> str:
        """The address of a file of ``static/``."""

    def media(self, url: str) -> str:
        """An image, by the platform's URL."""
        return url if is_elsewhere(url) else self._own_media(url)

    def worlds(self) -> str | None:
        """The list of all worlds, or None where there is none."""
        return None

    def absolute(self, address: str) -> str | None:
        """An address of a page or an image as other sites reach it; None where they cannot."""
        return None

    def feed(self, order: FeedOrder | None = None) -> str:
        """The world's first page, its posts in this order; None: in the usual one."""
        return self._page("", order)

    def people(self) -> str:
        return self._page("people")

    def about(self) -> str:
        return self._page("about")

    def person(self, key: str, order: FeedOrder | None = None) -> str:
        """A person's page, their posts in this order; None: in the usual one."""
        return self._page(f"characters/{key}", order)

    def post(self, key: str) -> str:
        return self._page(f"posts/{key}")

    def tag(self, tag: str, order: FeedOrder | None = None) -> str:
        """The posts with a hashtag, in this order; None: in the usual one."""
        return self._page(f"tags/{self.tag_name(tag)}", order)

    @abstractmethod
    def tag_name(self, tag: str) -> str:
        """A hashtag as the last part of its page's address."""

    def search(self, **asked: str) -> str | None:
        """The search in the world with these fields of its form, or None where there is none."""
        return None

    @abstractmethod
    def _own_media(self, url: str) -> str:
        """An image of the local platform."""

    @abstractmethod
    def _page(self, name: str, order: FeedOrder | None = None) -> str:
        """A page of the world; '' is its first."""


def is_elsewhere(url: str) -> bool:
    """Whether an image is on another server: the real platform's URLs are absolute, the local one's are paths."""
    return urlsplit(url).scheme in ("http", "https")


@dataclass(frozen=True)
class ServedLinks(Links):
    """Addresses on the server. ``base``: where other sites reach it, without a slash at its end; '' where that does not matter."""

    world_id: str
    base: str = ""

    def static(self, name: str) -> str:
        return f"/static/{name}"

    def worlds(self) -> str:
        return "/"

    def tag_name(self, tag: str) -> str:
        return quote(tag, safe="")

    def search(self, **asked: str) -> str:
        query = urlencode({name: value for name, value in asked.items() if value})
        return self._page("search") + (f"?{query}" if query else "")

    def absolute(self, address: str) -> str:
        return address if is_elsewhere(address) else f"{self.base}{address}"

    def _own_media(self, url: str) -> str:
        return "/" + quote(url.lstrip("/"))

    def _page(self, name: str, order: FeedOrder | None = None) -> str:
        query = f"?order={order.value}" if order else ""
        return f"/worlds/{quote(self.world_id, safe='')}{f'/{name}' if name else ''}{query}"


@dataclass(frozen=True)
class FileLinks(Links):
    """Addresses in a folder of files, as a page writes them that is ``up`` folders below the world's own.

    ``usual``: the order of the posts in the files whose names contain none.
    """

    up: int = 0
    usual: FeedOrder = FeedOrder.OLDEST

    def static(self, name: str) -> str:
        return self._file(f"static/{name}")

    def tag_name(self, tag: str) -> str:
        """A digest, since a hashtag may have signs and capitals that no file's name can have."""
        return blake2b(tag.casefold().encode(), digest_size=10).hexdigest()

    def _own_media(self, url: str) -> str:
        return self._file(media_file(url))

    def _page(self, name: str, order: FeedOrder | None = None) -> str:
        return self._file(self.numbered(name or "index", order))

    def numbered(self, name: str, order: FeedOrder | None = None, number: int = 1) -> str:
        """The file of a page of a list: ``index.html``, ``index-2.html``, and in the other order ``index-newest.html``."""
        ordered = name if order in (None, self.usual) else f"{name}-{order}"
        return f"{ordered}.html" if number == 1 else f"{ordered}-{number}.html"

    def _file(self, path: str) -> str:
        return "../" * self.up + quote(path)


def media_file(url: str) -> str:
    """The place of an image in a world's folder: ``media/<world>/posts/<id>.webp`` is ``media/posts/<id>.webp`` there."""
    parts = url.lstrip("/").split("/")
    return "/".join(["media", *parts[-2:]])
