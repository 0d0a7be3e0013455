"""The breakers that are not closed now, over all processes, as the board has them (durable/calls/breaker_status.py writes it).

Here: reading, and one entry for each API out of those of many processes. Not here: how it is told.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from generia_assets.durable.calls.api_status import BREAKER
from generia_assets.durable.collections import FLEET
from resources.gateway.breaker import BreakerState
from resources.mongodb.connection import MongoDatabase, MongoDocument


class BreakerView(BaseModel):
    """An API that calls are held back from: OPEN where no process probes it now, else HALF-OPEN.

    ``since``: of the process that holds back longest. ``probe_at``: when the first of them asks again. ``runs`` hold back.
    """

    model_config = ConfigDict(frozen=True)

    api: str
    state: BreakerState
    since: datetime
    probe_at: datetime | None
    runs: int


def breakers_not_closed(database: MongoDatabase) -> tuple[BreakerView, ...]:
    """One view for each API; none while all is well. Processes that died or have ended do not count."""
    alive = {"_id": {"$regex": f"^{BREAKER}:"}, "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
    entries: defaultdict[str, list[MongoDocument]] = defaultdict(list)
    for entry in database[FLEET].find(alive).sort("_id", 1):
        entries[entry["api"]].append(entry)
    return tuple(_view(api, found) for api, found in entries.items())


def _view(api: str, entries: list[MongoDocument]) -> BreakerView:
    probing = any(entry["state"] == BreakerState.HALF_OPEN.value for entry in entries)
    return BreakerView(
        api=api,
        state=BreakerState.HALF_OPEN if probing else BreakerState.OPEN,
        since=min(entry["since"] for entry in entries),
        probe_at=None if probing else min(entry["probe_at"] for entry in entries),
        runs=len(entries),
    )
