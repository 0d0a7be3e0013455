"""Whole worlds of the Gemini emulator's answers, made by the real tasks: they read like a social network, or badly if a fault is
set."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from statistics import mean
from typing import TypeVar
from unicodedata import normalize

import pytest
from pydantic import JsonValue

from emulators.gemini.api.schema import Schema
from emulators.gemini.api.wire import GenerateRequest
from emulators.gemini.faults import FaultName
from emulators.gemini.spoil import ILL_WRITTEN
from emulators.gemini.writing.scene import Scene, read_scene
from emulators.gemini.writing.walker import Walker
from emulators.gemini.writing.words import WordList
from generia_assets.assets.checks.measures import frequent_words, shows, stems
from generia_assets.content import languages
from generia_assets.content.documents import Character, CharacterBrief, Document, Post, PostBrief, WorldDescription, WorldRequest
from generia_assets.content.prompt import Prompt
from generia_assets.content.text import first_sentences
from generia_assets.dry_run import DryRequest, DryRun

DraftT = TypeVar("DraftT")
DocumentT = TypeVar("DocumentT", bound=Document)
SENTENCES = {
    WordList.ENGLISH: "a city where dreams turn solid until dawn, and nobody owns a clock",
    WordList.RUSSIAN: "город, который по ночам чинит звёзды, где молчать дорого",
    WordList.HEBREW: "עיירת נמל על גבו של לווייתן, שבה איש אינו יודע לשחות",
    WordList.ARABIC: "بلدة مرفأ على ظهر حوت، لا يعرف فيها أحد السباحة",
    WordList.JAPANESE: "鯨の背中にある港町。誰も泳げない。",
    WordList.HINDI: "व्हेल की पीठ पर बसा एक बंदरगाह, जहाँ किसी को तैरना नहीं आता",
}
PEOPLE, POSTS = 5, 12
LONGEST_MEAN = 56


@dataclass
class Made:
    """A world made from the emulator's answers, with the requests in the order of work."""

    request: WorldRequest
    fault: FaultName | None
    answers: dict[str, JsonValue] = field(default_factory=dict)
    run: DryRun = field(init=False)

    def to(self, name: str, prompt: Prompt, draft: type[DraftT]) -> DraftT:
        """See ``dry_run.Answers``."""
        rng = random.Random(hashlib.blake2b(json.dumps((prompt.system, prompt.parts)).encode()).digest())
        answer = self.answers[name] = Walker(schema_of(prompt), scene_of(prompt), rng, self.fault).walk()
        return draft.model_validate(answer)  # type: ignore[attr-defined, no-any-return]

    @property
    def world(self) -> WorldDescription:
        return next(self._made(WorldDescription))

    @property
    def briefs(self) -> list[CharacterBrief]:
        return list(self._made(CharacterBrief))

    @property
    def people(self) -> list[Character]:
        return list(self._made(Character))

    @property
    def ideas(self) -> dict[str, PostBrief]:
        return {idea.key: idea for idea in self._made(PostBrief)}

    @property
    def posts(self) -> list[Post]:
        return sorted(self._made(Post), key=lambda post: post.t)

    @property
    def asked(self) -> list[DryRequest]:
        return self.run.asked

    def _made(self, kind: type[DocumentT]) -> Iterator[DocumentT]:
        return (document for document in self.run._made.values() if isinstance(document, kind))


def scene_of(prompt: Prompt) -> Scene:
    """The scene that the emulator reads from the request."""
    body = {
        "systemInstruction": {"parts": [{"text": prompt.system}]},
        "contents": [{"role": "user", "parts": [{"text": part} for part in prompt.parts]}],
    }
    return read_scene(GenerateRequest.model_validate(body))


def schema_of(prompt: Prompt) -> Schema:
    """The schema of the request."""
    return json.loads(json.dumps(prompt.schema))  # type: ignore[no-any-return]


@cache
def world(language: WordList = WordList.ENGLISH, fault: FaultName | None = None, people: int = PEOPLE, posts: int = POSTS) -> Made:
    request = WorldRequest(
        user_prompt=SENTENCES[language], users_count=people, posts_count=posts, seed=7, created_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    made = Made(request, fault)
    made.run = DryRun(request, made)
    asyncio.run(made.run.run())
    assert [one.wrong for one in made.asked if one.wrong] == []
    assert (len(made.people), len(made.posts)) == (people, posts)
    return made


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def phrases(text: str) -> set[tuple[str, ...]]:
    """Its sequences of four words."""
    found = words(text)
    return {tuple(found[place : place + 4]) for place in range(len(found) - 3)}


def shows_wish(made: Made, post: Post) -> bool:
    """Whether a word of the post begins like one of its wish, by the product's check."""
    wanted = stems(post.wish, frequent_words(made.world.user_preferences.language))
    return shows(post.content, wanted)


def shared_phrases(made: Made, name: str) -> list[tuple[str, ...]]:
    """Phrases in more than a fifth of the people's texts, and in three at least, that are not the world's own."""
    own = phrases(made.world.model_dump_json())
    counts = Counter(chain.from_iterable(phrases(getattr(person, name)) - own for person in made.people))
    return [phrase for phrase, count in counts.items() if count > max(2, len(made.people) / 5)]


def openings(texts: list[str]) -> Counter[str]:
    return Counter(" ".join(words(text)[:4]) for text in texts)


EVERY = pytest.mark.parametrize("language", [pytest.param(one, id=one.english_name) for one in WordList])
PROFILE = ("personality", "background_story", "bio", "secret")


@EVERY
def test_every_post_of_a_world_follows_its_request(language):
    """Posts keep their length, and name only the requested people. Most posts that are not replies show their wish."""
    made = world(language)
    items = {one.name: one.prompt.item for one in made.asked}
    for post in made.posts:
        item = items[f"post.@{post.username}.{post.order + 1}"]
        handles = set(re.findall(r"@(\w+)", "".join(re.findall(r"^Names: (.*)$", item, re.MULTILINE))))
        assert set(re.findall(r"@([A-Za-z0-9_]+)", post.content)) <= handles
        assert handles <= set(post.mentions)
        length = re.search(r"^Length: (\d+) to (\d+) words", item, re.MULTILINE)
        assert length is not None
        assert int(length[1]) / 2 < language.count_words(post.content) <= int(length[2])
    shown = [shows_wish(made, post) for post in made.posts if not post.in_reply_to]
    assert sum(shown) >= 0.6 * len(shown)
    assert mean(language.count_words(post.content) for post in made.posts) <= LONGEST_MEAN


@EVERY
def test_a_reply_quotes_words_of_the_post_that_it_answers(language):
    """A reply that is not a short remark has some words of the other post in quotation marks."""
    made = world(language)
    replies = [post for post in made.posts if post.in_reply_to]
    assert replies
    for reply in replies:
        start, end = re.escape(language.quotes[0]), re.escape(language.quotes[1])
        quoted = re.findall(f"{start}(.+?){end}", reply.content)
        assert language.count_words(reply.content) < 12 or any(part in reply.quote for part in quoted)


@EVERY
def test_no_text_names_an_event_that_is_not_in_its_request(language):
    """Ideas, posts and profiles name only past events."""
    made = world(language)
    names = [event.name.casefold() for event in made.world.calendar]
    for post in made.posts:
        later = names[post.after :]
        for text in (post.content, post.context, made.ideas[post.key].idea):
            assert not [name for name in later if name in text.casefold()]


@EVERY
def test_no_template_can_be_recognized(language):
    """Among five people no four words are shared by three, and no three posts or profiles begin alike."""
    made = world(language)
    for name in PROFILE:
        assert shared_phrases(made, name) == [], name
        assert openings([getattr(person, name) for person in made.people]).most_common(1)[0][1] <= 2
    assert openings([post.content for post in made.posts]).most_common(1)[0][1] <= 2


@EVERY
def test_people_have_their_properties_in_the_worlds_language(language):
    """Kind, trade, facts of ties, wishes and labels of time exist, in the language's script; an age has the drawn years."""
    made = world(language)
    script = languages.checked_script(language.english_name)
    for brief in made.briefs:
        assert str(brief.years) in brief.age
        assert brief.look.isascii()
        for text in (brief.kind, brief.trade, brief.concept, *brief.facts.values()):
            assert text
            assert script is None or languages.script_share(text, script) > 0.6
    names = {brief.key: brief.display_name for brief in made.briefs}
    for brief in made.briefs:
        for other, fact in brief.facts.items():
            parts = re.split(r"[\sの「」]", normalize("NFC", names[other]))
            assert any(part in normalize("NFC", fact) for part in parts)
    assert len({day for event in made.world.calendar for day in event.days}) == 6 * len(made.world.calendar)
    assert made.world.wishes
    assert all(wish.idea in made.request.user_prompt and wish.daily for wish in made.world.wishes)


def test_both_sides_of_a_tie_have_the_same_fact():
    """The fact of a tie is in both profiles, and the word for a symmetric relation is the same."""
    made = world()
    ties = {(person.username, tie.username): tie for person in made.people for tie in person.relationships}
    for (one, other), tie in ties.items():
        if (other, one) in ties:
            assert first_sentences(tie.description, 9)[-30:] == first_sentences(ties[other, one].description, 9)[-30:]


@pytest.mark.slow
def test_a_large_world_has_short_and_long_posts():
    """Of 150 posts a quarter has fewer than twenty words, at least one has more than eighty, and the mean is in its range."""
    counts = [len(post.content.split()) for post in world(people=25, posts=150).posts]
    assert mean(counts) <= LONGEST_MEAN
    assert sum(count < 20 for count in counts) >= len(counts) / 4
    assert sum(count > 80 for count in counts) >= 1
    assert len({post.content for post in world(people=25, posts=150).posts}) >= 130


@pytest.mark.parametrize("language", [WordList.ENGLISH, WordList.RUSSIAN])
@pytest.mark.parametrize("fault", sorted(ILL_WRITTEN))
def test_faults_of_writing_have_their_effect(fault, language):
    """Each fault of writing has its documented effect, in answers that every task accepts."""
    made = world(language, fault)
    posts, people = made.posts, made.people
    match fault:
        case "wish_ignored":
            assert sum(shows_wish(made, post) for post in posts) < POSTS / 3
        case "future_told":
            last = made.world.calendar[-1].name.casefold()
            early = [post for post in posts if post.after < len(made.world.calendar)]
            assert sum(last in post.content.casefold() for post in early) > len(early) / 3
            planned = [one.answer for one in made.asked if one.name.startswith("post_batch.")]
            assert planned
            assert all(last in idea.idea.casefold() for plan in planned for idea in plan.ideas)
        case "same_opening":
            assert openings([post.content for post in posts]).most_common(1)[0][1] > POSTS / 2
            assert all(len(openings([getattr(person, name) for person in people])) == 1 for name in PROFILE[:3])
        case "reply_ignored":
            replies = [post for post in posts if post.in_reply_to]
            assert replies
            assert all("@" not in reply.content for reply in replies)
        case "same_length":
            counts = [language.count_words(post.content) for post in posts]
            assert max(counts) - min(counts) <= 15
        case "same_phrases":
            assert all(shared_phrases(made, name) for name in PROFILE[:2])
            assert len({person.personality.replace(person.display_name.split()[0], "") for person in people}) <= 3
        case "wrong_kin":
            assert all(("70" if brief.years < 20 else "7") in brief.age for brief in made.briefs)
            assert len({brief.kind for brief in made.briefs}) == 1
            assert len({tie.relationship_type for person in people for tie in person.relationships}) == 1
