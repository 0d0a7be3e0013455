"""Weighted shares of the slots on a real MongoDB: by priority, without starvation, and without unused slots."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from resources.gateway.api_gateway import ApiGateway, ApiPolicy
from resources.gateway.breaker import Breaker
from resources.gateway.calls import Api
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gateway.slot_shares import weight_of
from resources.mongodb.connection import connect_async
from resources.settings import GatewaySettings
from tests.support.slots_tools import Callers, Gauge, backlog
from tests.support.waiting import until

Make = Callable[..., ConcurrencyLimiter]


@pytest.fixture
async def make(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[Make]:
    async with connect_async(mongodb_uri) as client, AsyncExitStack() as stack:

        def one(holder: str, *, priority: int = 0, limit: int = 10) -> ConcurrencyLimiter:
            slots = ConcurrencyLimiter(client[mongo_database_name].fleet, "llm", limit=limit, lease_seconds=30, holder=holder)
            slots.weight = weight_of(priority)
            stack.push_async_callback(slots.aclose)
            return slots

        yield one


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes poll ten times as often."""
    monkeypatch.setattr("resources.gateway.concurrency.CONTENDED_SECONDS", 0.01)
    monkeypatch.setattr("resources.gateway.concurrency.RENEW_SECONDS", 0.1)


async def test_two_steps_of_priority_are_twice_the_slots(make: Make) -> None:
    """Of ten slots a process at priority 4 gets eight, another one at 0 gets two, and together never more than all."""
    gauge = Gauge()
    low, high = make("low"), make("high", priority=4)
    async with backlog(low, 20, gauge=gauge):
        await until(lambda: low.queue.in_use == 10)
        async with backlog(high, 20, gauge=gauge):
            await until(lambda: (low.queue.in_use, high.queue.in_use) == (2, 8))
    assert gauge.most == 10


async def test_slots_that_a_higher_priority_does_not_need_go_to_the_others(make: Make) -> None:
    """A process at 10 that needs two slots has two; two at 0 with backlogs have four each of the other eight."""
    high, low, other = make("high", priority=10), make("low"), make("other")
    async with backlog(low, 20), backlog(other, 20), backlog(high, 2):
        await until(lambda: (high.queue.in_use, low.queue.in_use, other.queue.in_use) == (2, 4, 4))


@pytest.mark.usefixtures("quick")
async def test_no_process_starves(make: Make) -> None:
    """While the calls of a process at 10 would fill all slots, those at 0 and at -10 get a slot repeatedly."""
    gauge = Gauge()
    async with AsyncExitStack() as stack:
        limiters = [make(f"p{priority}", priority=priority, limit=3) for priority in (10, 0, -10)]
        made = [await stack.enter_async_context(backlog(slots, 10, gauge=gauge)) for slots in limiters]
        await until(lambda: min(callers.calls for callers in made) >= 3)
    assert gauge.most <= 3


@pytest.mark.usefixtures("quick")
async def test_few_slots_rotate_by_weight(make: Make) -> None:
    """If no process's share is a whole slot, those at priority 4 get more turns than those at 0, and all get turns."""
    async with AsyncExitStack() as stack:
        high: list[Callers] = []
        low: list[Callers] = []
        for priority, made in ((4, high), (0, low)):
            for number in range(3):
                slots = make(f"{priority}-{number}", priority=priority, limit=1)
                made.append(await stack.enter_async_context(backlog(slots, 3, seconds=0.05)))
        await until(lambda: min(callers.calls for callers in low) >= 3)
        assert sum(callers.calls for callers in high) > 1.5 * sum(callers.calls for callers in low)


async def test_a_process_at_work_takes_another_priority_at_once(make: Make) -> None:
    """From the next renewal on the gateway's calls have the slots of the new priority."""
    low, changed = make("low"), make("changed")
    gateway = ApiGateway(
        {Api.LLM: ApiPolicy(changed, Breaker("llm", GatewaySettings(), lambda state, seconds: None))}, patience_seconds=1
    )
    async with backlog(low, 20), backlog(changed, 20):
        await until(lambda: (low.queue.in_use, changed.queue.in_use) == (5, 5))
        gateway.weigh(4)
        await until(lambda: (low.queue.in_use, changed.queue.in_use) == (2, 8))
