"""Measures of the asset checks: words, openings, phrases and names are found in every script, and random repetitions are not
faults."""

from __future__ import annotations

import pytest

from generia_assets.assets.checks.measures import (
    openings,
    phrases,
    repeated_phrases,
    searchable,
    searchable_name,
    shows,
    stems,
    words,
)

NONE: frozenset[str] = frozenset()
ENGLISH = frozenset({"the", "and", "of", "a", "in"})


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("who took the second wedge — from @chock_4's stop?!", 8),
        ("3 wedges… 4 pence / none", 5),
        ("हिन्दी में लिखा हुआ", 4),  # vowel signs belong to their words
        ("電車が窓の下で止まった。", 6),  # eleven letters
        ("人々は", 2),
        ("ฝนตกหนัก", 4),
        ("!!! 🐝 …", 0),
        ("", 0),
    ],
)
def test_words_are_counted_in_every_script(text: str, count: int) -> None:
    """Punctuation does not count as words; two letters of a script without spaces count as one word."""
    assert len(words(text)) == count


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("«चीज़ें», रोटी!", ["चीज़ें", "रोटी"]),
        ("שָׁלוֹם. _mira_", ["שָׁלוֹם", "mira"]),
        ("ที่นี่", ["ที่นี่"]),
    ],
)
def test_a_word_keeps_the_signs_at_its_end(text: str, found: list[str]) -> None:
    """Vowel signs and points belong to their word; they are not punctuation."""
    assert words(text) == found


@pytest.mark.parametrize(
    ("wish", "text", "shown"),
    [
        ("everyone is in love", "My plumber is in LOVE again.", True),
        ("everyone is in love", "My plumber hums again.", False),
        ("dreams turn solid", "A dreamer's stairs, still wet.", True),
        ("дождь идёт из книг", "Вышел без книги, вернулся с главой.", True),
        ("дождь идёт из книг", "Вышел без зонта.", False),
        ("本の雨が降る", "今日も本の雨だ", True),
        ("誰も泳げない", "今日は来ない", False),
        ("עיירת נמל על לווייתן", "גרים על הלווייתן.", True),
        ("הלווייתן ישן", "ובלווייתן חם", True),
        ("البلدة على حوت", "في بلدتنا", False),
        ("المرفأ بلا ماء", "نزلنا إلى مرفأنا", True),
    ],
)
def test_a_wish_is_recognized_by_the_beginning_of_a_word(wish: str, text: str, shown: bool) -> None:
    """Endings differ, short words do not count, and Hebrew and Arabic join small words to the next one."""
    assert shows(text, stems(wish, NONE)) is shown


def test_an_opening_is_reported_only_if_it_repeats_more_than_by_chance() -> None:
    """Of twelve texts three may begin with the same word, six with the same very frequent word, and two with the same four
    words."""
    texts = [(f"t{number}", f"Tired, and number{number} knows it") for number in range(3)]
    texts += [(f"f{number}", f"The number{number} of all") for number in range(6)]
    texts += [(f"o{number}", f"number{number} of all") for number in range(3)]
    assert openings(texts, ENGLISH) == (12, [])
    assert openings([*texts, ("t3", "Tired of it")], ENGLISH) == (13, [("tired", 4, "t1")])


def test_the_same_four_words_may_open_more_texts_in_a_larger_world() -> None:
    """Three of 150 are named, ten of 1,000 are not."""
    for count, alike, named in ((150, 3, 1), (1_000, 10, 0), (1_000, 11, 1)):
        texts = [(str(number), "Lost on the stairs again" if number < alike else f"w{number} on") for number in range(count)]
        assert len(openings(texts, NONE)[1]) == named


def test_a_phrase_of_many_texts_is_named_once_and_the_worlds_own_is_not() -> None:
    """A repeated sentence is reported with one or two of its phrases; names of the calendar and frequent words are not reported."""
    texts = {str(n): f"Number{n} would be hurt if anybody knew. She left in the Year of the Cold Foot." for n in range(5)}
    own = frozenset(phrases("It was in the Year of the Cold Foot. She left in it"))
    found = [phrase for phrase, _, _ in repeated_phrases(texts, own, ENGLISH)]
    assert "would be hurt if" in found
    assert not any("cold" in phrase and "she" not in phrase for phrase in found)
    assert list(repeated_phrases(dict(list(texts.items())[:2]), own, ENGLISH)) == []


def test_words_without_spaces_are_named_as_they_are_written() -> None:
    """Words are counted in pieces, and quoted as they are in the text."""
    _, found = openings([(str(number), f"自慢ではないが、{number}") for number in range(3)], NONE)
    assert [opening for opening, _, _ in found] == ["自慢ではないが"]
    texts = {str(number): f"{number}。二人に聞けば話は三つになる" for number in range(4)}
    assert next(repeated_phrases(texts, NONE, NONE))[0] in texts["0"]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("The Cold Foot", "since the COLD foot, nothing", True),
        ("The Cold Foot", "a cold, wet foot", False),
        ("The Wedding", "the wedding was fine", False),  # any text may speak of a wedding
        ("霜降りの夜祭", "昨日は霜降りの夜祭だった", True),
        ("夜祭", "夜祭だ", False),
        ("Суд над читальным залом", "Суд над читальным залом!", True),
    ],
)
def test_a_whole_name_is_found_unless_it_is_an_ordinary_word(name: str, text: str, found: bool) -> None:
    """Case and punctuation do not matter; names that are ordinary words are not searched for."""
    wanted = searchable_name(name, ENGLISH)
    assert bool(wanted and wanted in searchable(text)) is found
