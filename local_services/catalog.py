"""Which parts a running generator has, and how each is started: MongoDB, Kafka, Gemini, the code server, the daemon, the web page.

Here: what is set is used as it is (the environment, .env), and an embedded part takes the place of what is not. Servers are
started as modules, never imported. Not here: starting and ending (services.py).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import requests

from emulators.lifecycle import LOOPBACK, accepts_connections, free_port
from generia_assets.cli.addresses import is_set, set_dagster_home
from generia_assets.cli.console import CommandError
from generia_assets.cli.dagster_link import refuse_second_daemon
from generia_assets.cli.home import DataDir, Running
from generia_assets.cli.pace import Pace, emulated
from generia_assets.code_server import Watch, command
from generia_assets.processes import Child, launch, spawn
from generia_assets.settings import Settings
from local_services.prerequisites import check_broker, check_gemini, find_mongod
from local_services.services import Ownership, Service, ServiceSet
from resources.kafka.address import KafkaAddress
from resources.mongodb.connection import mongo_address

EMBEDDED_KAFKA_VERSION = "2.3"
"""The embedded broker cannot tell its protocol's version."""
PARTITIONS = 3
INSTANCE_FILE = Path(__file__).parents[1] / "docker" / "dagster.yaml"

MONGODB, KAFKA, GEMINI, CODE_SERVER, DAEMON, WEBSERVER = "MongoDB", "Kafka", "Gemini", "code server", "daemon", "web page"
PAGES = "worlds' pages"
EMULATOR_TIMEOUT_S = 10.0
SENSOR_LOOKS = b"Checking for new runs for sensor: kafka_orders"
"""What the daemon writes when its first look for orders begins: from now on a message is read at once."""
CODE_SERVER_GRACE_S = 5.0
"""In this time runs note where they stand. One that does not is taken up from its last transaction all the same."""
DAEMON_GRACE_S = 1.5
"""The daemon waits for its sensor's look to end (up to SENSOR_POLL_SECONDS); nothing is lost when it is not waited for."""


@dataclass(frozen=True)
class ServiceChoice:
    """What the command asked for.

    ``latency``: seconds until the Gemini emulator answers. A port of None: no such pages; of 0: at any free one.
    """

    latency: float
    webserver_port: int | None = None
    pages_port: int | None = None


class ServiceCatalog:
    """The parts for these settings, with their state under ``home``. Raises ``MissingServiceError`` if one cannot be had here."""

    def __init__(self, home: DataDir, settings: Settings, choice: ServiceChoice) -> None:
        self._home = home
        self._settings = settings
        self._choice = replace(
            choice, webserver_port=_port("--port", choice.webserver_port), pages_port=_port("--pages-port", choice.pages_port)
        )
        self._ports = {name: free_port() for name in (MONGODB, GEMINI, CODE_SERVER)}
        self.dagster_home = set_dagster_home() or home.dagster
        self.parts = ServiceSet(
            [
                self._mongodb(),
                self._kafka(),
                self._gemini(),
                self._code_server(),
                self._daemon(),
                *self._webserver(),
                *self._pages(),
            ]
        )

    @property
    def mongodb_uri(self) -> str:
        """Where MongoDB is, or will be."""
        if is_set(self._settings, "mongodb_uri"):
            return self._settings.mongodb_uri.get_secret_value()
        return f"mongodb://{LOOPBACK}:{self._ports[MONGODB]}/?directConnection=true"

    @property
    def kafka(self) -> KafkaAddress:
        """Where Kafka is. The embedded one's address is known when it is ready."""
        if is_set(self._settings, "kafka_bootstrap_servers"):
            return KafkaAddress(self._settings.kafka_bootstrap_servers, self._settings.kafka_api_version)
        return KafkaAddress(self.parts.address(KAFKA), EMBEDDED_KAFKA_VERSION)

    @property
    def code_server(self) -> str:
        """Where the code server is, or will be."""
        return f"{LOOPBACK}:{self._ports[CODE_SERVER]}"

    @property
    def real_model(self) -> bool:
        """Whether calls go to somebody else's Gemini, and may cost money."""
        return is_set(self._settings, "gemini_api_key") or is_set(self._settings, "gemini_base_url")

    @property
    def pace(self) -> Pace | None:
        """The pace of calls of the model, where that is known."""
        return None if self.real_model else emulated(self._choice.latency)

    def recorded_answers(self) -> int:
        """How many answers of the embedded Gemini emulator were recorded ones; 0 for a real model, and where it does not say."""
        if self.real_model:
            return 0
        with requests.Session() as session, suppress(requests.RequestException):  # no world fails for want of this number
            session.trust_env = False  # no proxy stands before an emulator
            stats = session.get(f"http://{LOOPBACK}:{self._ports[GEMINI]}/emulator/stats", timeout=EMULATOR_TIMEOUT_S)
            return int(stats.json().get("recorded", 0))
        return 0

    def start(self, on_change: Callable[[], None]) -> None:
        """Start what is to be started; see ``ServiceSet.start``. Raises ``CommandError`` if DAGSTER_HOME is not free for it."""
        if set_dagster_home() is not None:
            refuse_second_daemon(self.dagster_home)
        self._prepare_dagster()
        self.parts.start(on_change)

    def running(self, command: str) -> Running:
        """What other commands need to know of these parts."""
        return Running(
            command=command,
            pid=os.getpid(),
            mongodb_uri=self.mongodb_uri,
            kafka_bootstrap_servers=self.kafka.bootstrap_servers,
            kafka_api_version=self.kafka.api_version,
            dagster_home=str(self.dagster_home),
            code_server=self.code_server,
        )

    def _mongodb(self) -> Service:
        if is_set(self._settings, "mongodb_uri"):
            return Service(MONGODB, Ownership.YOURS, address=mongo_address(self.mongodb_uri))
        find_mongod()
        port = str(self._ports[MONGODB])
        return Service(
            MONGODB,
            Ownership.EMBEDDED,
            lambda: self._embedded("local_services.mongod", "--dbpath", self._home.mongodb, "--port", port),
            lambda child: f"{LOOPBACK}:{port}" if child.ready() else None,
        )

    def _kafka(self) -> Service:
        settings = self._settings
        if is_set(settings, "kafka_bootstrap_servers"):
            return Service(KAFKA, Ownership.YOURS, address=settings.kafka_bootstrap_servers)
        check_broker()
        topics = (settings.kafka_tasks_topic, settings.kafka_progress_topic, settings.kafka_dead_letters_topic)
        named = ",".join(f"{topic}:{PARTITIONS}" for topic in topics)
        return Service(KAFKA, Ownership.EMBEDDED, lambda: self._embedded("local_services.broker", "--topics", named))

    def _gemini(self) -> Service:
        if self.real_model:
            where = self._settings.gemini_base_url or "Google's, with GEMINI_API_KEY: calls cost money"
            return Service(GEMINI, Ownership.YOURS, address=where)
        check_gemini()
        port, latency = str(self._ports[GEMINI]), str(self._choice.latency)
        return Service(GEMINI, Ownership.EMBEDDED, lambda: self._embedded("emulators.gemini", "--port", port, "--latency", latency))

    def _code_server(self) -> Service:
        port = self._ports[CODE_SERVER]
        return Service(
            CODE_SERVER,
            Ownership.GENERATOR,
            lambda: self._generator("code-server", *command(LOOPBACK, port)[1:]),
            lambda child: self.code_server if accepts_connections(port) else None,
            watch=Watch(self.code_server, self._settings.code_server_stuck_seconds),
            after=(KAFKA,),  # of the other two the address is known before they run
            ends_first=True,
            grace=CODE_SERVER_GRACE_S,
        )

    def _daemon(self) -> Service:
        port = str(self._ports[CODE_SERVER])
        return Service(
            DAEMON,
            Ownership.GENERATOR,
            lambda: self._generator("daemon", "-m", "local_services.daemon", port, "run", "--workspace", self._home.workspace),
            lambda child: "looks for orders" if SENSOR_LOOKS in child.log_path.read_bytes() else None,
            after=(KAFKA,),
            ends_first=True,
            grace=DAEMON_GRACE_S,
        )

    def _webserver(self) -> list[Service]:
        port = self._choice.webserver_port
        if port is None:
            return []
        arguments = ("--host", LOOPBACK, "--port", str(port), "--workspace", self._home.workspace)
        return [
            Service(
                WEBSERVER,
                Ownership.GENERATOR,
                lambda: self._generator("webserver", "-m", "generia_assets.webserver", *arguments),
                lambda child: f"http://{LOOPBACK}:{port}" if accepts_connections(port) else None,
                # On a fresh DAGSTER_HOME two must not make the tables at once.
                after=(CODE_SERVER,) if (self.dagster_home / "storage").exists() else (DAEMON,),
                ends_first=True,
            )
        ]

    def _pages(self) -> list[Service]:
        port = self._choice.pages_port
        if port is None:
            return []
        return [
            Service(
                PAGES,
                Ownership.GENERATOR,
                lambda: self._generator("pages", "-m", "generia_assets.cli", "view", "--port", str(port)),
                lambda child: f"http://{LOOPBACK}:{port}" if accepts_connections(port) else None,
                after=(MONGODB,),
                ends_first=True,
            )
        ]

    def _embedded(self, module: str, *arguments: str | Path) -> Child:
        name = module.rpartition(".")[2]
        return launch(name, [sys.executable, "-m", module, *arguments], log_path=self._home.logs / f"{name}.log")

    def _generator(self, name: str, *arguments: str | Path) -> Child:
        return spawn(
            name,
            [sys.executable, *arguments],
            log_path=self._home.logs / f"{name}.log",
            env=self._environment(),
        )

    def _environment(self) -> dict[str, str]:
        environment = {
            "MONGODB_URI": self.mongodb_uri,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "KAFKA_API_VERSION": self.kafka.api_version,
            "GENERIA_DATA_DIR": str(self._home.root),
            "DAGSTER_HOME": str(self.dagster_home),
            "CODE_SERVER": self.code_server,
            "ALLOWED_HOSTS": self._settings.allowed_hosts,
            # Seconds until a run that died is ordered again (default 5).
            "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
        }
        if self._choice.pages_port is not None and self._settings.pages_url == Settings.model_fields["pages_url"].default:
            environment["PAGES_URL"] = f"http://{LOOPBACK}:{self._choice.pages_port}"
        if not self.real_model:
            environment["GEMINI_BASE_URL"] = f"http://{LOOPBACK}:{self._ports[GEMINI]}"
        return environment

    def _prepare_dagster(self) -> None:
        self.dagster_home.mkdir(parents=True, exist_ok=True)
        instance = self.dagster_home / "dagster.yaml"
        ours = self.dagster_home == self._home.dagster
        if ours or not instance.exists():  # what is ours follows the checkout; what is yours is only completed
            shutil.copyfile(INSTANCE_FILE, instance)
        self._home.workspace.write_text(
            "# Made anew at every start.\nload_from:\n  - grpc_server:\n"
            f"      host: {LOOPBACK}\n      port: {self._ports[CODE_SERVER]}\n      location_name: generia\n"
        )


def _port(option: str, port: int | None) -> int | None:
    """The port to serve pages at; a free one for 0. Raises ``CommandError`` if it is taken."""
    if port == 0:
        return free_port()
    if port is not None and accepts_connections(port):
        raise CommandError(f"{option} {port}: somebody listens there already; give another one, such as {option} {port + 1}", 2)
    return port
