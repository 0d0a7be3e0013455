"""Mentions: an @ in a post always leads to somebody who exists (R4).

Here: finding mentions in a text and settling them against the people a character knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from generia_assets.content.names import fold

MENTION = re.compile(r"(?<![\w@])@([\w.]*\w)")
"""An @ and the name after it."""


def settle_mentions(text: str, usernames: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """The text whose every mention is one of these usernames in its exact spelling, and the usernames it mentions, in order.

    The @ of a name that leads to nobody is taken away: the name stays as a word, for people outside the network have names too.
    """
    known = {fold(username): username for username in usernames}
    found: list[str] = []

    def settled(match: re.Match[str]) -> str:
        username = known.get(fold(match[1]))
        if username is None:
            return match[1]
        found.append(username)
        return f"@{username}"

    settled_text = MENTION.sub(settled, text)
    return settled_text, tuple(dict.fromkeys(found))
