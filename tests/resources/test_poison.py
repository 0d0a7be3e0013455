"""The rule that distinguishes a poisonous call from an outage, in the gateway with real slots and breakers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import count

import pytest

from generia_assets.durable.calls.ledger import item_limits
from resources.gateway import waits
from resources.gateway.api_gateway import ApiGateway, ApiPolicy
from resources.gateway.breaker import Breaker, BreakerState
from resources.gateway.calls import CONTROL, Answer, Api, Call
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gateway.outcomes import CallError, FatalCallError, OutageTimeoutError, RateLimitedError, TransientError
from resources.gateway.poison import Suspicion, Tally
from resources.mongodb.connection import connect_async
from resources.settings import GatewaySettings
from tests.support.gateway_calls import RecordingLedger

Send = Callable[[], Awaitable[Answer[str]]]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(waits, "LONGEST_WAIT_SECONDS", 0.04)


@pytest.fixture
async def slots(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[ConcurrencyLimiter]:
    async with connect_async(mongodb_uri) as client:
        made = ConcurrencyLimiter(client[mongo_database_name].fleet, "llm", limit=20, lease_seconds=30)
        yield made
        await made.aclose()


@asynccontextmanager
async def a_way(slots: ConcurrencyLimiter, *, patience_seconds: float = 60.0) -> AsyncIterator[tuple[ApiGateway, ApiPolicy]]:
    config = GatewaySettings(
        breaker_open_seconds=0.05,
        breaker_open_max_seconds=0.1,
    )
    policy = ApiPolicy(slots, Breaker("llm", config, lambda state, probe_in: None))
    gateway = ApiGateway({Api.LLM: policy}, patience_seconds=patience_seconds)
    yield gateway, policy
    await gateway.aclose()


async def fine() -> Answer[str]:
    return Answer("value", {})


async def down() -> Answer[str]:
    raise TransientError("500")


async def slower() -> Answer[str]:
    raise RateLimitedError("429")


_asked = count(1)


async def seldom() -> Answer[str]:
    """Every tenth call is answered."""
    return await (slower() if next(_asked) % 10 else fine())


def a_call(send: Send, *, control: Send | None = None, timeout_seconds: float = 5.0) -> Call[str]:
    asked = None if control is None else partial(Call, Api.LLM, CONTROL, "task", 1, {}, control)
    return Call(Api.LLM, "post", "task", 1, {}, send, timeout_seconds=timeout_seconds, control=asked)


async def made(gateway: ApiGateway, call: Call[str]) -> str:
    """How a call ends: its value, or the outcome of its error."""
    try:
        return await gateway.call(call, RecordingLedger())
    except CallError as error:
        return error.outcome


@pytest.mark.parametrize(
    ("send", "control", "ends"),
    [
        pytest.param(down, fine, "poisonous", id="A2 alone, and its control is answered"),
        pytest.param(down, down, "outage", id="A2 alone, and its control is not answered"),
        pytest.param(down, None, "outage", id="A2 alone, without a control"),
        pytest.param(asyncio.Event().wait, fine, "poisonous", id="A2 no answer in time, and its control is answered"),
    ],
)
async def test_a_single_call_is_compared_with_its_control_call(
    slots: ConcurrencyLimiter, send: Send, control: Send | None, ends: str
) -> None:
    """The last call of a world fails if the API answers control calls; if it does not, or this is unknown, the call waits."""
    async with a_way(slots, patience_seconds=60.0 if ends == "poisonous" else 1.0) as (gateway, _):
        assert await made(gateway, a_call(send, control=control, timeout_seconds=0.05)) == ends


@pytest.mark.case("A2")
async def test_one_poisonous_call_neither_opens_the_breaker_nor_keeps_it_half_open(slots: ConcurrencyLimiter) -> None:
    """Its failures do not count against the API: other calls continue, and after an outage they close the breaker."""
    async with a_way(slots) as (gateway, policy):
        poisonous = asyncio.create_task(made(gateway, a_call(down, control=fine)))
        states = set()
        while not poisonous.done():
            assert await made(gateway, a_call(fine)) == "value"
            states.add(policy.breaker.state)
            await asyncio.sleep(0.005)  # calls that never wait would block the others
        assert poisonous.result() == "poisonous"
        assert states == {BreakerState.CLOSED}
        waiting = [asyncio.create_task(made(gateway, a_call(down, control=fine))) for _ in range(6)]
        assert [await one for one in waiting] == ["poisonous"] * 6
        assert await made(gateway, a_call(fine)) == "value"
        assert policy.breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize(
    ("others", "ends", "may_last"),
    [
        pytest.param(fine, "poisonous", False, id="A2 429 for this one only"),
        pytest.param(slower, "outage", False, id="A2 429 for everybody"),
        pytest.param(seldom, "outage", True, id="A2 429 for nearly everybody: bounded"),
    ],
)
async def test_a_call_that_never_fits_into_its_quota_fails_after_the_outage_timeout(
    slots: ConcurrencyLimiter, others: Callable[[], Awaitable[Answer[str]]], ends: str, may_last: bool
) -> None:
    """If others are answered, a call that only gets 429 is itself the cause; in a real shortage all calls wait."""
    async with a_way(slots, patience_seconds=3.0 if may_last else 1.0) as (gateway, _):
        large = asyncio.create_task(gateway.call(a_call(slower, control=fine), RecordingLedger()))
        while not large.done():
            with suppress(CallError, TimeoutError):
                await asyncio.wait_for(gateway.call(a_call(others), RecordingLedger()), 0.5)
            await asyncio.sleep(0.01)
        error = large.exception()
        assert isinstance(error, CallError)
        assert error.outcome == ends
        assert getattr(error, "may_last", False) is may_last


@pytest.mark.parametrize(
    ("others", "rounds", "proven"),
    [
        pytest.param("+", 2, False, id="A2 two failures may be chance"),
        pytest.param("+" * 30, 3, True, id="A2 three while thirty others are answered"),
        pytest.param("+", 4, True, id="A2 four while one other is answered each time"),
        pytest.param("+----", 10, False, id="A2 ten where four of five calls fail"),
        pytest.param("+----", 40, True, id="A2 forty where four of five calls fail"),
        pytest.param("-----", 100, False, id="A2 a hundred while nobody is answered"),
    ],
)
def test_the_number_of_failures_needed_depends_on_the_other_calls(others: str, rounds: int, proven: bool) -> None:
    """A call is poisonous if a normal call would hardly ever fail so often."""
    tally = Tally()
    call = Suspicion(tally)
    for number in range(rounds + 1):
        for ended in others if number else "":
            if ended == "+":
                tally.answer(control=False)
            else:
                tally.failed += 1
        tally.failed += 1
        call.failed()
    assert call.is_proven() is proven


@pytest.mark.case("S4")
async def test_a_refused_key_is_an_outage_if_it_was_answered_before_and_fatal_otherwise(slots: ConcurrencyLimiter) -> None:
    """The call waits for a key that was valid, and its suspension is marked as one that may last; a key that never was valid fails
    at once."""

    async def refused() -> Answer[str]:
        raise FatalCallError("401. Check GEMINI_API_KEY", may_heal=True)

    async with a_way(slots, patience_seconds=0.3) as (gateway, _):
        assert await made(gateway, a_call(refused)) == "fatal"
        assert await made(gateway, a_call(fine)) == "value"
        with pytest.raises(OutageTimeoutError, match=r"Check GEMINI_API_KEY") as ended:
            await gateway.call(a_call(refused), RecordingLedger())
        assert ended.value.may_last


@pytest.mark.parametrize(
    ("limit", "spare", "most"),
    [
        pytest.param(29, 0.25, 4, id="A18 a world of 5 and 10"),
        pytest.param(257, 0.25, 27, id="A18 a world of 25 and 150"),
        pytest.param(8, 0.25, 3, id="A18 a world of 1 and 1: enough for a fallback"),
        pytest.param(5, 0.25, 2, id="A18 a world of 1 and 0: all there is to spare"),
        pytest.param(6, 0.0, 1, id="A18 nothing to spare"),
    ],
)
def test_an_item_may_use_half_of_the_spare_calls(limit: int, spare: float, most: int) -> None:
    """In addition to its planned call; or two calls, if there are two."""
    assert item_limits({Api.LLM: limit}, spare) == {Api.LLM: most}
