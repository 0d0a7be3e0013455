"""Watches the code server and replaces one that no longer starts runs.

Here: ``ask``, two requests that a stuck server does not answer, for health checks, ``generia doctor`` and the metrics; ``Watch``,
which sends them every two seconds, for the parent process of a code server; and ``python -m generia_assets.code_server``, a
container's code server with such a watch. Nothing of Dagster is imported, because health checks start a process every few seconds.
Not here: the server itself (warm_start.py).
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVICE = "DagsterApi"
CURRENT_RUNS = "/api.DagsterApi/GetCurrentRuns"
"""A request that needs the same as the start of a run: a free thread of the server, and its table of runs."""
ASK_SECONDS = 5.0
EVERY_SECONDS = 2.0
BEGIN_SECONDS = 120.0
"""Seconds in which a server that was just started need not answer, because it imports the definitions."""


def ask(address: str, *, timeout: float = ASK_SECONDS) -> bytes:
    """Ask the code server at ``host:port`` (or ``unix:path``) whether it starts runs. Returns the ids of its runs, unparsed.

    Raises ``ConnectionError`` unless it answers each request within ``timeout`` seconds with status SERVING: else it is gone or
    stuck, or the start of a run has not returned for too long (warm_start.py).
    """
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            request = health_pb2.HealthCheckRequest(service=SERVICE)
            health = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout)
            runs: bytes = channel.unary_unary(CURRENT_RUNS)(b"", timeout=timeout)
        except grpc.RpcError as error:
            raise ConnectionError(f"the code server at {address} does not answer ({error.code().name})") from error
    if health.status != health_pb2.HealthCheckResponse.SERVING:
        raise ConnectionError(f"the code server at {address} does not serve: it begins, or a start of a run does not return")
    return runs


def starts_runs(address: str, *, timeout: float = ASK_SECONDS) -> bool:
    try:
        ask(address, timeout=timeout)
    except ConnectionError:
        return False
    return True


def command(host: str, port: int) -> list[str]:
    """The command line of a code server at this address.

    It is ``dagster api grpc``, extended (warm_start.py), and not ``dagster code-server start``: the definitions are loaded in the
    process that starts the runs, which can therefore fork a run that has everything imported already.
    """
    where = ("--host", host, "--port", str(port), "--location-name", "generia")
    return [sys.executable, "-m", "generia_assets.warm_start", "--module-name", "generia_assets.definitions", *where]


class Watch:
    """Asks a code server every two seconds, on a thread of its own, from ``begin`` on. ``begin`` may be called for each new
    server."""

    def __init__(self, address: str, stuck_seconds: float) -> None:
        """``stuck_seconds``: a server that has not answered for so long is stuck."""
        self._address = address
        self._stuck_seconds = stuck_seconds
        self._lock = threading.Lock()
        self._begun = 0
        self.answered = False
        """Whether the present server has ever answered. One that ends before that cannot start at all."""
        self._stuck_after = 0.0

    def begin(self) -> None:
        with self._lock:
            self._begun += 1
            self.answered = False
            self._stuck_after = time.monotonic() + BEGIN_SECONDS
            number = self._begun
        if number == 1:
            threading.Thread(target=self._ask, name="code-server-watch", daemon=True).start()

    @property
    def stuck(self) -> bool:
        """Whether the present server has not answered for too long."""
        return time.monotonic() > self._stuck_after

    def _ask(self) -> None:
        while True:
            number = self._begun
            if starts_runs(self._address):
                with self._lock:
                    if number == self._begun:
                        self.answered = True
                        self._stuck_after = time.monotonic() + self._stuck_seconds
            time.sleep(EVERY_SECONDS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, and replace a server that has ended or is stuck. Returns the exit code.

    1 if a server ends before it has answered: its definitions cannot be loaded, and its log names the reason.
    """
    from generia_assets.interrupts import interruptible, uninterrupted
    from generia_assets.processes import spawn
    from generia_assets.settings import settings

    parser = argparse.ArgumentParser(prog="python -m generia_assets.code_server", description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4000)
    parser.add_argument("--grace", type=float, default=25.0, help="seconds that runs have to note where they stand (default: 25)")
    options = parser.parse_args(arguments)
    local = "127.0.0.1" if options.host == "0.0.0.0" else options.host  # noqa: S104  (compared, not bound)
    watch = Watch(f"{local}:{options.port}", settings().code_server_stuck_seconds)
    servers = []
    with interruptible():
        try:
            while True:
                servers.append(spawn("code server", command(options.host, options.port)))
                watch.begin()
                while servers[-1].exit_code() is None and not watch.stuck:
                    time.sleep(0.2)
                if servers[-1].exit_code() is not None and not watch.answered:
                    return 1
                sys.stderr.write(replaced(servers[-1].exit_code()) + "\n")
                servers[-1].kill()
        except KeyboardInterrupt:
            return 0
        finally:
            with uninterrupted():
                for place, server in enumerate(reversed(servers)):
                    # The other servers' processes hold only runs that ended long ago.
                    server.stop(options.grace if place == 0 else 0.0)


def replaced(exit_code: int | None) -> str:
    """The log line about a replaced server. Its runs are lost with it and continue as new runs."""
    how = "is stuck: no run starts there" if exit_code is None else f"ended with exit code {exit_code}"
    return f"the code server {how}. Another one takes its place; Dagster repeats the runs that it had, each from where it stands"


if __name__ == "__main__":
    sys.exit(main())
