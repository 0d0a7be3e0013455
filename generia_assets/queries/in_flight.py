"""The calls that a world has in flight, how many the whole fleet may have (R17), and the breakers that are not closed.

A call counts from its reservation until its answer is durable, a fraction of a second longer than the request itself. The
breakers' states are those that all processes report (durable/calls/api_status.py writes them), one view for each API.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from datetime import datetime

from generia_assets.catalog import TaskType
from generia_assets.content.documents import FrozenModel
from generia_assets.durable.calls.api_status import BREAKER
from generia_assets.durable.collections import FLEET, STATUS
from resources.gateway.breaker import BreakerState
from resources.gateway.calls import Api
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.settings import GatewaySettings


class BreakerView(FrozenModel):
    """An API whose breaker is not closed: OPEN where no process probes it now, else HALF-OPEN.

    ``since``: when the first process opened its breaker. ``probe_at``: the time of the next probe. ``runs``: the affected runs.
    """

    api: str
    state: BreakerState
    since: datetime
    probe_at: datetime | None
    runs: int


def breakers_not_closed(database: MongoDatabase) -> tuple[BreakerView, ...]:
    """One view for each API; empty while all breakers are closed. Processes that have ended do not count."""
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


def calls_by_task_type(database: MongoDatabase, world_id: str) -> tuple[tuple[TaskType, int], ...]:
    """How many calls of each task type of this world are in flight now, in the order of the work."""
    counts = Counter((note.get("labels") or {}).get("task_type") for note in _notes(database, world_id))
    return tuple((task_type, counts[task_type.value]) for task_type in TaskType if counts[task_type.value])


class InFlightCalls(FrozenModel):
    """Calls of one world in flight, and the fleet's limit of calls at once: the configured one, or less after a 429.

    ``breakers``: those that are not closed; calls of that API wait for a probe.
    """

    llm: int
    llm_ceiling: int
    images: int
    image_ceiling: int
    breakers: tuple[BreakerView, ...] = ()


def in_flight(database: MongoDatabase, world_id: str, configured: GatewaySettings) -> InFlightCalls:
    """The calls of this world that are in flight now. The configured limits are those of a fleet that has not called yet."""
    calls = Counter(str(note.get("api_type")) for note in _notes(database, world_id))
    slots = {f"slots:{Api.LLM.value}": configured.llm_concurrency, f"slots:{Api.IMAGE.value}": configured.image_concurrency}
    for shares in database[FLEET].find({"_id": {"$in": list(slots)}}, {"limit": 1, "ceiling": 1}):
        slots[shares["_id"]] = int(shares["limit"] if shares.get("ceiling") is None else min(shares["limit"], shares["ceiling"]))
    llm, images = (slots[f"slots:{api.value}"] for api in (Api.LLM, Api.IMAGE))
    return InFlightCalls(
        llm=min(calls[Api.LLM.value], llm),
        llm_ceiling=llm,
        images=min(calls[Api.IMAGE.value], images),
        image_ceiling=images,
        breakers=breakers_not_closed(database),
    )


def _notes(database: MongoDatabase, world_id: str) -> Collection[MongoDocument]:
    status = database[STATUS].find_one({"_id": world_id}, {"in_flight": 1}) or {}
    notes: MongoDocument = status.get("in_flight") or {}
    return notes.values()
