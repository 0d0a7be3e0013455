"""``python -m local_services.broker``: Kafka brokers in one small process, on the loopback interface, without Java.

librdkafka's own mock cluster, with which its authors test their client: real sockets, real Kafka protocol. Its limits:
- It keeps everything in memory. A restart loses topics, messages and group offsets, and changes the ports (they cannot be chosen),
so a reader's stored offset may be beyond the end of the new log.
- It keeps only the newest 5 MB of messages of a partition, and never by age; there are no ACLs, no TLS, no topic settings.
- It has no admin API: topics are named at the start, or created with four partitions when they are first used.
- kafka-python needs ``api_version=(2, 3)``. Its own probing chooses newer requests, which the mock cluster supports only partly.

Not here: Apache Kafka itself (apache_kafka.py), and what is sent (resources/kafka/resource.py, sensors/kafka.py).
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from emulators import lifecycle

DISTRIBUTION = "confluent-kafka"
_PRODUCER = 0
_CONF_OK = 0
_LOG_ERRORS = 3  # syslog's number


class BrokerError(RuntimeError):
    """The mock cluster could not be started. The message says what to do."""


def library_path() -> Path:
    """Return the path of the librdkafka in the installed confluent-kafka. Its Python module offers the mock cluster only as a
    client's setting, without the number of a topic's partitions; librdkafka's public C functions have that option. Raises
    ``BrokerError`` if it is not installed.
    """
    try:
        files = importlib.metadata.distribution(DISTRIBUTION).files or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name.startswith("librdkafka"):
            return Path(str(file.locate()))
    raise BrokerError(
        f"{DISTRIBUTION} with its librdkafka is not installed: set KAFKA_BOOTSTRAP_SERVERS to a broker, "
        "or install this project with its extra 'embedded'"
    )


class MockCluster:
    """Brokers inside this process, which end with it. ``bootstrap_servers`` is their address."""

    def __init__(self, brokers: int, topics: Mapping[str, int]) -> None:
        """Start ``brokers`` brokers with these topics (name to number of partitions). Raises ``BrokerError``."""
        self._library = _load(library_path())
        reason = ctypes.create_string_buffer(512)
        if brokers < 1:
            raise BrokerError(f"{brokers} brokers are no cluster: give at least one")
        conf = self._library.rd_kafka_conf_new()
        for name, value in (("test.mock.num.brokers", brokers), ("log_level", _LOG_ERRORS)):
            if self._library.rd_kafka_conf_set(conf, name.encode(), str(value).encode(), reason, len(reason)) != _CONF_OK:
                raise BrokerError(f"librdkafka refuses its setting: {reason.value.decode()}")
        client = self._library.rd_kafka_new(_PRODUCER, conf, reason, len(reason))
        if not client:
            raise BrokerError(f"librdkafka cannot start its mock cluster: {reason.value.decode()}")
        self._cluster = self._library.rd_kafka_handle_mock_cluster(client)
        self.bootstrap_servers = str(self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode())
        for topic, partitions in topics.items():
            self._create(topic, partitions, replicas=min(brokers, 3))

    def _create(self, topic: str, partitions: int, replicas: int) -> None:
        error = self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, replicas)
        if error:
            raise BrokerError(f"topic {topic!r}: {self._library.rd_kafka_err2str(error).decode()}")


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_conf_set", number, [pointer, text, text, text, ctypes.c_size_t]),
        ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_handle_mock_cluster", pointer, [pointer]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
        ("rd_kafka_err2str", text, [number]),
    ):
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def parse_topics(text: str) -> dict[str, int]:
    """Read ``name:partitions,name:partitions``; a name without a number has one partition."""
    topics: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        name, _, partitions = part.partition(":")
        if not name or not (partitions or "1").isdecimal() or partitions == "0":
            raise argparse.ArgumentTypeError(f"{part!r} is not name:partitions, like generia-tasks:3")
        topics[name] = int(partitions or 1)
    return topics


def main() -> None:
    """Run until a signal or until the parent ends."""
    parser = argparse.ArgumentParser(
        prog="python -m local_services.broker", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--brokers", type=int, default=1, help="number of brokers (default: 1)")
    parser.add_argument("--topics", type=parse_topics, default={}, help="topics with their partitions: generia-tasks:3,other:1")
    lifecycle.add_arguments(parser)
    options = parser.parse_args()
    lifecycle.exit_on_signals()
    lifecycle.end_with_parent(options.parent_pid)
    try:
        cluster = MockCluster(options.brokers, options.topics)
    except BrokerError as error:
        sys.exit(str(error))
    lifecycle.announce("broker", cluster.bootstrap_servers, options.ready_file)
    signal.pause()


if __name__ == "__main__":
    main()
