"""Names: the form of usernames, their comparison, mentions in posts, and the index of the people of a world.

Here: uniqueness inside a world (R4), of names and of concepts; that a name is not written in letters that only look like those of
its alphabet; and that an @ in a post always mentions a person of the world (R4). A mention ends where a known username ends: in
scripts without spaces, and before endings of another script, letters follow at once ("@mira_42さん"). Not here: banned names
(banlist.py), and what makes a name visible (fields.py).
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from generia_assets.content.documents import CharacterBrief
from generia_assets.content.similarity import sequences, share
from generia_assets.content.text import LETTERS, MARKS, clean, is_mark, joined, one_line, words

USERNAME_LIMIT = 30
"""Characters of a username."""
# Thai, Lao, Burmese, Khmer, kana, Chinese characters, and Hangul, whose particles follow a name without a space.
_NO_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uac00-\ud7a3\uff66-\uff9f"
_SPACELESS = re.compile(f"[{_NO_SPACES}]")
# An @ behind a letter is an address's, but in scripts that put no space before it either.
_AT = re.compile(rf"(?:(?<![{LETTERS}@＠])|(?<=[{_NO_SPACES}]))[@＠]([{LETTERS}.\u200c\u200d]*[{LETTERS}])")
_LONGEST = 2 * USERNAME_LIMIT
"""Characters of a mention that are looked at: some signs in it may be too many."""
_ALPHABETS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "COPTIC", "CHEROKEE")
"""Alphabets whose letters are taken for each other's, by the first word of their letters' Unicode names."""


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]


def _alphabet(character: str) -> str:
    name = _script(character)
    return name if name in _ALPHABETS else ""


@cache
def _look(character: str) -> str:
    """The Latin letter that a small letter of another alphabet looks like, itself or as a capital; else the letter as it is."""
    if character.isascii() or _alphabet(character) in ("", "LATIN"):
        return character
    from confusable_homoglyphs.confusables import confusables_data  # type: ignore[import-untyped]  # 120 ms

    for form in (character, character.upper()):
        twins = [str(twin["c"]) for twin in confusables_data.get(form, ())]
        if found := next((twin for twin in twins if len(twin) == 1 and twin.isascii() and twin.isalpha()), ""):
            return found.casefold()
    return character


def mixes_alphabets(name: str) -> bool:
    """Whether a word of the name has letters of two alphabets that look alike ("Mira" with a Cyrillic a).

    Scripts that belong together (kana and Chinese characters) and two alphabets in two words are nothing to object to.
    """
    parts = [part for word in words(unicodedata.normalize("NFKC", name)) for part in re.split(r"[\d_]+", word)]
    return any(len({alphabet for letter in part if (alphabet := _alphabet(letter))}) > 1 for part in parts)


def _is_accent(mark: str, before: str) -> bool:
    """Whether a name reads the same without this mark: accents, vowel points of Hebrew and Arabic. The vowel signs of Indic
    scripts and of Thai, the voicing marks of kana and the breve of й and ў are letters or make another one.
    """
    if mark == "\u0306":
        return _alphabet(before) != "CYRILLIC"
    # By the classes of Unicode: fixed positions of points are 10 to 36, places around any letter 200 and above.
    return 10 <= unicodedata.combining(mark) <= 36 or unicodedata.combining(mark) in (1, *range(200, 255))


def fold(name: str) -> str:
    """A name without case, accents, punctuation and spaces, in Latin letters where it looks like that: two names that fold alike
    are the same name to a reader.
    """
    decomposed = unicodedata.normalize("NFKD", clean(name)).casefold()
    if decomposed.isascii():  # ten times faster
        letters = "".join(filter(str.isalnum, decomposed))
    else:
        letters = "".join(
            _look(character)
            for before, character in pairwise(f" {decomposed}")
            if character.isalnum() or (is_mark(character) and not _is_accent(character, before))
        )
    return letters or one_line(name).casefold()


def username(text: str) -> str:
    """A username as it is stored: no @, no spaces, letters, digits, ``_`` and ``.`` only; '' when nothing is left."""
    name = joined(unicodedata.normalize("NFKC", text), also=".")
    while len(name) > USERNAME_LIMIT:  # the last letter, with its marks
        name = re.sub(rf".[{MARKS}]*\Z", "", name)
    return name.strip("._")


class Mention(NamedTuple):
    """A mention in a text: where it begins (at the @) and ends, and the username it means; '' if unknown."""

    start: int
    end: int
    username: str


def by_fold(usernames: Iterable[str]) -> dict[str, str]:
    """The usernames by their folded form, by which they are compared."""
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


def resolve_mentions(text: str, usernames: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """The text whose every mention is one of these usernames in its exact spelling, and the usernames it mentions, in order.

    The @ of an unknown name is removed and the name stays, because people outside the network have names, too.
    """
    pieces: list[str] = []
    end_of_last = 0
    mentions = list(mentions_in(text, by_fold(usernames) if _AT.search(text) else {}))
    for start, end, username in mentions:
        pieces += [text[end_of_last:start], f"@{username}" if username else text[start + 1 : end]]
        end_of_last = end
    named = dict.fromkeys(mention.username for mention in mentions if mention.username)
    return "".join([*pieces, text[end_of_last:]]), tuple(named)


class CharacterIndex:
    """The people of a world so far: every name, and the latest people's briefs.

    Grows batch by batch; the check of a name costs the same in a world of ten and of a hundred thousand. Keeps whole briefs only of
    the latest people (some 5 kB each, with their sequences), and of all others two short strings and a number.
    """

    MOST_LINES = 300
    """Most people who are in a request with their one line, the latest ones: about 25 tokens each, so at most 7,500, as much as the
    rest of the request. Most worlds are smaller; in a longer list models overlook the middle."""
    MOST_NAMES = 300
    """Most people before these who are in a request by name alone (about 1,500 tokens)."""

    def __init__(self, briefs: Iterable[CharacterBrief] = ()) -> None:
        self._usernames: set[str] = set()
        self._display_names: set[str] = set()
        self._names: deque[str] = deque(maxlen=self.MOST_NAMES)
        self._latest: deque[tuple[CharacterBrief, array[int]]] = deque()
        self._known: tuple[CharacterBrief, ...] = ()
        self._concepts: set[int] = set()
        self.count = 0
        self.add(*briefs)

    def add(self, *briefs: CharacterBrief) -> None:
        for brief in briefs:
            self._usernames.add(fold(brief.username))
            self._display_names.add(fold(brief.display_name))
            self._concepts.add(hash(fold(brief.concept)))
            self._latest.append((brief, array("I", sequences(brief.concept))))
            if len(self._latest) > self.MOST_LINES:
                self._names.append(self._latest.popleft()[0].display_name)
            self.count += 1

    def know(self, *briefs: CharacterBrief) -> None:
        """Keep these in requests, too, however long ago they came: those whom the people of the next batch know."""
        self._known = briefs

    def has(self, username_: str, display_name: str) -> bool:
        return fold(username_) in self._usernames or fold(display_name) in self._display_names

    def name_of_similar(self, concept: str, threshold: float) -> str:
        """The name of a person with a similar concept among the latest people, or with the same concept among all.

        '' if there is none; ``threshold`` as in similarity.py, 1 for copies only.
        """
        mine = sequences(concept)
        like = (brief.display_name for brief, theirs in self._latest if share(mine, theirs) >= threshold)
        return next(like, "somebody else" if hash(fold(concept)) in self._concepts else "")

    @property
    def names(self) -> tuple[str, ...]:
        """The display names of those before the latest, oldest first; at most ``MOST_NAMES``."""
        return tuple(self._names)

    @property
    def latest(self) -> tuple[CharacterBrief, ...]:
        """The latest people, oldest first, at most ``MOST_LINES``; before them those whom the next batch knows (``know``)."""
        latest = {brief.key: brief for brief, _ in self._latest}
        return (*(brief for brief in self._known if brief.key not in latest), *latest.values())

    @property
    def unnamed(self) -> int:
        return self.count - len(self._names) - len(self._latest)
