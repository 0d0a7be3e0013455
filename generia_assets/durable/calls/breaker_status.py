"""The board: which breakers are not closed, where people can see it (collection ``fleet``, a document for each process and API).

Here: one process's pen. Its documents ``breaker:llm:RUN`` are there while its breaker of that API is OPEN or HALF-OPEN: they are
renewed while it lasts, taken away when it closes or the run ends, and lapse when the process is silent (``expires_at``, by the
server's clock). So processes do not speak over each other, and nobody who died leaves a breaker open for ever. A board that cannot
be written is no reason to stop anything; it is logged, and written later. Not here: how it is read (queries/in_flight.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from resources.cancellation import cancel_and_wait, raise_if_cancelled
from resources.gateway.api_gateway import Api
from resources.gateway.breaker import BreakerState
from resources.mongodb.connection import MongoDocument

logger = logging.getLogger(__name__)

BREAKER = "breaker"
"""What ids of these documents begin with."""
OUTAGE_SECONDS = 0.5
"""How soon the board is tried again while it cannot be written."""


@dataclass(frozen=True)
class _Entry:
    state: BreakerState
    since: datetime
    """Since when it has not been closed."""
    probe_at: datetime | None


class BreakerStatusStore:
    """One process's pen on the board. Make it on the event loop; ``aclose`` takes away what this process wrote."""

    def __init__(self, fleet: AsyncCollection[MongoDocument], run_id: str, *, lease_seconds: float) -> None:
        self._fleet = fleet
        self._run_id = run_id
        self._lease_seconds = lease_seconds
        self._entries: dict[Api, _Entry] = {}
        self._to_write: set[Api] = set()
        self._written: set[Api] = set()
        self._changed = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    def breaker(self, api: Api) -> Callable[[BreakerState, float], None]:
        """What to tell this API's breaker changes to: the state, and the seconds until the next probe."""

        def changed(state: BreakerState, probe_in: float) -> None:
            now, before = datetime.now(UTC), self._entries.pop(api, None)
            if state is not BreakerState.CLOSED:
                probe_at = now + timedelta(seconds=probe_in) if state is BreakerState.OPEN else None
                self._entries[api] = _Entry(state, before.since if before else now, probe_at)
            self._to_write.add(api)
            self._changed.set()
            if self._writer is None:
                self._writer = asyncio.create_task(self._write_on(), name="board")

        return changed

    async def aclose(self) -> None:
        """Take this process's entries away: who ends has no breaker."""
        if self._writer is not None:
            await cancel_and_wait(self._writer)
        if self._written:
            with suppress(PyMongoError):  # they lapse by themselves
                await self._fleet.delete_many({"_id": {"$in": [self._id(api) for api in self._written]}})

    def _id(self, api: Api) -> str:
        return f"{BREAKER}:{api.value}:{self._run_id}"

    async def _write_on(self) -> None:
        """One write after the other, so that an older state never comes after a newer one; renew what is not closed."""
        while True:
            raise_if_cancelled()
            self._changed.clear()
            rest: float | None = self._lease_seconds / 3 if self._entries else None
            try:
                for api in self._to_write | set(self._entries):
                    await self._write(api)
            except PyMongoError as error:
                told = ", ".join(f"{api.value} {entry.state.value}" for api, entry in self._entries.items()) or "all closed"
                logger.warning("breakers: %s, but the board cannot be written (%s)", told, type(error).__name__)
                rest = OUTAGE_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._changed.wait()

    async def _write(self, api: Api) -> None:
        entry = self._entries.get(api)
        if entry is None:
            await self._fleet.delete_one({"_id": self._id(api)})
        else:
            self._written.add(api)
            values = {
                "api": api.value,
                "state": entry.state.value,
                "since": entry.since,
                "probe_at": entry.probe_at,
                "run_id": self._run_id,
                "expires_at": {"$add": ["$$NOW", int(self._lease_seconds * 1000)]},
            }
            await self._fleet.update_one({"_id": self._id(api)}, [{"$set": values}], upsert=True)
        if self._entries.get(api) is entry:
            self._to_write.discard(api)
