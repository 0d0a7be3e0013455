"""The journal: durable tasks that read like ordinary calls.

Here: ``execute``, which claims a task, does it at most as often as its attempts allow, and commits its result, its follow-ups and
the status record's counters in one transaction; a task that is already completed returns its result without any call. What is
repeated after a death is the calls in the air (steps.py). Not here: what a task does (tasks/), and in which order (assets/).
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ParamSpec, Protocol, TypeVar

from pydantic import BaseModel
from pymongo import ReturnDocument, UpdateOne, WriteConcern

from generia_assets.catalog import TaskType
from generia_assets.content.text import plural
from generia_assets.durable.collections import STEPS, TASKS
from generia_assets.durable.events.events import LiveEvent
from generia_assets.durable.events.progress import StageTracker, counted
from generia_assets.durable.leases.commits import Change, Commits
from generia_assets.durable.retries import retry_on_outage
from generia_assets.durable.status import State
from generia_assets.durable.tasks.checkpoints import Checkpoints
from generia_assets.durable.tasks.task_slots import TaskSlots
from generia_assets.logging_setup import log_context
from generia_assets.tasks.clients import TaskClients
from generia_assets.tasks.task_definition import DurableTask, Level, TaskParameters, UnfitTaskError
from resources.gateway.api_gateway import ItemCalls
from resources.gateway.outcomes import CallError, FatalCallError, LeaseLostError, RequestFailedError, RequestRejectedError
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument

logger = logging.getLogger(__name__)

ParametersT = TypeVar("ParametersT", bound=TaskParameters)
ResultT = TypeVar("ResultT", bound=BaseModel)
Context = ParamSpec("Context")

_NAMESPACE = uuid.UUID("6f2b1c86-2f57-4a56-9c39-6d3f2f1f7a11")

MOST_REJECTED = 3
"""Tasks of a type whose requests the provider calls wrong before it is clear that no other of this type can do better."""

_PRIORITY = {task_type: place for place, task_type in enumerate(TaskType)}


def priority_by_type(task_type: TaskType, key: str) -> int:
    """The order of the task types is the order of the longest way still to go."""
    del key
    return _PRIORITY[task_type]


class TaskFailedError(RuntimeError):
    """A task used up its attempts. It is counted and named in the status record; what hangs on it is not made."""

    def __init__(self, task_type: TaskType, key: str, attempts: int, cause: str) -> None:
        super().__init__(f"{task_type} {key} failed after {plural(attempts, 'attempt')}: {cause}")
        self.task_type = task_type
        self.key = key


@dataclass(frozen=True)
class TaskSpec:
    """A task that is to be done: its type and its parameters."""

    task_type: TaskType
    parameters: TaskParameters


@dataclass(frozen=True)
class TaskContext:
    """A claimed task as its calls carry it. ``resumed``: an earlier run or attempt may have made some of them.

    ``item_calls``: of an item's task, over its attempts; None for a world's own task, which has no bound. ``priority``: lower goes
    first when calls of this process wait for slots.
    """

    task_id: str
    task_type: TaskType
    key: str
    resumed: bool
    item_calls: ItemCalls | None = None
    priority: int = 0


class TaskClientFactory(Protocol):
    """Makes the tools of one task."""

    def __call__(self, task: TaskContext, steps: Checkpoints) -> TaskClients:
        """Tools whose calls are recorded under this task, in its priority, remembered in these steps."""
        ...


@dataclass(frozen=True)
class _Claim:
    task_id: str
    attempts_used: int
    resumed: bool


def task_id_of(world_id: str, generation: str, task_type: TaskType, key: str) -> str:
    """The deterministic id of a task: the same work in the same generation is the same task, whoever does it."""
    return str(uuid.uuid5(_NAMESPACE, f"{world_id}/{generation}/{task_type}/{key}"))


class TaskRunner:
    """The journal of one world's generation for the run that owns the world."""

    def __init__(
        self,
        database: AsyncMongoDatabase,
        commits: Commits,
        generation: str,
        tools: TaskClientFactory,
        stages: StageTracker,
        *,
        adopted: Mapping[TaskType, str],
        task_concurrency: int,
        patience: float,
        planned: Mapping[TaskType, int] | None = None,
    ) -> None:
        """``planned``: how many tasks of each type there are to be; None where these are some items of a world that exists."""
        self._adopted = adopted
        self.generation = generation
        self._database = database
        self._tasks = database.get_collection(TASKS, write_concern=WriteConcern(w=1))  # a lost claim is only claimed again
        self._commits = commits
        self._tools = tools
        self._stages = stages
        self._room = TaskSlots(task_concurrency)
        self._patience = patience
        self._planned = planned or {}
        self._rejected: defaultdict[TaskType, set[str]] = defaultdict(set)
        self.priority_of: Callable[[TaskType, str], int] = priority_by_type
        """The priority of a task by its type and key (``TaskContext.priority``)."""

    async def execute(
        self,
        brings: Callable[[ResultT], Iterable[TaskSpec | LiveEvent]] | None,
        task: DurableTask[ParametersT, Context, ResultT],
        parameters: ParametersT,
        *context: Context.args,
        **named: Context.kwargs,
    ) -> ResultT:
        """Do the task, or return what was done. ``follow_ups`` names the tasks and events that its result brings: with its
        completion
        the tasks are listed and the events become durable.

        Raises ``TaskFailedError`` when its attempts are used up, ``UnfitTaskError`` after the first, and what stops a whole world
        as it is: exhausted budget or patience, a fatal call, a lost world.
        """
        async with self._room.place():
            with log_context(task=f"{task.task_type.value}:{parameters.key}"):
                claim = await self._claim(task, parameters)
                if not isinstance(claim, _Claim):
                    logger.debug("%s %s: was done before", task.task_type, parameters.key)
                    return claim
                logger.debug("%s %s: claimed%s", task.task_type, parameters.key, ", an earlier run began it" * claim.resumed)
                first = claim.attempts_used + 1
                item_calls = ItemCalls() if task.level is Level.ITEM else None
                for attempt in range(first, task.level.attempts + 1):
                    # Steps belong to their attempt, publications to the task, whichever of its attempts made them.
                    steps = Checkpoints(self._database, self._commits, claim.task_id, resumed=claim.resumed and attempt == first)
                    resumed, priority = claim.resumed or attempt > 1, self.priority_of(task.task_type, parameters.key)
                    in_hand = TaskContext(claim.task_id, task.task_type, parameters.key, resumed, item_calls, priority)
                    tools = self._tools(in_hand, steps)
                    try:
                        result = await task.function(parameters, tools, *context, **named)
                    except (RequestFailedError, UnfitTaskError) as error:
                        if isinstance(error, RequestRejectedError):
                            await self._stop_a_rejected_kind(task.task_type, parameters.key, error)
                        await self._attempt_failed(task, parameters, claim, steps, attempt, error)
                    else:
                        brought = () if brings is None else tuple(brings(result))
                        await self._complete(task.task_type, claim, steps, attempt, result, brought)
                        logger.info("%s %s: done, attempt %d of %d", task.task_type, parameters.key, attempt, task.level.attempts)
                        return result
        raise TaskFailedError(task.task_type, parameters.key, task.level.attempts, "its attempts were used up by earlier runs")

    async def result_of(self, task: DurableTask[ParametersT, Context, ResultT], parameters: ParametersT) -> ResultT | None:
        """What the task has made in this generation; None where it is not done. Nothing is claimed or counted."""
        done = {"_id": self._id(task.task_type, parameters), "status": State.COMPLETED.value}
        found = await retry_on_outage(lambda: self._database[TASKS].find_one(done, {"result": 1}), patience_seconds=self._patience)
        return None if found is None else task.result.model_validate(found["result"])

    def schedule(self, specs: Sequence[TaskSpec]) -> Change:
        """The change that lists tasks as pending; what is listed already stays as it is."""
        return Change(enlist=[self._pending(spec.task_type, spec.parameters) for spec in specs])

    def _pending(self, task_type: TaskType, parameters: TaskParameters) -> UpdateOne:
        now = datetime.now(UTC)
        document: MongoDocument = {
            "type": task_type.value,
            "world_id": self._commits.fence.world_id,
            "status": State.PENDING.value,
            "worker_id": None,
            "parameters": parameters.model_dump(mode="json"),
            "result": None,
            "created_at": now,
            "updated_at": now,
            "attempt_count": 0,
            "error": None,
            "generation": self.generation,
            "key": parameters.key,
            "epoch": 0,
        }
        return UpdateOne({"_id": self._id(task_type, parameters)}, {"$setOnInsert": document}, upsert=True)

    def _id(self, task_type: TaskType, parameters: TaskParameters) -> str:
        return self._adopted.get(task_type) or task_id_of(self._commits.fence.world_id, self.generation, task_type, parameters.key)

    async def _claim(self, task: DurableTask[ParametersT, Context, ResultT], parameters: ParametersT) -> _Claim | ResultT:
        """Atomically take the task; or its result, if it is completed. A former owner's claim (lower epoch) is taken over."""
        fence = self._commits.fence
        task_id = self._id(task.task_type, parameters)
        claimable: MongoDocument = {
            "_id": task_id,
            "$or": [
                {"status": State.PENDING.value},
                {"status": State.IN_PROGRESS.value, "epoch": {"$lt": fence.epoch}},
            ],
        }
        claim: MongoDocument = {
            "$set": {
                "status": State.IN_PROGRESS.value,
                "worker_id": fence.run_id,
                "epoch": fence.epoch,
                "started_at": datetime.now(UTC),
                "updated_at": datetime.now(UTC),
            }
        }
        while True:
            before = await retry_on_outage(
                lambda: self._tasks.find_one_and_update(
                    claimable, claim, projection={"status": 1, "attempt_count": 1}, return_document=ReturnDocument.BEFORE
                ),
                patience_seconds=self._patience,
            )
            if before is not None:
                if started := self._stages.started(task.task_type):
                    self._commits.enqueue(Change(values=started, events=self._stages.news()))
                return _Claim(task_id, before["attempt_count"], resumed=before["status"] == State.IN_PROGRESS.value)
            found = await retry_on_outage(lambda: self._database[TASKS].find_one({"_id": task_id}), patience_seconds=self._patience)
            if found is None:
                await self._commits.commit(self.schedule([TaskSpec(task.task_type, parameters)]))
                continue
            if found["status"] == State.COMPLETED.value:
                ended = self._stages.task_ended(task.task_type)
                self._commits.enqueue(Change(values=ended, events=self._stages.news()))
                return task.result.model_validate(found["result"])
            if found["status"] == State.FAILED.value:
                given_up = self._given_up(task)
                self._commits.enqueue(Change(values=given_up, events=self._stages.news()))
                error = found["error"] or ""
                if found["attempt_count"] < task.level.attempts:  # given up before its last attempt: another one could not help
                    raise UnfitTaskError(error)
                raise TaskFailedError(task.task_type, parameters.key, found["attempt_count"], error)
            if found["worker_id"] == fence.run_id and found["epoch"] == fence.epoch:  # our claim, its answer lost in an outage
                return _Claim(task_id, found["attempt_count"], resumed=True)
            raise LeaseLostError(f"task {task_id} is held by run {found['worker_id']}, a later owner of world {fence.world_id}")

    async def _complete(
        self,
        task_type: TaskType,
        claim: _Claim,
        steps: Checkpoints,
        attempt: int,
        result: BaseModel,
        brought: Sequence[TaskSpec | LiveEvent],
    ) -> None:
        increments, minima = counted(task_type)
        forget, ended = steps.forget(), self._stages.task_ended(task_type)
        told = [event for event in brought if isinstance(event, LiveEvent)]
        stored = {
            "status": State.COMPLETED.value,
            "result": result.model_dump(mode="json"),
            "attempt_count": attempt,
            "error": None,
        }
        await self._commits.commit(
            Change(
                transitions=[self._transition(claim, stored)],
                enlist=[self._pending(spec.task_type, spec.parameters) for spec in brought if isinstance(spec, TaskSpec)],
                records={STEPS: forget} if forget else {},
                increments=increments,
                minima=minima,
                values=ended,
                events=[*told, *self._stages.news()],
                releases=claim.task_id,
            )
        )

    async def _stop_a_rejected_kind(self, task_type: TaskType, key: str, error: RequestRejectedError) -> None:
        """One rejected request is its task's failure. Where all tasks of a type are rejected, or the first ``MOST_REJECTED`` and
        none was ever done, it is not the items: raise ``FatalCallError``, which stops the world before all of them are tried.
        """
        rejected = self._rejected[task_type]
        rejected.add(key)
        if len(rejected) < min(MOST_REJECTED, self._planned.get(task_type, MOST_REJECTED)):
            return
        done = {"world_id": self._commits.fence.world_id, "generation": self.generation, "type": task_type.value}
        done["status"] = State.COMPLETED.value
        if await retry_on_outage(lambda: self._database[TASKS].find_one(done, {"_id": 1}), patience_seconds=self._patience) is None:
            raise FatalCallError(
                f"{task_type}: all requests of this kind were rejected ({len(rejected)} so far): {error}"
            ) from error

    async def _attempt_failed(
        self,
        task: DurableTask[ParametersT, Context, ResultT],
        parameters: ParametersT,
        claim: _Claim,
        steps: Checkpoints,
        attempt: int,
        error: CallError | UnfitTaskError,
    ) -> None:
        """Count the attempt. After the last one, or where another cannot help, fail the task for good and raise."""
        logger.warning("%s %s: attempt %d of %d failed: %s", task.task_type, parameters.key, attempt, task.level.attempts, error)
        reason, forget = str(error)[:2000], steps.forget()
        records = {STEPS: forget} if forget else {}
        values: MongoDocument = {"attempt_count": attempt, "error": reason}
        if attempt < task.level.attempts and not isinstance(error, UnfitTaskError):
            moved = [self._transition(claim, values)]
            await self._commits.commit(Change(transitions=moved, records=records, releases=claim.task_id))
            return
        failure = {"task_id": claim.task_id, "type": task.task_type.value, "key": parameters.key, "error": reason}
        given_up = self._given_up(task)
        await self._commits.commit(
            Change(
                transitions=[self._transition(claim, {**values, "status": State.FAILED.value})],
                records=records,
                increments={"tasks_failed": 1},
                values=given_up,
                failures=[failure],
                events=self._stages.news(),
                releases=claim.task_id,
            )
        )
        raise error if isinstance(error, UnfitTaskError) else TaskFailedError(task.task_type, parameters.key, attempt, reason)

    def _given_up(self, task: DurableTask[ParametersT, Context, ResultT]) -> dict[str, object]:
        """How the stages move when a task has failed for good: a world's own task fails the world in its stage."""
        return self._stages.task_ended(task.task_type) if task.level is Level.ITEM else {}

    def _transition(self, claim: _Claim, values: MongoDocument) -> UpdateOne:
        fence = self._commits.fence
        held = {"_id": claim.task_id, "status": State.IN_PROGRESS.value, "worker_id": fence.run_id, "epoch": fence.epoch}
        return UpdateOne(held, {"$set": {**values, "updated_at": datetime.now(UTC)}})
