"""People: names from Faker in the language of the prompt, and handles that fit them. A name is hardly ever repeated.

Not here: texts about them.
"""

from __future__ import annotations

import random
import re
import zlib
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from emulators.gemini.writing.words import WordList, words_of

_LATIN = dict(
    zip(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
        ("a b v g d e e zh z i y k l m n o p r s t u f kh ts ch sh shch - y - e yu ya").replace("-", "").split(" "),
        strict=True,
    )
)

_LOCALES = {
    WordList.ENGLISH: "en_US",
    WordList.RUSSIAN: "ru_RU",
    WordList.HEBREW: "he_IL",
    WordList.ARABIC: "ar_AA",
    WordList.JAPANESE: "ja_JP",
    WordList.HINDI: "hi_IN",
}
"""Faker's names for its lists of names."""
_NAME_PART = re.compile(r"[^\W\d_]+")
_HANDLE_LETTERS = 17
"""Letters of a username before its number: networks allow twenty characters or so."""
_NUMBERS = 1000
_STEP, _FIRST = 37, 11
"""The number in a username is the person's place in the world, stirred: a request that names somebody tells the place."""


@dataclass(frozen=True)
class WrittenPerson:
    """A named person. ``first_name`` is used in sentences."""

    first_name: str
    display_name: str
    username: str
    woman: bool | None = None
    """None: not known, for a person who comes from the prompt."""


@dataclass(frozen=True)
class _Names:
    first: tuple[tuple[str, ...], tuple[str, ...]]
    last: tuple[tuple[str, ...], tuple[str, ...]]
    middle: tuple[tuple[str, ...], tuple[str, ...]]


@cache
def _names(language: WordList) -> _Names:
    """Faker's names of a language, women's and men's.

    Faker is imported on first use: its import takes longer than everything else the emulator does before it is ready. All its names
    are equally likely: with Faker's weights the same few names would repeat.
    """
    names: Any = import_module(f"faker.providers.person.{_LOCALES[language]}").Provider
    first = (tuple(names.first_names_female), tuple(names.first_names_male))
    if language is WordList.RUSSIAN:
        last = (tuple(names.last_names_female), tuple(names.last_names_male))
        return _Names(first, last, middle=(tuple(names.middle_names_female), tuple(names.middle_names_male)))
    return _Names(first, last=(tuple(names.last_names),) * 2, middle=first)


class WrittenPeople:
    """A source of people.

    ``taken`` is text that must not contain the name, ``worn`` are names to avoid (with a * for any ending), ``repeat`` is the fault
    of giving everybody the same name.
    """

    def __init__(
        self, language: WordList, rng: random.Random, taken: str, worn: tuple[str, ...] = (), *, repeat: bool = False
    ) -> None:
        self._language = language
        self._rng = random.Random(0) if repeat else rng
        self._taken = "" if repeat else taken
        self._worn = frozenset(name for name in worn if not name.endswith("*"))
        self._worn_beginnings = tuple(name[:-1] for name in worn if name.endswith("*"))
        self._repeated = self._draw() if repeat else None
        self._given: set[str] = set()

    def somebody(self, place: int | None = None, *, woman: bool | None = None) -> WrittenPerson:
        """A new person, who is neither in the prompt nor in this answer. ``place``: the number of the person in the world, from
        0."""
        if self._repeated is not None:
            return self._repeated
        while True:
            person = self._draw(place, woman)
            names = {person.display_name, person.username}
            if names & self._given or any(name in self._taken for name in names) or self._is_worn(person):
                continue
            self._given |= names
            return person

    def _is_worn(self, person: WrittenPerson) -> bool:
        parts = _NAME_PART.findall(f"{person.display_name} {person.username.replace('_', ' ')}".lower())
        return not self._worn.isdisjoint(parts) or any(part.startswith(self._worn_beginnings) for part in parts)

    def known(self, display_name: str, username: str) -> WrittenPerson:
        """The person of this name, whom the prompt mentions."""
        parts = re.findall(r"[^\s«»“”「」]+", display_name)
        women, men = _names(self._language).first
        first = next((part for part in parts if part in women or part in men), parts[0])
        woman = None if (first in women) == (first in men) else first in women
        return WrittenPerson(first, display_name, username, woman)

    def _draw(self, place: int | None = None, woman: bool | None = None) -> WrittenPerson:
        rng, names = self._rng, _names(self._language)
        sex = rng.randrange(2) if woman is None else 1 - woman
        first, last = rng.choice(names.first[sex]), rng.choice(names.last[sex])
        form = rng.randrange(3)
        byname = rng.choice(words_of(self._language).lists["byname"])
        if self._language is WordList.JAPANESE:
            display = (f"{last} {first}", f"{byname}の{first}", f"{last}{self._language.quoted(byname)}{first}")[form]
        elif form == 0:
            display = f"{first} {rng.choice(names.middle[sex])} {last}"
        elif form == 1:
            display = f"{first} {last}-{rng.choice(names.last[sex])}"
        else:
            display = f"{first} {self._language.quoted(byname)} {last}"
        return WrittenPerson(first, display, self._handle(_latin(first), _latin(last), place), woman=sex == 0)

    def _handle(self, first: str, last: str, place: int | None) -> str:
        rng = self._rng
        words = words_of(WordList.ENGLISH).lists["word"]
        word = rng.choice(words)
        first, last = first or rng.choice(words), last or rng.choice(words)  # for names whose letters cannot be in a handle
        number = rng.randrange(10, _NUMBERS) if place is None else (place * _STEP + _FIRST) % _NUMBERS
        stem = rng.choice((f"{first}_{last}", f"{word}_{first}", f"{last}_{word}", f"{first}{last[:3]}_"))
        return f"{stem[:_HANDLE_LETTERS]}{number}"


def place_of(username: str) -> int:
    """The number of the person with this username, from 0; any number if the name is not one of ours."""
    found = re.search(r"(\d+)$", username)
    number = int(found.group(1)) if found else zlib.crc32(username.encode())
    return (number - _FIRST) * pow(_STEP, -1, _NUMBERS) % _NUMBERS


def _latin(name: str) -> str:
    letters = (_LATIN.get(letter, letter) for letter in name.lower())
    return "".join(letter for letter in "".join(letters) if letter.isascii() and letter.isalnum())


def warm_up() -> None:
    """Load words and names of every language, so that the first answer is as fast as the others."""
    for language in WordList:
        words_of(language)
        _names(language)
