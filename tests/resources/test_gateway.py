"""The gateway, with real slots and breakers: the order of its steps and the handling of each outcome."""

import asyncio
import time

import pytest

from resources.gateway import waits
from resources.gateway.api_gateway import ApiGateway, ApiPolicy
from resources.gateway.breaker import BreakerState
from resources.gateway.calls import Answer, Api, TokenUsage
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gateway.outcomes import (
    BudgetExhaustedError,
    FatalCallError,
    InvalidAnswerError,
    LeaseLostError,
    ModelMissingError,
    OutageTimeoutError,
    RateLimitedError,
    RefusedError,
    TransientError,
)
from resources.gateway.waits import FIRST_WAIT_SECONDS
from resources.mongodb.connection import connect_async
from tests.support.gateway_calls import OK, ONCE, WORST, RecordingLedger, call
from tests.support.waiting import until


async def test_the_wait_and_the_duration_of_a_call_are_recorded_separately(mongodb_uri, mongo_database_name, breaker, ledger):
    """With one slot the second of two calls waits as long as the first one takes, and its own duration does not include the
    wait."""

    async def slow():
        await asyncio.sleep(0.3)
        return OK

    async with connect_async(mongodb_uri) as client:
        slots = ConcurrencyLimiter(client[mongo_database_name].fleet, "llm", limit=1, lease_seconds=30)
        gateway = ApiGateway({Api.LLM: ApiPolicy(slots, breaker)}, patience_seconds=60)
        began = time.monotonic()
        await asyncio.gather(gateway.call(call(slow), ledger), gateway.call(call(slow), ledger))
        took_ms = (time.monotonic() - began) * 1000
        await gateway.aclose()
    first, second = ledger.settlements
    assert second.waited_ms >= first.waited_ms + 290
    assert all(one.duration_ms >= 290 for one in ledger.settlements)
    assert second.waited_ms + second.duration_ms <= took_ms + 2  # each is rounded


async def test_the_steps_come_in_their_order(gateway, slots, breaker, ledger):
    """Money is reserved before the slot; then come the slot, the call and its record, and then the slot is released."""
    in_use = []

    async def reserve(call, reserve=ledger.reserve):
        in_use.append(slots.queue.in_use)
        return await reserve(call)

    def finalize(attempt_id, call, settlement, finalize=ledger.finalize):
        in_use.append(slots.queue.in_use)
        finalize(attempt_id, call, settlement)

    ledger.reserve, ledger.finalize = reserve, finalize
    assert await gateway.call(call(OK, events=ledger.events), ledger) == "value"
    assert ledger.events == ["reserve", "confirm", "send", "finalize", "answered"]
    assert in_use == [0, 1]
    assert slots.queue.in_use == 0


async def test_every_attempt_is_reserved_and_finalized(gateway, ledger):
    """Each attempt of a call is reserved before it and finalized after it; attempts that the provider declined cost nothing."""
    await gateway.call(call(TransientError("503"), TransientError("503"), OK, events=ledger.events), ledger)
    assert ledger.events == [*ONCE, "waiting: 503", *ONCE, "waiting: 503", *ONCE, "answered"]
    assert [(each.outcome, each.cost_usd) for each in ledger.settlements] == [("transient", 0), ("transient", 0), ("ok", 0.01)]
    assert ledger.settlements[-1].tokens == OK.tokens


async def test_a_refusal_ends_the_wait_for_a_provider(gateway, ledger):
    """A raised refusal ends the report of an outage, like an answer."""
    with pytest.raises(RefusedError):
        await gateway.call(call(TransientError("503"), RefusedError("no", reason="SAFETY"), events=ledger.events), ledger)
    assert ledger.events == [*ONCE, "waiting: 503", *ONCE, "answered"]


async def test_an_answer_without_usage_costs_its_worst_case(gateway, ledger):
    """An unknown cost is not zero."""
    await gateway.call(call(Answer("value", {}, None)), ledger)
    assert ledger.settlements[0].cost_usd == WORST


async def test_a_retry_time_of_zero_does_not_cause_a_busy_loop(gateway, ledger):
    """After a 429 with a wait of zero the call waits like after one without a wait, and a rate limit alone is not reported as an
    outage."""
    began = time.monotonic()
    await gateway.call(call(RateLimitedError("429", retry_after=0.0), OK, events=ledger.events), ledger)
    assert time.monotonic() - began >= FIRST_WAIT_SECONDS / 2
    assert not [event for event in ledger.events if event.startswith("waiting")]


async def test_an_outage_has_one_beginning(gateway, ledger):
    """The ledger gets each failed attempt with the moment of the first one."""
    await gateway.call(call(TransientError("503"), TransientError("503"), OK), ledger)
    moments = [look for look in ledger.looks if look is not None]
    assert len(moments) == 2
    assert len(set(moments)) == 1


@pytest.mark.parametrize(
    ("error", "carried_out", "cost"),
    [
        (RateLimitedError("429", retry_after=0.01), False, 0),
        (TransientError("refused connection"), False, 0),
        (TransientError("504", in_doubt=True), True, WORST),
        (FatalCallError("400"), True, 0),
        (ModelMissingError("404"), False, 0),
    ],
    ids=["429", "refused", "in doubt", "fatal", "no such model"],
)
async def test_an_attempt_that_the_provider_did_not_execute_is_given_back(gateway, ledger, error, carried_out, cost):
    """A 429, a plain 5xx and a 404 go back to the budget of calls; a call in doubt is counted, at its worst case."""
    if isinstance(error, (FatalCallError, ModelMissingError)):
        with pytest.raises(type(error)):
            await gateway.call(call(error), ledger)
    else:
        await gateway.call(call(error, OK), ledger)
    assert (ledger.settlements[0].carried_out, ledger.settlements[0].cost_usd) == (carried_out, cost)


@pytest.mark.parametrize("error", [RefusedError("no", reason="SAFETY"), InvalidAnswerError("cut", cut=True)])
async def test_an_answer_that_cannot_be_used_is_paid_for_and_raised_at_once(gateway, ledger, error):
    """Refusals and invalid answers are finalized with their cost and tokens, end an outage, and are not repeated by the gateway."""
    with pytest.raises(type(error)) as raised:
        await gateway.call(call(TransientError("503"), Answer(None, {}, 0.02, TokenUsage(prompt=7), error)), ledger)
    assert raised.value is error
    last = ledger.settlements[-1]
    assert (last.outcome, last.cost_usd, last.tokens.prompt, last.error) == (error.outcome, 0.02, 7, str(error))
    assert ledger.events[-2:] == ["finalize", "answered"]
    assert len(ledger.settlements) == 2


async def test_an_error_in_sending_is_finalized_too(gateway, ledger):
    """Whatever a call raises, its reservation is finalized at its worst case, and the error is raised."""
    with pytest.raises(KeyError):
        await gateway.call(call(KeyError("field")), ledger)
    assert [(each.outcome, each.cost_usd) for each in ledger.settlements] == [("error", WORST)]


async def test_a_demanded_wait_applies_to_every_call(gateway, ledger):
    """After a 429 with a wait no call is sent before the wait is over."""
    sent = []

    async def note():
        sent.append(time.monotonic())
        return OK

    began = time.monotonic()
    first = asyncio.create_task(gateway.call(call(RateLimitedError("429", retry_after=0.8), note), ledger))
    await until(lambda: ledger.settlements)
    await gateway.call(call(note), RecordingLedger())
    await first
    assert len(sent) == 2
    assert min(sent) - began >= 0.8


async def test_a_call_waits_during_an_outage_while_the_breaker_is_open(gateway, breaker, ledger):
    """Failures open the breaker; the call waits without a reservation, and gets its answer after the outage."""
    states = []

    async def sixth():
        states.append(breaker.state)
        return OK

    down = TransientError("503")
    others = [asyncio.create_task(gateway.call(call(*[down] * 3, OK), RecordingLedger())) for _ in range(4)]
    assert await gateway.call(call(*[down] * 3, sixth), ledger) == "value"
    await asyncio.gather(*others)
    assert ledger.events.count("reserve") == len(ledger.settlements) == 4
    assert breaker.state is BreakerState.CLOSED
    assert states in ([BreakerState.HALF_OPEN], [BreakerState.CLOSED])


async def test_the_outage_timeout_ends_in_an_error_that_names_it(slots, breaker, ledger):
    """If an outage is longer than the outage timeout, the call is suspended with the provider's last message and the setting's
    name."""
    impatient = ApiGateway({Api.LLM: ApiPolicy(slots, breaker)}, patience_seconds=0.7)
    with pytest.raises(OutageTimeoutError, match=r"PATIENCE_SECONDS.*503"):
        await impatient.call(call(TransientError("503")), ledger)


async def test_waiting_in_the_queue_is_not_an_outage(slots, breaker, ledger, monkeypatch):
    """A call that waited for its slot longer than the outage timeout is repeated after its first failure."""
    monkeypatch.setattr(waits, "FIRST_WAIT_SECONDS", 0.01)
    impatient = ApiGateway({Api.LLM: ApiPolicy(slots, breaker)}, patience_seconds=1.0)

    async def slow():
        await asyncio.sleep(1.2)
        return OK

    busy = [asyncio.create_task(impatient.call(call(slow), RecordingLedger())) for _ in range(4)]
    await until(lambda: slots.queue.in_use == 4)
    assert await impatient.call(call(TransientError("503"), OK), ledger) == "value"
    await asyncio.gather(*busy)


@pytest.mark.parametrize("end", [{"retry_after": 0.1, "daily": True}, {"retry_after": 3_600.0}])
async def test_a_reset_later_than_the_outage_timeout_suspends_at_once(gateway, slots, ledger, end):
    """The call does not wait for a daily quota, or for a pause longer than the outage timeout, and delays no other call."""
    began = time.monotonic()
    with pytest.raises(OutageTimeoutError, match="used up"):
        await gateway.call(call(RateLimitedError("the quota is used up", **end)), ledger)
    assert await gateway.call(call(OK), RecordingLedger()) == "value"
    assert time.monotonic() - began < 30
    assert len(ledger.settlements) == 1
    assert slots.ceiling == 4


async def test_a_time_out_is_in_doubt(gateway, ledger):
    """A call without an answer in time is finalized at its worst case and made again."""
    await gateway.call(call(asyncio.Event().wait, OK, timeout_seconds=0.1), ledger)
    assert [(each.outcome, each.cost_usd) for each in ledger.settlements] == [("transient", WORST), ("ok", 0.01)]
    assert "no answer within" in ledger.settlements[0].error


@pytest.mark.parametrize("when", ["in flight", "in the queue"])
async def test_a_cancelled_call_leaves_no_held_slot_and_no_open_reservation(gateway, slots, ledger, when):
    """A call that is cancelled in flight is finalized at its worst case, one in the queue is given back; all slots are free."""
    tasks = [asyncio.create_task(gateway.call(call(asyncio.Event().wait), RecordingLedger())) for _ in range(3)]
    if when == "in the queue":
        tasks.append(asyncio.create_task(gateway.call(call(asyncio.Event().wait), RecordingLedger())))
        await until(lambda: slots.queue.in_use == 4)
    stopped = asyncio.create_task(gateway.call(call(asyncio.Event().wait), ledger))
    await until(lambda: (ledger.events == ["reserve", "confirm"]) if when == "in flight" else slots.queue.waiting == 1)
    for task in (stopped, *tasks):
        task.cancel()
    await asyncio.gather(stopped, *tasks, return_exceptions=True)
    assert stopped.cancelled()
    assert (slots.queue.in_use, slots.queue.waiting) == (0, 0)
    assert [(each.outcome, each.cost_usd) for each in ledger.settlements] == [("cut_off", WORST if when == "in flight" else 0.0)]
    assert ledger.settlements[0].carried_out == (when == "in flight")


async def test_a_run_that_lost_its_world_sends_nothing_and_gives_the_reservation_back(gateway, slots, ledger):
    """The check before sending ends the call: it is not made, costs nothing, and is given back to the limit of calls."""

    async def confirm(attempt_id):
        raise LeaseLostError("lost")

    ledger.confirm = confirm
    with pytest.raises(LeaseLostError):
        await gateway.call(call(OK, events=ledger.events), ledger)
    assert ledger.events == ["reserve", "finalize"]
    assert (ledger.settlements[0].carried_out, ledger.settlements[0].cost_usd) == (False, 0.0)
    assert slots.queue.in_use == 0


@pytest.mark.parametrize("error", [LeaseLostError("lost"), BudgetExhaustedError("spent")])
async def test_without_a_reservation_there_is_no_call(gateway, slots, ledger, error):
    """If ``reserve`` refuses a call, it is neither sent nor finalized, and the error is raised unchanged."""
    ledger.refuses = error
    with pytest.raises(type(error)) as raised:
        await gateway.call(call(OK, events=ledger.events), ledger)
    assert raised.value is error
    assert ledger.events == ["reserve"]
    assert slots.queue.in_use == 0
