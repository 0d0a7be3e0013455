"""The supervisor of processes: it reports a ready process or the reason, and ends processes reliably."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from generia_assets.processes import Child, ChildFailedError, spawn, start
from tests.support.waiting import PATIENCE_S, wait_for

READY = "import sys, pathlib; pathlib.Path(sys.argv[sys.argv.index('--ready-file') + 1]).write_text('here\\n');"
WAIT = "import signal; signal.pause()"


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for_line(child: Child, line: str) -> None:
    child.wait_until(lambda: f"{line}\n" in child.log_path.read_text() or None, timeout=PATIENCE_S)


def test_ready_value_is_what_the_process_wrote(tmp_path: Path) -> None:
    """A started process is ready when it has written its ready file; the content of the file is its value."""
    with start("ready", python(READY + WAIT), log_path=tmp_path / "ready.log") as child:
        assert child.ready_value == "here"
        assert child.exit_code() is None
    assert child.exit_code() == -signal.SIGTERM


def test_stale_ready_file_is_ignored(tmp_path: Path) -> None:
    """The ready file of an earlier process does not make the next one ready."""
    (tmp_path / "late.ready").write_text("stale\n")
    with start("late", python(READY + WAIT), log_path=tmp_path / "late.log") as child:
        assert child.ready_value == "here"


def test_early_end_has_exit_code_and_log(tmp_path: Path) -> None:
    """A process that ends before it is ready is an error with its exit code and the last lines of its log."""
    program = "import sys; print(*range(100), sep=chr(10)); sys.exit('no room left')"
    with pytest.raises(ChildFailedError, match="ended with exit code 1") as failure:
        start("full", python(program), log_path=tmp_path / "full.log")
    assert failure.value.exit_code == 1
    assert failure.value.last_lines.splitlines()[-1] == "no room left"
    assert len(failure.value.last_lines.splitlines()) == 20


def test_process_that_is_never_ready_is_not_left_behind(tmp_path: Path) -> None:
    """A process that is not ready in time is an error, and is ended."""
    program = ["sh", "-c", "echo $$; exec sleep 600"]  # prints its process id at once
    with pytest.raises(ChildFailedError, match=r"not ready within 0\.5 s"):
        start("slow", program, log_path=tmp_path / "slow.log", timeout=0.5)
    assert not alive(int((tmp_path / "slow.log").read_text()))


def test_stubborn_process_is_killed(tmp_path: Path) -> None:
    """A process that ignores SIGTERM is killed after its grace period."""
    program = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True);" + WAIT
    child = spawn("stubborn", python(program), log_path=tmp_path / "stubborn.log")
    wait_for_line(child, "deaf")
    assert child.stop(grace=0.1) == -signal.SIGKILL
    assert child.stop() == -signal.SIGKILL


def test_group_ends_with_its_leader(tmp_path: Path) -> None:
    """The children of a process end with it, even if they ignore SIGTERM."""
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    program = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {deaf!r}]);" + WAIT
    with spawn("leader", python(program), log_path=tmp_path / "leader.log") as child:
        wait_for_line(child, "deaf")
        group = child.pid
    wait_for(lambda: not group_lives(group))  # a killed process exists until the kernel removes it


def group_lives(group: int) -> bool:
    """Whether a process of the group still runs (a zombie is listed until init reaps it)."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, its_group = status.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state != "Z":
            return True
    return False


def test_former_log_is_kept(tmp_path: Path) -> None:
    """A second run starts a new log and keeps the log of the first run."""
    for word in ("first", "second"):
        with spawn("talker", python(f"print({word!r}, flush=True);" + WAIT), log_path=tmp_path / "talker.log") as child:
            wait_for_line(child, word)
    assert (tmp_path / "talker.log").read_text() == "second\n"
    assert (tmp_path / "talker.log.1").read_text() == "first\n"


def test_our_process_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """A process that watches its parent does not end with a helper thread of the parent."""
    started: list[Child] = []

    def begin() -> None:
        started.append(start("ready", python(READY + WAIT), log_path=tmp_path / "ready.log"))

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    with started[0] as child:
        with pytest.raises(ChildFailedError, match="was not ready within"):
            child.wait_until(lambda: None, timeout=0.2)
        assert child.exit_code() is None


def test_a_program_starts_beside_a_channel_of_grpc() -> None:
    """None of three hundred programs is ended between fork and exec by gRPC's fork handlers."""
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            children = [spawn("true", ["true"]) for _ in range(300)]
            wait_for(lambda: all(child.exit_code() is not None for child in children))
            assert {child.exit_code() for child in children} == {0}
    finally:
        server.stop(None).wait()
