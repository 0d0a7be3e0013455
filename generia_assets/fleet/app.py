"""The Celery app of a worker: ``celery -A generia_assets.fleet.app worker --concurrency WORLDS``.

A run is executed within its lease (run_leases.py). On SIGTERM a worker's runs are interrupted, release their worlds at once and are
continued by other workers. The definitions are imported before the worker forks a process for each run.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from importlib import import_module
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from tempfile import gettempdir
from typing import TypeAlias

import billiard
from celery import Task, signals
from celery.exceptions import Reject
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task
from pymongo.errors import PyMongoError

from generia_assets.dagster_instance import is_of_dagsters_storage
from generia_assets.dagster_internals import ExecuteRunArgs, unpack_value
from generia_assets.fleet.launcher import CELERY, NO_RESULTS, broker_url
from generia_assets.fleet.run_leases import HEARTBEAT_FILE, held_lease
from generia_assets.interrupts import interruptible
from generia_assets.logging_setup import levelled_lines
from generia_assets.settings import settings
from generia_assets.warm_start import NEEDED_BY_RUNS
from resources.mongodb.connection import MongoResource, MongoUnavailableError
from resources.settings import spare_loopback

logger = logging.getLogger(__name__)

Packed: TypeAlias = dict[str, str]
"""Dagster's ``ExecuteRunArgs`` as a message has them."""
WAIT_SECONDS = 1.0
AGAIN_SECONDS = 3.0
"""Pause before a message is given back because a server is away."""
_ending = RawValue("b", 0)
"""1 in all processes of the worker once it has got SIGTERM."""


class RunTask(Task):  # type: ignore[misc]  # untyped
    """Executes a run, unless it has ended or another process executes it."""

    def __call__(self, execute_job_args_packed: Packed) -> object:
        """Dagster's task. A message that is delivered twice does nothing while the first process lives.

        Raises ``Reject``, upon which the message is delivered again, while MongoDB or Dagster's storage is away.
        """
        run_id = unpack_value(execute_job_args_packed, as_type=ExecuteRunArgs).run_id
        mongo = MongoResource(settings().mongodb_uri.get_secret_value(), settings().mongodb_database)
        with levelled_lines():
            try:
                with DagsterInstance.get() as instance, mongo.connection() as database:
                    while (run := instance.get_run_by_id(run_id)) is not None and not run.is_finished:
                        with held_lease(database, run_id) as held:
                            if held:
                                return self._execute(instance, run, execute_job_args_packed)
                        if run.status is DagsterRunStatus.STARTED:
                            break
                        time.sleep(WAIT_SECONDS)  # the process that holds the lease starts the run, or has died before it could
            except Exception as error:
                if not isinstance(error, (MongoUnavailableError, PyMongoError)) and not is_of_dagsters_storage(error):
                    raise
                logger.warning("run %s cannot begin: %s", run_id, error)
                time.sleep(AGAIN_SECONDS)
                raise Reject(str(error), requeue=True) from error
        return None

    def _execute(self, instance: DagsterInstance, run: DagsterRun, arguments: Packed) -> object:
        if run.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run)
            return None
        if run.status is DagsterRunStatus.STARTED:
            instance.report_run_failed(run, "The worker that executed the run is lost: its lease is over, and another run goes on.")
            return None
        with interruptible():
            if _ending.value:
                raise Reject("this worker ends", requeue=True)
            return self.run(arguments)


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def interrupt_runs(**_: object) -> None:
    """Interrupt the runs of this worker. A process without a run ignores the signal."""
    _ending.value = 1
    for child in billiard.active_children():
        os.kill(child.pid, signal.SIGINT)


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def import_what_runs_need(**_: object) -> None:
    """Import it once, before the worker forks: runs begin warm and share this memory."""
    spare_loopback()
    for module in NEEDED_BY_RUNS:
        import_module(module)


@signals.heartbeat_sent.connect  # type: ignore[untyped-decorator]
def touch_heartbeat(**_: object) -> None:
    """Say to the health check (docker/health.py) that this worker is connected to the broker."""
    Path(gettempdir(), HEARTBEAT_FILE).touch()


app = make_app({"broker": broker_url(), "backend": NO_RESULTS, "config_source": CELERY})  # type: ignore[no-untyped-call]  # Dagster's own
create_execute_job_task(app, base=RunTask)  # type: ignore[arg-type]  # Celery's, whatever the annotation says
