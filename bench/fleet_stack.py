"""A stack whose runs are executed by Celery workers: it adds PostgreSQL, RabbitMQ and the workers to the parts of every stack.

Here: these parts, killing them, and restarting them. Not here: when a part is killed, and what must be true then (fleet.py).
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.killing import children
from bench.stack import ROOT, TestStack
from generia_assets.processes import Child, start

POSTGRESQL, RABBITMQ = "postgresql", "rabbitmq"
SETTINGS = {POSTGRESQL: "DAGSTER_POSTGRES_URL", RABBITMQ: "CELERY_BROKER_URL"}
READY = b" ready."
"""What Celery logs when a worker takes tasks."""


@dataclass
class FleetStack(TestStack):
    """See ``TestStack``. ``runs``: how many runs a worker executes at once."""

    instance_file: ClassVar = "dagster-fleet.yaml"
    runs: int = 4

    def start_fleet(self, workers: int) -> None:
        """Start PostgreSQL, RabbitMQ, Dagster and this number of workers; the other servers already run."""
        self.folder.chmod(0o711)  # PostgreSQL may run as another user
        with ThreadPoolExecutor() as together:
            list(together.map(self.start_server, SETTINGS))
        self.env |= {setting: self.parts[name].ready_value for name, setting in SETTINGS.items()}
        os.environ.update(self.env)  # this process opens the instance, too
        self.prepare_dagster()
        instance = Path(self.env["DAGSTER_HOME"]) / "dagster.yaml"
        places = f"max_concurrent_runs: {workers * self.runs}"  # further runs wait in Dagster's queue, not in the broker's
        instance.write_text(re.sub("max_concurrent_runs: .*", places, instance.read_text()))
        for number in range(1, workers + 1):
            self.spawn_worker(number)
        self.start_code_server()
        self.start_daemon()
        for number in range(1, workers + 1):
            self.await_worker(number)

    def start_server(self, name: str, port: int = 0) -> None:
        """Start PostgreSQL or RabbitMQ; after a kill it starts on the same port with the same data."""
        argv = [sys.executable, "-m", "local_services.fleet", name, "--data", str(self.folder / name), "--port", str(port)]
        self.parts[name] = start(name, argv, log_path=self._log(name), timeout=90, cwd=ROOT)

    def restart_server(self, name: str) -> None:
        """``kill -9`` of a server, and a new one. The process that supervises the killed server ends by itself."""
        port = int(self.parts[name].ready_value.partition("@")[2].partition("/")[0].partition(":")[2])
        send(tree(self.parts[name])[1:], signal.SIGKILL)
        self.forget(name)
        self.start_server(name, port)

    def spawn_worker(self, number: int) -> None:
        celery = str(Path(sys.executable).with_name("celery"))
        options = ("--concurrency", str(self.runs), "--hostname", f"{number}@%h", "--loglevel", "INFO")
        self.parts[worker(number)] = self._spawn(worker(number), [celery, "-A", "generia_assets.fleet.app", "worker", *options])

    def await_worker(self, number: int) -> None:
        part = self.parts[worker(number)]
        part.wait_until(lambda: READY in part.log_path.read_bytes() or None, 60)

    def kill(self, name: str) -> None:
        self.signal(name, signal.SIGKILL)
        self.forget(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to all processes of a part."""
        send(tree(self.parts[name]), number)


def send(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.kill(pid, number)


def worker(number: int) -> str:
    return f"worker {number}"


def tree(part: Child) -> Sequence[int]:
    found = [part.pid]
    for pid in found:
        found.extend(children(pid))
    return found
