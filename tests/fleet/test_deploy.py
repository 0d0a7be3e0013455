"""A real fleet: a world whose worker dies or gets SIGTERM, and a world whose run is terminated."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial

import dagster as dg
import pytest
from rich.console import Console

from bench import stack as test_stack
from bench.fleet import LATENCY_SECONDS, QUICK, report, tried
from bench.fleet_stack import FleetStack, tree, worker
from bench.stack import status_of
from generia_assets.durable.status import SuspendReason
from generia_assets.fleet.run_leases import read_lease
from generia_assets.settings import settings
from local_services import fleet
from tests.support.waiting import slowness

pytestmark = [
    pytest.mark.dagster_process,
    pytest.mark.skipif(fleet.available() is not None, reason=str(fleet.available())),
    pytest.mark.timeout(900),
]

Status = dg.DagsterRunStatus
wait_for = partial(test_stack.wait_for, seconds=180.0)


@pytest.fixture(scope="module")
def stack() -> Iterator[FleetStack]:
    """A fleet of two workers; the settings of this process are its, until the end."""
    before = dict(os.environ)
    os.environ |= dict.fromkeys(("DAGSTER_HOME", "DAGSTER_POSTGRES_URL", "CELERY_BROKER_URL", "MONGODB_URI"), "")
    try:
        with FleetStack(runs=QUICK.runs) as stack:
            stack.start_servers(latency=LATENCY_SECONDS)
            stack.start_fleet(QUICK.workers)
            settings.cache_clear()  # read by the launcher of this process
            yield stack
    finally:
        os.environ.clear()
        os.environ.update(before)
        settings.cache_clear()


def test_worlds_survive_the_death_of_a_worker(stack: FleetStack) -> None:
    """When a worker dies, another one completes its worlds: each is made once, exact, and within the limits of calls."""
    found = report(QUICK, *tried(stack, QUICK, Console(file=sys.stderr)))
    assert found.ok, found.remarks
    figures = found.figures
    assert (figures["worlds"], figures["missing"], figures["doubled"]) == (3, 0, 0)
    assert figures["takeovers"]


def test_a_deploy_moves_a_world_and_a_termination_ends_it(stack: FleetStack) -> None:
    """A worker that gets SIGTERM ends, and another one continues its world within ten seconds on an idle machine; a terminated run
    is canceled and its world stopped."""
    stack.gemini.set_faults(latency=2.0)  # so long that no world is complete before its worker ends
    for number in range(1, QUICK.workers + 1):
        if worker(number) not in stack.parts:  # it was killed in the test before
            stack.spawn_worker(number)
            stack.await_worker(number)
    with stack.instance() as instance, stack.database() as database:

        def run_of(world_id: str, status: Status, *, but: str = "") -> str | None:
            runs = instance.get_runs(dg.RunsFilter(tags={"dagster/partition": world_id}, statuses=[status]))
            return next((run.run_id for run in runs if run.run_id != but), None)

        world = stack.order(users=3, posts=8)
        first = wait_for("the run", lambda: run_of(world, Status.STARTED))
        wait_for("its world", lambda: (found := status_of(database, world)) and found.owner.run_id)
        lease = read_lease(database, first)
        assert lease is not None
        pid = int(lease.worker.split(":")[1])
        (host,) = (part for name, part in stack.parts.items() if name.startswith("worker") and pid in tree(part))
        os.kill(host.pid, signal.SIGTERM)
        ended = time.monotonic()
        second = wait_for("another run", lambda: run_of(world, Status.STARTED, but=first))
        assert time.monotonic() - ended < 10 * slowness()
        assert wait_for("the worker's end", host.exit_code) == 0
        wait_for("its world", lambda: ((found := status_of(database, world)) and found.owner.run_id == second) or None)
        instance.run_coordinator.cancel_run(second)
        wait_for("the termination", lambda: run_of(world, Status.CANCELED))
        parked = wait_for("the note of the stop", lambda: found.parked if (found := status_of(database, world)) else None)
        assert parked.kind == SuspendReason.STOPPED
        wait_for("the end of its lease", lambda: read_lease(database, second) is None or None)
