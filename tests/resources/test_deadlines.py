"""Hanging calls are abandoned before their time-out, and slow calls are not while all calls are slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from resources.gateway import deadlines, waits
from resources.gateway.api_gateway import ApiGateway, ApiPolicy
from resources.gateway.breaker import Breaker
from resources.gateway.calls import Answer, Api, Call
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gateway.deadlines import FACTOR, LEAST_ANSWERS, SHORTEST_SECONDS, CallWatch, Deadlines
from resources.mongodb.connection import connect_async
from resources.settings import GatewaySettings
from tests.support.gateway_calls import RecordingLedger

TIME_OUT = 1.0


def known(seconds: float, answers: int = LEAST_ANSWERS, type_: str = "post") -> Deadlines:
    """The durations known after this number of answers that took this long."""
    made = Deadlines()
    made._seconds[type_].extend([seconds] * answers)
    return made


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines after 0.3 s for answers that take 0.1 s."""
    monkeypatch.setattr(deadlines, "SHORTEST_SECONDS", 0.0)
    monkeypatch.setattr(deadlines, "LOOK_SECONDS", 0.01)


async def ended(made: Deadlines, seconds: float, *, abandoned: int = 0, time_out: float = 60.0) -> str:
    """How a call with this duration ends: answered, abandoned, late."""
    try:
        async with asyncio.timeout(time_out) as limit:
            with CallWatch(made, "post", limit, abandoned) as watch:
                await asyncio.sleep(seconds)
    except TimeoutError:
        return "abandoned" if watch.abandoned else "late"
    return "answered"


def test_the_deadline_follows_the_durations_of_a_type_and_is_never_short() -> None:
    """Three times the 95th percentile, at least ten seconds; a third of the time-out while a type has too few durations."""
    assert known(8.0).seconds("post", 120) == FACTOR * 8.0
    assert known(0.5).seconds("post", 120) == SHORTEST_SECONDS
    assert known(8.0, LEAST_ANSWERS - 1).seconds("post", 120) == 40.0
    assert known(8.0).seconds("plan", 120) == 40.0


def test_a_tail_of_one_in_twenty_does_not_raise_the_deadline_but_more_slow_calls_do() -> None:
    """Abandoned calls count with their time: if more calls of a model become slow, the deadline becomes longer."""
    made = known(5.0, 190)
    made._seconds["post"].extend([15.0] * 10)
    assert made.seconds("post", 120) == 15.0
    made._seconds["post"].append(15.0)
    assert made.seconds("post", 120) == 45.0


def test_a_process_uses_the_durations_of_earlier_processes() -> None:
    """The first calls of a world have a deadline if earlier worlds were made."""
    before, after = known(8.0), Deadlines()
    after.learn(before.known)
    assert after.seconds("post", 120) == before.seconds("post", 120)


@pytest.mark.case("A26")
async def test_a_call_that_others_overtake_is_abandoned_at_its_deadline(soon: None) -> None:
    """The call hangs, and calls that were sent after it are answered."""
    made = known(0.1)
    hanging = asyncio.create_task(ended(made, 60))
    await asyncio.sleep(0)
    assert await ended(made, 0.01) == "answered"
    behind = asyncio.create_task(ended(made, 60))
    assert await hanging == "abandoned"
    behind.cancel()
    with suppress(asyncio.CancelledError):
        await behind


@pytest.mark.case("A26")
async def test_when_all_calls_become_slow_at_once_no_call_with_later_calls_is_abandoned(soon: None) -> None:
    """All calls become ten times as slow at one moment: later calls are not answered before earlier ones."""
    made = known(0.02)
    calls = [asyncio.create_task(ended(made, 0.2)) for _ in range(15)]
    assert [await call for call in calls[:-1]] == ["answered"] * 14
    await calls[-1]  # nothing was sent after it: it may be abandoned


async def test_the_last_call_is_abandoned_at_its_deadline(soon: None) -> None:
    """No later call can show whether all calls are slow; a hanging call must not delay the end of a world."""
    assert await ended(known(0.02), 60) == "abandoned"


async def test_the_next_attempt_of_an_abandoned_call_has_a_longer_deadline(soon: None) -> None:
    """A slow answer therefore arrives in the end."""
    assert await ended(known(0.1), 0.6) == "abandoned"
    assert await ended(known(0.1), 0.6, abandoned=1) == "answered"


@pytest.mark.slow
async def test_with_too_few_durations_the_second_attempt_has_the_whole_time_out(soon: None) -> None:
    """The first calls of a new installation are abandoned at most once, whatever their duration."""
    assert await ended(Deadlines(), TIME_OUT + 1, time_out=TIME_OUT) == "abandoned"
    assert await ended(Deadlines(), TIME_OUT + 1, abandoned=1, time_out=TIME_OUT) == "late"


@pytest.fixture
async def policy(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[ApiPolicy]:
    async with connect_async(mongodb_uri) as client:
        slots = ConcurrencyLimiter(client[mongo_database_name].fleet, "llm", limit=4, lease_seconds=30)
        yield ApiPolicy(slots, Breaker("llm", GatewaySettings(), lambda state, probe_in: None), deadlines=known(0.02))
        await slots.aclose()


async def test_an_abandoned_call_counts_at_its_worst_case_and_is_made_again(
    policy: ApiPolicy, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been billed. Its world is not reported as waiting, because the API answers other calls."""
    monkeypatch.setattr(waits, "FIRST_WAIT_SECONDS", 0.01)
    ledger, answers = RecordingLedger(), iter([60.0, 0.0])

    async def send() -> Answer[str]:
        await asyncio.sleep(next(answers))
        return Answer("value", {}, 0.01)

    made = Call(Api.LLM, "post", "task", 1, {}, send, worst_case_usd=0.5, timeout_seconds=60.0)
    assert await ApiGateway({Api.LLM: policy}, patience_seconds=60).call(made, ledger) == "value"
    ends = [(one.outcome, one.cost_usd, one.carried_out) for one in ledger.settlements]
    assert ends == [
        ("transient", 0.5, True),
        ("ok", 0.01, True),
    ]
    assert not [event for event in ledger.events if event.startswith("waiting")]
