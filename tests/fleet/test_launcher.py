"""The run launcher of a fleet: the state of a run by its lease, and outages of servers."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import dagster as dg
import pytest

from generia_assets.dagster_internals import DagsterUserCodeUnreachableError, LaunchRunContext, WorkerStatus
from generia_assets.durable.collections import FLEET
from generia_assets.fleet import launcher as module
from generia_assets.fleet.launcher import FleetRunLauncher
from generia_assets.fleet.run_leases import held_lease
from generia_assets.settings import SettingsError, settings
from resources.mongodb.connection import MongoDatabase, connect
from tests.fleet.conftest import run_with, silent

STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def launcher(instance: dg.DagsterInstance) -> Iterator[FleetRunLauncher]:
    launcher = FleetRunLauncher()
    launcher.register_instance(instance)
    yield launcher
    launcher.dispose()


@pytest.fixture
def database(instance: dg.DagsterInstance) -> Iterator[MongoDatabase]:
    del instance
    with connect(settings().mongodb_uri.get_secret_value()) as client:
        yield client[settings().mongodb_database]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The launcher's clock, which stands still until a test moves it."""
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_run_is_dead_when_its_lease_is_over_at_a_second_check(
    launcher: FleetRunLauncher, database: MongoDatabase, clock: SimpleNamespace
) -> None:
    """A run is alive while its lease is renewed; it is dead when the lease is over, and still over after the time of a renewal."""
    run = dg.DagsterRun("world", status=STARTED)
    with held_lease(database, run.run_id):
        assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
        database[FLEET].update_one({"_id": f"run:{run.run_id}"}, [{"$set": {"expires_at": {"$subtract": ["$$NOW", 1]}}}])
        assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
        clock.now += module.SECOND_LOOK_SECONDS + 0.1
        dead = launcher.check_run_worker_health(run)
    assert dead.status is WorkerStatus.FAILED
    assert "has not renewed its lease" in str(dead.msg)


def test_a_started_run_without_a_lease_is_dead_at_a_second_check(launcher: FleetRunLauncher, clock: SimpleNamespace) -> None:
    """A started run without a process is dead; at the first check its process may just be ending."""
    run = dg.DagsterRun("world", status=STARTED)
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    clock.now += module.SECOND_LOOK_SECONDS + 0.1
    assert launcher.check_run_worker_health(run).status is WorkerStatus.FAILED


def test_no_run_is_called_dead_during_an_outage_of_mongodb(
    launcher: FleetRunLauncher, database: MongoDatabase, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leases that could not be renewed say nothing: after an outage of MongoDB each is checked twice again."""
    run = dg.DagsterRun("world", status=STARTED)
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING  # it is connected now
    clock.now += 60
    with silent(database, "aggregate"), monkeypatch.context() as soon:
        soon.setattr(module, "ANSWER_SECONDS", 0.3)
        assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    clock.now += module.SECOND_LOOK_SECONDS + 0.1
    assert launcher.check_run_worker_health(run).status is WorkerStatus.FAILED


def test_a_run_is_terminated_by_its_status(launcher: FleetRunLauncher, instance: dg.DagsterInstance) -> None:
    """Termination sets the run to canceling, without the broker; a run that has ended is not changed."""
    run_id = run_with(instance, STARTED)
    assert launcher.terminate(run_id)
    assert instance.get_run_by_id(run_id).status is dg.DagsterRunStatus.CANCELING
    assert not launcher.terminate(run_with(instance, dg.DagsterRunStatus.SUCCESS))


def test_an_unavailable_broker_fails_no_run(launcher: FleetRunLauncher, instance: dg.DagsterInstance, origin: object) -> None:
    """If the broker does not accept a run, the launcher raises the error after which Dagster queues the run again."""
    run = instance.add_run(dg.DagsterRun("world", status=dg.DagsterRunStatus.STARTING, job_code_origin=origin))  # type: ignore[arg-type]
    with pytest.raises(DagsterUserCodeUnreachableError, match="the broker at CELERY_BROKER_URL does not answer"):
        launcher.launch_run(LaunchRunContext(run, None))


def test_a_missing_broker_is_named(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without CELERY_BROKER_URL the launcher names the missing setting and its form."""
    monkeypatch.setenv("CELERY_BROKER_URL", "")
    settings.cache_clear()
    with pytest.raises(SettingsError, match=r"CELERY_BROKER_URL is empty: set it to the broker of the fleet, such as amqp://"):
        FleetRunLauncher()
