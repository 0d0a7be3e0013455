"""The ban list: overused names, trades, words and phrases, given to the model and searched for in its answers.

Not here: the lists (data/banlist/*.yaml), and the consequences (the tasks ask for names again and count everything else).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from generia_assets.content import data_files, languages
from generia_assets.content.data_files import BanFile
from generia_assets.content.text import LETTERS, has_mark

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


@dataclass(frozen=True)
class _Search:
    """An entry that is searched for: its regular expression, and letters that each text with it contains."""

    entry: str
    expression: str
    letters: str


@lru_cache(maxsize=64)
def _searches(language: str, wished: str, kinds: tuple[str, ...]) -> tuple[_Search, ...]:
    listed = ban_list(language, wished)
    found = [(r"\A" if kind == "openings" else "", entry) for kind in kinds for entry in getattr(listed, kind)]
    return tuple(_Search(entry, f"({start}{_pattern(entry)})", _letters_of(entry)) for start, entry in found)


@lru_cache(maxsize=1_000)
def _any_of(expressions: tuple[str, ...], marks: bool) -> re.Pattern[str]:
    """One pass over the text's words; the number of a match's group identifies the expression.

    For a text without marks a letter is ``\\w``: the marks of all scripts take 4 ms to compile.
    """
    pattern = rf"{_START}(?=\w)(?:{'|'.join(expressions)}){_END}"
    return re.compile(pattern if marks else pattern.replace(LETTERS, r"\w"))


def find_banned(text: str, language: str, *, wished: str = "", kinds: tuple[str, ...] = _KINDS) -> list[str]:
    """The entries of the ban list that occur in this text, each once, in the order of the text.

    ``language`` by any name of it, ``wished`` the user's sentence (its words are allowed), ``kinds`` which lists count.
    """
    # An opening is an opening behind a quotation mark or a dash too.
    words = re.sub(r"\A\W+", "", text.casefold())
    possible = [one for one in _searches(language, wished, kinds) if one.letters in words]  # a few; the others need no pattern
    if not possible:
        return []
    matches = _any_of(tuple(one.expression for one in possible), has_mark(words)).finditer(words)
    return list(dict.fromkeys(possible[match.lastindex - 1].entry for match in matches if match.lastindex))
