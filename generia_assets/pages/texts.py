"""How values become text in a page: paragraphs, mentions as links, prices, times.

Here: filters of the templates. Whatever they get is escaped here or by the template; markup comes from templates alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b

from markupsafe import Markup, escape

from generia_assets.content.mentions import by_fold, mentions_in
from generia_assets.content.text import words

HUES = 12
_BLANK_LINE = re.compile(r"\n\s*\n")


def paragraphs(text: str) -> list[str]:
    """The text's paragraphs, which blank lines separate."""
    return [part.strip() for part in _BLANK_LINE.split(text.strip()) if part.strip()]


def linked(text: str, addresses: Mapping[str, str]) -> Markup:
    """The text, escaped, with every mention of one of these usernames as a link."""
    pieces: list[Markup] = []
    end = 0
    for mention in mentions_in(text, by_fold(addresses)):
        if mention.username:
            written = text[mention.start : mention.end]
            link = Markup('<a class="mention" href="{}">{}</a>').format(addresses[mention.username], written)
            pieces += [escape(text[end : mention.start]), link]
            end = mention.end
    return Markup("").join([*pieces, escape(text[end:])])


def direction(text: str) -> str:
    """Which way a text of an unknown language is read: as most of its letters are, and not as its first one is."""
    letters = [unicodedata.bidirectional(letter) for letter in text]
    return "rtl" if 2 * sum(kind in ("R", "AL") for kind in letters) > sum(kind in ("L", "R", "AL") for kind in letters) else "ltr"


def initials(name: str) -> str:
    """One or two letters for a portrait that is not painted."""
    told = [word for word in words(name) if not word.isdigit()]
    return "".join(word[0] for word in (told[:1] + told[-1:] if len(told) > 1 else told)).upper() or "·"


def hue(name: str) -> int:
    """A number below ``HUES`` that is always the same for a name: style.css has a colour for each."""
    return blake2b(name.encode(), digest_size=2).digest()[0] % HUES


def money(dollars: float) -> str:
    """A price: ``$0.0123``; a larger one in cents."""
    return f"${dollars:,.2f}" if dollars >= 10 else f"${dollars:.4f}"


def number(value: float) -> str:
    """A count, with a thin space between thousands."""
    return f"{value:,.0f}".replace(",", "\u202f")


def duration(milliseconds: float) -> str:
    """A time, in milliseconds below a second, else in seconds or minutes."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds / 60_000:.1f} min"


def instant(moment: datetime) -> str:
    """A moment for people, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def shortened(text: str, limit: int) -> str:
    """The text on one line, cut with an ellipsis after ``limit`` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"
