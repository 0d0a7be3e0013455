"""The servers that tests share: each starts with the first test that needs it, and is stopped at the end in any case.

They always belong to the tests, whatever addresses the environment has: a test must not write into another database.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest
import requests
from pymongo import MongoClient
from xdist.scheduler import LoadFileScheduling

from generia_assets.content import check, rendering, yaml_files
from generia_assets.interrupts import restore_interrupts
from generia_assets.processes import start
from local_services import apache_kafka as apache
from local_services import fleet

if TYPE_CHECKING:
    from tests.support.command import Command
    from tests.support.guarded_kafka import GuardedKafka
    from tests.support.worlds_in_process import Worlds

TESTS = Path(__file__).parent
CONTENT = yaml_files.FOLDER.parent
MEMORY_BYTES = 4 * 1024**3
"""So much must be free for a worker's database to be kept in memory; it takes a tenth of it."""
BROKER_TOPICS = "generia-tasks:3,generia-tasks-dlq:1,generia-progress:1"


SERVERS = {"mongodb_uri", "broker", "guarded_kafka", "gemini_process", "platform_process", "postgresql", "rabbitmq"}
"""Fixtures that start a server. A test that uses one is marked ``servers``, and so is one that starts Dagster's processes; one that
starts another process that serves marks itself."""
ON_APACHE_KAFKA = (
    "test_kafka_security.py",
    "test_kafka_sensor_apache.py",
    "test_kafka_reading.py",
    "test_servers.py",
    "test_events_apache.py",
)
"""Files that take ``guarded_kafka``: one worker runs them all, so that Apache Kafka, which costs six seconds, is started once."""
SHARED_STACKS = ("tests/project/stack/",)
"""Folders whose files break one stack, and which one worker runs: to start it costs fifteen seconds of CPU and more."""
LONGEST = (
    "project/stack/test_brake.py",
    "project/stack/test_frozen.py",
    "durable/test_ways_and_states.py",
    "local_services/test_demo.py",
    "project/stack/test_kills.py",
    "fleet/test_deploy.py",
    "assets/test_runs_unusual.py",
    "bench/test_messages.py",
    "pages/test_looks.py",
    "resources/test_kafka_security.py",
    "content/test_mistakes.py",
    "bench/test_money.py",
    "assets/test_checks_content.py",
    "bench/test_outages.py",
    "pages/test_languages.py",
    "assets/test_order.py",
    "assets/test_items_outages.py",
    "pages/test_growing.py",
    "assets/test_runs.py",
    "bench/test_answers.py",
    "resources/test_models_retired.py",
    "pages/test_viewing.py",
    "assets/test_extend.py",
    "pages/test_browser.py",
)
"""Files of half a minute and more, those that wait between those that compute."""


class FilesByServer(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """A worker takes one file at a time; files that share Apache Kafka, or a stack, count as one."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        shared = next((folder for folder in SHARED_STACKS if file.startswith(folder)), file)
        return "Apache Kafka" if file.endswith(ON_APACHE_KAFKA) else shared


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[object]) -> None:
    from tests.support.forked_workers import fork_workers

    fork_workers(config, len(specs))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesByServer | None:
    """Instead of ``--dist loadfile``. (``loadgroup`` adds to the tests' names, which then cannot be given to pytest again.)"""
    return FilesByServer(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need servers; put the longest files first, so that no worker has a long file alone at the end.

    Files that need servers are mixed: many of one folder wait, and six of them at once leave the machine idle.
    """
    for item in items:
        if SERVERS & set(getattr(item, "fixturenames", ())) or item.get_closest_marker("dagster_process"):
            item.add_marker("servers")
    with_servers = {item.path for item in items if item.get_closest_marker("servers")}
    with_processes = {item.path for item in items if item.get_closest_marker("dagster_process")}
    rank = {TESTS / name: number for number, name in enumerate(LONGEST)}
    assert all(path.exists() for path in rank), "LONGEST names files that are not there"
    strangers = {item.path.name for item in items if "guarded_kafka" in getattr(item, "fixturenames", ())} - set(ON_APACHE_KAFKA)
    assert not strangers, f"add to ON_APACHE_KAFKA: {strangers}"

    def place(item: pytest.Item) -> tuple[int, bool, bool, int]:
        needs = item.path in with_servers
        mixed = crc32(str(item.path.relative_to(TESTS)).encode()) if needs else 0
        return rank.get(item.path, len(rank)), item.path not in with_processes, not needs, mixed

    items.sort(key=place)


def pytest_collection() -> None:
    """Freeze imported objects: the garbage collector need not visit a million objects repeatedly."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)  # by default it takes a twelfth of a worker's time, and frees almost nothing
    gc.enable()


restore_interrupts()  # `nohup make test &` makes processes ignore these signals, and every child would inherit that


def python_module(name: str, *arguments: str | Path) -> list[str | Path]:
    """Return the command line that runs a module with the tests' interpreter."""
    return [sys.executable, "-m", name, *arguments]


@pytest.fixture(scope="session")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory, if there is enough: a database that waits for no disk."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shutil.disk_usage(shared).free < MEMORY_BYTES:
        yield tmp_path_factory.mktemp("memory")
        return
    with tempfile.TemporaryDirectory(prefix="generia-tests-", dir=shared) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def mongodb_uri(memory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a real mongod, a replica set of one; every test uses its own database (``mongo_database_name``).

    Its test commands are enabled, so that a test can make it refuse a command (``configureFailPoint``).
    """
    home = tmp_path_factory.mktemp("mongod")
    command = python_module("local_services.mongod", "--dbpath", memory / "mongod", "--set-parameter", "enableTestCommands=1")
    with start("mongod", command, log_path=home / "server.log", timeout=90) as server:
        with MongoClient(server.ready_value) as client:
            config = client.admin.command("replSetGetConfig")["config"]
            changed = {"version": config["version"] + 1, "writeConcernMajorityJournalDefault": False}
            client.admin.command("replSetReconfig", config | changed)
        yield server.ready_value


@pytest.fixture(scope="session")
def mongo_client(mongodb_uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    """A client of that mongod for the test itself; the tested code opens its own."""
    with MongoClient(mongodb_uri) as client:
        yield client


@pytest.fixture
def mongo_database_name(mongo_client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    """The name of a database that only this test uses; it is dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    yield name
    for collection in mongo_client[name].list_collection_names():
        mongo_client[name].drop_collection(collection)  # otherwise the next test waits a tenth of a second for MongoDB's journal
    mongo_client.drop_database(name)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of the small broker, with the contract's topics; kafka-python needs ``api_version=(2, 3)`` with it.

    It keeps the messages of earlier tests. A test that reads from the start uses its own topic, which is created with four
    partitions at the first use.
    """
    home = tmp_path_factory.mktemp("broker")
    with start(
        "broker", python_module("local_services.broker", "--topics", BROKER_TOPICS), log_path=home / "server.log", timeout=90
    ) as server:
        yield server.ready_value


@pytest.fixture(scope="session")
def guarded_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKafka]:
    """Apache Kafka itself, with listeners of every kind. If it is not available the test is skipped with the reason. On a CI
    machine with Java and Maven a failure is an error.
    """
    reason = apache.available()
    if reason:
        pytest.skip(reason)
    try:
        apache.fetch_libs()
    except apache.ApacheKafkaError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    from tests.support.guarded_kafka import Issuer, broker_files, guarded

    home = tmp_path_factory.mktemp("kafka")
    with closing(Issuer()) as issuer:
        properties, ports, environment = broker_files(home, issuer)
        command = python_module("local_services.apache_kafka", "--data", home / "data", "--properties", properties)
        with start("kafka", command, log_path=home / "server.log", env=environment, timeout=90) as server:
            yield guarded(server.ready_value, home, ports, issuer)


@pytest.fixture(scope="session")
def apache_kafka(guarded_kafka: GuardedKafka) -> str:
    """``host:port`` of Apache Kafka's plain listener, where a client has all rights."""
    return guarded_kafka.plain


def _fleet_server(name: str) -> Iterator[str]:
    if reason := fleet.available():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="generia-tests-") as folder:
        home = Path(folder)
        home.chmod(0o711)  # PostgreSQL may run as another user
        command = python_module("local_services.fleet", name, "--data", home / name)
        with start(name, command, log_path=home / "server.log", timeout=90) as server:
            yield server.ready_value


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a real PostgreSQL; a test that writes creates its own database. Skipped if the program is not installed."""
    yield from _fleet_server("postgresql")


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[str]:
    """The URL of a real RabbitMQ; each test uses its own queues. Skipped if the program is not installed."""
    yield from _fleet_server("rabbitmq")


@pytest.fixture(scope="session")
def gemini_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of the Gemini emulator; tests use ``gemini``, which resets it first."""
    home = tmp_path_factory.mktemp("gemini")
    with start("gemini", python_module("emulators.gemini"), log_path=home / "server.log", timeout=90) as server:
        yield server.ready_value


@pytest.fixture
def gemini(gemini_process: str) -> str:
    """Base URL of the Gemini emulator, without the faults and counts of earlier tests."""
    requests.post(f"{gemini_process}/emulator/reset", timeout=60).raise_for_status()
    return gemini_process


@pytest.fixture(scope="session")
def platform_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The platform emulator's gRPC address and its HTTP URL; tests use ``platform``, which resets it first."""
    home = tmp_path_factory.mktemp("platform")
    with start("platform", python_module("emulators.platform"), log_path=home / "server.log", timeout=90) as server:
        grpc_address, url = server.ready_value.split()
        yield grpc_address, url


@pytest.fixture
def platform(platform_process: tuple[str, str]) -> tuple[str, str]:
    """The platform emulator's two addresses, without the worlds, faults and counts of earlier tests."""
    requests.post(f"{platform_process[1]}/emulator/reset", timeout=60).raise_for_status()
    return platform_process


@pytest.fixture(scope="session")
def instance_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Dagster has created an instance's databases: this saves a quarter of a second of migrations for each
    test."""
    import dagster as dg  # a second, which a test without Dagster does not wait

    folder = tmp_path_factory.mktemp("instance")
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(folder)):
        pass
    return folder


@pytest.fixture
def instance_folder(instance_files: Path) -> Iterator[Path]:
    """A copy of that folder, the files of an instance without a run."""
    with tempfile.TemporaryDirectory(prefix="generia-tests-", ignore_cleanup_errors=True) as folder:
        yield shutil.copytree(instance_files, Path(folder), dirs_exist_ok=True)


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the templates and data files, which the program reads from now on, and which a test may damage."""
    folder = tmp_path / "content"
    for name in ("prompts", "data"):
        shutil.copytree(CONTENT / name, folder / name)
    monkeypatch.setattr(rendering, "FOLDER", folder / "prompts")
    monkeypatch.setattr(yaml_files, "FOLDER", folder / "data")
    monkeypatch.setattr(check, "_found_good", [])
    yield folder
    monkeypatch.undo()
    check._forget()


@pytest.fixture(scope="module")
def the_worlds(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mongodb_uri: str, broker: str, gemini_process: str
) -> Iterator[Worlds]:
    """The worlds that a module's tests share: the module's SETTINGS, if it has any, and the asset checks if it is WITH_CHECKS."""
    from tests.support.worlds_in_process import worlds_in_process  # seconds, which a test without a world does not wait

    servers = {"mongodb_uri": mongodb_uri, "broker": broker, "gemini": gemini_process}
    settings, checks = getattr(request.module, "SETTINGS", {}), getattr(request.module, "WITH_CHECKS", False)
    with worlds_in_process(tmp_path_factory.mktemp("worlds"), **servers, **settings, checks=checks) as worlds:
        yield worlds


@pytest.fixture(scope="module")
def worlds(the_worlds: Worlds) -> Worlds:
    """The module's worlds; a module whose tests change the emulator's faults overrides this fixture with one that resets the
    emulator."""
    return the_worlds


@pytest.fixture(scope="module")
def generia(the_worlds: Worlds, mongodb_uri: str, broker: str) -> Command:
    """The command with the addresses of the module's worlds, on a terminal of 100 columns."""
    from tests.support.command import Command

    addresses = {"MONGODB_URI": mongodb_uri, "KAFKA_BOOTSTRAP_SERVERS": broker, "KAFKA_API_VERSION": "2.3", "COLUMNS": "100"}
    own = {"MONGODB_DATABASE": the_worlds.settings.mongodb_database, "KAFKA_TASKS_TOPIC": f"orders-{uuid.uuid4().hex[:8]}"}
    return Command(the_worlds.settings.generia_data_dir, addresses | own)
