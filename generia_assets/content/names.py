"""Names: one shape for usernames, one way to compare, one memory of who exists.

Here: uniqueness inside a world (R4). Not here: which names are worn out (banlist.py).
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Iterable

from generia_assets.content.documents import CharacterBrief
from generia_assets.content.text import one_line

USERNAME_LIMIT = 30
"""Characters of a username."""


def fold(name: str) -> str:
    """A name without case, accents, punctuation and spaces: two names that fold alike are the same name to a reader."""
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    letters = "".join(character for character in decomposed if character.isalnum())
    return letters or one_line(name).casefold()


def username(text: str) -> str:
    """A username as it is stored: no @, no spaces, letters, digits, ``_`` and ``.`` only; '' when nothing is left."""
    joined = re.sub(r"[\s\-]+", "_", unicodedata.normalize("NFKC", one_line(text)).lstrip("@"))
    return re.sub(r"[^\w.]", "", joined)[:USERNAME_LIMIT].strip("._")


class Roster:
    """Who exists in a world so far: every name, and the latest people in one line each.

    Grows batch by batch, so that the check of a name costs the same in a world of ten and of a hundred thousand. Keeps
    whole briefs only of the latest people, and two short strings of everybody else.
    """

    TOLD_NAMES = 300
    """Names told to the model at most, the latest ones (about 1,500 tokens)."""
    TOLD_LINES = 40
    """People told with their one line at most, the latest ones."""

    def __init__(self, briefs: Iterable[CharacterBrief] = ()) -> None:
        self._usernames: set[str] = set()
        self._display_names: set[str] = set()
        self._names: deque[str] = deque(maxlen=self.TOLD_NAMES)
        self._latest: deque[CharacterBrief] = deque(maxlen=self.TOLD_LINES)
        self.count = 0
        self.add(*briefs)

    def add(self, *briefs: CharacterBrief) -> None:
        """Remember these people."""
        for brief in briefs:
            self._usernames.add(fold(brief.username))
            self._display_names.add(fold(brief.display_name))
            self._names.append(brief.display_name)
            self._latest.append(brief)
            self.count += 1

    def has(self, username_: str, display_name: str) -> bool:
        """Whether somebody has this username or this display name already, whatever case and accents."""
        return fold(username_) in self._usernames or fold(display_name) in self._display_names

    @property
    def names(self) -> tuple[str, ...]:
        """The display names to tell, oldest first; at most ``TOLD_NAMES``."""
        return tuple(self._names)

    @property
    def latest(self) -> tuple[CharacterBrief, ...]:
        """The latest people, oldest first; at most ``TOLD_LINES``."""
        return tuple(self._latest)

    @property
    def untold(self) -> int:
        """How many people are too long ago to be told by name."""
        return self.count - len(self._names)
