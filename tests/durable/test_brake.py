"""The brake: which worlds it holds, that each is recorded once, and that the same worlds are resumed, on a real MongoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from generia_assets.durable.collections import STATUS, WORLD_EVENTS
from generia_assets.durable.leases import brake
from generia_assets.durable.leases.brake import UNTIL_RESUMED, StoppedWith
from generia_assets.durable.status import new_status
from generia_assets.durable.tasks.control import ResumeError, ResumeOptions, give_up, hold_calls, mark_stopped, resume_world
from resources.mongodb.connection import MongoDatabase, MongoDocument
from sensors.run_status import abandoned
from tests.support.durable_world import DurableWorld, durable_world

ALL: MongoDocument = {}


@pytest.fixture
def database(mongo_client: MongoClient[MongoDocument], mongo_database_name: str) -> MongoDatabase:
    return mongo_client.get_database(
        mongo_database_name, codec_options=mongo_client.codec_options.with_options(tz_aware=True, tzinfo=UTC)
    )


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        yield world


def add(database: MongoDatabase, *world_ids: str, **values: Any) -> None:
    """Status records of worlds whose order was recorded an hour ago."""
    record = {**new_status("", {"user_prompt": "x", "task_id": "t"}, users=1, posts=1), "status": "in_progress"}
    record["updated_at"] = datetime.now(UTC) - timedelta(hours=1)
    database[STATUS].insert_many([{**record, "_id": world_id, **values} for world_id in world_ids])


def at_work(run_id: str = "r") -> dict[str, Any]:
    return {"owner": {"run_id": run_id, "epoch": 1, "expires_at": datetime.now(UTC) + timedelta(hours=1)}}


def suspended(database: MongoDatabase, world_id: str) -> str | None:
    found = (database[STATUS].find_one({"_id": world_id}) or {})["parked"]
    return found and str(found["kind"])


def cancelled(database: MongoDatabase) -> list[str]:
    return [one["world_id"] for one in database[WORLD_EVENTS].find({"event.event_type": "cancelled"})]


def test_only_worlds_that_can_be_stopped_are_held(database: MongoDatabase) -> None:
    """Worlds that are over, stopped, history or being deleted are not changed; all others are held, with or without a run."""
    add(database, "at work", **at_work())
    add(database, "waiting")
    add(database, "ordered", status="pending")
    add(database, "outage", parked={"kind": "outage", "since": datetime.now(UTC)})
    add(database, "completed", status="completed")
    add(database, "stopped", parked={"kind": "stopped", "since": datetime.now(UTC)})
    add(database, "deleted", deleting_since=datetime.now(UTC))
    database[STATUS].insert_one({"_id": "history", "status": "in_progress"})
    assert brake.hold(database, ALL, StoppedWith.ALL) == 4
    found = database[STATUS].find({"no_calls_until": UNTIL_RESUMED, "stopped_with": "all"})
    assert {one["_id"] for one in found} == {"at work", "waiting", "ordered", "outage"}


def test_thousands_are_recorded_as_stopped_once_each(database: MongoDatabase) -> None:
    """More worlds than fit into a transaction are all recorded, each with one event, also if the brake is used twice."""
    ids = [f"w{number:04d}" for number in range(1_203)]
    add(database, *ids)
    brake.hold(database, ALL, StoppedWith.ALL)
    assert brake.mark_held_stopped(database) == len(ids)
    assert brake.mark_held_stopped(database) == 0
    assert sorted(cancelled(database)) == ids
    assert database[STATUS].count_documents({"parked.kind": "stopped", "events_seq": 1, "events_pending": True}) == len(ids)


def test_a_run_records_the_stop_of_its_world_and_a_run_that_does_not_end_loses_it(database: MongoDatabase) -> None:
    """A live run records the stop itself; a run that does not end loses the world, and the hold stays."""
    add(database, "w", **at_work("frozen"))
    brake.hold(database, ALL, StoppedWith.ALL)
    assert (brake.mark_held_stopped(database), brake.owners_of_held(database)) == (0, ["frozen"])
    assert brake.mark_held_stopped(database, taken=True) == 1
    world = database[STATUS].find_one({"_id": "w"}) or {}
    assert (world["parked"]["kind"], world["owner"]["run_id"], world["no_calls_until"]) == ("stopped", None, UNTIL_RESUMED)


def test_stopping_one_world_does_not_end_the_hold_of_all(database: MongoDatabase) -> None:
    """`stop WORLD` and the watchdog do not change a held world; only a resume by a person, or giving it up, does."""
    add(database, "w", generation="g")
    brake.hold(database, ALL, StoppedWith.FILTER)
    hold_calls(database, "w")
    hold_calls(database, "w", seconds=0)
    assert not mark_stopped(database, "w")
    assert database[STATUS].count_documents({"no_calls_until": UNTIL_RESUMED}) == 1
    brake.mark_held_stopped(database)
    assert list(abandoned(database, 15.0, 60.0)) == []
    resume_world(database, "w", ResumeOptions())
    assert database[STATUS].count_documents({"no_calls_until": None, "stopped_with": None, "parked.kind": "resumed"}) == 1

    brake.hold(database, ALL, StoppedWith.FILTER)
    brake.mark_held_stopped(database)
    database["generations"].insert_one(
        {"_id": "g", "world_id": "w", "status": "in_progress", "tasks": {}, "keys": [], "adopted": {}}
    )
    give_up(database, "w")
    assert database[STATUS].count_documents({"no_calls_until": None, "stopped_with": None, "status": "failed"}) == 1


def test_while_everything_is_stopped_no_single_world_is_resumed(database: MongoDatabase) -> None:
    """The message names the command that comes first; afterwards the world can be resumed."""
    add(database, "w")
    brake.engage(database)
    brake.engage(database)  # again: the first moment stays
    brake.hold(database, ALL, StoppedWith.ALL)
    with pytest.raises(ResumeError, match="generia resume --all"):
        resume_world(database, "w", ResumeOptions())
    brake.disengage(database)
    assert brake.engaged_since(database) is None
    resume_world(database, "w", ResumeOptions())


async def test_a_run_that_starts_while_everything_is_stopped_holds_its_own_world(world: DurableWorld) -> None:
    """Its world is stopped like those that the command found, also if it was ordered or made again later."""
    run = await world.run()
    assert not await brake.hold_if_braked(world.database, run.fence)
    brake.engage(world.see)
    assert await brake.hold_if_braked(world.database, run.fence)
    assert (world.status["no_calls_until"], world.status["stopped_with"]) == (UNTIL_RESUMED, "all")
    brake.disengage(world.see)
    assert await brake.hold_if_braked(world.database, run.fence)  # until it is resumed
