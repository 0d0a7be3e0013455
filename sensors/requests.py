"""What the sensors ask of Dagster for a recorded order: a partition and a run.

Here: which assets a task type makes, and the tags a run finds its order by. Not here: when (kafka.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from generia_assets.assets import run_tags
from generia_assets.catalog import TaskType, with_downstream
from generia_assets.durable.orders.decisions import TASK_TAG
from generia_assets.durable.orders.records import RecordedOrder
from generia_assets.partitions import worlds


def run_requests(orders: Sequence[RecordedOrder]) -> list[dg.RunRequest]:
    """One run for each order that is not finished. Dagster starts one run per ``run_key`` for ever, but not within one tick."""
    unfinished = {order.task_id: order for order in orders if not order.finished}
    return [run_request(order) for order in unfinished.values()]


def run_request(order: RecordedOrder) -> dg.RunRequest:
    """The run of one order: the whole world, or one asset of it with what is made of that, unless the order wants it alone.

    New texts under old pictures, and unpublished, would leave MongoDB and the platform telling of different worlds.
    """
    asset = order.task_type.asset.name
    made = with_downstream(asset) if order.part.with_what_follows else (asset,)
    tags = {TASK_TAG: order.task_id, **run_tags.of_run(run_tags.Origin.KAFKA, f"task {order.task_id}")}
    return dg.RunRequest(
        run_key=order.task_id,
        partition_key=order.world_id,
        asset_selection=None if order.task_type is TaskType.INIT_WORLD_CREATION else [dg.AssetKey(name) for name in made],
        tags=tags,
    )


def partition_request(orders: Sequence[RecordedOrder]) -> dg.AddDynamicPartitionsRequest:
    """The worlds of these orders as partitions; those that exist already are left alone."""
    return worlds.build_add_request(list(dict.fromkeys(order.world_id for order in orders)))
