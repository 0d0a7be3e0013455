"""Ownership: one owner at a time, as long as its lease is renewed, and what a former owner does afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from generia_assets.durable.calls.ledger import BudgetLedger
from generia_assets.durable.collections import STATUS
from generia_assets.durable.leases import commits, ownership
from generia_assets.durable.leases.changes import Change
from generia_assets.durable.leases.ownership import LeaseHeldError, release_lease, renew_lease
from generia_assets.durable.tasks.control import mark_stopped, prioritise
from resources.cancellation import cancel_and_wait
from resources.gateway.outcomes import LeaseLostError
from tests.support.durable_world import DurableWorld, durable_world
from tests.support.waiting import PATIENCE_S, until

RACERS = 20


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        yield world


async def test_of_twenty_concurrent_runs_one_owns_the_world(world: DurableWorld) -> None:
    """One run gets the world; no other run does while it holds its lease."""
    racers = {asyncio.create_task(world.take(f"run-{n}", over=False)) for n in range(RACERS)}
    taken, waiting = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
    late, waiting = await asyncio.wait(waiting, timeout=0.6)  # long enough for all to ask again
    await asyncio.gather(*(cancel_and_wait(racer) for racer in waiting))
    (owner,) = taken
    assert not late
    assert world.status["owner"]["run_id"] == owner.result().run_id
    assert world.status["owner"]["epoch"] == owner.result().epoch == 1


async def test_the_world_of_a_silent_owner_is_acquired_after_its_lease_and_not_before(world: DurableWorld) -> None:
    """A run that is active in Dagster keeps the world for its whole lease, by the server's clock, and no longer."""
    await world.take("silent", lease_seconds=1.0)
    ends_at = world.status["owner"]["expires_at"]
    later = await world.take("later", lease_seconds=1.0, over=False)
    taken_at = world.status["owner"]["expires_at"] - timedelta(seconds=1)
    assert (later.run_id, later.epoch) == ("later", 2)
    assert taken_at >= ends_at
    assert (taken_at - ends_at).total_seconds() < 10


async def test_an_owner_whose_run_is_over_in_dagster_is_replaced_at_once(world: DurableWorld) -> None:
    """After a killed run nobody waits for its lease."""
    await world.take("killed", lease_seconds=3600)
    began = time.monotonic()
    later = await world.take("later", lease_seconds=3600, over=True)
    assert time.monotonic() - began < 30
    assert later.epoch == 2


async def test_the_open_transaction_of_a_killed_owner_does_not_block_its_world(world: DurableWorld) -> None:
    """The server would keep the dead process's transaction for a minute; the next owner ends it and gets the world at once."""
    session = world.client.start_session()
    fence = await world.take("killed", session=session)
    await session.start_transaction()
    await world.database[STATUS].update_one(fence.filter, {"$set": {"message": "half-way"}}, session=session)
    began = time.monotonic()
    await world.take("later")
    assert time.monotonic() - began < 30
    assert world.status["message"] == ""
    with pytest.raises(OperationFailure):
        await session.commit_transaction()


async def test_a_world_with_a_live_owner_is_refused_after_a_lease_with_the_owners_name(world: DurableWorld) -> None:
    """The error names the run that makes the world, and says what to do."""
    owner = await world.take("alive", lease_seconds=3600)
    heart = asyncio.create_task(renew_lease(world.database, owner, lease_seconds=3600, on_priority=lambda priority: None))
    with pytest.raises(LeaseHeldError, match=f"by run alive.*generia stop {world.world_id}"):
        await world.take("other", lease_seconds=0.3, over=False)
    await cancel_and_wait(heart)
    assert world.status["owner"]["run_id"] == "alive"


async def test_an_owner_reads_its_worlds_priority_about_once_a_second(world: DurableWorld) -> None:
    """Also between two renewals of a long lease, and without a write."""
    heard: list[int] = []
    owner = await world.take("alive", lease_seconds=3600)
    heart = asyncio.create_task(renew_lease(world.database, owner, lease_seconds=3600, on_priority=heard.append))
    assert await asyncio.to_thread(prioritise, world.see, world.world_id, 7)
    await until(lambda: heard)
    await cancel_and_wait(heart)
    assert heard == [7]


async def test_a_write_of_the_owner_reads_its_worlds_priority(world: DurableWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A priority that a write has read within the last second is not read again."""
    monkeypatch.setattr(ownership, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(commits, "RECENT_SECONDS", 3600.0)
    heard: list[int] = []
    run = await world.run()
    assert await asyncio.to_thread(prioritise, world.see, world.world_id, 7)
    await run.commits.commit(Change(values={"message": "half-way"}))
    assert await asyncio.to_thread(prioritise, world.see, world.world_id, 8)
    heart = asyncio.create_task(
        renew_lease(world.database, run.fence, lease_seconds=3600, on_priority=heard.append, commits=run.commits)
    )
    await until(lambda: len(heard) > 2)
    await cancel_and_wait(heart)
    assert set(heard) == {7}


async def test_a_renewal_whose_answer_is_lost_is_repeated(world: DurableWorld, mongo_client: MongoClient[dict[str, Any]]) -> None:
    """The driver repeats it, and the heartbeat continues and reports the world's priority."""
    heard: list[int] = []
    owner = await world.take("alive", lease_seconds=0.3)
    fault = {"configureFailPoint": "onPrimaryTransactionalWrite", "data": {"closeConnection": True}}
    lost = mongo_client.admin.command({**fault, "mode": {"times": 1}})["count"]
    held = asyncio.Event()
    heart = asyncio.create_task(renew_lease(world.database, owner, lease_seconds=0.3, on_priority=heard.append, held=held))
    await until(lambda: heart.done() or len(heard) > 2)
    assert mongo_client.admin.command({**fault, "mode": "off"})["count"] == lost + 1
    assert not heart.done()
    await cancel_and_wait(heart)


async def test_a_released_world_is_free_and_a_lost_one_is_not_released(world: DurableWorld) -> None:
    """A release frees the world for the next run; the release of a former owner changes nothing."""
    former = await world.take("former")
    owner = await world.take("owner")
    await release_lease(world.database, former)
    assert world.status["owner"]["run_id"] == "owner"
    await release_lease(world.database, owner)
    assert world.status["owner"]["run_id"] is None
    assert (await world.take("next", over=False)).epoch == 3


async def test_a_world_without_an_order_cannot_be_acquired(world: DurableWorld) -> None:
    """Acquiring needs a status record, and the error says so."""
    world.world_id = "nowhere"
    with pytest.raises(LookupError, match="world nowhere has no status record"):
        await world.take("run")


async def test_the_heartbeat_of_a_former_owner_reports_the_lost_world(world: DurableWorld) -> None:
    """A run learns from its heartbeat that another run owns its world."""
    former = await world.take("former")
    heart = asyncio.create_task(renew_lease(world.database, former, lease_seconds=0.3, on_priority=lambda priority: None))
    await world.take("later")
    with pytest.raises(LeaseLostError, match="run former lost world"):
        await asyncio.wait_for(heart, PATIENCE_S)


@pytest.mark.parametrize("how", ["Dagster says that it is over", "a person has stopped it"])
async def test_the_next_owner_sends_nothing_while_the_former_one_may_send(
    world: DurableWorld, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that has just written may still send; the next owner waits until it may not, however it acquired the world."""
    monkeypatch.setattr(commits, "RECENT_SECONDS", 3.0)
    monkeypatch.setattr(ownership, "TAKEOVER_SECONDS", 3.25)
    former = await world.run("former")
    old = BudgetLedger(world.database, former.commits, former.generation)
    await former.commits.commit(Change())
    if how == "a person has stopped it":
        assert mark_stopped(world.see, world.world_id, taken_from="former")
    later = await world.run("later")
    await old.confirm("attempt")  # it does not know yet
    await BudgetLedger(world.database, later.commits, later.generation).confirm("attempt")
    with pytest.raises(LeaseLostError):
        await old.confirm("attempt")


async def test_a_world_that_was_released_is_not_waited_for(world: DurableWorld) -> None:
    """A run that has ended sends nothing: the next one may send at once, like the first one."""
    first = await world.take("first")
    await release_lease(world.database, first)
    assert (first.sends_from, (await world.take("next")).sends_from) == (0.0, 0.0)
