"""The counts and limits of the Gemini emulator: exact with many concurrent calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from google import genai
from google.genai import errors

from emulators.gemini.client import EmulatorControl
from tests.support.gemini_emulator import FLASH, LITE, ask, sdk, village_config


@pytest.fixture
def control(gemini: str) -> Iterator[EmulatorControl]:
    with EmulatorControl(gemini) as made:
        yield made


@pytest.fixture
async def client(gemini: str) -> AsyncIterator[genai.Client]:
    async with sdk(gemini) as made:
        yield made


async def test_sixty_calls_at_once_are_counted_exactly(client, control):
    """Every call is counted once, by model and outcome, with its tokens, and none is left in flight."""
    control.set_faults(latency=2.0)  # long compared with the time for sending them
    started = time.time()
    models = [FLASH, LITE] * 30
    answers = await asyncio.gather(
        *(
            client.aio.models.generate_content(model=model, contents=f"Village {number}", config=village_config())
            for number, model in enumerate(models)
        )
    )
    stats = control.stats()
    assert (stats.calls, stats.calls_finished, stats.in_flight, stats.peak_in_flight) == (60, 60, 0, 60)
    assert stats.by_model == {FLASH: 30, LITE: 30}
    assert stats.by_outcome == {"ok": 60}
    used = [answer.usage_metadata for answer in answers if answer.usage_metadata]
    assert stats.candidates_tokens == sum(usage.candidates_token_count or 0 for usage in used)
    assert stats.thoughts_tokens == sum(usage.thoughts_token_count or 0 for usage in used)
    assert started <= (stats.first_call_at or 0) <= (stats.last_call_at or 0) <= time.time()


async def test_the_peak_is_the_callers_limit(client, control):
    """The peak of a caller with five concurrent calls is five."""
    control.set_faults(latency=0.3)
    slots = asyncio.Semaphore(5)

    async def one(number: int) -> None:
        async with slots:
            await ask(client, f"Village {number}")

    await asyncio.gather(*(one(number) for number in range(20)))
    assert control.stats().peak_in_flight == 5


async def test_a_slow_answer_takes_ten_times_as_long(client, control):
    """With a rate of one each answer takes ten latencies, with a rate of zero one."""
    control.set_faults(latency=0.03, slow=1.0)
    began = time.monotonic()
    await ask(client)
    assert time.monotonic() - began >= 0.3
    assert control.stats().by_outcome == {"ok": 1}


async def test_a_call_above_the_ceiling_is_refused_at_once(client, control):
    """With a ceiling of ten, ten of thirty concurrent calls are answered and twenty are refused with a bare 429."""
    control.set_faults(latency=2.0, max_in_flight=10)
    outcomes = await asyncio.gather(*(ask(client, f"Village {number}") for number in range(30)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, errors.ClientError)]
    assert len(refused) == 20
    assert {(error.code, "details" in error.details["error"]) for error in refused} == {(429, False)}
    assert control.stats().by_outcome == {"ok": 10, "ceiling": 20}


@pytest.mark.parametrize(("quota", "window"), [("minute", "PerMinute"), ("day", "PerDay")])
async def test_a_used_up_quota_is_named_until_its_window_is_over(client, control, quota, window):
    """A call beyond the quota gets its id and the time to wait; after that time calls are accepted again."""
    control.set_faults(**{f"requests_per_{quota}": 3, quota: 3.0})
    for number in range(3):
        await ask(client, f"Village {number}")
    with pytest.raises(errors.ClientError) as refused:
        await ask(client)
    details = {detail["@type"].rsplit(".")[-1]: detail for detail in refused.value.details["error"]["details"]}
    assert details["QuotaFailure"]["violations"][0]["quotaId"] == f"GenerateRequests{window}PerProjectPerModel"
    await asyncio.sleep(float(details["RetryInfo"]["retryDelay"].rstrip("s")))
    await ask(client)
    assert control.stats().by_outcome == {"ok": 4, f"quota_{quota}": 1}


async def test_refused_requests_are_counted_by_their_reason(client, control, gemini):
    """Bad requests, bad keys and missing models count as calls."""
    with pytest.raises(errors.ClientError):
        await ask(client, presence_penalty=1.0)
    async with sdk(gemini, key="bad") as stranger:
        with pytest.raises(errors.ClientError):
            await ask(stranger)
    with pytest.raises(errors.ClientError):
        await client.aio.models.generate_content(model="gemini-none", contents="x")
    assert control.stats().by_outcome == {"invalid_argument": 1, "bad_key": 1, "model_missing": 1}


async def test_the_last_requests_can_be_read(client, control):
    """The bodies are stored unchanged, with position and outcome, and can be searched."""
    for name in ("Орлов", "Smith", "Орлова"):
        await ask(client, f"About {name}")
    assert [request.sequence for request in control.requests()] == [1, 2, 3]
    found = control.requests(limit=1, contains="Орлов")
    assert [(request.sequence, request.model, request.outcome) for request in found] == [(3, FLASH, "ok")]
    assert isinstance(found[0].body, dict)
    assert "responseJsonSchema" in str(found[0].body["generationConfig"])


async def test_a_reset_restores_the_initial_state(client, control):
    """Counts, faults, stored requests and cache are as after the start."""
    control.set_faults(requests_per_day=1)
    await ask(client)
    control.reset()
    assert control.stats().calls == 0
    assert control.requests() == []
    assert control.faults().requests_per_day is None
    await ask(client)


async def test_an_abandoned_call_is_not_in_flight_any_more(gemini, control):
    """A call ends at once when its caller closes the connection during the latency."""
    control.set_faults(latency=60)
    async with sdk(gemini) as client:
        call = asyncio.create_task(ask(client))
        await asyncio.to_thread(control.wait_until, lambda stats: stats.in_flight == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    stats = await asyncio.to_thread(control.wait_until, lambda stats: stats.in_flight == 0)
    assert stats.by_outcome == {"client_gone": 1}
