"""The rules of the Gemini emulator: refused schemas, the choice of faults, quotas, tokens, the cache."""

from __future__ import annotations

import json
import random

import pytest
from pydantic import JsonValue, ValidationError

from emulators.dice import Dice
from emulators.gemini.api.errors import GoogleError
from emulators.gemini.api.models import MODELS
from emulators.gemini.api.rules import check
from emulators.gemini.api.schema import checked_schema
from emulators.gemini.api.wire import GenerationConfig, ThinkingConfig, parse
from emulators.gemini.faults import Faults, draw
from emulators.gemini.quotas import Quotas
from emulators.gemini.spoil import BAD_COMMENTS, HOSTILE, spoiled_text, spoiled_value, truncated
from emulators.gemini.usage import PrefixCache, Usage, thinking_tokens, tokens

FLASH, LITE = MODELS["gemini-2.5-flash"], MODELS["gemini-3.5-flash-lite"]


def checked(schema: JsonValue, model=FLASH):
    return checked_schema(GenerationConfig(response_json_schema=schema), model)


def array(most: int, items: JsonValue) -> JsonValue:
    return {"type": "array", "items": items, "maxItems": most}


def node(*, required: bool) -> JsonValue:
    link: JsonValue = {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}, "required": ["next"] if required else []}
    return {"$defs": {"N": link}, "$ref": "#/$defs/N"}


def levels(number: int) -> JsonValue:
    """This number of nested objects."""
    return {"type": "object", "properties": {"a": levels(number - 1) if number > 1 else {"type": "string"}}}


THING: JsonValue = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"A": THING}, "type": "object", "properties": {"a": {"$ref": "#/$defs/A", "description": "x"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/Missing"}}},
        node(required=True),
        array(20, THING),
        array(961, {"type": "string"}),
        array(40, array(30, {"type": "string"})),
        {"enum": [f"value {number}" for number in range(501)]},
        levels(5),
        {"type": "array", "items": 5, "properties": {"a": 1}},
    ],
    ids=[
        "sibling of $ref",
        "dangling $ref",
        "required cycle",
        "20 objects",
        "961 items",
        "nested",
        "long enum",
        "5 levels",
        "no schema",
    ],
)
def test_schemas_that_google_cannot_serve_are_refused(schema):
    """Each of these is a 400, on every model."""
    for model in MODELS.values():
        with pytest.raises(GoogleError) as refused:
            checked(schema, model)
        assert (refused.value.code, refused.value.status) == (400, "INVALID_ARGUMENT")


def test_only_2_5_names_the_reason_too_many_states():
    """2.5 names the reason, 3.x answers with the bare message."""
    for model, said in ((FLASH, "too many states for serving"), (LITE, "Request contains an invalid argument.")):
        with pytest.raises(GoogleError, match=said):
            checked(array(20, THING), model)


@pytest.mark.parametrize(
    "schema", [levels(4), node(required=False), array(10, THING), {"type": "object", "properties": {"a": array(900, {})}}]
)
def test_schemas_that_google_serves_are_accepted(schema):
    """Four levels, optional cycles, ten objects and long arrays of texts are accepted."""
    assert checked(schema) == schema


def test_the_openapi_dialect_becomes_json_schema():
    """``response_schema`` with nullable, upper-case types and both spellings of keys is read like its JSON Schema twin."""
    body = {
        "contents": [{"parts": [{"text": "x"}]}],
        "generation_config": {
            "responseSchema": {
                "type": "OBJECT",
                "properties": {"a": {"type": "STRING", "nullable": True}, "b": {"type": "ARRAY", "max_items": 3, "items": {}}},
                "property_ordering": ["b", "a"],
            }
        },
    }
    config = parse(json.dumps(body).encode()).generation_config
    assert checked_schema(config, FLASH) == {
        "type": "object",
        "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "b": {"type": "array", "maxItems": 3, "items": {}}},
        "propertyOrdering": ["b", "a"],
    }


def test_every_violation_of_the_message_is_named_with_its_path():
    """Unknown fields and wrong types are listed together, with Google's texts and snake_case paths."""
    body = {
        "contents": [{"parts": [{"txt": "x"}]}],
        "generationConfig": {"maxOutputTokens": "many", "responseSchema": {"properties": {"a": {}, "b": {"const": 1}}}},
        "prompt": 1,
    }
    with pytest.raises(GoogleError) as refused:
        parse(json.dumps(body).encode())
    assert set(refused.value.message.splitlines()) == {
        "Invalid JSON payload received. Unknown name \"txt\" at 'contents[0].parts[0]': Cannot find field.",
        "Invalid value at 'generation_config.max_output_tokens' (TYPE_INT32), \"many\"",
        (
            "Invalid JSON payload received. Unknown name \"const\" at 'generation_config.response_schema.properties[1].value': "
            "Cannot find field."
        ),
        'Invalid JSON payload received. Unknown name "prompt": Cannot find field.',
    }


def test_faults_depend_on_seed_and_request_and_not_on_order():
    """The same seed and requests get the same faults in any order; another seed gives others; the rate is right."""

    def met(seed: int, numbers: list[int]) -> dict[int, str | None]:
        faults = Faults(seed=seed, unavailable=0.3)
        return {number: draw(faults, Dice(seed, str(number).encode(), 0), call=1, body=b"") for number in numbers}

    numbers = list(range(1000))
    assert met(1, numbers) == met(1, numbers[::-1]) != met(2, numbers)
    assert 250 < sum(fault == "unavailable" for fault in met(1, numbers).values()) < 350


def test_moderation_depends_on_the_request_and_an_outage_on_the_attempt():
    """A request that moderation refused is refused at every repetition; after a 503 a repetition can succeed."""

    def repeated(faults: Faults) -> set[str | None]:
        return {draw(faults, Dice(0, b"request", times), call=1, body=b"") for times in range(40)}

    assert len(repeated(Faults(answer_blocked=0.5))) == 1
    assert repeated(Faults(unavailable=0.5)) == {None, "unavailable"}


def test_faults_can_be_limited_to_some_calls_and_some_requests():
    """``after_calls``, ``for_calls`` and ``only_matching`` limit the faults, whatever JSON escapes the text has."""
    dice = Dice(0, b"x", 0)
    faults = Faults(internal_error=1, after_calls=2, for_calls=3, only_matching="Орлов")
    for body in ('"Орлов"'.encode(), json.dumps("Орлов").encode()):
        assert [bool(draw(faults, dice, call=call, body=body)) for call in range(1, 8)] == [
            False,
            False,
            True,
            True,
            True,
            False,
            False,
        ]
    assert draw(faults, dice, call=3, body=b"somebody else") is None


def test_unknown_faults_are_refused():
    """A misspelt fault is an error, not a fault that never happens."""
    with pytest.raises(ValidationError):
        Faults.model_validate({"unavailble": 1})


def test_quotas_count_a_sliding_window_and_are_named():
    """A call beyond a quota gets the quota's id and the time to wait; after that time it is accepted."""
    quotas, faults = Quotas(), Faults(requests_per_minute=2, requests_per_day=3)
    for now in (0.0, 10.0):
        quotas.take(faults, "m", now)
    with pytest.raises(GoogleError) as minute:
        quotas.take(faults, "m", 20.0)
    quotas.take(faults, "m", 60.0)
    with pytest.raises(GoogleError) as day:
        quotas.take(faults, "m", 200.0)
    assert "GenerateRequestsPerMinutePerProjectPerModel" in json.dumps(minute.value.details)
    assert {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "40s"} in minute.value.details
    assert "GenerateRequestsPerDayPerProjectPerModel" in json.dumps(day.value.details)
    quotas.take(faults, "m", 86_400.0)


def test_a_prefix_is_cached_from_the_models_minimum_on_and_for_that_model_only():
    """The known beginning of a prompt counts as cached if it is long enough; it is not cached for another model."""
    cache = PrefixCache()
    long = "The world of ships. " * 1200
    first, second = cache.measure(FLASH, long + "Item one."), cache.measure(FLASH, long + "Item two.")
    assert first[1] == 0
    assert FLASH.cache_minimum <= second[1] <= second[0]
    assert cache.measure(LITE, long)[1] == 0
    assert cache.measure(FLASH, long[:6000] + "Another world" * 200)[1] == 0


def test_usage_adds_up_and_leaves_out_zeros():
    """The total is the sum of its parts, cached tokens are part of the prompt, and zero counts are left out."""
    used = Usage(prompt=100, cached=60, candidates=20, thoughts=5).metadata()
    assert used["totalTokenCount"] == 125
    assert "thoughtsTokenCount" not in Usage(prompt=100).metadata()
    assert tokens("слово") > tokens("words")
    assert tokens("") == 0


def test_thinking_follows_its_parameters():
    """Budget 0 and the lowest level give no thinking, high levels give much, and a budget is a maximum."""
    assert thinking_tokens(GenerationConfig(thinking_config=ThinkingConfig(thinking_budget=0)), FLASH, 0.5) == 0
    assert thinking_tokens(GenerationConfig(thinking_config=ThinkingConfig(thinking_level="MINIMAL")), LITE, 0.5) == 0
    assert thinking_tokens(GenerationConfig(thinking_config=ThinkingConfig(thinking_level="HIGH")), LITE, 0.5) > 1000
    assert thinking_tokens(GenerationConfig(), FLASH, 0.5) == FLASH.default_thoughts


def test_each_damage_has_its_effect():
    """Broken and truncated answers are not JSON, fenced ones are JSON in a fence, mistyped ones are JSON of another shape."""
    text = json.dumps({"name": "Соль", "people": ["a", "b"], "count": 3}, ensure_ascii=False)
    for seed in range(100):
        rng = random.Random(seed)
        for damaged in (spoiled_text(text, "broken_json", rng), truncated(text, rng)):
            with pytest.raises(json.JSONDecodeError):
                json.loads(damaged)
        mistyped = spoiled_value(json.loads(text), "wrong_types", rng)
        assert isinstance(mistyped, dict)
        assert [type(value) for value in mistyped.values()] != [str, list, int]
    assert spoiled_text(text, "fenced_json", rng) == f"```json\n{text}\n```"


@pytest.mark.parametrize("seed", range(12))
def test_hostile_text_is_valid_json_with_unusable_text(seed: int):
    """Every kind is JSON that parses, in ASCII, and contains text that must not be stored unchanged."""
    value: JsonValue = {"name": "a harbour", "people": [{"concept": "sells rope", "number": 1}]}
    hostile = spoiled_value(value, "hostile_text", random.Random(seed))
    text = json.dumps(hostile)
    assert text.isascii()
    assert json.loads(text) == hostile != value
    assert isinstance(hostile, dict)
    name = hostile["name"]
    assert isinstance(name, str)
    assert len(name) == 1_000_000 or any(mark in name for mark in HOSTILE)


def test_bad_comments_are_those_of_a_post():
    """Every kind changes the comments, and not the rest of the answer."""
    value: dict[str, JsonValue] = {"content": "No rope left.", "comments": ["Again?", "So sorry."]}
    seen = set()
    for seed in range(50):
        bad = spoiled_value(value, "bad_comments", random.Random(seed))
        assert isinstance(bad, dict) and {**bad, "comments": value["comments"]} == value != bad
        seen.add(json.dumps(bad["comments"]))
    assert len(seen) == len(BAD_COMMENTS)
    assert spoiled_value({"content": "No."}, "bad_comments", random.Random(0)) == {"content": "No."}


@pytest.mark.parametrize("tier", ["flex", "priority"])
@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_models_of_text_take_every_service_tier_and_models_of_pictures_none(tier: str, model) -> None:
    """A model without the tier answers with a 400 that names the tier and the model; an unknown tier is not a value of the
    field."""
    request = parse(json.dumps({"contents": [{"parts": [{"text": "a wall"}]}], "serviceTier": tier}).encode())
    if "image" not in model.name:
        check(request, model)
        return
    with pytest.raises(GoogleError, match=f"{tier.capitalize()} API is not supported for model: {model.name}"):
        check(request, model)


def test_an_unknown_service_tier_is_refused() -> None:
    """The refusal names it as a value of the field."""
    with pytest.raises(GoogleError, match="service_tier"):
        parse(b'{"contents": [], "serviceTier": "turbo"}')
