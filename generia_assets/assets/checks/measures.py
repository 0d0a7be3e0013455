"""Measures of texts: words, openings, phrases and names, in any script, without a model.

Here: functions of strings. Not here: the texts and thresholds (words.py, plan.py).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice

from generia_assets.content import languages
from generia_assets.content.documents import Document
from generia_assets.content.text import LETTERS, MARKS

OPENING_WORDS = 4
PHRASE_WORDS = 4
STEM = 5
"""Letters at the beginning of a word that stay the same through most of its forms."""
_LEAST_LETTERS = 4
"""Letters of a word that is specific to its text; shorter ones are in every text."""
_NAME_LETTERS = 3
"""As above for a name, whose words stand side by side."""
_CONTINUOUS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f"
"""Letters of scripts without spaces: Thai, Lao, Burmese, Khmer, kana, Chinese characters. Two of them count as a word."""
_BREAK = re.compile(r"[\s—–…/|]+")
_LETTER = re.compile(f"[{_CONTINUOUS}]")
_PIECES = {size: re.compile(rf"(?:[{_CONTINUOUS}][{MARKS}]*){{1,{size}}}|[^{_CONTINUOUS}]+") for size in (1, 2)}
_EDGES = re.compile(rf"^[\W_]+|(?:_|[^{LETTERS}])+$")
_GAP = re.compile(rf"(?<=[{_CONTINUOUS}{MARKS}]) (?=[{_CONTINUOUS}])")
_HIRAGANA = re.compile("[\u3041-\u309f]+")
"""Endings and small words of Japanese, which stand in every text."""
_JOINED_BEFORE = re.compile(r"^(?:[وفبك]?ال|لل|[הובכלמש](?=\w{4}))")
"""Small words that Arabic and Hebrew write as the beginning of the next word: the article, *and*, *in*, *to*."""
_ANYWHERE = re.compile(f"[{_CONTINUOUS}\u05d0-\u05ea\u0620-\u06d3]")
"""Letters of the scripts in which a stem does not always stand at the beginning of a word."""


def each_word(text: str, size: int = 2) -> Iterator[str]:
    """The text's words in small letters, without the signs around them; of a script without spaces pieces of ``size`` letters."""
    tokens: Iterator[str] = filter(None, _BREAK.split(text.casefold()))
    if _LETTER.search(text) is not None:
        tokens = (piece for token in tokens for piece in _PIECES[size].findall(token))
    return filter(None, map(_without_signs, tokens))


@lru_cache(maxsize=2_000)
def _without_signs(piece: str) -> str:
    """A word without the signs around it; remembered, since texts of a world share most of their words."""
    return piece if piece.isalnum() else _EDGES.sub("", piece)


def words(text: str, size: int = 2) -> list[str]:
    return list(each_word(text, size))


def frequent_words(language: str) -> frozenset[str]:
    """The words that stand in nearly every text of this language; none for a language the program does not know."""
    known = languages.find(language)
    return frozenset(known.words) if known else frozenset()


def stems(text: str, frequent: frozenset[str]) -> tuple[str, ...]:
    """The beginnings of the words that are specific to the text."""
    found = (_JOINED_BEFORE.sub("", word) for word in words(_HIRAGANA.sub(" ", text)) if word not in frequent)
    return tuple({word[:STEM] for word in found if len(word) >= _LEAST_LETTERS or _LETTER.match(word)})


def shows(text: str, wanted: tuple[str, ...]) -> bool:
    """Whether a word of the text begins with one of these stems; in scripts that join words, one may stand anywhere."""
    return any(word.startswith(wanted) for word in each_word(text)) or any(stem in text for stem in wanted if _ANYWHERE.match(stem))


def phrases(text: str) -> list[str]:
    """All sequences of four words, each once; of a text mostly in a script without spaces, of eight letters."""
    letters = len(_LETTER.findall(text))
    found, size = (words(text, 1), 2 * PHRASE_WORDS) if 2 * letters > len(text) else (words(text), PHRASE_WORDS)
    return list(dict.fromkeys(" ".join(found[at : at + size]) for at in range(len(found) - size + 1)))


def _as_written(words_: str) -> str:
    """Words with a space between any two, as their script writes them."""
    return _GAP.sub("", words_)


def openings(texts: Iterable[tuple[str, str]], frequent: frozenset[str]) -> tuple[int, list[tuple[str, int, str]]]:
    """How many texts (keys and texts) have words; openings that come too often: the words, how often, the key of a text to change.

    One first word may open a fifth of the texts (half of them if it is one of the language's most frequent words) and three in any
    case; the same four first words one text of a hundred, and two in any case.
    """
    begun, counts, keys = 0, Counter[str](), defaultdict[str, list[str]](list)
    for key, text in texts:
        if begin := list(islice(each_word(text), OPENING_WORDS)):
            begun += 1
            for opening in dict.fromkeys((begin[0], " ".join(begin))):
                counts[opening] += 1
                if len(keys[opening]) < 2:
                    keys[opening].append(key)

    def most(opening: str) -> int:
        share, least = (100, 2) if " " in opening else (2 if opening in frequent else 5, 3)
        return max(least, begun // share)

    return begun, [(_as_written(one), count, keys[one][-1]) for one, count in counts.most_common() if count > most(one)]


def repeated_phrases(texts: Mapping[str, str], own: frozenset[str], frequent: frozenset[str]) -> Iterator[tuple[str, int, str]]:
    """Phrases in more than a fifth of the texts, and in four at least: the phrase, in how many, and the key of the last.

    Phrases among ``own`` are the world's, those of frequent words alone are the language's: neither counts. Of a sentence that
    repeats, phrases that overlap are reported once.
    """
    counts, last = Counter[str](), dict[str, str]()
    for key, text in texts.items():
        found = [phrase for phrase in phrases(text) if phrase not in own]
        counts.update(found)
        last |= dict.fromkeys(found, key)
    reported: set[str] = set()
    for phrase, count in counts.most_common():
        if count > max(3, len(texts) / 5) and not frequent.issuperset(phrase.split()):
            parts = {phrase.partition(" ")[2], phrase.rpartition(" ")[0]}
            if not parts & reported:
                yield _as_written(phrase), count, last[phrase]
            reported |= parts


def prose(document: Document) -> str:
    return document.model_dump_json(indent=1).replace("\\n", " ")


def searchable(text: str) -> str:
    """The text's words between single spaces, so that a name is found in it whatever its case and the signs around it."""
    return f" {' '.join(words(text, 1))} "


def searchable_name(name: str, frequent: frozenset[str]) -> str:
    """As ``searchable``, or '' for a name that a text may hold by chance.

    By chance: fewer than two words of three letters and more that are none of the language's frequent ones, and fewer than four
    letters of a script without spaces.
    """
    found = words(name, 1)
    specific = [word for word in found if len(word) >= _NAME_LETTERS and word not in frequent]
    return searchable(name) if len(specific) > 1 or len(_LETTER.findall(name)) >= _LEAST_LETTERS else ""
