"""The scripts of the containers, run here unchanged: health.py with real servers, test-mode with fake commands."""

import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.support.waiting import PATIENCE_S, wait_for

DOCKER = Path(__file__).parents[2] / "docker"


def run_health(kind: str, address: str) -> subprocess.CompletedProcess[str]:
    """Run a health check as its container does."""
    return subprocess.run(
        [sys.executable, DOCKER / "health.py", kind, address], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@pytest.fixture
def web_address() -> Iterator[str]:
    """A web server that answers 404 to everything but ``/``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def code_server() -> Iterator[tuple[str, health.HealthServicer]]:
    """A gRPC server with the health and the runs of Dagster's code server: its address, and a switch."""
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    runs = grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("api.DagsterApi", {"GetCurrentRuns": runs})])
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", servicer
    server.stop(None).wait()


@pytest.fixture
def closed_address() -> Iterator[str]:
    """An address with a bound port at which no server listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.slow
def test_a_server_that_answers_is_healthy(web_address, code_server):
    """Each of the three checks succeeds if the server answers."""
    address, servicer = code_server
    servicer.set("DagsterApi", health_pb2.HealthCheckResponse.SERVING)
    assert run_health("tcp", web_address).returncode == 0
    assert run_health("http", f"http://{web_address}/").returncode == 0
    assert run_health("grpc", address).returncode == 0


@pytest.mark.slow
def test_a_server_that_answers_wrongly_is_not_healthy(web_address, code_server):
    """A server that answers with an error, or does not know the service, is not healthy."""
    address, servicer = code_server
    assert run_health("http", f"http://{web_address}/missing").returncode == 1
    assert run_health("grpc", address).returncode == 1
    servicer.set("DagsterApi", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert "does not serve" in run_health("grpc", address).stderr


@pytest.mark.parametrize("kind", ["tcp", "http", "grpc"])
def test_no_server_is_not_healthy(kind, closed_address):
    """If no server listens, the check fails with one reason and no traceback."""
    result = run_health(kind, ("http://" if kind == "http" else "") + closed_address)
    assert result.returncode == 1
    assert closed_address in result.stderr
    assert "Traceback" not in result.stderr


def test_a_worker_is_healthy_while_it_touches_its_file(tmp_path):
    """A worker with a recent connection to its broker is healthy; one whose last connection is a minute old, or that had none, is
    not."""
    file = tmp_path / "worker"
    assert "No such file" in run_health("heartbeat", str(file)).stderr
    file.touch()
    assert run_health("heartbeat", str(file)).returncode == 0
    os.utime(file, (time.time() - 60, time.time() - 60))
    assert "last connected to its broker 60 s ago" in run_health("heartbeat", str(file)).stderr


GENERIA = """#!/bin/sh
echo "$*" >>"$LOG"
case "$1" in
    send) [ ! -e "$DAGSTER_HOME/refuse" ] || exit 3; echo "world-$(grep -c '^send' "$LOG")" ;;
    watch) echo "$GEMINI_API_KEY ${GEMINI_BASE_URL:-Google}" >"$DONE.new" && mv "$DONE.new" "$DONE" ;;
esac
"""
PYTHON = """#!/bin/sh
echo "python $*" >>"$LOG"
case "$2" in generia_assets.code_server) cat "$RELEASE" >/dev/null ;; esac
"""
DAEMON = """#!/bin/sh
echo "daemon $*" >>"$LOG"
"""


DAGSTER = ("python", "daemon", "view")
"""Commands that are not about the first world."""


class TestMode:
    """The container of test mode in a folder, with commands that record their calls."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self.log, self.done, self.release = folder / "log", folder / "done", folder / "release"
        for part in ("bin", "home", "data/media"):
            (folder / part).mkdir(parents=True)
        for name, text in (("generia", GENERIA), ("python", PYTHON), ("dagster-daemon", DAEMON)):
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        os.mkfifo(self.release)
        self.home = folder / "home"
        self.environment = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "DAGSTER_HOME": str(self.home),
            "GENERIA_DATA_DIR": str(folder / "data"),
            "EMULATOR_URL": "http://gemini:8090",
            "FIRST_WORLD_PROMPT": "A town on a whale",
            "FIRST_WORLD_USERS": "5",
            "FIRST_WORLD_POSTS": "20",
            "LOG": str(self.log),
            "DONE": str(self.done),
            "RELEASE": str(self.release),
        }

    def run(self, *, until: str = "watch", **environment: str) -> list[str]:
        """Start it, let Dagster end after the call of ``generia``'s command ``until`` and of all background commands; return the
        calls."""
        self.log.write_text("")
        self.done.unlink(missing_ok=True)
        process = subprocess.Popen(
            ["sh", DOCKER / "test-mode"],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        wait_for(lambda: self.done.exists() if until == "watch" else until in self._asked(), what=until)
        wait_for(lambda: {"view", "daemon"} <= self._asked(), what="what runs in the background")
        with self.release.open("w"):
            pass
        self.output, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
        return self.log.read_text().splitlines()

    def _asked(self) -> set[str]:
        return {line.split()[0] for line in self.log.read_text().splitlines()}


@pytest.fixture
def test_mode(tmp_path) -> TestMode:
    """Test mode in a fresh folder."""
    return TestMode(tmp_path)


def test_the_first_world_is_ordered_and_watched(test_mode):
    """Test mode starts Dagster, orders the configured world, and prints that world's texts."""
    asked = test_mode.run()
    assert "python -m generia_assets.code_server --port 4000" in asked
    assert "python -m generia_assets.webserver --host 0.0.0.0 --port 3000 --workspace /tmp/workspace.yaml" in asked
    assert [line for line in asked if not line.startswith(DAGSTER)] == [
        "send --users 5 --posts 20 --prompt A town on a whale",
        "watch world-1 --texts --log --wait 600",
    ]


def test_the_worlds_pages_are_served(test_mode):
    """The container serves the worlds' pages at the port that the compose file publishes as PAGES_URL."""
    assert "view --host 0.0.0.0 --port 3001" in test_mode.run()


def test_a_second_start_sends_no_second_order(test_mode):
    """The same order is sent once for any number of starts; another order is another world."""
    test_mode.run()
    assert [line for line in test_mode.run() if line.startswith("send")] == []
    assert "First world: world-1" in test_mode.output
    again = test_mode.run(FIRST_WORLD_PROMPT="A town under a whale")
    assert "send --users 5 --posts 20 --prompt A town under a whale" in again


def test_a_refused_order_is_sent_at_the_next_start(test_mode):
    """If the order could not be sent, the script says so, and sends it at the next start."""
    (test_mode.home / "refuse").touch()
    test_mode.run(until="send")
    (test_mode.home / "refuse").unlink()
    assert [line.split()[0] for line in test_mode.run() if not line.startswith(DAGSTER)] == ["send", "watch"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "emulator http://gemini:8090"),
        ({"GEMINI_API_KEY": "", "GEMINI_BASE_URL": ""}, "emulator http://gemini:8090"),
        ({"GEMINI_API_KEY": "a-key", "GEMINI_BASE_URL": ""}, "a-key Google"),
    ],
    ids=["no key", "empty key", "key"],
)
def test_the_emulator_is_used_without_a_key(test_mode, environment, expected):
    """Without a key only the emulator is called; with a key only Google is called."""
    test_mode.run(**environment)
    assert test_mode.done.read_text().strip() == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"EMULATOR_URL": "http://gemini:8090"}, "emulator http://gemini:8090"),
        ({"EMULATOR_URL": "http://gemini:8090", "GEMINI_API_KEY": "a-key"}, "a-key Google"),
        ({}, "none Google"),
    ],
    ids=["test mode", "test mode with a key", "no test mode"],
)
def test_a_persons_commands_use_the_same_model_as_the_generator(tmp_path, environment, expected):
    """``docker compose exec generator generia doctor`` uses the emulator exactly if test mode does."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "${GEMINI_API_KEY:-none} ${GEMINI_BASE_URL:-Google}"\n')
    python.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["sh", DOCKER / "generia", "doctor"], env={"PATH": path} | environment, capture_output=True, text=True)
    assert done.stdout.strip() == expected


def test_dagster_can_be_stopped(test_mode):
    """The code server does not ignore SIGINT in the container: otherwise it would also ignore SIGTERM, and could only be killed."""
    python = Path(test_mode.environment["PATH"].split(":")[0]) / "python"
    signals = '#!/bin/sh\n[ "$2" != generia_assets.code_server ] || grep SigIgn /proc/$$/status >"$LOG.signals"\n'
    python.write_text(signals + PYTHON.split("\n", 1)[1])
    test_mode.run()
    ignored = int(test_mode.log.with_name("log.signals").read_text().split()[1], 16)
    assert not ignored & 1 << 1
