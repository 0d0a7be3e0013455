"""Which parts of an answer are accepted, repaired, left out or refused: fields, lists, names, languages; and the length of
requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from generia_assets.content import ask_people, ask_posts, ask_world, banlist, languages
from generia_assets.content.drafts import (
    CharacterDraft,
    ConceptsDraft,
    Draft,
    IdeasDraft,
    PostDraft,
    WorldDraft,
    WorldImagesDraft,
)
from generia_assets.content.names import CharacterIndex, fold, mixes_alphabets, username
from generia_assets.content.prompt import schema_of
from generia_assets.content.similarity import Ideas
from generia_assets.tasks.generate_character import character_of
from generia_assets.tasks.generate_character_batch import generate_character_batch
from generia_assets.tasks.generate_world_description import world_of
from generia_assets.tasks.task_definition import BatchParameters
from tests.content.test_drafts import all_schemas, nodes
from tests.support.answers import character_answer, ideas_answer, people_answer, post_answer
from tests.support.fake_clients import a_bench
from tests.support.worlds import a_brief, a_post_brief, a_request, a_world, acquaintances_of, world_answer

ANSWERS: Mapping[type[Draft], Mapping[str, Any]] = {
    WorldDraft: world_answer(),
    ConceptsDraft: people_answer([1, 2, 3]),
    CharacterDraft: character_answer(2),
    IdeasDraft: ideas_answer([1, 2, 3]),
    PostDraft: post_answer(),
}
PAIR = BatchParameters(key="b000", first=0, count=2)
NONSENSE = (None, "", " \x00 ", 85, -1, 1e300, True, [], [None], {}, "x" * 10_000, ["x" * 300] * 600)


def changed(answer: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """The answer with this value at a dotted path; a number is an index of a list."""
    name, _, rest = path.partition(".")
    if not rest:
        return {**answer, name: value}
    inner = answer[name]
    if isinstance(inner, list):
        place, _, rest = rest.partition(".")
        return {**answer, name: [changed(one, rest, value) if n == int(place) else one for n, one in enumerate(inner)]}
    return {**answer, name: changed(inner, rest, value)}


NEVER_REFUSES = [
    *((ConceptsDraft, f"people.1.{field}") for field in ("number", "obvious", "kind", "age", "trade", "look")),
    (ConceptsDraft, "ties"),
    *((IdeasDraft, f"ideas.1.{field}") for field in ("number", "obvious")),
    *((PostDraft, f) for f in ("obvious", "mood", "context", "location", "time_of_day", "hashtags", "image_style")),
    *((CharacterDraft, field) for field in ("look", "avatar_description", "avatar_style")),
    *((WorldDraft, field) for field in ("obvious", "hashtags", "climate", "resources", "conflicts", "traditions", "technology")),
    *((WorldDraft, f) for f in ("magic_system", "time_period", "languages_spoken", "custom_details", "naming_rules")),
    (WorldDraft, "naming_examples"),
]


@pytest.mark.parametrize(("draft", "path"), [pytest.param(*one, id=f"A16 {one[1]}") for one in NEVER_REFUSES])
def test_an_optional_field_never_makes_an_answer_invalid(draft: type[Draft], path: str) -> None:
    """With any value in it, or without it, the answer is accepted with all other fields; lists and texts are bounded."""
    whole = draft.model_validate(ANSWERS[draft])
    for value in NONSENSE:
        taken = draft.model_validate(changed(ANSWERS[draft], path, value))
        assert set(taken.model_dump()) == set(whole.model_dump())
        assert len(taken.model_dump_json()) < len(whole.model_dump_json()) + 5_000


@pytest.mark.parametrize(
    ("draft", "path"),
    [
        pytest.param(IdeasDraft, "ideas.1.idea", id="A16 one idea of three is empty"),
        pytest.param(ConceptsDraft, "people.1.display_name", id="A16 one person of three has no name"),
        pytest.param(ConceptsDraft, "people.1.concept", id="A16 one person of three has no concept"),
        pytest.param(WorldDraft, "calendar.1.moment", id="A16 one event of many has no moment"),
        pytest.param(CharacterDraft, "relations.person_1.description", id="A16 one relation of two is missing"),
    ],
)
def test_an_invalid_entry_does_not_affect_the_others(draft: type[Draft], path: str) -> None:
    """It is left out, and the task requests it again; all others are accepted."""
    name = path.partition(".")[0]
    there = len(ANSWERS[draft][name])
    assert len(getattr(draft.model_validate(changed(ANSWERS[draft], path, "")), name)) == there - 1


@pytest.mark.parametrize(
    ("draft", "value"),
    [
        pytest.param(IdeasDraft, {"ideas": [{"number": 1, "idea": ""}]}, id="A16 no idea is right"),
        pytest.param(PostDraft, {"content": ""}, id="A16 no text"),
        pytest.param(PostDraft, {"image_prompt": None}, id="A16 no scene for the picture"),
        pytest.param(WorldDraft, {"name": "‼ ‼"}, id="S12 a world whose name has no letter"),
        pytest.param(WorldDraft, {"name": "x" * 101}, id="S8 a name longer than the platform takes"),
        pytest.param(WorldDraft, {"paragraphs": ["x" * 4_000] * 7}, id="S8 a description that ran away"),
        pytest.param(CharacterDraft, {"story": ["x" * 4_000] * 5}, id="S8 a life story that ran away"),
    ],
)
def test_visible_fields_are_required_and_bounded(draft: type[Draft], value: dict[str, Any]) -> None:
    """An answer without a visible field is refused, with a complaint for the model."""
    with pytest.raises(ValidationError):
        draft.model_validate({**ANSWERS[draft], **value})


@pytest.mark.parametrize("schema", [*all_schemas(), *(schema_of(draft) for draft in (*ANSWERS, WorldImagesDraft))])
@pytest.mark.case("S8")
def test_every_list_of_every_schema_has_a_maximum(schema: dict[str, Any]) -> None:
    """Arrays of objects at most ten, others at most thirty."""
    for node in nodes(schema):
        if node.get("type") == "array":
            assert 0 < node["maxItems"] <= (10 if node["items"].get("type") == "object" else 30)


@pytest.mark.case("S8")
def test_six_thousand_hashtags_are_cut_to_twenty() -> None:
    """A long list is cut instead of being refused."""
    assert len(PostDraft.model_validate({**post_answer(), "hashtags": [f"tag{n}" for n in range(6_003)]}).hashtags) == 20


def run_away(node: Any, *, words: Sequence[str] = ("so long ", "an endless ")) -> Any:
    """The longest valid answer: every text has at least 600 characters, and every list is full."""
    if isinstance(node, dict):
        return {name: run_away(value) for name, value in node.items()}
    if isinstance(node, list):
        return [run_away(value) for value in node for _ in range(4)][:10]
    return f"{node} {words[0] * 60}" if isinstance(node, str) and len(node) > 30 else node


@pytest.mark.case("S8")
def test_long_answers_do_not_make_later_requests_too_long() -> None:
    """After the longest valid answers each request is at most three times as long as after ordinary ones."""
    request = a_request()

    def requests(*, long: bool) -> list[int]:
        def of(draft: type[Any], answer: Mapping[str, Any]) -> Any:
            return draft.model_validate(run_away(answer) if long else answer)

        world = world_of(of(WorldDraft, world_answer()), request)
        brief = a_brief(3, request)
        known = acquaintances_of(3, request, world)
        person = character_of(of(CharacterDraft, character_answer(len(known))), brief, known).model_copy(
            update={"character_id": "1"}
        )
        idea = a_post_brief(1, person)
        text = "so long " * 499 if long else idea.idea
        story = [idea.model_copy(update={"idea": text, "order": order}) for order in range(40)]
        prompts = [
            ask_world.world_images(request, world),
            ask_people.character_batch(request, world, first=0, numbers=range(1, 11), characters=CharacterIndex()),
            ask_people.character(request, world, brief, known),
            ask_posts.post_batch(request, world, person, known, first=0, numbers=[1, 2], earlier=Ideas(story)),
            ask_posts.post(request, world, person, idea.model_copy(update={"idea": text}), known, story),
        ]
        return [len(prompt.system) + sum(map(len, prompt.parts)) for prompt in prompts]

    for ordinary, longest in zip(requests(long=False), requests(long=True), strict=True):
        assert longest < 100_000
        assert longest < 90_000 or longest < 3 * ordinary


@pytest.mark.parametrize(
    ("said", "canonical", "ours", "script"),
    [
        pytest.param(*case, id=f"A19 {case[0]}")
        for case in [
            ("Portuguese (Brazil)", "Portuguese (Brazil)", "Portuguese", "Latin"),
            ("Português do Brasil", "Portuguese", "Portuguese", "Latin"),
            ("Brazilian Portuguese", "Portuguese (Brazil)", "Portuguese", "Latin"),
            ("pt_BR", "Portuguese (Brazil)", "Portuguese", "Latin"),
            ("Chinese (Simplified)", "Chinese (Simplified)", "Chinese", "Han"),
            ("Simplified Chinese", "Chinese (Simplified)", "Chinese", "Han"),
            ("zh-CN", "Chinese (China)", "Chinese", "Han"),
            ("中文（简体）", "Chinese (Simplified)", "Chinese", "Han"),
            ("Mandarin", "Mandarin Chinese", "Chinese", "Han"),
            ("Hebrew (עברית)", "Hebrew", "Hebrew", "Hebrew"),
            ("iw", "Hebrew", "Hebrew", "Hebrew"),
            ("русский", "Russian", "Russian", "Cyrillic"),
            ("Deutsch", "German", "German", "Latin"),
            ("Español (México)", "Spanish (Mexico)", "Spanish", "Latin"),
            ("Persian", "Persian", None, "Arabic"),
            ("ไทย", "Thai", None, "Thai"),
            ("Serbian", "Serbian", None, None),
            ("sr-Latn", "Serbian (Latin)", None, "Latin"),
            ("nonsense", "nonsense", None, None),
            ("", "", None, None),
            ("a", "a", None, None),
        ]
    ],
)
def test_a_language_is_recognized_by_tag_and_by_name(said: str, canonical: str, ours: str | None, script: str | None) -> None:
    """For each of its names its script is checked, and its ban list and placeholders are used."""
    known = languages.find(said)
    assert (languages.canonical(said), known.name if known else None, languages.checked_script(said)) == (canonical, ours, script)
    assert languages.placeholders(said) == languages.placeholders(ours or "English")
    assert banlist.ban_list(said) == banlist.ban_list(ours or "none")
    assert languages.find(canonical) == known


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None, derandomize=True)
@pytest.mark.case("A19")
def test_every_name_of_a_language_becomes_a_short_harmless_name(said: str) -> None:
    """The name in the system instruction is short and has no line ends, tags or quotation marks."""
    name = languages.canonical(said)
    assert len(name) <= 60
    assert not set(name) & set('\n\r<>"“”`{}')


REAL_NAMES = (
    "Mira O’Brien",
    "Łukasz Żółć",
    "محمد علي",
    "שירה כהן",
    "अनिता शर्मा",
    "エミ子",
    "ひろ子 Smith",
    "Юлия Ёлкина",
    "김민준",
)


@pytest.mark.parametrize(
    ("name", "mixed"),
    [
        pytest.param("Mirа", True, id="S12 a Cyrillic a"),
        pytest.param("Αnna Lane", True, id="S12 a Greek A"),
        pytest.param("Ｍｉrа", True, id="S12 full width and a Cyrillic a"),
        pytest.param("DJ Мира", False, id="S12 two words, two alphabets"),
        *(
            pytest.param(real, False, id=f"S12 {real}")
            for real in (
                "Mira O’Brien",
                "Łukasz Żółć",
                "محمد علي",
                "שירה כהן",
                "अनिता शर्मा",
                "エミ子",
                "ひろ子 Smith",
                "Юлия Ёлкина",
                "김민준",
            )
        ),
    ],
)
def test_a_word_is_written_in_one_alphabet(name: str, mixed: bool) -> None:
    """Letters of another alphabet that look like the others are found; real names in the scripts of the world are accepted."""
    assert mixes_alphabets(name) is mixed


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("Сара", "Capa", True, id="S12 all Cyrillic and all Latin"),
        pytest.param("Том", "TOM", True, id="S12 a letter that looks so as a capital"),
        pytest.param("Mi\u3164ra", "Mira", True, id="S12 a filler inside"),
        pytest.param("Mi\u00adra", "Mira", True, id="S12 a soft hyphen inside"),
        pytest.param("𝓜𝓲𝓻𝓪", "Mira", True, id="S12 mathematical letters"),
        pytest.param("Вера", "Нора", False, id="S12 two Russian names"),
        pytest.param("שרה", "דנה", False, id="S12 two Hebrew names"),
    ],
)
def test_names_that_look_alike_are_the_same_name(one: str, other: str, same: bool) -> None:
    """Confusable letters are folded, so that no two people have the same visible name."""
    characters = CharacterIndex([a_brief(0, a_request()).model_copy(update={"display_name": one})])
    assert characters.has("somebody_else", other) is same
    assert (fold(one.replace("\u3164", "").replace("\u00ad", "")) == fold(other)) is same


NATIVE = {
    "English": ("Chalk Lane", "Sells salt by the thimble"),
    "Elvish": ("Chalk Lane", "Sells salt by the thimble"),
    "Russian": ("Мел Тупик", "Продаёт соль напёрстками"),
    "Arabic": ("سالم البحر", "يبيع الملح بالكشتبان"),
    "Hebrew": ("גיר סמטה", "מוכרת מלח באצבעונים"),
    "Hindi": ("चाक गली", "अंगुश्ताने से नमक बेचता है"),
    "Japanese": ("白亜 小路", "指ぬきで塩を売っている"),
}
"""A name and a concept of each language."""


@pytest.mark.parametrize(
    ("language", "name", "handle", "taken"),
    [
        pytest.param("English", "\u3164\u3164", "filler", False, id="S12 nothing but fillers"),
        pytest.param("English", "‼ ‼", "marks", False, id="S12 no letter"),
        pytest.param("English", "Mirа Lane", "mira", False, id="S12 a Cyrillic a in a name"),
        pytest.param("English", "Mira Lane", "mirа", False, id="S12 a Cyrillic a in a username"),
        pytest.param("English", "Мира", "mira", False, id="S12 a Russian name in an English world"),
        pytest.param("Russian", "Mira", "mira", False, id="S12 an English name in a Russian world"),
        pytest.param("Russian", "Мира", "mira", True, id="S12 a Russian name with a Latin username"),
        pytest.param("Arabic", "محمد علي", "mo_ali", True, id="S12 an Arabic name"),
        pytest.param("Hebrew", "שירה כהן", "shira", True, id="S12 a Hebrew name"),
        pytest.param("Hindi", "अनिता शर्मा", "anita", True, id="S12 a Hindi name"),
        pytest.param("Japanese", "エミ子", "emiko", True, id="S12 a Japanese name in two scripts"),
        pytest.param("Elvish", "Мира", "mira", True, id="S12 a language without a known script"),
    ],
)
async def test_a_name_is_visible_and_in_the_worlds_script(language: str, name: str, handle: str, taken: bool) -> None:
    """Only a person with another name is requested again with the reason; the others are accepted."""
    world = a_world()
    world = world.model_copy(update={"user_preferences": world.user_preferences.model_copy(update={"language": language})})
    other, concept = NATIVE[language]

    def person(number: int, display_name: str, username: str) -> dict[str, Any]:
        concept_text = concept if number == 1 else other
        return {"number": number, "display_name": display_name, "username": username, "concept": concept_text, "one_line": other}

    bench = a_bench(
        {"people": [person(1, name, handle), person(2, other, "other")]}, {"people": [person(1, f"{other} 7", "again")]}
    )
    made = await generate_character_batch(PAIR, bench.clients, a_request(users=2), world, CharacterIndex())
    assert len(bench.text.prompts) == (1 if taken else 2)
    assert [brief.display_name for brief in made.briefs] == [name if taken else f"{other} 7", other]


@pytest.mark.case("S12")
def test_a_username_of_invisible_characters_is_empty() -> None:
    """Invisible characters are removed."""
    assert username("@\u3164\uffa0\u115f") == ""
