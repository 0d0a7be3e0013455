"""The Kafka sensor in a real daemon's tick: the code location in its own process, partitions and runs created by Dagster."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.sensor import execute_sensor_iteration

from generia_assets.durable.orders.decisions import TASK_TAG
from tests.support.kafka_ticks import kafka_resource, order, send
from tests.support.waiting import PATIENCE_S

QUEUED = {"run_coordinator": {"module": "dagster._core.run_coordinator", "class": "QueuedRunCoordinator"}}
LOCATION = ModuleTarget("tests.support.kafka_ticks", "from_environment", None, "placeholder_location")

pytestmark = pytest.mark.dagster_process


@pytest.fixture
def topic() -> str:
    return f"orders-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def workspace(
    broker: str, mongodb_uri: str, mongo_database_name: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[IWorkspaceProcessContext]:
    monkeypatch.setenv("STAND_IN_KAFKA", broker)
    monkeypatch.setenv("STAND_IN_TOPIC", topic)
    monkeypatch.setenv("STAND_IN_MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("STAND_IN_DATABASE", mongo_database_name)
    with (
        dg.instance_for_test(overrides=QUEUED) as instance,
        create_test_daemon_workspace_context(LOCATION, instance) as workspace,
    ):
        yield workspace


def tick(workspace: IWorkspaceProcessContext) -> None:
    """Let the daemon evaluate the sensor once; it does not evaluate it again within the minimum interval of one second."""
    before = ticks(workspace)
    deadline = time.monotonic() + PATIENCE_S
    while ticks(workspace) == before and time.monotonic() < deadline:
        list(execute_sensor_iteration(workspace, logging.getLogger("daemon"), None, None))
        time.sleep(0.05)


def ticks(workspace: IWorkspaceProcessContext) -> int:
    states = workspace.instance.all_instigator_state()
    return sum(len(workspace.instance.get_ticks(state.instigator_origin_id, state.selector_id)) for state in states)


def test_the_daemon_creates_one_run_of_one_partition(workspace: IWorkspaceProcessContext, broker: str, topic: str) -> None:
    """A message gives one queued run of its world's partition, with the task's tag; its repetition gives none."""
    kafka, message = kafka_resource(broker, topic), order()
    send(kafka, message)
    tick(workspace)
    send(kafka, message, b"broken")
    tick(workspace)
    (run,) = workspace.instance.get_runs()
    assert run.status == dg.DagsterRunStatus.QUEUED
    assert run.tags["dagster/partition"] == message["world_id"]
    assert run.tags[TASK_TAG] == message["task_id"]
    assert workspace.instance.get_dynamic_partitions("worlds") == [message["world_id"]]
    (state,) = workspace.instance.all_instigator_state()
    statuses = [one.status.value for one in workspace.instance.get_ticks(state.instigator_origin_id, state.selector_id)]
    assert statuses == ["SKIPPED", "SUCCESS"]
