"""Worlds leave Dagster: their partitions, and their runs with events, checks and logs. MongoDB keeps the worlds.

Here: which worlds are old enough, and the deletion, many worlds at a time. The next deletion finishes one that is interrupted: runs
go after all that is found by them, and partitions after the runs. Not here: the documents (durable/orders/removal.py), and who asks
for it (cli/commands/removal.py, sensors/retirement.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import statuses
from generia_assets.queries.worlds import over
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.stored import UnreadableRecord

if TYPE_CHECKING:
    from dagster import DagsterInstance

ItemT = TypeVar("ItemT")

WORLD_TAG = "dagster/partition"
PARTITIONS = "worlds"
"""The name of the partition definition (partitions.py, which needs Dagster)."""
AT_ONCE = 200
"""Worlds that one transaction deletes: other processes wait for it for a fraction of a second."""
_LOOKED_UP = 5_000


def runs_in_the_way(instance: DagsterInstance, world_ids: Sequence[str] = ()) -> dict[str, str]:
    """Worlds with a run that has not ended, each with what to say about it; of these worlds, or of all."""
    from dagster import RunsFilter

    from generia_assets.dagster_internals import ACTIVE

    runs = instance.get_runs(RunsFilter(statuses=ACTIVE, tags={WORLD_TAG: list(world_ids)} if world_ids else None))
    return {run.tags[WORLD_TAG]: f"run {run.run_id} is {run.status.value}" for run in runs if WORLD_TAG in run.tags}


def old_worlds(
    database: MongoDatabase,
    instance: DagsterInstance,
    days: int,
    unreadable: Callable[[UnreadableRecord], object],
    query: MongoDocument | None = None,
) -> Iterator[str]:
    """The worlds that are over, have not changed for so many days, and are still partitions; in the order of their partitions.

    ``query``: only those that it finds.
    """
    before = datetime.now(UTC) - timedelta(days=days)
    for ids in in_batches(instance.get_dynamic_partitions(PARTITIONS), _LOOKED_UP):
        wanted = [{"_id": {"$in": ids}, "updated_at": {"$lt": before}}, query or {}]
        found = database[STATUS].find({"$and": wanted})
        is_over = {one.world_id for one in statuses(found, unreadable) if over(one)}
        yield from (one for one in ids if one in is_over)


def forget(instance: DagsterInstance, world_ids: Sequence[str]) -> dict[str, int]:
    """Delete these worlds from Dagster; how many runs each of them had. At most ``AT_ONCE`` worlds at a time."""
    from generia_assets.dagster_internals import delete_partitions, delete_rows_of_runs, runs_by_tag

    runs = runs_by_tag(instance, WORLD_TAG, world_ids)
    run_ids = [run_id for ids in runs.values() for run_id in ids]
    for run_id in run_ids:
        _delete_files(instance, run_id)
    delete_rows_of_runs(instance, run_ids)
    delete_partitions(instance, PARTITIONS, world_ids)
    instance.wipe_asset_cached_status(instance.all_asset_keys())  # it lists partitions
    return {one: len(runs.get(one, ())) for one in world_ids}


def _delete_files(instance: DagsterInstance, run_id: str) -> None:
    """Delete the run's logs and, in SQLite, the file of its events."""
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    events: Any = instance.event_log_storage
    if hasattr(events, "path_for_shard"):
        for suffix in ("", "-wal", "-shm"):
            Path(events.path_for_shard(run_id) + suffix).unlink(missing_ok=True)


def in_batches(items: Sequence[ItemT] | Iterator[ItemT], most: int = AT_ONCE) -> Iterator[list[ItemT]]:
    rest = iter(items)
    while batch := list(islice(rest, most)):
        yield batch
