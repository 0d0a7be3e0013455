"""Following a world until it is finished: what the status record says and what was written, a few times a second.

Here: the reading. Not here: how it looks (displays.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from generia_assets.cli.texts import WAIT_MS, Text, TextStream
from generia_assets.durable.collections import STATUS
from generia_assets.durable.generations import Parked
from generia_assets.durable.status import WorldStatus
from resources.mongo import MongoDatabase


@dataclass(frozen=True)
class Moment:
    """What is to be seen now. ``status`` None: the order has not been read yet."""

    status: WorldStatus | None
    texts: list[Text]


def world_status(database: MongoDatabase, world_id: str) -> WorldStatus | None:
    """The world's status record, or None if nobody ordered such a world."""
    found = database[STATUS].find_one({"_id": world_id})
    return None if found is None else WorldStatus.model_validate(found)


def follow(database: MongoDatabase, world_id: str, *, texts: bool) -> Iterator[Moment]:
    """The world, moment by moment, at most four times a second; the last one is the finished or stopped world."""
    with ExitStack() as stack:
        stream = stack.enter_context(TextStream(database, world_id)) if texts else None
        while True:
            looked = time.monotonic()
            status = world_status(database, world_id)  # before the texts: the last moment has all of them
            yield Moment(status, stream.new() if stream else [])
            if status is not None and over(status):
                return
            time.sleep(max(0.0, WAIT_MS / 1000 - (time.monotonic() - looked)))


def over(status: WorldStatus) -> bool:
    """Whether there is nothing to wait for: finished, or stopped by a person. An outage ends by itself."""
    return status.done or (status.parked is not None and status.parked.kind == Parked.STOPPED.value)
