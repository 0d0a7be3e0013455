"""The run launcher of a fleet, for dagster.yaml: a run is a task of Celery, and its lease says whether its process is alive.

Three differences from Dagster's CeleryRunLauncher: a message that the broker does not take puts the run back into Dagster's queue;
``terminate`` notes the run as canceling, as the launcher of one machine does; the check of a run's worker reads the run's lease
(run_leases.py) and not the state of the task in a result backend, which knows nothing of a process that was killed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

import pymongo
from dagster import DagsterRun
from dagster_celery.config import TASK_EXECUTE_JOB_NAME
from dagster_celery.launcher import CeleryRunLauncher
from kombu.exceptions import OperationalError
from pymongo.errors import PyMongoError

from generia_assets.dagster_instance import TerminatesByStatus
from generia_assets.dagster_internals import (
    CheckRunHealthResult,
    ConfigurableClassData,
    DagsterUserCodeUnreachableError,
    ExecuteRunArgs,
    LaunchRunContext,
    WorkerStatus,
    pack_value,
)
from generia_assets.fleet.run_leases import RENEW_SECONDS, read_lease
from generia_assets.settings import SettingsError, settings
from resources.mongodb.connection import KeptMongoResource, MongoUnavailableError

SECOND_LOOK_SECONDS = RENEW_SECONDS + 1.0
"""A lease that is over is looked at again after this: where MongoDB was away, leases are renewed within it."""
NO_RESULTS = "disabled://"
ANSWER_SECONDS = 2.0
"""MongoDB has so long to answer: the daemon's check of all runs waits for it."""
CELERY = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_ignore_result": True,
    "task_publish_retry_policy": {"max_retries": 2, "interval_start": 0.2, "interval_step": 0.2, "interval_max": 0.5},
    "broker_heartbeat": 10,
    "broker_connection_timeout": 4.0,
    "broker_connection_max_retries": None,
    "broker_connection_retry_on_startup": True,
    "broker_transport_options": {"confirm_publish": True},
    "worker_prefetch_multiplier": 1,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_max_tasks_per_child": 1,
    "worker_redirect_stdouts": False,
    "worker_hijack_root_logger": False,
}
"""A message is acknowledged when its run has ended, and given to another worker when this one is lost. A worker takes as many
messages as it executes runs. A run is a process of its own, forked from one that has imported the definitions. Runs go on while the
broker is away. No result is stored: Dagster's storage has it."""


def broker_url() -> str:
    """CELERY_BROKER_URL. Raises ``SettingsError`` if it is not set."""
    url = settings().celery_broker_url.get_secret_value()
    if not url:
        raise SettingsError(
            "CELERY_BROKER_URL is empty: set it to the broker of the fleet, such as amqp://user:<password>@host:5672//"
        )
    return url


class FleetRunLauncher(TerminatesByStatus, CeleryRunLauncher):
    """Starts runs as tasks of Celery workers."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        """It needs the settings CELERY_BROKER_URL and MONGODB_URI."""
        super().__init__(
            inst_data=inst_data, default_queue="dagster", broker=broker_url(), backend=NO_RESULTS, config_source=CELERY
        )
        self._mongo = KeptMongoResource(settings().mongodb_uri.get_secret_value(), settings().mongodb_database)
        self._over: dict[str, tuple[object, float]] = {}
        """By run whose lease is over: when it ended, and since when that is known."""

    @classmethod
    def config_type(cls) -> dict[str, object]:
        """None: the settings of the generator are enough."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Send the run to the broker. Raises ``DagsterUserCodeUnreachableError``, upon which Dagster tries again, if it is away."""
        run = context.dagster_run
        arguments = ExecuteRunArgs(run.job_code_origin, run.run_id, None)  # type: ignore[arg-type]  # every run here has an origin
        packed = pack_value(arguments)
        task = self.celery.signature(TASK_EXECUTE_JOB_NAME, kwargs={"execute_job_args_packed": packed}, immutable=True)
        try:
            self._launch_celery_task_run(run, task, TASK_EXECUTE_JOB_NAME)
        except OperationalError as error:
            raise DagsterUserCodeUnreachableError(f"the broker at CELERY_BROKER_URL does not answer: {error}") from error

    @property
    def supports_resume_run(self) -> bool:
        """False: the in-process executor would repeat finished steps. A retry continues the world's generation."""
        return False

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """FAILED when the lease of the run is over, twice in a row; RUNNING also while MongoDB does not answer."""
        try:
            with pymongo.timeout(ANSWER_SECONDS), self._mongo.connection() as database:
                lease = read_lease(database, run.run_id)
        except (MongoUnavailableError, PyMongoError) as error:
            self._over.clear()
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"MongoDB does not answer ({type(error).__name__})")
        if lease is not None and not lease.is_over:
            self._over.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING, lease.worker)
        ended = lease.expires_at if lease is not None else None
        known, since = self._over.get(run.run_id, (None, 0.0))
        if run.run_id not in self._over or known != ended:
            self._over[run.run_id] = ended, time.monotonic()
        elif time.monotonic() - since > SECOND_LOOK_SECONDS:
            del self._over[run.run_id]
            who = f"worker {lease.worker} has not renewed its lease" if lease is not None else "no worker has it"
            return CheckRunHealthResult(WorkerStatus.FAILED, who)
        return CheckRunHealthResult(WorkerStatus.RUNNING, "its lease is over")

    def get_run_worker_debug_info(self, run: DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """None: ``check_run_worker_health`` says all that is known."""
        return None

    def dispose(self) -> None:
        self._mongo.close()
        self.celery.close()
        super().dispose()
