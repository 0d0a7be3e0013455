"""Generations: which one a run continues, also after earlier runs died at an unlucky moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from generia_assets.catalog import TaskType
from generia_assets.durable.collections import GENERATIONS, STATUS
from generia_assets.durable.events.progress import StageTracker
from generia_assets.durable.leases.changes import Change
from generia_assets.durable.orders.decisions import (
    GENERATION_TAG,
    PRESENT_GENERATION,
    WHOLE_WORLD,
    Assignment,
    Choice,
    Decision,
    RefusedRunError,
    choose,
)
from generia_assets.durable.status import Stage, State
from tests.support.durable_world import DurableWorld, durable_world


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        yield world


def a_generation(world: DurableWorld, name: str, *runs: str, status: State = State.IN_PROGRESS, age: float = 0.0) -> None:
    """Begin a generation of the whole world, which becomes the present one."""
    started = datetime.now(UTC) - timedelta(seconds=age)
    record = {"_id": name, "world_id": world.world_id, "runs": list(runs), "status": status.value, "started_at": started}
    tasks = {task_type.value: 1 for task_type in TaskType}
    world.see[GENERATIONS].insert_one({**record, "tasks": tasks, "keys": [], "adopted": {}})
    world.see[STATUS].update_one({"_id": world.world_id}, {"$set": {"generation": name, "status": status.value}})


async def chosen(world: DurableWorld, run_id: str, ancestors: tuple[str, ...] = (), tag: str = "") -> Choice:
    tags = {GENERATION_TAG: tag} if tag else {}
    run = Assignment(world.world_id, run_id, WHOLE_WORLD, lambda parameters: pytest.fail("not asked"), ancestors, tags)
    return await choose(world.database, run)


def going_on(choice: Choice) -> tuple[Decision, str | None]:
    return choice.decision, choice.generation["_id"] if choice.generation else None


async def test_a_run_continues_the_generation_of_the_run_that_it_re_executes(world: DurableWorld) -> None:
    """The unfinished generation of the parent is continued, also by a run without a parent that selects the same; the first run
    starts a new one."""
    assert going_on(await chosen(world, "first")) == (Decision.START, None)
    a_generation(world, "first", "parent")
    assert going_on(await chosen(world, "child", ("parent",))) == (Decision.CONTINUE, "first")
    assert going_on(await chosen(world, "somebody")) == (Decision.CONTINUE, "first")


async def test_a_parent_that_died_before_it_began_does_not_hide_an_earlier_generation(world: DurableWorld) -> None:
    """The nearest ancestor that took part in a generation decides which one is continued, so that nothing is paid twice."""
    a_generation(world, "older", "great-grandparent", status=State.COMPLETED)
    a_generation(world, "newer", "grandparent")
    family = ("parent", "grandparent", "great-grandparent")
    assert going_on(await chosen(world, "child", family)) == (Decision.CONTINUE, "newer")


async def test_a_re_execution_makes_nothing_again_in_a_completed_world(world: DurableWorld) -> None:
    """The results of the parent's generation are stored again, unless a later generation exists."""
    a_generation(world, "former", "old", status=State.COMPLETED)
    a_generation(world, "done", "parent", status=State.COMPLETED)
    assert going_on(await chosen(world, "retry", ("parent",))) == (Decision.STORE, "done")
    with pytest.raises(RefusedRunError, match="the generation of the run that is re-executed is over"):
        await chosen(world, "late", ("old",))
    assert going_on(await chosen(world, "launched")) == (Decision.START, None)


async def test_an_order_for_the_present_generation_never_begins_a_second_one(world: DurableWorld) -> None:
    """A run that was started because the world seemed abandoned continues the generation, or begins one if there is none."""
    present = partial(chosen, world, "ordered", tag=PRESENT_GENERATION)
    assert going_on(await present()) == (Decision.START, None)
    a_generation(world, "former", "run-0", status=State.COMPLETED, age=60)
    a_generation(world, "latest", "run-1")
    assert going_on(await present()) == (Decision.CONTINUE, "latest")
    world.see[GENERATIONS].update_one({"_id": "latest"}, {"$set": {"status": State.COMPLETED.value}})
    with pytest.raises(RefusedRunError, match="no unfinished generation"):
        await present()


async def test_a_stage_that_ends_and_all_stages_fit_into_one_transaction(world: DurableWorld) -> None:
    """Resuming a world with all tasks done changes single stages and all stages in one transaction without a conflict."""
    run = await world.run()
    stages = StageTracker({Stage.CHARACTERS: 1})
    stages.begin()
    ended = run.commits.enqueue(Change(values=stages.task_ended(TaskType.GENERATE_CHARACTER)))
    await run.commits.commit(Change(values=stages.finishing()))
    assert ended.done()
    assert run.commits.transactions == 1
    assert [stage["status"] for stage in world.status["stages"]] == ["completed"] * 5 + ["in_progress"]
