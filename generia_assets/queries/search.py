"""Search in stored documents: the words of a query as conditions for MongoDB, and the posts of a world that they find.

Here: parts of words are found, whatever their capitals and accents, in every script. MongoDB's text index is not used: it does not
split scripts without spaces. A search reads the posts of one world (docs/pages.md has the times). Not here: the list that shows
what is found (feed.py).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from generia_assets.content.documents import Post
from generia_assets.content.text import clean
from generia_assets.queries.asset_views import AssetViews
from resources.mongodb.connection import MongoDocument

LONGEST_QUERY = 100
MOST_FOUND = 10_000
"""Posts that a search finds, the first in the order that the reader chose."""
COUNTED_POSTS = 10_000
"""Posts whose hashtags are counted."""
_SEARCHED = ("content", "comments.content", "hashtags", "location")
"""The fields of a post in which a search looks for words."""
_TERM = re.compile(r'"([^"]*)"|“([^”]*)”|(\S+)')
_ACCENTS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
"""Marks that people leave out: accents, Hebrew points, Arabic vowels. (In other scripts a mark makes another word.)"""
_ANY_ACCENTS = re.compile(f"[{_ACCENTS}]")


@dataclass(frozen=True)
class PostQuery:
    """What somebody looks for in a world: words, one hashtag, the posts of one person (by key); '' = any."""

    text: str = ""
    tag: str = ""
    person: str = ""

    def __bool__(self) -> bool:
        return bool(terms(self.text) or self.tag or self.person)

    def conditions(self) -> MongoDocument:
        wanted: MongoDocument = {}
        if self.person:
            wanted["key"] = {"$gt": f"{self.person}-", "$lt": f"{self.person}-\uffff"}
        parts = [_with_tag(self.tag)] if self.tag else []
        parts += [_with_tag(term) if term.startswith("#") else _in_any(_SEARCHED, term) for term in terms(self.text)]
        return wanted | ({"$and": parts} if parts else {})


def terms(text: str) -> list[str]:
    """What must all be there: words, and phrases in quotation marks."""
    found = (next(filter(None, match.groups()), "").strip() for match in _TERM.finditer(text[:LONGEST_QUERY]))
    return [term for term in found if _plain(term).strip("#")]


def pattern(term: str, *, whole: bool = False) -> MongoDocument:
    """A condition for a text, or one of a list, that has the term in it, or is the term (``whole``)."""
    letters = "".join(f"{_letter(letter)}[{_ACCENTS}]*" for letter in _plain(term))
    return {"$regex": f"^#*{letters}$" if whole else letters, "$options": "i"}


def text_in(fields: Sequence[str], text: str) -> MongoDocument:
    """A condition for documents that have each term of the text in one of these fields; none for a text without terms."""
    parts = [_in_any(fields, term) for term in terms(text)]
    return {"$and": parts} if parts else {}


def found_keys(views: AssetViews, query: PostQuery, direction: int) -> list[str]:
    """The keys of the posts that the query finds, published or not, at most ``MOST_FOUND``.

    ``direction``: MongoDB's, of the order of the world.
    """
    return views["posts"].keys(query.conditions(), sort=(("t", direction), ("key", direction)), limit=MOST_FOUND)


def popular_hashtags(views: AssetViews, most: int) -> list[tuple[str, int]]:
    """The hashtags of the world's latest posts, those of most posts first, and in how many posts each is."""
    posts = views["posts"].find(Post, sort=(("t", -1), ("key", -1)), limit=COUNTED_POSTS)
    counts: Counter[str] = Counter()
    written: dict[str, str] = {}
    for post in posts:
        tags = {tag.lstrip("#").casefold(): tag.lstrip("#") for tag in post.hashtags}
        counts.update(tags.keys())
        written |= tags
    return [(written[tag], count) for tag, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:most]]


def _in_any(fields: Sequence[str], term: str) -> MongoDocument:
    return {"$or": [{field: pattern(term)} for field in fields]}


def _with_tag(tag: str) -> MongoDocument:
    return {"hashtags": pattern(tag.lstrip("#"), whole=True)}


def _plain(term: str) -> str:
    """The term with each letter composed, and without accents that stand alone."""
    return _ANY_ACCENTS.sub("", unicodedata.normalize("NFC", clean(term)[:LONGEST_QUERY].casefold()))


def _letter(letter: str) -> str:
    """A regular expression for a letter and the letters that differ from it by accents."""
    alike = _accented().get(_base(letter), letter)
    return re.escape(letter) if alike == letter else f"[{alike}]"


def _base(letter: str) -> str:
    return _ANY_ACCENTS.sub("", unicodedata.normalize("NFD", letter)) or letter


@cache
def _accented() -> Mapping[str, str]:
    """By a letter without accents: it and all letters that are it with accents."""
    alike: dict[str, str] = {}
    for letter in map(chr, (*range(0xC0, 0x700), *range(0x1E00, 0x2000))):
        if letter.isalpha() and len(base := _base(letter)) == 1 and base != letter:
            alike[base] = alike.get(base, base) + letter
    return alike
