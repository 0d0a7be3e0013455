"""Languages: a guess from the user's sentence, one name for each, and whether a text is written in its script.

Here: what the program knows without a model. Which language a name means ("zh-CN", "Português (Brasil)", "Hebrew (עברית)") and
which script it has are left to the library langcodes. Not here: the languages that we know more of (data/languages.yaml).

Why no detector from a library: of 33 short sentences in 18 languages lingua and py3langid guess 33 and this module 28, but they
are sure of a language for "Cyberpunk Tokyo 2077" and for languages outside the list, where ``plainly`` must return None. They cost
96 MB (lingua) or 78 MB (py3langid with numpy), and up to 4 s and 320 MB at the first call.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from generia_assets.content import data_files
from generia_assets.content.data_files import Language
from generia_assets.content.text import LETTERS, SCRIPTS, cut, one_line, words

if TYPE_CHECKING:
    import langcodes

_SCRIPTS = {
    "Latn": "Latin", "Cyrl": "Cyrillic", "Grek": "Greek", "Hebr": "Hebrew", "Arab": "Arabic", "Deva": "Devanagari", "Jpan": "Kana",
    "Hans": "Han", "Hant": "Han", "Kore": "Hangul", "Armn": "Armenian", "Geor": "Georgian", "Thai": "Thai", "Beng": "Bengali",
    "Taml": "Tamil",
}  # fmt: skip
"""Our names of scripts, by their ISO 15924 codes."""
_TWO_SCRIPTS = frozenset({"az", "bs", "ha", "kk", "ku", "ky", "mn", "ms", "pa", "sd", "sh", "sr", "tg", "tk", "ug", "uz"})
"""Languages that are written in one script here and in another there."""
_LETTERS = {script: re.compile(f"[{letters}]") for script, letters in SCRIPTS.items()}
# Japanese writes in kana and Chinese characters, Korean now and then with the latter.
_ALSO = {"Kana": ("Han",), "Hangul": ("Han",)}

NATIVE_SHARE = 0.5
"""Least share of a text's letters that must be of its language's script; the rest may be brand names, usernames, quotations."""

PROSE = 50
"""Words from which on the frequent words of a text identify its language."""
_FREQUENT_SHARE = 0.1
_PLAIN_WORDS = 3
_QUOTE = 40
"""Characters of a text that a complaint about its letters quotes."""
_NOT_ITS_OWN = re.compile(
    r"(?<![A-Za-z0-9.+_-])(?:[A-Za-z]+://|[A-Za-z0-9.+_-]+@)?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?:[/?#:][!-~]*)?"  # links, addresses
    rf"|[@#＠＃](?:[{SCRIPTS['Latin']}\d_.]+|[{LETTERS}.]+)"  # a username or tag, in no-space scripts without what follows
)


def own_words(text: str) -> str:
    """The text without @usernames, #tags, links and addresses, whose letters are no evidence of its language."""
    return _NOT_ITS_OWN.sub(" ", text).strip()


def _counted(text: str) -> Mapping[str, int]:
    return {script: len(pattern.findall(text)) for script, pattern in _LETTERS.items()}


def script_share(text: str, script: str) -> float:
    """The share (0 to 1) of the text's letters of known scripts that are of this one; 1 for a text without letters."""
    counts = _counted(text)
    total = sum(counts.values())
    return sum(counts[name] for name in (script, *_ALSO.get(script, ()))) / total if total else 1.0


def is_native(text: str, script: str) -> bool:
    return script_share(text, script) >= NATIVE_SHARE


def wrong_letters(text: str, script: str) -> str:
    """What letters the text's own words have instead of this script's, with a quote, for a complaint; '' when enough are right."""
    own = one_line(own_words(text))
    if is_native(own, script):
        return ""
    counts = _counted(own)
    wrong = max(counts.keys() - {script, *_ALSO.get(script, ())}, key=lambda name: (counts[name], name))
    start = next(_LETTERS[wrong].finditer(own)).start()
    return f"{wrong} letters: “{cut(own[start:], _QUOTE)}”"


def letters_of(script: str) -> str:
    """The letters that texts of this script are written in, for a complaint: "Kana or Han letters"."""
    return f"{' or '.join((script, *_ALSO.get(script, ())))} letters"


@dataclass(frozen=True)
class _Clues:
    """The evidence in a sentence for a language: its frequent words and its characteristic letters, each counted once."""

    language: Language
    words: int
    letters: int

    @property
    def evidence(self) -> int:
        return self.words + 3 * self.letters


def _clues(text: str) -> list[_Clues]:
    """The evidence for each language of the text's script, in the file's order; none for a text without letters."""
    text = own_words(text) or text
    counts = _counted(text)
    if not any(counts.values()):
        return []
    # A sentence with any kana is Japanese however many Chinese characters it has.
    script = "Kana" if counts["Kana"] else max(counts, key=lambda name: counts[name])
    folded = text.casefold()
    there = set(words(folded))
    return [
        _Clues(language, sum(word in there for word in language.words), sum(letter in folded for letter in language.letters))
        for language in data_files.languages().languages
        if language.script == script
    ]


def guess(text: str) -> Language | None:
    """The language a sentence is probably in, by script, characteristic letters and frequent words; None when its script is
    unknown.

    Only a guess for the prompt; the language in the model's answer decides (``WorldDraft.content_language``).
    """
    # max keeps the first of equals: the file's order decides without evidence.
    likely = max(_clues(text), key=lambda clues: clues.evidence, default=None)
    return likely.language if likely else None


def plainly(text: str) -> Language | None:
    """The language a sentence is plainly in: three of its frequent words (two and a characteristic letter), twice any other's
    evidence.

    None in doubt. A language the program does not know may be taken for a neighbour of it.
    """
    clues = sorted(_clues(text), key=lambda clues: clues.evidence, reverse=True)
    if len(clues) < 2:
        return clues[0].language if clues else None
    likely, next_one = clues[:2]
    enough = likely.words >= _PLAIN_WORDS or (likely.words == _PLAIN_WORDS - 1 and likely.letters > 0)
    return likely.language if enough and likely.evidence >= 2 * next_one.evidence else None


class _Named(NamedTuple):
    """A language as it was named: its English name (with region or script, if given), BCP 47 tag, and script ('' unknown)."""

    name: str
    tag: str
    script: str


@cache
def _named(name: str) -> _Named | None:
    """The language under this name: a tag, or a name in any language, with or without region or script. None for no language."""
    wanted = one_line(unicodedata.normalize("NFKC", name)).strip(" .")
    for ours in data_files.languages().languages:
        if wanted.casefold() == ours.name.casefold():
            return _Named(ours.name, ours.tag, ours.script)
    import langcodes  # 30 ms, and 60 at the first name: most worlds are in a language of ours

    if re.fullmatch(r"[A-Za-z]{2,3}([-_]\w{2,8})*", wanted) and langcodes.tag_is_valid(wanted):
        found: langcodes.Language | None = langcodes.get(wanted)
    else:
        found = _found(wanted) or _found(wanted.partition("(")[0])
    if found is None:
        return None
    for part in ("script", "territory"):
        with suppress(LookupError):
            named = langcodes.find_name(part, wanted.partition("(")[2].strip(") "))
            found = langcodes.Language.make(found.language, script=named.script or found.script, territory=named.territory)
    tag = found.prefer_macrolanguage().language or ""
    either = tag in _TWO_SCRIPTS and not found.script
    return _Named(found.display_name(), tag, "" if either else _SCRIPTS.get(found.maximize().script or "", ""))


def _found(name: str) -> langcodes.Language | None:
    """The language of this name; the library would take one or two letters for the beginning of some name."""
    import langcodes

    with suppress(LookupError):
        return langcodes.find(name) if len(name.strip()) > (2 if name.isascii() else 1) else None
    return None


def find(name: str) -> Language | None:
    """The language of ours under this name or tag (``_named``), or None when we know no more of it than the library does."""
    named = _named(name)
    return next((ours for ours in data_files.languages().languages if named and ours.tag == named.tag), None)


def tag(name: str) -> str:
    """The BCP 47 tag of the language under this name, without region; '' for a name of no language."""
    named = _named(name)
    return named.tag if named else ""


def canonical(name: str) -> str:
    """The English name of a language, with the region or script that was named; the name of no language reduced to letters, 40."""
    named = _named(name)
    # An unknown name comes from a model and goes into the system instruction: it is reduced to letters.
    return named.name if named else re.sub(rf"[^{LETTERS} ()\-]", "", one_line(name))[:40].strip()


def checked_script(language: str) -> str | None:
    """The script answers in this language must be written in; None for no language, and for one with two scripts or a rare one."""
    named = _named(language)
    return (named.script or None) if named else None


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
    any other, in every pair of the list (tests/content/test_text.py).
    """
    known, found = find(language), words(text.casefold())
    if known is None or len(found) < PROSE:
        return ""
    shares = {
        other.name: sum(word in other.words for word in found) / len(found)
        for other in data_files.languages().languages
        if other.script == known.script
    }
    likely = max(shares, key=lambda name: shares[name])
    return likely if shares[likely] >= _FREQUENT_SHARE and shares[known.name] < shares[likely] / 2 else ""


def inflects(language: str) -> bool:
    """Whether names change by case in this language (Анна, Анне, Анной), so that a username fits as it is in some places only."""
    return tag(language) in data_files.languages().inflecting


def placeholders(language: str) -> Language:
    """The language whose texts replace what moderation refused (``deleted``, ``untold``): this one, or English."""
    return find(language) or data_files.languages().languages[0]
