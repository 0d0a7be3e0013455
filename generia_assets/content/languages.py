"""Languages: a guess from the user's sentence, one name for each, and whether a text is written in its script.

Here: what the program can tell without a model. Not here: the list itself (data/languages.yaml).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from generia_assets.content import data_files
from generia_assets.content.data_files import Language
from generia_assets.content.text import one_line

# Ranges of letters by script.
_RANGES = {
    "Latin": "A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ",
    "Cyrillic": "\u0400-\u052f",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Hebrew": "\u05d0-\u05ea",
    "Arabic": "\u0620-\u064a\u066e-\u06d3",
    "Devanagari": "\u0900-\u097f",
    "Kana": "\u3041-\u30ff",
    "Han": "\u3400-\u9fff",
    "Hangul": "\uac00-\ud7a3",
}
_LETTERS = {script: re.compile(f"[{letters}]") for script, letters in _RANGES.items()}
# Japanese writes in kana and Chinese characters, Korean now and then with the latter.
_ALSO = {"Kana": ("Han",), "Hangul": ("Han",)}

NATIVE_SHARE = 0.5
"""Least share of a text's letters that must be of its language's script; the rest may be brand names, usernames, quotations."""

PROSE = 50
"""Words from which on a text tells its language by its frequent words."""
_FREQUENT_SHARE = 0.1
_PLAIN_WORDS = 3


def script_share(text: str, script: str) -> float:
    """The share (0 to 1) of the text's letters of known scripts that are of this one; 1 for a text without letters."""
    counts = {name: len(pattern.findall(text)) for name, pattern in _LETTERS.items()}
    total = sum(counts.values())
    if total == 0:
        return 1.0
    return (counts[script] + sum(counts[name] for name in _ALSO.get(script, ()))) / total


@dataclass(frozen=True)
class _Clues:
    """How much in a sentence speaks for a language: its frequent words and its telling letters, each counted once."""

    language: Language
    words: int
    letters: int

    @property
    def evidence(self) -> int:
        return self.words + 3 * self.letters


def _clues(text: str) -> list[_Clues]:
    """What speaks for each language of the text's script, in the file's order; nothing for a text without letters."""
    shares = {script: len(pattern.findall(text)) for script, pattern in _LETTERS.items()}
    if not any(shares.values()):
        return []
    # A sentence with any kana is Japanese however many Chinese characters it has.
    script = "Kana" if shares["Kana"] else max(shares, key=lambda name: shares[name])
    folded = text.casefold()
    words = set(re.findall(r"\w+", folded))
    return [
        _Clues(language, sum(word in words for word in language.words), sum(letter in folded for letter in language.letters))
        for language in data_files.languages()
        if language.script == script
    ]


def guess(text: str) -> Language | None:
    """The language a sentence is probably in, by script, telling letters and frequent words; None when its script is unknown.

    Only a guess to be told to the model, whose own word counts (``WorldDraft.language``).
    """
    # max keeps the first of equals: the file's order decides when nothing tells.
    likely = max(_clues(text), key=lambda clues: clues.evidence, default=None)
    return likely.language if likely else None


def plainly(text: str) -> Language | None:
    """The language a sentence is plainly in: three of its frequent words (two and a telling letter), twice any other's evidence.

    None in doubt. A language the program does not know may be taken for a neighbour of it.
    """
    clues = sorted(_clues(text), key=lambda clues: clues.evidence, reverse=True)
    if len(clues) < 2:
        return clues[0].language if clues else None
    likely, next_one = clues[:2]
    enough = likely.words >= _PLAIN_WORDS or (likely.words == _PLAIN_WORDS - 1 and likely.letters > 0)
    return likely.language if enough and likely.evidence >= 2 * next_one.evidence else None


@cache
def find(name: str) -> Language | None:
    """The language under this name, in English or its own, or None when the program does not know it."""
    wanted = one_line(name).casefold()
    for language in data_files.languages():
        if wanted in {language.name.casefold(), *(own.casefold() for own in language.own)}:
            return language
    return None


def canonical(name: str) -> str:
    """The English name of a language the program knows; any other name reduced to letters, at most 40."""
    known = find(name)
    # An unknown name comes from a model and goes into the system instruction: nothing but a name may.
    return known.name if known else re.sub(r"[^\w ()\-]", "", one_line(name))[:40].strip()


def checked_script(language: str) -> str | None:
    """The script answers in this language must be written in, or None for a language the program does not know."""
    known = find(language)
    return known.script if known else None


def in_doubt(named: str, sentence: str) -> str:
    """The language a user's sentence seems to be in, if it is of another script than the language ``named`` for it; else ''.

    Both may be right (a sentence can ask for another language than its own), so that this is a question and not an answer.
    """
    seems, script = guess(sentence), checked_script(named)
    return seems.name if seems and script and script != seems.script else ""


def asked_in_another(named: str, sentence: str) -> str:
    """The language a user's sentence is plainly in, where that is not the one ``named`` for it; '' in doubt, and for unknown ones.

    As with ``in_doubt`` both may be right: *a village in Spain, all in Spanish please*.
    """
    if doubt := in_doubt(named, sentence):
        return doubt
    known, plain = find(named), plainly(sentence)
    return plain.name if known and plain and plain.name != known.name else ""


def foreign(text: str, language: str) -> str:
    """The language of the same script that a longer text is plainly in instead of this one; '' in doubt, and for unknown ones.

    By how many of its words are a language's most frequent ones: a tenth and more in its own language, half of that and less in
    any other, in every pair of the list (tests/unit/test_content_text.py).
    """
    known, words = find(language), re.findall(r"\w+", text.casefold())
    if known is None or len(words) < PROSE:
        return ""
    shares = {
        other.name: sum(word in other.words for word in words) / len(words)
        for other in data_files.languages()
        if other.script == known.script
    }
    likely = max(shares, key=lambda name: shares[name])
    return likely if shares[likely] >= _FREQUENT_SHARE and shares[known.name] < shares[likely] / 2 else ""


def is_native(text: str, script: str) -> bool:
    """Whether enough of the text is in this script (``NATIVE_SHARE``)."""
    return script_share(text, script) >= NATIVE_SHARE


def deleted_post(language: str) -> str:
    """What stands in place of a post that moderation refused twice, in this language or in English."""
    known = find(language) or data_files.languages()[0]
    return known.deleted


def untold_person(language: str) -> str:
    """What readers are told of a person of whom moderation refused everything, in this language or in English."""
    known = find(language) or data_files.languages()[0]
    return known.untold
