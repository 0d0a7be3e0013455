"""Each fault of the platform emulator, seen by a plain gRPC client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import requests

from emulators.platform.faults import CODES
from tests.support.platform_caller import Caller, caller
from tests.support.waiting import PATIENCE_S


@pytest.fixture
async def me(platform: tuple[str, str]) -> AsyncIterator[Caller]:
    async with caller(platform) as made:
        yield made


async def code_of(creating: Caller, **fields: Any) -> str:
    """The code that a create ends with."""
    try:
        await creating.character(**fields)
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


async def test_an_error_code_is_returned_before_any_work(me: Caller) -> None:
    """The call ends with the code, and nothing is created."""
    for fault in CODES:
        me.control.set_faults(rates={fault: 1})
        assert await code_of(me) == fault.upper()
    assert len(CODES) == 16
    assert me.control.stats().characters == 0


@pytest.mark.parametrize(
    ("fault", "code", "made"),
    [
        ("reset", "UNAVAILABLE", 0),
        ("lost_reset", "UNAVAILABLE", 1),
        ("lost_unavailable", "UNAVAILABLE", 1),
        ("lost_internal", "INTERNAL", 1),
    ],
)
async def test_an_answer_is_lost_after_or_before_the_work(me: Caller, fault: str, code: str, made: int) -> None:
    """After a lost answer the object exists; after a reset before the work it does not. The next call succeeds."""
    me.control.set_faults(rates={fault: 1})
    assert await code_of(me) == code
    assert me.control.stats().characters == made
    me.control.set_faults(rates={})
    await me.channel.channel_ready()  # gRPC pauses after a connection that was reset while it began, and refuses calls meanwhile
    assert await code_of(me) == "OK"


async def test_a_reset_ends_every_call_of_the_connection(me: Caller) -> None:
    """The TCP connection itself is reset: other calls in flight on it end, too."""
    me.control.set_faults(rates={"slow": 1}, slow_seconds=30)
    waiting = asyncio.create_task(code_of(me))
    await asyncio.to_thread(me.control.wait_until, lambda stats: stats.in_flight == 1)
    me.control.set_faults(rates={"reset": 1})
    assert await code_of(me) == "UNAVAILABLE"
    assert await asyncio.wait_for(waiting, PATIENCE_S) == "UNAVAILABLE"


@pytest.mark.parametrize(("fault", "at_once", "later"), [("slow", 0, 0), ("slow_committed", 1, 1), ("slow_commits_late", 0, 1)])
async def test_a_slow_call_may_commit_before_the_deadline_after_it_or_never(
    me: Caller, fault: str, at_once: int, later: int
) -> None:
    """A caller whose deadline passes cannot distinguish them: the three have different results."""
    me.control.set_faults(rates={fault: 1}, slow_seconds=2.0)
    assert await code_of(me, seconds=0.5) == "DEADLINE_EXCEEDED"
    assert me.control.stats().characters == at_once
    await asyncio.to_thread(me.control.wait_until, lambda stats: stats.outcomes == {fault: 1})
    await asyncio.to_thread(me.control.wait_until, lambda stats: stats.characters >= later)
    assert me.control.stats().characters == later


async def test_faults_follow_from_the_seed_and_each_repetition_is_a_new_draw(me: Caller) -> None:
    """The same seed and requests get the same faults; a rate of a fifth hits about a fifth of the calls."""

    async def codes(seed: int) -> list[str]:
        me.control.reset()
        me.control.add_world(me.world_id)
        me.control.set_faults(seed=seed, rates={"unavailable": 0.2})
        return [await code_of(me, key=str(number % 20)) for number in range(100)]

    first = await codes(1)
    assert first == await codes(1)
    assert first != await codes(2)
    assert 8 <= first.count("UNAVAILABLE") <= 35
    assert len({first[number] for number in range(0, 100, 20)} | set(first)) == 2


async def test_faults_can_be_limited_to_methods_and_first_calls(me: Caller) -> None:
    """``methods`` and ``for_calls`` exclude all other calls."""
    me.control.set_faults(rates={"internal": 1}, methods=["CreateAIPost"])
    assert await code_of(me) == "OK"
    me.control.set_faults(methods=[], for_calls=2)
    assert [await code_of(me) for _ in range(2)] == ["INTERNAL", "OK"]


async def test_consul_without_a_passing_instance(me: Caller) -> None:
    """No instance passes: the first form of the query finds none, the second finds a critical one."""
    me.control.set_faults(rates={"no_instance": 1})
    url = f"{me.control.base_url}/v1/health/service/media-service"
    assert (await me.http.get(f"{url}?passing=true")).json() == []
    (entry,) = (await me.http.get(url)).json()
    assert entry["Checks"][0]["Status"] == "critical"
    me.control.set_faults(rates={"consul_500": 1})
    assert (await me.http.get(url)).status_code == 500


async def test_a_call_takes_the_latency(me: Caller) -> None:
    """An answer takes the latency, and the call is in flight meanwhile."""
    me.control.set_faults(latency=0.2)
    began = time.monotonic()
    assert await code_of(me) == "OK"
    assert time.monotonic() - began >= 0.2


def test_an_invalid_fault_is_refused(platform: tuple[str, str]) -> None:
    """An unknown fault or a rate above 1 is refused with its name."""
    for rates, named in (({"unavailabel": 0.5}, "unavailabel"), ({"unavailable": 2}, "less than or equal to 1")):
        answer = requests.patch(f"{platform[1]}/emulator/faults", json={"rates": rates}, timeout=PATIENCE_S)
        assert answer.status_code == 422
        assert named in answer.text
