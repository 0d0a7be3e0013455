"""The fleet's rate limits on a real MongoDB: a refusal lowers the ceiling, successes raise it, and a demanded wait applies to
all."""

import asyncio
import time

import pytest

from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gateway.slot_shares import SUCCESSES_PER_INCREASE
from resources.mongodb.connection import connect_async
from tests.support.slots_tools import Gauge, backlog
from tests.support.waiting import PATIENCE_S, until


@pytest.fixture
async def fleet(mongodb_uri, mongo_database_name):
    async with connect_async(mongodb_uri) as client:
        yield client[mongo_database_name].fleet


@pytest.fixture
async def make(fleet):
    made = []

    def one(holder, *, limit=16):
        made.append(ConcurrencyLimiter(fleet, "llm", limit=limit, lease_seconds=30, holder=holder, rise_seconds=600))
        return made[-1]

    yield one
    for slots in made:
        await slots.aclose()


async def one_call(slots):
    async with slots.slot(0):
        return time.monotonic()


async def test_a_burst_of_refusals_lowers_the_ceiling_once_for_the_whole_fleet(make):
    """Refusals of calls that were in flight together, in two processes, lower it by a quarter; a later refusal by the next
    quarter."""
    first, second = make("a"), make("b")
    together = min(await one_call(first), await one_call(second))
    for slots in (first, second) * 5:
        slots.limited(started_at=together, retry_after=None)
    await until(lambda: first.ceiling == 12)
    await one_call(second)
    await until(lambda: second.ceiling == 12)
    first.limited(started_at=await one_call(first), retry_after=None)
    await until(lambda: first.ceiling == 9)


async def test_a_lowered_ceiling_is_kept_even_with_a_backlog(make):
    """A busy process reduces its calls to the lowered ceiling: it uses no slot above it again."""
    slots, gauge = make("a"), Gauge()
    async with backlog(slots, 40, gauge=gauge) as callers:
        await until(lambda: slots.queue.in_use == 16)
        slots.limited(started_at=time.monotonic(), retry_after=None)
        await until(lambda: slots.ceiling == 12 and slots.queue.in_use == 12)
        gauge.most, before = 0, callers.calls
        await until(lambda: callers.calls >= before + 120)
    assert gauge.most == 12


async def test_the_ceiling_never_falls_below_one(make, fleet):
    """However often the provider refuses, one call at a time is made."""
    slots, other = make("a", limit=1), make("b", limit=1)
    for _ in range(3):
        slots.limited(started_at=await one_call(slots), retry_after=0.1)
        await until(lambda: slots.queue.in_use == 0)
        await asyncio.wait_for(one_call(slots), timeout=PATIENCE_S)
        await asyncio.wait_for(one_call(other), timeout=PATIENCE_S)


async def test_twenty_five_successes_raise_a_lowered_ceiling_by_one_up_to_the_limit(make):
    """The ceiling rises one by one and stops at the limit."""
    slots = make("a", limit=4)
    slots.limited(started_at=await one_call(slots), retry_after=None)
    await until(lambda: slots.ceiling == 3)
    for _ in range(SUCCESSES_PER_INCREASE - 1):
        slots.succeeded()
    await asyncio.sleep(0.1)
    assert slots.ceiling == 3
    slots.succeeded()
    await until(lambda: slots.ceiling == 4)
    for _ in range(SUCCESSES_PER_INCREASE):
        slots.succeeded()
    await asyncio.sleep(0.1)
    assert slots.ceiling == 4


async def test_a_demanded_wait_applies_to_the_other_processes_too(make):
    """After a refusal with a wait no process makes a call before it is over, and all do right after it."""
    first, second = make("a"), make("b")
    demanded_at = await one_call(first)
    first.limited(started_at=demanded_at, retry_after=1.0)
    await until(lambda: first.ceiling == 12)
    for called_at in await asyncio.gather(one_call(first), one_call(second)):
        assert 0.95 <= called_at - demanded_at < 1.5
