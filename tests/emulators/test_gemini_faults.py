"""Each fault of the Gemini emulator, read with Google's own SDK (the facts were measured with the real API)."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from google import genai
from google.genai import errors, types
from pydantic import ValidationError

from emulators.gemini.client import EmulatorControl
from tests.support.gemini_emulator import Village, ask, sdk


@pytest.fixture
def control(gemini: str) -> Iterator[EmulatorControl]:
    with EmulatorControl(gemini) as made:
        yield made


@pytest.fixture
async def client(gemini: str) -> AsyncIterator[genai.Client]:
    async with sdk(gemini) as made:
        yield made


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [("internal_error", 500, "INTERNAL"), ("unavailable", 503, "UNAVAILABLE"), ("deadline_exceeded", 504, "DEADLINE_EXCEEDED")],
)
async def test_server_errors(client, control, fault, code, status):
    """5xx are ServerErrors with Google's status."""
    control.set_faults(**{fault: 1})
    with pytest.raises(errors.ServerError) as failed:
        await ask(client)
    assert (failed.value.code, failed.value.status) == (code, status)


async def test_expired_credentials_are_401(client, control):
    """A 401 is a ClientError UNAUTHENTICATED, counted as such."""
    control.set_faults(unauthenticated=1)
    with pytest.raises(errors.ClientError) as failed:
        await ask(client)
    assert (failed.value.code, failed.value.status) == (401, "UNAUTHENTICATED")
    assert control.stats().by_outcome == {"unauthenticated": 1}


async def test_an_answer_may_come_without_its_usage(client, control):
    """The answer is complete except for usageMetadata; the emulator still counts its usage."""
    control.set_faults(no_usage=1)
    response = await ask(client)
    assert response.text
    assert response.usage_metadata is None
    assert control.stats().candidates_tokens > 0


async def test_rate_limits_say_when_to_come_back_in_three_ways(client, control):
    """A 429 comes with RetryInfo, with a Retry-After header, or with nothing at all."""
    seen = {}
    for fault in ("rate_limited", "rate_limited_header", "rate_limited_bare"):
        control.reset()
        control.set_faults(**{fault: 1}, retry_after=18.3)
        with pytest.raises(errors.ClientError) as refused:
            await ask(client)
        assert (refused.value.code, refused.value.status) == (429, "RESOURCE_EXHAUSTED")
        details = {detail["@type"].rsplit(".")[-1]: detail for detail in refused.value.details["error"].get("details", [])}
        seen[fault] = (details, refused.value.response.headers.get("retry-after"))
    assert seen["rate_limited"][0]["RetryInfo"]["retryDelay"] == "18.3s"
    assert "PerMinute" in seen["rate_limited"][0]["QuotaFailure"]["violations"][0]["quotaId"]
    assert seen["rate_limited_header"][1] == "18.3"
    assert "RetryInfo" not in seen["rate_limited_header"][0]
    assert seen["rate_limited_bare"] == ({}, None)


async def test_a_hanging_call_ends_by_the_callers_own_time_out(gemini, control):
    """There is no answer: the SDK raises httpx2's ReadTimeout, and the emulator stops counting the call as in flight."""
    control.set_faults(hang=1)
    async with sdk(gemini, timeout_s=0.3) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await ask(client)
    assert control.wait_until(lambda stats: stats.in_flight == 0).by_outcome == {"hang": 1}


async def test_a_reset_connection_is_a_transport_error(client, control):
    """The connection breaks without an answer; the SDK raises httpx2's error, and the next call succeeds."""
    control.set_faults(reset_connection=1)
    with pytest.raises((httpx2.ReadError, httpx2.RemoteProtocolError)):
        await ask(client)
    control.set_faults(reset_connection=0)
    await ask(client)


async def test_html_with_200_is_a_raw_json_error(client, control):
    """The SDK does not catch it."""
    control.set_faults(html=1)
    with pytest.raises(json.JSONDecodeError):
        await ask(client)


@pytest.mark.parametrize("fault", ["empty_body", "empty_answer"])
async def test_an_empty_answer_raises_nothing(client, control, fault):
    """200 without a candidate or without text: no exception, no text."""
    control.set_faults(**{fault: 1})
    assert (await ask(client)).text is None


@pytest.mark.parametrize("reason", ["SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "OTHER"])
async def test_a_blocked_prompt_has_a_reason_and_no_candidate(client, control, reason):
    """Moderation of the prompt: no exception, ``candidates`` is None, and ``prompt_feedback`` has the reason."""
    control.set_faults(prompt_blocked=1, block_reasons=[reason])
    answer = await ask(client)
    assert answer.candidates is None
    assert answer.prompt_feedback is not None
    assert answer.prompt_feedback.block_reason == types.BlockedReason(reason)


@pytest.mark.parametrize("reason", ["SAFETY", "PROHIBITED_CONTENT", "ESCALATION", "BLOCKLIST", "SPII"])
async def test_a_blocked_answer_has_a_reason_and_no_content(client, control, reason):
    """Moderation of the answer: no exception, no text, and ``finish_reason`` has the reason."""
    control.set_faults(answer_blocked=1, finish_reasons=[reason])
    answer = await ask(client)
    assert answer.text is None
    assert answer.candidates is not None
    assert answer.candidates[0].content is None
    assert answer.candidates[0].finish_reason is types.FinishReason(reason)


@pytest.mark.parametrize(
    ("fault", "finish"),
    [
        ("truncated_json", "MAX_TOKENS"),
        ("broken_json", "STOP"),
        ("fenced_json", "STOP"),
        ("wrong_types", "STOP"),
    ],
)
async def test_damaged_answers_raise_nothing_and_do_not_validate(client, control, fault, finish):
    """The SDK returns the text unchanged; only validation finds the damage."""
    control.set_faults(**{fault: 1})
    for seed in range(10):
        answer = await ask(client, seed=seed)
        assert answer.candidates is not None
        assert answer.candidates[0].finish_reason is types.FinishReason(finish)
        with pytest.raises(ValidationError):
            Village.model_validate_json(answer.text or "")


async def test_counts_names_and_language_can_be_wrong(client, control):
    """Too few or too many people, people of one name, and an answer in another language, all in otherwise good JSON."""
    good = json.loads((await ask(client, seed=3)).text or "")
    found = {}
    for fault in ("too_few", "too_many", "repeated_names", "wrong_language"):
        control.replace_faults(
            control.faults().model_copy(update={"too_few": 0, "too_many": 0, "repeated_names": 0, "wrong_language": 0, fault: 1})
        )
        found[fault] = json.loads((await ask(client, seed=3)).text or "")
    assert len(found["too_few"]["people"]) < len(good["people"]) < len(found["too_many"]["people"])
    assert len({person["username"] for person in found["repeated_names"]["people"]}) == 1
    assert not re.search("[а-я]", good["description"])
    assert re.search("[а-я]{4}", found["wrong_language"]["description"])


async def test_faults_can_be_limited_and_misspelt_ones_are_refused(client, control):
    """``only_matching`` does not affect other requests, ``for_calls`` ends an outage by itself; an unknown fault is a
    ValueError."""
    control.set_faults(unavailable=1, only_matching="Орлов", for_calls=2)
    await ask(client, "Кузнецов")
    with pytest.raises(errors.ServerError):
        await ask(client, "Орлов")
    await ask(client, "Орлов")
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        control.set_faults(unavialable=1)
