"""The embedded servers as processes: they serve, restart, explain failures and leave no process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from pymongo import MongoClient

from generia_assets.processes import Child, ChildFailedError, start
from tests.conftest import python_module
from tests.support.waiting import PATIENCE_S, wait_for

pytestmark = pytest.mark.servers

MOCK_API = (2, 3)


def processes() -> dict[int, int]:
    """Every live process (zombies excluded) with its parent, as the kernel lists them."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while it was read
        if state != "Z":
            parents[int(stat.parent.name)] = int(parent)
    return parents


def family(root: int) -> set[int]:
    """A process and all that descend from it."""
    parents, found = processes(), {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def mongod_command(directory: Path) -> list[str | Path]:
    return python_module("local_services.mongod", "--dbpath", directory)


def test_transaction_is_all_or_nothing(mongo_client: MongoClient[dict[str, Any]], mongo_database_name: str) -> None:
    """An aborted transaction leaves no document, a committed one leaves all of them, in every collection it wrote."""
    database = mongo_client[mongo_database_name]
    with mongo_client.start_session() as session:
        for ending in ("abort_transaction", "commit_transaction"):
            session.start_transaction()
            database.tasks.insert_one({"_id": ending}, session=session)
            database.posts.insert_one({"_id": ending}, session=session)
            getattr(session, ending)()
    assert [task["_id"] for task in database.tasks.find()] == ["commit_transaction"]
    assert [post["_id"] for post in database.posts.find()] == ["commit_transaction"]


def test_mongod_restarts_with_its_data(tmp_path: Path) -> None:
    """A mongod that is started again on its directory, on another port, is a writable primary with the earlier data."""
    addresses = set()
    for number in range(2):
        with start("mongod", mongod_command(tmp_path / "data"), log_path=tmp_path / "server.log") as server:
            addresses.add(server.ready_value)
            with MongoClient(server.ready_value) as client:
                client.world.visits.insert_one({"_id": number})
                assert client.world.visits.count_documents({}) == number + 1
    assert len(addresses) == 2


def test_a_directory_in_use_is_reported(tmp_path: Path) -> None:
    """A second mongod on the same directory ends with the advice to stop the first one, which keeps serving."""
    with start("first", mongod_command(tmp_path / "data"), log_path=tmp_path / "first.log") as first:
        with pytest.raises(ChildFailedError, match="another mongod uses this directory") as failure:
            start("second", mongod_command(tmp_path / "data"), log_path=tmp_path / "second.log")
        assert failure.value.exit_code == 1
        with MongoClient(first.ready_value) as client:
            client.world.visits.insert_one({})


def test_a_damaged_directory_is_reported(tmp_path: Path) -> None:
    """A mongod whose files are damaged ends with the advice to restore them, instead of waiting for ever."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "WiredTiger").write_text("not a version")
    (data / "WiredTiger.turtle").write_text("not metadata")
    (data / "storage.bson").write_bytes(b"not bson")
    with pytest.raises(ChildFailedError, match="files are damaged"):
        start("mongod", mongod_command(data), log_path=tmp_path / "server.log")


def test_dead_mongod_ends_its_parent_process(tmp_path: Path) -> None:
    """When mongod itself dies, its parent process ends with an error and the end of mongod's log."""
    with start("mongod", mongod_command(tmp_path / "data"), log_path=tmp_path / "server.log") as server:
        (mongod,) = family(server.pid) - {server.pid}
        os.kill(mongod, signal.SIGKILL)
        wait_for(lambda: server.exit_code() is not None)
        assert server.exit_code() == 1
        assert "mongod was ended by SIGKILL" in server.log_path.read_text()


def test_killed_parent_process_ends_mongod(tmp_path: Path) -> None:
    """When the parent process of mongod is killed without a clean-up, mongod ends by itself."""
    with start("mongod", mongod_command(tmp_path / "data"), log_path=tmp_path / "server.log") as server:
        (mongod,) = family(server.pid) - {server.pid}
        os.kill(server.pid, signal.SIGKILL)
        wait_for(lambda: mongod not in processes())


@pytest.mark.parametrize(
    ("module", "arguments", "size"),
    [
        ("local_services.mongod", ("--dbpath", "data"), 2),
        ("local_services.broker", (), 1),
        ("emulators.gemini", (), 1),
    ],
)
def test_stopped_server_leaves_no_process(module: str, arguments: tuple[str, ...], size: int, tmp_path: Path) -> None:
    """A stopped server ends with exit code 0, and neither it nor a process that it started still runs."""
    server = start(module, python_module(module, *arguments), log_path=tmp_path / "server.log", cwd=tmp_path)
    stops_whole(server, size)


def stops_whole(server: Child, size: int) -> None:
    alive = family(server.pid)
    assert len(alive) == size
    assert server.stop() == 0
    assert not alive & processes().keys()


def test_killed_parent_ends_its_servers(tmp_path: Path) -> None:
    """When the process that started the servers is killed without a clean-up, they and their children end by themselves."""
    program = f"""
import sys, time
from pathlib import Path
from generia_assets.processes import start
here = Path({str(tmp_path)!r})
for name, arguments in (("mongod", ["--dbpath", here / "data"]), ("broker", [])):
    start(name, [sys.executable, "-m", f"local_services.{{name}}", *arguments], log_path=here / f"{{name}}.log")
print("started", flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == "started\n"
            servers = family(parent.pid) - {parent.pid}
            assert len(servers) == 3  # mongod's parent process, mongod, the broker
        finally:
            parent.send_signal(signal.SIGKILL)
    wait_for(lambda: not servers & processes().keys())


def round_trip(bootstrap_servers: str, topic: str, **client_options: Any) -> dict[int, list[bytes]]:
    """Send thirty messages with ten keys and read every partition from its second message on; return the values by partition."""
    producer = KafkaProducer(bootstrap_servers=bootstrap_servers, **client_options)
    sent: dict[int, list[bytes]] = {}
    partition_of: dict[bytes, int] = {}
    for number in range(30):
        key, value = b"world-%d" % (number % 10), b"message-%d" % number
        record = producer.send(topic, key=key, value=value).get(timeout=PATIENCE_S)
        assert partition_of.setdefault(key, record.partition) == record.partition
        sent.setdefault(record.partition, []).append(value)
        assert record.offset == len(sent[record.partition]) - 1
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False, **client_options)
    partitions = [TopicPartition(topic, number) for number in sent]
    consumer.assign(partitions)
    for partition in partitions:
        consumer.seek(partition, 1)
    read: dict[int, list[bytes]] = {number: [] for number in sent}
    missing = 30 - len(partitions)
    deadline = time.monotonic() + PATIENCE_S
    while missing > 0 and time.monotonic() < deadline:
        for partition, records in consumer.poll(timeout_ms=500).items():
            read[partition.partition].extend(record.value for record in records)
            missing -= len(records)
    assert consumer.end_offsets(partitions) == {p: len(sent[p.partition]) for p in partitions}
    consumer.close()
    assert read == {number: values[1:] for number, values in sent.items()}
    return sent


def test_broker_keeps_order_within_partitions(broker: str) -> None:
    """The broker keeps a key in its partition, numbers each partition from 0, and delivers from a sought offset on, in order."""
    assert set(round_trip(broker, "generia-tasks", api_version=MOCK_API)) == {0, 1, 2}


@pytest.mark.apache_kafka
def test_apache_kafka_keeps_order_within_partitions(apache_kafka: str) -> None:
    """Apache Kafka itself passes the same round trip as the small broker."""
    assert set(round_trip(apache_kafka, "generia-tasks")) == {0, 1, 2}


@pytest.mark.apache_kafka
def test_apache_kafka_restarts_with_its_data(apache_kafka: str, tmp_path: Path) -> None:
    """Apache Kafka is stopped and leaves no process; started again on its directory, on another port, it still has the messages."""
    del apache_kafka  # skips if it is not available
    command = python_module("local_services.apache_kafka", "--data", tmp_path / "data")
    partition = TopicPartition("generia-tasks", 0)
    with start("kafka", command, log_path=tmp_path / "server.log", timeout=90) as server:
        producer = KafkaProducer(bootstrap_servers=server.ready_value)
        producer.send(partition.topic, b"kept", partition=partition.partition).get(timeout=PATIENCE_S)
        producer.close()
        stops_whole(server, 2)
    with start("kafka", command, log_path=tmp_path / "server.log", timeout=90) as server:
        consumer = KafkaConsumer(bootstrap_servers=server.ready_value, enable_auto_commit=False)
        assert consumer.end_offsets([partition]) == {partition: 1}
        consumer.close()
