"""The critical path of a world: the chain of tasks, each waiting for the one before, that ended last; where its time went (R16).

Here: the chain of the present generation, found backwards from the task that ended last. A task's parent is the one that it waits
for: a post's image for its post, a person for the batch that names everyone they know. Not here: figures over all tasks
(statistics.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial

from generia_assets.asset_spec import Unit
from generia_assets.catalog import ASSETS, TaskType
from generia_assets.content.documents import FrozenModel
from generia_assets.content.keys import batch_key, character_index, post_batch_key
from generia_assets.content.seeding import world_seed
from generia_assets.content.shares import BATCH, Size
from generia_assets.content.social import ready_after
from generia_assets.durable.collections import GENERATIONS, HISTORY, TASKS
from generia_assets.durable.orders.workload import task_keys
from generia_assets.durable.status import State, WorldStatus
from generia_assets.queries.records import WITHOUT_TEXTS, TaskRecord, read_generations, read_requests, read_tasks
from resources.gateway.calls import Api
from resources.mongodb.connection import MongoDatabase, MongoDocument

Place = tuple[TaskType, str]
PARTS = ("before", "waiting", "model", "pictures", "platform", "rest")
"""What the time of a link goes to; each is a field of it."""


class Link(FrozenModel):
    """A task of the chain. Seconds; together they are ``seconds``, from the end of the link before it to its own.

    ``before`` it started, ``waiting`` of its calls for a slot, ``model``, ``pictures`` and ``platform`` calls in flight, and the
    ``rest``: our own work, and writing to MongoDB.
    """

    task_type: TaskType
    key: str
    ended_at: datetime
    attempts: int
    seconds: float
    before: float
    waiting: float
    model: float
    pictures: float
    platform: float
    rest: float


class CriticalPath(FrozenModel):
    """The chain, from ``began_at`` (the order, or the start of a later generation) to the end of what ended last."""

    began_at: datetime
    run_after: float
    """Seconds until the run started: Kafka, the sensor, Dagster's queue and start."""
    links: tuple[Link, ...]
    finishing: float
    """Seconds between the last task and the world's end: documents are written."""

    @property
    def seconds(self) -> float:
        return self.run_after + sum(link.seconds for link in self.links) + self.finishing

    def sums(self) -> Mapping[str, float]:
        return {part: sum(getattr(link, part) for link in self.links) for part in PARTS}


def _parents(seed: int, people: int, former: Size | None, task_type: TaskType, key: str) -> list[Place]:
    """The tasks that this task may wait for, the nearest first; the first one of this generation is its parent."""
    asset = task_type.asset
    if asset.unit is Unit.PEOPLE_BATCH and key.startswith("b") and key != batch_key(0):
        return [(task_type, batch_key((int(key[1:]) - 1) * BATCH))]
    if not asset.upstream:
        return []
    parent = ASSETS[asset.upstream[-1]]
    if parent.unit is Unit.PEOPLE_BATCH:
        index = character_index(key)
        named = ready_after(seed, people, index, former) if index < people else index // BATCH
        return [(parent.task_type, batch_key(named * BATCH)), (parent.task_type, key)]
    owner, _, batch = key.partition("-b")
    first = asset.unit is not Unit.POST_BATCH or int(batch) == 0
    earlier = [] if first else [(task_type, post_batch_key(owner, (int(batch) - 1) * BATCH))]
    return [*earlier, (parent.task_type, task_keys(parent.unit, key)[0])]


def critical_path(database: MongoDatabase, status: WorldStatus) -> CriticalPath | None:
    """The path of the world's present generation; None while nothing of it is finished."""
    generation = next(read_generations(database[GENERATIONS].find({"_id": status.generation})), None) if status.generation else None
    over: MongoDocument = {
        "world_id": status.world_id,
        "generation": status.generation,
        "status": {"$in": [State.COMPLETED.value, State.FAILED.value]},
    }
    last = next(read_tasks(database[TASKS].find(over, {"result": 0}).sort("updated_at", -1)), None)
    if generation is None or last is None:
        return None
    users = status.parameters.get("users_count")
    former = Size.of(0, 0, status.parameters.get("former_sizes") or ()).former
    seed = world_seed(status.world_id, status.parameters.get("seed"))
    parents = partial(_parents, seed, users if isinstance(users, int) else status.users_predicted, former)
    chain = [last]
    while (parent := _parent(database, over, parents(TaskType(chain[0].type), chain[0].key))) is not None:
        chain.insert(0, parent)
    first = database[GENERATIONS].count_documents({"world_id": status.world_id}) == 1
    began_at = status.created_at if first else generation.started_at
    calls = _calls(database, [task.id for task in chain])
    links, since = [], max(began_at, generation.started_at)
    for task in chain:
        links.append(_link(task, since, calls[task.id]))
        since = max(since, task.updated_at)
    end = status.finished_at
    return CriticalPath(
        began_at=began_at,
        run_after=_seconds(began_at, generation.started_at),
        links=tuple(links),
        finishing=_seconds(since, end) if end is not None else 0.0,
    )


def _parent(database: MongoDatabase, over: MongoDocument, parents: Iterable[Place]) -> TaskRecord | None:
    for task_type, key in parents:
        if found := next(read_tasks(database[TASKS].find({**over, "type": task_type.value, "key": key}, {"result": 0})), None):
            return found
    return None


_PART_OF = {Api.LLM.value: "model", Api.IMAGE.value: "pictures", Api.PLATFORM.value: "platform"}


def _calls(database: MongoDatabase, task_ids: list[str]) -> dict[str, dict[str, float]]:
    """What the calls of each task took, seconds."""
    found = {task_id: dict.fromkeys(("waiting", *_PART_OF.values()), 0.0) for task_id in task_ids}
    for call in read_requests(database[HISTORY].find({"task_id": {"$in": task_ids}}, WITHOUT_TEXTS)):
        if part := _PART_OF.get(call.api):
            found[call.task_id][part] += call.duration_ms / 1000
        found[call.task_id]["waiting"] += call.waited_ms / 1000
    return found


def _link(task: TaskRecord, since: datetime, calls: Mapping[str, float]) -> Link:
    started, ended = max(since, task.started_at or since), max(since, task.updated_at)
    return Link(
        task_type=TaskType(task.type),
        key=task.key,
        ended_at=task.updated_at,
        attempts=task.attempt_count,
        seconds=_seconds(since, ended),
        before=_seconds(since, started),
        **{part: round(seconds, 3) for part, seconds in calls.items()},
        rest=round(max(0.0, _seconds(started, ended) - sum(calls.values())), 3),
    )


def _seconds(since: datetime, until: datetime) -> float:
    return round(max(0.0, (until - since).total_seconds()), 3)
