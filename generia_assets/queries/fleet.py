"""Figures of the whole fleet, for monitors that ask every few seconds (R16): worlds, tasks, calls, slots, and what waits.

Here: the queries by section, each answered by an index or from few documents, so that the cost does not grow with the number of
worlds. Tasks are those of the worlds that changed last, calls those begun in the last minutes. What only Kafka and Dagster's
storage know comes from the sensor's last tick (durable/figures.py). Series with the id of a world are bounded. Not here: figures of
one world (statistics.py), and the format (pages/metrics.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import BaseModel

from generia_assets.catalog import TaskType
from generia_assets.content.documents import FrozenModel
from generia_assets.durable.collections import FLEET, HISTORY, KEPT_LETTERS, STATUS, TASKS, UNREADABLE_BATCHES
from generia_assets.durable.figures import CHECKS, DEAD_LETTERS, ORDERS_READ, CheckFigures, DeadLetterFigures, OrdersRead
from generia_assets.durable.status import HISTORY_LACKS, OURS, UNFINISHED, State, SuspendReason
from generia_assets.queries.records import read_tasks
from generia_assets.queries.statistics import percentile
from resources.gateway.slot_shares import Holder, SlotShares
from resources.gemini.model_resolver import Retired, fleet_notes
from resources.mongodb.connection import MongoDatabase, MongoDocument

WORLDS_LOOKED_AT = 20
"""Number of worlds whose tasks are counted: those that changed last."""
TASKS_TIMED = 200
"""Number of finished tasks of each type whose times count: the last ones."""
RECENT = timedelta(minutes=5)
MOST_CALLS = 20_000
"""Most calls that are read, the last ones; more than a fleet at its limits begins in that time."""
HISTORY_STATE = "history"
IDLE_FROM = timedelta(minutes=1)
"""A world in progress that has not changed for so long is shown by its id."""
MOST_IDLE = 10
MOST_HOLDERS = 20
"""Worlds whose slots are shown by their id, for each API; the others are one series."""
OTHERS = "others"
UNRESOLVED_FOR = timedelta(days=7)
"""A dead letter that was not sent again counts as unresolved for so long."""
STARTED_WITHIN = timedelta(hours=1)
"""Of the worlds that changed last, those ordered since then count for the time to the first call."""

ModelT = TypeVar("ModelT", bound=BaseModel)


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


class WaitingOrders(FrozenModel):
    """Orders of one type that no run has started. ``oldest``: when the first was accepted."""

    task_type: TaskType
    orders: int
    oldest: datetime


class DeadLetterCounts(FrozenModel):
    """Dead letters: all, those not sent again, those that their topic has not taken; and partitions held by a batch."""

    total: int
    unresolved: int
    kept: int
    held_partitions: int


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
    wanted = {"world_id": {"$in": last_changed(database)}, "status": {"$in": list(State)}, "type": {"$in": list(TaskType)}}
    counts = {"_id": {"type": "$type", "status": "$status"}, "tasks": {"$sum": 1}}
    rows = database[TASKS].aggregate([{"$match": wanted}, {"$group": counts}])
    return {(row["_id"]["type"], row["_id"]["status"]): row["tasks"] for row in rows}


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
    wanted = {"created_at": {"$gt": datetime.now(UTC) - RECENT}, **_COUNTABLE}
    group = {
        "_id": {"api": "$api_type", "outcome": "$outcome"},
        "calls": {"$sum": 1},
        "calling_s": {"$sum": {"$divide": ["$duration_ms", 1000]}},
        "waiting_s": {"$sum": {"$divide": [{"$ifNull": ["$waited_ms", 0]}, 1000]}},
        "prompt_tokens": {"$sum": "$tokens.prompt"},
        "output_tokens": {"$sum": "$tokens.output"},
        "cost_usd": {"$sum": "$cost_usd"},
    }
    steps: list[MongoDocument] = [{"$match": wanted}, {"$sort": {"created_at": -1}}, {"$limit": MOST_CALLS}, {"$group": group}]
    return [CallFigures(**row.pop("_id"), **row) for row in database[HISTORY].aggregate(steps)]


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


def orders_read(database: MongoDatabase) -> OrdersRead | None:
    """The sensor's last tick; None before the first."""
    return _recorded(database, ORDERS_READ, OrdersRead)


def waiting_orders(database: MongoDatabase) -> list[WaitingOrders]:
    """Orders that are recorded and that no run has started, by type."""
    wanted = {"type": {"$in": list(TaskType)}, "status": State.PENDING.value, "accepted_at": {"$exists": True}}
    group = {"_id": "$type", "orders": {"$sum": 1}, "oldest": {"$min": "$accepted_at"}}
    rows = database[TASKS].aggregate([{"$match": wanted}, {"$group": group}])
    return [WaitingOrders(task_type=row.pop("_id"), **row) for row in rows]


def first_call_seconds(database: MongoDatabase) -> dict[str, float]:
    """From the order to the first call, by quantile, of the worlds that changed last and were ordered within ``STARTED_WITHIN``."""
    ordered = {"_id": {"$in": last_changed(database)}, "created_at": {"$gt": datetime.now(UTC) - STARTED_WITHIN}}
    seconds = []
    for world in database[STATUS].find(ordered, {"created_at": 1}):
        oldest = database[HISTORY].find({"world_id": world["_id"]}, {"_id": 0, "created_at": 1}).sort("created_at", 1).limit(1)
        seconds += [max(0.0, (call["created_at"] - world["created_at"]).total_seconds()) for call in oldest]
    return quantiles(seconds)


def suspended_worlds(database: MongoDatabase) -> Counter[str]:
    """Unfinished worlds that are suspended, by reason; the known reasons are there with 0, too."""
    counts = Counter({reason.value: 0 for reason in SuspendReason})
    suspended = {"status": UNFINISHED, "parked.kind": {"$type": "string"}}
    for row in database[STATUS].aggregate([{"$match": suspended}, {"$group": {"_id": "$parked.kind", "worlds": {"$sum": 1}}}]):
        counts[row["_id"] if row["_id"] in counts else OTHERS] += row["worlds"]
    return counts


def owned_worlds(database: MongoDatabase) -> int:
    """Worlds whose lease a run holds now."""
    owned = {"status": State.IN_PROGRESS.value, "owner.expires_at": {"$gt": datetime.now(UTC)}}
    return database[STATUS].count_documents({**owned, "owner.run_id": {"$type": "string"}})


def worker_runs(database: MongoDatabase) -> Counter[str]:
    """Runs that processes of Celery workers execute now, by the worker's host (fleet/run_leases.py)."""
    alive = {"_id": {"$regex": "^run:"}, "expires_at": {"$gt": datetime.now(UTC)}}
    return Counter(str(lease["worker"]).partition(":")[0] for lease in database[FLEET].find(alive, {"worker": 1}))


def idle_worlds(database: MongoDatabase) -> dict[str, datetime]:
    """Since when worlds in progress, not suspended, have not changed for ``IDLE_FROM``: the ``MOST_IDLE`` longest."""
    found = database[STATUS].aggregate(
        [
            {"$match": {**OURS, "status": State.IN_PROGRESS.value, "parked": None}},
            {"$set": {"since": {"$ifNull": ["$updated_at", None]}}},  # else the index of updated_at would be used, over all worlds
            {"$match": {"since": {"$lt": datetime.now(UTC) - IDLE_FROM}}},
            {"$sort": {"since": 1}},
            {"$limit": MOST_IDLE},
            {"$project": {"since": 1}},
        ]
    )
    return {str(world["_id"]): world["since"] for world in found}


def held_slots(database: MongoDatabase, shares: Mapping[str, SlotShares]) -> dict[tuple[str, str], int]:
    """These slots by API and world; under ``OTHERS`` what is beyond ``MOST_HOLDERS`` or of no world. ``shares``: by API."""
    found = dict[tuple[str, str], int]()
    runs = sorted({_run_of(holder) for held in shares.values() for holder in held.holders})
    owners = database[STATUS].find({"status": State.IN_PROGRESS.value, "owner.run_id": {"$in": runs}}, {"owner.run_id": 1})
    world_of = {world["owner"]["run_id"]: str(world["_id"]) for world in owners} if runs else {}
    for api, held in shares.items():
        by_world = Counter[str]()
        for holder in held.holders:
            by_world[world_of.get(_run_of(holder), OTHERS)] += holder.share
        shown = dict(Counter({world: slots for world, slots in by_world.items() if world != OTHERS}).most_common(MOST_HOLDERS))
        if rest := by_world.total() - sum(shown.values()):
            shown[OTHERS] = rest
        found |= {(api, world): slots for world, slots in shown.items()}
    return found


def _run_of(holder: Holder) -> str:
    return holder.id.partition(":")[0]


def dead_letter_counts(database: MongoDatabase) -> DeadLetterCounts:
    letters = _recorded(database, DEAD_LETTERS, DeadLetterFigures) or DeadLetterFigures()
    now = datetime.now(UTC)
    return DeadLetterCounts(
        total=letters.total,
        unresolved=sum(now - letter.at < UNRESOLVED_FOR for letter in letters.open),
        kept=database[KEPT_LETTERS].count_documents({}),
        held_partitions=database[UNREADABLE_BATCHES].count_documents({"expires_at": {"$gt": now}}),
    )


def check_figures(database: MongoDatabase) -> CheckFigures:
    return _recorded(database, CHECKS, CheckFigures) or CheckFigures()


def _recorded(database: MongoDatabase, name: str, model: type[ModelT]) -> ModelT | None:
    found: MongoDocument | None = database[FLEET].find_one({"_id": name})
    return None if found is None else model.model_validate(found)
