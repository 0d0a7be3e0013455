"""Mentions: an @ in a post always leads to somebody who exists (R4).

Here: finding mentions in a text and settling them against the people a character knows. A mention ends where a known username ends:
in scripts without spaces, and before endings of another script, letters follow at once ("@mira_42さん").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from generia_assets.content.names import USERNAME_LIMIT, fold
from generia_assets.content.text import LETTERS, is_mark

# Thai, Lao, Burmese, Khmer, kana, Chinese characters, and Hangul, whose particles follow a name without a space.
_NO_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uac00-\ud7a3\uff66-\uff9f"
_SPACELESS = re.compile(f"[{_NO_SPACES}]")
# An @ behind a letter is an address's, but in scripts that put no space before it either.
_AT = re.compile(rf"(?:(?<![{LETTERS}@＠])|(?<=[{_NO_SPACES}]))[@＠]([{LETTERS}.\u200c\u200d]*[{LETTERS}])")
_LONGEST = 2 * USERNAME_LIMIT
"""Characters of a mention that are looked at: some signs in it may be too many."""


class Mention(NamedTuple):
    """A mention in a text: where it begins (at the @) and ends, and the username it means; '' for nobody."""

    start: int
    end: int
    username: str


def by_fold(usernames: Iterable[str]) -> dict[str, str]:
    """The usernames, by what they are compared by."""
    return {fold(username): username for username in usernames}


def mentions_in(text: str, known: Mapping[str, str]) -> Iterator[Mention]:
    """The mentions in a text, in order, each with the longest username of ``known`` (``by_fold``) that it can mean."""
    for found in _AT.finditer(text):
        name = found[1]
        ends = (end for end in range(min(len(name), _LONGEST), 0, -1) if _may_end(name, end) and fold(name[:end]) in known)
        end = next(ends, 0)
        yield Mention(found.start(), found.start(1) + (end or len(name)), known[fold(name[:end])] if end else "")


def _may_end(name: str, end: int) -> bool:
    """Whether a username may end there: before a dot, a letter of another script, or one of a script without spaces."""
    if end == len(name):
        return True
    last, after = name[end - 1], name[end]
    if last == "." or after == "_" or after.isdigit() or is_mark(after):
        return False
    letters = [letter for letter in name[:end] if letter.isalpha()]
    return after == "." or bool(_SPACELESS.match(after)) or bool(letters and _script(letters[-1]) != _script(after))


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]


def settle_mentions(text: str, usernames: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """The text whose every mention is one of these usernames in its exact spelling, and the usernames it mentions, in order.

    The @ of a name that leads to nobody is taken away: the name stays as a word, for people outside the network have names too.
    """
    pieces: list[str] = []
    settled = 0
    mentions = list(mentions_in(text, by_fold(usernames)))
    for start, end, username in mentions:
        pieces += [text[settled:start], f"@{username}" if username else text[start + 1 : end]]
        settled = end
    named = dict.fromkeys(mention.username for mention in mentions if mention.username)
    return "".join([*pieces, text[settled:]]), tuple(named)
