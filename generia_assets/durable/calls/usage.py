"""What the calls of a finished world used: added up once, when it completes, and kept in its generation's record.

The requests themselves expire (HISTORY_TTL_DAYS); these sums stay, about 2 KB a world, for the quotes of later worlds
(queries/learned.py). They go when the world is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, FiniteFloat

from generia_assets.catalog import TaskType
from generia_assets.content.documents import FrozenModel
from generia_assets.content.keys import WORLD_KEY
from generia_assets.content.plan import Plan
from generia_assets.durable.collections import HISTORY, TASKS
from resources.gateway.calls import Api
from resources.gemini.models import profile_of

if TYPE_CHECKING:
    from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument

_Count = Annotated[int, Field(ge=0)]
_Dollars = Annotated[FiniteFloat, Field(ge=0)]
_SUMS = {"prompt": "$tokens.prompt", "cached": "$tokens.cached", "output": "$tokens.output", "usd": "$cost_usd"}


class CallUsage(FrozenModel):
    """Sums over the answered calls of one request type by one model: tokens, US dollars, the squares of the dollars of each."""

    request_type: str
    model: str
    calls: Annotated[int, Field(ge=1)]
    prompt: _Count
    cached: _Count
    output: _Count
    usd: _Dollars
    usd_squared: _Dollars


class Usage(FrozenModel):
    """What the calls of one generation used.

    Attributes:
        language: Of the world, in English.
        planned: Calls of the model by request type, if every answer had been usable at once.
        calls: The answered ones.
        texts_usd: US dollars of all attempts at calls of the model: also of those asked again, refused, lost, and of controls.
        pictures: How many were planned.
        picture_usd: US dollars of one, on average.
        pictures_usd: US dollars of all attempts.
    """

    language: str
    planned: Mapping[str, _Count]
    calls: tuple[CallUsage, ...]
    texts_usd: _Dollars
    pictures: _Count
    picture_usd: _Dollars
    pictures_usd: _Dollars


async def usage_of(database: AsyncMongoDatabase, world_id: str, generation: str, plan: Plan) -> Usage:
    """What the calls of this generation used, by its requests, all of which are written."""
    answered, billed = list[CallUsage](), dict.fromkeys(Api, 0.0)
    pictures = picture_usd = 0.0
    group = {
        "_id": {
            "api": "$api_type",
            "type": "$request_type",
            "model": {"$ifNull": ["$response_data.model", "$request_data.model"]},
            "ok": {"$eq": ["$outcome", "ok"]},
        },
        "calls": {"$sum": 1},
        **{name: {"$sum": field} for name, field in _SUMS.items()},
        "usd_squared": {"$sum": {"$pow": ["$cost_usd", 2]}},
    }
    made_by = {"world_id": world_id, "generation": generation, "api_type": {"$in": [Api.LLM.value, Api.IMAGE.value]}}
    async for sums in await database[HISTORY].aggregate([{"$match": made_by}, {"$group": group}]):
        kind = sums.pop("_id")
        api, model = Api(kind["api"]), str(kind.get("model") or "")
        billed[api] += sums["usd"]
        if api is Api.IMAGE and kind["ok"]:
            pictures, picture_usd = pictures + sums["calls"], picture_usd + sums["usd"]
        elif kind["ok"]:
            known = profile_of(model)
            answered.append(CallUsage(request_type=kind["type"], model=known.id if known else model, **sums))
    return Usage(
        language=await _language(database, world_id, generation),
        planned={name: count for name, count in plan.llm_calls.items() if count},
        calls=tuple(answered),
        texts_usd=billed[Api.LLM],
        pictures=plan.images_total,
        picture_usd=picture_usd / pictures if pictures else 0.0,
        pictures_usd=billed[Api.IMAGE],
    )


async def _language(database: AsyncMongoDatabase, world_id: str, generation: str) -> str:
    description: MongoDocument = {"type": TaskType.GENERATE_WORLD_DESCRIPTION.value, "key": WORLD_KEY}
    language = "result.user_preferences.language"
    found = await database[TASKS].find_one({"world_id": world_id, "generation": generation, **description}, {language: 1})
    return str(((found or {}).get("result") or {}).get("user_preferences", {}).get("language", ""))
