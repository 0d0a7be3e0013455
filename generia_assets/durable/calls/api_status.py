"""What one run records about the APIs in collection ``fleet``: which of its breakers are not closed, and that an API has answered.

Documents ``breaker:llm:RUN`` are there while the run's breaker of that API is OPEN or HALF-OPEN: they are renewed while it lasts,
deleted when it closes or the run ends, and expire when the process is silent (``expires_at``, by the server's clock). So processes
do not overwrite each other, and a process that died leaves no breaker open for ever. A record that cannot be written stops nothing;
that is logged, and it is written later. Not here: how they are read (queries/).

A document ``answered:llm:DIGEST`` records that an API has answered under the name that this process calls it by (the model's
address and key, the class of an image provider). What has answered before and refuses now may heal (``FatalCallError.may_heal``);
what never has is set up wrong, and fails at once. It is written at the end of each run that was answered, and kept for a month.
With it are the durations of the latest answers, so that a run knows how long the first calls of a world may take (deadlines.py).
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from resources.cancellation import cancel_and_wait, raise_if_cancelled
from resources.gateway.breaker import BreakerState
from resources.gateway.calls import Api
from resources.mongodb.connection import MongoDocument

logger = logging.getLogger(__name__)

BREAKER = "breaker"
"""What ids of the breakers' documents begin with."""
OUTAGE_SECONDS = 0.5
"""How soon writing is tried again while MongoDB does not answer."""
TRUSTED_FOR = timedelta(days=30)


@dataclass(frozen=True)
class _Entry:
    state: BreakerState
    since: datetime
    """Since when it has not been closed."""
    probe_at: datetime | None


class BreakerStatusStore:
    """Records the breakers of one process. Make it on the event loop; ``aclose`` deletes what this process wrote."""

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
        """The callback for this API's breaker: takes its new state, and the seconds until the next probe."""

        def changed(state: BreakerState, probe_in: float) -> None:
            now, before = datetime.now(UTC), self._entries.pop(api, None)
            if state is not BreakerState.CLOSED:
                probe_at = now + timedelta(seconds=probe_in) if state is BreakerState.OPEN else None
                self._entries[api] = _Entry(state, before.since if before else now, probe_at)
            self._to_write.add(api)
            self._changed.set()
            if self._writer is None:
                self._writer = asyncio.create_task(self._write_on(), name="breaker status")

        return changed

    async def aclose(self) -> None:
        if self._writer is not None:
            await cancel_and_wait(self._writer)
        if self._written:
            with suppress(PyMongoError):  # they expire by themselves
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
                states = ", ".join(f"{api.value} {entry.state.value}" for api, entry in self._entries.items()) or "all closed"
                logger.warning("breakers: %s, but that cannot be recorded (%s)", states, type(error).__name__)
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


def name_of(api: Api, *identity: str) -> str:
    """The name under which an API is called: nobody can read the key out of it."""
    return f"answered:{api.value}:{hashlib.sha256('|'.join(identity).encode()).hexdigest()[:16]}"


async def latest_answers(fleet: AsyncCollection[MongoDocument], name: str) -> Mapping[str, list[float]] | None:
    """The durations of the latest answers of an API under this name, in seconds by request type; None: it has never answered."""
    found = await fleet.find_one({"_id": name}, {"seconds": 1})
    return None if found is None else found.get("seconds", {})


async def trust(fleet: AsyncCollection[MongoDocument], name: str, seconds: Mapping[str, list[float]]) -> None:
    values = {"expires_at": datetime.now(UTC) + TRUSTED_FOR, "seconds": seconds}
    await fleet.update_one({"_id": name}, {"$set": values}, upsert=True)
