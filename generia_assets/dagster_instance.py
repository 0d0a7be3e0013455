"""The run launcher: how a run is terminated, and how Dagster learns whether a run's process is alive.

Here: ``WatchedRunLauncher`` and ``PromptRunCoordinator`` for dagster.yaml, and ``ended_by_dagster``, the run's side of a
termination. Not here: runs on many machines (fleet/launcher.py). Dagster's default launcher terminates a run through the code
server, which waits for the run's process under the lock that every start needs: a process that is frozen or just killed then blocks
all worlds. This launcher does not wait: ``terminate`` writes ``CANCELING`` into Dagster's storage, and the run, which reads its own
status each second, interrupts itself. A run that Dagster has marked failed while its process still lives interrupts itself in
the same way.

The default launcher has no health check either: a run that died together with its code server would stay STARTED. This launcher
asks the code server which runs it has; the daemon's run monitoring fails the dead ones, and a retry continues the generation.
"""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from generia_assets.code_server import ask
from generia_assets.dagster_internals import ACTIVE as ACTIVE
from generia_assets.dagster_internals import (
    MAX_RETRIES_TAG,
    PRIORITY_TAG,
    CheckRunHealthResult,
    RunLauncher,
    RunQueueConfig,
    SubmitRunContext,
    WorkerStatus,
    status_of_run,
)
from generia_assets.durable.status import HIGHEST_PRIORITY

logger = logging.getLogger(__name__)

UNREACHABLE_CHECKS = 30
"""Checks in a row (``run_monitoring.poll_interval_seconds`` apart: a minute) that a code server may be silent. Meanwhile no retry
could be started, and Dagster forgets a retry that it cannot start. When the server is back its answer is certain."""
CHECK_TIMEOUT_SECONDS = 5.0
SAME_ROUND_SECONDS = 1.0
"""Runs that are checked within this time share one answer of their code server, unless a run is not in it."""
LOOK_SECONDS = 1.0
"""How often a run reads its own status, and so how soon it notices a termination."""
RUNS_FOR_ONE_AHEAD = 5
"""For so many runs at once (``max_concurrent_runs``) there is one place more, for runs of a priority above 0; at least one."""
_WITH_A_PLACE = [status for status in ACTIVE if status is not dg.DagsterRunStatus.NOT_STARTED]
"""Statuses of a run that is in the queue or at work. Before that another run would get the place: this one cannot take it yet."""
_HIGHER = [str(priority) for priority in range(1, HIGHEST_PRIORITY + 1)]
OVER = [dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE]


def do_not_retry(instance: dg.DagsterInstance, run_id: str) -> None:
    """Let Dagster not repeat a run that a person ends: where its process is dead already, Dagster will call it failed."""
    instance.add_run_tags(run_id, {MAX_RETRIES_TAG: "0"})


class TerminatesByStatus(RunLauncher):
    """A run launcher that ends a run through its status in Dagster's storage, which the run itself reads (``ended_by_dagster``)."""

    def terminate(self, run_id: str) -> bool:
        """Note that the run is to end, and return at once; the run interrupts itself. False if it has ended already.

        If it cannot (a frozen process), Dagster marks it cancelled after ``run_monitoring.cancel_timeout_seconds``.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        do_not_retry(self._instance, run_id)
        self._instance.report_run_canceling(run)
        return True


class WatchedRunLauncher(TerminatesByStatus, dg.DefaultRunLauncher):
    """Starts runs in the code server, as the default does; terminates them without it, and checks which of them are alive."""

    _silent: defaultdict[str, int]
    _answers: dict[str, tuple[float, bytes]]
    """By code server: when it was asked, and the runs that it had."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """RUNNING while the code server that started the run still has its process; FAILED when the process or the server
        is gone."""
        if not hasattr(self, "_silent"):
            self._silent, self._answers = defaultdict(int), {}
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]  # Dagster's own
        if client is None:
            return CheckRunHealthResult(WorkerStatus.UNKNOWN, "the run has finished, or was never started")
        address = f"unix:{client.socket}" if client.socket else f"{client.host}:{client.port}"
        asked_at, runs = self._answers.get(address, (0.0, b""))
        try:
            if time.monotonic() - asked_at > SAME_ROUND_SECONDS or run.run_id.encode() not in runs:
                runs = ask(address, timeout=CHECK_TIMEOUT_SECONDS)
                self._answers[address] = time.monotonic(), runs
        except ConnectionError:
            self._silent[run.run_id] += 1
            if self._silent[run.run_id] < UNREACHABLE_CHECKS:
                return CheckRunHealthResult(WorkerStatus.RUNNING, "the code server does not answer at the moment")
            return CheckRunHealthResult(WorkerStatus.FAILED, "the code server that ran it is gone")
        self._silent.pop(run.run_id, None)
        if run.run_id.encode() in runs:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "the code server has no process for it")


class PromptRunCoordinator(dg.QueuedRunCoordinator):
    """Dagster's queue of runs, looked at twice a second: its own setting knows whole seconds only, and users wait for this.

    Runs of a priority above 0 need not wait until another one ends: there are places beyond ``max_concurrent_runs`` for them.
    """

    def get_run_queue_config(self) -> RunQueueConfig:
        """As configured, with these places. The queue is sorted by priority, so that no other run gets them."""
        configured = super().get_run_queue_config()
        most = configured.max_concurrent_runs
        if most <= 0:
            return configured
        ahead = self._instance.get_runs_count(dg.RunsFilter(statuses=_WITH_A_PLACE, tags={PRIORITY_TAG: _HIGHER}))
        return configured._replace(max_concurrent_runs=most + min(ahead, max(1, most // RUNS_FOR_ONE_AHEAD)))

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Queue the run; one that a launch form began with the priority that its form names."""
        form: Any = context.dagster_run.run_config
        with suppress(KeyError, TypeError):  # the run of another job, or a form without this field
            if priority := form["ops"]["world_request"]["config"]["priority"]:
                self._instance.add_run_tags(context.dagster_run.run_id, {PRIORITY_TAG: str(priority)})
        return super().submit_run(context)

    @property
    def dequeue_interval_seconds(self) -> float:  # type: ignore[override]  # the daemon takes any number
        return 0.5


def was_terminated(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a user terminated this run. Dagster marks it failed where its process was dead, or had not begun, by then."""
    if run.status is dg.DagsterRunStatus.FAILURE:
        return bool(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_CANCELING))
    return run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def is_being_stopped(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a user asked Dagster to terminate this run; an interruption without that is a deploy or a shutdown."""
    try:
        run = instance.get_run_by_id(run_id)
    except Exception as error:
        if not is_of_dagsters_storage(error):
            raise
        # No user can have terminated the run through this storage; the failure before this question is the one to report.
        return False
    return run is not None and run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def is_of_dagsters_storage(error: BaseException) -> bool:
    """Whether Dagster could not read or write its own records (a locked SQLite, a PostgreSQL that is away)."""
    return isinstance(error, (sqlite3.OperationalError, SQLAlchemyError)) or isinstance(error.__cause__, SQLAlchemyError)


@contextmanager
def ended_by_dagster(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Within this block the process gets SIGINT, once, when Dagster's storage has the run as canceling or ended."""
    left = threading.Event()
    watch = threading.Thread(target=_interrupt_when_over, args=(instance, run_id, left), name="run-status", daemon=True)
    watch.start()
    try:
        yield
    finally:
        left.set()
        watch.join()


def _interrupt_when_over(instance: dg.DagsterInstance, run_id: str, left: threading.Event) -> None:
    while not left.wait(LOOK_SECONDS):
        try:
            is_over = status_of_run(instance, run_id) in OVER
        except Exception as error:  # noqa: BLE001  whatever Dagster's storage raises while it is locked or away: the next look asks again
            logger.warning("Dagster's storage does not say how run %s stands: %s", run_id, type(error).__name__)
            continue
        if is_over:
            os.kill(os.getpid(), signal.SIGINT)
            return
