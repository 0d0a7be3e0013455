"""What a program can recognize in a prompt: language, kind of world, the user's own words, existing people.

Not here: the answer.
"""

from __future__ import annotations

import math
import random
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from emulators.gemini.api.wire import GenerateRequest
from emulators.gemini.writing.item import RequestedItem
from emulators.gemini.writing.words import WordList, stems

_LANGUAGES = {name: language for language in WordList for name in (language.value, language.english_name.lower())} | {
    "русский": WordList.RUSSIAN,
    "русском": WordList.RUSSIAN,
}
_NAMES = "|".join(name for name in _LANGUAGES if len(name) > 2)
_LETTERS = {
    WordList.RUSSIAN: re.compile("[а-яё]", re.IGNORECASE),
    WordList.HEBREW: re.compile("[\u05d0-\u05ea]"),
    WordList.ARABIC: re.compile("[\u0620-\u064a]"),
    WordList.JAPANESE: re.compile("[\u3041-\u30ff\u4e00-\u9fff]"),
    WordList.HINDI: re.compile("[\u0900-\u097f]"),
}
_KANA = re.compile("[\u3041-\u30ff]")
"""What tells Japanese from Chinese, which nobody writes here."""
_STATED = (
    re.compile(r"content language\W{1,4}(\w+)", re.IGNORECASE),
    re.compile(rf"(?:write|answer|respond|all|everything)(?: \w+){{0,4}} in ({_NAMES})\b(?! \w*(?:prompt|image))", re.IGNORECASE),
    re.compile(r"^\W*language\W{1,4}(\w+)", re.IGNORECASE | re.MULTILINE),
)
_OWN_WORDS = (
    re.compile(r"<([\w-]*(?:user|prompt)[\w-]*)>(?P<own>.*?)</\1>", re.DOTALL | re.IGNORECASE),
    re.compile(r'user_prompt"?\s*[:=]\s*"?(?P<own>[^"\n]+)', re.IGNORECASE),
    re.compile(r'"""(?P<own>.*?)"""', re.DOTALL),
)
_HANDLE = re.compile(r"""(?:@|username["']?\s*[:=]\s*["']?@?)(\w[\w.\-]{2,30}\w)""", re.ASCII)
_PERSON = re.compile(r"<person[\w-]*>\s*([^\n(@<]{2,80}?) \(@(\w+)\)")
_WORN_NAMES = re.compile(r"^- (?:names|trades and figures): (.+)$", re.MULTILINE)
_NUMBER = re.compile(r"^Number (\d+)\b", re.MULTILINE)
_EXACTLY = re.compile(r"\bexactly (\d+)\b", re.IGNORECASE)
_WORD = re.compile(r"\w{3,}")
_CONJUNCTION = re.compile(
    r"^(?:и|а|но|где|что|как|когда|котор\w+|and|but|where|who|that|which|with|in which|שבה|שבו|حيث|जहाँ|जिसमें)\s+", re.IGNORECASE
)
_PARTS = re.compile(
    r"\s(?=(?:where|who|that|which|whose|and|but|while|unless|где|котор\w+|чь\w+|но|पर|जहाँ|और|לפני)\s|(?:ש?בה|ואיש|حيث|لكن)\s)",
    re.IGNORECASE,
)
"""Where a clause of the user's sentence begins another idea."""
_CLAUSE_END = re.compile(r"[.,;:!?\n()«»\"“”—、。，！？「」،؛؟।]+")

# Long prompts are read only up to this length: the world's description comes first, and reading takes time on every call.
_LOOKED_AT = 8_000
_SHORT_PROMPT = 600
_FEW_WORDS = 2
"""Words of a clause that only says what kind of place it is: "a city"."""
_FEW_LETTERS = 5
"""A name or a word in another script makes no language."""


@dataclass(frozen=True)
class Scene:
    """A prompt as the author sees it. ``text`` is the whole prompt: a name in it is taken."""

    language: WordList
    setting: str
    ideas: tuple[str, ...]
    item: str
    text: str
    own: str = ""
    """The user's sentence, or ''."""
    code: str = ""
    """The code of the world's tags, or ''."""
    length_spread: float = 0.0
    """See ``faults.Faults``."""

    @property
    def seed(self) -> str:
        """The same in every request of a world: draws over all its requests follow from it."""
        return self.code + self.own

    @cached_property
    def asked(self) -> RequestedItem:
        """The item, line by line."""
        return RequestedItem(self.item)

    @cached_property
    def handles(self) -> tuple[str, ...]:
        """Usernames that the prompt knows, without @, in order of appearance."""
        return tuple(dict.fromkeys(_HANDLE.findall(self.text)))

    @cached_property
    def own_handle(self) -> str:
        """The username of the person the item is about, or else its first one. '' if there is none."""
        found = _PERSON.search(self.item)
        if found:
            return found.group(2)
        found = _HANDLE.search(self.item)
        return found.group(1) if found else ""

    @cached_property
    def others(self) -> tuple[str, ...]:
        """The usernames of everybody but the person the item is about."""
        return tuple(handle for handle in self.handles if handle != self.own_handle)

    @cached_property
    def person(self) -> str:
        """The display name the item is about, or ''."""
        found = _PERSON.search(self.item)
        return found.group(1).strip() if found else ""

    @cached_property
    def worn_names(self) -> tuple[str, ...]:
        """Banned names (and trades) of the prompt: "- names: A | B*"; a * stands for any ending."""
        return tuple(name.strip().lower() for line in _WORN_NAMES.findall(self.text) for name in line.split("|"))

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the lines "Number N", with which the prompt requests several items at once."""
        return tuple(int(number) for number in _NUMBER.findall(self.item))

    @cached_property
    def verbosity(self) -> float:
        """The relative length of texts, 1 = usual: drawn for the world, and for the person of the item."""
        world = random.Random(f"{self.seed}:verbosity").gauss(0, self.length_spread / 3)
        person = random.Random(f"{self.seed}:verbosity:{self.own_handle}").gauss(0, self.length_spread) if self.own_handle else 0.0
        return math.exp(world + person)

    @property
    def bare_hashtags(self) -> bool:
        """Whether the prompt requests hashtags without #."""
        return "without #" in self.item

    @cached_property
    def exact_count(self) -> int | None:
        """The N of the last "exactly N" the prompt says, or None."""
        found = _EXACTLY.findall(self.item)
        return int(found[-1]) if found else None


def read_scene(request: GenerateRequest) -> Scene:
    """Read a prompt."""
    system, user = request.system_text(), request.user_text()
    own = _own_words(user)
    parts = [part.text for turn in request.contents for part in turn.parts if part.text]
    return Scene(
        language=_language(system, user, own),
        setting=_setting(own) or _setting(f"{system[:_LOOKED_AT]}\n{user[:_LOOKED_AT]}") or _any_setting(own or system or user),
        ideas=_ideas(own),
        # The common part comes first; the item of this request follows.
        item="\n".join(parts[1:] or parts),
        text=f"{system}\n{user}",
        own=own,
        code=_code(user),
    )


def _code(user: str) -> str:
    """The code of the world's tags, or ''."""
    found = re.search(r"<user-sentence-(\w+)>", user)
    return found.group(1) if found else ""


def _language(system: str, user: str, own: str) -> WordList:
    for text in (own, system, user[-_LOOKED_AT:], user[:_LOOKED_AT]):
        for pattern in _STATED:
            found = pattern.search(text)
            if found and found.group(1).lower() in _LANGUAGES:
                return _LANGUAGES[found.group(1).lower()]
    sample = own or user[:_LOOKED_AT]
    counts = {language: len(letters.findall(sample)) for language, letters in _LETTERS.items()}
    likely = max(counts, key=lambda language: counts[language])
    if likely is WordList.JAPANESE and not _KANA.search(sample):
        return WordList.ENGLISH
    # Half of the user's own words must be in its script. Instructions are always English, so among them a fifth is enough.
    needed = sum(letter.isalpha() for letter in sample) / (2 if own else 5)
    return likely if counts[likely] > _FEW_LETTERS and counts[likely] >= needed else WordList.ENGLISH


def _own_words(user: str) -> str:
    for pattern in _OWN_WORDS:
        found = pattern.search(user)
        if found and found.group("own").strip():
            return found.group("own").strip()
    return user.strip() if len(user) < _SHORT_PROMPT else ""


def _setting(text: str) -> str:
    known = stems()
    votes: Counter[str] = Counter()
    for word in set(_WORD.findall(text.lower())):
        for length in range(3, min(len(word), 10) + 1):
            setting = known.get(word[:length])
            if setting:
                votes[setting] += 1
                break
    for stem, setting in known.items():  # in languages without spaces, or with prefixes, a stem can be anywhere
        if stem > "\u0590" and stem in text:
            votes[setting] += 1
    # If a city is as likely as another setting, the other setting counts, because a city can contain anything.
    return min(votes, key=lambda name: (-votes[name], name == "city", name)) if votes else ""


def _any_setting(text: str) -> str:
    names = sorted(set(stems().values()))
    return names[zlib.crc32(text.encode()) % len(names)]


def _ideas(own: str) -> tuple[str, ...]:
    """The ideas of a sentence, in its own words: its clauses, except those that only name the kind of place."""
    clauses = [_CONJUNCTION.sub("", part.strip()) for clause in _CLAUSE_END.split(own) for part in _PARTS.split(clause)]
    fitting = [clause for clause in clauses if len(clause) <= 90 and (2 <= len(clause.split()) <= 12 or _KANA.search(clause))]
    if len(fitting) > 1 and len(fitting[0].split()) <= _FEW_WORDS and not _KANA.search(fitting[0]):
        del fitting[0]
    return tuple(fitting)[:6]
