"""S2: a lowered ceiling rises again: by the successes of the whole fleet, and by time without a refusal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from generia_assets.settings import Settings
from resources.gateway.concurrency import HOLD_SECONDS, RENEW_SECONDS, RISE_SECONDS, ConcurrencyLimiter
from resources.gateway.slot_shares import SUCCESSES_PER_INCREASE
from resources.mongodb.connection import connect_async
from tests.support.slots_tools import backlog
from tests.support.waiting import until

pytestmark = pytest.mark.case("S2")

LIMIT = 15
NEVER = 3600.0


@pytest.fixture
async def fleet(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[Any]:
    async with connect_async(mongodb_uri) as client:
        yield client[mongo_database_name].fleet


def process(fleet: Any, *, rise_seconds: float, limit: int = LIMIT) -> ConcurrencyLimiter:
    return ConcurrencyLimiter(fleet, "llm", limit=limit, lease_seconds=30, rise_seconds=rise_seconds, hold_seconds=0.0)


async def one_call(slots: ConcurrencyLimiter) -> float:
    async with slots.slot(0):
        began = time.monotonic()
    slots.succeeded()
    return began


async def fallen(fleet: Any) -> None:
    """Refuse every call until the ceiling is one."""
    slots = process(fleet, rise_seconds=NEVER)
    for _ in range(10):  # 0.75 to the tenth of 15 is less than one
        slots.limited(started_at=await one_call(slots), retry_after=None)
        await until(lambda: slots._refused_call is None)
    assert slots.ceiling == 1
    await slots.aclose()


async def ceiling_after(slots: ConcurrencyLimiter) -> int:
    """The fleet's ceiling, read by a process now."""
    await one_call(slots)
    return slots.ceiling


async def test_the_successes_of_small_worlds_are_summed(fleet: Any) -> None:
    """Worlds with too few calls to raise the ceiling alone, each in its own process, raise it together."""
    await fallen(fleet)
    for _ in range(5):
        slots = process(fleet, rise_seconds=NEVER)
        assert await ceiling_after(slots) == 1
        for _ in range(SUCCESSES_PER_INCREASE // 5 - 1):
            await one_call(slots)
        await slots.aclose()
    slots = process(fleet, rise_seconds=NEVER)
    assert await ceiling_after(slots) == 2
    await slots.aclose()


async def test_time_without_a_refusal_raises_the_ceiling(fleet: Any) -> None:
    """While calls are made the ceiling rises by one in each interval, and not faster, up to the limit."""
    await fallen(fleet)
    slots = process(fleet, rise_seconds=0.2, limit=6)
    slots._renew_seconds = 0.05
    began = time.monotonic()
    async with backlog(slots, 8, seconds=0.5):  # a few calls, far from 25 to a step
        await until(lambda: slots.queue.in_use > 0)  # the fleet has answered
        await until(lambda: slots.ceiling == 6)
    assert time.monotonic() - began >= 4 * 0.2
    await slots.aclose()


async def test_time_without_calls_does_not_raise_the_ceiling(fleet: Any) -> None:
    """While a fleet waits because the provider demanded it, its ceiling does not change."""
    slots = process(fleet, rise_seconds=0.1)
    slots._renew_seconds = 0.05
    slots.limited(started_at=await one_call(slots), retry_after=60.0)
    async with backlog(slots, 30):
        await until(lambda: slots.ceiling == 11)
        await asyncio.sleep(0.6)
        assert (slots.queue.in_use, slots.ceiling) == (0, 11)
    await slots.aclose()


def test_a_minute_of_calls_without_refusals_raises_the_ceiling_from_one_to_the_limit() -> None:
    """With the default intervals this also holds for a ceiling that was just found, and for calls too long to count."""
    steps = Settings(_env_file=None).llm_concurrency - 1
    assert HOLD_SECONDS + steps * (RISE_SECONDS + RENEW_SECONDS) <= 60
