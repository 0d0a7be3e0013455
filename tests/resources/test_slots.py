"""Slots of one process and of two on a real MongoDB: turns, leases, outages, and the number of database commands."""

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandListener

from resources.gateway.concurrency import ConcurrencyLimiter
from resources.mongodb.connection import connect_async
from tests.support.slots_tools import Gauge, MongoWay, backlog
from tests.support.waiting import PATIENCE_S, until

LONG = 30.0
"""Seconds of a lease that does not end during a test."""


class Updates(CommandListener):
    """Counts the writes."""

    def __init__(self):
        self.count = 0

    def started(self, event):
        self.count += event.command_name in ("findAndModify", "update")

    def succeeded(self, event):
        pass

    def failed(self, event):
        pass


class Late:
    """The collection, with answers that a test delays."""

    def __init__(self, collection):
        self._collection = collection
        self.through, self.asked = asyncio.Event(), asyncio.Event()
        self.through.set()

    async def find_one_and_update(self, *arguments, **options):
        found = await self._collection.find_one_and_update(*arguments, **options)
        self.asked.set()
        await self.through.wait()
        return found

    async def update_one(self, *arguments, **options):
        return await self._collection.update_one(*arguments, **options)


@pytest.fixture
async def fleet(mongodb_uri, mongo_database_name):
    async with connect_async(mongodb_uri) as client:
        yield client[mongo_database_name].fleet


@pytest.fixture
async def make(fleet):
    made = []

    def one(holder="a", *, limit=8, lease_seconds=LONG, collection=None):
        slots = ConcurrencyLimiter(
            fleet if collection is None else collection, "llm", limit=limit, lease_seconds=lease_seconds, holder=holder
        )
        made.append(slots)
        return slots

    yield one
    for slots in made:
        await slots.aclose()


async def take(slots, number=1):
    """Take this number of slots and return the function that releases them."""
    stack = AsyncExitStack()
    for _ in range(number):
        await stack.enter_async_context(slots.slot(0))
    return stack


async def test_waiting_calls_get_slots_by_lowest_priority_then_longest_wait(make):
    """Turns are by priority, and among equals by arrival."""
    slots, order = make(limit=1), []

    async def caller(priority, name):
        async with slots.slot(priority):
            order.append(name)

    first = await take(slots)
    async with asyncio.TaskGroup() as group:
        for priority, name in [(2, "late"), (1, "second"), (1, "third"), (0, "first")]:
            group.create_task(caller(priority, name))
        await until(lambda: slots.queue.waiting == 4)
        await first.aclose()
    assert order == ["first", "second", "third", "late"]


async def test_a_cancelled_wait_frees_its_place_and_its_slot(make):
    """Callers that are cancelled while they wait, or at the moment of their turn, leave all slots to the others."""
    slots = make(limit=2)
    held = await take(slots, 2)
    waiting = [asyncio.create_task(take(slots)) for _ in range(6)]
    await until(lambda: slots.queue.waiting == 6)
    for task in waiting[:3]:
        task.cancel()
    turns = held.pop_all()
    await turns.aclose()  # two callers have their turn and do not know it yet
    for task in waiting[3:]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert (slots.queue.in_use, slots.queue.waiting) == (0, 0)
    both = await asyncio.wait_for(take(slots, 2), timeout=PATIENCE_S)
    await both.aclose()


async def test_a_second_process_gets_half_of_the_slots_of_a_busy_first_one(make):
    """Two processes with endless backlogs get about half of the slots each, and together never more than all."""
    gauge = Gauge()
    first, second = make("a"), make("b")
    async with backlog(first, 20, gauge=gauge):
        await until(lambda: first.queue.in_use == 8)
        async with backlog(second, 20, gauge=gauge):
            await until(lambda: second.queue.may_use == 4 and first.queue.in_use == 4)
    assert gauge.most == 8


async def test_with_more_processes_than_slots_every_process_gets_turns(make):
    """With two slots and five busy processes none starves: each one makes calls repeatedly."""
    gauge = Gauge()
    async with AsyncExitStack() as stack:
        all_of_them = [await stack.enter_async_context(backlog(make(name, limit=2), 3, gauge=gauge)) for name in "abcde"]
        await until(lambda: min(callers.calls for callers in all_of_them) >= 3)
    assert gauge.most <= 2


async def test_slots_that_one_process_does_not_need_go_to_another_at_once(make, monkeypatch):
    """A slot that is released while another process waits moves within a few polls (0.1 s each), not at the next renewal."""
    monkeypatch.setattr("resources.gateway.concurrency.RENEW_SECONDS", 3_600.0)
    first, second = (make(holder, lease_seconds=36_000.0) for holder in "ab")
    everything = await take(first, 8)
    waiting = asyncio.create_task(take(second, 4))
    await until(lambda: second._requested)
    first._changed.set()  # like at a renewal
    await until(lambda: first._others_short)
    await everything.aclose()
    half = await asyncio.wait_for(waiting, timeout=PATIENCE_S)
    await half.aclose()


async def test_the_slots_of_a_dead_process_are_free_when_its_lease_ends_and_not_before(fleet, make):
    """A process that no longer renews keeps its slots exactly as long as its lease."""
    dead = ConcurrencyLimiter(fleet, "llm", limit=2, lease_seconds=1.5, holder="dead")
    leased = time.monotonic()
    await take(dead, 2)
    assert dead._renewer is not None
    dead._renewer.cancel()  # dies at this moment: it releases and renews nothing any more
    heir = await asyncio.wait_for(take(make("heir", limit=2), 2), timeout=PATIENCE_S)
    assert time.monotonic() - leased >= 1.5
    await heir.aclose()


async def test_closing_releases_all_slots_at_once(fleet, make):
    """A process that ends in order leaves no lease."""
    slots = make("a")
    held = await take(slots, 8)
    await held.aclose()
    await slots.aclose()
    assert (await fleet.find_one({"_id": "slots:llm"}))["holders"] == []


async def test_a_changed_limit_applies_at_once(make):
    """A process that starts with a raised limit may use all of it: the former limit is not a ceiling."""
    small = make("a", limit=2)
    held = await take(small, 2)
    await held.aclose()
    await small.aclose()
    all_ten = await asyncio.wait_for(take(make("b", limit=10), 10), timeout=PATIENCE_S)
    await all_ten.aclose()


@pytest.mark.parametrize("limit", [2, 200])
async def test_the_number_of_updates_does_not_grow_with_the_slots_or_the_calls(mongodb_uri, mongo_database_name, make, limit):
    """A second of calls takes a few updates, with two slots or two hundred."""
    updates, began = Updates(), time.monotonic()
    async with AsyncMongoClient(mongodb_uri, event_listeners=[updates]) as client:
        slots = make(limit=limit, collection=client[mongo_database_name].fleet)
        async with backlog(slots, limit * 2, seconds=0.05) as callers:
            await asyncio.sleep(2)
            await until(lambda: callers.calls >= limit * 10)
            assert updates.count <= 3 * (time.monotonic() - began)
        await slots.aclose()


async def test_callers_wait_during_an_outage_of_mongodb(mongodb_uri, mongo_database_name, make):
    """During an outage of MongoDB waiting callers continue to wait; after it they get their slots."""
    async with MongoWay(mongodb_uri) as way, AsyncMongoClient(way.uri, timeoutMS=300) as client:
        slots = make(collection=client[mongo_database_name].fleet)
        await (await take(slots)).aclose()
        way.close()
        late = asyncio.create_task(take(slots, 8))
        await asyncio.sleep(1)
        assert not late.done()
        way.open()
        await (await asyncio.wait_for(late, timeout=PATIENCE_S)).aclose()
        await slots.aclose()


async def test_an_error_of_the_renewer_reaches_waiting_callers(fleet, make):
    """If the document is damaged, a caller gets an error instead of waiting for ever."""
    later = datetime.now(UTC) + timedelta(hours=1)
    await fleet.insert_one({"_id": "slots:llm", "holders": [{"id": "x", "share": "many", "expires_at": later}]})
    with pytest.raises(ValidationError, match="share"):
        await asyncio.wait_for(take(make()), timeout=PATIENCE_S)


async def test_a_released_slot_is_not_used_again_before_the_fleet_has_answered(make, fleet):
    """Two processes together never hold more than the limit, although new calls arrive while the shares are being changed."""
    late, limit = Late(fleet), 8
    giving, wanting = make("giving", limit=limit, collection=late), make("wanting", limit=limit)
    held = [await take(giving) for _ in range(limit)]
    waiting = [asyncio.create_task(take(wanting)) for _ in range(limit)]
    await until(lambda: wanting.queue.waiting == limit)
    late.asked.clear()
    await late.asked.wait()  # it knows that others need slots
    late.asked.clear()
    late.through.clear()
    for one in held[1:]:
        await one.aclose()
    await late.asked.wait()
    more = [asyncio.create_task(take(giving)) for _ in range(limit)]
    await until(lambda: giving.queue.waiting + giving.queue.in_use == limit + 1)
    await until(lambda: wanting.queue.in_use > 0)
    assert giving.queue.in_use + wanting.queue.in_use <= limit
    late.through.set()
    for task in (*waiting, *more):
        task.cancel()
    for got in await asyncio.gather(*waiting, *more, return_exceptions=True):
        if isinstance(got, AsyncExitStack):
            await got.aclose()
    await held[0].aclose()
