"""The emulator's vocabulary, as data: one YAML file a language, read once.

Not here: how words become sentences (author.py).
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

_KANA_AND_HAN = re.compile("[\u3005\u3040-\u30ff\u3400-\u9fff]+")
_FOLDER = Path(__file__).parent / "words"


class WordList(StrEnum):
    """A language that answers can be written in."""

    ENGLISH = "en"
    RUSSIAN = "ru"
    HEBREW = "he"
    ARABIC = "ar"
    JAPANESE = "ja"
    HINDI = "hi"

    @property
    def english_name(self) -> str:
        """The English name of the language, as in prompts and documents."""
        return self.name.capitalize()

    @property
    def quotes(self) -> str:
        """Its opening and closing quotation mark."""
        return {"ru": "«»", "ar": "«»", "ja": "「」"}.get(self.value, "“”")

    @property
    def space(self) -> str:
        """The text between two sentences."""
        return "" if self is WordList.JAPANESE else " "

    def quoted(self, text: str) -> str:
        """The text in quotation marks."""
        return f"{self.quotes[0]}{text}{self.quotes[1]}"

    def count_words(self, text: str) -> int:
        """How many words a text has; two letters of a script without spaces are one."""
        runs = _KANA_AND_HAN.findall(text)
        others = sum(any(sign.isalnum() for sign in word) for word in _KANA_AND_HAN.sub(" ", text).split())
        return others + sum((len(run) + 1) // 2 for run in runs)

    @property
    def other(self) -> WordList:
        """The wrong language, for the fault that answers in it."""
        return WordList.RUSSIAN if self is WordList.ENGLISH else WordList.ENGLISH


class Setting(BaseModel):
    """The words of one kind of world. ``stems`` are beginnings of words that indicate this setting in a prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stems: tuple[str, ...]
    where: tuple[str, ...]
    thing: tuple[str, ...]
    do: tuple[str, ...]
    trade: tuple[str, ...]
    event: tuple[str, ...]
    world: tuple[str, ...]


class Words(BaseModel):
    """One language: settings, decks of sentence templates, lists of phrases."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: dict[str, Setting]
    decks: dict[str, tuple[str, ...]]
    lists: dict[str, tuple[str, ...]]

    def setting(self, name: str) -> Setting:
        """The setting of this name, or the first one if this language has no words for it."""
        return self.settings.get(name) or next(iter(self.settings.values()))


@cache
def words_of(language: WordList) -> Words:
    """The vocabulary of a language."""
    text = (_FOLDER / f"{language}.yaml").read_text(encoding="utf-8")
    return Words.model_validate(yaml.load(text, yaml.CSafeLoader))


@cache
def stems() -> dict[str, str]:
    """Beginnings of words in every language, and the setting that each indicates."""
    return {stem: name for language in WordList for name, setting in words_of(language).settings.items() for stem in setting.stems}
