"""The watchdog: it requests one run for each abandoned world, and for no other."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from generia_assets.assets.jobs import world_job
from generia_assets.catalog import TaskType
from generia_assets.dagster_internals import PRIORITY_TAG
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.indexes import ensure_indexes
from generia_assets.durable.orders.decisions import GENERATION_TAG, PRESENT_GENERATION, TASK_TAG
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.status import new_status
from generia_assets.durable.tasks.control import ResumeOptions, resume_world
from resources.mongodb.connection import MongoResource
from sensors.requests import MOST_RUNS, waiting_orders
from sensors.run_status import FUTILE_RETRY_SECONDS, build_watchdog
from tests.support.dagster_internals import a_run as a_queued_run
from tests.support.durable_world import order_of
from tests.support.kafka_ticks import kafka_resource
from tests.support.worlds_in_process import Worlds

LONG_AGO = timedelta(hours=1)
LAST_JANUARY, YEAR_2999 = datetime(2026, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)


@pytest.fixture
def worlds(the_worlds: Worlds) -> Iterator[Worlds]:
    """The module's worlds, without a world, an order or a run of an earlier test."""
    yield the_worlds
    for name in the_worlds.database.list_collection_names():
        the_worlds.database[name].delete_many({})
    the_worlds.instance.wipe()


def a_world(worlds: Worlds, world_id: str, *, ago: timedelta = LONG_AGO, **values: Any) -> None:
    """A world's status record, last changed this long ago."""
    document = new_status(world_id, {"user_prompt": "x", "users_count": 1, "posts_count": 1}, users=1, posts=1)
    worlds.database[STATUS].insert_one({**document, "updated_at": datetime.now(UTC) - ago, **values})


def owner(run_id: str | None, *, expired: timedelta = LONG_AGO) -> dict[str, Any]:
    return {"run_id": run_id, "epoch": 1, "expires_at": None if run_id is None else datetime.now(UTC) - expired}


def a_run(worlds: Worlds, world_id: str, status: dg.DagsterRunStatus, *, order: str = "") -> str:
    tags = {"dagster/partition": world_id, **({TASK_TAG: order} if order else {})}
    return worlds.instance.create_run_for_job(worlds.job, tags=tags, status=status).run_id


def a_part_order(worlds: Worlds, world_id: str, *keys: str, ago: timedelta = LONG_AGO) -> str:
    """An order for posts of this world, accepted this long ago."""
    order = order_of(str(uuid.uuid4()), TaskType.GENERATE_POST, world_id, {"keys": list(keys)})
    record_order(worlds.database, order, max_users=100, max_posts=100)
    worlds.database[TASKS].update_one({"_id": order.task_id}, {"$set": {"accepted_at": datetime.now(UTC) - ago}})
    return order.task_id


def tick(worlds: Worlds) -> dict[str, dg.RunRequest]:
    """One tick; the requested runs, by world. Every world with a request also becomes a partition."""
    sensor: Any = build_watchdog(world_job, worlds.settings)
    mongo = MongoResource(uri=worlds.settings.mongodb_uri.get_secret_value(), database=worlds.settings.mongodb_database)
    kafka = kafka_resource(worlds.settings.kafka_bootstrap_servers, "not-read")
    result = sensor(dg.build_sensor_context(instance=worlds.instance), mongo=mongo, kafka=kafka)
    if isinstance(result, dg.SkipReason) or result.skip_reason:
        return {}
    requests = {request.partition_key: request for request in result.run_requests}
    assert len(requests) == len(result.run_requests)
    assert [key for added in result.dynamic_partitions_requests for key in added.partition_keys] == list(requests)
    return requests


def suspended(kind: str, *, since: datetime = LAST_JANUARY, **values: Any) -> dict[str, Any]:
    return {"parked": {"kind": kind, "since": since, **values}}


BEGUN: dict[str, Any] = {"status": "in_progress", "generation": "g1"}
ABANDONED: dict[str, dict[str, Any]] = {
    "owner silent": {**BEGUN, "owner": owner("dead")},
    "nobody's": {**BEGUN, "owner": owner(None)},
    "outage over": {**BEGUN, **suspended("outage")},
    "resumed": {**BEGUN, **suspended("resumed")},
    "never begun": {"status": "pending"},
}


def test_an_abandoned_world_gets_one_run_for_its_own_generation(worlds: Worlds) -> None:
    """Each tick requests the same run, which continues the generation; there is no second run before the first has ended."""
    for world_id, values in ABANDONED.items():
        a_world(worlds, world_id, **values)
    first, second = tick(worlds), tick(worlds)
    assert set(first) == set(ABANDONED)
    assert {world_id: one.run_key for world_id, one in first.items()} == {world_id: one.run_key for world_id, one in second.items()}
    assert None not in {one.run_key for one in first.values()}
    generations = {world_id: one.tags.get(GENERATION_TAG) for world_id, one in first.items()}
    assert generations == dict.fromkeys(ABANDONED, "g1") | {"never begun": PRESENT_GENERATION}
    assert max(len(one.tags) for one in first.values()) <= 3
    for world_id in ABANDONED:
        a_run(worlds, world_id, dg.DagsterRunStatus.STARTING)
    assert tick(worlds) == {}


LEFT_ALONE: dict[str, dict[str, Any]] = {
    "completed": {"status": "completed", "generation": "g1"},
    "failed": {"status": "failed", "generation": "g1"},
    "stopped": {**BEGUN, **suspended("stopped")},
    "stopped order": {"status": "pending", **suspended("stopped")},
    "budget": {"status": "failed", "generation": "g1", **suspended("budget")},
    "owned": {**BEGUN, "owner": owner("alive", expired=-24 * LONG_AGO)},
    "just silent": {**BEGUN, "owner": owner("dead"), "updated_at": YEAR_2999},
    "just ordered": {"status": "pending", "updated_at": YEAR_2999},
    "outage lasts": {**BEGUN, **suspended("outage", since=YEAR_2999)},
    "the day's quota is used up": {**BEGUN, **suspended("outage", until=YEAR_2999)},
}


def test_a_world_that_waits_for_a_person_or_has_a_live_run_gets_no_run(worlds: Worlds) -> None:
    """A stopped, failed, finished or live world, one without budget, or one that was silent only for a moment gets no run."""
    for world_id, values in LEFT_ALONE.items():
        a_world(worlds, world_id, **values)
    assert tick(worlds) == {}


def test_a_world_with_a_queued_or_starting_run_gets_no_second_run(worlds: Worlds) -> None:
    """This holds however long the run waits before it starts."""
    for status in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED):
        a_world(worlds, status.value, **BEGUN, owner=owner("dead"))
        a_run(worlds, status.value, status)
        a_run(worlds, status.value, dg.DagsterRunStatus.CANCELED)  # a newer one that somebody cancelled
    a_world(worlds, "w1", **BEGUN, owner=owner("dead"))
    assert set(tick(worlds)) == {"w1"}


TERMINATED: dict[str, dict[str, Any]] = {
    "while its first run was queued": {"status": "pending"},
    "after its process died": {**BEGUN, "owner": owner("dead")},
    "while it was to be resumed": {**BEGUN, "resumable": True},
    "while it was to be tried again": {**BEGUN, **suspended("outage")},
}


def test_a_world_whose_run_was_terminated_in_dagster_is_stopped_until_it_is_resumed(worlds: Worlds) -> None:
    """If the run could not record the stop itself, the watchdog does, once, and requests no run until a person resumes the
    world."""
    for world_id, values in TERMINATED.items():
        a_world(worlds, world_id, **values)
        a_run(worlds, world_id, dg.DagsterRunStatus.CANCELED)
    for _ in range(2):
        assert tick(worlds) == {}
        for world_id in TERMINATED:
            status = worlds.status(world_id)
            assert status.parked is not None
            assert status.parked.kind == "stopped"
            assert status.owner.run_id is None
    for world_id in TERMINATED:
        assert worlds.database["world_events"].count_documents({"world_id": world_id, "event.event_type": "cancelled"}) == 1
        resume_world(worlds.database, world_id, ResumeOptions())
    assert set(tick(worlds)) == set(TERMINATED)


def test_a_long_queue_hides_no_abandoned_world(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    """For any number of worlds with queued runs, a world without a run is found in the same tick."""
    monkeypatch.setattr("sensors.run_status.MOST", 2)
    for number in range(3):
        a_world(worlds, f"queued-{number}", status="pending")
        a_run(worlds, f"queued-{number}", dg.DagsterRunStatus.NOT_STARTED)
    a_world(worlds, "w1", **BEGUN, owner=owner("dead"))
    assert set(tick(worlds)) == {"w1"}


def test_a_world_whose_run_is_failed_in_dagster_gets_a_new_run_although_its_process_lives(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a code server dies, Dagster marks its runs as failed: after a short grace period the world gets a new run."""
    gone, stopped, alive = (
        a_run(worlds, world_id, status)
        for world_id, status in (
            ("w1", dg.DagsterRunStatus.FAILURE),
            ("w2", dg.DagsterRunStatus.CANCELED),
            ("w3", dg.DagsterRunStatus.STARTED),
        )
    )
    for world_id, run_id in (("w1", gone), ("w2", stopped), ("w3", alive)):
        a_world(worlds, world_id, ago=-LONG_AGO, **BEGUN, owner=owner(run_id, expired=-LONG_AGO))
    assert tick(worlds) == {}
    monkeypatch.setattr("sensors.run_status.ORPHAN_GRACE_SECONDS", -60.0)
    assert set(tick(worlds)) == {"w1"}
    a_run(worlds, "w1", dg.DagsterRunStatus.STARTING)
    assert tick(worlds) == {}


def test_a_world_whose_next_run_died_too_gets_another_run(worlds: Worlds) -> None:
    """Each run that left the world unfinished is followed by one more."""
    a_world(worlds, "w1", **BEGUN, owner=owner("dead"))
    keys = []
    for _ in range(3):
        keys.append(tick(worlds)["w1"].run_key)
        a_run(worlds, "w1", dg.DagsterRunStatus.FAILURE)
    assert len(set(keys)) == 3


def test_a_run_that_failed_before_it_could_start_is_followed_by_another_only_after_a_while(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a broken installation a world gets one run each minute, not one each tick, and continues when it is repaired."""
    a_world(worlds, "w1", status="pending")
    first = tick(worlds)["w1"].run_key
    with worlds.changed_settings(mongodb_uri=SecretStr("mongodb://127.0.0.1:1/?directConnection=true")):
        failed = worlds.run("w1")
    assert not failed.success
    assert tick(worlds) == {}
    monkeypatch.setattr("sensors.run_status.FUTILE_RETRY_SECONDS", -1.0)
    assert FUTILE_RETRY_SECONDS > 0
    assert tick(worlds)["w1"].run_key != first


def test_an_order_for_a_finished_world_whose_run_is_missing_gets_its_run_again(worlds: Worlds) -> None:
    """Each tick requests the same run with the order's assets, items and task."""
    orders = {}
    for status in ("completed", "failed"):
        a_world(worlds, status, status=status, generation="g1")
        orders[status] = a_part_order(worlds, status, "c0000-p0000")
    first, second = tick(worlds), tick(worlds)
    assert set(first) == set(second) == set(orders)
    for world_id, order in orders.items():
        assert first[world_id].run_key == second[world_id].run_key
        assert [key.path[-1] for key in first[world_id].asset_selection or []] == ["posts", "post_images"]
        assert first[world_id].tags[TASK_TAG] == order
        assert GENERATION_TAG not in first[world_id].tags
        a_run(worlds, world_id, dg.DagsterRunStatus.STARTING, order=order)
    assert tick(worlds) == {}


def test_an_order_that_may_still_be_executed_gets_no_run(worlds: Worlds) -> None:
    """There is no request if it was just recorded, waits for another run, its run has just ended, its world is unfinished, or a run
    executes it."""
    for world_id in ("new", "busy", "ended", "taken"):
        a_world(worlds, world_id, status="completed", generation="g1")
    a_world(worlds, "stopped", status="in_progress", **suspended("stopped"))
    a_part_order(worlds, "new", ago=timedelta(seconds=1))
    a_part_order(worlds, "busy")
    a_run(worlds, "busy", dg.DagsterRunStatus.STARTED)
    ended(worlds, "ended", a_part_order(worlds, "ended"))
    a_part_order(worlds, "stopped")
    worlds.database[TASKS].update_one({"_id": a_part_order(worlds, "taken")}, {"$set": {"status": "in_progress"}})
    assert tick(worlds) == {}


def ended(worlds: Worlds, world_id: str, order: str, *, status: dg.DagsterRunStatus = dg.DagsterRunStatus.FAILURE) -> str:
    """A run of the order that has just ended, before it could start."""
    run_id = a_run(worlds, world_id, dg.DagsterRunStatus.STARTING, order=order)
    run = worlds.instance.get_run_by_id(run_id)
    assert run is not None
    if status is dg.DagsterRunStatus.FAILURE:
        worlds.instance.report_run_failed(run)
    else:
        worlds.instance.report_run_canceled(run)
    return run_id


def test_an_order_whose_runs_fail_before_they_start_gets_a_few_more_and_then_fails(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short outage loses no order; an order whose runs always fail is given up, and its task names the last run."""
    monkeypatch.setattr("sensors.requests.GRACE_SECONDS", -60.0)
    a_world(worlds, "w1", status="completed", generation="g1")
    order, keys, run_id = a_part_order(worlds, "w1"), [], ""
    for _ in range(MOST_RUNS):
        keys.append(tick(worlds)["w1"].run_key)
        run_id = ended(worlds, "w1", order)
    assert len(set(keys)) == MOST_RUNS
    assert tick(worlds) == {}
    task = worlds.database[TASKS].find_one({"_id": order}) or {}
    assert task["status"] == "failed"
    assert run_id in task["error"]


def test_an_order_whose_run_a_person_cancelled_gets_no_new_run(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is failed with that reason."""
    monkeypatch.setattr("sensors.requests.GRACE_SECONDS", -60.0)
    a_world(worlds, "w1", status="completed", generation="g1")
    order = a_part_order(worlds, "w1")
    ended(worlds, "w1", order, status=dg.DagsterRunStatus.CANCELED)
    assert tick(worlds) == {}
    task = worlds.database[TASKS].find_one({"_id": order}) or {}
    assert (task["status"], "cancelled" in task["error"]) == ("failed", True)


def test_waiting_orders_are_found_with_an_index(worlds: Worlds) -> None:
    """For any number of tasks a tick reads only the waiting orders."""
    ensure_indexes(worlds.database, history_ttl_days=1)
    a_world(worlds, "w1", status="completed", generation="g1")
    for _ in range(3):
        a_part_order(worlds, "w1")
    done = {"type": "generate_post", "world_id": "w1", "accepted_at": LAST_JANUARY}
    worlds.database[TASKS].insert_many([{**done, "_id": f"done-{number}", "status": "completed"} for number in range(50)])
    explained = worlds.database.command("explain", {"find": TASKS, "filter": waiting_orders([])}, verbosity="executionStats")
    assert (explained["executionStats"]["nReturned"], explained["executionStats"]["totalDocsExamined"]) == (3, 3)


def test_without_mongodb_the_tick_is_skipped_with_a_reason(worlds: Worlds) -> None:
    """An outage of MongoDB is a skipped tick with a reason, not a failed one."""
    sensor: Any = build_watchdog(world_job, worlds.settings)
    mongo = MongoResource(uri="mongodb://127.0.0.1:1/?directConnection=true", database="nowhere")
    kafka = kafka_resource(worlds.settings.kafka_bootstrap_servers, "not-read")
    result = sensor(dg.build_sensor_context(instance=worlds.instance), mongo=mongo, kafka=kafka)
    assert isinstance(result, dg.SkipReason)
    assert "127.0.0.1:1 did not answer" in str(result.skip_message)


def queued(worlds: Worlds, world_id: str) -> str:
    run = a_queued_run(dg.DagsterRunStatus.QUEUED, {"dagster/partition": world_id})
    return worlds.instance.add_run(run).run_id


def test_the_queue_and_the_next_run_follow_the_priority_of_the_world(worlds: Worlds) -> None:
    """Queued runs of any origin get the present priority of their world; a new run has it at once."""
    runs = {name: queued(worlds, name) for name in ("raised", "as-before", "back-to-0", "nobody's")}
    worlds.instance.add_run_tags(runs["back-to-0"], {PRIORITY_TAG: "7"})
    for world_id, priority in (("raised", 10), ("as-before", 0), ("back-to-0", 0), ("again", -4)):
        a_world(worlds, world_id, **BEGUN, owner=owner("dead"), priority=priority)
    assert tick(worlds)["again"].tags[PRIORITY_TAG] == "-4"
    tags = {name: worlds.instance.get_run_by_id(run_id).tags.get(PRIORITY_TAG) for name, run_id in runs.items()}  # type: ignore[union-attr]
    assert tags == {"raised": "10", "as-before": None, "back-to-0": "0", "nobody's": None}


def test_deferred_worlds_get_their_runs_when_there_is_room_by_priority_then_age(worlds: Worlds) -> None:
    """While the queue is full only worlds with a priority above 0, and begun ones, get runs; later all, without a minute's
    grace."""
    a_world(worlds, "old", ago=timedelta(seconds=2), deferred=True)
    a_world(worlds, "young", ago=timedelta(seconds=1), deferred=True)
    a_world(worlds, "raised", ago=timedelta(0), deferred=True, priority=1)
    a_world(worlds, "begun", **BEGUN, owner=owner("dead"))
    a_world(worlds, "on its way", ago=timedelta(0))
    first, _ = (queued(worlds, f"queued-{number}") for number in range(2))
    with worlds.changed_settings(sensor_max_queued_runs=1):
        assert list(tick(worlds)) == ["begun", "raised"]
        worlds.instance.delete_run(first)
        assert list(tick(worlds)) == ["begun", "raised", "old", "young"]
