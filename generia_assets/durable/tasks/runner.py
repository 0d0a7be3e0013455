"""The runner of durable tasks, which read like ordinary calls.

A task is done at most as often as its attempts allow; its result, its follow-ups and the status record's counters are one
transaction. After a death only the calls in flight are repeated (calls/task_calls.py). Claims and completions are enqueued
(leases/commits.py) and nobody waits for them: the reservation of the next call comes after them in the queue, and no call is sent
before it is durable.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from functools import partial

from pydantic import BaseModel

from generia_assets.catalog import TaskType
from generia_assets.content.text import plural
from generia_assets.durable.calls.task_calls import Checkpoints, TaskContext
from generia_assets.durable.events.events import LiveEvent
from generia_assets.durable.events.progress import StageTracker, counted
from generia_assets.durable.leases.changes import Change
from generia_assets.durable.leases.commits import Commits
from generia_assets.durable.status import State
from generia_assets.durable.tasks.claims import Claim, GenerationTasks, TaskSpec
from generia_assets.durable.tasks.generations import Generation
from generia_assets.logging_setup import log_context
from generia_assets.tasks.clients import TaskClients
from generia_assets.tasks.task_definition import Context, DurableTask, ParametersT, ResultT, UnfitTaskError
from resources.gateway.calls import ItemCalls
from resources.gateway.outcomes import CallError, FatalCallError, RequestFailedError, RequestRejectedError
from resources.gemini.tiers import CallTier
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument

logger = logging.getLogger(__name__)

MOST_REJECTED = 3
"""Tasks of a type whose requests the provider calls wrong before it is clear that no other of this type can do better."""

_PRIORITY = {task_type: place for place, task_type in enumerate(TaskType)}
"""The order of the task types is the order of the longest way still to go."""


class TaskFailedError(RuntimeError):
    """A task used up its attempts. It is counted and named in the status record; what depends on it is not made."""

    def __init__(self, task_type: TaskType, key: str, attempts: int, cause: str) -> None:
        super().__init__(f"{task_type} {key} failed after {plural(attempts, 'attempt')}: {cause}")


_SLOT: ContextVar[tuple[AsyncExitStack, asyncio.Semaphore]] = ContextVar("slot of the present task")


@asynccontextmanager
async def task_slot(slots: asyncio.Semaphore) -> AsyncIterator[None]:
    """One task's slot among those that one process works on at once (R17), held while the task is done inside."""
    async with AsyncExitStack() as held:
        await held.enter_async_context(slots)
        _SLOT.set((held, slots))
        yield


async def wait_without_slot(wait: Callable[[], Awaitable[None]]) -> None:
    """Called by a task: wait for this without its slot. Raises what ``wait`` raises; then the task must end."""
    held, slots = _SLOT.get()
    await held.aclose()
    await wait()
    await held.enter_async_context(slots)


class TaskRunner:
    """Executes the tasks of one world's generation for the run that owns the world.

    Attributes:
        priority_of: The priority of a task by its type and key (``TaskContext.priority``).
    """

    def __init__(
        self,
        database: AsyncMongoDatabase,
        commits: Commits,
        generation: Generation,
        clients: Callable[[TaskContext, Checkpoints], TaskClients],
        stages: StageTracker,
        *,
        task_concurrency: int,
        tier_of: Callable[[TaskType, str], CallTier] = lambda task_type, key: CallTier.STANDARD,
    ) -> None:
        """``task_concurrency``: tasks at once in this process. ``tier_of``: the tier of a task's calls, by its type and key."""
        self._database = database
        self._tasks = GenerationTasks(database, commits, generation)
        self._commits = commits
        self._clients = clients
        self._stages = stages
        self._slots = asyncio.Semaphore(task_concurrency)
        self._planned = {} if generation.keys else generation.tasks  # with keys: some items of a world that exists
        self._tier_of = tier_of
        self._rejected: defaultdict[TaskType, set[str]] = defaultdict(set)
        self.priority_of: Callable[[TaskType, str], int] = lambda task_type, key: _PRIORITY[task_type]

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
            *context: What the task is given and is not stored; ``named`` likewise.

        Returns:
            The task's result, made now or by an earlier run. What made it so is durable when a later change is.

        Raises:
            TaskFailedError: The task's attempts are used up.
            UnfitTaskError: What the task was given can never become a result; raised after the first attempt.
            BudgetExhaustedError, OutageTimeoutError, FatalCallError, LeaseLostError: What stops the whole world, as it is.
        """
        async with task_slot(self._slots):
            with log_context(task=f"{task.task_type.value}:{parameters.key}"):
                claim = await self._claim(task, parameters)
                if not isinstance(claim, Claim):
                    logger.debug("%s %s: was done before", task.task_type, parameters.key)
                    return claim
                logger.debug("%s %s: claimed%s", task.task_type, parameters.key, ", an earlier run began it" * claim.resumed)
                most = task.attempts
                with claim.span(self._commits.token.world_id, task.task_type, parameters.key) as span:
                    item_calls = ItemCalls() if task.of_item else None
                    recorded = claim.resumed
                    for attempt in range(claim.attempts_used + 1, most + 1):
                        # Publications belong to the task, whichever of its attempts made them; checkpoints to their attempt,
                        # unless it was the platform that failed it.
                        checkpoints = Checkpoints(self._database, self._commits, claim.task_id, resumed=recorded)
                        span.set({"generia.task.attempt": attempt})
                        resumed, priority = claim.resumed or attempt > 1, self.priority_of(task.task_type, parameters.key)
                        tier, claimed = self._tier_of(task.task_type, parameters.key), partial(self._tasks.durable, claim.task_id)
                        present = TaskContext(
                            claim.task_id, task.task_type, parameters.key, resumed, item_calls, priority, tier, claimed
                        )
                        with checkpoints.attempt():
                            try:
                                result = await task.function(parameters, self._clients(present, checkpoints), *context, **named)
                            except (RequestFailedError, UnfitTaskError) as error:
                                if isinstance(error, RequestRejectedError):
                                    await self._stop_a_rejected_type(task.task_type, parameters.key, error)
                                await self._attempt_failed(task, parameters, claim, checkpoints, attempt, error)
                                recorded = checkpoints.outlive_attempt
                            else:
                                follows = () if follow_ups is None else tuple(follow_ups(result))
                                self._complete(task.task_type, claim, attempt, result, follows)
                                logger.info("%s %s: done, attempt %d of %d", task.task_type, parameters.key, attempt, most)
                                return result
        raise TaskFailedError(task.task_type, parameters.key, most, "its attempts were used up by earlier runs")

    async def result_of(self, task: DurableTask[ParametersT, Context, ResultT], parameters: ParametersT) -> ResultT | None:
        """The result of the task in this generation; None where it is not done. Nothing is claimed or counted."""
        found = await self._tasks.find(TaskSpec(task.task_type, parameters))
        done = found is not None and found["status"] == State.COMPLETED.value
        return task.result.model_validate(found["result"]) if found and done else None

    async def _claim(self, task: DurableTask[ParametersT, Context, ResultT], parameters: ParametersT) -> Claim | ResultT:
        """Take the task; or its result, if it is completed. A former owner's claim (lower epoch) is replaced."""
        spec = TaskSpec(task.task_type, parameters)
        task_id, found = self._tasks.id_of(spec), await self._tasks.find(spec) or {}
        used, status = (found["attempt_count"], found["status"]) if found else (0, None)
        if status == State.COMPLETED.value:
            self._enqueue(self._stages.task_ended(task.task_type))
            return task.result.model_validate(found["result"])
        if status == State.FAILED.value:
            self._enqueue(self._given_up(task))
            error = found["error"] or ""
            if used < task.attempts:  # given up before its last attempt: another one could not help
                raise UnfitTaskError(error)
            raise TaskFailedError(task.task_type, parameters.key, used, error)
        if found and self._tasks.is_claimed(task_id):
            await self._commits.flush()  # its checkpoints are read
            return Claim(task_id, used, resumed=True)
        listing, claiming = self._tasks.claiming(spec, exists=bool(found))
        stages = self._stages.started(task.task_type)
        change = Change(enlist=listing, transitions=[claiming], values=stages, events=self._stages.news())
        self._tasks.enqueue(task_id, change)
        return Claim(task_id, used, resumed=status == State.IN_PROGRESS.value)

    def _enqueue(self, stages: dict[str, object]) -> None:
        """Write where the stages stand now, with their events, with the next transaction."""
        self._commits.enqueue(Change(values=stages, events=self._stages.news()))

    def _complete(
        self, task_type: TaskType, claim: Claim, attempt: int, result: BaseModel, follows: Iterable[TaskSpec | LiveEvent]
    ) -> None:
        increments, minima = counted(task_type)
        ended = self._stages.task_ended(task_type)
        done = {"status": State.COMPLETED.value, "result": result.model_dump(mode="json"), "attempt_count": attempt, "error": None}
        self._tasks.enqueue(
            claim.task_id,
            Change(
                transitions=[self._tasks.moving(claim.task_id, done)],
                enlist=[self._tasks.listing(spec) for spec in follows if isinstance(spec, TaskSpec)],
                increments=increments,
                minima=minima,
                values=ended,
                events=[*(event for event in follows if isinstance(event, LiveEvent)), *self._stages.news()],
                releases=claim.task_id,
            ),
        )

    async def _stop_a_rejected_type(self, task_type: TaskType, key: str, error: RequestRejectedError) -> None:
        """Where all tasks of a type are rejected, or the first ``MOST_REJECTED`` and none was ever done, it is not the items: raise
        ``FatalCallError``, which stops the world before all of them are tried.
        """
        rejected = self._rejected[task_type]
        rejected.add(key)
        if len(rejected) < min(MOST_REJECTED, self._planned.get(task_type, MOST_REJECTED)):
            return
        if not await self._tasks.any_completed(task_type):
            raise FatalCallError(
                f"{task_type}: all requests of this kind were rejected ({len(rejected)} so far): {error}"
            ) from error

    async def _attempt_failed(
        self,
        task: DurableTask[ParametersT, Context, ResultT],
        parameters: ParametersT,
        claim: Claim,
        checkpoints: Checkpoints,
        attempt: int,
        error: CallError | UnfitTaskError,
    ) -> None:
        """Count the attempt. After the last one, or where another cannot help, fail the task for good and raise."""
        logger.warning("%s %s: attempt %d of %d failed: %s", task.task_type, parameters.key, attempt, task.attempts, error)
        reason = str(error)[:2000]
        values: MongoDocument = {"attempt_count": attempt, "error": reason}
        if attempt < task.attempts and not isinstance(error, UnfitTaskError):
            moved = [self._tasks.moving(claim.task_id, values)]
            records = checkpoints.unwritten() if checkpoints.outlive_attempt else checkpoints.forget()
            await self._commits.commit(Change(transitions=moved, records=records, releases=claim.task_id))
            return
        failure = {"task_id": claim.task_id, "type": task.task_type.value, "key": parameters.key, "error": reason}
        given_up = self._given_up(task)
        await self._commits.commit(
            Change(
                transitions=[self._tasks.moving(claim.task_id, {**values, "status": State.FAILED.value})],
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
        return self._stages.task_ended(task.task_type) if task.of_item else {}
