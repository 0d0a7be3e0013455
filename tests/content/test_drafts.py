"""Drafts and their schemas: the schema that the provider gets, and the validation of answers."""

import json
from typing import Any, cast

import pytest
from pydantic import ValidationError

from generia_assets.content import ask_people, ask_posts, ask_world
from generia_assets.content.drafts import (
    CharacterDraft,
    ConceptDraft,
    ConceptsDraft,
    IdeaDraft,
    IdeasDraft,
    PicturePromptDraft,
    PostDraft,
    RegeneratedConceptDraft,
    WorldDraft,
    WorldImagesDraft,
    in_language,
)
from generia_assets.content.names import CharacterIndex
from generia_assets.content.prompt import schema_of
from generia_assets.content.rendering import FOLDER
from generia_assets.content.similarity import Ideas
from generia_assets.content.social import acquaintances
from tests.support.answers import character_answer, ideas_answer, people_answer, post_answer
from tests.support.worlds import a_brief, a_character, a_post_brief, a_request, a_world, acquaintances_of, world_answer

DRAFTS = [WorldDraft, WorldImagesDraft, ConceptsDraft, CharacterDraft, IdeasDraft, PostDraft, PicturePromptDraft]


def nodes(node):
    """Every object inside a schema."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


def all_schemas():
    """The schema of each request type in the form that is sent, for a person with and without acquaintances."""
    request, world = a_request(), a_world()
    schemas = [ask_world.world_description(request).schema, ask_world.world_images(request, world).schema]
    schemas.append(ask_people.character_batch(request, world, first=0, numbers=range(1, 11), characters=CharacterIndex()).schema)
    for index in (3, next(index for index in range(25) if not acquaintances(request.seed, 25, index))):
        character, known = a_character(index, request), acquaintances_of(index, request, world)
        schemas.append(ask_people.character(request, world, a_brief(index, request), known).schema)
        schemas.append(ask_posts.post_batch(request, world, character, known, first=0, numbers=[1, 3], earlier=Ideas()).schema)
        schemas.append(ask_posts.post(request, world, character, a_post_brief(1, character), known, ()).schema)
    return schemas


@pytest.mark.parametrize("schema", all_schemas())
def test_schemas_have_only_what_the_provider_supports(schema):
    """A schema has no reference, nothing that the provider ignores or refuses, and at most ten items in an array of objects."""
    text = json.dumps(schema)
    for word in ("$ref", "$defs", "minLength", "maxLength", "pattern", "default", "title", "additionalProperties"):
        assert f'"{word}"' not in text
    total = 0
    for node in nodes(schema):
        if node.get("type") == "array":
            total += node.get("maxItems", 0)
            if node["items"].get("type") == "object":
                assert 1 <= node["maxItems"] <= 10
        if node.get("type") == "object":
            assert node["required"] == node["propertyOrdering"] == list(node["properties"])
    assert total < 200


def test_schemas_contain_the_requested_counts():
    """Counts and numbers of a request are in its schema, and equal schemas are the same object."""
    request, world = a_request(), a_world()
    schema = ask_people.character_batch(request, world, first=10, numbers=[2, 7], characters=CharacterIndex(), mild=True).schema
    people = schema["properties"]["people"]
    assert (people["minItems"], people["maxItems"]) == (2, 2)
    number = people["items"]["properties"]["number"]
    assert (number["minimum"], number["maximum"]) == (2, 7)
    again = ask_people.character_batch(request, world, first=0, numbers=[2, 7], characters=CharacterIndex(), mild=True).schema
    assert again is schema


def test_each_tie_has_a_field_and_without_ties_there_is_none():
    """The schema has one field for each tie between requested or existing people, by its name; without ties the field is left
    out."""
    request, world = a_request(), a_world()
    prompt = ask_people.character_batch(request, world, first=0, numbers=range(1, 11), characters=CharacterIndex())
    ties = ask_people.ties_to_describe(request, range(1, 11), 0, {})
    assert list(prompt.schema["properties"]["ties"]["properties"]) == [f"tie_{place}" for place in range(1, len(ties) + 1)]
    alone = ask_people.character_batch(a_request(users=1), world, first=0, numbers=[1], characters=CharacterIndex())
    assert "ties" not in cast("Any", alone.schema)["properties"]


def test_relations_have_a_field_for_each_acquaintance():
    """There is one relation for each acquaintance, and none with other people."""
    request, world = a_request(), a_world()
    known = acquaintances_of(3, request, world)
    schema = ask_people.character(request, world, a_brief(3, request), known).schema
    assert list(schema["properties"]["relations"]["properties"]) == [f"person_{n}" for n in range(1, len(known) + 1)]
    assert "relations" not in cast("Any", ask_people.character(request, world, a_brief(3, request), ()).schema)["properties"]


@pytest.mark.parametrize("draft", [WorldDraft, ConceptDraft, RegeneratedConceptDraft, IdeaDraft])
def test_the_obvious_idea_is_requested_before_the_idea(draft):
    """The field for the idea that everybody would have comes before the field for the idea."""
    fields = [name for name in draft.model_fields if name not in ("number", "content_language", "wishes")]
    assert fields[0] == "obvious"


@pytest.mark.parametrize("draft", DRAFTS)
def test_every_field_is_described_in_its_template(draft):
    """The description of a field is in a template, so that changing it needs no Python."""
    template = {
        WorldDraft: "world_description",
        WorldImagesDraft: "world_images",
        ConceptsDraft: "character_batch",
        CharacterDraft: "character",
        IdeasDraft: "post_batch",
        PostDraft: "post",
        PicturePromptDraft: "refine_picture",
    }[draft]
    text = (FOLDER / f"{template}.j2").read_text(encoding="utf-8")
    fields: Any = [] if draft is PicturePromptDraft else schema_of(draft)["properties"]
    for field in fields:
        assert field in text, field


def test_texts_are_cleaned_and_a_long_bio_is_cut():
    """A document never contains control characters, and a long bio is cut between words instead of being refused."""
    draft = CharacterDraft.model_validate(character_answer(0) | {"bio": "wedges\x00 " * 60, "secret": "a\u202eb\ud800"})
    assert len(draft.bio) <= 200
    assert draft.bio.endswith("wedges…")
    assert draft.secret == "ab"


@pytest.mark.parametrize(
    "broken",
    [
        {"story": ["one"]},
        {"story": [f"{n}" for n in range(11)]},
        {"secret": "x" * 5000},
        {"personality": "  \x00 "},
        {"interests": []},
    ],
)
def test_drafts_check_what_the_schema_cannot(broken):
    """They refuse wrong numbers of paragraphs, endless texts and empty texts."""
    with pytest.raises(ValidationError):
        CharacterDraft.model_validate(character_answer(0) | broken)


def test_a_description_has_two_to_thirty_paragraphs():
    """Two paragraphs in one string count as two; one is too few and 31 are too many."""
    assert len(WorldDraft.model_validate(world_answer() | {"paragraphs": ["a\n\nb"]}).paragraphs) == 2
    for paragraphs in (["a"], ["a"] * 31):
        with pytest.raises(ValidationError, match="2 to 30 paragraphs"):
            WorldDraft.model_validate(world_answer() | {"paragraphs": paragraphs})


@pytest.mark.parametrize(
    ("draft", "answer"),
    [
        (CharacterDraft, character_answer(1)),
        (ConceptsDraft, people_answer([1])),
        (IdeasDraft, ideas_answer([1])),
        (PostDraft, post_answer()),
    ],
)
def test_the_wrong_language_is_refused(draft, answer):
    """An English answer in a Russian world is refused with the name of the language; in an English world it is accepted."""
    in_language(draft, "English").model_validate(answer)
    with pytest.raises(ValidationError, match="Russian"):
        in_language(draft, "Russian").model_validate(answer)
    assert in_language(draft, "Russian").__name__ == draft.__name__


def test_a_world_is_in_the_language_it_names():
    """A world that calls itself Russian and is written in English is refused."""
    WorldDraft.model_validate(world_answer("Russian"))
    with pytest.raises(ValidationError, match="Russian"):
        WorldDraft.model_validate(world_answer() | {"content_language": "русский"})
