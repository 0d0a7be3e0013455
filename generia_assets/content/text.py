"""Text functions: cleaning, cutting at a word, counting; letters and words in any script.

Not here: languages (languages.py), names (names.py), which texts are similar (similarity.py).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from types import MappingProxyType

SCRIPTS: Mapping[str, str] = MappingProxyType(
    {
        "Latin": "A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ",
        "Cyrillic": "\u0400-\u052f",
        "Greek": "\u0370-\u03ff\u1f00-\u1fff",
        "Hebrew": "\u05d0-\u05ea",
        "Arabic": "\u0620-\u064a\u066e-\u06d3",
        "Devanagari": "\u0900-\u097f",
        "Kana": "\u3041-\u30ff",
        "Han": "\u3400-\u9fff",
        "Hangul": "\uac00-\ud7a3",
        "Armenian": "\u0531-\u0587",
        "Georgian": "\u10a0-\u10ff\u1c90-\u1cbf",
        "Thai": "\u0e01-\u0e4e",
        "Bengali": "\u0980-\u09ff",
        "Tamil": "\u0b80-\u0bff",
    }
)
"""The scripts that the program can distinguish: their letters, for a class of a regular expression."""

_NEVER = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline
    "\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff"  # invisible, and what turns the writing direction round
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # invisible, too: hyphens, fillers, a blank of Braille
    "\ufff9-\ufffb\U000e0000-\U000e007f"  # interlinear marks and tag characters: invisible text
    "\ud800-\udfff"  # lone surrogates: cannot be written as UTF-8, so neither stored nor sent
    "]"
)


def _marks() -> Iterator[str]:
    """The ranges of the characters that only stand on a letter: vowel signs, viramas, points, accents."""
    codes = (code for code in range(0x300, 0x1F000) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
    for _, run in groupby(enumerate(codes), lambda numbered: numbered[1] - numbered[0]):
        codes_of_run = [code for _, code in run]
        if codes_of_run[0] != 0xFE00:  # variation selectors: how a character is drawn, mostly an emoji
            yield f"{chr(codes_of_run[0])}-{chr(codes_of_run[-1])}"


MARKS = "".join(_marks())
"""Combining marks, for a class of a regular expression."""
LETTERS = rf"\w{MARKS}"
r"""The characters of words in any script, for a class of a regular expression. ``\w`` alone breaks "हिन्दी" at its vowel signs."""
_WORD = re.compile(rf"\w[{LETTERS}]*")
_SPACE = re.compile(r"[\s\-]+")
_JOINERS = "\u200c\u200d"
# The joiners belong to a word behind a virama and in Arabic letters; marks go with the character they stand on.
_STRAY_JOINER = re.compile(rf"(?<![{MARKS}\u0620-\u06ff])[{_JOINERS}]|[{_JOINERS}](?!\w)")
_MARK = re.compile(f"[{MARKS}]")


def words(text: str) -> list[str]:
    """The words of the text, in order; in a script without spaces, what stands between punctuation."""
    return _WORD.findall(text)


def is_mark(character: str) -> bool:
    """Whether the character only stands on the letter before it."""
    return bool(_MARK.match(character))


def has_mark(text: str) -> bool:
    """Whether a character of the text only stands on another."""
    return _MARK.search(text) is not None


def joined(text: str, also: str = "") -> str:
    """The text as one word: spaces and hyphens become ``_``, and only letters, digits, ``_`` and the signs in ``also`` stay."""
    in_one = _STRAY_JOINER.sub("", _SPACE.sub("_", one_line(text)))
    return re.sub(rf"(?:\A|[^{LETTERS}{_JOINERS}{re.escape(also)}]+)[{MARKS}]*", "", in_one)


def hashtags(texts: Iterable[str]) -> tuple[str, ...]:
    """The hashtags in these texts, without #, each once: a tag in another case or with other gaps is the same, as it came first."""
    first: dict[str, str] = {}
    for tag in (joined(one).strip("_") for several in texts for one in several.split("#")):
        first.setdefault(tag.casefold().replace("_", ""), tag)
    return tuple(filter(None, first.values()))


def clean(text: str) -> str:
    """The text without NUL, control and bidirectional override characters and lone surrogates; line ends unified; trimmed.

    The zero-width joiner and non-joiner stay: emoji and several scripts need them.
    """
    unified = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n\n")
    kept = _NEVER.sub("", unified)
    return (re.sub(r"\n{3,}", "\n\n", kept) if "\n\n\n" in kept else kept).strip()


def one_line(text: str) -> str:
    """The text on one line, single spaces."""
    return " ".join(clean(text).split())


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, ended at a word boundary with an ellipsis when something was left out."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    # Cut inside a word only where there is no boundary to speak of (scripts without spaces).
    boundary = max(head.rfind(" "), head.rfind("\n"))
    if not text[limit - 1].isspace() and boundary > limit // 2:
        head = head[:boundary]
    return head.rstrip(" \n,;:–—-") + "…"


def dollars(amount: float) -> str:
    """US dollars, with more digits for small amounts."""
    return f"${amount:,.2f}" if amount >= 100 else f"${amount:.4f}"


def about_dollars(amount: float) -> str:
    """Estimated US dollars: two decimals, or of small amounts two significant digits."""
    decimals = 2 if amount >= 0.1 or amount <= 0 else 1 - math.floor(math.log10(amount))
    return f"${amount:,.{decimals}f}"


def plural(number: int, what: str) -> str:
    """So many of something: 1 call, 2 calls, 3 people. ``what`` is in the singular and ends with its noun."""
    plural = "people" if what == "person" else f"{what}s"
    return f"{number:,} {what if number == 1 else plural}"


def sentence(text: str) -> str:
    """One line that ends like a sentence, so that pieces of picture prompts can stand one after another."""
    line = one_line(text)
    return line if not line or line[-1] in ".!?…" else f"{line}."


def paragraphs(pieces: Iterable[str]) -> tuple[str, ...]:
    """The paragraphs in these pieces: an answer may put two into one, or leave one empty."""
    return tuple(part.strip() for piece in pieces for part in re.split(r"\n\s*\n", piece) if part.strip())


def first_sentences(text: str, count: int) -> str:
    line = one_line(text)
    ends = [found.end() for found in re.finditer(r"[.!?…।](?=\s)|[。！？]+[」』]?", line)]
    return line[: ends[count - 1]] if len(ends) >= count else line
