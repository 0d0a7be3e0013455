"""A provider's hard ceiling below our limit, on a real MongoDB: found with few refusals, and kept."""

import asyncio
import time

import pytest

from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gateway.slot_shares import SUCCESSES_PER_INCREASE
from resources.mongodb.connection import connect_async
from tests.support.slots_tools import Gauge, backlog
from tests.support.waiting import until


@pytest.fixture
async def slots(mongodb_uri, mongo_database_name):
    async with connect_async(mongodb_uri) as client:
        made = ConcurrencyLimiter(client[mongo_database_name].fleet, "llm", limit=16, lease_seconds=30, rise_seconds=600)
        yield made
        await made.aclose()


async def test_the_slot_of_a_refused_call_is_not_given_to_the_next_one(slots):
    """Until the fleet has answered, a process with a refused call makes no more concurrent calls than those that were accepted."""
    gauge = Gauge()
    async with backlog(slots, 40, seconds=0.3, gauge=gauge):
        await until(lambda: slots.queue.in_use == 16)
        for _ in range(4):
            slots.limited(started_at=time.monotonic(), retry_after=None)
        assert slots.queue.may_use == 15  # the others are still in flight; each refused one removes its own place


async def lifted(slots):
    for _ in range(SUCCESSES_PER_INCREASE):
        slots.succeeded()
    await asyncio.sleep(0.1)


async def test_a_refusal_after_a_raised_ceiling_only_undoes_the_raise_and_is_remembered(slots):
    """If one more call is refused, the ceiling is known: it is kept, not reduced by a quarter, and not raised again at once."""
    async with backlog(slots, 40):
        await until(lambda: slots.queue.in_use == 16)
        slots.limited(started_at=time.monotonic(), retry_after=None)
        await until(lambda: slots.ceiling == 12)
        await lifted(slots)
        await until(lambda: slots.ceiling == 13)
        slots.limited(started_at=time.monotonic(), retry_after=None)
        await until(lambda: slots.ceiling == 12)
        await lifted(slots)
        assert slots.ceiling == 12


async def test_a_refusal_without_an_earlier_raise_reduces_the_ceiling_by_a_quarter(slots):
    """When the provider allows less than before, the ceiling falls at the usual rate."""
    async with backlog(slots, 40):
        await until(lambda: slots.queue.in_use == 16)
        for ceiling in (12, 9):
            slots.limited(started_at=time.monotonic(), retry_after=None)
            await until(lambda: slots.ceiling == ceiling)  # noqa: B023


class Provider:
    """Accepts this number of concurrent calls and refuses the others after a moment."""

    def __init__(self, slots, allowed, *, again_after=0.3):
        self.slots = slots
        self.allowed = allowed
        self.again_after = again_after
        self.now = self.refused = 0

    async def call(self):
        """Make one call until it is accepted."""
        while True:
            async with self.slots.slot(0):
                sent, self.now = time.monotonic(), self.now + 1
                refused = self.now > self.allowed
                await asyncio.sleep(0.01 * (self.now - self.allowed) if refused else 0.2)
                self.now -= 1
                if not refused:
                    self.slots.succeeded()
                    return
                self.refused += 1
                self.slots.limited(started_at=sent, retry_after=None)
            await asyncio.sleep(self.again_after)


@pytest.mark.case("A25")
async def test_a_burst_of_refusals_finds_the_ceiling_at_once(slots):
    """Of sixteen concurrent calls eight are refused, and no later one: eight stay in flight."""
    provider = Provider(slots, allowed=8)
    await asyncio.gather(*(provider.call() for _ in range(24)))
    assert (provider.refused, slots.ceiling) == (8, 8)


@pytest.mark.case("A25")
async def test_refusals_of_concurrent_calls_leave_at_least_half_of_the_ceiling(slots):
    """A used-up quota refuses every call; that says nothing about the allowed number of concurrent calls."""
    provider = Provider(slots, allowed=0, again_after=3600)
    calls = [asyncio.create_task(provider.call()) for _ in range(16)]
    await until(lambda: provider.refused == 16 and slots._refused_call is None)
    assert slots.ceiling == 8
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
