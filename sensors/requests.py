"""What the sensors ask of Dagster for recorded orders: a run and its partition; and again, for an order whose run never came.

The world tells nothing of an order of one of its parts whose run never came, or failed before it began: a finished world looks
finished all the same. Only the order's own task tells. Orders of new worlds, and those that a run has begun, leave the world
unfinished, which the watchdog sees (run_status.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from generia_assets.assets import run_tags
from generia_assets.catalog import EXTENDED, TaskType, with_downstream
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.orders.decisions import TASK_TAG
from generia_assets.durable.orders.order import ExtensionParameters, Order, PartParameters, parse_parameters
from generia_assets.durable.orders.records import OF_EXISTING_WORLD, RecordedOrder, give_up
from generia_assets.durable.status import State
from generia_assets.partitions import worlds
from resources.mongodb.connection import MongoDatabase, MongoDocument

QUEUED = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])
GRACE_SECONDS = 60.0
"""A run that has not come by then is lost; one that has failed is followed by another so often."""
DEFERRED: MongoDocument = {"status": State.PENDING.value, "parked": None, "deferred": True}
"""Worlds that were ordered while Dagster's queue was full, and have no run yet."""
MOST_RUNS = 5
"""Runs of one order that end before they begin; then it is no outage, and the order is given up."""
MOST_ORDERS = 50
"""Orders looked at in one tick at most."""


def requested_now(database: MongoDatabase, orders: Sequence[RecordedOrder], *, queue_is_full: bool) -> list[RecordedOrder]:
    """The orders whose runs are requested now. The others are deferred: the queue is full, or others were deferred before them.

    An order of a world with a priority above 0 is never deferred. The watchdog requests the runs of the others when there is room.
    """
    ordinary = [recorded for recorded in orders if recorded.priority <= 0]
    if not ordinary or not (queue_is_full or database[STATUS].find_one(DEFERRED, {"_id": 1})):
        return list(orders)
    worlds = [recorded.order.world_id for recorded in ordinary]
    database[STATUS].update_many({"_id": {"$in": worlds}, "status": State.PENDING.value}, {"$set": {"deferred": True}})
    return [recorded for recorded in orders if recorded.priority > 0]


def run_requests(orders: Sequence[RecordedOrder]) -> list[dg.RunRequest]:
    """One run for each order that is not finished. Dagster starts one run per ``run_key`` for ever, but not within one tick."""
    unfinished = {recorded.order.task_id: recorded for recorded in orders if not recorded.finished}
    return [run_request(recorded.order, recorded.priority) for recorded in unfinished.values()]


def run_request(order: Order, priority: int = 0) -> dg.RunRequest:
    """The run of one order: the whole world, what extends it, or one asset of it with what is made of that, unless the order says
    otherwise.

    New texts under old pictures, and unpublished, would make MongoDB and the platform describe different worlds.
    """
    asset, parameters = order.task_type.asset.name, order.parameters
    if isinstance(parameters, ExtensionParameters):
        made: Sequence[str] = EXTENDED
    elif order.task_type is TaskType.INIT_WORLD_CREATION:
        made = ()
    else:
        made = (asset,) if isinstance(parameters, PartParameters) and not parameters.with_what_follows else with_downstream(asset)
    return dg.RunRequest(
        run_key=order.task_id,
        partition_key=order.world_id,
        asset_selection=[dg.AssetKey(name) for name in made] or None,
        tags={TASK_TAG: order.task_id, **run_tags.of_origin(run_tags.Origin.KAFKA), **run_tags.of_priority(priority)},
    )


def partition_request(world_ids: Iterable[str | None]) -> dg.AddDynamicPartitionsRequest:
    """These worlds as partitions; those that exist already are left alone."""
    return worlds.build_add_request(list(dict.fromkeys(filter(None, world_ids))))


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
    world = {"from": STATUS, "localField": "world_id", "foreignField": "_id", "as": "world"}
    finished = {"world.status": {"$in": [State.COMPLETED.value, State.FAILED.value]}}
    stages: list[MongoDocument] = [
        {"$match": waiting_orders(on_their_way)},
        {"$lookup": world},
        {"$match": finished},
        {"$limit": MOST_ORDERS},
    ]
    yield from database[TASKS].aggregate(stages)


def waiting_orders(on_their_way: Sequence[str]) -> MongoDocument:
    """Which tasks are orders that no run has taken up, but for those of worlds ``on_their_way``. There is an index for this."""
    return {
        "type": {"$in": [*TaskType]},
        **OF_EXISTING_WORLD,
        "status": State.PENDING.value,
        "accepted_at": {"$lt": datetime.now(UTC) - timedelta(seconds=GRACE_SECONDS)},
        "world_id": {"$nin": list(on_their_way)},
    }


def _request(task: MongoDocument, after: str) -> dg.RunRequest:
    task_type = TaskType(task["type"])
    world, parameters = task["world"][0], parse_parameters(task_type, task["parameters"] or {})
    request = run_request(Order(task["world_id"], parameters, task_type, task["_id"]), world.get("priority", 0))
    tags = {**request.tags, **run_tags.of_origin(run_tags.Origin.WATCHDOG), **run_tags.named(world.get("name", ""))}
    return request.with_replaced_attrs(run_key=f"{task['_id']}:after {after}", tags=tags)
