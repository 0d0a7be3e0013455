"""Ownership: one owner at a time, for as long as it lives, and what a former owner does afterwards."""

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


async def test_of_twenty_that_race_for_a_world_one_owns_it(world: DurableWorld) -> None:
    """One run gets the world; nobody else does while it holds its lease."""
    racers = {asyncio.create_task(world.take(f"run-{n}", over=False)) for n in range(RACERS)}
    taken, waiting = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
    late, waiting = await asyncio.wait(waiting, timeout=0.6)  # long enough for everybody to ask again
    await asyncio.gather(*(cancel_and_wait(racer) for racer in waiting))
    (owner,) = taken
    assert not late
    assert world.status["owner"]["run_id"] == owner.result().run_id
    assert world.status["owner"]["epoch"] == owner.result().epoch == 1


async def test_a_silent_owners_world_is_taken_after_its_lease_and_not_before(world: DurableWorld) -> None:
    """A run that Dagster believes alive keeps the world for its whole lease, by the server's clock, and no longer."""
    await world.take("silent", lease_seconds=1.0)
    ends_at = world.status["owner"]["expires_at"]
    later = await world.take("later", lease_seconds=1.0, over=False)
    taken_at = world.status["owner"]["expires_at"] - timedelta(seconds=1)
    assert (later.run_id, later.epoch) == ("later", 2)
    assert taken_at >= ends_at
    assert (taken_at - ends_at).total_seconds() < 10


async def test_an_owner_that_dagster_says_is_over_is_succeeded_at_once(world: DurableWorld) -> None:
    """A killed run costs no waiting for its lease."""
    await world.take("killed", lease_seconds=3600)
    began = time.monotonic()
    later = await world.take("later", lease_seconds=3600, over=True)
    assert time.monotonic() - began < 30
    assert later.epoch == 2


async def test_the_transaction_that_a_killed_owner_left_open_does_not_hold_its_world(world: DurableWorld) -> None:
    """The server would keep the dead process's transaction for a minute; the next owner ends it and has the world at once."""
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


async def test_a_world_whose_owner_lives_is_refused_after_a_lease_with_the_owners_name(world: DurableWorld) -> None:
    """Who cannot have the world is told by whom it is being made and what to do."""
    owner = await world.take("alive", lease_seconds=3600)
    heart = asyncio.create_task(renew_lease(world.database, owner, lease_seconds=3600, on_priority=lambda priority: None))
    with pytest.raises(LeaseHeldError, match=f"by run alive.*generia stop {world.world_id}"):
        await world.take("other", lease_seconds=0.3, over=False)
    await cancel_and_wait(heart)
    assert world.status["owner"]["run_id"] == "alive"


async def test_an_owner_hears_of_its_worlds_priority_within_a_second_or_so(world: DurableWorld) -> None:
    """Between two renewals of a lease that lasts for long, and without a write of its own."""
    heard: list[int] = []
    owner = await world.take("alive", lease_seconds=3600)
    heart = asyncio.create_task(renew_lease(world.database, owner, lease_seconds=3600, on_priority=heard.append))
    assert await asyncio.to_thread(prioritise, world.see, world.world_id, 7)
    await until(lambda: heard)
    await cancel_and_wait(heart)
    assert heard == [7]


async def test_an_owner_that_writes_hears_of_its_worlds_priority_by_that(
    world: DurableWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a write has read within the last second is not read again."""
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


async def test_a_renewal_whose_answer_is_lost_is_one_like_others(
    world: DurableWorld, mongo_client: MongoClient[dict[str, Any]]
) -> None:
    """The driver repeats it, and the heartbeat goes on and tells the world's priority."""
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


async def test_a_world_that_was_given_back_is_free_and_one_that_was_lost_is_not_given_back(world: DurableWorld) -> None:
    """Leaving frees the world for the next run; a former owner's leaving changes nothing."""
    former = await world.take("former")
    owner = await world.take("owner")
    await release_lease(world.database, former)
    assert world.status["owner"]["run_id"] == "owner"
    await release_lease(world.database, owner)
    assert world.status["owner"]["run_id"] is None
    assert (await world.take("next", over=False)).epoch == 3


async def test_a_world_nobody_ordered_cannot_be_taken(world: DurableWorld) -> None:
    """Taking needs a status record and says so."""
    world.world_id = "nowhere"
    with pytest.raises(LookupError, match="world nowhere has no status record"):
        await world.take("run")


async def test_the_former_owners_heartbeat_says_that_the_world_is_lost(world: DurableWorld) -> None:
    """A run learns from its heartbeat that another run owns its world."""
    former = await world.take("former")
    heart = asyncio.create_task(renew_lease(world.database, former, lease_seconds=0.3, on_priority=lambda priority: None))
    await world.take("later")
    with pytest.raises(LeaseLostError, match="run former lost world"):
        await asyncio.wait_for(heart, PATIENCE_S)


@pytest.mark.parametrize("how", ["Dagster says that it is over", "a person has stopped it"])
async def test_the_next_owner_sends_nothing_as_long_as_the_former_one_may(
    world: DurableWorld, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that has just written still sends; whoever takes its world waits until it does not, however it was taken."""
    monkeypatch.setattr(commits, "RECENT_SECONDS", 3.0)
    monkeypatch.setattr(ownership, "TAKEOVER_SECONDS", 3.25)
    former = await world.run("former")
    old = BudgetLedger(world.database, former.commits, former.generation)
    await former.commits.commit(Change())
    if how == "a person has stopped it":
        assert mark_stopped(world.see, world.world_id, taken_from="former")
    later = await world.run("later")
    await old.confirm("attempt")  # it cannot know yet
    await BudgetLedger(world.database, later.commits, later.generation).confirm("attempt")
    with pytest.raises(LeaseLostError):
        await old.confirm("attempt")


async def test_a_world_that_was_released_is_not_waited_for(world: DurableWorld) -> None:
    """A run that has ended sends nothing: the next one may send at once, as the first one may."""
    first = await world.take("first")
    await release_lease(world.database, first)
    assert (first.sends_from, (await world.take("next")).sends_from) == (0.0, 0.0)
