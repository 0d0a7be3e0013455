"""Resuming a world: the note in its status record, its effect, and that the watchdog finds it, on a real MongoDB."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from generia_assets.durable.collections import GENERATIONS, STATUS, TASKS, WORLD_EVENTS
from generia_assets.durable.orders.decisions import GENERATION_TAG
from generia_assets.durable.status import WorldStatus
from generia_assets.durable.tasks.control import ResumeError, ResumeOptions, mark_stopped, resume_world
from resources.mongodb.connection import MongoDatabase, MongoDocument
from sensors.run_status import abandoned, is_due, order_again
from tests.support.durable_world import an_order, record

LEASE_S = 15.0


@pytest.fixture
def database(mongo_client: MongoClient[MongoDocument], mongo_database_name: str) -> MongoDatabase:
    return mongo_client.get_database(
        mongo_database_name, codec_options=mongo_client.codec_options.with_options(tz_aware=True, tzinfo=UTC)
    )


def a_world(database: MongoDatabase, **changes: Any) -> str:
    """A world whose generation has begun, in the state that ``changes`` say."""
    world_id = str(uuid.uuid4())
    record(database, an_order(world_id))
    values = {"generation": "g1", "status": "in_progress", "api_call_limits_LLM": 10, "api_call_limits_images": 5} | changes
    database[STATUS].update_one({"_id": world_id}, {"$set": values})
    database[GENERATIONS].insert_one({"_id": f"{world_id}-g1", "world_id": world_id, "status": "failed"})
    return world_id


def status_of(database: MongoDatabase, world_id: str) -> WorldStatus:
    return WorldStatus.model_validate(database[STATUS].find_one({"_id": world_id}))


def found_by_watchdog(database: MongoDatabase) -> list[str]:
    return [world.world_id for world in abandoned(database, LEASE_S, outage_retry_seconds=60)]


def stopped() -> dict[str, Any]:
    return {"parked": {"kind": "stopped", "since": datetime.now(UTC)}, "message": "stopped"}


def owner(run_id: str, expires_in: timedelta) -> dict[str, Any]:
    return {"owner": {"run_id": run_id, "epoch": 3, "expires_at": datetime.now(UTC) + expires_in}}


def cancelled(database: MongoDatabase, world_id: str) -> int:
    return database[WORLD_EVENTS].count_documents({"world_id": world_id, "event.event_type": "cancelled"})


def test_a_world_whose_run_died_can_be_stopped(database: MongoDatabase) -> None:
    """The record's owner, a dead run, does not prevent the stop; repeated stops give one event."""
    world_id = a_world(database, **owner("dead", timedelta(seconds=-1)))
    assert mark_stopped(database, world_id)
    assert not mark_stopped(database, world_id)
    assert found_by_watchdog(database) == []
    assert status_of(database, world_id).owner.run_id is None
    assert cancelled(database, world_id) == 1


def test_only_the_unreachable_run_loses_the_stopped_world(database: MongoDatabase) -> None:
    """Only the run that did not end is fenced off; a later owner keeps the world, and the stop is not recorded."""
    world_id = a_world(database, **owner("orphan", timedelta(hours=1)))
    assert not mark_stopped(database, world_id)
    assert not mark_stopped(database, world_id, taken_from="another")
    assert mark_stopped(database, world_id, taken_from="orphan")
    status = status_of(database, world_id)
    assert (status.owner.run_id, status.parked.kind if status.parked else None) == (None, "stopped")


def test_a_stopped_world_continues_only_after_a_resume(database: MongoDatabase) -> None:
    """The watchdog ignores a stopped world; after a resume it starts a run for the same generation."""
    world_id = a_world(database, **stopped())
    assert found_by_watchdog(database) == []
    resume_world(database, world_id, ResumeOptions())
    assert found_by_watchdog(database) == [world_id]
    assert is_due(status_of(database, world_id), None, datetime.now(UTC))
    request = order_again(status_of(database, world_id), None)
    assert request.partition_key == world_id
    assert request.tags[GENERATION_TAG] == "g1"


def test_a_failed_world_is_resumed_with_higher_limits(database: MongoDatabase) -> None:
    """Limits are raised, the cap is replaced, and `failed` states become `in_progress`."""
    world_id = a_world(database, status="failed", message="api_calls_made_LLM has reached its limit", cost_limit_usd=0.1)
    resume_world(database, world_id, ResumeOptions(max_cost_usd=2.5, more_calls=7))
    world = status_of(database, world_id)
    assert (world.status, world.message, world.finished_at) == ("in_progress", "", None)
    assert (world.api_call_limits_LLM, world.api_call_limits_images, world.cost_limit_usd) == (17, 12, 2.5)


def test_failed_tasks_are_tried_again_with_their_counters(database: MongoDatabase) -> None:
    """Failed tasks of the generation become pending with all their attempts, and the counters agree with them."""
    world_id = a_world(
        database, status="completed", tasks_failed=2, failures=[{"task_id": "t", "type": "x", "key": "k", "error": "e"}]
    )
    database[STATUS].update_one({"_id": world_id}, {"$set": {"stages.4.status": "completed"}})
    for generation, status in (("g1", "failed"), ("g1", "failed"), ("g1", "completed"), ("g0", "failed")):
        task_id = str(uuid.uuid4()) if database[TASKS].find_one({"_id": "t"}) else "t"
        task = {"_id": task_id, "world_id": world_id, "generation": generation, "type": "generate_post"}
        database[TASKS].insert_one(task | {"status": status, "attempt_count": 2, "error": "refused"})
    assert resume_world(database, world_id, ResumeOptions(retry_failed=True)) == 2
    world = status_of(database, world_id)
    assert (world.status, world.tasks_failed, world.failures) == ("in_progress", 0, [])
    assert {stage.name: stage.status for stage in world.stages}["posts"] == "pending"
    again = {"world_id": world_id, "generation": "g1", "status": "pending", "attempt_count": 0, "error": None}
    assert database[TASKS].count_documents(again) == 2
    assert database[TASKS].count_documents({"world_id": world_id, "generation": "g0", "status": "failed"}) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "completed"}, "nothing to go on with"),
        ({"status": "completed", "tasks_failed": 3}, "--retry-failed"),
        ({"owner": {"run_id": "r", "epoch": 3, "expires_at": datetime.now(UTC) + timedelta(hours=1)}}, "run r right now"),
    ],
)
def test_a_world_that_cannot_be_resumed_is_refused_with_the_reason(
    database: MongoDatabase, changes: dict[str, Any], reason: str
) -> None:
    """A finished world, and one that is being made, are not changed."""
    world_id = a_world(database, **changes)
    before = database[STATUS].find_one({"_id": world_id})
    with pytest.raises(ResumeError, match=reason):
        resume_world(database, world_id, ResumeOptions(more_calls=5))
    assert database[STATUS].find_one({"_id": world_id}) == before


def test_an_order_that_was_stopped_before_its_run_is_not_ordered_again(database: MongoDatabase) -> None:
    """A world that is stopped while its run is queued stays stopped, at any age of its order."""
    world_id = a_world(database, status="pending", generation=None)
    mark_stopped(database, world_id)
    database[STATUS].update_one({"_id": world_id}, {"$set": {"updated_at": datetime(2020, 1, 1, tzinfo=UTC)}})
    assert found_by_watchdog(database) == []
    resume_world(database, world_id, ResumeOptions())
    assert status_of(database, world_id).status == "pending"
    assert found_by_watchdog(database) == [world_id]
