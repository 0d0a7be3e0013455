"""Reading a Kafka topic from offsets that the caller keeps: no group membership, no rebalance, no commit that decides anything."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    KafkaError,
    LeaderNotAvailableError,
    UnknownTopicOrPartitionError,
    for_code,
)
from kafka.structs import OffsetAndMetadata

from resources.kafka.address import REQUEST_TIMEOUT_S, KafkaAddress, KafkaUnavailableError
from resources.kafka.batches import UnreadableBatch, keep_unreadable
from resources.tracing import Attributes, Span, SpanKind, received

_LOOK_AGAIN_S = 0.25
_BACKLOG_S = 1.0
"""Seconds to wait for a message that the broker has reported already."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KafkaRecord:
    """A message of the topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()

    def span(self, about: Attributes) -> Span:
        """The span of its processing, which continues the trace that it came with, or begins one."""
        place: dict[str, str | int | float | bool] = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": self.topic,
            "messaging.destination.partition.id": str(self.partition),
            "messaging.kafka.offset": self.offset,
        }
        return Span(f"process {self.topic}", {**place, **about}, kind=SpanKind.CONSUMER, parent=received(self.headers))


@dataclass(frozen=True)
class Fetched:
    """The result of a read. ``reached``: the offset to read next in each partition, when all of ``messages`` are done.

    It is beyond invisible records: those of aborted transactions, transaction markers, compacted records. It stays in front of a
    batch that cannot be read.
    """

    messages: list[KafkaRecord] = field(default_factory=list)
    unreadable: list[UnreadableBatch] = field(default_factory=list)
    reached: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Bounds:
    """What a partition holds: offsets from ``earliest`` up to, and without, ``end``."""

    earliest: int
    end: int


@dataclass(frozen=True)
class TopicLog:
    """The present state of a topic. The two ids distinguish a recreated topic from the previous one of its name; '' = unknown.

    ``leaderless`` partitions exist and cannot be read at the moment; they are not in ``bounds``. ``rights`` are the operations that
    this user is allowed, such as READ; None: the broker does not say.
    """

    topic: str
    cluster_id: str = ""
    topic_id: str = ""
    bounds: Mapping[int, Bounds] = field(default_factory=dict)
    leaderless: tuple[int, ...] = ()
    rights: frozenset[str] | None = None


class TopicReader:
    """Reads one topic. Not safe to use from two threads at once. Close it."""

    def __init__(self, address: KafkaAddress, topic: str, group_id: str) -> None:
        """Connect. ``group_id`` names the group under which offsets are reported. Raises ``KafkaUnavailableError``."""
        self._address = address
        self._topic = topic
        self._group_id = group_id
        self._reported: dict[int, int] = {}
        self.log: TopicLog | None = None
        """The topic as the last ``look()`` found it; None: it does not exist."""
        self._cluster = address.connect(KafkaAdminClient)
        try:
            self._consumer = address.connect(
                KafkaConsumer,
                group_id=group_id,
                enable_auto_commit=False,
                auto_offset_reset="earliest",  # only for a message deleted between look() and read()
                isolation_level="read_committed",
                default_offset_commit_callback=_log_failed_report,
            )
        except KafkaUnavailableError:
            self._cluster.close()
            raise
        keep_unreadable(self._consumer)

    def look(self) -> TopicLog | None:
        """The present state of the topic, or None while it does not exist. Never creates it. Raises ``KafkaUnavailableError``."""
        try:
            self.log = self._describe()
        except KafkaError as error:
            raise self._address.unavailable(error) from None
        return self.log

    def group_rights(self) -> frozenset[str] | None:
        """The operations on the group that this user is allowed; None: the broker does not say, as before the first report.

        Raises ``KafkaUnavailableError``.
        """
        try:
            return _rights(self._cluster.describe_groups([self._group_id])[self._group_id])
        except GroupAuthorizationFailedError:
            return frozenset()
        except (CoordinatorNotAvailableError, CoordinatorLoadInProgressError):  # until a cluster's first group has its place
            return None
        except KafkaError as error:
            raise self._address.unavailable(error) from None

    def await_topic(self, deadline: float) -> TopicLog | None:
        """``look()`` until the topic exists or ``deadline`` (of ``time.monotonic``) is there."""
        while self.log is None and time.monotonic() + _LOOK_AGAIN_S < deadline:
            time.sleep(_LOOK_AGAIN_S)
            self.look()
        return self.log

    def _describe(self) -> TopicLog | None:
        cluster_id = str(self._cluster.describe_cluster()["cluster_id"] or "")
        (topic,) = self._cluster.describe_topics([self._topic])
        problem = for_code(topic["error_code"])
        if problem in (UnknownTopicOrPartitionError, LeaderNotAvailableError):  # the latter while it is being made
            return None
        if topic["error_code"]:
            raise problem(self._topic)
        partitions = {part["partition_index"]: part["leader_id"] >= 0 for part in topic["partitions"]}
        return TopicLog(
            topic=self._topic,
            cluster_id=cluster_id,
            topic_id=str(topic.get("topic_id") or ""),
            bounds=bounds_of(self._consumer, self._topic, sorted(partition for partition, led in partitions.items() if led)),
            leaderless=tuple(sorted(partition for partition, led in partitions.items() if not led)),
            rights=_rights(topic),
        )

    def offsets_from(self, moment: datetime) -> dict[int, int]:
        """In each partition of ``log`` the first message that was sent at this moment or later, or the end.

        A broker that knows no times (the small one of `make dev`) gives the earliest. Raises ``KafkaUnavailableError``.
        """
        bounds = {} if self.log is None else self.log.bounds
        names = {TopicPartition(self._topic, partition): bound for partition, bound in bounds.items()}
        offsets: dict[int, int] = {}
        try:
            ever = self._consumer.offsets_for_times(dict.fromkeys(names, 0))
            found = self._consumer.offsets_for_times(dict.fromkeys(names, max(0, int(moment.timestamp() * 1000))))
        except KafkaError as error:
            raise self._address.unavailable(error) from None
        for name, bound in names.items():
            missing = bound.earliest if ever[name] is None else bound.end
            offsets[name.partition] = missing if found[name] is None else found[name].offset
        return offsets

    def read(self, starts: Mapping[int, int], *, deadline: float, max_messages: int) -> Fetched:
        """Messages from ``starts`` (offsets of partitions in ``log``) on, in order within each partition.

        Waits for the first one until ``deadline`` (of ``time.monotonic``), then takes at once what else is already there. Of a
        partition with a batch that cannot be read it gives what is in front of the batch; the others do not notice.
        A broker that dies meanwhile looks like silence; the next ``look()`` notices. Raises ``KafkaUnavailableError``.
        """
        names = {partition: TopicPartition(self._topic, partition) for partition in starts}
        fetched = Fetched(reached=dict(starts))
        if not names or self.log is None:
            return fetched
        ends = {partition: self.log.bounds[partition].end for partition in starts}
        try:
            if self._consumer.assignment() != set(names.values()):
                self._consumer.assign(list(names.values()))
            self._consumer.resume(*names.values())
            for partition, name in names.items():
                self._consumer.seek(name, starts[partition])
            backlog = any(starts[partition] < ends[partition] for partition in names)
            # A slow connection may have used up the time: messages that are there are read all the same.
            until = max(deadline, time.monotonic() + _BACKLOG_S) if backlog else deadline
            going_on = True
            while going_on:
                timeout_ms = max(0.0, until - time.monotonic()) * 1000
                polled = self._consumer.poll(timeout_ms, max_records=max_messages - len(fetched.messages))
                for name, records in polled.items():
                    self._sort(name, records, fetched)
                    ends[name.partition] = max(ends[name.partition], self._consumer.highwater(name) or 0)
                for partition, name in names.items():
                    fetched.reached[partition] = self._consumer.position(name)
                readable = names.keys() - {one.partition for one in fetched.unreadable}
                whole = all(fetched.reached[partition] >= ends[partition] for partition in readable)
                full = len(fetched.messages) >= max_messages
                going_on = bool(polled) and not full and not (whole and fetched.messages)
                if fetched.messages:
                    until = time.monotonic() + _BACKLOG_S
        except KafkaError as error:
            raise self._address.unavailable(error) from None
        return fetched

    def _sort(self, name: TopicPartition, records: list[ConsumerRecord | UnreadableBatch], into: Fetched) -> None:
        for one in records:
            if isinstance(one, UnreadableBatch):
                into.unreadable.append(one)
                self._consumer.pause(name)  # until the next read: it would be returned at once, again and again
            else:
                into.messages.append(KafkaRecord(self._topic, name.partition, one.offset, one.key, one.value, one.headers))

    def report(self, offsets: Mapping[int, int]) -> None:
        """Commit the caller's offsets to Kafka's group, for tools that show the lag. Does not wait; a failure is only logged."""
        if offsets and offsets != self._reported:
            self._reported = dict(offsets)
            self._consumer.commit_async(
                {TopicPartition(self._topic, partition): OffsetAndMetadata(at, "", -1) for partition, at in offsets.items()}
            )

    def close(self) -> None:
        self._consumer.close(autocommit=False, timeout_ms=1000)
        self._cluster.close()


def bounds_of(consumer: KafkaConsumer, topic: str, partitions: Iterable[int]) -> dict[int, Bounds]:
    """What these partitions of the topic hold now. Raises ``KafkaError``."""
    names = [TopicPartition(topic, partition) for partition in partitions]
    try:
        earliest = consumer.beginning_offsets(names, timeout_ms=REQUEST_TIMEOUT_S * 1000)
        end = consumer.end_offsets(names, timeout_ms=REQUEST_TIMEOUT_S * 1000)
    except KeyError as partition:  # kafka-python raises it for a partition that is younger than the connection
        raise UnknownTopicOrPartitionError(f"{partition} is new, a new connection knows it") from None
    return {name.partition: Bounds(earliest[name], end[name]) for name in names}


def _rights(described: Mapping[str, Any]) -> frozenset[str] | None:
    operations = described.get("authorized_operations")
    return None if operations is None else frozenset(operations)


def _log_failed_report(offsets: object, outcome: object) -> None:
    if isinstance(outcome, Exception):
        _log.info("Kafka did not take the group's offsets %s (%s); only lag tools read them", offsets, outcome)
