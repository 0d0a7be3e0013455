"""The queue of runs of dagster.yaml: by priority, with reserved places for runs of a priority above 0."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from generia_assets.dagster_instance import PromptRunCoordinator
from generia_assets.dagster_internals import PRIORITY_TAG
from tests.support.dagster_internals import (
    InstanceRef,
    QueuedRunCoordinatorDaemon,
    SubmitRunContext,
    a_run,
)

TOP = Path(__file__).parents[2]


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text((TOP / "docker/dagster.yaml").read_text())
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        yield instance


def add(
    instance: dg.DagsterInstance, status: DagsterRunStatus, priority: int | None = None, form: dict[str, int] | None = None
) -> dg.DagsterRun:
    """Add a run of another world."""
    tags = {"dagster/partition": str(uuid.uuid4()), **({} if priority is None else {PRIORITY_TAG: str(priority)})}
    return instance.add_run(a_run(status, tags, {"ops": {"world_request": {"config": form or {}}}}))


def next_runs(instance: dg.DagsterInstance) -> list[str]:
    """The runs that Dagster's daemon would start now."""
    with QueuedRunCoordinatorDaemon(interval_seconds=1) as daemon:
        runs = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), fixed_iteration_time=None)
        return [run.run_id for run in runs]


def test_a_run_of_a_higher_priority_does_not_wait_for_others(instance: dg.DagsterInstance) -> None:
    """With ten active runs two more start if their priority is above 0; a third one, and runs of priority 0, wait."""
    for _ in range(10):
        add(instance, DagsterRunStatus.STARTED)
    add(instance, DagsterRunStatus.QUEUED)
    assert next_runs(instance) == []
    _, first, second, _ = (add(instance, DagsterRunStatus.QUEUED, priority).run_id for priority in (-3, 1, 10, 1))
    assert next_runs(instance) == [second, first]
    for run_id in (first, second):
        instance.delete_run(run_id)
        add(instance, DagsterRunStatus.STARTED, 1)
    assert next_runs(instance) == []


def test_the_place_of_a_run_of_a_higher_priority_that_is_not_queued_yet_stays_free(instance: dg.DagsterInstance) -> None:
    """The daemon may read the queue between the creation of a run and its queueing; the run gets its place at the next time."""
    for _ in range(10):
        add(instance, DagsterRunStatus.STARTED)
    add(instance, DagsterRunStatus.QUEUED)
    made = add(instance, DagsterRunStatus.NOT_STARTED, 10)
    assert next_runs(instance) == []
    coordinator = instance.run_coordinator
    assert isinstance(coordinator, PromptRunCoordinator)
    coordinator.submit_run(SubmitRunContext(made, workspace=None))  # type: ignore[arg-type]  # it is not looked at
    assert next_runs(instance) == [made.run_id]


def test_ordinary_runs_can_use_all_ordinary_places(instance: dg.DagsterInstance) -> None:
    """Two active runs of a higher priority take no place from ten others; the queue is sorted by priority."""
    for _ in range(2):
        add(instance, DagsterRunStatus.STARTED, 5)
    low = add(instance, DagsterRunStatus.QUEUED, -1).run_id
    ordinary = [add(instance, DagsterRunStatus.QUEUED).run_id for _ in range(9)]
    assert next_runs(instance) == [*ordinary, low]


def test_the_priority_in_a_launch_form_is_that_of_its_run(instance: dg.DagsterInstance) -> None:
    """The run is queued with it before any step reads the form; a form without a priority gives none."""
    coordinator = instance.run_coordinator
    assert isinstance(coordinator, PromptRunCoordinator)
    for form, tag in (({"priority": 7}, "7"), ({"priority": -2}, "-2"), ({"priority": 0}, None), ({"users": 3}, None)):
        run = add(instance, DagsterRunStatus.NOT_STARTED, form=form)
        queued = coordinator.submit_run(SubmitRunContext(run, workspace=None))  # type: ignore[arg-type]  # it is not looked at
        assert (queued.status, queued.tags.get(PRIORITY_TAG)) == (DagsterRunStatus.QUEUED, tag)
