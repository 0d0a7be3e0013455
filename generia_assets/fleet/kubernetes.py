"""The run launcher of a fleet on Kubernetes: each run is a job of the cluster.

Here: what Dagster's own launcher leaves to be done. It calls a run lost when the API server of the cluster does not answer for a
moment, and Dagster's monitoring then fails all runs at once. Not here: the jobs (dagster_k8s, docker/k8s/dagster.yaml).
"""

from __future__ import annotations

from dagster import DagsterRun
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import get_job_name_from_run_id

from generia_assets.dagster_instance import do_not_retry
from generia_assets.dagster_internals import CheckRunHealthResult, WorkerStatus


class KubernetesRunLauncher(K8sRunLauncher):
    """Starts runs as jobs, as Dagster's own launcher does. A run is lost when its job is over or gone, and only then."""

    def terminate(self, run_id: str) -> bool:
        """Note that the run is to end, and delete its job. False if it has ended already, or the API server does not answer."""
        run = self._instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            do_not_retry(self._instance, run_id)
        return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]  # Dagster's own

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """As Dagster's own; RUNNING while the API server does not answer. A run that stands still loses its world meanwhile."""
        result: CheckRunHealthResult = super().check_run_worker_health(run)
        job_name = get_job_name_from_run_id(run.run_id)  # type: ignore[no-untyped-call]  # Dagster's own
        missing = f"Job {job_name} could not be found"
        if result.status is WorkerStatus.UNKNOWN and result.msg != missing:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the cluster's API server does not answer at the moment")
        return result
