"""A tiny code location with the real Kafka sensor and nine assets that do nothing, and the messages that tests send to it.

Here: what the sensor's tests share. A real Dagster daemon in its own process loads ``from_environment``.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.record.util import calc_crc32c

from generia_assets.catalog import ASSETS
from generia_assets.partitions import worlds
from generia_assets.settings import Settings
from resources.kafka.address import KafkaAddress
from resources.kafka.producer import Event
from resources.kafka.resource import KafkaResource
from resources.kafka.settings import KafkaSettings
from resources.mongodb.connection import MongoResource
from sensors.kafka import build_kafka_sensor
from tests.support.command import Command
from tests.support.dagster_internals import (
    SensorExecutionData,
    a_run,
)
from tests.support.waiting import PATIENCE_S


def placeholder_location(kafka: KafkaResource, mongo: MongoResource, settings: Settings) -> dg.Definitions:
    """The sensor with its job over nine assets of the right names and partitions."""

    def asset(name: str) -> dg.AssetsDefinition:
        @dg.asset(name=name, partitions_def=worlds)
        def nothing() -> None: ...

        return nothing

    job = dg.define_asset_job("world", selection=list(ASSETS))
    return dg.Definitions(
        assets=[asset(name) for name in ASSETS],
        jobs=[job],
        sensors=[build_kafka_sensor(job, settings)],
        resources={"kafka": kafka, "mongo": mongo},
    )


def sensor_settings(**changes: Any) -> Settings:
    """Settings with a short poll, so that a tick without a message takes half a second."""
    return Settings(_env_file=None, **{"sensor_poll_seconds": 0.5, **changes})


def kafka_resource(bootstrap_servers: str, topic: str, *, api_version: str = "2.3", dead_letters: str = "") -> KafkaResource:
    """The resource for the topic of one test."""
    return KafkaResource(
        KafkaSettings(
            kafka_bootstrap_servers=bootstrap_servers,
            kafka_api_version=api_version,
            **topics(topic) | ({"kafka_dead_letters_topic": dead_letters} if dead_letters else {}),
        )
    )


def topics(orders: str) -> dict[str, Any]:
    """The settings of topics and group that belong to this topic of orders."""
    return {
        "kafka_tasks_topic": orders,
        "kafka_progress_topic": f"{orders}-progress",
        "kafka_dead_letters_topic": f"{orders}-dlq",
        "kafka_group_id": f"{orders}-group",
    }


def kafka_address(bootstrap_servers: str, api_version: str = "2.3") -> KafkaAddress:
    """A broker without TLS and users; the small one needs its version as a setting."""
    return KafkaAddress(KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_api_version=api_version))


def command_for(kafka: KafkaResource, mongo: MongoResource, folder: Path) -> Command:
    """The command with these servers and topics."""
    addresses = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.settings.kafka_bootstrap_servers,
        "KAFKA_API_VERSION": kafka.settings.kafka_api_version,
        "KAFKA_TASKS_TOPIC": kafka.settings.kafka_tasks_topic,
        "KAFKA_DEAD_LETTERS_TOPIC": kafka.settings.kafka_dead_letters_topic,
    }
    return Command(folder, {**addresses, "MONGODB_URI": mongo.uri, "MONGODB_DATABASE": mongo.database})


def kafka_threads() -> set[threading.Thread]:
    """The threads of kafka-python's clients."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("kafka")}


def order(**changes: Any) -> dict[str, Any]:
    """A valid message, with these fields changed."""
    return {
        "event_type": "task_created",
        "task_id": str(uuid.uuid4()),
        "task_type": "init_world_creation",
        "world_id": str(uuid.uuid4()),
        "parameters": {"user_prompt": "a harbour town under a glacier", "users_count": 3, "posts_count": 9},
    } | changes


def send(kafka: KafkaResource, *values: Mapping[str, object] | bytes, key: bytes | None = b"one partition") -> None:
    """Put messages into the orders' topic, by default all into one partition; they have arrived when this returns."""
    with kafka.producer() as producer:
        for value in values:
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            producer.send(Event(kafka.settings.kafka_tasks_topic, key, data)).wait(PATIENCE_S)


def dead_letters(kafka: KafkaResource, expected: int) -> list[ConsumerRecord]:
    """The messages in the dead letters' topic, as soon as there are ``expected`` of them, or after the time in which they would
    have arrived."""
    options = kafka.address.options() | {"max_partition_fetch_bytes": 64 * 1024 * 1024}
    with contextmanager(_closing)(KafkaConsumer(**options)) as consumer:
        names = [
            TopicPartition(kafka.settings.kafka_dead_letters_topic, part)
            for part in consumer.partitions_for_topic(kafka.settings.kafka_dead_letters_topic)
        ]
        if not names:
            return []
        consumer.assign(names)
        consumer.seek_to_beginning()
        found: list[ConsumerRecord] = []
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and len(found) < expected:
            for records in consumer.poll(timeout_ms=200).values():
                found += records
        return found


def _closing(consumer: KafkaConsumer) -> Iterator[KafkaConsumer]:
    try:
        yield consumer
    finally:
        consumer.close(autocommit=False)


def headers(record: ConsumerRecord) -> dict[str, str]:
    """A dead letter's headers as text."""
    return {name: value.decode() for name, value in record.headers}


@dataclass
class Ticks:
    """Evaluates the sensor repeatedly, like the daemon: each tick gets the cursor of the last one."""

    instance: dg.DagsterInstance
    kafka: KafkaResource
    mongo: MongoResource
    settings: Settings = field(default_factory=sensor_settings)
    cursor: str | None = None

    def tick(self) -> SensorExecutionData:
        """One tick."""
        defs = placeholder_location(self.kafka, self.mongo, self.settings)
        with dg.build_sensor_context(
            instance=self.instance,
            instance_ref=self.instance.get_ref(),
            cursor=self.cursor,
            definitions=defs,
            resources={"kafka": self.kafka, "mongo": self.mongo},
        ) as context:
            data = defs.resolve_sensor_def("kafka_orders").evaluate_tick(context)
        self.cursor = data.cursor
        return data

    def offsets(self) -> dict[str, int]:
        """The cursor's offsets."""
        return dict[str, int](json.loads(self.cursor or "{}").get("offsets", {}))


def queued_run() -> dg.DagsterRun:
    """A run in Dagster's queue, for ``instance.add_run``."""
    return a_run(dg.DagsterRunStatus.QUEUED, {})


def run_keys(data: SensorExecutionData) -> list[str | None]:
    """The orders for which a tick requested runs."""
    return [request.run_key for request in data.run_requests or []]


@dg.definitions
def from_environment() -> dg.Definitions:
    """The code location of a daemon's test."""
    return placeholder_location(
        kafka_resource(os.environ["STAND_IN_KAFKA"], os.environ["STAND_IN_TOPIC"]),
        MongoResource(uri=os.environ["STAND_IN_MONGODB_URI"], database=os.environ["STAND_IN_DATABASE"]),
        sensor_settings(sensor_poll_seconds=4.7),
    )


def batch(*values: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> bytearray:
    """An uncompressed record batch of format 2, as a producer sends it, which a test can damage."""
    builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=10_000_000)
    for value in values:
        builder.append(timestamp=int(time.time() * 1000), key=None, value=value, headers=list(headers))
    builder.close()
    return bytearray(builder.buffer())


def with_its_checksum(spoilt: bytearray) -> bytes:
    """The batch with its right checksum."""
    begin = DefaultRecordBatch.ATTRIBUTES_OFFSET
    spoilt[begin - 4 : begin] = calc_crc32c(spoilt[begin:]).to_bytes(4, "big")
    return bytes(spoilt)


def send_batch(kafka: KafkaResource, partition: int, data: bytes) -> None:
    """Put exactly these bytes into a partition of the orders' topic; they have arrived when this returns."""

    def text(value: str) -> bytes:
        return struct.pack(">h", len(value)) + value.encode()

    topic = text(kafka.settings.kafka_tasks_topic) + struct.pack(">iii", 1, partition, len(data)) + data
    body = struct.pack(">hhii", -1, -1, 5000, 1) + topic  # no transaction, all replicas, 5 s, one topic
    request = struct.pack(">hhi", 0, 3, 1) + text("test") + body
    host, _, port = kafka.settings.kafka_bootstrap_servers.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = connection.makefile("rb")
        (length,) = struct.unpack(">i", answer.read(4))
        said = answer.read(length)
    error = struct.unpack_from(">h", said, 4 + 4 + len(text(kafka.settings.kafka_tasks_topic)) + 4 + 4)[0]
    assert error == 0, f"the broker answered error {error}"
