"""What Dagster's instance is given of ours: a run launcher that can tell whether a run's process still lives.

Here: ``WatchedRunLauncher`` for dagster.yaml. The default launcher has no health check, so a run whose code server died with it
would stay STARTED for ever. This one asks the code server; the daemon's run monitoring fails what is dead, and a retry
continues the world's generation. When Dagster is wrong and the process lives, the fence stops it (generia_assets/durable).
"""

from __future__ import annotations

from collections import defaultdict

from dagster import DagsterRun
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster_shared.serdes import deserialize_value

UNREACHABLE_CHECKS = 30
"""Checks in a row (``run_monitoring.poll_interval_seconds`` apart: a minute) that a code server may be silent.

While it is, no retry could be started, and Dagster forgets a retry that it cannot start. When it is back its answer is definite.
"""
CHECK_TIMEOUT_SECONDS = 5


class WatchedRunLauncher(DefaultRunLauncher):
    """Starts runs in the code server, as the default does, and knows which of them live."""

    _silent: defaultdict[str, int]

    @property
    def supports_check_run_worker_health(self) -> bool:
        """True: the daemon asks about every started run."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """RUNNING while the code server that started the run still has its process; FAILED once it has not, or is gone."""
        if not hasattr(self, "_silent"):
            self._silent = defaultdict(int)
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]  # Dagster's own
        if client is None:
            return CheckRunHealthResult(WorkerStatus.UNKNOWN, "the run has finished, or was never started")
        try:
            answer = deserialize_value(
                client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=CHECK_TIMEOUT_SECONDS),
                CanCancelExecutionResult,
            )
        except DagsterUserCodeUnreachableError:
            self._silent[run.run_id] += 1
            if self._silent[run.run_id] < UNREACHABLE_CHECKS:
                return CheckRunHealthResult(WorkerStatus.RUNNING, "the code server does not answer at the moment")
            return CheckRunHealthResult(WorkerStatus.FAILED, "the code server that ran it is gone")
        self._silent.pop(run.run_id, None)
        if answer.can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "the code server has no process for it")
