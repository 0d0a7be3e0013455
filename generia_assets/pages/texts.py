"""Texts of a page: its own messages by language, and how values become text (paragraphs, mentions as links, prices, times).

Here: the locale (messages.yaml, and the ``lang`` and ``dir`` of page and content) and the filters of the templates. A page is
in its world's language if there are messages in it, else in English, and its content is marked with its own language. Values
are escaped by the filters or by the template; markup comes from templates only. Not here: texts of the world's people.
"""

from __future__ import annotations

import gettext
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from pathlib import Path

import yaml
from markupsafe import Markup, escape

from generia_assets.content import languages
from generia_assets.content.names import by_fold, mentions_in
from generia_assets.content.text import words

HUES = 12
_BLANK_LINE = re.compile(r"\n\s*\n")
_BESIDE_A_NUMBER = re.compile(r"(?<=\d) (?=\w)|(?<=\w) (?=\d)")
_ADDRESS = re.compile(r"\A\s*@[\w.]+[,:!]\s+")
_choice = cache(gettext.c2py)


def paragraphs(text: str) -> list[str]:
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
    """The writing direction of a text of an unknown language, by most of its letters, not by the first one."""
    letters = [unicodedata.bidirectional(letter) for letter in text]
    return "rtl" if 2 * sum(kind in ("R", "AL") for kind in letters) > sum(kind in ("L", "R", "AL") for kind in letters) else "ltr"


def language_tag(text: str) -> str:
    """The tag of the language that a text is plainly in; '' in doubt."""
    plain = languages.plainly(text)
    return plain.tag if plain else ""


def initials(name: str) -> str:
    """One or two letters for a portrait that is not painted."""
    parts = [word for word in words(name) if not word.isdigit()]
    return "".join(word[0] for word in (parts[:1] + parts[-1:] if len(parts) > 1 else parts)).upper() or "·"


def hue(name: str) -> int:
    """A number below ``HUES`` that is always the same for a name: style.css has a colour for each."""
    return blake2b(name.encode(), digest_size=2).digest()[0] % HUES


def money(dollars: float) -> str:
    """A price: ``$0.0123``; a larger one in cents."""
    return f"${dollars:,.2f}" if dollars >= 10 else f"${dollars:.4f}"


def number(value: float) -> str:
    """A count, with a thin space between thousands."""
    return f"{value:,.0f}".replace(",", "\u202f")


def counted(value: int, forms: str, plural: str) -> str:
    """A count with its noun, in the one of the ``forms`` that gettext's expression ``plural`` chooses."""
    return forms.split(" | ")[_choice(plural)(value)].format(number(value))


def unbroken(date: str) -> str:
    """The date with no line break between a number and the word beside it."""
    return _BESIDE_A_NUMBER.sub("\u00a0", date)


def unaddressed(reply: str) -> str:
    """The reply without the mention with which it addresses somebody."""
    return _ADDRESS.sub("", reply)


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
    """The text on one line, cut with an ellipsis after ``limit`` characters, at a word where there is one near."""
    flat = " ".join(text.split())
    if len(flat) <= limit:
        return flat
    word = flat.rfind(" ", limit // 2, limit)
    return flat[: word if word > 0 else limit - 1].rstrip(" ,:;—–") + "…"


MESSAGES = Path(__file__).with_name("messages.yaml")
_ENGLISH = "en"
_RIGHT_TO_LEFT = ("Hebrew", "Arabic")


@dataclass(frozen=True)
class Locale:
    """``lang``: the page's own language; ``content``: its content's, '' where unknown; ``dir``: which way the page is read.

    ``content_dir``: which way its content is read, whatever word a text begins with; "auto" where its script is not known.
    """

    lang: str
    content: str
    dir: str
    content_dir: str
    messages: Mapping[str, str]


def locale_of(language: str) -> Locale:
    """The locale for a world in this language (its English name, '' if unknown)."""
    code = languages.tag(language)
    lang = code if code in all_messages() else _ENGLISH
    script = languages.checked_script(language)
    direction = "rtl" if script in _RIGHT_TO_LEFT else "ltr"
    return Locale(lang, code, direction, direction if script else "auto", all_messages()[lang])


@cache
def all_messages() -> Mapping[str, Mapping[str, str]]:
    """The pages' messages, by language code."""
    messages: dict[str, dict[str, str]] = yaml.safe_load(MESSAGES.read_text("utf-8"))
    return messages
