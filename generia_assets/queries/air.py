"""Calls in the air: how many a world has now, how many the whole fleet may have (R17), and which breakers hold all back.

A call counts from its reservation until its answer is durable, a fraction of a second longer than it is really under way.
"""

from __future__ import annotations

from collections import Counter

from pydantic import BaseModel, ConfigDict

from generia_assets.durable.collections import FLEET, STATUS
from generia_assets.queries.breakers import BreakerView, breakers_not_closed
from resources.gateway.api_gateway import Api
from resources.mongodb.connection import MongoDatabase


class InFlightCalls(BaseModel):
    """Calls of one world in the air, and what the fleet may have at once: the configured limit, or less after a 429.

    ``breakers``: those that are not closed; calls of that API wait for a probe.
    """

    model_config = ConfigDict(frozen=True)

    llm: int
    llm_ceiling: int
    images: int
    image_ceiling: int
    breakers: tuple[BreakerView, ...] = ()


def in_flight(database: MongoDatabase, world_id: str, *, llm_limit: int, image_limit: int) -> InFlightCalls:
    """The calls of this world that are in the air now. The limits are the configured ones, for a fleet that has not called yet."""
    status = database[STATUS].find_one({"_id": world_id}, {"in_flight": 1}) or {}
    calls = Counter(str(note.get("api_type")) for note in (status.get("in_flight") or {}).values())
    slots = {f"slots:{api.value}": limit for api, limit in ((Api.LLM, llm_limit), (Api.IMAGE, image_limit))}
    for shares in database[FLEET].find({"_id": {"$in": list(slots)}}, {"limit": 1, "ceiling": 1}):
        slots[shares["_id"]] = int(shares["limit"] if shares.get("ceiling") is None else min(shares["limit"], shares["ceiling"]))
    llm, images = slots[f"slots:{Api.LLM.value}"], slots[f"slots:{Api.IMAGE.value}"]
    return InFlightCalls(
        llm=min(calls[Api.LLM.value], llm),
        llm_ceiling=llm,
        images=min(calls[Api.IMAGE.value], images),
        image_ceiling=images,
        breakers=breakers_not_closed(database),
    )
