"""A real fleet: what becomes of a world when its worker gets SIGTERM, and when its run is terminated."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import dagster as dg
import pytest

from bench.fleet_stack import FleetStack, tree
from bench.stack import status_of, wait_for
from generia_assets.durable.status import SuspendReason
from generia_assets.fleet.run_leases import read_lease
from local_services import fleet

pytestmark = [
    pytest.mark.dagster_process,
    pytest.mark.skipif(fleet.available() is not None, reason=str(fleet.available())),
    pytest.mark.timeout(180),
]

Status = dg.DagsterRunStatus


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[FleetStack]:
    """A fleet of two workers; the settings of this process are its, until the end."""
    for name in ("DAGSTER_HOME", "DAGSTER_POSTGRES_URL", "CELERY_BROKER_URL", "MONGODB_URI"):
        monkeypatch.setenv(name, "")
    before = dict(os.environ)
    with FleetStack(runs=1) as stack:
        stack.start_servers(latency=1.0)
        stack.start_fleet(2)
        yield stack
    os.environ.clear()
    os.environ.update(before)


def test_a_deploy_moves_a_world_and_a_termination_ends_it(stack: FleetStack) -> None:
    """A worker that gets SIGTERM ends, and another continues its world within ten seconds; a run that is terminated is canceled
    and its world stopped."""
    with stack.instance() as instance, stack.database() as database:

        def run_of(world_id: str, status: Status, *, but: str = "") -> str | None:
            runs = instance.get_runs(dg.RunsFilter(tags={"dagster/partition": world_id}, statuses=[status]))
            return next((run.run_id for run in runs if run.run_id != but), None)

        world = stack.order(users=3, posts=8)
        first = wait_for("the run", lambda: run_of(world, Status.STARTED), seconds=60)
        wait_for("its world", lambda: (found := status_of(database, world)) and found.owner.run_id, seconds=20)
        lease = read_lease(database, first)
        assert lease is not None
        pid = int(lease.worker.split(":")[1])
        (worker,) = (part for name, part in stack.parts.items() if name.startswith("worker") and pid in tree(part))
        os.kill(worker.pid, signal.SIGTERM)
        ended = time.monotonic()
        second = wait_for("another run", lambda: run_of(world, Status.STARTED, but=first), seconds=20)
        assert time.monotonic() - ended < 10
        assert wait_for("the worker's end", worker.exit_code, seconds=20) == 0
        wait_for("its world", lambda: ((found := status_of(database, world)) and found.owner.run_id == second) or None, seconds=20)
        instance.run_coordinator.cancel_run(second)
        wait_for("the termination", lambda: run_of(world, Status.CANCELED), seconds=20)
        found = status_of(database, world)
        assert found is not None
        assert found.parked is not None
        assert found.parked.kind == SuspendReason.STOPPED
        assert read_lease(database, second) is None
