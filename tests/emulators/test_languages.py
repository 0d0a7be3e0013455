"""Prompts in Hebrew, Arabic, Japanese and Hindi on the emulator (P10): the world is in the prompt's language and script."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulators.gemini.client import EmulatorControl
from emulators.gemini.writing.author import Author, TextLength
from emulators.gemini.writing.people import WrittenPeople
from emulators.gemini.writing.scene import read_scene
from emulators.gemini.writing.words import WordList, words_of
from generia_assets.content import languages
from tests.emulators.test_gemini_writing import request
from tests.support.worlds_in_process import Worlds, worlds_in_process

HARBOUR = {
    WordList.HEBREW: "עיירת נמל על גבו של לווייתן, שבה איש אינו יודע לשחות",
    WordList.ARABIC: "بلدة مرفأ على ظهر حوت، لا يعرف فيها أحد السباحة",
    WordList.JAPANESE: "鯨の背中にある港町。誰も泳げない。",
    WordList.HINDI: "व्हेल की पीठ पर बसा एक बंदरगाह, जहाँ किसी को तैरना नहीं आता",
}
FOR_PAINTERS = {"style", "avatar", "build", "hair", "mark", "wear", "icon", "header"}
"""Decks that are English whatever the world's language is, beside those of pictures."""
BY_CHANCE = {"distinct_posts", "ties_agree"}
"""Checks of repetitions. Whether the emulator repeats itself in ten posts depends on how its few words fall."""


@pytest.fixture(scope="module")
def worlds(mongodb_uri: str, broker: str, gemini_process: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    home: Path = tmp_path_factory.mktemp("languages")
    with worlds_in_process(home, mongodb_uri=mongodb_uri, broker=broker, gemini=gemini_process, checks=True) as made:
        EmulatorControl(gemini_process).reset()  # of the faults of earlier tests
        yield made


@pytest.mark.parametrize("language", [pytest.param(one, id=f"P10 {one.english_name}") for one in HARBOUR])
def test_the_world_is_in_the_prompts_language(worlds: Worlds, language: WordList) -> None:
    """A whole world in the prompt's language: people, posts and description in its script; every check of the product passes."""
    world_id, made = worlds.make(users=5, posts=15, prompt=HARBOUR[language], seed=6)
    assert made.success, made.failure
    (description,) = worlds.documents("world_description", world_id)
    assert description.user_preferences.language == language.english_name
    script = languages.checked_script(language.english_name)
    assert script is not None
    people, posts = worlds.documents("characters", world_id), worlds.documents("posts", world_id)
    for text in (description.description, *(one.background_story for one in people), *(one.content for one in posts)):
        assert languages.script_share(languages.own_words(text), script) > 0.6, text
    assert all(languages.script_share(one.display_name, script) == 1 for one in people)
    tags = {tag for one in posts for tag in one.hashtags}
    known = {*description.hashtags, *words_of(language).lists["word"], *HARBOUR[language].replace(",", " ").split()}
    assert tags
    assert tags <= known
    failed = {name: check.description for name, check in made.checks.items() if not check.passed}
    assert failed.keys() <= BY_CHANCE, failed


@pytest.mark.parametrize("language", [pytest.param(one, id=f"P10 {one.english_name}") for one in HARBOUR])
def test_the_words_are_complete_and_one_script(language: WordList) -> None:
    """Every deck and list of English exists; every sentence fills its slots and has no Latin letter except in a handle."""
    english, words = words_of(WordList.ENGLISH), words_of(language)
    assert set(words.decks) == {deck for deck in english.decks if deck not in FOR_PAINTERS and not deck.startswith("picture")}
    assert set(words.lists) == set(english.lists)
    scene = read_scene(request(f"<user-sentence-x>\n{HARBOUR[language]}\n</user-sentence-x>"))
    assert (scene.language, scene.setting) == (language, "sea")
    assert scene.ideas
    rng = random.Random(5)
    author = Author(scene, language, rng, WrittenPeople(language, rng, ""))
    for deck, templates in words.decks.items():
        text = author.text(deck, TextLength(sentences=(len(templates), len(templates))))
        assert "{" not in text
        assert not [word for word in text.split() if word.isascii() and word.isalpha()], text
    assert len(author.text("bio", TextLength(sentences=(9, 9), characters=60))) <= 60


@pytest.mark.parametrize(
    ("sentence", "language"),
    [
        pytest.param("A town called תל where שלום is all that anybody says to strangers", WordList.ENGLISH, id="P10 a few words"),
        pytest.param("一座没有人会游泳的港口城市", WordList.ENGLISH, id="P10 Chinese has no words here"),
        pytest.param("Город кораблей, где никто не умеет плавать", WordList.RUSSIAN, id="P10 Russian as before"),
        pytest.param("A harbour on a whale; everything in Hindi please", WordList.HINDI, id="P10 a language that is asked for"),
    ],
)
def test_a_language_is_recognized_by_the_script_of_most_letters(sentence: str, language: WordList) -> None:
    """A name in another script does not count, and an unsupported language is answered in English."""
    assert read_scene(request(f"<user-sentence-x>\n{sentence}\n</user-sentence-x>")).language is language
