"""The circuit breaker: when it opens, how it probes, and what it counts."""

import asyncio
from contextlib import nullcontext

import pytest

from resources.gateway.breaker import Breaker, BreakerOpenError, BreakerState
from resources.gateway.outcomes import (
    BudgetExhaustedError,
    FatalCallError,
    InvalidAnswerError,
    ModelMissingError,
    RateLimitedError,
    RefusedError,
    TransientError,
)
from resources.settings import GatewaySettings

OPEN_SECONDS = 0.1


class Clock:
    """The time of the breakers, set by the test."""

    now = 0.0

    def monotonic(self):
        return self.now


class Api:
    """An API that is up or down, and counts its calls."""

    def __init__(self):
        self.down = False
        self.reached = 0
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self):
        self.reached += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        if self.down:
            raise TransientError("503")
        return "answer"


async def call(breaker, send):
    with breaker.attempt():
        return await send()


def raising(error):
    async def send():
        raise error

    return send


@pytest.fixture
def api():
    return Api()


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The seconds that the breakers believe to be now."""
    made = Clock()
    monkeypatch.setattr("resources.gateway.breaker.time", made)
    return made


@pytest.fixture
def changes():
    return []


@pytest.fixture
async def breaker(changes):
    config = GatewaySettings(
        breaker_window_calls=10,
        breaker_minimum_calls=4,
        breaker_open_seconds=OPEN_SECONDS,
        breaker_open_max_seconds=0.4,
    )
    return Breaker("llm", config, lambda state, probe_in: changes.append((state, probe_in)))


async def opened(breaker, api):
    api.down = True
    while breaker.state is BreakerState.CLOSED:
        with pytest.raises(TransientError):
            await call(breaker, api)
    api.reached = 0


async def after_open_time(breaker, api, clock):
    """Call until the breaker allows the probe, and return how long that took."""
    began = clock.now
    while True:
        try:
            await call(breaker, api)
        except BreakerOpenError as refused:
            clock.now += refused.retry_in
            continue
        except TransientError:
            pass
        return clock.now - began


async def test_it_opens_at_the_configured_share_of_failures(breaker, api):
    """While fewer than half of the calls fail it stays closed; at half it opens, and no call reaches the API."""
    for down in (False, False, False, True, True):
        api.down = down
        with pytest.raises(TransientError) if down else nullcontext():
            await call(breaker, api)
    assert breaker.state is BreakerState.CLOSED
    api.down = True
    with pytest.raises(TransientError, match="503"):
        await call(breaker, api)
    assert breaker.state is BreakerState.OPEN
    reached = api.reached
    with pytest.raises(BreakerOpenError, match=r"llm is not answering.*503") as refused:
        await call(breaker, api)
    assert api.reached == reached
    assert 0 < refused.value.retry_in <= OPEN_SECONDS


async def test_too_few_calls_prove_nothing(breaker, api):
    """Three failures of three calls do not open a breaker that needs four calls."""
    api.down = True
    for _ in range(3):
        with pytest.raises(TransientError):
            await call(breaker, api)
    assert breaker.state is BreakerState.CLOSED


async def test_of_thirty_callers_one_is_the_probe(breaker, api, clock):
    """In HALF-OPEN exactly one call at a time reaches the API; after its success all calls do."""
    await opened(breaker, api)
    api.down, api.most_at_once = False, 0
    clock.now += OPEN_SECONDS
    answers = await asyncio.gather(*(call(breaker, api) for _ in range(30)), return_exceptions=True)
    assert answers.count("answer") == api.reached == api.most_at_once == 1
    assert sum(isinstance(answer, BreakerOpenError) for answer in answers) == 29
    assert breaker.state is BreakerState.CLOSED
    assert await asyncio.gather(*(call(breaker, api) for _ in range(30))) == ["answer"] * 30


async def test_every_failed_probe_doubles_the_open_time_up_to_the_maximum(breaker, api, clock):
    """0.1 s, 0.2 s, 0.4 s, and never more than the configured maximum."""
    await opened(breaker, api)
    assert [await after_open_time(breaker, api, clock) for _ in range(4)] == pytest.approx([0.1, 0.2, 0.4, 0.4])


@pytest.mark.parametrize(
    "error",
    [
        RateLimitedError("429"),
        RefusedError("no", reason="SAFETY"),
        InvalidAnswerError("not JSON"),
        ModelMissingError("404"),
        FatalCallError("400"),
        BudgetExhaustedError("spent"),
        ValueError("a mistake of ours"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_only_a_failure_of_the_provider_opens_it(breaker, error):
    """Refusals, 429s and errors of our own are raised unchanged and never open the breaker."""
    for _ in range(12):
        with pytest.raises(type(error)) as raised:
            await call(breaker, raising(error))
        assert raised.value is error
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("how", ["no budget", "cancelled"])
async def test_a_probe_that_never_reached_the_api_proves_nothing(breaker, api, clock, how):
    """A probe that was not sent leaves the breaker half-open, and the next call is the probe."""
    await opened(breaker, api)
    clock.now += OPEN_SECONDS
    if how == "cancelled":
        probe = asyncio.create_task(call(breaker, asyncio.Event().wait))
        await asyncio.sleep(0)
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
    else:
        with pytest.raises(BudgetExhaustedError):
            await call(breaker, raising(BudgetExhaustedError("spent")))
    assert breaker.state is BreakerState.HALF_OPEN
    with pytest.raises(TransientError, match="503"):
        await call(breaker, api)
    assert breaker.state is BreakerState.OPEN


async def test_each_new_state_is_reported_once(breaker, api, clock, changes):
    """The listener gets opening, probing and closing, in this order, and the time of the next probe."""
    for _ in range(2):  # the second outage begins with the shortest open time again
        changes.clear()
        await opened(breaker, api)
        for _ in range(3):
            await after_open_time(breaker, api, clock)
        api.down = False
        await after_open_time(breaker, api, clock)
        probing, closed = (BreakerState.HALF_OPEN, 0.0), (BreakerState.CLOSED, 0.0)
        opens = [(BreakerState.OPEN, seconds) for seconds in (0.1, 0.2, 0.4, 0.4)]
        assert changes == [entry for opening in opens for entry in (opening, probing)] + [closed]
