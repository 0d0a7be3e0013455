"""What a run does with its world: begin a new generation, go on with one, store its results again, or nothing at all.

One table decides (``RULES``). docs/runs-and-states.md tells people the same, action by action and state by state;
tests/durable/test_ways_and_states.py compares the two. What is unfinished is finished before anything else is made of the world, or
given up by a person who says so; what is completed is paid for again only by a run that somebody launched for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pymongo import DESCENDING

from generia_assets.catalog import TaskType
from generia_assets.durable.collections import GENERATIONS, STATUS
from generia_assets.durable.orders.order import WorldParameters
from generia_assets.durable.orders.workload import Workload
from generia_assets.durable.status import State, SuspendReason, WorldStatus, status_of, world_to_work_on
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument

GENERATION_TAG = ".dagster/generia_generation"
"""Run tag, hidden in Dagster's pages: the generation this run continues."""
PRESENT_GENERATION = "present"
"""Value of that tag: the one the world has when the run begins, or its first."""
TASK_TAG = ".dagster/generia_task_id"
"""Run tag, hidden in Dagster's pages: the order (a task's id) this run carries out."""
GIVEN_UP = "given_up"
"""State of a generation that a person gave up unfinished: no run continues it."""

WHOLE_WORLD = frozenset(TaskType)


class Asks(StrEnum):
    """What a run asks for, by how it came about."""

    GO_ON = "go on"
    """``generia resume`` or the watchdog: its tag names the generation."""
    AGAIN = "again"
    """Re-executed, retried, or the same order once more: it had begun the unfinished generation, or the completed one."""
    FORMER = "former"
    """The same, of a generation that another one has followed, or that was given up."""
    SAME = "same"
    """Launched anew, for just that which is unfinished: the same assets, items and order."""
    WHOLE = "whole"
    """Launched anew, for all of the world."""
    PART = "part"
    """Launched anew, for a part of it."""


class Made(StrEnum):
    """How far a world is made."""

    NOTHING = "nothing"
    UNFINISHED = "unfinished"
    """Its first making: at work, stopped, suspended or failed."""
    COMPLETED = "completed"
    RERUN_UNFINISHED = "rerun unfinished"
    """It was completed before, and something of it is being made again, or was left unfinished."""


class Decision(StrEnum):
    """What the run does."""

    START = "start"
    """A new generation: everything that the run selects is made, and paid for."""
    CONTINUE = "continue"
    """The unfinished generation continues: only what it has not got is paid for."""
    STORE = "store"
    """The completed generation's results are stored again, without any call."""
    REFUSE = "refuse"
    """Nothing is touched; the run fails with what can be done instead."""


def _row(*decisions: Decision) -> Mapping[Made, Decision]:
    return dict(zip(Made, decisions, strict=True))


_START, _CONTINUE, _STORE, _REFUSE = Decision
RULES: Mapping[Asks, Mapping[Made, Decision]] = {
    # what the run asks for   nothing  unfinished  completed  rerun unfinished
    Asks.GO_ON: _row(_START, _CONTINUE, _REFUSE, _CONTINUE),
    Asks.AGAIN: _row(_START, _CONTINUE, _STORE, _CONTINUE),
    Asks.FORMER: _row(_REFUSE, _REFUSE, _REFUSE, _REFUSE),
    Asks.SAME: _row(_START, _CONTINUE, _START, _CONTINUE),
    Asks.WHOLE: _row(_START, _REFUSE, _START, _REFUSE),
    Asks.PART: _row(_REFUSE, _REFUSE, _START, _REFUSE),
}


class RefusedRunError(RuntimeError):
    """This run must not do what it was started for. Nothing has been changed; the message names what can be done instead."""


@dataclass(frozen=True)
class Assignment:
    """A run and its work on its world: what Dagster knows of the run, and what it would make if it began anew.

    Attributes:
        makes: Task types.
        workload: Called when a new generation begins. Raises ``OrderError`` for what is not in the world.
        ancestors: The runs that this one re-executes, the nearest first.
        ordered_by: Who ordered its work, for the status record; '' for a run that continues work.
        keys: The items that it makes; none: all.
        parameters: The form's new order, if it has one.
    """

    world_id: str
    run_id: str
    makes: frozenset[TaskType]
    workload: Callable[[WorldParameters], Workload]
    ancestors: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    ordered_by: str = ""
    keys: tuple[str, ...] = ()
    parameters: WorldParameters | None = None

    @property
    def order(self) -> str | None:
        return self.tags.get(TASK_TAG)


@dataclass(frozen=True)
class Choice:
    """The decision, what it was made by, and the record of the generation to go on with or to store again."""

    decision: Decision
    made: Made
    document: MongoDocument
    """The world's status record; of a generation that continues, as it stood where that was left."""
    generation: MongoDocument | None = None

    @property
    def status(self) -> WorldStatus:
        return status_of(self.document)


async def choose(database: AsyncMongoDatabase, run: Assignment) -> Choice:
    """Decide. Raises ``RefusedRunError``, and ``LookupError`` for a world that nobody ordered."""
    found = await database[STATUS].find_one({"_id": run.world_id})
    if found is None:
        raise LookupError(f"world {run.world_id} has no status record; it was never ordered")
    status = world_to_work_on(found)
    generations = database[GENERATIONS]
    current = await generations.find_one({"_id": status.unfinished or status.generation, "world_id": run.world_id})
    made = how_far(current)
    own, asks = await _own(database, run), _new(run, status, current)
    if own is not None and current is not None and own["_id"] == current["_id"] and made is not Made.NOTHING:
        asks = Asks.AGAIN if run.ancestors or GENERATION_TAG not in run.tags else Asks.GO_ON
    elif own is not None:
        asks = Asks.FORMER
    elif GENERATION_TAG in run.tags and not run.ancestors:
        asks = Asks.GO_ON if run.tags[GENERATION_TAG] == PRESENT_GENERATION else Asks.FORMER
    decision = RULES[asks][made]
    if decision is Decision.REFUSE:
        raise RefusedRunError(_reason(asks, made, status, run))
    if decision is Decision.START or current is None:
        return Choice(decision, made, found)
    if status.unfinished is None or decision is not Decision.CONTINUE:
        current["left"] = None  # the status record has it
    return Choice(decision, made, found | (current.get("left") or {}), current)


def how_far(current: MongoDocument | None) -> Made:
    """How far the world is made; ``current`` is the record of its unfinished generation, or else of its present one."""
    if current is None or current["status"] == GIVEN_UP:
        return Made.NOTHING
    if current["status"] == State.COMPLETED.value:
        return Made.COMPLETED
    return Made.UNFINISHED if current.get("before") is None else Made.RERUN_UNFINISHED


async def _own(database: AsyncMongoDatabase, run: Assignment) -> MongoDocument | None:
    """The generation that this run took part in before, by itself, by a run that it re-executes, by its order, or by its tag."""
    generations, world_id = database[GENERATIONS], run.world_id
    for run_id in (run.run_id, *run.ancestors):  # a run that died before it began took part in none; then its parent counts
        if (found := await generations.find_one({"runs": run_id, "world_id": world_id})) is not None:
            return found
    if (tag := run.tags.get(GENERATION_TAG)) == PRESENT_GENERATION:
        return await generations.find_one({"world_id": world_id}, sort=[("started_at", DESCENDING)])
    if tag is not None:
        return await generations.find_one({"_id": tag, "world_id": world_id})
    if run.order is None:
        return None
    adopted = f"adopted.{TaskType.INIT_WORLD_CREATION.value}"
    return await generations.find_one(
        {"world_id": world_id, "$or": [{"order": run.order}, {"orders": run.order}, {adopted: run.order}]}
    )


def _new(run: Assignment, status: WorldStatus, current: MongoDocument | None) -> Asks:
    """What a run asks for that took part in nothing yet."""
    if current is not None and current["status"] != State.COMPLETED.value:
        makes = {TaskType(name) for name in current["tasks"]}
        ordered = status.parameters | (current.get("left") or {}).get("parameters", {})
        given = run.parameters.document() if run.parameters else {}
        same_order = all(ordered.get(name) == given[name] for name in given.keys() - {"created_at", "max_cost_usd"})
        if makes == run.makes and set(current["keys"]) == set(run.keys) and same_order:
            return Asks.SAME
    return Asks.WHOLE if run.makes == WHOLE_WORLD and not run.keys else Asks.PART


def _reason(asks: Asks, made: Made, status: WorldStatus, run: Assignment) -> str:
    world = status.world_id
    if asks is Asks.FORMER or asks is Asks.GO_ON:
        named = run.tags.get(GENERATION_TAG)
        ended = f"generation {named}" if named and not run.ancestors else "the generation of the run that is re-executed"
        return (
            f"world {world}: {ended} is over, there is no unfinished generation of this id: to go on with it would replace what "
            "was made since, or be paid for twice. To make all of the world again, launch job world for it; to make a part of it: "
            f"generia rerun {world} --part PART"
        )
    if made is Made.NOTHING:
        return (
            f"world {world} has not been made yet, so that no part of it can be made again. Materialize all nine assets for it, or "
            "order it by job new_world or generia send"
        )
    return unfinished(status)


def unfinished(status: WorldStatus) -> str:
    """Why nothing else can be made of a world that is not finished, and the choice that there is."""
    world = status.world_id
    has = f"{status.users_created} of {status.users_predicted} people, {status.posts_created} of {status.posts_predicted} posts"
    after = "; then ask for this again"
    if status.unfinished is not None:
        return (
            f"world {world} is completed, but its last rerun or extension is not finished. First: generia resume {world}"
            f"{after}. Or give that up: generia stop {world} --give-up"
        )
    if (run_id := status.owner.run_id) is not None:
        return f"world {world} is not finished ({has}) and is being made by run {run_id}. First: generia watch {world}{after}"
    if goes_on_by_itself(status):
        return f"world {world} is not finished ({has}) and goes on by itself. First: generia watch {world}{after}"
    return (
        f"world {world} is not finished ({has}). First: generia resume {world}, which goes on where it stands{after}. Or give up "
        f"what it has: generia stop {world} --give-up"
    )


def goes_on_by_itself(status: WorldStatus) -> bool:
    """Whether an unfinished world needs no person: it is at work, waits for an outage to end, or was resumed."""
    return not status.done and not status.is_suspended(SuspendReason.STOPPED, SuspendReason.BUDGET)
