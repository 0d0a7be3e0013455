"""The refusals of the Gemini emulator, read with Google's own SDK: each request breaks one rule."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from google.genai import errors, types

from emulators.gemini.api.models import MODELS
from emulators.gemini.client import EmulatorControl
from tests.support.gemini_emulator import FLASH, LITE, NEWEST, ask, sdk, village_config

MODEL_TURN = [types.Content(role="user", parts=[types.Part(text="Hi")]), types.Content(role="model", parts=[types.Part(text="So")])]
THING = {"type": "object", "properties": {"a": {"type": "string"}}}


def thinking(**fields: Any) -> dict[str, Any]:
    return {"thinking_config": types.ThinkingConfig.model_validate(fields)}


@pytest.mark.parametrize(
    ("model", "changes", "said"),
    [
        (FLASH, thinking(thinking_level="LOW"), "Thinking level is not supported for this model."),
        (LITE, thinking(thinking_level="LOW", thinking_budget=100), "only one of thinking budget and thinking level"),
        (LITE, thinking(thinking_budget=0), "Budget 0 is invalid. This model only works in thinking mode."),
        (NEWEST, thinking(thinking_level="MINIMAL"), "Thinking level MINIMAL is not supported for this model."),
        (FLASH, thinking(thinking_budget=30_000), "The thinking budget 30000 is invalid."),
        (FLASH, {"presence_penalty": 0.5}, "Penalty is not enabled for this model"),
        (LITE, {"frequency_penalty": 0.5}, "Penalty is not enabled for this model"),
        (FLASH, {"temperature": 3.0}, "temperature must be in the range [0.0, 2.0]"),
        (FLASH, {"max_output_tokens": 70_000}, "max_output_tokens"),
        (FLASH, {"response_mime_type": "text/html"}, "allowed mimetypes"),
        (FLASH, {"response_mime_type": "text/plain"}, "response mime type"),
        (FLASH, {"candidate_count": 2}, "Multiple candidates"),
        (FLASH, {"response_json_schema": {"type": "array", "items": THING, "maxItems": 20}}, "too many states for serving"),
        (
            LITE,
            {"response_json_schema": {"type": "array", "items": THING, "maxItems": 20}},
            "Request contains an invalid argument.",
        ),
        (FLASH, {"response_json_schema": {"$defs": {"A": THING}, "$ref": "#/$defs/A", "title": "x"}}, "set alongside unsupported"),
    ],
)
async def test_a_request_that_google_refuses_is_refused(gemini, model, changes, said):
    """Each of these is a ClientError 400 INVALID_ARGUMENT with Google's message."""
    async with sdk(gemini) as client:
        with pytest.raises(errors.ClientError) as refused:
            await client.aio.models.generate_content(model=model, contents="A village", config=village_config(**changes))
    assert (refused.value.code, refused.value.status) == (400, "INVALID_ARGUMENT")
    assert said in str(refused.value.message)


async def test_harmless_requests_are_answered(gemini):
    """Zero penalties, zero budget on 2.5, the lowest level on 3.5 and a last turn of the model on 2.5 are answered."""
    async with sdk(gemini) as client:
        await ask(client, presence_penalty=0.0, **thinking(thinking_budget=0))
        await client.aio.models.generate_content(
            model=LITE, contents="A", config=village_config(**thinking(thinking_level="MINIMAL"))
        )
        await client.aio.models.generate_content(model=FLASH, contents=MODEL_TURN, config=village_config())


async def test_a_last_turn_of_the_model_is_refused_by_the_successors(gemini):
    """Models after 2.5 do not continue their own text."""
    async with sdk(gemini) as client:
        for model in [name for name in MODELS if not name.startswith("gemini-2.5")]:
            with pytest.raises(errors.ClientError, match="Requests ending with a model turn are not supported"):
                await client.aio.models.generate_content(model=model, contents=MODEL_TURN)


async def test_a_bad_key_is_a_400_with_its_reason(gemini):
    """Only ErrorInfo distinguishes an invalid key from a bad request."""
    async with sdk(gemini, key="bad-key") as client:
        with pytest.raises(errors.ClientError) as refused:
            await ask(client)
    assert refused.value.code == 400
    assert refused.value.details["error"]["details"][0]["reason"] == "API_KEY_INVALID"


def test_no_key_at_all_is_a_403(gemini):
    """Without the header the message asks the caller to identify itself."""
    without = requests.post(f"{gemini}/v1/models/{FLASH}:generateContent", json={}, timeout=5)
    assert (without.status_code, without.json()["error"]["status"]) == (403, "PERMISSION_DENIED")


async def test_an_unknown_model_and_a_retired_model_are_404(gemini):
    """An unknown model and a retired model are both 404 NOT_FOUND, until the model exists again."""
    async with sdk(gemini) as client:
        with EmulatorControl(gemini) as control:
            control.set_faults(retired={FLASH: {"shape": "not_found"}})
            for model, said in ((FLASH, "is no longer available"), ("gemini-0.1-tiny", "is not found for API version v1beta")):
                with pytest.raises(errors.ClientError, match=said) as refused:
                    await client.aio.models.generate_content(model=model, contents="A village")
                assert (refused.value.code, refused.value.status) == (404, "NOT_FOUND")
            control.set_faults(retired={})
        await ask(client)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"contents": 5}', b'{"contents": [{"parts": []}]}', b"{}"])
def test_invalid_bodies_are_refused(gemini, body):
    """A body that the SDK would never send gets a 400, never a 500."""
    answer = requests.post(f"{gemini}/v1beta/models/{FLASH}:generateContent", data=body, headers={"x-goog-api-key": "k"}, timeout=5)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
