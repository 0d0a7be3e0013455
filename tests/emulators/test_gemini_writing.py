"""The texts of the Gemini emulator: language, readability, unique names, valid schemas."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace

import pytest
from pydantic import JsonValue

from emulators.gemini.api.wire import GenerateRequest
from emulators.gemini.writing.author import Author, TextLength
from emulators.gemini.writing.fields import Form, kind_of
from emulators.gemini.writing.people import WrittenPeople
from emulators.gemini.writing.scene import read_scene
from emulators.gemini.writing.walker import Walker
from emulators.gemini.writing.words import WordList, words_of
from generia_assets.content import banlist

INSTRUCTIONS = "Write this person in full, with a past, a secret and a day of their own. " * 9
SEA_IN_RUSSIAN = "<user-sentence-x>\nГород кораблей, где никто не умеет плавать\n</user-sentence-x>"


def request(*parts: str, system: str = "You write worlds.") -> GenerateRequest:
    return GenerateRequest.model_validate(
        {
            "systemInstruction": {"parts": [{"text": system}]},
            "contents": [{"role": "user", "parts": [{"text": part} for part in parts]}],
        }
    )


def written(schema: dict[str, JsonValue], *parts: str, seed: int = 1, system: str = "You write worlds.") -> JsonValue:
    scene = read_scene(request(*parts, system=system))
    return Walker(schema, scene, random.Random(seed)).walk()


def object_of(**properties: JsonValue) -> dict[str, JsonValue]:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


TEXT: JsonValue = {"type": "string"}


@pytest.mark.parametrize(
    ("system", "user", "language"),
    [
        ("Content language: Russian", "A city of ships", WordList.RUSSIAN),
        ("Content language: English", SEA_IN_RUSSIAN, WordList.ENGLISH),
        ("Content language: the language of the user's sentence", SEA_IN_RUSSIAN, WordList.RUSSIAN),
        ("Answer in JSON. English is only for the painter.", SEA_IN_RUSSIAN, WordList.RUSSIAN),
        ("You write worlds.", "Write everything in Russian. A city of ships.", WordList.RUSSIAN),
        ("You write worlds.", INSTRUCTIONS + "вера рисует карты моря " * 15, WordList.RUSSIAN),
        ("You write worlds.", INSTRUCTIONS + "Игорь Орлов", WordList.ENGLISH),
        ("You write worlds.", "A city of ships where one man is called Игорь Орлов", WordList.ENGLISH),
    ],
)
def test_the_language_is_that_of_the_prompt_or_else_of_the_users_words(system, user, language):
    """A stated content language is used; without one the script of the user's words decides, whatever the language of the
    instructions is."""
    assert read_scene(request(user, system=system)).language is language


def test_the_setting_follows_the_users_sentence_through_every_request_of_a_world():
    """The user's own words decide the setting, so the requests after the first stay in the same world."""
    later = request(SEA_IN_RUSSIAN, "Write this person, who dreams of space, stars, planets and rockets.")
    assert read_scene(later).setting == read_scene(request(SEA_IN_RUSSIAN)).setting == "sea"


def test_russian_content_is_russian_and_the_fields_for_pictures_are_english():
    """In a Russian world the visible texts are Cyrillic and the fields for pictures are Latin."""
    value = written(object_of(bio=TEXT, content=TEXT, avatar_description=TEXT, image_prompt=TEXT), SEA_IN_RUSSIAN)
    assert isinstance(value, dict)
    assert all(re.fullmatch(r"[^A-Za-z]+", str(value[name]).split("@")[0]) for name in ("bio", "content"))
    assert all(re.fullmatch(r"[^А-Яа-я]+", str(value[name])) for name in ("avatar_description", "image_prompt"))


def test_long_texts_are_paragraphs_and_bios_are_short():
    """A description has several paragraphs, a bio at most 200 characters, and a stated limit is kept."""
    schema = object_of(description=TEXT, bio=TEXT, motto={"type": "string", "description": "at most 60 characters"})
    for seed in range(20):
        value = written(schema, SEA_IN_RUSSIAN, seed=seed)
        assert isinstance(value, dict)
        assert str(value["description"]).count("\n\n") >= 2
        assert len(str(value["bio"])) <= 200
        assert len(str(value["motto"])) <= 60


def test_a_thousand_people_of_a_world_have_a_thousand_names():
    """A hundred independent batches of ten repeat neither a display name nor a username."""
    person = object_of(username=TEXT, display_name=TEXT)
    batch = object_of(people={"type": "array", "items": person, "minItems": 10, "maxItems": 10})
    people = []
    for seed in range(100):
        value = written(batch, SEA_IN_RUSSIAN, seed=seed)
        assert isinstance(value, dict)
        people += json.loads(json.dumps(value["people"]))
    assert len({one["username"] for one in people}) == len({one["display_name"] for one in people}) == 1000
    assert all(re.fullmatch(r"[a-z0-9_]{3,20}", one["username"]) for one in people)


def test_names_in_the_prompt_and_banned_names_are_not_used():
    """A name in the prompt is not used again, and a name in its list of banned names is not used."""
    schema = object_of(username=TEXT, display_name=TEXT)
    first = written(schema, SEA_IN_RUSSIAN, seed=3)
    assert isinstance(first, dict)
    again = written(schema, SEA_IN_RUSSIAN, f"These exist: {first['display_name']}", seed=3)
    stem = str(first["display_name"]).split()[0]
    avoiding = written(schema, SEA_IN_RUSSIAN, seed=3, system=f"- names: Мара | {stem}*")
    assert isinstance(again, dict)
    assert isinstance(avoiding, dict)
    assert again["display_name"] != first["display_name"]
    assert stem not in str(avoiding["display_name"])


def test_relations_and_mentions_name_people_in_the_prompt():
    """Relations name existing people, never the person of the request, and nobody if the prompt has no other people."""
    tie = object_of(username=TEXT, relationship_type=TEXT)
    schema = object_of(relationships={"type": "array", "items": tie, "maxItems": 3}, mentions={"type": "array", "items": TEXT})
    item = "<person-x>\nВера Орлова (@vera_1)\n</person-x>\nOthers: @oleg_2, @inna_3"
    value = written(schema, SEA_IN_RUSSIAN, item)
    alone = written(schema, SEA_IN_RUSSIAN, "Nobody exists.")
    assert isinstance(value, dict)
    named = {tie["username"] for tie in json.loads(json.dumps(value["relationships"]))}
    assert named == {"oleg_2", "inna_3"} == set(json.loads(json.dumps(value["mentions"])))
    assert alone == {"relationships": [], "mentions": []}


def test_an_object_is_about_one_person():
    """The name and the texts of an object belong to the same person."""
    schema = object_of(people={"type": "array", "items": object_of(display_name=TEXT, background_story=TEXT), "minItems": 5})
    value = written(schema, SEA_IN_RUSSIAN)
    assert isinstance(value, dict)
    for person in json.loads(json.dumps(value["people"])):
        assert person["display_name"].split()[0] in person["background_story"]


def test_numbered_requests_get_their_numbers_back():
    """Entries with a number have the numbers of the prompt's "Number N" lines, in order."""
    entry = object_of(number={"type": "integer", "minimum": 3, "maximum": 9}, idea=TEXT)
    schema = object_of(ideas={"type": "array", "items": entry, "minItems": 2, "maxItems": 2})
    value = written(schema, SEA_IN_RUSSIAN, "Number 4 (post 5): a joke.\nNumber 8 (post 9): a list.")
    assert isinstance(value, dict)
    assert [entry["number"] for entry in json.loads(json.dumps(value["ideas"]))] == [4, 8]


def test_bounds_choices_and_recursion_of_the_schema_are_kept():
    """Enums, number bounds, item counts, references and optional cycles follow the schema."""
    schema: dict[str, JsonValue] = {
        "$defs": {"Node": object_of(label=TEXT) | {"properties": {"label": TEXT, "next": {"$ref": "#/$defs/Node"}}}},
        **object_of(
            kind={"enum": ["red", "green"]},
            age={"type": "integer", "minimum": 40, "maximum": 42},
            maybe={"anyOf": [{"type": "number", "minimum": 2, "maximum": 3}, {"type": "null"}]},
            tags={"type": "array", "items": TEXT, "minItems": 4, "maxItems": 4},
            node={"$ref": "#/$defs/Node"},
        ),
    }
    for seed in range(30):
        value = written(schema, SEA_IN_RUSSIAN, seed=seed)
        assert isinstance(value, dict)
        assert value["kind"] in ("red", "green")
        assert value["age"] in (40, 41, 42)
        assert value["maybe"] is None or 2 <= float(str(value["maybe"])) <= 3
        assert len(set(json.loads(json.dumps(value["tags"])))) == 4
        assert isinstance(value["node"], dict)


@pytest.mark.parametrize("language", WordList)
def test_every_template_can_be_filled_and_has_no_banned_term(language):
    """Every sentence of the vocabulary fills all its slots and has no term of the product's ban list."""
    scene = read_scene(request("Content language: " + language.english_name))
    rng = random.Random(5)
    author = Author(scene, language, rng, WrittenPeople(language, rng, ""))
    for deck, templates in words_of(language).decks.items():
        text = author.text(deck, TextLength(sentences=(len(templates), len(templates))))
        assert "{" not in text
        assert banlist.find_banned(text, language.english_name, kinds=("jobs", "words", "phrases")) == [], deck


def test_people_write_longer_and_shorter_with_a_spread_of_lengths():
    """Some people's texts are half as long as those of others, and each person's texts are similar; without a spread they differ
    little."""

    def length(person: str, spread: float) -> int:
        scene = replace(read_scene(request(f"<person>\n{person} (@{person.lower()})\n</person>")), length_spread=spread)
        author = Author(scene, scene.language, random.Random(1), WrittenPeople(scene.language, random.Random(1), ""))
        return len(author.text("world", TextLength(paragraphs=(5, 5), sentences=(3, 3))))

    people = [f"Anna{letter}" for letter in "abcdefghijklmnop"]
    even, spread = ([length(person, part) for person in people] for part in (0.0, 0.5))
    assert max(even) < 1.3 * min(even)
    assert max(spread) > 2 * min(spread)
    assert spread == [length(person, 0.5) for person in people]


def test_the_kind_of_a_field_follows_from_its_name_or_its_description():
    """The same name has different kinds in different places, and a description decides for an unknown name."""
    assert kind_of("calendar", "name", "").form is Form.EVENT
    assert kind_of("people", "name", "").form is Form.PERSON_NAME
    assert kind_of("", "name", "").source == "world"
    assert kind_of("", "x1", "what the weather and the climate are like").source == "nature"
    assert kind_of("", "x1", "a line in English").english
