"""The stack: what a harness starts, every part a process of its own that can be killed and started again.

Here: MongoDB, broker (or Apache Kafka), the emulators of Gemini and the platform, code server and daemon on free ports in a folder
of the harness; and orders, sent as the platform sends them. Not here: the faults that a harness injects.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

import dagster as dg
from kafka import KafkaProducer

from emulators.gemini.client import EmulatorControl
from emulators.lifecycle import accepts_connections, free_port
from emulators.platform.client import PlatformControl, addresses
from generia_assets.code_server import command
from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import WorldStatus
from generia_assets.processes import Child, spawn, start
from resources.mongodb.connection import MongoDatabase, connect
from resources.settings import SERVICE_NAMES

FoundT = TypeVar("FoundT")

ROOT = Path(__file__).resolve().parents[1]
MOCK_BROKER_VERSION = "2.3"
PROMPT = "a city where dreams turn solid until dawn"
SHORT_LEASES = {"WORLD_LEASE_SECONDS": "2", "SLOT_LEASE_SECONDS": "2"}
IMPATIENT = {**SHORT_LEASES, "BREAKER_OPEN_SECONDS": "0.3", "BREAKER_OPEN_MAX_SECONDS": "2"}
"""Settings with which a world comes back soon after a death or an outage."""


class TooLateError(TimeoutError):
    """Something that a harness waits for did not happen in time."""


@dataclass
class TestStack:
    """The running parts. Use as a context manager; processes that still run at the end are stopped, and the folder is removed."""

    __test__: ClassVar = False  # pytest takes it for a class of tests
    instance_file: ClassVar = "dagster.yaml"
    settings: dict[str, str] = field(default_factory=dict)
    """Variables beside the addresses, by name (see .env)."""
    seed: int = 1
    """The ids of the worlds ordered here come from it, and so what is drawn for them and asked."""
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="generia-bench-")))
    parts: dict[str, Child] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    _platform_url: str = ""

    def __enter__(self) -> Self:
        self._dice = random.Random(self.seed)
        self.env = {
            **self.settings,
            "GENERIA_DATA_DIR": str(self.folder),
            "DAGSTER_HOME": str(self.folder / "dagster"),
            "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
            "KAFKA_API_VERSION": MOCK_BROKER_VERSION,
            "PYTHONDONTWRITEBYTECODE": "",
        }
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name in reversed(list(self.parts)):
            self.parts.pop(name).stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_servers(self, *, latency: float = 0.0) -> None:
        self.start_mongod()
        broker = ("-m", "local_services.broker", "--topics", "generia-tasks:3,generia-tasks-dlq:1,generia-progress:1")
        self.env["KAFKA_BOOTSTRAP_SERVERS"] = self._start("broker", *broker)
        self.env["GEMINI_BASE_URL"] = self._start("gemini", "-m", "emulators.gemini", "--latency", str(latency))

    def start_platform(self, *, latency: float = 0.0) -> PlatformControl:
        """The platform emulator; worlds are published through its services from here on. Returns its control plane."""
        grpc_address, url = addresses(self._start("platform", "-m", "emulators.platform", "--latency", str(latency)))
        self.env |= {"PLATFORM": "grpc", **dict.fromkeys(map(str.upper, SERVICE_NAMES), grpc_address)}
        self._platform_url = url
        return PlatformControl(url)

    def start_mongod(self, *, port: int = 0) -> None:
        """MongoDB; again on the same port with its data after it was stopped."""
        argv = ("-m", "local_services.mongod", "--dbpath", str(self.folder / "mongodb"), "--port", str(port))
        self.env["MONGODB_URI"] = self._start("mongod", *argv)

    def start_dagster(self) -> None:
        self.prepare_dagster()
        self.start_code_server()
        self.start_daemon()

    def prepare_dagster(self) -> None:
        """A fresh instance, and the workspace of the processes that use it."""
        home = Path(self.env["DAGSTER_HOME"])
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "docker" / self.instance_file, home / "dagster.yaml")
        with self.instance():
            pass  # creates the tables before two processes do so at once
        self.env.setdefault("CODE_SERVER_PORT", str(free_port()))
        location = f"{{host: 127.0.0.1, port: {self.env['CODE_SERVER_PORT']}, location_name: generia}}"
        (self.folder / "workspace.yaml").write_text(f"load_from:\n  - grpc_server: {location}\n")

    def start_code_server(self) -> None:
        """The code server, on the port it had before; return when it answers."""
        port = int(self.env["CODE_SERVER_PORT"])
        child = self.parts["code server"] = self.spawn_code_server()
        child.wait_until(lambda: accepts_connections(port) or None, 180)

    def spawn_code_server(self) -> Child:
        return self._spawn("code server", command("127.0.0.1", int(self.env["CODE_SERVER_PORT"])))

    def start_daemon(self) -> None:
        self.parts["daemon"] = self.spawn_daemon()

    def spawn_daemon(self) -> Child:
        program = str(Path(sys.executable).with_name("dagster-daemon"))
        return self._spawn("daemon", [program, "run", "-w", str(self.folder / "workspace.yaml")])

    def start_pages(self) -> str:
        """The worlds' pages, as `generia view` serves them; return their address when they answer."""
        port = free_port()
        argv = [str(Path(sys.executable).with_name("generia")), "view", "--port", str(port)]
        child = self.parts["pages"] = self._spawn("pages", argv)
        child.wait_until(lambda: accepts_connections(port) or None, 180)
        return f"http://127.0.0.1:{port}"

    def forget(self, name: str) -> None:
        """Remove a killed part from the list, after it has ended."""
        self.parts.pop(name).stop()

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        os.environ["DAGSTER_HOME"] = self.env["DAGSTER_HOME"]  # its settings refer to it
        with dg.DagsterInstance.from_config(self.env["DAGSTER_HOME"]) as instance:
            yield instance

    @contextmanager
    def database(self) -> Iterator[MongoDatabase]:
        with connect(self.env["MONGODB_URI"]) as client:
            yield client["generia_ai_worker"]

    @property
    def platform(self) -> PlatformControl | None:
        return PlatformControl(self._platform_url) if self._platform_url else None

    @property
    def gemini(self) -> EmulatorControl:
        return EmulatorControl(self.env["GEMINI_BASE_URL"])

    @property
    def kafka(self) -> dict[str, Any]:
        """The settings that a client of kafka-python needs for this broker."""
        version = self.env["KAFKA_API_VERSION"]
        api_version = tuple(map(int, version.split("."))) if version else None
        return {"bootstrap_servers": self.env["KAFKA_BOOTSTRAP_SERVERS"], "api_version": api_version}

    def order(self, *, users: int, posts: int, prompt: str = PROMPT, traceparent: str = "", **more: object) -> str:
        """Send one order as the platform does, in the trace of this header, if there is one; return the world's id."""
        world_id = self._new_id()
        if self.platform is not None:
            with self.platform as control:
                control.add_world(world_id)
        message = {
            "event_type": "task_created",
            "task_id": self._new_id(),
            "task_type": "init_world_creation",
            "world_id": world_id,
            "parameters": {"user_prompt": prompt, "users_count": users, "posts_count": posts, **more},
        }
        producer = KafkaProducer(**self.kafka, acks="all")
        try:
            headers = [("traceparent", traceparent.encode())] if traceparent else []
            producer.send("generia-tasks", json.dumps(message).encode(), key=world_id.encode(), headers=headers).get(timeout=60)
        finally:
            producer.close()
        return world_id

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._dice.getrandbits(128), version=4))

    def _start(self, name: str, *argv: str) -> str:
        child = self.parts[name] = start(
            name, [sys.executable, *argv], log_path=self._log(name), env=self.env, cwd=ROOT, timeout=90
        )
        return child.ready_value

    def _spawn(self, name: str, argv: list[str]) -> Child:
        return spawn(name, argv, log_path=self._log(name), env=self.env, cwd=ROOT)

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name.replace(' ', '-')}.log"


def status_of(database: MongoDatabase, world_id: str) -> WorldStatus | None:
    """The world's status record, or None before its order was seen."""
    found = database[STATUS].find_one({"_id": world_id})
    return None if found is None else WorldStatus.model_validate(found)


def known_status(database: MongoDatabase, world_id: str, failure: str = "") -> WorldStatus:
    """The world's status record. Raises ``RuntimeError`` if there is none."""
    if (status := status_of(database, world_id)) is None:
        raise RuntimeError(f"world {world_id} has no status record: {failure}")
    return status


def wait_for(what: str, probe: Callable[[], FoundT | None], *, seconds: float, every: float = 0.05) -> FoundT:
    """The first true result of ``probe``. Raises ``TooLateError`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = probe()
        if found is not None:
            return found
        time.sleep(every)
    raise TooLateError(f"{what} did not come within {seconds:.0f} s")


def await_end(database: MongoDatabase, world_id: str, *, seconds: float) -> WorldStatus:
    """The world's status record after it has ended."""
    return wait_for(
        f"the end of world {world_id}",
        lambda: status if (status := status_of(database, world_id)) is not None and status.done else None,
        seconds=seconds,
    )
