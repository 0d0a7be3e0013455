"""The runner of durable tasks, which read like ordinary calls.

Here: ``execute``, which claims a task, does it at most as often as its attempts allow, and commits its result, its follow-ups and
the status record's counters in one transaction; a task that is already completed returns its result without any call. After a death
only the calls in flight are repeated (calls/task_calls.py). Not here: what a task does (tasks/), and in which order (assets/).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

from pydantic import BaseModel
from pymongo import UpdateOne, WriteConcern

from generia_assets.catalog import TaskType
from generia_assets.content.text import plural
from generia_assets.durable.calls.task_calls import Checkpoints, TaskContext
from generia_assets.durable.collections import TASKS
from generia_assets.durable.events.events import LiveEvent
from generia_assets.durable.events.progress import StageTracker, counted
from generia_assets.durable.leases.commits import Change, Commits
from generia_assets.durable.orders.records import new_task
from generia_assets.durable.status import State
from generia_assets.logging_setup import log_context
from generia_assets.tasks.clients import TaskClients
from generia_assets.tasks.task_definition import DurableTask, Level, TaskParameters, UnfitTaskError
from resources.gateway.calls import ItemCalls
from resources.gateway.outcomes import CallError, FatalCallError, LeaseLostError, RequestFailedError, RequestRejectedError
from resources.gemini.tiers import CallTier
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
    """A task used up its attempts. It is counted and named in the status record; what depends on it is not made."""

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
class _Claim:
    task_id: str
    attempts_used: int
    resumed: bool


class TaskSlot:
    """One task's slot among those that one process works on at once (R17), held while the task is done inside."""

    _present: ContextVar[TaskSlot] = ContextVar("slot of the present task")

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots = slots
        self._held = False

    async def __aenter__(self) -> None:
        self._present.set(self)
        await self._acquire()

    async def __aexit__(self, *_: object) -> None:
        self._release()

    async def _acquire(self) -> None:
        await self._slots.acquire()
        self._held = True

    def _release(self) -> None:
        if self._held:
            self._held = False
            self._slots.release()

    @classmethod
    async def wait_without(cls, wait: Callable[[], Awaitable[None]]) -> None:
        """Called by a task: wait for this without its slot. Raises what ``wait`` raises; then the task must end."""
        slot = cls._present.get()
        slot._release()
        await wait()
        await slot._acquire()


def task_id_of(world_id: str, generation: str, task_type: TaskType, key: str) -> str:
    """The deterministic id of a task: the same work in the same generation is the same task, whichever run does it."""
    return str(uuid.uuid5(_NAMESPACE, f"{world_id}/{generation}/{task_type}/{key}"))


class TaskRunner:
    """Executes the tasks of one world's generation for the run that owns the world.

    Attributes:
        generation: The generation's id.
        priority_of: The priority of a task by its type and key (``TaskContext.priority``).
    """

    def __init__(
        self,
        database: AsyncMongoDatabase,
        commits: Commits,
        generation: str,
        clients: Callable[[TaskContext, Checkpoints], TaskClients],
        stages: StageTracker,
        *,
        adopted: Mapping[TaskType, str],
        task_concurrency: int,
        planned: Mapping[TaskType, int] | None = None,
        tier_of: Callable[[TaskType, str], CallTier] = lambda task_type, key: CallTier.STANDARD,
    ) -> None:
        """``clients`` makes a task's clients, whose calls are recorded under the task and in its checkpoints.

        ``adopted``: tasks that existed before the generation, by type. ``task_concurrency``: tasks at once in this process.
        ``planned``: how many tasks of each type there will be; None where these are some items of a world that exists.
        ``tier_of``: the service tier of a task's calls, by its type and key.
        """
        self._adopted = adopted
        self.generation = generation
        self._database = database
        self._tasks = database.get_collection(TASKS, write_concern=WriteConcern(w=1))  # a lost claim is only claimed again
        self._commits = commits
        self._clients = clients
        self._stages = stages
        self._slots = asyncio.Semaphore(task_concurrency)
        self._planned = planned or {}
        self._tier_of = tier_of
        self._rejected: defaultdict[TaskType, set[str]] = defaultdict(set)
        self.priority_of: Callable[[TaskType, str], int] = priority_by_type

    async def execute(
        self,
        follow_ups: Callable[[ResultT], Iterable[TaskSpec | LiveEvent]] | None,
        task: DurableTask[ParametersT, Context, ResultT],
        parameters: ParametersT,
        *context: Context.args,
        **named: Context.kwargs,
    ) -> ResultT:
        """Do the task, or return what was done before.

        Args:
            follow_ups: Names the tasks and events that follow from the result: with the task's completion, in one transaction, the
                tasks are listed as pending and the events become durable. None: nothing follows.
            task: The task's definition.
            parameters: What is stored with the task.
            *context: What the task is given and is not stored.
            **named: The same, by name.

        Returns:
            The task's result, made now or by an earlier run.

        Raises:
            TaskFailedError: The task's attempts are used up.
            UnfitTaskError: What the task was given can never become a result; raised after the first attempt.
            BudgetExhaustedError, OutageTimeoutError, FatalCallError, LeaseLostError: What stops the whole world, as it is.
        """
        async with TaskSlot(self._slots):
            with log_context(task=f"{task.task_type.value}:{parameters.key}"):
                claim = await self._claim(task, parameters)
                if not isinstance(claim, _Claim):
                    logger.debug("%s %s: was done before", task.task_type, parameters.key)
                    return claim
                logger.debug("%s %s: claimed%s", task.task_type, parameters.key, ", an earlier run began it" * claim.resumed)
                first = claim.attempts_used + 1
                item_calls = ItemCalls() if task.level is Level.ITEM else None
                recorded = claim.resumed
                for attempt in range(first, task.level.attempts + 1):
                    # Publications belong to the task, whichever of its attempts made them; checkpoints to their attempt, unless it
                    # was the platform that failed it.
                    checkpoints = Checkpoints(self._database, self._commits, claim.task_id, resumed=recorded)
                    resumed, priority = claim.resumed or attempt > 1, self.priority_of(task.task_type, parameters.key)
                    tier = self._tier_of(task.task_type, parameters.key)
                    present = TaskContext(claim.task_id, task.task_type, parameters.key, resumed, item_calls, priority, tier)
                    try:
                        result = await task.function(parameters, self._clients(present, checkpoints), *context, **named)
                    except (RequestFailedError, UnfitTaskError) as error:
                        if isinstance(error, RequestRejectedError):
                            await self._stop_a_rejected_type(task.task_type, parameters.key, error)
                        await self._attempt_failed(task, parameters, claim, checkpoints, attempt, error)
                        recorded = checkpoints.outlive_attempt
                    else:
                        follows = () if follow_ups is None else tuple(follow_ups(result))
                        await self._complete(task.task_type, claim, checkpoints, attempt, result, follows)
                        logger.info("%s %s: done, attempt %d of %d", task.task_type, parameters.key, attempt, task.level.attempts)
                        return result
        raise TaskFailedError(task.task_type, parameters.key, task.level.attempts, "its attempts were used up by earlier runs")

    async def result_of(self, task: DurableTask[ParametersT, Context, ResultT], parameters: ParametersT) -> ResultT | None:
        """The result of the task in this generation; None where it is not done. Nothing is claimed or counted."""
        done = {"_id": self._id(task.task_type, parameters), "status": State.COMPLETED.value}
        found = await self._commits.retry(lambda: self._database[TASKS].find_one(done, {"result": 1}))
        return None if found is None else task.result.model_validate(found["result"])

    def _pending(self, task_type: TaskType, parameters: TaskParameters) -> UpdateOne:
        """Lists the task as pending; one that is listed already stays as it is."""
        document = new_task(task_type, self._commits.token.world_id, parameters.model_dump(mode="json"))
        document |= {"generation": self.generation, "key": parameters.key, "epoch": 0}
        return UpdateOne({"_id": self._id(task_type, parameters)}, {"$setOnInsert": document}, upsert=True)

    def _id(self, task_type: TaskType, parameters: TaskParameters) -> str:
        return self._adopted.get(task_type) or task_id_of(self._commits.token.world_id, self.generation, task_type, parameters.key)

    async def _claim(self, task: DurableTask[ParametersT, Context, ResultT], parameters: ParametersT) -> _Claim | ResultT:
        """Atomically take the task; or its result, if it is completed. A former owner's claim (lower epoch) is replaced."""
        token = self._commits.token
        task_id = self._id(task.task_type, parameters)
        former = {"status": State.IN_PROGRESS.value, "epoch": {"$lt": token.epoch}}
        claimable: MongoDocument = {"_id": task_id, "$or": [{"status": State.PENDING.value}, former]}
        now, taken = datetime.now(UTC), {"status": State.IN_PROGRESS.value, "worker_id": token.run_id, "epoch": token.epoch}
        claim = {"$set": {**taken, "started_at": now, "updated_at": now}}
        while True:
            before = await self._commits.retry(
                lambda: self._tasks.find_one_and_update(claimable, claim, projection={"status": 1, "attempt_count": 1})
            )
            if before is not None:
                if started := self._stages.started(task.task_type):
                    self._enqueue(started)
                return _Claim(task_id, before["attempt_count"], resumed=before["status"] == State.IN_PROGRESS.value)
            found = await self._commits.retry(lambda: self._database[TASKS].find_one({"_id": task_id}))
            if found is None:
                await self._commits.commit(Change(enlist=[self._pending(task.task_type, parameters)]))
                continue
            if found["status"] == State.COMPLETED.value:
                self._enqueue(self._stages.task_ended(task.task_type))
                return task.result.model_validate(found["result"])
            if found["status"] == State.FAILED.value:
                self._enqueue(self._given_up(task))
                error = found["error"] or ""
                if found["attempt_count"] < task.level.attempts:  # given up before its last attempt: another one could not help
                    raise UnfitTaskError(error)
                raise TaskFailedError(task.task_type, parameters.key, found["attempt_count"], error)
            if found["worker_id"] == token.run_id and found["epoch"] == token.epoch:  # our claim, its answer lost in an outage
                return _Claim(task_id, found["attempt_count"], resumed=True)
            raise LeaseLostError(f"task {task_id} is held by run {found['worker_id']}, a later owner of world {token.world_id}")

    def _enqueue(self, stages: dict[str, object]) -> None:
        """Write where the stages stand now, with their events, with the next transaction."""
        self._commits.enqueue(Change(values=stages, events=self._stages.news()))

    async def _complete(
        self,
        task_type: TaskType,
        claim: _Claim,
        checkpoints: Checkpoints,
        attempt: int,
        result: BaseModel,
        follows: Iterable[TaskSpec | LiveEvent],
    ) -> None:
        increments, minima = counted(task_type)
        ended = self._stages.task_ended(task_type)
        done = {"status": State.COMPLETED.value, "result": result.model_dump(mode="json"), "attempt_count": attempt, "error": None}
        await self._commits.commit(
            Change(
                transitions=[self._transition(claim, done)],
                enlist=[self._pending(spec.task_type, spec.parameters) for spec in follows if isinstance(spec, TaskSpec)],
                records=checkpoints.forget(),
                increments=increments,
                minima=minima,
                values=ended,
                events=[*(event for event in follows if isinstance(event, LiveEvent)), *self._stages.news()],
                releases=claim.task_id,
            )
        )

    async def _stop_a_rejected_type(self, task_type: TaskType, key: str, error: RequestRejectedError) -> None:
        """One rejected request is its task's failure. Where all tasks of a type are rejected, or the first ``MOST_REJECTED`` and
        none was ever done, it is not the items: raise ``FatalCallError``, which stops the world before all of them are tried.
        """
        rejected = self._rejected[task_type]
        rejected.add(key)
        if len(rejected) < min(MOST_REJECTED, self._planned.get(task_type, MOST_REJECTED)):
            return
        done = {"world_id": self._commits.token.world_id, "generation": self.generation, "type": task_type.value}
        done["status"] = State.COMPLETED.value
        if await self._commits.retry(lambda: self._database[TASKS].find_one(done, {"_id": 1})) is None:
            raise FatalCallError(
                f"{task_type}: all requests of this kind were rejected ({len(rejected)} so far): {error}"
            ) from error

    async def _attempt_failed(
        self,
        task: DurableTask[ParametersT, Context, ResultT],
        parameters: ParametersT,
        claim: _Claim,
        checkpoints: Checkpoints,
        attempt: int,
        error: CallError | UnfitTaskError,
    ) -> None:
        """Count the attempt. After the last one, or where another cannot help, fail the task for good and raise."""
        logger.warning("%s %s: attempt %d of %d failed: %s", task.task_type, parameters.key, attempt, task.level.attempts, error)
        reason = str(error)[:2000]
        values: MongoDocument = {"attempt_count": attempt, "error": reason}
        if attempt < task.level.attempts and not isinstance(error, UnfitTaskError):
            moved = [self._transition(claim, values)]
            records = checkpoints.unwritten() if checkpoints.outlive_attempt else checkpoints.forget()
            await self._commits.commit(Change(transitions=moved, records=records, releases=claim.task_id))
            return
        failure = {"task_id": claim.task_id, "type": task.task_type.value, "key": parameters.key, "error": reason}
        given_up = self._given_up(task)
        await self._commits.commit(
            Change(
                transitions=[self._transition(claim, {**values, "status": State.FAILED.value})],
                records=checkpoints.forget(),
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
        token = self._commits.token
        held = {"_id": claim.task_id, "status": State.IN_PROGRESS.value, "worker_id": token.run_id, "epoch": token.epoch}
        return UpdateOne(held, {"$set": {**values, "updated_at": datetime.now(UTC)}})
