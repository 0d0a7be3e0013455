"""Where the sensor reads on: its cursor, and pure functions over it.

Here: the cursor's form and every decision about an offset. Not here: asking the broker (resources/kafka_reader.py) and the
tick itself (kafka.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from resources.kafka import Message, TopicLog


class Cursor(BaseModel):
    """What the sensor remembers between ticks: for each partition the offset to read next.

    The ids say which cluster and which topic of that name the offsets belong to; '' = the broker did not tell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    topic: str
    cluster_id: str = ""
    topic_id: str = ""
    offsets: dict[int, NonNegativeInt] = {}

    def moved(self, offsets: Mapping[int, int]) -> Cursor:
        """The cursor after a tick. Partitions that could not be read keep their place."""
        return self.model_copy(update={"offsets": {**self.offsets, **offsets}})


def parse_cursor(text: str | None, topic: str) -> tuple[Cursor, list[str]]:
    """The stored cursor, and what there is to say about it. One that cannot be used gives an empty one: start at the earliest.

    Starting there is always safe: an order that was recorded before makes no second world.
    """
    if not text:
        return Cursor(topic=topic), [f"no cursor yet: starting at the earliest message of {topic}"]
    try:
        cursor = Cursor.model_validate_json(text)
    except ValidationError as error:
        return Cursor(topic=topic), [f"the cursor cannot be read ({error.error_count()} errors): starting at the earliest message"]
    if cursor.topic != topic:
        return Cursor(topic=topic), [f"the cursor is of topic {cursor.topic}: starting {topic} at the earliest message"]
    return cursor, []


def for_this_log(cursor: Cursor, log: TopicLog) -> tuple[Cursor, list[str]]:
    """The cursor for this log; without offsets when the topic or the whole cluster was made anew, for then they mean nothing.

    Comparing offsets alone would not do: a new topic that is already longer than the old one would lose its beginning.
    """
    current = Cursor(topic=log.topic, cluster_id=log.cluster_id or cursor.cluster_id, topic_id=log.topic_id or cursor.topic_id)
    for what, then, now in (
        ("cluster", cursor.cluster_id, current.cluster_id),
        ("topic", cursor.topic_id, current.topic_id),
    ):
        if then and then != now:
            note = f"{what} of {log.topic} was made anew (id {then}, now {now}): starting at the earliest message"
            return current, [note]
    return current.moved(cursor.offsets), []


def starting_offsets(cursor: Cursor, log: TopicLog) -> tuple[dict[int, int], list[str]]:
    """The offset to read next in each readable partition, inside what the partition holds, and what had to be corrected."""
    starts: dict[int, int] = {}
    notes: list[str] = []
    for partition, bounds in log.bounds.items():
        stored = cursor.offsets.get(partition)
        starts[partition] = bounds.earliest if stored is None else stored
        where = f"{log.topic}[{partition}]: offset {stored}"
        if stored is None and cursor.offsets:
            notes.append(f"{log.topic}[{partition}]: new partition, starting at its earliest message {bounds.earliest}")
        elif stored is not None and stored < bounds.earliest:
            starts[partition] = bounds.earliest
            notes.append(
                f"{where} is gone (retention): going on at {bounds.earliest}, "
                f"{bounds.earliest - stored} messages were deleted unread"
            )
        elif stored is not None and stored > bounds.end:
            starts[partition] = bounds.earliest
            notes.append(f"{where} is beyond the end {bounds.end} (topic made anew?): starting at {bounds.earliest}")
    notes += [f"{log.topic}[{partition}]: has no leader now, read later" for partition in log.leaderless]
    return starts, notes


def next_offsets(starts: Mapping[int, int], read: Iterable[Message], done: Iterable[Message]) -> dict[int, int]:
    """Where to read on: behind the last message that is done, but never past one that was read and is not done."""
    following = dict(starts)
    finished = {(message.partition, message.offset) for message in done}
    blocked: set[int] = set()
    for message in read:
        if (message.partition, message.offset) not in finished:
            blocked.add(message.partition)
        elif message.partition not in blocked:
            following[message.partition] = message.offset + 1
    return following
