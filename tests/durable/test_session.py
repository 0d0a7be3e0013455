"""Sessions: a run's work stops when it loses its world, and the world's terminal state is recorded once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from generia_assets.durable.calls.pictures import PendingPictures
from generia_assets.durable.collections import WORLD_EVENTS
from generia_assets.durable.events import relay
from generia_assets.durable.leases.ownership import renew_lease
from generia_assets.durable.orders.order import parse_world
from generia_assets.durable.status import SuspendReason
from generia_assets.durable.tasks.generations import Generation
from generia_assets.durable.tasks.session import WorldSession
from resources import tracing
from resources.gateway.outcomes import LeaseLostError
from resources.kafka.producer import InOrder
from tests.support.durable_world import PARAMETERS, DurableWorld, ScriptedApi, durable_world
from tests.support.waiting import PATIENCE_S


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        yield world


def no_broker() -> InOrder:
    raise ConnectionError("no broker")


async def a_session(world: DurableWorld, folder: Path) -> WorldSession:
    run = await world.run()
    heart = asyncio.create_task(renew_lease(world.database, run.fence, lease_seconds=0.3, on_priority=lambda priority: None))
    return WorldSession(
        world.database,
        Generation(run.generation, world.world_id, False, {}, (), {}),
        parse_world(PARAMETERS),
        run.commits,
        run.runner(ScriptedApi()),
        run.stages,
        relay.Relay(world.database, world.world_id, no_broker),
        PendingPictures(folder, world.world_id),
        heart,
        asyncio.create_task(asyncio.sleep(0)),
        tracing.Span("run", {}),
        None,
    )


async def test_the_work_of_a_run_that_lost_its_world_stops(world: DurableWorld, tmp_path: Path) -> None:
    """Work in the middle of a call is cancelled as soon as the heartbeat sees another owner, and it raises the loss."""
    session = await a_session(world, tmp_path)
    at_work, stopped = asyncio.Event(), asyncio.Event()

    async def endless() -> None:
        at_work.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    working = asyncio.create_task(session.work(endless()))
    await at_work.wait()
    await world.take("later")
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(working, PATIENCE_S)
    assert stopped.is_set()
    before = world.status
    await session.aclose()
    assert world.status == before  # a former owner records no terminal state


LAST_STATES: dict[str, Callable[[WorldSession], Awaitable[object]]] = {
    "completed": lambda session: session.complete({}),
    "cancelled": lambda session: session.suspend("stopped", SuspendReason.STOPPED),
    "parked": lambda session: session.suspend_for_retry("MongoDB was away"),
    "failed": lambda session: session.fail("a task failed"),
    "": lambda session: session.release("interrupted"),
}
"""How a run can leave its world, by the event that tells of it; a world that is released goes on without one."""


@pytest.mark.case("S16")
@pytest.mark.parametrize("first", LAST_STATES)
async def test_a_run_records_one_terminal_state_of_its_world_with_one_event(
    world: DurableWorld, tmp_path: Path, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one, while the first is being written or later (a second signal, the session's end), changes nothing."""
    monkeypatch.setattr(relay, "CLOSING_SECONDS", 0.01)
    session = await a_session(world, tmp_path)
    await asyncio.gather(LAST_STATES[first](session), LAST_STATES[first](session))
    recorded = world.status
    for record in LAST_STATES.values():
        await record(session)
    await session.aclose()
    kept = ("status", "message", "parked", "resumable", "finished_at", "events_seq")
    assert {name: world.status.get(name) for name in kept} == {name: recorded.get(name) for name in kept}
    event_types = [row["event"]["event_type"] for row in world.see[WORLD_EVENTS].find({"world_id": world.world_id}).sort("seq")]
    assert event_types == ["world_created", *filter(None, [first])]
