"""The ledger: no concurrency and no crash exceeds a limit of calls or dollars, and every attempt is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from generia_assets.durable.calls.ledger import BudgetLedger
from generia_assets.durable.collections import HISTORY, STATUS
from resources.gateway.calls import Answer, Api, Call, CallOutcome, TokenUsage
from resources.gateway.outcomes import BudgetExhaustedError, LeaseLostError, OutageTimeoutError
from tests.support.durable_world import DurableWorld, Run, durable_world
from tests.support.waiting import PATIENCE_S, until


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        yield world


async def _unsent() -> Answer[str]:
    raise AssertionError("a ledger sends nothing")


def a_call(api: Api = Api.LLM, worst_case_usd: float = 0.0) -> Call[str]:
    labels = {"task_type": "generate_post", "key": "c0000-p0000"}
    return Call(api, "post", "task-1", 0, {"prompt": "lone \ud800 surrogate"}, _unsent, worst_case_usd, labels=labels)


def an_end(cost_usd: float = 0.0) -> CallOutcome:
    return CallOutcome("ok", cost_usd, TokenUsage(prompt=10, cached=4, output=3, thinking=1), {"text": "an answer"}, None, 12)


def limits(world: DurableWorld, **values: Any) -> None:
    world.see[STATUS].update_one({"_id": world.world_id}, {"$set": {"api_call_limits_LLM": 1000, **values}})


def ledger(run: Run) -> BudgetLedger:
    return BudgetLedger(run.database, run.commits, run.generation)


@pytest.mark.parametrize(("api", "field"), [(Api.LLM, "LLM"), (Api.IMAGE, "images")])
async def test_of_a_hundred_concurrent_calls_exactly_as_many_are_made_as_the_limit_allows(
    world: DurableWorld, api: Api, field: str
) -> None:
    """The counter is raised before each call, so that it never exceeds the limit; when the calls ended, the others fail with the
    name of the limit."""
    limits(world, **{f"api_call_limits_{field}": 40})
    run = await world.run()
    reserving = [asyncio.create_task(ledger(run).reserve(a_call(api))) for _ in range(100)]
    await until(lambda: sum(one.done() for one in reserving) >= 40)
    assert world.status[f"api_calls_made_{field}"] == 40
    assert len(world.status["in_flight"]) == 40
    through = [one.result() for one in reserving if one.done()]
    assert len(through) == 40
    for attempt in through:
        ledger(run).finalize(attempt, a_call(api), an_end())
    answers = await asyncio.gather(*reserving, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(refused) == 60
    assert all(isinstance(error, BudgetExhaustedError) and f"api_call_limits_{field} = 40" in str(error) for error in refused)
    assert world.status[f"api_calls_made_{field}"] == 40


async def test_a_full_limit_is_not_exhausted_while_a_call_in_flight_may_be_given_back(world: DurableWorld) -> None:
    """Without a cap: the last call gets a 429, and the call that waited is made instead of cancelling the world."""
    limits(world, api_call_limits_LLM=1)
    run = await world.run()
    mine = ledger(run)
    attempt = await mine.reserve(a_call())
    waiting = asyncio.create_task(mine.reserve(a_call()))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    mine.finalize(attempt, a_call(), CallOutcome("rate_limited", 0.0, TokenUsage(), {}, "429", 1, carried_out=False))
    assert await waiting
    assert world.status["api_calls_made_LLM"] == 1


async def test_a_platform_call_is_not_sent_by_a_run_that_lost_its_world(world: DurableWorld) -> None:
    """At the moment of sending the owner is read, however long the call waited for its turn; a former owner sends nothing."""
    run = await world.run()
    former = ledger(run)
    attempt = await former.reserve(a_call(Api.PLATFORM))
    await former.confirm(attempt)
    await world.run("later")
    with pytest.raises(LeaseLostError):
        await former.confirm(attempt)


async def test_the_dollar_cap_is_never_exceeded_including_reservations(world: DurableWorld) -> None:
    """For any number of concurrent calls, the spent and the reserved dollars together stay within the cap at every moment."""
    limits(world, cost_limit_usd=1.0)
    run = await world.run()
    mine = ledger(run)
    highest = 0.0

    async def one() -> None:
        call = a_call(worst_case_usd=0.3)
        attempt = await mine.reserve(call)
        nonlocal highest
        status = world.status
        highest = max(highest, status["llm_cost_total"] + status["cost_reserved_usd"])
        mine.finalize(attempt, call, an_end(0.1))

    ends = await asyncio.gather(*(one() for _ in range(30)), return_exceptions=True)
    await run.commits.flush()
    let_through = sum(end is None for end in ends)
    assert {type(end) for end in ends if end is not None} == {BudgetExhaustedError}
    assert 0.3 < highest <= 1.0 + 1e-9
    assert let_through == 8  # 0.8 are spent, and the next call may cost 0.3
    assert world.status["llm_cost_total"] == pytest.approx(0.8)
    assert world.status["cost_reserved_usd"] == pytest.approx(0.0)


async def test_a_call_waits_while_only_reservations_fill_the_cap_and_continues_when_they_end(world: DurableWorld) -> None:
    """A call is not refused because of reserved dollars: it is made when the call in flight was cheap."""
    limits(world, cost_limit_usd=1.0)
    run = await world.run()
    mine, call = ledger(run), a_call(worst_case_usd=0.6)
    first = await mine.reserve(call)
    second = asyncio.create_task(mine.reserve(call))
    await asyncio.wait({second}, timeout=0.2)
    assert not second.done()
    mine.finalize(first, call, an_end(0.1))
    await asyncio.wait_for(second, PATIENCE_S)
    assert world.status["api_calls_made_LLM"] == 2


async def test_a_waiting_call_is_refused_when_the_call_in_flight_was_expensive(world: DurableWorld) -> None:
    """When the reserved dollars are spent, the waiting call fails with the cap."""
    limits(world, cost_limit_usd=1.0)
    run = await world.run()
    mine, call = ledger(run), a_call(worst_case_usd=0.6)
    first = await mine.reserve(call)
    second = asyncio.create_task(mine.reserve(call))
    mine.finalize(first, call, an_end(0.6))
    with pytest.raises(BudgetExhaustedError, match="cap of"):
        await asyncio.wait_for(second, PATIENCE_S)
    assert world.status["api_calls_made_LLM"] == 1


async def test_a_run_that_lost_its_world_makes_no_more_calls(world: DurableWorld) -> None:
    """The limit is read with the owner's epoch: a former owner is refused before it spends anything."""
    limits(world)
    former = await world.run("former")
    await world.take("later")
    with pytest.raises(LeaseLostError):
        await ledger(former).reserve(a_call())
    assert world.status["api_calls_made_LLM"] == 0


async def test_attempts_that_a_dead_run_left_in_flight_are_closed_and_count_as_spent(world: DurableWorld) -> None:
    """It is unknown whether they were billed, so their worst case counts once, by API, with a record, and nothing stays
    reserved."""
    limits(world, api_call_limits_images=10)
    dead = await world.run("dead")
    first = ledger(dead)
    settled = a_call(worst_case_usd=0.5)
    first.finalize(await first.reserve(settled), settled, an_end(0.01))
    for api, worst in ((Api.LLM, 0.5), (Api.LLM, 0.25), (Api.IMAGE, 0.125)):
        await first.reserve(a_call(api, worst))
    await dead.commits.flush()
    later = await world.run("later")
    for _ in range(2):
        await ledger(later).close_cut_off()
    status = world.status
    assert (status["llm_cost_total"], status["image_cost_total"]) == pytest.approx((0.76, 0.125))
    assert status["cost_reserved_usd"] == 0.0
    assert (status["api_calls_made_LLM"], status["api_calls_made_images"]) == (3, 1)
    assert world.see[HISTORY].count_documents({"outcome": "cut_off"}) == 3
    assert status["in_flight"] == {}


async def test_the_history_has_one_complete_document_for_each_attempt(world: DurableWorld) -> None:
    """Question, answer, outcome, labels, tokens, cost, duration and moment; text that BSON cannot hold is replaced."""
    limits(world)
    run = await world.run()
    mine, call = ledger(run), a_call(worst_case_usd=0.5)
    mine.finalize(await mine.reserve(call), call, an_end(0.25))
    await run.commits.flush()
    (entry,) = world.see[HISTORY].find()
    expected = {
        "api_type": "llm",
        "task_id": "task-1",
        "world_id": world.world_id,
        "generation": run.generation,
        "run_id": "run-1",
        "request_type": "post",
        "labels": {"task_type": "generate_post", "key": "c0000-p0000"},
        "request_data": {"prompt": "lone \ufffd surrogate"},
        "response_data": {"text": "an answer"},
        "error": None,
        "outcome": "ok",
        "cost_usd": 0.25,
        "tokens": {"prompt": 10, "cached": 4, "output": 3, "thinking": 1},
        "duration_ms": 12,
    }
    assert {name: entry[name] for name in expected} == expected
    assert entry["created_at"].tzinfo is not None
    assert world.status["llm_cost_total"] == 0.25
    assert world.status["in_flight"] == {}


async def test_an_attempt_that_was_not_executed_does_not_count(world: DurableWorld) -> None:
    """A 429 or a 503 costs neither a call nor a dollar, but it is recorded."""
    limits(world, api_call_limits_LLM=1)
    run = await world.run()
    mine, call = ledger(run), a_call(worst_case_usd=0.5)
    for _ in range(3):
        attempt = await mine.reserve(call)
        mine.finalize(attempt, call, CallOutcome("rate_limited", 0.0, TokenUsage(), {}, "slow down", 3, carried_out=False))
        await run.commits.flush()
    assert (world.status["api_calls_made_LLM"], world.status["llm_cost_total"]) == (0, 0.0)
    assert world.see[HISTORY].count_documents({"outcome": "rate_limited"}) == 3


async def test_an_outage_is_written_to_the_status_record_once_and_removed_after_it(world: DurableWorld) -> None:
    """During an outage the status record has the API and the start of the wait; the first answer removes them."""
    run = await world.run()
    mine = ledger(run)
    since = world.status["created_at"]
    mine.waiting(Api.LLM, "503", since)
    mine.waiting(Api.IMAGE, "later", since)
    await run.commits.flush()
    assert world.status["waiting_for"] == {"api": "llm", "reason": "503", "since": since}
    mine.answered(Api.IMAGE)
    await run.commits.flush()
    assert world.status["waiting_for"] is not None
    mine.answered(Api.LLM)
    await run.commits.flush()
    assert world.status["waiting_for"] is None


async def test_lost_calls_raise_the_limit_up_to_the_allowance(world: DurableWorld) -> None:
    """A call that was cut off or timed out is counted and raises the limit by one, up to the lost call allowance of the
    generation."""
    limits(world, api_call_limits_LLM=10)
    run = await world.run()
    book = BudgetLedger(run.database, run.commits, run.generation, lost_call_allowance=3)
    for outcome in ("cut_off", "transient", "ok", "transient", "cut_off"):
        attempt = await book.reserve(a_call())
        book.finalize(attempt, a_call(), CallOutcome(outcome, 0.0, TokenUsage(), {}, None, 1))
    await run.commits.flush()
    assert (world.status["api_calls_made_LLM"], world.status["api_call_limits_LLM"]) == (5, 13)
    assert world.status["calls_excused"] == 3


async def test_a_run_that_is_stopped_while_it_reserves_leaves_nothing_reserved(world: DurableWorld) -> None:
    """At whatever moment a task is cancelled, an unsent call is given back: calls, dollars and the note."""
    limits(world, cost_limit_usd=100.0)
    run = await world.run()
    mine, call = ledger(run), a_call(worst_case_usd=0.1)

    async def one() -> None:
        mine.finalize(await mine.reserve(call), call, an_end(0.01))

    for turns in range(12):
        tasks = [asyncio.create_task(one()) for _ in range(10)]
        for _ in range(turns):
            await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await run.commits.flush()
    status = world.status
    went_well = world.see[HISTORY].count_documents({"outcome": "ok"})
    assert status["in_flight"] == {}
    assert status["cost_reserved_usd"] == pytest.approx(0.0)
    assert status["api_calls_made_LLM"] == went_well
    assert status["llm_cost_total"] == pytest.approx(0.01 * went_well)


async def test_a_cap_that_stays_filled_suspends_the_world_instead_of_hanging(world: DurableWorld) -> None:
    """Calls in flight that never end delay the next call until the outage timeout, and not for ever."""
    limits(world, cost_limit_usd=0.1)
    run = await world.run()
    run.commits.outage_timeout = 0.2
    impatient = ledger(run)
    await impatient.reserve(a_call(worst_case_usd=0.1))
    with pytest.raises(OutageTimeoutError, match="PATIENCE_SECONDS"):
        await impatient.reserve(a_call(worst_case_usd=0.1))
