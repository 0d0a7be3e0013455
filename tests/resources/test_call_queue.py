"""The calls of one process in the queue for its slots: which calls are near, which is next, and what happens when a call ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from resources.gateway.call_queue import AHEAD, CallQueue


class Line:
    """A queue with named calls: which are near, and in which order they got slots."""

    def __init__(self, may_use: int) -> None:
        self.open = True
        self.queue = CallQueue(lambda: self.open, lambda: None)
        self.queue.may_use = may_use
        self.near: list[str] = []
        self.served: list[str] = []
        self.done = asyncio.Event()
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def arrive(self, name: str, priority: int = 0) -> None:
        """Let a call arrive and proceed as far as it can."""
        self.tasks[name] = asyncio.create_task(self._call(name, priority))
        await settled()

    async def _call(self, name: str, priority: int) -> None:
        with self.queue.place(priority) as place:
            await place.near()
            self.near.append(name)
            await place.slot()
            self.served.append(name)
            await self.done.wait()

    async def end(self, name: str) -> None:
        """End a call, whether it has a slot or waits for one."""
        self.tasks[name].cancel()
        await settled()


async def settled() -> None:
    """Let every task proceed as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def line(may_use: int) -> AsyncIterator[Line]:
    """A queue whose calls all end at the end of the block."""
    made = Line(may_use)
    try:
        yield made
    finally:
        made.done.set()
        made.open, made.queue.may_use = True, 1_000
        made.queue.advance()
        await asyncio.gather(*made.tasks.values(), return_exceptions=True)
        assert (made.queue.calls, made.queue.near, made.queue.in_use) == (0, 0, 0)


@pytest.mark.parametrize(("slots", "ahead"), [(1, 1), (2 * AHEAD, 2)])
async def test_the_next_calls_prepare_while_all_slots_are_in_use(slots: int, ahead: int) -> None:
    """One call for every ``AHEAD`` slots, and at least one, is near without a slot; the others wait farther away."""
    async with line(slots) as calls:
        for number in range(slots + ahead + 3):
            await calls.arrive(str(number))
        assert (len(calls.served), len(calls.near)) == (slots, slots + ahead)


async def test_a_free_slot_goes_to_a_prepared_call_and_another_call_prepares() -> None:
    """When a call ends, the prepared call gets the slot at once, and the next one prepares."""
    async with line(1) as calls:
        for name in "abc":
            await calls.arrive(name)
        assert (calls.near, calls.served) == (["a", "b"], ["a"])
        await calls.end("a")
        assert (calls.near, calls.served) == (["a", "b", "c"], ["a", "b"])


async def test_a_call_with_a_higher_priority_waits_only_for_near_calls() -> None:
    """It overtakes every call that is farther away, also much earlier ones."""
    async with line(1) as calls:
        for name, priority in [("a", 5), ("near", 5), ("far", 5), ("urgent", 0)]:
            await calls.arrive(name, priority)
        await calls.end("a")
        await calls.end("near")
        assert calls.served == ["a", "near", "urgent"]


async def test_a_near_call_that_is_cancelled_frees_its_place() -> None:
    """Neither its near place nor its turn is lost."""
    async with line(1) as calls:
        for name in "abcd":
            await calls.arrive(name)
        await calls.end("b")
        await calls.end("a")
        assert calls.served == ["a", "c"]


async def test_the_turn_of_a_cancelled_call_goes_to_the_next() -> None:
    """A call that is cancelled at the moment of its turn leaves the slot to the next one."""
    async with line(1) as calls:
        for name in "abc":
            await calls.arrive(name)
        calls.tasks["b"].cancel()
        await calls.end("a")
        assert calls.served == ["a", "c"]


async def test_no_call_prepares_while_nothing_may_be_sent() -> None:
    """During a pause that the provider demanded, and without a lease, no further call prepares."""
    async with line(2) as calls:
        calls.open = False
        await calls.arrive("a")
        assert not calls.near
        calls.open = True
        calls.queue.advance()
        await settled()
        assert calls.served == ["a"]


async def test_an_error_ends_every_wait() -> None:
    """An error of the renewer is raised in the near calls and in the far ones."""
    async with line(1) as calls:
        for name in "abc":
            await calls.arrive(name)
        calls.queue.fail(ValueError("a bug"))
        ended = await asyncio.gather(calls.tasks["b"], calls.tasks["c"], return_exceptions=True)
        assert [str(error) for error in ended] == ["a bug", "a bug"]
