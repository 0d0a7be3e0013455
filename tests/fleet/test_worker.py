"""A worker's task: it executes a run once for any number of deliveries of its message."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import dagster as dg
import pytest
from celery.exceptions import Reject

from generia_assets.dagster_internals import ExecuteRunArgs, pack_value
from generia_assets.durable.collections import FLEET
from generia_assets.fleet import run_leases
from generia_assets.fleet.run_leases import held_lease
from generia_assets.settings import settings
from resources.mongodb.connection import MongoDatabase, connect
from tests.fleet.conftest import run_with, silent
from tests.support.dagster_internals import JobPythonOrigin

Status = dg.DagsterRunStatus


class Deliveries:
    """Messages of runs, given to the task; ``executed``: the runs whose code it has executed."""

    def __init__(self, instance: dg.DagsterInstance, origin: JobPythonOrigin, task: Any) -> None:
        self.instance, self._origin, self._task = instance, origin, task
        self.executed: list[str] = []

    def deliver(self, run_id: str) -> None:
        """Deliver the message of this run."""
        self._task(pack_value(ExecuteRunArgs(self._origin, run_id, None)))

    def status(self, run_id: str) -> Status:
        return self.instance.get_run_by_id(run_id).status


@pytest.fixture
def worker(instance: dg.DagsterInstance, origin: JobPythonOrigin, monkeypatch: pytest.MonkeyPatch) -> Deliveries:
    app = import_module("generia_assets.fleet.app")
    monkeypatch.setattr(app, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(app, "WAIT_SECONDS", 0.02)
    deliveries = Deliveries(instance, origin, app.app.tasks["execute_job"])
    monkeypatch.setattr(deliveries._task, "run", lambda packed: deliveries.executed.append(packed["pipeline_run_id"]))
    return deliveries


@pytest.fixture
def database(instance: dg.DagsterInstance) -> Iterator[MongoDatabase]:
    del instance
    with connect(settings().mongodb_uri.get_secret_value()) as client:
        yield client[settings().mongodb_database]


def test_a_run_is_executed(worker: Deliveries) -> None:
    """The message of a queued run executes it."""
    run = run_with(worker.instance, Status.STARTING)
    worker.deliver(run)
    assert worker.executed == [run]


@pytest.mark.parametrize("status", [Status.SUCCESS, Status.FAILURE, Status.CANCELED])
def test_a_message_of_a_run_that_has_ended_does_nothing(worker: Deliveries, status: Status) -> None:
    """A repeated or late message after the end of the run changes nothing."""
    run = run_with(worker.instance, status)
    worker.deliver(run)
    assert worker.executed == []
    assert worker.status(run) is status


def test_a_second_message_of_a_live_run_does_nothing(worker: Deliveries, database: MongoDatabase) -> None:
    """While a process executes the run, another worker ignores its message: the broker may have lost the connection to the first
    worker."""
    run = run_with(worker.instance, Status.STARTED)
    with held_lease(database, run):
        worker.deliver(run)
    assert worker.executed == []
    assert worker.status(run) is Status.STARTED


def test_a_message_of_a_run_whose_process_died_reports_it_failed(worker: Deliveries) -> None:
    """A run that was started and whose lease is over is reported failed at once, so that Dagster's retry continues the world."""
    run = run_with(worker.instance, Status.STARTED)
    worker.deliver(run)
    assert worker.executed == []
    assert worker.status(run) is Status.FAILURE


def test_a_message_of_a_run_whose_process_died_before_its_start_executes_it(worker: Deliveries, database: MongoDatabase) -> None:
    """If a process died between the lease and the start of the run, the task waits for the lease, and then executes the run."""
    run = run_with(worker.instance, Status.STARTING)
    lease = {"_id": f"run:{run}", "worker": "dead"}
    database[FLEET].insert_one(lease)
    database[FLEET].update_one({"_id": f"run:{run}"}, [{"$set": {"expires_at": {"$add": ["$$NOW", 100]}}}])
    worker.deliver(run)
    assert worker.executed == [run]


def test_a_run_that_was_terminated_in_the_broker_is_canceled(worker: Deliveries) -> None:
    """The message of a run that was terminated before a worker took it ends the run."""
    run = run_with(worker.instance, Status.CANCELING)
    worker.deliver(run)
    assert worker.executed == []
    assert worker.status(run) is Status.CANCELED


def test_a_message_is_returned_during_an_outage_of_mongodb(
    worker: Deliveries, database: MongoDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that cannot reach MongoDB returns the message to the broker, and the run waits."""
    monkeypatch.setattr(run_leases, "RENEW_SECONDS", 0.2)
    run = run_with(worker.instance, Status.STARTING)
    with silent(database, "findAndModify"), pytest.raises(Reject) as given_back:
        worker.deliver(run)
    assert given_back.value.requeue
    assert worker.status(run) is Status.STARTING
