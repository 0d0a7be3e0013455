"""Text of users and models, made harmless for a terminal.

Here: taking out what a terminal would obey (escape sequences, other control characters, marks that turn the direction of writing).
Not here: rich's markup, which the consoles of console.py do not read at all.
"""

from __future__ import annotations

import re
import unicodedata

_TURNS_THE_WRITING = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_OBEYED = re.compile(f"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{''.join(_TURNS_THE_WRITING)}]")


def block(text: str) -> str:
    """The text with its line breaks; tabs become spaces, everything else that a terminal obeys is left out."""
    return "".join(_harmless(character) for character in text.replace("\r\n", "\n"))


def line(text: str, limit: int | None = None) -> str:
    """The text on one line, cut with an ellipsis after ``limit`` characters."""
    flat = " ".join(block(text).split())
    return flat if limit is None or len(flat) <= limit else flat[: limit - 1].rstrip() + "…"


def json_text(text: str) -> str:
    """JSON with everything that a terminal obeys written as its escape: the same JSON, to be read as it is printed."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _harmless(character: str) -> str:
    if character == "\n":
        return character
    if character == "\t":
        return "    "
    category = unicodedata.category(character)
    if category == "Cs":  # half of a pair, which no terminal's encoding can take
        return "\ufffd"
    return "" if category in ("Cc", "Zl", "Zp") or character in _TURNS_THE_WRITING else character
