"""Recorded answers of the Gemini emulator: replayed for their order, if the request can be recognized."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from emulators.gemini import recordings as recorded
from emulators.gemini.api.schema import Schema, fits
from emulators.gemini.recordings import RecordingError, check, main, position_of, recorded_answer, recordings
from generia_assets.content.prompt import Prompt
from generia_assets.content.rendering import PromptDelimiter
from tests.emulators.test_gemini_worlds import Made, scene_of, schema_of, world


@pytest.fixture(scope="module")
def made() -> Made:
    return world()


@pytest.fixture
def folder(made: Made, tmp_path: Path) -> Path:
    """One recording: all answers of the world."""
    into = tmp_path / "answers"
    into.mkdir()
    for name, answer in made.answers.items():
        (into / f"{name}.json").write_text(json.dumps(answer), "utf-8")
    record(into, tmp_path / "recorded", made)
    return tmp_path / "recorded"


def record(answers: Path, into: Path, made: Made) -> None:
    """Record a folder of answers as the command does."""
    request = made.request
    given = {"prompt": request.user_prompt, "users": request.users_count, "posts": request.posts_count, "seed": request.seed}
    options = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    code = PromptDelimiter.of(request.seed).code
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["recordings", str(answers), "world", *options, "--code", code, "--into", str(into)])
        main()


def asked(made: Made, name: str) -> Prompt:
    return next(one.prompt for one in made.asked if one.name == name)


def replayed(prompt: Prompt, folder: Path) -> object:
    """The recorded answer that fits this request, or None."""
    _, answer, fitting = recorded_answer(scene_of(prompt), schema_of(prompt), folder)
    return answer if fitting else None


def test_every_request_of_the_order_finds_its_answer(made, folder):
    """Each request's position is the name under which `generia prompts` writes it, and its answer is returned as recorded."""
    for one in made.asked:
        assert position_of(scene_of(one.prompt), schema_of(one.prompt)) == one.name
        assert replayed(one.prompt, folder) == made.answers[one.name]


def test_other_words_of_a_template_change_nothing(made, folder):
    """A request whose instructions were rewritten is still found by its documented lines."""
    prompt = asked(made, made.asked[-1].name)
    head, _, rest = prompt.item.partition("Fields, in this order:")
    assert rest
    assert replayed(replace(prompt, item=f"Do it in other words.\n{rest}"), folder) == replayed(prompt, folder) is not None
    assert head


@pytest.mark.parametrize("change", ["sentence", "seed", "counts", "another world", "made again", "refused"])
def test_another_order_gets_no_recorded_answer(made, folder, change):
    """Another sentence, seed or size, a world of another name, and requests for items made again or refused before get no recorded
    answer."""
    prompt, code = asked(made, "post.@" + made.posts[0].username + ".1"), PromptDelimiter.of(made.request.seed).code
    match change:
        case "sentence":
            prompt = replace(prompt, world=prompt.world.replace("dreams", "debts"))
        case "seed":
            prompt = Prompt(
                **{**vars(prompt), "world": prompt.world.replace(code, "0" * 8), "item": prompt.item.replace(code, "0" * 8)}
            )
        case "counts":
            prompt = asked(made, "world_description")
            prompt = replace(prompt, item=prompt.item.replace("12 posts", "13 posts"))
        case "another world":
            prompt = replace(prompt, world=prompt.world.replace(made.world.name, "Elsewhere"))
        case "made again":
            prompt = replace(prompt, item=f"{prompt.item}\n<former-{code}>\nthe text\n</former-{code}>")
        case "refused":
            prompt = replace(prompt, item=f"The last answer to this was refused by moderation (SAFETY).\n{prompt.item}")
    assert replayed(prompt, folder) is None


def test_an_answer_that_no_longer_fits_its_request_is_recognized(made, folder):
    """A new field in a draft makes the recorded answer unfit, and its position is still returned."""
    prompt = asked(made, "world_images")
    schema = schema_of(prompt)
    properties, required = schema["properties"], schema["required"]
    assert isinstance(properties, dict)
    assert isinstance(required, list)
    changed: Schema = {**schema, "properties": {**properties, "new": {"type": "string"}}, "required": [*required, "new"]}
    position, answer, fitting = recorded_answer(scene_of(prompt), changed, folder)
    assert (position, answer, fitting) == ("world_images", made.answers["world_images"], False)


@pytest.mark.parametrize(
    ("value", "fitting"),
    [
        ({"a": "x", "n": 3, "l": ["y"]}, True),
        ({"a": "x", "n": 3, "l": ["y"], "more": 1}, True),
        ({"a": 7, "n": 3, "l": ["y"]}, False),
        ({"a": "x", "n": 3.5, "l": ["y"]}, False),
        ({"a": "x", "n": True, "l": ["y"]}, False),
        ({"a": "x", "n": 9, "l": ["y"]}, False),
        ({"a": "x", "n": 3, "l": []}, False),
        ({"a": "x", "n": 3, "l": ["y", "y", "y"]}, False),
        ({"a": "x", "n": 3, "l": [None]}, False),
        ({"a": "x", "l": ["y"]}, False),
        ([], False),
    ],
)
def test_what_fits_a_schema(value, fitting):
    """Types, bounds, counts and required fields count; fields that the schema does not name do not."""
    text: Schema = {"type": "string"}
    schema: Schema = {
        "type": "object",
        "properties": {
            "a": text,
            "n": {"type": "integer", "minimum": 1, "maximum": 5},
            "l": {"type": "array", "items": text, "minItems": 1, "maxItems": 2},
        },
        "required": ["a", "n", "l"],
    }
    assert fits(value, schema) is fitting


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("order.json", "{}", "prompt"),
        ("post.mira.3.json", "{}", "no request is named post.mira.3"),
        ("post.@mira.3.json", "[1", "post.@mira.3.json"),
        ("post.@mira.3.json", "[1]", "must hold one JSON object"),
    ],
)
def test_a_broken_recording_is_named(folder, file, text, said):
    """The error has the name of the unusable file and the reason."""
    (folder / "world" / file).write_text(text, "utf-8")
    recordings.cache_clear()
    with pytest.raises(RecordingError, match=said):
        check(folder)


def test_all_recordings_are_valid():
    """Every recording of the emulator is complete, and its code is that of its seed."""
    check()
    for recording in recordings(recorded.FOLDER).values():
        assert recording.order.code == PromptDelimiter.of(recording.order.seed).code
        assert "world_description" in recording.positions
