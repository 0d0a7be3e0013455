"""Calls that hang are abandoned before their time-out, and slow ones are not while everything is slow."""

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
from tests.resources.test_outside import RecordingLedger

TIME_OUT = 1.0


def known(seconds: float, answers: int = LEAST_ANSWERS, type_: str = "post") -> Deadlines:
    """What is known after so many answers that took so long."""
    made = Deadlines()
    made._seconds[type_].extend([seconds] * answers)
    return made


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines after 0.3 s where answers take 0.1 s."""
    monkeypatch.setattr(deadlines, "SHORTEST_SECONDS", 0.0)
    monkeypatch.setattr(deadlines, "LOOK_SECONDS", 0.01)


async def ended(made: Deadlines, seconds: float, *, abandoned: int = 0, time_out: float = 60.0) -> str:
    """How a call ends that would be answered after so long: answered, abandoned, late."""
    try:
        async with asyncio.timeout(time_out) as limit:
            with CallWatch(made, "post", limit, abandoned) as watch:
                await asyncio.sleep(seconds)
    except TimeoutError:
        return "abandoned" if watch.abandoned else "late"
    return "answered"


def test_the_deadline_follows_the_durations_of_a_type_and_is_never_short() -> None:
    """Three times the 95th percentile, at least ten seconds; a third of the time-out while too little is known of a type."""
    assert known(8.0).seconds("post", 120) == FACTOR * 8.0
    assert known(0.5).seconds("post", 120) == SHORTEST_SECONDS
    assert known(8.0, LEAST_ANSWERS - 1).seconds("post", 120) == 40.0
    assert known(8.0).seconds("plan", 120) == 40.0


def test_a_tail_of_one_in_twenty_does_not_raise_the_deadline_and_more_do() -> None:
    """Abandoned calls count with their time: a model of which more calls become slow gets the time that they need."""
    made = known(5.0, 190)
    made._seconds["post"].extend([15.0] * 10)
    assert made.seconds("post", 120) == 15.0
    made._seconds["post"].append(15.0)
    assert made.seconds("post", 120) == 45.0


def test_a_process_knows_the_durations_of_earlier_ones() -> None:
    """The first calls of a world have a deadline where earlier worlds were made."""
    before, after = known(8.0), Deadlines()
    after.learn(before.known)
    assert after.seconds("post", 120) == before.seconds("post", 120)


@pytest.mark.case("A26")
async def test_a_call_that_others_overtake_is_abandoned_at_its_deadline(soon: None) -> None:
    """It hangs, and calls that were sent after it are answered."""
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
async def test_when_every_call_becomes_slow_at_once_none_is_abandoned_that_others_were_sent_after(soon: None) -> None:
    """Ten times as slow from one moment to the next: those that are sent after a call are answered no faster than it."""
    made = known(0.02)
    calls = [asyncio.create_task(ended(made, 0.2)) for _ in range(15)]
    assert [await call for call in calls[:-1]] == ["answered"] * 14
    await calls[-1]  # nothing was sent after it: it may be abandoned


async def test_the_last_call_of_all_is_abandoned_at_its_deadline(soon: None) -> None:
    """No other call is sent that could tell whether everything is slow; a call that hangs must not hold up the end of a world."""
    assert await ended(known(0.02), 60) == "abandoned"


async def test_the_next_attempt_at_an_abandoned_call_has_longer(soon: None) -> None:
    """So that an answer that takes long comes in the end."""
    assert await ended(known(0.1), 0.6) == "abandoned"
    assert await ended(known(0.1), 0.6, abandoned=1) == "answered"


@pytest.mark.slow
async def test_while_too_little_is_known_the_second_attempt_has_the_whole_time_out(soon: None) -> None:
    """The first calls of a new installation are abandoned at most once, whatever they take."""
    assert await ended(Deadlines(), TIME_OUT + 1, time_out=TIME_OUT) == "abandoned"
    assert await ended(Deadlines(), TIME_OUT + 1, abandoned=1, time_out=TIME_OUT) == "late"


@pytest.fixture
async def policy(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[ApiPolicy]:
    async with connect_async(mongodb_uri) as client:
        slots = ConcurrencyLimiter(client[mongo_database_name].fleet, "llm", limit=4, lease_seconds=30)
        yield ApiPolicy(slots, Breaker("llm", GatewaySettings(), lambda state, probe_in: None), deadlines=known(0.02))
        await slots.aclose()


async def test_an_abandoned_call_counts_at_its_worst_and_is_made_again(
    policy: ApiPolicy, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been billed. Its world is not reported as waiting for the API, which answers others."""
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
