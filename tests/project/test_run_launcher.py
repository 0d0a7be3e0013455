"""The run launcher reads the state of a run from the code server that started it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace

import dagster as dg
import grpc
import pytest
from grpc_health.v1 import health_pb2

from generia_assets import dagster_instance
from generia_assets.dagster_instance import WatchedRunLauncher
from generia_assets.dagster_internals import WorkerStatus


@dataclass
class CodeServer(grpc.GenericRpcHandler):  # type: ignore[misc]  # untyped
    """A fake for ``code_server.ask``: it serves, and has these runs."""

    runs: set[str] = field(default_factory=set)
    asked: int = 0

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        if call.method.endswith("/Check"):
            answer = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING).SerializeToString()
        else:
            answer = " ".join(self.runs).encode()
            self.asked += 1
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: answer)


class Launcher(WatchedRunLauncher):
    """The product's launcher, for runs that this code server has started."""

    port = 0

    def _get_grpc_client_for_termination(self, run_id: str) -> SimpleNamespace:
        return SimpleNamespace(socket=None, host="127.0.0.1", port=self.port)

    def looks(self, run_id: str) -> WorkerStatus:
        """The result of one round of Dagster's monitoring for a run."""
        return self.check_run_worker_health(dg.DagsterRun("world", run_id=run_id)).status


@pytest.fixture
def server() -> CodeServer:
    return CodeServer()


@pytest.fixture
def launcher(server: CodeServer) -> Iterator[Launcher]:
    serving = grpc.server(ThreadPoolExecutor(2), handlers=[server])
    launcher = Launcher()
    launcher.port = serving.add_insecure_port("127.0.0.1:0")
    serving.start()
    yield launcher
    serving.stop(None).wait()


def test_the_runs_of_a_round_share_one_answer(launcher: Launcher, server: CodeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten live runs take one request; a run that is not in the answer is requested separately, because it may have started
    since."""
    monkeypatch.setattr(dagster_instance, "SAME_ROUND_SECONDS", 3_600.0)
    server.runs = {f"run-{number:02}" for number in range(10)}
    assert {launcher.looks(run) for run in sorted(server.runs)} == {WorkerStatus.RUNNING}
    assert server.asked == 1
    server.runs.add("begun since")
    assert launcher.looks("begun since") is WorkerStatus.RUNNING
    assert launcher.looks("never begun") is WorkerStatus.FAILED
    assert server.asked == 3


def test_the_next_round_asks_again(launcher: Launcher, server: CodeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose process has ended since the round before is dead."""
    monkeypatch.setattr(dagster_instance, "SAME_ROUND_SECONDS", -1.0)
    server.runs = {"mine"}
    assert launcher.looks("mine") is WorkerStatus.RUNNING
    server.runs.clear()
    assert launcher.looks("mine") is WorkerStatus.FAILED
