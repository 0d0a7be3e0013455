"""Where the sensor reads on: its cursor, and functions over it, for every decision about an offset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, NonNegativeInt, ValidationError

from resources.kafka.reader import KafkaRecord, TopicLog

BEFORE_INSTALLATION = timedelta(minutes=10)
"""Orders that were sent while the generator was being started count as newer than the installation."""


class Cursor(BaseModel, extra="forbid", frozen=True):
    """What the sensor remembers between ticks: for each partition the offset to read next.

    The ids say which cluster and which topic of that name the offsets belong to; '' = the broker did not tell.
    """

    version: Literal[1] = 1
    topic: str
    cluster_id: str = ""
    topic_id: str = ""
    offsets: dict[int, NonNegativeInt] = {}

    def moved(self, offsets: Mapping[int, int]) -> Cursor:
        """The cursor after a tick. Partitions that could not be read keep their place."""
        return self.model_copy(update={"offsets": {**self.offsets, **offsets}})


def parse_cursor(text: str | None, topic: str) -> tuple[Cursor, list[str]]:
    """The stored cursor, and what there is to say about it. One that cannot be used gives an empty one: a first start."""
    if not text:
        return Cursor(topic=topic), []
    try:
        cursor = Cursor.model_validate_json(text)
    except ValidationError as error:
        return Cursor(topic=topic), [f"the cursor cannot be read ({error.error_count()} errors): it is as at the first start"]
    if cursor.topic != topic:
        return Cursor(topic=topic), [f"the cursor is of topic {cursor.topic}: {topic} is read as at the first start"]
    return cursor, []


def first_offsets(
    cursor: Cursor, log: TopicLog, start: str, *, installed_at: Callable[[], datetime], since: Callable[[datetime], dict[int, int]]
) -> tuple[dict[int, int], list[str]]:
    """Where partitions begin of which the cursor knows nothing, and what there is to say about it.

    ``start`` is KAFKA_START. ``since`` gives the offsets of the first messages from a moment on. A partition that was added to a
    topic that is being read already begins at its earliest message, whatever ``latest`` says: nobody has read it.
    """
    new = log.bounds.keys() - cursor.offsets.keys()
    if not new:
        return {}, []
    if start == "earliest" or (start == "latest" and cursor.offsets):
        found = {partition: bounds.earliest for partition, bounds in log.bounds.items()}
    elif start == "latest":
        found = {partition: bounds.end for partition, bounds in log.bounds.items()}
    else:
        moment = installed_at() - BEFORE_INSTALLATION if start == "installation" else datetime.fromisoformat(start)
        found = since(moment)
    first = {partition: found[partition] for partition in sorted(new)}
    older = sum(offset - log.bounds[partition].earliest for partition, offset in first.items())
    where = ", ".join(f"{partition} at {offset}" for partition, offset in first.items())
    return first, [f"{log.topic}: starting partition {where} (KAFKA_START={start}); {older} messages before are not read"]


def for_this_log(cursor: Cursor, log: TopicLog) -> tuple[Cursor, list[str]]:
    """The cursor for this log; at its beginning when the topic or the whole cluster was made anew, for then offsets mean nothing.

    Comparing offsets alone would not do: a new topic that is already longer than the old one would lose its beginning.
    """
    current = Cursor(topic=log.topic, cluster_id=log.cluster_id or cursor.cluster_id, topic_id=log.topic_id or cursor.topic_id)
    for what, then, now in (("cluster", cursor.cluster_id, current.cluster_id), ("topic", cursor.topic_id, current.topic_id)):
        if then and then != now:
            note = f"{what} of {log.topic} was made anew (id {then}, now {now}): starting at the earliest message"
            return current.moved({partition: bounds.earliest for partition, bounds in log.bounds.items()}), [note]
    return current.moved(cursor.offsets), []


def starting_offsets(cursor: Cursor, log: TopicLog, first: Mapping[int, int]) -> tuple[dict[int, int], list[str]]:
    """The offset to read next in each readable partition, inside what the partition holds, and what had to be corrected.

    ``first``: where those begin of which the cursor knows nothing.
    """
    starts: dict[int, int] = {}
    notes: list[str] = []
    for partition, bounds in log.bounds.items():
        stored = cursor.offsets.get(partition)
        starts[partition] = first[partition] if stored is None else stored
        where = f"{log.topic}[{partition}]: offset {stored}"
        if stored is not None and stored < bounds.earliest:
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


def lag(cursor: Cursor, log: TopicLog) -> dict[int, int]:
    """Messages that are not read, by partition: of those that the cursor knows and that can be read."""
    known = {partition: cursor.offsets[partition] for partition in log.bounds if partition in cursor.offsets}
    return {
        partition: max(0, log.bounds[partition].end - max(at, log.bounds[partition].earliest)) for partition, at in known.items()
    }


def next_offsets(reached: Mapping[int, int], read: Iterable[KafkaRecord], done: Iterable[KafkaRecord]) -> dict[int, int]:
    """Where to read on: at ``reached``, but never past a message that was read and is not done."""
    following = dict(reached)
    finished = {(message.partition, message.offset) for message in done}
    for message in read:
        if (message.partition, message.offset) not in finished:
            following[message.partition] = min(following[message.partition], message.offset)
    return following
