"""Sending events to Kafka, so that the sender knows whether they arrived."""

import logging
from dataclasses import dataclass
from typing import Self

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from kafka.producer.future import FutureRecordMetadata

from resources.kafka.address import REQUEST_TIMEOUT_S, KafkaAddress

LARGEST_EVENT_BYTES = 64 * 1024 * 1024
"""Bytes of the largest request that is sent; the broker limits the size of a topic's events (``EventTooLargeError``)."""

_log = logging.getLogger(__name__)


class EventTooLargeError(ValueError):
    """The topic takes no event of this size. Sending it again cannot help; sending less can."""


@dataclass(frozen=True)
class Event:
    """An event to send. ``headers`` are text; ``key`` decides the partition, so that events of one key stay in order."""

    topic: str
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Delivery:
    """An event on its way to the broker."""

    def __init__(self, address: KafkaAddress, event: Event, sent: FutureRecordMetadata | KafkaError) -> None:
        self._address = address
        self._event = event
        self._sent = sent

    def wait(self, seconds: float) -> None:
        """Return when every in-sync replica has the event. Raises ``KafkaUnavailableError`` or ``EventTooLargeError``."""
        try:
            if isinstance(self._sent, KafkaError):
                raise self._sent
            self._sent.get(timeout=max(0.0, seconds))
        except (MessageSizeTooLargeError, RecordListTooLargeError):
            size = len(self._event.key or b"") + len(self._event.value)
            raise EventTooLargeError(f"topic {self._event.topic} takes no event of {size} bytes (max.message.bytes)") from None
        except KafkaError as error:
            raise self._address.unavailable(error) from None


class EventProducer:
    """Sends events. Safe to use from several threads; close it, or use it as a context manager.

    An event counts as sent when all in-sync replicas have it; it is given up after ``REQUEST_TIMEOUT_S``.
    """

    def __init__(self, address: KafkaAddress) -> None:
        """Connect. Raises ``KafkaUnavailableError``."""
        self._address = address
        milliseconds = int(REQUEST_TIMEOUT_S * 1000)
        self._producer = address.connect(
            KafkaProducer,
            acks="all",
            # With kafka-python's idempotence one event that is too large makes the producer refuse all further ones.
            # Without it, one request at a time keeps the order, and a repeated try may double an event.
            enable_idempotence=False,
            max_in_flight_requests_per_connection=1,
            linger_ms=0,
            max_block_ms=milliseconds,
            delivery_timeout_ms=milliseconds,
            max_request_size=LARGEST_EVENT_BYTES,
        )

    def send(self, event: Event) -> Delivery:
        """Send the event without waiting; the ``Delivery`` confirms its arrival. May wait for the topic's metadata."""
        headers = [(name, text.encode()) for name, text in event.headers]
        try:
            sent = self._producer.send(event.topic, key=event.key, value=event.value, headers=headers)
        except KafkaError as error:
            sent = error
        return Delivery(self._address, event, sent)

    def close(self) -> None:
        """Wait for events on their way until their time-out, then end the connection. Logs events that remain unsent."""
        try:
            self._producer.close(timeout=REQUEST_TIMEOUT_S + 1)
        except KafkaError as error:
            _log.warning("Kafka producer closed with events unsent: %s", error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class InOrder:
    """Sends into one topic, each event when the one before has arrived: there are no gaps, whatever fails. For one thread."""

    def __init__(self, producer: EventProducer, topic: str) -> None:
        """``producer`` is closed with it."""
        self._producer = producer
        self._topic = topic

    def __call__(self, key: str, value: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Return when it has arrived. Raises ``KafkaUnavailableError`` or ``EventTooLargeError``."""
        # Longer than the producer tries, so that an event it has given up cannot arrive later.
        self._producer.send(Event(self._topic, key.encode(), value, headers)).wait(REQUEST_TIMEOUT_S + 1)

    def close(self) -> None:
        self._producer.close()
