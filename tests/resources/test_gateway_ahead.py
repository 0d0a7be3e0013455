"""A call that waits for a slot reserves its budget ahead, and gives it back if it waits too long or must not be sent."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace

from resources.gateway import api_gateway
from resources.gateway.outcomes import TransientError
from tests.support.gateway_calls import OK, ONCE, RecordingLedger, call
from tests.support.waiting import until


async def in_line(gateway, slots, ledger):
    """The task of a call that has reserved and waits for a slot, and a function that ends the calls that have one."""
    done = asyncio.Event()

    async def slow():
        await done.wait()
        return OK

    before = [asyncio.create_task(gateway.call(call(slow), RecordingLedger())) for _ in range(4)]
    await until(lambda: slots.queue.in_use == 4)
    waiting = asyncio.create_task(gateway.call(call(OK, events=ledger.events), ledger))
    await until(lambda: ledger.events[:1] == ["reserve"])

    async def free():
        done.set()
        await asyncio.gather(*before)

    return waiting, free


async def test_the_next_call_has_reserved_when_a_slot_becomes_free(gateway, slots, ledger):
    """While all slots are in use it reserves, and it is sent without a second reservation as soon as a slot is free."""
    waiting, free = await in_line(gateway, slots, ledger)
    await free()
    assert await waiting == "value"
    assert ledger.events == [*ONCE, "answered"]


async def test_a_call_that_waits_long_gives_its_reservation_back_and_keeps_its_place(gateway, slots, ledger, monkeypatch):
    """A reservation ahead lasts at most ``AHEAD_SECONDS``; then the call reserves when it has its slot."""
    monkeypatch.setattr(api_gateway, "AHEAD_SECONDS", 0.05)
    waiting, free = await in_line(gateway, slots, ledger)
    await until(lambda: ledger.events == ["reserve", "finalize"])
    assert (ledger.settlements[0].carried_out, ledger.settlements[0].cost_usd) == (False, 0.0)
    await free()
    assert await waiting == "value"
    assert ledger.events == ["reserve", "finalize", *ONCE, "answered"]


async def test_while_calls_wait_long_for_slots_no_call_reserves_ahead(gateway, slots, ledger, monkeypatch):
    """After a call that gave its reservation back, the next one reserves when it has its slot."""
    monkeypatch.setattr(api_gateway, "AHEAD_SECONDS", 0.05)
    waiting, free = await in_line(gateway, slots, ledger)
    waited = []

    class Behind(RecordingLedger):
        async def reserve(self, call):
            waited.append(slots.queue.waiting)
            return await super().reserve(call)

    last = asyncio.create_task(gateway.call(call(OK), Behind()))
    await until(lambda: ledger.events == ["reserve", "finalize"])
    await free()
    assert [await waiting, await last] == ["value", "value"]
    assert waited == [0], "it has its slot when it reserves"


async def test_a_breaker_that_opens_meanwhile_gives_the_reservation_back(gateway, slots, breaker, ledger, monkeypatch):
    """The call with a reservation is not sent during an outage, and reserves again only when it is the probe."""
    clock = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr("resources.gateway.breaker.time", clock)
    waiting, free = await in_line(gateway, slots, ledger)
    for _ in range(10):
        with suppress(TransientError), breaker.attempt():
            raise TransientError("503")
    await free()
    await until(lambda: ledger.events[:2] == ["reserve", "finalize"])
    clock.monotonic = lambda: 60.0
    assert await waiting == "value"
    assert [one.outcome for one in ledger.settlements] == ["cut_off", "ok"]
