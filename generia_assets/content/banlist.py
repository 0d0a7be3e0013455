"""The ban list: overused names, trades, words and phrases, given to the model and searched for in its answers.

Not here: the lists (data/banlist/*.yaml), and the consequences (the tasks ask for names again and count everything else).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from generia_assets.content import data_files, languages
from generia_assets.content.data_files import BanFile
from generia_assets.content.text import LETTERS

_LETTER, _BETWEEN = f"[{LETTERS}]", f"[^{LETTERS}]"
_START = f"(?<!{_LETTER})"
_END = f"(?:(?<!{_LETTER})|(?!{_LETTER}))"  # no letter before, or none after
_KINDS = ("names", "jobs", "words", "phrases", "openings")


def _pattern(entry: str) -> str:
    """An entry of a list as a regular expression, to stand between ``_START`` and ``_END``; any.yaml explains its syntax."""
    escaped = re.escape(entry.replace("’", "'").casefold()).replace(r"\ ", r"\s+").replace("'", "['’]")
    gap = f"(?:{_BETWEEN}+{_LETTER}+){{0,6}}?{_BETWEEN}+"
    return re.sub(r"(?:\\s\+)?…(?:\\s\+)?", lambda _: gap, escaped).replace(r"\*", f"{_LETTER}*")


def _letters_of(entry: str) -> str:
    """The longest piece of an entry that each text with it contains as it is, without capitals."""
    return max(re.split(r"[*…\s'’]", entry.casefold()), key=len)


def _occurs(entry: str, folded: str) -> bool:
    # Most entries are ruled out by their letters: a pattern costs a millisecond to compile.
    return _letters_of(entry) in folded and bool(re.search(f"{_START}{_pattern(entry)}{_END}", folded))


@lru_cache(maxsize=64)
def ban_list(language: str, wished: str = "") -> BanFile:
    """The ban list of a language: the list for all languages and its own, without the terms of the user's sentence.

    ``wished`` is that sentence: a user who asks for a lighthouse gets one.
    """
    known = languages.find(language)
    common, own = data_files.ban_file("any"), data_files.ban_file(known.name if known else language)

    def merged(kind: str) -> tuple[str, ...]:
        entries: tuple[str, ...] = (*getattr(common, kind), *getattr(own, kind))
        return tuple(entry for entry in dict.fromkeys(entries) if not _occurs(entry, wished.casefold()))

    return BanFile(**{kind: merged(kind) for kind in _KINDS})


class _Search(NamedTuple):
    """The search for entries of a list: the number of a match's group identifies the entry."""

    pattern: re.Pattern[str]
    entries: tuple[str, ...]
    letters: tuple[str, ...]


@lru_cache(maxsize=64)
def _search(language: str, wished: str, kinds: tuple[str, ...]) -> _Search | None:
    listed = ban_list(language, wished)
    found = [(r"\A" if kind == "openings" else "", entry) for kind in kinds for entry in getattr(listed, kind)]
    if not found:
        return None
    # One pass over the text's words however long the lists are.
    joined = "|".join(f"({start}{_pattern(entry)})" for start, entry in found)
    entries = tuple(entry for _, entry in found)
    return _Search(re.compile(rf"{_START}(?=\w)(?:{joined}){_END}"), entries, tuple({_letters_of(entry) for entry in entries}))


def find_banned(text: str, language: str, *, wished: str = "", kinds: tuple[str, ...] = _KINDS) -> list[str]:
    """The entries of the ban list that occur in this text, each once, in the order of the text.

    ``language`` by any name of it, ``wished`` the user's sentence (its words are allowed), ``kinds`` which lists count.
    """
    search = _search(language, wished, kinds)
    if search is None:
        return []
    # An opening is an opening behind a quotation mark or a dash too.
    words = re.sub(r"\A\W+", "", text.casefold())
    if not any(letters in words for letters in search.letters):  # most texts, at a tenth of the pattern's cost
        return []
    found = (search.entries[match.lastindex - 1] for match in search.pattern.finditer(words) if match.lastindex)
    return list(dict.fromkeys(found))
