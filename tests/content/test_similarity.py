"""Similarity: which texts are copies with changes, which are not, and that comparing many texts is fast."""

from __future__ import annotations

import random
import time

import pytest

from generia_assets.content.similarity import NEAR_DUPLICATE, near_duplicates, similarity

ENGLISH = (
    "Third night the tram stopped by my window and nobody got off. I left a lamp on the sill. If you were on it, the soup is still "
    "warm."
)
RUSSIAN = (
    "Третью ночь трамвай останавливается под моим окном, и никто не выходит. Я оставила лампу на подоконнике. Если вы там были, "
    "суп ещё тёплый."
)
JAPANESE = "三日目の夜、電車が窓の下で止まったが、誰も降りなかった。私は窓辺に灯りを置いた。"
SAME = [
    (ENGLISH, ENGLISH.upper().replace(".", "!")),
    (ENGLISH, ENGLISH.replace("Third", "Fourth").replace("tram", "cart").replace("lamp", "candle")),
    (ENGLISH, ENGLISH.replace("I left a lamp on the sill.", "My sister blames the new rails.")),
    (RUSSIAN, RUSSIAN.replace("Третью", "Пятую").replace("лампу", "свечу")),
    (JAPANESE, JAPANESE.replace("灯り", "蝋燭")),
]
DIFFERENT = [
    (ENGLISH, "The tram came at four today and took the whole queue with it, lamp and all. I stayed, to write it down."),
    (ENGLISH, "Lost: one umbrella, green, with a bite out of it. Found: the biter. It tasted of rain, and pays in turnips."),
    (RUSSIAN, "Сегодня трамвай пришёл в четыре и забрал всю очередь вместе с лампой. Я осталась: кто-то же должен это записать."),
    (JAPANESE, "蜂がまた時計の中に引っ越した。番人は雨の前触れだと言う。"),
    ("", "a"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_text_with_small_changes_counts_as_the_same(one: str, other: str) -> None:
    """Other names, case, punctuation, or one changed sentence of three do not make another post, in any script."""
    assert similarity(one, other) >= NEAR_DUPLICATE


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_texts_about_the_same_things_are_not_similar(one: str, other: str) -> None:
    """Texts about the same tram, lamp and night in other words are far below the threshold."""
    assert similarity(one, other) < 0.15 < NEAR_DUPLICATE


@pytest.mark.slow
def test_among_many_texts_exactly_the_planted_ones_are_found_in_seconds() -> None:
    """Among three thousand texts of one vocabulary only the copy and the changed copy are found, each with its original."""
    rng = random.Random(7)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9))) for _ in range(800)]
    texts = [(f"p{number:05d}", " ".join(rng.choices(words, k=50))) for number in range(3_000)]
    texts += [("copy", texts[10][1]), ("changed", " ".join([*texts[20][1].split()[:40], "ten", "words", "of", "its", "own"]))]
    begun = time.process_time()
    found = near_duplicates(texts)
    assert time.process_time() - begun < 20
    assert {(pair.one, pair.other) for pair in found} == {("copy", "p00010"), ("changed", "p00020")}


def test_ten_thousand_equal_texts_are_found_quickly() -> None:
    """In this worst case every repetition is found, and each text is compared with only a few others."""
    begun = time.process_time()
    assert len(near_duplicates((f"p{number}", ENGLISH) for number in range(10_000))) == 9_999
    assert time.process_time() - begun < 5
