"""Generations: one making of a world or of parts of it, over all the runs that work on it.

Here: which generation a run belongs to, and how one begins, goes on and ends. A generation is named by the run that started it. A
re-execution of a run that did not succeed continues its generation and repeats only what was in the air; a new materialization
is a new generation and makes new content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pymongo import DESCENDING, UpdateOne

from generia_assets.durable import order_tasks
from generia_assets.durable.collections import GENERATIONS, TASKS
from generia_assets.durable.commits import Change, Commits, WriteOperation
from generia_assets.durable.events import Cancelled, Completed, Failed, GoingOn, LiveEvent, ParkedByOutage, StoodStill
from generia_assets.durable.progress import STAGE_OF, StageTracker
from generia_assets.durable.status import Parked, Stage, State, WorldStatus
from generia_assets.tasks.kinds import TaskType
from resources.mongo import AsyncMongoDatabase, MongoDocument
from resources.outside import Api

GENERATION_TAG = "generia/generation"
"""Run tag: the generation this run continues."""
PRESENT_GENERATION = "present"
"""Value of that tag: the one the world has when the run begins, or its first."""
TASK_TAG = "generia/task_id"
"""Run tag: the order (a task's id) this run carries out."""


@dataclass(frozen=True)
class RunIdentity:
    """What Dagster knows of a run that matters for its generation."""

    run_id: str
    ancestors: tuple[str, ...] = ()
    """The runs that this one re-executes, the nearest first."""
    tags: Mapping[str, str] = field(default_factory=dict)
    retries: bool = False
    """It only repeats what its parent did not succeed in, by Dagster's books: it makes nothing anew."""


@dataclass(frozen=True)
class Workload:
    """What a new generation will do: tasks by type, limits of calls (spare included) and dollars, people and posts."""

    tasks: Mapping[TaskType, int]
    call_limits: Mapping[Api, int]
    cost_limit_usd: float | None
    users: int
    posts: int


@dataclass(frozen=True)
class Generation:
    """A generation as a run works on it."""

    id: str
    world_id: str
    continued: bool
    tasks: Mapping[TaskType, int]
    keys: tuple[str, ...]
    adopted: Mapping[TaskType, str]
    """Tasks that existed before the generation (the order's own), by type."""
    order: str | None = None
    """The order that it carries out, whichever run goes on with it: the task of a part; None where a person asked in the UI."""
    finished: bool = False
    """The world is complete already; only Dagster has not heard of it, because the run died before it could say so."""

    @property
    def stages(self) -> dict[Stage, int]:
        """How many tasks each stage has."""
        expected: dict[Stage, int] = {}
        for task_type, count in self.tasks.items():
            expected[STAGE_OF[task_type]] = expected.get(STAGE_OF[task_type], 0) + count
        return expected


async def find_generation(database: AsyncMongoDatabase, world_id: str, run: RunIdentity) -> Generation | None:
    """The generation this run continues, or None when it starts a new one.

    A completed one is continued only by a retry, for Dagster's sake: its results are stored again, and no call is made. Raises
    ``LookupError`` when the run's tag names a generation that is completed or not there.
    """
    wanted = run.tags.get(GENERATION_TAG)
    found = await _find(database, world_id, run, wanted)
    finished = found is not None and found["status"] == State.COMPLETED.value
    if wanted is not None and (finished or (found is None and wanted != PRESENT_GENERATION)):
        raise LookupError(f"tag {GENERATION_TAG}={wanted}: world {world_id} has no unfinished generation of this id")
    if found is None or (finished and not run.retries):
        return None
    return Generation(
        id=found["_id"],
        world_id=world_id,
        continued=True,
        tasks={TaskType(name): count for name, count in found["tasks"].items()},
        keys=tuple(found["keys"]),
        adopted={TaskType(name): task_id for name, task_id in found["adopted"].items()},
        order=found.get("order") or run.tags.get(TASK_TAG),
        finished=finished,
    )


async def _find(database: AsyncMongoDatabase, world_id: str, run: RunIdentity, wanted: str | None) -> MongoDocument | None:
    generations = database[GENERATIONS]
    if wanted == PRESENT_GENERATION:
        return await generations.find_one({"world_id": world_id}, sort=[("started_at", DESCENDING)])
    if wanted is not None:
        return await generations.find_one({"_id": wanted, "world_id": world_id})
    for run_id in (run.run_id, *run.ancestors):  # a run that died before it began took part in none; then its parent counts
        found = await generations.find_one({"runs": run_id, "world_id": world_id})
        if found is not None:
            return found
    return None


async def new_generation(
    database: AsyncMongoDatabase, world_id: str, run: RunIdentity, workload: Workload, keys: tuple[str, ...], order_task: str | None
) -> Generation:
    """A generation that this run starts. The order's own pending task becomes its first one."""
    adopted: dict[TaskType, str] = {}
    if TaskType.INIT_WORLD_CREATION in workload.tasks and order_task is not None:
        pending = {"_id": order_task, "world_id": world_id, "status": State.PENDING.value}
        if await database[TASKS].find_one(pending, {"_id": 1}) is not None:
            adopted[TaskType.INIT_WORLD_CREATION] = order_task
    return Generation(run.run_id, world_id, False, workload.tasks, keys, adopted, run.tags.get(TASK_TAG))


async def begin(
    commits: Commits, generation: Generation, run: RunIdentity, workload: Workload | None, status: WorldStatus, stages: StageTracker
) -> None:
    """Make the generation the world's present one, in one commit: record, counters, limits, stages."""
    if generation.finished:
        stages.resume({entry.name: entry.status for entry in status.stages})
        return
    now = datetime.now(UTC)
    record = {"$addToSet": {"runs": run.run_id}, "$set": {"status": State.IN_PROGRESS.value, "updated_at": now}}
    values: dict[str, object] = {
        "status": State.IN_PROGRESS.value,
        "message": "",
        "resumable": False,
        "parked": None,
        "waiting_for": None,
        "finished_at": None,
    }
    transitions: list[UpdateOne] = []
    orders: list[WriteOperation] = [] if generation.order is None else [order_tasks.taken_up(generation.order, run.run_id)]
    if generation.continued or workload is None:
        values |= stages.resume({entry.name: entry.status for entry in status.stages})
    else:
        values |= stages.begin() | _fresh(workload, generation, status)
        orders.append(order_tasks.superseded(generation.world_id, by=generation.order))
        record["$setOnInsert"] = {
            "world_id": generation.world_id,
            "tasks": {task_type.value: count for task_type, count in generation.tasks.items()},
            "keys": list(generation.keys),
            "adopted": {task_type.value: task_id for task_type, task_id in generation.adopted.items()},
            "order": generation.order,
            "started_at": now,
        }
        for task_id in generation.adopted.values():
            values_of_task = {"generation": generation.id, "key": "world", "epoch": 0, "updated_at": now}
            transitions.append(UpdateOne({"_id": task_id, "status": State.PENDING.value}, {"$set": values_of_task}))
    await commits.commit(
        Change(
            transitions=transitions,
            records={GENERATIONS: [UpdateOne({"_id": generation.id}, record, upsert=True)], **({TASKS: orders} if orders else {})},
            values=values,
            unset=() if generation.continued else ("first_post_at",),
            events=[GoingOn(after=_stood_still(status))] if generation.continued else (),
        )
    )


def _stood_still(status: WorldStatus) -> StoodStill:
    """Why nobody worked on a world that now goes on."""
    if status.parked is not None and status.parked.kind == Parked.OUTAGE:
        return "parked"
    return "resume" if status.parked is not None or status.done else "interruption"


def _fresh(workload: Workload, generation: Generation, status: WorldStatus) -> dict[str, object]:
    def kept(created: int, task_type: TaskType) -> int:
        """What counts as created of these although the generation begins: what it does not make again."""
        return max(0, created - workload.tasks.get(task_type, 0)) if generation.keys or task_type not in workload.tasks else 0

    return {
        "generation": generation.id,
        "parameters": status.parameters,
        "tasks_total": len(generation.adopted),
        "tasks_completed": 0,
        "tasks_failed": 0,
        "task_predicted": sum(workload.tasks.values()),
        "users_predicted": workload.users,
        "posts_predicted": workload.posts,
        "users_created": kept(status.users_created, TaskType.GENERATE_CHARACTER),
        "posts_created": kept(status.posts_created, TaskType.GENERATE_POST_IMAGE),
        "api_call_limits_LLM": workload.call_limits[Api.LLM],
        "api_call_limits_images": workload.call_limits[Api.IMAGE],
        "api_calls_made_LLM": 0,
        "api_calls_made_images": 0,
        "cost_limit_usd": workload.cost_limit_usd,
        "failures": [],
        "takeovers": 0,
        "calls_excused": 0,
    }


async def end(
    commits: Commits,
    generation: Generation,
    stages: StageTracker,
    state: State,
    *,
    message: str = "",
    parked: Parked | None = None,
    until: datetime | None = None,
    counted: Mapping[str, int] | None = None,
) -> None:
    """The world's last word in this run, after everything else has been written.

    ``state`` IN_PROGRESS with ``parked`` leaves the world resumable; COMPLETED and FAILED are final for those who watch.
    ``counted``: the numbers of ``status.Park``.
    """
    now = datetime.now(UTC)
    values: dict[str, object] = {
        "status": state.value,
        "message": message,
        "resumable": state is not State.COMPLETED,
        "parked": None if parked is None else {"kind": parked.value, "since": now, "until": until, **(counted or {})},
    }
    record = {"$set": {"status": state.value, "updated_at": now, "message": message}}
    records: dict[str, list[WriteOperation]] = {GENERATIONS: [UpdateOne({"_id": generation.id}, record)]}
    if state is State.COMPLETED:
        values |= stages.finished() | {"finished_at": now, "waiting_for": None, "cost_reserved_usd": 0.0}
        if generation.order is not None:
            records[TASKS] = [order_tasks.carried_out(generation.order)]
    elif state is State.FAILED:
        values |= stages.failed() | {"finished_at": now, "waiting_for": None}
        if generation.order is not None and parked is not Parked.STOPPED:
            records[TASKS] = [order_tasks.given_up(generation.order, message)]
    said = generation.finished and state is State.COMPLETED  # by the run that died after its last word, and is retried
    told = [] if said else [*stages.news(), _last_word(state, message, parked)]
    await commits.commit(Change(records=records, values=values, events=told))


def _last_word(state: State, message: str, parked: Parked | None) -> LiveEvent:
    if state is State.COMPLETED:
        return Completed()
    if parked is Parked.OUTAGE:
        return ParkedByOutage(reason=message)
    if parked is not None:
        return Cancelled(reason="budget" if parked is Parked.BUDGET else "stopped", message=message)
    return Failed(message=message)
