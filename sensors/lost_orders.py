"""Orders of a part of a world that no run has taken up: asked for again after a while, or given up with a reason.

Here: what the world cannot tell of. A finished world looks finished whether or not an order for it waits; that its run never came,
or failed before it could begin, only the order's own task tells. Not here: orders of whole worlds, and those that a run has begun:
their world is unfinished, and the watchdog sees it (run_status.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from generia_assets.assets import run_tags
from generia_assets.catalog import PARTS, TaskType
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.orders.decisions import TASK_TAG
from generia_assets.durable.orders.records import PartParameters, RecordedOrder
from generia_assets.durable.orders.tasks import give_up
from generia_assets.durable.status import State
from resources.mongodb.connection import MongoDatabase, MongoDocument
from sensors.requests import run_request

GRACE_SECONDS = 60.0
"""A run that has not come by then is lost; one that has failed is followed by another so often."""
MOST_RUNS = 5
"""Runs of one order that end before they begin; then it is no outage, and the order is given up."""
MOST = 50
"""Orders looked at in one tick at most."""


def reordered(database: MongoDatabase, instance: dg.DagsterInstance, on_their_way: Sequence[str]) -> Iterator[dg.RunRequest]:
    """Another run for each order that nobody carries out; one after each run that left it. Orders of no use are given up.

    An order waits while its world has a run (``on_their_way``), and while the world is unfinished: what was begun goes first.
    """
    for task in _waiting(database, on_their_way):
        tagged = dg.RunsFilter(tags={TASK_TAG: task["_id"]})
        records = instance.get_run_records(tagged, limit=1)
        last = records[0] if records else None
        if last is None:
            yield _request(task, "no run")
        elif last.dagster_run.is_finished and datetime.now(UTC).timestamp() - (last.end_time or 0.0) > GRACE_SECONDS:
            run_id = last.dagster_run.run_id
            if last.dagster_run.status is dg.DagsterRunStatus.CANCELED:
                give_up(database, task["_id"], f"run {run_id} was cancelled before it began; send the order with a new task_id")
            elif (runs := instance.get_runs_count(tagged)) >= MOST_RUNS:
                error = f"{runs} runs ended before they could begin, the last was {run_id}: see why, mend it, send a new task_id"
                give_up(database, task["_id"], error)
            else:
                yield _request(task, run_id)


def _waiting(database: MongoDatabase, on_their_way: Sequence[str]) -> Iterator[MongoDocument]:
    """Tasks of such orders, with their worlds' status records."""
    world = {"from": STATUS, "localField": "world_id", "foreignField": "_id", "as": "world"}
    finished = {"world.status": {"$in": [State.COMPLETED.value, State.FAILED.value]}}
    waiting = waiting_orders(on_their_way)
    yield from database[TASKS].aggregate([{"$match": waiting}, {"$lookup": world}, {"$match": finished}, {"$limit": MOST}])


def waiting_orders(on_their_way: Sequence[str]) -> MongoDocument:
    """Which tasks are orders that no run has taken up, but for those of worlds ``on_their_way``. There is an index for this."""
    return {
        "type": {"$in": [task_type.value for task_type in PARTS]},
        "status": State.PENDING.value,
        "accepted_at": {"$lt": datetime.now(UTC) - timedelta(seconds=GRACE_SECONDS)},
        "world_id": {"$nin": list(on_their_way)},
    }


def _request(task: MongoDocument, after: str) -> dg.RunRequest:
    part = PartParameters.model_validate(task["parameters"] or {})
    request = run_request(RecordedOrder(task["_id"], TaskType(task["type"]), task["world_id"], False, False, part))
    origin = run_tags.of_run(run_tags.Origin.WATCHDOG, f"task {task['_id']} after {after}")
    tags = {**request.tags, **origin, **run_tags.named(task["world"][0].get("name", ""))}
    return request.with_replaced_attrs(run_key=f"{task['_id']}:after {after}", tags=tags)
