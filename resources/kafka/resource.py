"""Kafka as a Dagster resource: a reader that stays connected between two ticks, and a producer for events."""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from resources.kafka.address import KafkaAddress, KafkaUnavailableError
from resources.kafka.producer import EventProducer, InOrder
from resources.kafka.reader import TopicReader
from resources.kafka.settings import KafkaSettings


class ReaderBusyError(RuntimeError):
    """Another thread of this process still reads the topic: an abandoned tick that has not ended yet."""


class _KeptReader:
    """One connected reader for the whole process: a new connection would cost every tick 0.1-0.2 s.

    Made on first use, never at import, and never used in a process that was forked after it was made (the sockets would be shared).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reader: TopicReader | None = None
        self._made_for: tuple[object, ...] = ()

    @contextmanager
    def lease(self, address: KafkaAddress, topic: str, group_id: str) -> Iterator[TopicReader]:
        """The reader, for this thread alone, with a fresh ``log``: its broker answered a moment ago."""
        if not self._lock.acquire(blocking=False):
            raise ReaderBusyError(f"topic {topic} is still being read by an earlier tick")
        try:
            yield self._answering(address, topic, group_id)
        except BaseException:  # after any error its state is unknown: the next caller gets a new one
            self._drop()
            raise
        finally:
            self._lock.release()

    def _answering(self, address: KafkaAddress, topic: str, group_id: str) -> TopicReader:
        wanted = (os.getpid(), address, topic, group_id)
        if wanted != self._made_for:
            self._drop()
        if self._reader is not None:
            try:
                self._reader.look()
            except KafkaUnavailableError:  # the broker may be another one by now, at the same address
                self._drop()
        if self._reader is None:
            self._reader, self._made_for = TopicReader(address, topic, group_id), wanted
            self._reader.look()
        return self._reader

    def _drop(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and self._made_for[0] == os.getpid():
            reader.close()


_kept = _KeptReader()


class KafkaResource:
    """Kafka as a Dagster resource."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.address = KafkaAddress(settings)

    def tasks(self) -> AbstractContextManager[TopicReader]:
        """The reader of the orders' topic, with a fresh ``log``; connected before or now, and it stays connected afterwards.

        Raises ``KafkaUnavailableError``, and ``ReaderBusyError`` while another thread has it.
        """
        return _kept.lease(self.address, self.settings.kafka_tasks_topic, self.settings.kafka_group_id)

    def progress(self) -> InOrder:
        """A connected sender of the progress topic; close it. Raises ``KafkaUnavailableError``."""
        return InOrder(self.producer(), self.settings.kafka_progress_topic)

    def producer(self) -> EventProducer:
        """A connected producer; close it, or use it as a context manager. Raises ``KafkaUnavailableError``."""
        return EventProducer(self.address)
