"""Figures of the whole fleet, for a monitor that asks every few seconds (R16): worlds, tasks, calls, slots, breakers.

Here: the queries by section, each answered by an index or from few documents, so that the cost does not grow with the number of
worlds. Tasks are those of the worlds that changed last, calls those begun in the last minutes. Not here: figures of one world
(statistics.py), and the format (pages/metrics.py).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from generia_assets.catalog import TaskType
from generia_assets.content.documents import FrozenModel
from generia_assets.durable.collections import FLEET, HISTORY, STATUS, TASKS
from generia_assets.durable.status import HISTORY_LACKS, State
from generia_assets.queries.records import read_tasks
from generia_assets.queries.statistics import percentile
from resources.gateway.slot_shares import SlotShares
from resources.gemini.model_resolver import Retired, fleet_notes
from resources.mongodb.connection import MongoDatabase

WORLDS_LOOKED_AT = 20
"""Number of worlds whose tasks are counted: those that changed last."""
TASKS_TIMED = 200
"""Number of finished tasks of each type whose times count: the last ones."""
RECENT = timedelta(minutes=5)
MOST_CALLS = 20_000
"""Most calls that are read, the last ones; more than a fleet at its limits begins in that time."""
HISTORY_STATE = "history"
UNFINISHED = (State.PENDING, State.IN_PROGRESS)


class FleetWorlds(FrozenModel):
    """All worlds in one state. ``oldest`` is when the first of them was ordered, None where no record says so.

    ``state`` is one of ``State``, or ``HISTORY_STATE`` for worlds of the former worker.
    """

    state: str
    worlds: int
    llm_usd: float
    images_usd: float
    llm_calls: int
    image_calls: int
    oldest: datetime | None


class CallFigures(FrozenModel):
    """Recent calls of one API with one outcome. Seconds are sums over calls."""

    api: str
    outcome: str
    calls: int
    calling_s: float
    waiting_s: float
    prompt_tokens: int
    output_tokens: int
    cost_usd: float


def worlds_by_state(database: MongoDatabase) -> list[FleetWorlds]:
    """All worlds by state. Those whose status is no state are left out; ``unreadable_worlds`` (worlds.py) names them."""
    lacks = [{"$eq": [{"$type": f"${field}"}, "missing"]} for field in HISTORY_LACKS]
    group = {
        "_id": {"$cond": [{"$or": lacks}, HISTORY_STATE, "$status"]},
        "worlds": {"$sum": 1},
        "llm_usd": {"$sum": "$llm_cost_total"},
        "images_usd": {"$sum": "$image_cost_total"},
        "llm_calls": {"$sum": "$api_calls_made_LLM"},
        "image_calls": {"$sum": "$api_calls_made_images"},
        "oldest": {"$min": {"$cond": [{"$eq": [{"$type": "$created_at"}, "date"]}, "$created_at", None]}},
    }
    rows = database[STATUS].aggregate([{"$match": {"status": {"$in": list(State)}}}, {"$group": group}])
    return [FleetWorlds(state=row.pop("_id"), **row) for row in rows]


def tasks_by_state(database: MongoDatabase) -> dict[tuple[str, str], int]:
    """How many tasks the worlds that changed last have, by type and state; answered by an index alone."""
    known = {"status": {"$in": list(State)}, "type": {"$in": list(TaskType)}}
    counted = database[TASKS].aggregate(
        [
            {"$match": {"world_id": {"$in": last_changed(database)}, **known}},
            {"$group": {"_id": {"type": "$type", "status": "$status"}, "tasks": {"$sum": 1}}},
        ]
    )
    return {(row["_id"]["type"], row["_id"]["status"]): row["tasks"] for row in counted}


def task_seconds(database: MongoDatabase) -> dict[tuple[str, str], float]:
    """From start to end of the tasks that finished last, in the worlds that changed last, by type and quantile."""
    worlds, seconds = last_changed(database), dict[tuple[str, str], float]()
    for task_type in TaskType:
        query = {"world_id": {"$in": worlds}, "status": State.COMPLETED.value, "type": task_type.value}
        last = database[TASKS].find(query, {"type": 1, "status": 1, "started_at": 1, "updated_at": 1})
        timed = read_tasks(last.sort("updated_at", -1).limit(TASKS_TIMED))
        took = [(task.updated_at - task.started_at).total_seconds() for task in timed if task.started_at]
        seconds |= {(task_type.value, quantile): value for quantile, value in quantiles(took).items()}
    return seconds


def quantiles(values: list[float]) -> dict[str, float]:
    """Median and 95th percentile with their labels; nothing of nothing."""
    return {str(part): percentile(values, part) for part in (0.5, 0.95)} if values else {}


def recent_calls(database: MongoDatabase) -> list[CallFigures]:
    """Calls begun in the last minutes that have ended."""
    rows = database[HISTORY].aggregate(
        [
            {"$match": {"created_at": {"$gt": datetime.now(UTC) - RECENT}, **_COUNTABLE}},
            {"$sort": {"created_at": -1}},
            {"$limit": MOST_CALLS},
            {
                "$group": {
                    "_id": {"api": "$api_type", "outcome": "$outcome"},
                    "calls": {"$sum": 1},
                    "calling_s": {"$sum": {"$divide": ["$duration_ms", 1000]}},
                    "waiting_s": {"$sum": {"$divide": [{"$ifNull": ["$waited_ms", 0]}, 1000]}},
                    "prompt_tokens": {"$sum": "$tokens.prompt"},
                    "output_tokens": {"$sum": "$tokens.output"},
                    "cost_usd": {"$sum": "$cost_usd"},
                }
            },
        ]
    )
    return [CallFigures(**row.pop("_id"), **row) for row in rows]


def slot_shares(database: MongoDatabase) -> dict[str, SlotShares]:
    """The slots by API. A process whose lease has expired has none."""
    now, found = datetime.now(UTC), dict[str, SlotShares]()
    for document in database[FLEET].find({"_id": {"$regex": "^slots:"}}):
        alive = [holder for holder in document.get("holders", []) if holder["expires_at"] > now]
        shares = {"ceiling": None, "pause_ms": 0, **document, "holders": alive}
        found[document["_id"].partition(":")[2]] = SlotShares.model_validate(shares)
    return found


def retired_models(database: MongoDatabase) -> list[Retired]:
    """The models that are not asked for a day."""
    return fleet_notes(database[FLEET].find_one({"_id": "models"})).retired


_COUNTABLE = {"api_type": {"$type": "string"}, "outcome": {"$type": "string"}} | {
    field: {"$not": {"$type": ["string", "object", "array", "bool", "date"]}} for field in ("duration_ms", "waited_ms")
}
"""Condition of the calls whose figures are numbers."""


def last_changed(database: MongoDatabase) -> list[str]:
    """The worlds that changed last, at most ``WORLDS_LOOKED_AT``."""
    return [str(world["_id"]) for world in database[STATUS].find({}, {"_id": 1}).sort("updated_at", -1).limit(WORLDS_LOOKED_AT)]
