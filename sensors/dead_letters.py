"""Dead letters: messages that are no orders, kept where people look for them, with the reason.

Here: their form and their sending. Not here: what is wrong with a message (messages.py, generia_assets/durable/orders.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from resources.kafka import Event, EventProducer, EventTooLargeError, KafkaUnavailableError, Message

LONGEST_REASON = 1_000
CUT_AT_BYTES = 64 * 1024
GIANT_BYTES = 512 * 1024
"""What is larger is never sent whole: a topic with default settings does not take it, and a few would use up a tick's time."""
DELIVERY_TIMEOUT_S = 6.0
"""For all of a tick's dead letters together."""
SHORTENED_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Broken:
    """A message that is no order, and why."""

    message: Message
    reason: str


class LetterHeaders(BaseModel):
    """The headers of a dead letter; the value and the key are the original's."""

    model_config = ConfigDict(frozen=True)

    reason: str = Field(max_length=LONGEST_REASON, description="what is wrong with the message, and what is allowed; one line")
    topic: str = Field(description="where the original lies")
    partition: str = Field(pattern="^[0-9]+$", description="where the original lies")
    offset: str = Field(pattern="^[0-9]+$", description="where the original lies; with topic and partition it tells a repetition")
    cut: str | None = Field(None, description="only on a letter that holds no more than an original's first bytes: how many")

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """As Kafka takes them."""
        return tuple(self.model_dump(exclude_none=True).items())


def dead_letter(broken: Broken, topic: str) -> Event:
    """The original bytes under the original key, with the reason and the place in headers.

    It may arrive twice (a tick that died in between); its place tells.
    """
    return Event(topic=topic, key=broken.message.key, value=broken.message.value or b"", headers=_headers(broken).pairs())


def shortened_dead_letter(broken: Broken, topic: str) -> Event:
    """The same with the first bytes only, for a topic that does not take the whole; the original stays at its place."""
    whole = dead_letter(broken, topic)
    cut = f"{CUT_AT_BYTES} of {len(whole.value)} bytes; the original is at topic, partition, offset"
    key = whole.key if len(whole.key or b"") <= CUT_AT_BYTES else None
    return Event(topic, key, whole.value[:CUT_AT_BYTES], _headers(broken, cut).pairs())


def _headers(broken: Broken, cut: str | None = None) -> LetterHeaders:
    message = broken.message
    return LetterHeaders(
        reason=one_line(broken.reason),
        topic=message.topic,
        partition=str(message.partition),
        offset=str(message.offset),
        cut=cut,
    )


def one_line(text: str) -> str:
    """The text as a header: one line, of bounded length, nothing that a terminal would obey."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable if len(printable) <= LONGEST_REASON else printable[: LONGEST_REASON - 1] + "…"


def send_dead_letters(producer: EventProducer, letters: Sequence[Broken], topic: str) -> tuple[list[Broken], list[str]]:
    """Send them and wait. Gives those that the broker has acknowledged, and what is to be said about the others."""
    deadline = time.monotonic() + DELIVERY_TIMEOUT_S
    sent = [(broken, producer.send(_letter(broken, topic))) for broken in letters]
    arrived: list[Broken] = []
    problems: list[str] = []
    for broken, delivery in sent:
        try:
            delivery.wait(deadline - time.monotonic())
        except (KafkaUnavailableError, EventTooLargeError) as error:
            if _arrives_shortened(producer, broken, topic):
                problems.append(f"dead letter of {place(broken.message)} was cut to {CUT_AT_BYTES} bytes: {error}")
                arrived.append(broken)
            else:
                problems.append(f"dead letter of {place(broken.message)} was not taken, it is tried again: {error}")
        else:
            arrived.append(broken)
    return arrived, problems


def _letter(broken: Broken, topic: str) -> Event:
    giant = len(broken.message.value or b"") > GIANT_BYTES
    return shortened_dead_letter(broken, topic) if giant else dead_letter(broken, topic)


def _arrives_shortened(producer: EventProducer, broken: Broken, topic: str) -> bool:
    """What the topic does not take whole must not hold up its partition for ever, be it against its limit or against the clock."""
    if len(broken.message.value or b"") <= CUT_AT_BYTES:
        return False
    try:
        producer.send(shortened_dead_letter(broken, topic)).wait(SHORTENED_TIMEOUT_S)
    except (KafkaUnavailableError, EventTooLargeError):
        return False
    return True


def place(message: Message) -> str:
    """Where a message lies, for people."""
    return f"{message.topic}[{message.partition}]@{message.offset}"
