"""Record batches that kafka-python cannot unpack: each becomes a value, ``UnreadableBatch``, in place of an exception.

kafka-python raises such an error from ``poll()``: no partition gets its records, and the error does not say which partition it is
about. Not here: what becomes of an unreadable batch (sensors/dead_letters.py).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import SupportsIndex

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord, Fetcher
from kafka.record import MemoryRecords
from kafka.record.abc import ABCRecordBatch
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch

_MAGIC_2 = 2
_BATCH = struct.Struct(">qiibIhi")
"""The beginning of a batch of format 2: base offset, length, leader epoch, magic, CRC, attributes, last offset's distance."""


@dataclass(frozen=True)
class UnreadableBatch:
    """A record batch that cannot be unpacked: an unknown codec, a wrong checksum, a damaged record.

    ``offset`` is the first one that cannot be read; ``next_offset`` follows the batch by its own header; ``data`` is the batch as
    the broker sent it.
    """

    partition: int
    offset: int
    next_offset: int
    data: bytes
    reason: str


def keep_unreadable(consumer: KafkaConsumer) -> None:
    """Let ``poll()`` return an ``UnreadableBatch`` as the last record of its partition, whose position stays in front of it."""
    consumer._fetcher.PartitionRecords = _PartitionRecords


class _PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]  # kafka-python is not typed
    next_fetch_offset: int

    def __init__(self, fetch_offset: int, tp: TopicPartition, records: MemoryRecords, **options: object) -> None:
        batches = _Batches(records._buffer)
        records._next_slice = batches._next_slice
        super().__init__(fetch_offset, tp, batches, **options)

    def _unpack_records(
        self, tp: TopicPartition, batches: _Batches, *deserializers: object
    ) -> Iterator[ConsumerRecord | UnreadableBatch]:
        try:
            yield from super()._unpack_records(tp, batches, *deserializers)
        except Exception as error:  # noqa: BLE001  each codec's library has its own errors
            self.next_fetch_offset = max(self.fetch_offset, self.next_fetch_offset)
            yield batches.unreadable(tp.partition, self.next_fetch_offset, error)
            self.drain()


class _Batches(MemoryRecords):  # type: ignore[misc]
    """The batches of an answer; remembers the one that was given last."""

    _next_slice: memoryview | None

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        if self._next_slice is None and data:  # by its own length the first batch is longer than the answer
            self._next_slice = memoryview(data)
        self._given = memoryview(b"")
        self._start = 0

    def next_batch(self) -> ABCRecordBatch | None:
        given = self._next_slice
        if given is None:
            return None
        self._given, self._start = given, max(0, self._pos - len(given))
        if len(given) < DefaultRecordBatch.HEADER_STRUCT.size or given[self.MAGIC_OFFSET] != _MAGIC_2:
            return super().next_batch()
        self._cache_next()
        return _Batch(given)

    def unreadable(self, partition: int, offset: int, error: Exception) -> UnreadableBatch:
        following = offset + 1
        if len(self._buffer) - self._start >= _BATCH.size:
            base, _, _, magic, _, _, distance = _BATCH.unpack_from(self._buffer, self._start)
            following = max(following, base + 1 + (distance if magic == _MAGIC_2 else 0))
        return UnreadableBatch(partition, offset, following, bytes(self._given), f"{type(error).__name__}: {error}")


class _Batch(DefaultRecordBatch):  # type: ignore[misc]
    """A batch whose records are read even where a header's name is not UTF-8: no order depends on a header."""

    _buffer: bytearray

    def _read_msg(self, *arguments: object) -> DefaultRecord:
        try:
            return super()._read_msg(*arguments)
        except UnicodeDecodeError:
            self._buffer = _LenientBytes(self._buffer)
            return super()._read_msg(*arguments)


class _LenientBytes(bytearray):
    """Bytes whose pieces decode whatever they hold."""

    def __getitem__(self, index: SupportsIndex | slice) -> int | bytearray:  # type: ignore[override]
        piece = super().__getitem__(index)
        return _LenientBytes(piece) if isinstance(piece, bytearray) else piece

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)
