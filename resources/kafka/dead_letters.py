"""Reading the dead-letter topic: its present messages, without a group and without committing offsets."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from resources.kafka.address import KafkaAddress
from resources.kafka.batches import UnreadableBatch, keep_unreadable
from resources.kafka.producer import LARGEST_EVENT_BYTES
from resources.kafka.reader import Bounds, bounds_of

SILENCE_S = 10.0
"""A broker that reported more messages and sends none for so long counts as not answering."""


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter and its place. ``headers``: reason, and topic, partition and offset of the original."""

    partition: int
    offset: int
    at: datetime
    key: bytes | None
    value: bytes
    headers: Mapping[str, str]

    @property
    def place(self) -> str:
        """Its name in the CLI: its offset, with its partition where that is not the first."""
        return f"{self.partition}:{self.offset}" if self.partition else str(self.offset)


def last_letters(address: KafkaAddress, topic: str, limit: int | None) -> list[DeadLetter]:
    """The last letters of the topic (None: all), oldest first; none if it does not exist. Raises ``KafkaUnavailableError``."""
    with _reading(address) as consumer:
        found: list[DeadLetter] = []
        # The last ones of each partition contain the last ones of the topic.
        for partition, held in _bounds(address, consumer, topic).items():
            start = held.earliest if limit is None else max(held.earliest, held.end - limit)
            found += _from(consumer, topic, partition, start, held.end)
    found.sort(key=lambda letter: letter.at)  # those of one partition, which may be of one moment, stay in order
    return found if limit is None else found[-limit:]


def letter_at(address: KafkaAddress, topic: str, partition: int, offset: int) -> DeadLetter | None:
    """The letter at this place, or None. Raises ``KafkaUnavailableError``."""
    with _reading(address) as consumer:
        held = _bounds(address, consumer, topic).get(partition)
        if held is None or not held.earliest <= offset < held.end:
            return None
        found = next(_from(consumer, topic, partition, offset, held.end), None)
        return found if found and found.offset == offset else None


@contextmanager
def _reading(address: KafkaAddress) -> Iterator[KafkaConsumer]:
    consumer = address.connect(
        KafkaConsumer, enable_auto_commit=False, max_partition_fetch_bytes=LARGEST_EVENT_BYTES, fetch_max_bytes=LARGEST_EVENT_BYTES
    )
    keep_unreadable(consumer)
    try:
        yield consumer
    except KafkaError as error:
        raise address.unavailable(error) from None
    finally:
        consumer.close(autocommit=False, timeout_ms=1000)


def _bounds(address: KafkaAddress, consumer: KafkaConsumer, topic: str) -> dict[int, Bounds]:
    # A consumer waits for ever for the topics of a broker that is away.
    cluster = address.connect(KafkaAdminClient)
    try:
        (described,) = cluster.describe_topics([topic])
    finally:
        cluster.close()
    partitions = [] if described["error_code"] else described["partitions"]  # the topic is not there, or not for this user
    return bounds_of(consumer, topic, sorted(partition["partition_index"] for partition in partitions))


def _from(consumer: KafkaConsumer, topic: str, partition: int, start: int, end: int) -> Iterator[DeadLetter]:
    name = TopicPartition(topic, partition)
    consumer.assign([name])
    consumer.seek(name, start)
    heard = time.monotonic()
    while consumer.position(name) < end:
        records = consumer.poll(timeout_ms=500).get(name, [])
        if records:
            heard = time.monotonic()
            if isinstance(records[-1], UnreadableBatch):
                consumer.seek(name, records[-1].next_offset)
        elif time.monotonic() - heard > SILENCE_S:
            raise KafkaError(f"topic {topic} was silent for {SILENCE_S:.0f} s at offset {consumer.position(name)} of {end}")
        yield from (_letter(record) for record in records)


def _letter(record: ConsumerRecord | UnreadableBatch) -> DeadLetter:
    if isinstance(record, UnreadableBatch):
        reason = {"reason": f"these letters, up to {record.next_offset - 1}, cannot be read: {record.reason}"}
        return DeadLetter(record.partition, record.offset, datetime.now(UTC), None, record.data, reason)
    return DeadLetter(
        partition=record.partition,
        offset=record.offset,
        at=datetime.fromtimestamp(max(0, record.timestamp) / 1000, UTC),  # -1: the sender gave none
        key=record.key,
        value=record.value or b"",
        headers={name: (value or b"").decode("utf-8", "replace") for name, value in record.headers},
    )
