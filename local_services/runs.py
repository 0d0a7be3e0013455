"""What `demo` and `dev` read from Dagster's instance: whether another daemon uses it, and the state of their world's run.

Not here: ending a run (generia_assets/cli/dagster_link.py).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from generia_assets.cli.console import CommandError, safe_block
from generia_assets.cli.dagster_link import instance_at
from generia_assets.queries.worlds import world_status
from generia_assets.retirement import WORLD_TAG

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from local_services.catalog import ServiceCatalog
    from resources.mongodb.connection import MongoDatabase

END_OF_RUN_S = 15.0
FIRST_LOOK_S, LOOK_S = 10.0, 5.0
"""When Dagster is asked about a world whose run has not begun (that imports Dagster: a second), and how often then."""
LAST_EVENT_S = 0.2
"""Between the release of a world's lease by its run and Dagster's record of the run's success."""


def refuse_second_daemon(home: Path) -> None:
    """Raise ``CommandError`` if a daemon is alive on this instance: two daemons would start a run twice for every world."""
    if not any(home.glob("*")):
        return  # a new instance: it has no daemon
    from generia_assets.dagster_internals import has_daemon

    with instance_at(home) as instance:
        alive = has_daemon(instance)
    if alive:
        raise CommandError(
            f"DAGSTER_HOME={home}: a Dagster daemon is at work there (or was, less than a minute ago). Order from that generator "
            "with `generia send`, or unset DAGSTER_HOME, or wait a minute after ending it"
        )


class StartCheck:
    """Checks that all services run, and that the world's run does not fail before it can start: nothing else would report that."""

    def __init__(self, database: MongoDatabase, catalog: ServiceCatalog, world_id: str) -> None:
        self._database = database
        self._catalog = catalog
        self._world_id = world_id
        self._next_look = time.monotonic() + FIRST_LOOK_S
        self._failure: str | None = None
        self._begun = False

    def check(self) -> None:
        """Raise ``ChildFailedError`` for a service that ended, ``CommandError`` for a run that failed and is not repeated."""
        self._catalog.services.check()
        if self._begun or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_S
        status = world_status(self._database, self._world_id)
        self._begun = status is not None and status.owner.epoch > 0
        if self._begun:
            return
        with instance_at(self._catalog.dagster_home) as instance:
            before, self._failure = self._failure, _failure(instance, self._world_id)
        if self._failure is not None and before is not None:  # Dagster had enough time to repeat it
            raise CommandError(f"World {self._world_id} cannot be made, its run failed: {safe_block(self._failure)}")


def _failure(instance: DagsterInstance, world_id: str) -> str | None:
    """Why the world's newest run failed; None while one is active, or has not failed."""
    from dagster import DagsterEventType, DagsterRunStatus, RunsFilter

    newest = instance.get_runs(RunsFilter(tags={WORLD_TAG: world_id}), limit=1)
    if not newest or newest[0].status is not DagsterRunStatus.FAILURE:
        return None
    of_type = {DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE}
    for entry in instance.all_logs(newest[0].run_id, of_type=of_type):
        error = getattr(entry.get_dagster_event().event_specific_data, "error", None)
        if error is not None:
            return str((error.cause or error).message).strip()
    return "no reason was recorded"


def await_end_of_run(database: MongoDatabase, world_id: str) -> None:
    """Wait until the run has released its world: the run still executes its checks, and Dagster would repeat it if it was
    interrupted."""
    deadline = time.monotonic() + END_OF_RUN_S
    while time.monotonic() < deadline:
        status = world_status(database, world_id)
        if status is None or status.owner.run_id is None:
            break
        time.sleep(0.05)
    time.sleep(LAST_EVENT_S)
