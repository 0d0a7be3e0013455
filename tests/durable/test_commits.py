"""Commits: many changes in few transactions, exactly once, in order, and only by the world's owner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import InsertOne, UpdateOne

from generia_assets.durable.collections import HISTORY, STATUS, TASKS
from generia_assets.durable.leases import commits
from generia_assets.durable.leases.changes import Bound, Change
from generia_assets.durable.leases.commits import Batch, Commits
from generia_assets.durable.tasks.control import hold_calls
from resources.gateway.outcomes import LeaseLostError
from tests.support.durable_world import DurableWorld, durable_world
from tests.support.waiting import PATIENCE_S

CHANGES = 300


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        yield world


def a_pending_task(world: DurableWorld, number: int) -> UpdateOne:
    values = {"world_id": world.world_id, "type": "generate_post", "status": "pending", "generation": "generation-1"}
    return UpdateOne({"_id": f"task-{number}"}, {"$setOnInsert": values}, upsert=True)


def a_completion(number: int, cost: float) -> Change:
    """The completion of task ``number``: it changes its document and its counters, and writes its record."""
    return Change(
        transitions=[UpdateOne({"_id": f"task-{number}", "status": "pending"}, {"$set": {"status": "completed"}})],
        records={HISTORY: [InsertOne({"_id": f"record-{number}"})]},
        increments={"tasks_completed": 1, "llm_cost_total": cost},
    )


def picture(world: DurableWorld) -> dict[str, Any]:
    """Everything that a commit can change, except the owner."""
    collections = {name: list(world.see[name].find().sort("_id")) for name in sorted(world.see.list_collection_names())}
    for document in collections["world_generation_status"]:
        del document["owner"]
    return collections


async def test_many_concurrent_changes_are_few_transactions_and_every_counter_is_exact(world: DurableWorld) -> None:
    """Changes that arrive during a transaction go together into the next one, and nothing is lost or counted twice."""
    run = await world.run()
    await asyncio.gather(*(run.commits.commit(Change(enlist=[a_pending_task(world, n)])) for n in range(CHANGES)))
    await asyncio.gather(*(run.commits.commit(a_completion(n, 0.25)) for n in range(CHANGES)))
    assert run.commits.transactions <= 10
    status = world.status
    assert status["tasks_total"] == 1 + CHANGES
    assert status["tasks_completed"] == CHANGES
    assert status["llm_cost_total"] == CHANGES * 0.25
    assert world.see[TASKS].count_documents({"status": "completed"}) == CHANGES
    assert world.see[HISTORY].count_documents({}) == CHANGES


async def test_tasks_listed_twice_are_counted_once(world: DurableWorld) -> None:
    """``tasks_total`` grows by the added tasks only, however often the same tasks are listed."""
    run = await world.run()
    for listed in (5, 6):
        await run.commits.commit(Change(enlist=[a_pending_task(world, n) for n in range(listed)]))
    assert world.status["tasks_total"] == 1 + 6


async def test_costs_stay_doubles_and_counters_stay_ints(world: DurableWorld) -> None:
    """Increments keep the BSON types that the platform reads, for any type of number."""
    run = await world.run()
    await run.commits.commit(Change(increments={"tasks_failed": 1.0, "llm_cost_total": 1.0}))
    status = world.status
    assert type(status["tasks_failed"]) is int
    assert type(status["llm_cost_total"]) is float


async def test_changes_are_written_in_the_order_in_which_they_were_enqueued(world: DurableWorld) -> None:
    """Over all transactions a later change comes after an earlier one, in the status record and in other collections."""
    run = await world.run()
    for number in range(CHANGES):
        push = UpdateOne({"_id": "order"}, {"$push": {"numbers": number}}, upsert=True)
        run.commits.enqueue(Change(records={"written": [push]}, values={"message": str(number)}))
        if number % 50 == 0:
            await run.commits.flush()
    await run.commits.flush()
    assert world.see["written"].find_one({"_id": "order"})["numbers"] == list(range(CHANGES))
    assert world.status["message"] == str(CHANGES - 1)


async def test_the_earliest_of_several_first_moments_is_kept(world: DurableWorld) -> None:
    """``minima`` keep the earlier moment within a transaction and across transactions."""
    run = await world.run()
    moments = [datetime(2026, 1, day, tzinfo=UTC) for day in (5, 3, 4)]
    for moment in moments:
        run.commits.enqueue(Change(minima={"first_post_at": moment}))
    await run.commits.flush()
    await run.commits.commit(Change(minima={"first_post_at": datetime(2026, 1, 6, tzinfo=UTC)}))
    assert world.status["first_post_at"] == moments[1]


async def test_a_fenced_off_writer_never_changes_anything_again(world: DurableWorld) -> None:
    """A run that lost its world writes no task, no counter and no record; every later change is refused, too."""
    former = await world.run("former")
    await former.commits.commit(Change(enlist=[a_pending_task(world, n) for n in range(3)]))
    await world.take("later")
    before = picture(world)
    waiting = [former.commits.enqueue(a_completion(0, 1.0)), former.commits.enqueue(Change(enlist=[a_pending_task(world, 9)]))]
    for refused in waiting:
        with pytest.raises(LeaseLostError):
            await refused
    with pytest.raises(LeaseLostError):
        await former.commits.commit(Change(values={"message": "I am still here"}))
    await former.commits.aclose()
    assert picture(world) == before


async def test_a_change_of_another_owners_task_undoes_the_whole_transaction(world: DurableWorld) -> None:
    """A transition that matches nothing means a lost world: the other changes of the transaction, tasks and counters, are
    undone."""
    run = await world.run()
    await run.commits.commit(Change(enlist=[a_pending_task(world, 0)]))
    before = picture(world)
    mine, not_mine = run.commits.enqueue(a_completion(0, 1.0)), run.commits.enqueue(a_completion(1, 1.0))
    for refused in (mine, not_mine):
        with pytest.raises(LeaseLostError):
            await refused
    assert picture(world) == before


async def test_a_commit_whose_answer_was_lost_is_not_applied_twice(world: DurableWorld) -> None:
    """Writing the same changes again under the same commit id changes nothing."""
    run = await world.run()
    await run.commits.commit(Change(enlist=[a_pending_task(world, 0)]))
    push = UpdateOne({"_id": "log"}, {"$push": {"entries": 1}}, upsert=True)
    change = Change(records={"written": [push]}, increments={"tasks_completed": 1, "llm_cost_total": 0.5})
    batch = Batch([change])
    for _ in range(2):
        await run.commits._write(batch)  # repeated when the answer is lost
    status = world.status
    assert (status["tasks_completed"], status["llm_cost_total"]) == (1, 0.5)
    assert world.see["written"].find_one({"_id": "log"})["entries"] == [1]


async def test_closing_writes_all_waiting_changes(world: DurableWorld) -> None:
    """Closing the writer loses no enqueued change, and its task has ended afterwards."""
    run = await world.run()
    commits = Commits(world.client.start_session(), world.database, run.fence, outage_timeout=60)
    for _ in range(20):
        commits.enqueue(Change(increments={"tasks_completed": 1}))
    await commits.aclose()
    assert world.status["tasks_completed"] == 20
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("commits:") and task is commits._writer]


async def test_a_writer_that_failed_is_over_after_closing(world: DurableWorld) -> None:
    """Closing raises the error of the last changes, and leaves no task running."""
    run = await world.run()
    commits = Commits(world.client.start_session(), world.database, run.fence, outage_timeout=60)
    commits.enqueue(Change(records={"written": [InsertOne({"_id": 1}), InsertOne({"_id": 1})]}))  # the same id twice
    with pytest.raises(Exception, match="duplicate key"):
        await commits.aclose()
    assert commits._writer.done()
    assert world.see["written"].count_documents({}) == 0


async def test_a_held_change_of_a_task_is_written_with_its_next_change(
    world: DurableWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note of a call in flight is removed together with the result of the call, whatever others commit meanwhile."""
    monkeypatch.setattr(commits, "HELD_SECONDS", 3_600.0)
    run = await world.run()
    held = run.commits.enqueue(Change(values={"name": "held"}), held_for="task-1")
    await run.commits.commit(Change(values={"message": "another task's"}, releases="task-2"))
    assert not held.done()
    assert world.status["name"] == ""
    await run.commits.commit(Change(values={"message": "its own"}, releases="task-1"))
    assert held.done()
    assert (world.status["name"], run.commits.transactions) == ("held", 2)


async def test_a_held_change_is_written_also_without_a_next_change(world: DurableWorld) -> None:
    """It is written after a moment, or when somebody waits for all changes."""
    run = await world.run()
    await asyncio.wait_for(run.commits.enqueue(Change(values={"name": "alone"}), held_for="task-1"), timeout=PATIENCE_S)
    assert world.status["name"] == "alone"
    held = run.commits.enqueue(Change(values={"name": "flushed"}), held_for="task-1")
    await run.commits.flush()
    assert held.done()
    assert world.status["name"] == "flushed"


async def test_a_change_without_a_waiter_is_durable_when_a_later_change_is(world: DurableWorld) -> None:
    """There is one queue: a change that is only enqueued is written in the same transaction as the next awaited change."""
    run = await world.run()
    enqueued = [run.commits.enqueue(Change(enlist=[a_pending_task(world, n)])) for n in range(3)]
    await run.commits.commit(Change(values={"message": "later"}))
    assert all(one.done() for one in enqueued)
    assert (world.see[TASKS].count_documents({"generation": "generation-1"}), run.commits.transactions) == (3, 1)


ONE_CALL = Change(increments={"api_calls_made_LLM": 1}, bounds=[Bound(("api_calls_made_LLM",), "api_call_limits_LLM")])


async def test_a_batch_exceeds_no_bound_and_writes_all_changes_that_fit(world: DurableWorld) -> None:
    """In one transaction as many bounded changes are made as fit, in their order; all other changes of the batch are made."""
    run = await world.run()
    world.see[STATUS].update_one({"_id": world.world_id}, {"$set": {"api_call_limits_LLM": 3}})
    calls = [run.commits.enqueue(replace(ONE_CALL)) for _ in range(5)]
    await run.commits.commit(Change(increments={"tasks_failed": 1}))
    assert [call.result() for call in calls] == [True] * 3 + [False] * 2
    assert (world.status["api_calls_made_LLM"], world.status["tasks_failed"], run.commits.transactions) == (3, 1, 1)


async def test_while_calls_are_held_no_bounded_change_is_made(world: DurableWorld) -> None:
    """A world that is being stopped reserves nothing more, and its finished work is recorded."""
    run = await world.run()
    hold_calls(world.see, world.world_id)
    call = run.commits.enqueue(replace(ONE_CALL))
    await run.commits.commit(Change(increments={"tasks_failed": 1}))
    assert not call.result()
    assert not run.commits.owned_recently
    assert (world.status["api_calls_made_LLM"], world.status["tasks_failed"]) == (0, 1)


async def test_a_reduced_batch_whose_answer_was_lost_is_not_made_twice(world: DurableWorld) -> None:
    """A change that a bound excluded from a batch stays excluded when the rest is written again after an outage, and the rest
    counts once."""
    run = await world.run()
    world.see[STATUS].update_one({"_id": world.world_id}, {"$set": {"api_call_limits_LLM": 1}})
    batch = Batch([replace(ONE_CALL), replace(ONE_CALL), Change(increments={"tasks_failed": 1})])
    for _ in range(2):
        await run.commits._write(batch)
    assert len(batch.changes) == 2
    assert (world.status["api_calls_made_LLM"], world.status["tasks_failed"]) == (1, 1)


async def test_under_load_transactions_keep_a_distance(world: DurableWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first transaction starts at once; the next one starts a window later, so that it has more changes."""
    monkeypatch.setattr(commits, "WINDOW_SECONDS", 0.1)
    run = await world.run()
    began = time.monotonic()
    for _ in range(3):
        await run.commits.commit(Change())
    assert time.monotonic() - began >= 2 * 0.1
    assert run.commits.transactions == 3
