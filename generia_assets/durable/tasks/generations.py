"""Generations: one making of a world or of parts of it, over all the runs that work on it. It is named by the run that started it.

Of a world that was completed before, the generation's record keeps two sets of the status record's fields: ``before``, the world as
it was completed, and ``left``, the generation where it stopped, while the status record shows ``before`` again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pymongo import UpdateOne

from generia_assets.catalog import ASSETS, TaskType
from generia_assets.content.keys import EXTENSION
from generia_assets.durable.calls.ledger import CALL_LIMIT, CALLS_MADE
from generia_assets.durable.collections import GENERATIONS, STATUS, TASKS
from generia_assets.durable.events.events import Cancelled, Completed, Failed, GoingOn, LiveEvent, ParkedByOutage, StoodStill
from generia_assets.durable.events.progress import STAGE_OF, StageTracker
from generia_assets.durable.leases.changes import Change, WriteOperation
from generia_assets.durable.leases.commits import Commits
from generia_assets.durable.orders.decisions import Assignment, Choice, Decision, Made
from generia_assets.durable.orders.records import mark_completed, mark_given_up, mark_started
from generia_assets.durable.orders.workload import Workload
from generia_assets.durable.status import RELEASED, Failure, Stage, State, SuspendReason, Suspension, WorldStatus
from resources import tracing
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument

OF_GENERATION = (
    *("generation", "name", "parameters", "stages", "current_stage", "failures", "first_post_at", "finished_at", "takeovers"),
    *("tasks_total", "tasks_completed", "tasks_failed", "task_predicted", "calls_excused"),
    *("users_created", "posts_created", "users_predicted", "posts_predicted"),
    *(*CALL_LIMIT.values(), *CALLS_MADE.values()),
)
"""Fields of the status record that belong to one generation. Costs, the cap and the numbers of events are the world's own."""


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
    orders: tuple[str, ...] = ()
    """The orders that it carries out, whichever run continues it, by their tasks; none where a person asked in the UI."""
    finished: bool = False
    """The world is completed already, and what it has is stored again: nothing that happens meanwhile changes its state."""
    before: MongoDocument | None = None
    """The world was completed before this began: what its status record goes back to when this ends without success."""
    traceparent: str = ""
    """The trace context that the spans of its runs are under; '' before the first one begins, if its order came with none."""
    left: MongoDocument | None = None
    """The fields of the status record where this was left, while the record shows ``before`` again."""

    @property
    def stages(self) -> dict[Stage, int]:
        expected: dict[Stage, int] = {}
        for task_type, count in self.tasks.items():
            expected[STAGE_OF[task_type]] = expected.get(STAGE_OF[task_type], 0) + count
        return expected


def generation_of(choice: Choice, record: MongoDocument, run: Assignment) -> Generation:
    """The generation that this run continues, or whose results it stores again."""
    return Generation(
        id=record["_id"],
        world_id=run.world_id,
        continued=True,
        tasks={TaskType(name): count for name, count in record["tasks"].items()},
        keys=tuple(record["keys"]),
        adopted={TaskType(name): task_id for name, task_id in record["adopted"].items()},
        orders=orders_of(record, run.order),
        finished=choice.decision is Decision.STORE,
        before=record.get("before"),
        traceparent=tracing.checked(record.get("traceparent")),
        left=record.get("left"),
    )


async def new_generation(database: AsyncMongoDatabase, choice: Choice, run: Assignment, workload: Workload) -> Generation:
    """A generation that this run starts. The order's own pending task becomes its first one."""
    world_id, adopted = run.world_id, dict[TaskType, str]()
    order_task = run.order or choice.status.order_task
    order = await database[TASKS].find_one({"_id": order_task, "world_id": world_id}, {"status": 1, "traceparent": 1}) or {}
    is_whole = TaskType.INIT_WORLD_CREATION in workload.tasks and EXTENSION not in run.keys
    if is_whole and order.get("status") == State.PENDING.value:
        adopted[TaskType.INIT_WORLD_CREATION] = order["_id"]
    traceparent = tracing.checked(order.get("traceparent") if run.order or adopted else None)  # else it orders something else
    before = fields_of_generation(choice.document) if choice.made is Made.COMPLETED else None
    orders = () if run.order is None else (run.order,)
    return Generation(
        run.run_id, world_id, False, workload.tasks, run.keys, adopted, orders, before=before, traceparent=traceparent
    )


async def begin(
    commits: Commits, generation: Generation, run: Assignment, workload: Workload | None, status: WorldStatus, stages: StageTracker
) -> None:
    """Make the generation the world's present one, in one commit: record, counters, limits, stages."""
    if generation.finished:
        stages.resume(status.stages)
        return
    now = datetime.now(UTC)
    record: MongoDocument = {
        "$addToSet": {"runs": run.run_id, "orders": {"$each": list(generation.orders)}},
        "$set": {"status": State.IN_PROGRESS.value, "updated_at": now, "traceparent": generation.traceparent},
    }
    values: dict[str, object] = {
        "status": State.IN_PROGRESS.value,
        "message": "",
        "resumable": False,
        "parked": None,
        "waiting_for": None,
        "finished_at": None,
        "unfinished": None,
        "refused": False,
        "deferred": False,
        **({"ordered_by": run.ordered_by} if run.ordered_by else {}),
    }
    transitions: list[UpdateOne] = []
    orders: list[WriteOperation] = [mark_started(order, run.run_id) for order in generation.orders]
    if generation.continued or workload is None:
        record["$unset"] = {"left": ""}
        values = (generation.left or {}) | values | stages.resume(status.stages)
    else:
        values |= stages.begin() | _fresh(workload, generation, status)
        record["$setOnInsert"] = {
            "world_id": generation.world_id,
            "tasks": {task_type.value: count for task_type, count in generation.tasks.items()},
            "keys": list(generation.keys),
            "adopted": {task_type.value: task_id for task_type, task_id in generation.adopted.items()},
            "order": next(iter(generation.orders), None),
            "before": generation.before,
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
    if status.is_suspended(SuspendReason.OUTAGE):
        return "parked"
    return "resume" if status.parked is not None or status.done else "interruption"


def _fresh(workload: Workload, generation: Generation, status: WorldStatus) -> dict[str, object]:
    def kept(created: int, task_type: TaskType) -> int:
        """What counts as created of these although the generation begins: what it does not make again."""
        if EXTENSION in generation.keys:
            return created
        return max(0, created - workload.tasks.get(task_type, 0)) if generation.keys or task_type not in workload.tasks else 0

    def made_again(failure: Failure) -> bool:
        """Whether what failed in an earlier generation is tried anew in this one; else the world still lacks it."""
        named = not generation.keys or failure.key in generation.keys or failure.key.split("-")[0] in generation.keys
        return named and TaskType(failure.type) in workload.tasks

    return {
        "generation": generation.id,
        "parameters": status.parameters,
        "tasks_total": len(generation.adopted),
        "tasks_completed": 0,
        "tasks_failed": 0,
        "task_predicted": sum(workload.tasks.values()),
        "users_predicted": workload.users,
        "posts_predicted": workload.posts,
        **{asset.counter: kept(getattr(status, asset.counter), asset.task_type) for asset in ASSETS.values() if asset.counter},
        **{CALL_LIMIT[api]: limit for api, limit in workload.call_limits.items()},
        **dict.fromkeys(CALLS_MADE.values(), 0),
        "cost_limit_usd": workload.cost_limit_usd,
        "failures": [failure.model_dump() for failure in status.failures if not made_again(failure)],
        "takeovers": 0,
        "calls_excused": 0,
    }


async def end(
    database: AsyncMongoDatabase,
    commits: Commits,
    generation: Generation,
    stages: StageTracker,
    state: State,
    *,
    message: str = "",
    suspension: Suspension | None = None,
) -> None:
    """Record the world's last state in this run, after everything else has been written.

    ``state`` IN_PROGRESS with a ``suspension`` leaves the world resumable; COMPLETED and FAILED are final for those who watch.
    """
    if generation.finished:
        if state is State.COMPLETED and generation.orders:
            await commits.commit(Change(records={TASKS: [mark_completed(order) for order in generation.orders]}))
        return  # its last event has been sent, and it stays, whatever became of the storing
    now = datetime.now(UTC)
    values: dict[str, object] = {
        "status": state.value,
        "message": message,
        "resumable": state is not State.COMPLETED,
        "parked": suspension and suspension.model_dump(exclude_unset=True),
    }
    record: MongoDocument = {"$set": {"status": state.value, "updated_at": now, "message": message}}
    orders: list[WriteOperation] = []
    if state is not State.IN_PROGRESS:
        values |= RELEASED
    if state is State.COMPLETED:
        values |= stages.finished() | {"finished_at": now, "waiting_for": None, "cost_reserved_usd": 0.0}
        orders = [mark_completed(order) for order in generation.orders]
        record["$unset"] = {"before": ""}
    elif state is State.FAILED:
        values |= stages.failed() | {"finished_at": now, "waiting_for": None}
        orders = [mark_given_up(order, message) for order in generation.orders]
    events = [*stages.news(), _last_event(state, message, suspension)]
    if state is State.FAILED and generation.before is not None:
        await commits.commit(Change(events=events))  # of this generation; then the world is shown as it was before it
        found = await commits.retry(lambda: database[STATUS].find_one({"_id": generation.world_id}))
        record["$set"]["left"] = fields_of_generation(found or {})
        values, events = as_before(generation.before, generation.id, unfinished_message(generation.world_id, message)), []
    records: dict[str, list[WriteOperation]] = {GENERATIONS: [UpdateOne({"_id": generation.id}, record)]}
    await commits.commit(Change(records=records | ({TASKS: orders} if orders else {}), values=values, events=events))


def _last_event(state: State, message: str, suspension: Suspension | None) -> LiveEvent:
    if state is State.COMPLETED:
        return Completed()
    if suspension is None:
        return Failed(message=message)
    if suspension.kind == SuspendReason.OUTAGE:
        return ParkedByOutage(reason=message)
    return Cancelled(reason="budget" if suspension.kind == SuspendReason.BUDGET else "stopped", message=message)


def fields_of_generation(status: MongoDocument) -> MongoDocument:
    return {name: status.get(name) for name in OF_GENERATION}


def as_before(before: MongoDocument, unfinished: str | None, message: str) -> MongoDocument:
    """The values of the status record that make the world completed as it was; ``unfinished``: the generation that was left."""
    back = {"status": State.COMPLETED.value, "message": message, "unfinished": unfinished, "resumable": unfinished is not None}
    return {**before, **back, "parked": None, "waiting_for": None, **RELEASED, "updated_at": datetime.now(UTC)}


def unfinished_message(world_id: str, reason: str) -> str:
    return (
        f"completed as before; its last rerun or extension is not finished: {reason.rstrip('.')}. To go on with it: generia resume "
        f"{world_id}; to give it up: generia stop {world_id} --give-up"
    )


def orders_of(record: MongoDocument, also: str | None = None) -> tuple[str, ...]:
    """The orders that a generation carries out: the one it began with, those that asked for the same meanwhile, and ``also``."""
    return tuple(dict.fromkeys(filter(None, (record.get("order"), *record.get("orders", ()), also))))
