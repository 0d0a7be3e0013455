"""Classification of the API's errors (A6, A11-A15, S4, S15): each has one outcome, and a text that can be stored."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest

from resources.gateway.calls import Answer
from resources.gateway.outcomes import (
    LONGEST_RETRY_AFTER,
    CallError,
    FatalCallError,
    InvalidAnswerError,
    ModelMissingError,
    ParameterRefusedError,
    RateLimitedError,
    RequestRejectedError,
    TransientError,
)
from resources.gemini.answers import LONGEST_BODY
from resources.gemini.client import GeminiClient
from tests.support.gemini_server import FLASH, KEY, Village, failed, meaning, provider, question, said

BODIES = {
    "bytes": b"\xff\xfe\xc3(",
    "nothing": b"",
    "a page": b"<html>oops</html>",
    "deep nesting": b'{"error":' + b"[" * 100_000,
    "JSON": failed(500, "X"),
}


def quota(value: object, quota_id: str = "GenerateRequestsPerDayPerProjectPerModel") -> dict[str, Any]:
    return {"violations": [{"quotaId": quota_id, "quotaValue": value}]}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(failed(429, "RESOURCE_EXHAUSTED"), RateLimitedError, id="A6 429"),
        pytest.param([failed(503, "UNAVAILABLE")], TransientError, id="A6 503 in a list"),
        pytest.param(failed(400, "INVALID_ARGUMENT"), RequestRejectedError, id="A6 400"),
        pytest.param(failed(403, "PERMISSION_DENIED"), FatalCallError, id="A6 403"),
        pytest.param({"error": {"code": "429"}}, RateLimitedError, id="A6 a code as text"),
        pytest.param({**failed(429, "X"), "candidates": []}, RateLimitedError, id="A6 beside an empty list"),
    ],
)
def test_an_error_in_a_200_is_the_error_that_it_carries(body: object, kind: type[CallError]) -> None:
    """An error in a body with status 200 is an error; a failure after the status line is in doubt."""
    found = meaning(200, body)
    assert type(found) is kind
    assert not isinstance(found, TransientError) or found.in_doubt


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"error": {"message": "?"}}, id="A6 without a code"),
        pytest.param({"error": "?"}, id="A6 a text"),
        pytest.param({"error": {"code": 200}}, id="A6 a code that is none of an error"),
    ],
)
def test_an_error_that_cannot_be_read_is_an_invalid_answer(body: object) -> None:
    """It is repeated a bounded number of times, and counts at its worst case."""
    found = meaning(200, body)
    assert isinstance(found, Answer)
    assert isinstance(found.error, InvalidAnswerError)
    assert found.cost_usd is None


@pytest.mark.case("A6")
def test_an_answer_beside_an_error_is_an_answer() -> None:
    """A paid answer is used."""
    found = meaning(200, {**failed(429, "RESOURCE_EXHAUSTED"), **said()})
    assert isinstance(found, Answer)
    assert isinstance(found.value, Village)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(
            429, failed(429, "RESOURCE_EXHAUSTED", "* Quota exceeded for metric: free, limit: 0, model: m"), id="A12 limit: 0"
        ),
        pytest.param(429, failed(429, "RESOURCE_EXHAUSTED", "no", quota("0")), id="A12 a quota of 0"),
        pytest.param(429, failed(429, "RESOURCE_EXHAUSTED", "no", quota(0)), id="A12 a quota of 0 as a number"),
        pytest.param(
            429, failed(429, "X", "Your prepayment credits are depleted. Please go to AI Studio"), id="A12 credits depleted"
        ),
        pytest.param(429, failed(429, "X", "Your project has exceeded its monthly spending cap."), id="A12 spending cap"),
        pytest.param(402, "Payment Required", id="A12 402"),
        pytest.param(200, failed(429, "X", "Your billing account has exceeded its monthly spending cap."), id="A12 in a 200"),
    ],
)
def test_an_error_that_waiting_does_not_resolve_is_fatal_with_advice_about_billing(status: int, body: object) -> None:
    """Used-up credit, a reached cap and a quota of zero end the world with what to do, instead of waiting every day."""
    found = meaning(status, body)
    assert isinstance(found, FatalCallError)
    assert not found.may_heal
    assert "billing" in str(found).partition("Waiting cures nothing")[2]


@pytest.mark.parametrize(
    ("body", "daily"),
    [
        pytest.param(
            failed(429, "X", "Quota exceeded, limit: 10, check your plan and billing details", quota("10")), True, id="A12 day"
        ),
        pytest.param(failed(429, "X", "limit: 0.5", quota("10", "PerMinute")), False, id="A12 minute"),
        pytest.param(failed(429, "X", "Spend-based rate limit exceeded, please retry in 200s"), False, id="A12 ten minutes' spend"),
        pytest.param(failed(429, "X", "no", {"violations": "many"}, {"violations": ["one"]}, "two"), False, id="A12 odd details"),
    ],
)
def test_a_quota_that_is_renewed_is_waited_for(body: object, daily: bool) -> None:
    """For a rate limit, a quota per minute and a quota per day the call waits until then."""
    found = meaning(429, body)
    assert isinstance(found, RateLimitedError)
    assert found.daily is daily


@pytest.mark.parametrize(
    ("delay", "header", "wait"),
    [
        pytest.param("18.3s", "", 18.3, id="A13 a delay"),
        pytest.param("1e12s", "", LONGEST_RETRY_AFTER, id="A13 1e12s"),
        pytest.param("infs", "", None, id="A13 infs"),
        pytest.param("nans", "", None, id="A13 nans"),
        pytest.param("-5s", "", 0.0, id="A13 negative"),
        pytest.param("soon", "", None, id="A13 words"),
        pytest.param(7, "", 7.0, id="A13 a number"),
        pytest.param({"seconds": 7}, "", None, id="A13 an object"),
        pytest.param(None, "1e300", LONGEST_RETRY_AFTER, id="A13 header 1e300"),
        pytest.param(None, "inf", None, id="A13 header inf"),
        pytest.param(None, "Fri, 31 Dec 9999 23:59:59 -2359", LONGEST_RETRY_AFTER, id="A13 header at the end of time"),
        pytest.param(None, "Fri, 31 Dec 99999 23:59:59 GMT", None, id="A13 header after the end of time"),
        pytest.param(None, "Fri, 31 Dec 2027 23:59:59 +99999999", None, id="A13 header in no time zone"),
    ],
)
def test_a_wait_is_read_safely_and_bounded(delay: object, header: str, wait: float | None) -> None:
    """In any format a wait is at most a day, or unknown."""
    details = [] if delay is None else [{"retryDelay": delay}]
    found = meaning(429, failed(429, "RESOURCE_EXHAUSTED", "no", *details), {"retry-after": header} if header else {})
    assert isinstance(found, RateLimitedError)
    assert found.retry_after == wait


@pytest.mark.parametrize(
    ("message", "parameter"),
    [
        pytest.param("Budget 0 is invalid. This model only works in thinking mode.", "thinking", id="A20 budget 0"),
        pytest.param("Unable to submit request because thinking_level is not supported by this model.", "thinking", id="A20 level"),
        pytest.param("You can only set only one of thinking budget and thinking level.", "thinking", id="A20 both"),
        pytest.param("Unknown name \"thinkingLevel\" at 'generation_config.thinking_config'", "thinking", id="A20 unknown name"),
        pytest.param("Penalty is not enabled for this model", "penalty", id="A20 penalties"),
        pytest.param("temperature is not supported by this model", "temperature", id="A20 temperature"),
        pytest.param("topP is not supported", "top_p", id="A20 top_p"),
        pytest.param("Request contains an invalid argument.", None, id="A11 nothing is named"),
        pytest.param(
            "The specified schema produces a constraint that has too many states for serving.", None, id="A11 too many states"
        ),
    ],
)
def test_a_refused_parameter_is_distinguished_from_a_wrong_request(message: str, parameter: str | None) -> None:
    """A 400 is about a parameter that the model does not take, or about this one request."""
    found = meaning(400, failed(400, "INVALID_ARGUMENT", message))
    if parameter is None:
        assert type(found) is RequestRejectedError
    else:
        assert isinstance(found, ParameterRefusedError)
        assert found.parameter == parameter


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        pytest.param(400, failed(400, "INVALID_ARGUMENT", "API key not valid."), "GEMINI_API_KEY", id="A11 the key"),
        pytest.param(400, failed(400, "INVALID_ARGUMENT", "API key expired."), "GEMINI_API_KEY", id="A11 an old key"),
        pytest.param(
            400, failed(400, "INVALID_ARGUMENT", "no", {"reason": "API_KEY_INVALID"}), "GEMINI_API_KEY", id="A11 by its reason"
        ),
        pytest.param(400, failed(400, "FAILED_PRECONDITION", "User location is not supported"), "region", id="A11 region"),
        pytest.param(
            400, failed(400, "INVALID_ARGUMENT", "Manually set deadline 5s is too short."), "GEMINI_TIMEOUT_SECONDS", id="A15"
        ),
        pytest.param(302, "", "proxy", id="S4 302"),
        pytest.param(204, "", "proxy", id="S4 204"),
        pytest.param(407, "Proxy Authentication Required", "proxy", id="S4 407"),
        pytest.param(404, "<html>404</html>", "proxy", id="S4 a page with 404"),
    ],
)
def test_an_error_that_is_not_about_the_request_is_fatal_with_advice(status: int, body: object, advice: str) -> None:
    """For the key, the region, a time-out that Google refuses, or an intermediary the message says what to check."""
    found = meaning(status, body)
    assert isinstance(found, FatalCallError)
    assert advice in str(found)


@pytest.mark.parametrize(
    ("status", "kind", "in_doubt"),
    [
        pytest.param(500, TransientError, False, id="S4 500"),
        pytest.param(502, TransientError, True, id="S4 502"),
        pytest.param(503, TransientError, False, id="S4 503"),
        pytest.param(504, TransientError, True, id="S4 504"),
        pytest.param(524, TransientError, True, id="S4 524"),
        pytest.param(408, TransientError, True, id="S4 408"),
        pytest.param(499, TransientError, True, id="S4 499"),
        pytest.param(409, TransientError, False, id="S4 409"),
        pytest.param(413, RequestRejectedError, None, id="S4 413"),
    ],
)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_status_has_the_same_outcome_with_any_body(
    status: int, kind: type[CallError], in_doubt: bool | None, body: object
) -> None:
    """An unreadable body does not change the outcome of the status; the message names the status."""
    async with provider(f"{status} X", body, "Content-Type: application/json") as served:
        with pytest.raises(CallError) as raised:
            await served.client.ask(question(), FLASH)
    found = raised.value
    assert type(found) is kind
    assert f"answered {status}" in str(found)
    if isinstance(found, TransientError):
        assert found.in_doubt is in_doubt


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param("503 Overloaded", '{"error": {"code": 503, "message": "half \\ud83d, NUL \\u0000"}}', id="A14 half a pair"),
        pytest.param("500 Broken", b"\xff\xfe\xc3(", id="S15 500 that is no UTF-8"),
        pytest.param("502 Bad Gateway", "<p>sorry</p>" * 2_000, id="S15 a page of 24 KB"),
        pytest.param("500 Broken", b"x" * 20_000_000, id="S15 a page of 20 MB"),
        pytest.param("200 OK", b"<" * 20_000_000, id="S7 a page of 20 MB with status 200"),
        pytest.param("403 Forbidden", failed(403, "X", "API key AIzaSyD-12345… is blocked"), id="S15 part of a key"),
        pytest.param("403 Forbidden", f"see https://g.example/v1?key={KEY}&alt=json and {KEY[:12]}***", id="S15 a key in a URL"),
    ],
)
async def test_a_text_of_an_error_can_be_stored(status: str, body: object) -> None:
    """Through the SDK the text of an error is short and valid UTF-8, has no NUL and no key, and is processed quickly."""
    began = time.monotonic()
    async with provider(status, body, "Content-Type: application/json") as served:
        with pytest.raises(CallError) as raised:
            await served.client.ask(question(), FLASH)
    text = str(raised.value)
    assert len(text.encode()) < 2_000
    assert "\x00" not in text
    assert "AIza" not in text
    assert status[:3] in text
    assert raised.value.__cause__ is None
    assert time.monotonic() - began < 20


@pytest.mark.case("S7")
async def test_an_endless_body_is_read_only_up_to_the_size_of_an_answer() -> None:
    """An endless body is abandoned, and uses the memory of one answer."""
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 502 Broken\r\nConnection: close\r\n\r\n")
        with suppress(ConnectionError):
            while sent < 50 * LONGEST_BODY:
                writer.write(b"x" * 65_536)
                sent += 65_536
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        client = GeminiClient(api_key=KEY, base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_seconds=60)
        with pytest.raises(TransientError, match="502"):
            await client.ask(question(), FLASH)
        await client.aclose()
    assert sent < 5 * LONGEST_BODY


@pytest.mark.case("S15")
async def test_a_body_in_a_broken_encoding_is_judged_by_its_status() -> None:
    """A body that is wrongly labelled as gzip does not hide the status."""
    async with provider("503 Overloaded", b"no gzip", "Content-Encoding: gzip") as served:
        with pytest.raises(TransientError, match="503"):
            await served.client.ask(question(), FLASH)
    async with provider("200 OK", b"no gzip", "Content-Encoding: gzip") as served:
        found = await served.client.ask(question(), FLASH)
    assert isinstance(found.error, InvalidAnswerError)


@pytest.mark.case("A20")
def test_a_retired_model_is_recognized() -> None:
    """By a 404 with status NOT_FOUND that names the model, also inside a 200."""
    body = failed(404, "NOT_FOUND", f"This model models/{FLASH.id} is no longer available to new users.")
    assert [type(meaning(status, body)) for status in (404, 200)] == [ModelMissingError, ModelMissingError]
