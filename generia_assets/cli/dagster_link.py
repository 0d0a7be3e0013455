"""Dagster's instance for the command line: which runs a world has, and ending them.

Dagster is imported only when one of these is asked (it costs a second). Not here: what stopping means (commands/stopping.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from generia_assets.cli.console import CommandError
from generia_assets.retirement import WORLD_TAG

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

FoundT = TypeVar("FoundT")

POLL_S = 0.2


@contextmanager
def instance_at(home: Path) -> Iterator[DagsterInstance]:
    """The instance of this DAGSTER_HOME. Raises ``CommandError`` if there is none."""
    from dagster import DagsterInstance

    if not home.is_dir():
        raise CommandError(f"DAGSTER_HOME={home}: no such folder; give the one that the generator runs with")
    os.environ["DAGSTER_HOME"] = str(home)  # its settings may refer to it
    with DagsterInstance.from_config(str(home)) as instance:
        yield instance


def instance_if_known(home: Path | None) -> AbstractContextManager[DagsterInstance | None]:
    return nullcontext() if home is None else instance_at(home)


def last_found(find: Callable[[], FoundT], seconds: float) -> FoundT:
    """What ``find`` finds in the end: nothing, or what it still finds after so many seconds."""
    deadline = time.monotonic() + seconds
    while (found := find()) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return found


def active_runs(instance: DagsterInstance, world_id: str) -> list[DagsterRun]:
    """The world's runs that are queued or at work, being ended or not."""
    from dagster import RunsFilter

    from generia_assets.dagster_instance import ACTIVE

    return list(instance.get_runs(RunsFilter(statuses=ACTIVE, tags={WORLD_TAG: world_id})))


def end_runs(instance: DagsterInstance, world_id: str) -> int:
    """Ask each of the world's runs to end; queued ones are taken out of the queue. Returns how many there were to be asked."""
    from dagster import DagsterRunStatus

    asked = [run for run in active_runs(instance, world_id) if run.status is not DagsterRunStatus.CANCELING]
    for run in asked:
        instance.run_coordinator.cancel_run(run.run_id)
    return len(asked)


def cancel_queued(instance: DagsterInstance, orders: Mapping[str, str | None]) -> int:
    """Take the runs of these worlds out of Dagster's queue. Returns how many there were.

    A run that carries out another order than the world's own (``orders``: by world) stays: the watchdog gives up an order whose run
    was cancelled.
    """
    from dagster import DagsterRunStatus, RunsFilter

    from generia_assets.durable.orders.decisions import TASK_TAG

    queued = [
        run.run_id
        for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.QUEUED]))
        if (world := run.tags.get(WORLD_TAG, "")) in orders and run.tags.get(TASK_TAG, orders[world]) == orders[world]
    ]
    for run_id in queued:
        instance.run_coordinator.cancel_run(run_id)
    return len(queued)


def mark_cancelled(instance: DagsterInstance, run_ids: Iterable[str]) -> None:
    """Mark runs that did not end as cancelled; their leases must have been revoked before."""
    for run_id in run_ids:
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            instance.report_run_canceled(run, "The run did not end when it was told to: its process stands still.")
