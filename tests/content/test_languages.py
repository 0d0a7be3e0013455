"""Texts in every script: their language, their words, their mentions, and equal names."""

import re

import pytest
from pydantic import ValidationError

from generia_assets.content import banlist, languages
from generia_assets.content.data_files import BanFile
from generia_assets.content.drafts import PostDraft, in_language
from generia_assets.content.names import USERNAME_LIMIT, by_fold, fold, mentions_in, mixes_alphabets, resolve_mentions, username
from generia_assets.content.similarity import NEAR_DUPLICATE, Ideas, similarity
from generia_assets.content.text import hashtags, joined, words
from generia_assets.pages.texts import initials, linked
from resources.gemini.answers import explain_invalid
from tests.content.test_ideas import an_idea
from tests.support.answers import post_answer

PEOPLE = ["mira_42", "mira", "ann.b", "клава_сухая", "हिन्दी_प्रेमी", "みら", "みらい"]


def a_post(content: str, language: str) -> PostDraft:
    draft: PostDraft = in_language(PostDraft, language).model_validate(post_answer(content=content))
    return draft


@pytest.mark.parametrize(
    ("language", "content"),
    [
        ("Russian", "@marrow_lane_17 и @tilt_watcher_9, суп остыл!"),
        ("Russian", "@marrow_lane_17 @tilt_watcher_9 #TiltWatch OK"),
        ("Russian", "Суп: https://example.org/soup/of/the/day, marrow.lane/soup, soup@example.org"),
        ("Hebrew", "@marrow_lane_17 @tilt_watcher_9 המרק התקרר 🐝🐝"),
        ("Hindi", "@marrow_lane_17 @tilt_watcher_9 सूप ठंडा है"),
        ("Japanese", "@marrow_lane_17さん、@tilt_watcher_9さん、スープ冷めた"),
        ("Korean", "@marrow_lane_17 @tilt_watcher_9 국이 식었다 1️⃣"),
        ("English", "@клава_сухая and @фёдор_медленный: soup!"),
        ("Elvish", "@клава_сухая и @фёдор_медленный, суп остыл!"),
    ],
)
def test_usernames_tags_and_links_have_no_language(language: str, content: str) -> None:
    """A short post in its language is accepted, however many letters of another script its usernames, tags and links have."""
    assert a_post(content, language).content == content


@pytest.mark.parametrize(
    ("language", "content", "asked", "found"),
    [
        ("Russian", "@клава_сухая the soup is cold again, as on Tuesday", "Cyrillic letters", "Latin letters: “the soup is cold"),
        ("Russian", "Вот: the soup is cold again, as on Tuesday", "Cyrillic letters", "Latin letters: “the soup is cold"),
        ("English", "Суп опять остыл, как во вторник, #soup", "Latin letters", "Cyrillic letters: “Суп опять остыл"),
        ("Japanese", "@mira_42さん the soup is cold again, as on Tuesday", "Kana or Han letters", "Latin letters: “the soup"),
        ("Hindi", "The soup is cold again, as on Tuesday", "Devanagari letters", "Latin letters: “The soup"),
    ],
)
def test_the_complaint_names_the_wrong_letters(language: str, content: str, asked: str, found: str) -> None:
    """A post in another script is refused; the complaint names the expected letters, the wrong ones, and their position."""
    with pytest.raises(ValidationError) as refused:
        a_post(content, language)
    complaint = explain_invalid(refused.value)
    assert complaint.startswith(f"the answer: write in {language}")
    assert re.search(f"{asked} .*content has {found}", complaint), complaint


def test_a_link_does_not_make_a_sentence_foreign() -> None:
    """The language of a user's sentence is guessed by its own words."""
    sentence = "Город как тут: https://example.org/wiki/A_town_on_the_back_of_a_tortoise"
    assert languages.in_doubt("Russian", sentence) == ""


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("हिन्दी दिवस!", "हिन्दी_दिवस"),
        ("কলকাতা ট্রাম", "কলকাতা_ট্রাম"),
        ("ดอกไม้", "ดอกไม้"),
        ("שָׁלוֹם", "שָׁלוֹם"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("ශ්\u200dරී ලංකා", "ශ්\u200dරී_ලංකා"),
        ("rock-n-roll", "rock_n_roll"),
        ("mi\u200cra+\u0301", "mira"),
        ("❤️tag 1️⃣", "tag_1"),
    ],
)
def test_a_word_keeps_its_vowel_signs(text: str, word: str) -> None:
    """Marks stay with their letters, and are removed with a removed character; invisible characters stay only if the script needs
    them."""
    assert joined(text) == word


@pytest.mark.parametrize(
    ("texts", "tags"),
    [
        (["#हिन्दी दिवस", "#суп дня"], ("हिन्दी_दिवस", "суп_дня")),
        (["#soup #tram", "Soup", "so up"], ("soup", "tram")),
        (["🐝", "#", "rock-n-roll 🐝"], ("rock_n_roll",)),
    ],
)
def test_a_hashtag_is_one_word(texts: list[str], tags: tuple[str, ...]) -> None:
    """Spaces inside a tag become _, vowel signs stay, and tags that differ only in case or spaces are one."""
    assert hashtags(texts) == tags


def test_words_are_whole_in_every_script() -> None:
    """In every comparison of texts, words of scripts with vowel signs are separated as readers do."""
    assert words("हिन्दी में, किताब!") == ["हिन्दी", "में", "किताब"]
    ideas = Ideas([an_idea(0, "कल की काली")])
    assert ideas.repeats("कल, की काली!")
    assert not ideas.repeats("काल कि कलि")
    assert similarity("कल की काली माला", "कुल के केला मेले") < NEAR_DUPLICATE
    assert languages.canonical("हिन्दिश भाषा") == "हिन्दिश भाषा"
    assert initials("हिन्दी") == "ह"


def test_a_long_username_ends_with_a_whole_letter() -> None:
    """A username is never cut between a letter and its vowel sign."""
    stored = username("a" * (USERNAME_LIMIT - 1) + "की")
    assert stored == "a" * (USERNAME_LIMIT - 1)


@pytest.mark.parametrize(("text", "found"), [("दीन", ["दीन"]), ("दीना आया", []), ("हदीन", []), ("मुस्कुराया", ["मुस्कु*"]), ("मुस", [])])
def test_the_ban_list_finds_whole_words_with_vowel_signs(monkeypatch: pytest.MonkeyPatch, text: str, found: list[str]) -> None:
    """In a script with vowel signs an entry of the list matches a whole word, not a part of one, and * is any ending."""
    monkeypatch.setattr(banlist, "ban_list", lambda *_: BanFile(words=("दीन", "मुस्कु*")))
    banlist._searches.cache_clear()
    try:
        assert banlist.find_banned(text, "Hindi") == found
    finally:
        banlist._searches.cache_clear()


@pytest.mark.parametrize(
    ("text", "settled", "named"),
    [
        ("@mira_42さん、おはよう", "@mira_42さん、おはよう", ("mira_42",)),
        ("今日は@mira_42さんと", "今日は@mira_42さんと", ("mira_42",)),
        ("＠MIRA_42さん", "@mira_42さん", ("mira_42",)),
        ("@みらさん、@みらいさん", "@みらさん、@みらいさん", ("みら", "みらい")),
        ("@mira_42ने कहा", "@mira_42ने कहा", ("mira_42",)),
        ("спроси @mira_42у", "спроси @mira_42у", ("mira_42",)),
        ("@हिन्दी_प्रेमी!", "@हिन्दी_प्रेमी!", ("हिन्दी_प्रेमी",)),
        ("@mira, @mira_42", "@mira, @mira_42", ("mira", "mira_42")),
        ("@ann.b.Thanks", "@ann.b.Thanks", ("ann.b",)),
        ("@mira_423 @miranda @mira_4", "mira_423 miranda mira_4", ()),
        ("@हिन्दी_प्रेम", "हिन्दी_प्रेम", ()),
        ("write to klara@mira.example", "write to klara@mira.example", ()),
        ("@" + "長" * 4_000, "長" * 4_000, ()),
    ],
)
def test_a_mention_ends_where_a_known_username_ends(text: str, settled: str, named: tuple[str, ...]) -> None:
    """The longest username counts; letters of another script, or of a script without spaces, can follow it directly."""
    assert resolve_mentions(text, PEOPLE) == (settled, named)
    assert [mention.username for mention in mentions_in(settled, by_fold(PEOPLE))] == list(named)


def test_a_page_links_a_mention_that_letters_follow() -> None:
    """The link holds the username and nothing of what follows."""
    assert linked("@mira_42さん", {"mira_42": "c0"}) == '<a class="mention" href="c0">@mira_42</a>さん'


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("राम", "रमा", False),
        ("Андрей", "Андреи", False),
        ("АНДРЕЙ", "Андрей", True),
        ("Ўладзь", "Уладзь", False),
        ("Ёлкин", "Елкин", True),
        ("Наи́на", "Наина", True),
        ("Élodie", "Elodie", True),
        ("Doğan", "Dogan", True),
        ("かき", "がき", False),
        ("กา", "กี", False),
        ("שָׁלוֹם", "שלום", True),
        ("أحمد", "احمد", True),
    ],
)
def test_marks_that_change_the_letter_change_the_name(one: str, other: str, same: bool) -> None:
    """Accents and vowel points do not make a new name; й, vowel signs and voicing marks do."""
    assert (fold(one) == fold(other)) is same


def test_a_letter_of_another_alphabet_is_found_under_an_accent() -> None:
    """A word that mixes alphabets is found, also with combining marks."""
    assert mixes_alphabets("Mа\u0301ra")


@pytest.mark.parametrize(
    ("language", "inflects"),
    [
        *((name, True) for name in ("Russian", "українська", "pl", "Czech", "Finnish", "Hungarian", "tr-TR", "Serbian (Latin)")),
        *((name, False) for name in ("English", "Spanish", "German", "Bulgarian", "Hebrew", "Hindi", "Japanese", "Elvish", "")),
    ],
)
def test_languages_whose_names_change_by_case_are_known(language: str, inflects: bool) -> None:
    """They are recognized by each of their names, also if the program has no other data of the language."""
    assert languages.inflects(language) is inflects
