"""Reading the topic of live events as a consumer does, on a real broker."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from generia_assets.durable.events.events import EVENTS, LiveEvent
from resources.kafka.resource import KafkaResource
from resources.kafka.settings import KafkaSettings
from tests.support.waiting import PATIENCE_S


@dataclass(frozen=True)
class ReceivedEvent:
    """An event in the topic: its key, its partition, its JSON body."""

    key: str
    partition: int
    body: dict[str, Any]

    @property
    def event(self) -> LiveEvent:
        return EVENTS.validate_python(self.body)

    @property
    def says(self) -> str:
        """A short description of the event."""
        detail = self.body.get("stage") or (self.body["after"] if self.body["event_type"] == "going_on" else "")
        return f"{self.body['event_type']} {detail}".rstrip()


def events_kafka(broker: str, *, api_version: str = "2.3", topic: str = "") -> KafkaResource:
    """Kafka with a progress topic of this test."""
    return KafkaResource(
        KafkaSettings(
            kafka_bootstrap_servers=broker,
            kafka_api_version=api_version,
            kafka_progress_topic=topic or f"events-{uuid.uuid4().hex[:10]}",
        )
    )


def read_topic(
    kafka: KafkaResource, enough: Callable[[list[ReceivedEvent]], bool], *, seconds: float = PATIENCE_S
) -> list[ReceivedEvent]:
    """Everything in the topic, in order, as soon as it is enough."""
    consumer = KafkaConsumer(**kafka.address.options(), enable_auto_commit=False)
    try:
        deadline = time.monotonic() + seconds
        while not (partitions := consumer.partitions_for_topic(kafka.settings.kafka_progress_topic)):
            assert time.monotonic() < deadline, f"topic {kafka.settings.kafka_progress_topic} was never written to"
            time.sleep(0.05)
        consumer.assign([TopicPartition(kafka.settings.kafka_progress_topic, partition) for partition in partitions])
        consumer.seek_to_beginning()
        events: list[ReceivedEvent] = []
        while not enough(events):
            assert time.monotonic() < deadline, f"only {[one.says for one in events]} came"
            for records in consumer.poll(timeout_ms=200).values():
                events += [ReceivedEvent(record.key.decode(), record.partition, json.loads(record.value)) for record in records]
        return events
    finally:
        consumer.close(autocommit=False)


def ended(events: Sequence[ReceivedEvent]) -> bool:
    """Whether the world has sent its final event."""
    return any(one.body["event_type"] in ("completed", "failed", "cancelled") for one in events)


def durable(events: Iterable[ReceivedEvent]) -> list[ReceivedEvent]:
    """Without ``progress``."""
    return [one for one in events if one.body["event_type"] != "progress"]


def seen_once(events: Iterable[ReceivedEvent]) -> list[ReceivedEvent]:
    """The events of a consumer that skips known numbers."""
    kept: list[ReceivedEvent] = []
    for one in durable(events):
        if not kept or one.body["seq"] > kept[-1].body["seq"]:
            kept.append(one)
    return kept


def numbers(events: Iterable[ReceivedEvent]) -> list[int]:
    return [one.body["seq"] for one in events]
