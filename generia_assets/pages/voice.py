"""In which language a page speaks, and which way it is read.

Here: the words of the pages themselves (words.yaml) and the ``lang`` and ``dir`` of page and content. A page speaks its world's
language where we have its words, else English, and its content is marked with its own language. Not here: what people of the world
say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from generia_assets.content import languages

_WORDS = Path(__file__).with_name("words.yaml")
_ENGLISH = "en"
_RIGHT_TO_LEFT = ("Hebrew", "Arabic")


@dataclass(frozen=True)
class Locale:
    """``lang``: the page's own language; ``content``: its content's, '' where unknown; ``dir``: which way the page is read.

    ``content_dir``: which way its content is read, whatever word a text begins with; "auto" where its language is not known.
    """

    lang: str
    content: str
    dir: str
    content_dir: str
    words: Mapping[str, str]


def locale_of(language: str) -> Locale:
    """The voice for a world in this language (its English name), '' if unknown."""
    code = languages.tag(language)
    turned = languages.checked_script(language) in _RIGHT_TO_LEFT
    spoken = code if code in all_words() else _ENGLISH
    way = "rtl" if turned else "ltr"
    return Locale(spoken, code, way, way if language else "auto", all_words()[spoken])


@cache
def all_words() -> Mapping[str, Mapping[str, str]]:
    """The pages' words, by language code."""
    words: dict[str, dict[str, str]] = yaml.safe_load(_WORDS.read_text("utf-8"))
    return words
