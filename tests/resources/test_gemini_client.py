"""GeminiClient with the emulator, through Google's own SDK: the meaning of each answer and each failure."""

import asyncio
import gc
import json
import warnings

import pytest

from emulators.gemini.client import EmulatorControl
from resources.gateway.outcomes import (
    FatalCallError,
    InvalidAnswerError,
    ModelMissingError,
    RateLimitedError,
    RefusedError,
    RequestRejectedError,
    TransientError,
)
from resources.gemini.client import GeminiClient
from resources.gemini.models import model_profiles, now
from tests.support.gemini_server import FLASH, KEY, Village, provider, question


@pytest.fixture
def control(gemini):
    with EmulatorControl(gemini) as made:
        yield made


@pytest.fixture
async def client(gemini):
    made = GeminiClient(api_key=KEY, base_url=gemini, timeout_seconds=60)
    yield made
    await made.aclose()


@pytest.mark.parametrize("profile", model_profiles().values(), ids=lambda profile: profile.id)
async def test_every_profile_has_parameters_that_its_model_accepts(client, control, profile):
    """No profile's thinking or sampling is refused, and the answer is priced with the profile, including thinking."""
    answer = await client.ask(question(), profile)
    assert isinstance(answer.value, Village)
    assert answer.data["model"] == profile.id
    assert answer.tokens.prompt > 0
    assert answer.tokens.output > answer.tokens.thinking >= 0
    price = profile.price(now())
    worst = price.worst_case_usd(prompt_bytes=question().prompt_bytes, max_output_tokens=2048)
    assert answer.cost_usd == pytest.approx(price.cost_usd(answer.tokens))
    assert 0 < answer.cost_usd <= worst


async def test_cached_tokens_cost_less(client, control):
    """The second call with the same long prefix has the cached price for that part, as counted by the emulator."""
    long = question("A village on a reef. " * 800)
    first, second = await client.ask(long, FLASH), await client.ask(long, FLASH)
    assert first.tokens.cached == 0 < second.tokens.cached <= second.tokens.prompt == first.tokens.prompt
    assert control.stats().cached_tokens == second.tokens.cached
    price = FLASH.price(now())
    saved = second.tokens.cached * (price.input - price.cached) / 1e6
    same_output = (first.tokens.output - second.tokens.output) * price.output / 1e6
    assert first.cost_usd - second.cost_usd == pytest.approx(saved + same_output)


async def test_an_answer_in_several_parts_is_one(client, control):
    """A text in several parts is joined before it is parsed."""
    control.set_faults(split_text=1)
    assert isinstance((await client.ask(question(), FLASH)).value, Village)


@pytest.mark.parametrize(
    ("fault", "retry_after"), [("rate_limited", 18.3), ("rate_limited_header", 18.3), ("rate_limited_bare", None)]
)
async def test_a_429_has_the_time_to_wait(client, control, fault, retry_after):
    """The time comes from RetryInfo, else from the Retry-After header, else it is unknown; a quota per minute is not an outage."""
    control.set_faults(**{fault: 1}, retry_after=18.3)
    with pytest.raises(RateLimitedError, match="429") as refused:
        await client.ask(question(), FLASH)
    assert (refused.value.retry_after, refused.value.daily) == (retry_after, False)


async def test_a_used_up_daily_quota_is_distinguished_from_one_per_minute(client, control):
    """A quota per day is marked as such, with the time until its reset: at most a day."""
    control.set_faults(requests_per_day=1)
    await client.ask(question(), FLASH)
    with pytest.raises(RateLimitedError) as refused:
        await client.ask(question(), FLASH)
    assert refused.value.daily
    assert 0 < (refused.value.retry_after or 0) <= 86_400


@pytest.mark.parametrize(
    ("fault", "in_doubt", "said"),
    [
        ("internal_error", False, "500"),
        ("unavailable", False, "503"),
        ("deadline_exceeded", True, "504"),
        ("html", True, "a page .* no answer of Gemini"),
        ("reset_connection", True, "broke off"),
    ],
)
async def test_failures_of_the_provider_are_transient(client, control, fault, in_doubt, said):
    """5xx, HTML pages and broken connections are transient; those after which the work may have been done are in doubt."""
    control.set_faults(**{fault: 1})
    with pytest.raises(TransientError, match=said) as failed:
        await client.ask(question(), FLASH)
    assert failed.value.in_doubt is in_doubt
    assert control.stats().calls == 1  # the SDK makes one request: it does not retry


async def test_no_answer_in_time_is_in_doubt(gemini, control):
    """A hanging call ends with the client's time-out."""
    control.set_faults(hang=1)
    client = GeminiClient(api_key=KEY, base_url=gemini, timeout_seconds=0.3)
    with pytest.raises(TransientError, match="ReadTimeout") as failed:
        await client.ask(question(), FLASH)
    assert failed.value.in_doubt
    await client.aclose()
    control.wait_until(lambda stats: stats.in_flight == 0)


async def test_a_refused_connection_is_not_in_doubt(unused_tcp_port):
    """It is transient, and no work was done."""
    client = GeminiClient(api_key=KEY, base_url=f"http://127.0.0.1:{unused_tcp_port}", timeout_seconds=5)
    with pytest.raises(TransientError, match="cannot be reached") as failed:
        await client.ask(question(), FLASH)
    assert not failed.value.in_doubt
    await client.aclose()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        ("502 Bad Gateway", b"<html>nginx</html>", "502"),
        ("200 OK", b"\xff\xfe{", "no answer of Gemini"),
    ],
)
async def test_an_error_of_an_intermediary_is_transient(status, body, said):
    """The page of a gateway, or an invalid body with 200, is a transient failure, not a crash."""
    async with provider(status, body, "Content-Type: application/json") as served:
        with pytest.raises(TransientError, match=said):
            await served.client.ask(question(), FLASH)


@pytest.mark.parametrize("reason", ["SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST"])
async def test_a_blocked_prompt_is_refused_with_its_reason(client, control, reason):
    """Moderation of the prompt is a refusal; the tokens are paid for."""
    control.set_faults(prompt_blocked=1, block_reasons=[reason])
    answer = await client.ask(question(), FLASH)
    assert isinstance(answer.error, RefusedError)
    assert (answer.error.reason, answer.value) == (reason, None)
    assert answer.cost_usd == pytest.approx(FLASH.price(now()).cost_usd(answer.tokens))


@pytest.mark.parametrize("reason", ["SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII"])
async def test_a_blocked_answer_is_refused_with_its_reason(client, control, reason):
    """Moderation of the answer is a refusal with the provider's reason."""
    control.set_faults(answer_blocked=1, finish_reasons=[reason])
    answer = await client.ask(question(), FLASH)
    assert isinstance(answer.error, RefusedError)
    assert (answer.error.reason, answer.data["finish_reason"]) == (reason, reason)
    assert answer.tokens.prompt > 0


@pytest.mark.parametrize(
    ("fault", "cut", "said"),
    [
        ("truncated_json", True, "cut at the output limit"),
        ("broken_json", False, "Invalid JSON"),
        ("wrong_types", False, "valid string|valid list|valid array"),
        ("empty_answer", False, "empty"),
        ("empty_body", False, "empty"),
    ],
)
async def test_a_damaged_answer_is_invalid_with_a_reason_and_paid_for(client, control, fault, cut, said):
    """Nothing is repaired by guessing: the outcome has the error, the text for the record, and the cost. Without token counts the
    cost is unknown, not zero.
    """
    control.set_faults(**{fault: 1})
    answer = await client.ask(question(), FLASH)
    assert answer.value is None
    with pytest.raises(InvalidAnswerError, match=said) as invalid:
        raise answer.error
    assert invalid.value.cut is cut
    assert answer.cost_usd is None if fault == "empty_body" else answer.cost_usd > 0
    assert bool(answer.data["text"]) is ("empty" not in fault)


async def test_a_good_answer_without_usage_has_an_unknown_cost(client, control):
    """The answer is used; its cost is unknown, so that its worst case counts instead of zero."""
    control.set_faults(no_usage=1)
    answer = await client.ask(question(), FLASH)
    assert answer.value is not None
    assert answer.cost_usd is None


async def test_expired_credentials_are_fatal(client, control):
    """A 401 is not repeated, and the message says what to check."""
    control.set_faults(unauthenticated=1)
    with pytest.raises(FatalCallError, match="Check GEMINI_API_KEY"):
        await client.ask(question(), FLASH)


async def test_a_retired_model_has_its_own_outcome(client, control):
    """A 404 about the model lets its successor take over."""
    control.set_faults(retired={FLASH.id: {"shape": "not_found"}})
    with pytest.raises(ModelMissingError, match=FLASH.id):
        await client.ask(question(), FLASH)


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        ("404 Not Found", "text/html", "<html><title>404</title>\nNo such page</html>" + "x" * 5000),
        ("404 NOT_FOUND", "text/html", "no route to models/gemini-2.5-flash-lite"),
        ("404 Not Found", "application/json", '{"error": "not found"}'),
        ("404 Not Found", "application/json", '{"error": {"code": 404, "status": "NOT_FOUND", "message": "Requested entity"}}'),
    ],
    ids=["a page", "another model", "a gateway", "another entity"],
)
async def test_a_404_that_is_not_about_the_model_retires_none(status, content_type, body):
    """A wrong address or the page of a proxy is fatal, with one short line that names the address, and never the end of a model."""
    async with provider(status, body.encode(), f"Content-Type: {content_type}") as served:
        with pytest.raises(FatalCallError, match=r"127\.0\.0\.1:\d+.*GEMINI_BASE_URL") as refused:
            await served.client.ask(question(), FLASH)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 700


async def test_googles_id_of_an_answer_is_recorded(client):
    """The record of an answer has Google's id, for questions to Google's support."""
    assert (await client.ask(question(), FLASH)).data["response_id"]


async def test_a_wrong_request_is_rejected_and_not_repeated(client):
    """A schema that Google refuses (too many states) is a fault of this request: it is not repeated."""
    things = {"type": "array", "maxItems": 30, "items": {"type": "object", "properties": {"a": {"type": "string"}}}}
    schema = {"type": "object", "properties": {"people": things}}
    with pytest.raises(RequestRejectedError, match="asking the same again cannot help"):
        await client.ask(question(schema=schema), FLASH)


@pytest.mark.parametrize(
    ("code", "status", "message", "details"),
    [
        (400, "INVALID_ARGUMENT", "API key not valid.", [{"reason": "API_KEY_INVALID"}]),
        (403, "PERMISSION_DENIED", f"Consumer 'api_key:{KEY}' has been suspended.", []),
        (400, "FAILED_PRECONDITION", "User location is not supported for the API use.", []),
    ],
)
async def test_a_key_without_permission_is_fatal_and_never_shown(code, status, message, details):
    """The message names GEMINI_API_KEY and what to check, never the key, even if Google's message has it."""
    body = json.dumps({"error": {"code": code, "status": status, "message": message, "details": details}}).encode()
    async with provider(f"{code} Refused", body, "Content-Type: application/json") as served:
        with pytest.raises(FatalCallError, match="GEMINI_API_KEY") as refused:
            await served.client.ask(question(), FLASH)
    assert KEY not in str(refused.value)
    assert KEY not in repr(refused.value.__cause__)


async def test_without_a_key_and_an_address_there_is_no_client():
    """The message says what to set."""
    with pytest.raises(FatalCallError, match=r"GEMINI_API_KEY is not set.*make dev"):
        GeminiClient(api_key="", base_url="", timeout_seconds=5)


async def test_hundreds_of_calls_are_made_at_once(client, control):
    """The connection pool delays no call that has a slot, for any LLM_CONCURRENCY."""
    control.set_faults(hang=1)
    calls = [asyncio.create_task(client.ask(question(f"Village {number}"), FLASH)) for number in range(250)]
    await asyncio.to_thread(control.wait_until, lambda stats: stats.in_flight == 250)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_an_answer_leaves_nothing_to_the_garbage_collector(client):
    """A call's request and frames are freed when it ends, and do not wait for a collection."""

    asked = question()

    async def left_by_a_call() -> int:
        gc.collect()
        gc.disable()
        try:
            await client.ask(asked, FLASH)
            return gc.collect()
        finally:
            gc.enable()

    left = [await left_by_a_call() for _ in range(5)]
    assert 0 in left[1:], left  # the first call opens the connection; threads of other tests leave something now and then


async def test_a_closed_client_leaves_nothing_open(gemini):
    """After ``aclose`` no connection, transport or task is left that would give a warning."""
    before = asyncio.all_tasks()
    gc.collect()  # leftovers of other tests do not count
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client = GeminiClient(api_key=KEY, base_url=gemini, timeout_seconds=60)
        await client.ask(question(), FLASH)
        await client.aclose()
        del client
        gc.collect()
    assert [str(warning.message) for warning in caught if issubclass(warning.category, (ResourceWarning, RuntimeWarning))] == []
    assert asyncio.all_tasks() == before
