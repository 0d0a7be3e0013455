"""The tasks of one generation in the collection ``tasks``: which exist, and the operations that list, claim and move them."""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from pymongo import UpdateOne

from generia_assets.catalog import TaskType
from generia_assets.durable.collections import TASKS
from generia_assets.durable.leases.changes import Change
from generia_assets.durable.leases.commits import Commits
from generia_assets.durable.orders.records import new_task
from generia_assets.durable.status import State
from generia_assets.durable.tasks.generations import Generation
from generia_assets.tasks.task_definition import TaskParameters
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument
from resources.tracing import Span

_NAMESPACE = uuid.UUID("6f2b1c86-2f57-4a56-9c39-6d3f2f1f7a11")


@dataclass(frozen=True)
class TaskSpec:
    """A task that is to be done: its type and its parameters."""

    task_type: TaskType
    parameters: TaskParameters


@dataclass(frozen=True)
class Claim:
    """A claimed task."""

    task_id: str
    attempts_used: int
    resumed: bool

    def span(self, world_id: str, task_type: TaskType, key: str) -> Span:
        task = {"generia.task.id": self.task_id, "generia.task.type": task_type.value, "generia.task.key": key}
        return Span(task_type.value, {"generia.world.id": world_id, **task, "generia.task.resumed": self.resumed})


@lru_cache(maxsize=1_000)
def task_id_of(world_id: str, generation: str, task_type: TaskType, key: str) -> str:
    """The deterministic id of a task: the same work in the same generation is the same task, whichever run does it."""
    return str(uuid.uuid5(_NAMESPACE, f"{world_id}/{generation}/{task_type}/{key}"))


class GenerationTasks:
    """The tasks of one generation for the run that owns the world. Of a new one no others exist but what this run lists."""

    def __init__(self, database: AsyncMongoDatabase, commits: Commits, generation: Generation) -> None:
        self._database = database
        self._commits = commits
        self._generation = generation
        self._listed: set[str] = set()
        """Tasks that this run has listed and not claimed."""
        self._claimed: set[str] = set()
        self._unwritten: dict[str, asyncio.Future[bool]] = {}
        """The last change of each task that is not durable yet."""

    def id_of(self, spec: TaskSpec) -> str:
        world_id, key = self._commits.token.world_id, spec.parameters.key
        return self._generation.adopted.get(spec.task_type) or task_id_of(world_id, self._generation.id, spec.task_type, key)

    def is_claimed(self, task_id: str) -> bool:
        return task_id in self._claimed

    async def find(self, spec: TaskSpec) -> MongoDocument | None:
        """The task's document, with what this run has changed; None where there is none. What cannot exist is not looked for."""
        task_id = self.id_of(spec)
        is_new = not self._generation.continued and spec.task_type not in self._generation.adopted
        if is_new and task_id not in self._claimed:
            return None
        await self.durable(task_id)
        return await self._commits.retry(lambda: self._database[TASKS].find_one({"_id": task_id}))

    async def any_completed(self, task_type: TaskType) -> bool:
        await self._commits.flush()
        wanted: MongoDocument = {"world_id": self._commits.token.world_id, "generation": self._generation.id}
        wanted |= {"type": task_type.value, "status": State.COMPLETED.value}
        return await self._commits.retry(lambda: self._database[TASKS].find_one(wanted, {"_id": 1})) is not None

    def listing(self, spec: TaskSpec) -> UpdateOne:
        """Lists the task as pending; one that is listed already stays as it is."""
        document = new_task(spec.task_type, self._commits.token.world_id, spec.parameters.model_dump(mode="json"))
        document |= {"generation": self._generation.id, "key": spec.parameters.key, "epoch": 0}
        task_id = self.id_of(spec)
        self._listed.add(task_id)
        return UpdateOne({"_id": task_id}, {"$setOnInsert": document}, upsert=True)

    def claiming(self, spec: TaskSpec, *, exists: bool) -> tuple[list[UpdateOne], UpdateOne]:
        """What lists the task, unless it ``exists`` or this run has listed it; and what claims it, also from a former owner."""
        task_id, token, now = self.id_of(spec), self._commits.token, datetime.now(UTC)
        listing = [] if exists or task_id in self._listed else [self.listing(spec)]
        self._listed.discard(task_id)
        self._claimed.add(task_id)
        former = {"status": State.IN_PROGRESS.value, "epoch": {"$lt": token.epoch}}
        taken = {"status": State.IN_PROGRESS.value, "worker_id": token.run_id, "epoch": token.epoch}
        claimable: MongoDocument = {"_id": task_id, "$or": [{"status": State.PENDING.value}, former]}
        return listing, UpdateOne(claimable, {"$set": {**taken, "started_at": now, "updated_at": now}})

    def enqueue(self, task_id: str, change: Change) -> None:
        def written(future: asyncio.Future[bool]) -> None:
            if self._unwritten.get(task_id) is future:
                del self._unwritten[task_id]

        self._unwritten[task_id] = self._commits.enqueue(change)
        self._unwritten[task_id].add_done_callback(written)

    async def durable(self, task_id: str) -> None:
        """Return when the last change of this task, and all that was enqueued before it, is durable."""
        if (future := self._unwritten.get(task_id)) is not None:
            await self._commits.written(future)

    def moving(self, task_id: str, values: MongoDocument) -> UpdateOne:
        token = self._commits.token
        held = {"_id": task_id, "status": State.IN_PROGRESS.value, "worker_id": token.run_id, "epoch": token.epoch}
        return UpdateOne(held, {"$set": {**values, "updated_at": datetime.now(UTC)}})
