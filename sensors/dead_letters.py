"""Dead letters: messages that are no orders, kept where people look for them, with the reason.

Here: their form and their sending, and keeping them in MongoDB while their topic cannot be written; also of batches that cannot be
read. Not here: what is wrong with a message (messages.py, generia_assets/durable/orders/records.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import Field
from pymongo.errors import PyMongoError

from generia_assets.content.documents import FrozenModel
from generia_assets.durable.figures import count_dead_letters
from generia_assets.durable.orders.intake import (
    LONGEST_REASON,
    HeldPartition,
    StoredDeadLetter,
    forget,
    hold,
    keep,
    kept,
    place_of,
    release,
)
from resources.kafka.address import KafkaUnavailableError
from resources.kafka.batches import UnreadableBatch
from resources.kafka.producer import Delivery, Event, EventProducer, EventTooLargeError
from resources.kafka.reader import KafkaRecord
from resources.kafka.resource import KafkaResource
from resources.mongodb.connection import MongoDatabase, MongoUnavailableError
from resources.redaction import kept_line

CUT_AT_BYTES = 64 * 1024
GIANT_BYTES = 512 * 1024
"""What is larger is never sent whole: a topic with default settings does not take it, and a few would use up a tick's time."""
DELIVERY_TIMEOUT_S = 6.0
"""For all of a tick's dead letters together."""
SHORTENED_TIMEOUT_S = 2.0
"""For all of those that their topic did not take whole."""
MOST_KEPT = 200
"""Kept letters that are sent at once."""


@dataclass(frozen=True)
class InvalidMessage:
    """A message that is no order, and why."""

    message: KafkaRecord
    reason: str


class DeadLetterHeaders(FrozenModel):
    """The headers of a dead letter; the value and the key are the original's."""

    reason: str = Field(max_length=LONGEST_REASON, description="what is wrong with the message, and what is allowed; one line")
    topic: str = Field(description="where the original lies")
    partition: str = Field(pattern="^[0-9]+$", description="where the original lies")
    offset: str = Field(pattern="^[0-9]+$", description="where the original lies; with topic and partition it tells a repetition")
    cut: str | None = Field(None, description="only on a letter that holds no more than an original's first bytes: how many")


def dead_letter(broken: InvalidMessage, topic: str, *, cut: bool = False) -> Event:
    """The original bytes under the original key, with the reason and the place in headers.

    It may arrive twice (a tick that died in between); its place tells. ``cut``: the first bytes only, for a topic that does not
    take the whole; the original stays at its place.
    """
    message, key, value = broken.message, broken.message.key, broken.message.value or b""
    headers = DeadLetterHeaders(
        reason=kept_line(broken.reason, LONGEST_REASON),
        topic=message.topic,
        partition=str(message.partition),
        offset=str(message.offset),
        cut=f"{CUT_AT_BYTES} of {len(value)} bytes; the original is at topic, partition, offset" if cut else None,
    )
    if cut:
        key, value = key if len(key or b"") <= CUT_AT_BYTES else None, value[:CUT_AT_BYTES]
    return Event(topic=topic, key=key, value=value, headers=tuple(headers.model_dump(exclude_none=True).items()))


@dataclass
class DlqResult:
    """What happened to a tick's dead letters: sent, or kept in MongoDB for later. Those in neither list are read again."""

    sent: list[InvalidMessage] = field(default_factory=list)
    kept: list[InvalidMessage] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def done(self) -> list[InvalidMessage]:
        return [*self.sent, *self.kept]


def send_to_dlq(kafka: KafkaResource, letters: Sequence[InvalidMessage], database: Callable[[], MongoDatabase]) -> DlqResult:
    """Send dead letters, or keep them, and count them for monitors."""
    result = _send_or_keep(kafka, letters, database) if letters else DlqResult()
    if result.done:
        try:
            count_dead_letters(database(), [place(broken.message) for broken in result.done])
        except (MongoUnavailableError, PyMongoError) as error:
            result.problems.insert(0, f"monitors do not see {len(result.done)} dead letters: {error}")
    return result


def _send_or_keep(kafka: KafkaResource, letters: Sequence[InvalidMessage], database: Callable[[], MongoDatabase]) -> DlqResult:
    """A topic that has left others waiting is not tried: that would take each tick's time."""
    result = DlqResult()
    topic = kafka.settings.kafka_dead_letters_topic
    try:
        waiting = kept(database(), 1)
    except (MongoUnavailableError, PyMongoError):  # then the topic is all there is
        waiting = []
    if waiting:
        why = waiting[0].why
    else:
        try:
            with kafka.producer() as producer:
                result.sent, result.problems = send_dead_letters(producer, letters, topic)
            if len(result.sent) == len(letters):
                return result
            why = result.problems.pop()
        except KafkaUnavailableError as error:
            why = str(error)
    left = [broken for broken in letters if broken not in result.sent]
    try:
        keep(database(), [_stored(broken, topic, why) for broken in left])
    except (MongoUnavailableError, PyMongoError) as error:
        result.problems.append(f"{len(left)} dead letters were taken neither by topic {topic} ({why}) nor by MongoDB ({error})")
    else:
        result.kept = left
        result.problems.append(f"{len(left)} dead letters are kept in MongoDB until topic {topic} takes them: {why}")
    return result


def pass_skipped(
    kafka: KafkaResource, database: Callable[[], MongoDatabase], batches: Sequence[UnreadableBatch], offsets: dict[int, int]
) -> list[str]:
    """Move ``offsets`` past each batch that a person has let the sensor leave out; its bytes go to the dead letters.

    A partition waits in front of a batch that cannot be read: it may hold good orders, and may become readable (another codec, a
    replica with the right bytes). Returns the warnings.
    """
    return [_pass(kafka, database, batch, offsets) for batch in batches if offsets[batch.partition] == batch.offset]


def _pass(kafka: KafkaResource, database: Callable[[], MongoDatabase], batch: UnreadableBatch, offsets: dict[int, int]) -> str:
    topic = kafka.settings.kafka_tasks_topic
    held = HeldPartition(topic, batch.partition, batch.offset, batch.next_offset, batch.reason[:500], datetime.now(UTC))
    try:
        skipped = hold(database(), held)
        if skipped:
            letter = InvalidMessage(
                KafkaRecord(topic, batch.partition, batch.offset, None, batch.data),
                f"value: {held.batch}, which could not be read and was left out ({held.reason})",
            )
            skipped = bool(send_to_dlq(kafka, [letter], database).done)
        if skipped:
            offsets[batch.partition] = batch.next_offset
            release(database(), held)
            return f"{held.batch} is left out; its bytes are a dead letter"
    except (MongoUnavailableError, PyMongoError) as error:
        return f"{held.batch} cannot be read ({held.reason}); whether it is to be left out is in MongoDB: {error}"
    return (
        f"{held.batch} cannot be read ({held.reason}): this partition waits, the others go on. To leave it out: "
        f"generia dead-letters skip {batch.partition}:{batch.offset}"
    )


def send_kept(database: MongoDatabase, kafka: KafkaResource, seconds: float) -> int:
    """Send what was kept, if the topic takes it now; how many it took. Raises ``KafkaUnavailableError``, ``PyMongoError``."""
    letters = kept(database, MOST_KEPT)
    if not letters:
        return 0
    events = [Event(kafka.settings.kafka_dead_letters_topic, one.key, one.value, tuple(one.headers.items())) for one in letters]
    with kafka.producer() as producer:
        errors = _deliver(producer, events, seconds)
    taken = [letter for letter, error in zip(letters, errors, strict=True) if error is None]
    forget(database, taken)
    return len(taken)


def send_dead_letters(
    producer: EventProducer, letters: Sequence[InvalidMessage], topic: str
) -> tuple[list[InvalidMessage], list[str]]:
    """Send them and wait. Returns those that the broker has acknowledged, and the warnings; why others are left is the last one."""
    events = [dead_letter(broken, topic, cut=len(broken.message.value or b"") > GIANT_BYTES) for broken in letters]
    errors, warnings = _deliver(producer, events, DELIVERY_TIMEOUT_S), list[str]()
    if large := [number for number, error in enumerate(errors) if isinstance(error, EventTooLargeError)]:
        shortened = [dead_letter(letters[number], topic, cut=True) for number in large]
        for number, error in zip(large, _deliver(producer, shortened, SHORTENED_TIMEOUT_S), strict=True):
            if error is None:
                cut = f"dead letter of {place(letters[number].message)} was cut to {CUT_AT_BYTES} bytes"
                warnings.append(f"{cut}: {errors[number]}")
            errors[number] = error
    left = [str(error) for error in errors if error is not None]
    return [broken for broken, error in zip(letters, errors, strict=True) if error is None], warnings + left[:1]


def _deliver(
    producer: EventProducer, events: Sequence[Event], seconds: float
) -> list[KafkaUnavailableError | EventTooLargeError | None]:
    """Send the events and wait; for each its error, or None. A topic that cannot be written costs the first one's time only."""
    deadline = time.monotonic() + seconds
    outcomes = [_outcome(producer.send(events[0]), deadline)]
    if isinstance(outcomes[0], KafkaUnavailableError):
        return outcomes * len(events)
    sent = []
    for event in events[1:]:
        if time.monotonic() > deadline:
            break
        sent.append(producer.send(event))
    outcomes += [_outcome(delivery, deadline) for delivery in sent]
    late = KafkaUnavailableError(f"not sent within {seconds:.0f} s")
    return outcomes + [late] * (len(events) - len(outcomes))


def _outcome(delivery: Delivery, deadline: float) -> KafkaUnavailableError | EventTooLargeError | None:
    try:
        delivery.wait(deadline - time.monotonic())
    except (KafkaUnavailableError, EventTooLargeError) as error:
        return error
    return None


def _stored(broken: InvalidMessage, topic: str, why: str) -> StoredDeadLetter:
    large = len(broken.message.value or b"") + len(broken.message.key or b"") > CUT_AT_BYTES
    event = dead_letter(broken, topic, cut=large)
    return StoredDeadLetter(place(broken.message), datetime.now(UTC), event.key, event.value, dict(event.headers), why)


def place(message: KafkaRecord) -> str:
    return place_of(message.topic, message.partition, message.offset)
