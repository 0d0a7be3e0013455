"""Processes that freeze or die at the wrong moment: nothing else waits for them, and a stuck process is detected and replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import dagster as dg
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console

from bench import stack
from bench.frozen import Tries, freeze
from bench.killing import CODE_SERVER, alive, run_processes
from bench.stack import TestStack, status_of
from emulators.lifecycle import free_port
from generia_assets.cli.connections import Addresses
from generia_assets.cli.health import Health
from generia_assets.cli.health_servers import code_server_found
from generia_assets.code_server import Watch, command, starts_runs
from generia_assets.durable.collections import STATUS
from generia_assets.durable.tasks.control import HOLD_SECONDS
from generia_assets.pages import metrics
from generia_assets.processes import Child, spawn
from generia_assets.settings import settings
from local_services.services import Ownership, Service, ServiceSet
from resources.mongodb.connection import MongoDatabase
from tests.support.command import Command
from tests.support.kafka_ticks import kafka_address
from tests.support.waiting import slowness

pytestmark = [pytest.mark.dagster_process, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[3]
DAGSTER_WAITS_S = 60.0
"""Its own time-out of a call to the code server: what takes less has not waited for a process that stands still."""
PATIENCE_S = 180.0
"""What has not come by then never comes. It bounds no duration: on a busy machine one start of a run takes half a minute."""

wait_for = partial(stack.wait_for, seconds=PATIENCE_S)


def stopped(generia: Command, world: str) -> float:
    """Stop the world; return the seconds that it took."""
    began = time.monotonic()
    exit_code, out, err = generia.call("stop", world)
    assert exit_code == 0, out + err
    assert "Traceback" not in out + err
    return time.monotonic() - began


def at_work(stack: TestStack, database: MongoDatabase, *, calls: int, users: int = 2, posts: int = 3) -> tuple[str, int]:
    """A world that has made some calls, and the process of its run."""
    wait_for("quiet", lambda: not run_processes(stack) or None)
    world = stack.order(users=users, posts=posts)

    def works() -> bool | None:
        status = status_of(database, world)
        return (status is not None and status.api_calls_made_LLM >= calls) or None

    wait_for("work", works)
    (pid,) = run_processes(stack)
    return world, pid


def address(stack: TestStack) -> str:
    return f"127.0.0.1:{stack.env['CODE_SERVER_PORT']}"


@pytest.mark.parametrize("kind", [pytest.param("frozen", id="S1 frozen"), pytest.param("killed", id="S1 killed")])
def test_a_run_that_cannot_end_delays_no_other(stack: TestStack, database: MongoDatabase, kind: str) -> None:
    """Terminating a run whose process is frozen, or dies just then, returns at once, and another world's run starts. A run that
    died during its termination is failed in Dagster; it is not repeated, and its world is stopped.
    """
    outcome = Tries(stack, database, Console(file=sys.stderr)).once(kind)
    assert outcome.healthy, outcome
    assert outcome.started is not None, outcome
    assert outcome.terminated < DAGSTER_WAITS_S
    if not outcome.accepted:  # it had failed before it was terminated, and is repeated
        return

    def noted() -> bool | None:
        status = status_of(database, outcome.world)
        return (status is not None and status.parked is not None and status.parked.kind == "stopped") or None

    wait_for("the note of the stop", noted)
    with stack.instance() as instance:
        assert len(instance.get_runs(dg.RunsFilter(tags={"dagster/partition": outcome.world}))) == 1


@pytest.mark.case("P22")
def test_no_call_begins_once_a_world_is_being_stopped(stack: TestStack, database: MongoDatabase, generia: Command) -> None:
    """`stop` holds the world's calls before anything else: the emulator records no call after it."""
    world, _ = at_work(stack, database, calls=12, users=8, posts=300)
    given = time.time()
    holds = [{"$match": {"documentKey._id": world, "updateDescription.updatedFields.no_calls_until": {"$type": "date"}}}]
    # Every change is read: polling the record could come too late, after the stop.
    with ThreadPoolExecutor(1) as beside, database[STATUS].watch(holds, max_await_time_ms=100) as changes:
        stopping = beside.submit(stopped, generia, world)
        held = wait_for("the hold", changes.try_next)
        held_at = held["updateDescription"]["updatedFields"]["no_calls_until"].timestamp() - HOLD_SECONDS
        seconds = stopping.result()
    assert (stack.gemini.stats().last_call_at or 0.0) < held_at + 0.5 * slowness()  # a call reserved just before is still sent
    assert held_at - given < 2.0 * slowness()
    assert seconds < DAGSTER_WAITS_S
    status = status_of(database, world)
    assert status is not None
    assert status.parked is not None
    assert status.parked.kind == "stopped"


@pytest.mark.case("S3")
def test_a_frozen_world_is_stopped_and_resumed(stack: TestStack, database: MongoDatabase, generia: Command) -> None:
    """`stop` takes the world from a frozen process, `resume` gives it to another run; the old process ends when it continues."""
    world, pid = at_work(stack, database, calls=2)
    freeze(pid, stack)
    assert stopped(generia, world) < DAGSTER_WAITS_S
    before = status_of(database, world)
    assert generia.call("resume", world)[0] == 0
    wait_for("another run", lambda: len(run_processes(stack)) == 2 or None)
    os.kill(pid, signal.SIGCONT)
    wait_for("the end of the old process", lambda: not alive(pid) or None)
    wait_for("the end of the world", lambda: ((s := status_of(database, world)) and s.done) or None)
    after = status_of(database, world)
    assert before is not None
    assert after is not None
    assert (after.status, after.posts_created, after.generation) == ("completed", 3, before.generation)


@pytest.mark.case("S3")
def test_a_frozen_process_loses_its_world_when_its_lease_is_over(stack: TestStack, database: MongoDatabase) -> None:
    """A frozen process loses its world to another run, whatever Dagster's status is; it writes nothing more, and ends."""
    nap = Tries(stack, database, Console(file=sys.stderr)).nap()
    assert nap.completed


@pytest.mark.case("S1")
def test_a_code_server_whose_starts_hang_is_detected(
    stack: TestStack, database: MongoDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The health check, `doctor` and the metrics report a code server whose starts hang, and report it as healthy when they
    return."""
    wait_for("quiet", lambda: not run_processes(stack) or None)
    monkeypatch.setattr(metrics, "settings", lambda: settings().model_copy(update={"code_server": address(stack)}))
    server = stack.parts[CODE_SERVER].pid
    forkers = [int(child) for child in Path(f"/proc/{server}/task/{server}/children").read_text().split()]
    try:
        for pid in forkers:
            os.kill(pid, signal.SIGSTOP)
        stack.order(users=1, posts=1)
        wait_for("word of it", lambda: says_not_serving(address(stack)) or None)
        assert health_check(stack).returncode == 1
        assert "does not" in health_check(stack).stderr
        assert [
            finding.health
            for finding in code_server_found(settings(), Addresses("", kafka_address("127.0.0.1:1"), None, address(stack)))
        ] == [Health.WRONG]
        assert b"\ngeneria_code_server_starts_runs 0.0\n" in metrics.Metrics(database).text()
    finally:
        for pid in forkers:
            os.kill(pid, signal.SIGCONT)
    wait_for("a code server that is well", lambda: starts_runs(address(stack)) or None)
    wait_for("a good health check", lambda: health_check(stack).returncode == 0 or None)


def says_not_serving(where: str) -> bool:
    with grpc.insecure_channel(where) as channel:
        request = health_pb2.HealthCheckRequest(service="DagsterApi")
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=PATIENCE_S)
    return bool(answer.status == health_pb2.HealthCheckResponse.NOT_SERVING)


def health_check(stack: TestStack) -> subprocess.CompletedProcess[str]:
    """The result of the code container's health check."""
    argv = [sys.executable, str(ROOT / "docker" / "health.py"), "grpc", address(stack)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, env={**os.environ, **stack.env})


def hang(server: Child, _where: str) -> None:
    os.kill(server.pid, signal.SIGSTOP)


def reload_definitions(_server: Child, where: str) -> None:
    """Reload the definitions as Dagster's pages do."""
    with grpc.insecure_channel(where) as channel:
        channel.unary_unary("/api.DagsterApi/ReloadCode")(b"", timeout=PATIENCE_S)


@pytest.mark.case("S1")
@pytest.mark.case("P9")
def test_a_code_server_is_replaced(tmp_path: Path, stack: TestStack) -> None:
    """`generia dev` replaces a code server that is stuck, has ended, or must reload its definitions."""
    port = free_port()
    where = f"127.0.0.1:{port}"

    def launch() -> Child:
        return spawn("code server", command("127.0.0.1", port), log_path=tmp_path / "log", env=stack.env)

    part = Service(
        "code server", Ownership.GENERATOR, launch, lambda _: where if starts_runs(where) else None, watch=Watch(where, 3.0)
    )
    parts = ServiceSet([part])

    def replaced(former: Child) -> bool | None:
        parts.check()
        return (part.child is not former and starts_runs(where)) or None

    try:
        parts.start(lambda: None)
        for event in (hang, reload_definitions):
            present = part.child
            assert present is not None
            wait_for("the watch", lambda: (part.watch is not None and part.watch.answered) or None)
            event(present, where)
            wait_for("another code server", partial(replaced, present))
            assert not alive(present.pid)
    finally:
        parts.stop()
