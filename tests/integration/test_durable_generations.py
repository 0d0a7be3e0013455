"""Generations: which one a run goes on with, above all when the runs before it died at an unlucky moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from generia_assets.durable.collections import GENERATIONS
from generia_assets.durable.commits import Change
from generia_assets.durable.generations import GENERATION_TAG, PRESENT_GENERATION, Generation, RunIdentity, find_generation
from generia_assets.durable.progress import StageTracker
from generia_assets.durable.status import Stage, State
from generia_assets.tasks.kinds import TaskType
from tests.durable_world import DurableWorld, durable_world


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        yield world


def a_generation(world: DurableWorld, name: str, *runs: str, status: State = State.IN_PROGRESS, age: float = 0.0) -> None:
    started = datetime.now(UTC) - timedelta(seconds=age)
    record = {"_id": name, "world_id": world.world_id, "runs": list(runs), "status": status.value, "started_at": started}
    world.see[GENERATIONS].insert_one({**record, "tasks": {}, "keys": [], "adopted": {}})


async def found(world: DurableWorld, run: RunIdentity) -> Generation | None:
    return await find_generation(world.database, world.world_id, run)


async def test_a_run_goes_on_with_the_generation_of_the_run_it_re_executes(world: DurableWorld) -> None:
    """What the parent did not finish is continued; a run without a past begins anew."""
    a_generation(world, "first", "parent")
    generation = await found(world, RunIdentity("child", ("parent",)))
    assert generation is not None
    assert (generation.id, generation.continued, generation.finished) == ("first", True, False)
    assert await found(world, RunIdentity("somebody")) is None


async def test_a_parent_that_died_before_it_began_does_not_hide_the_generation_behind_it(world: DurableWorld) -> None:
    """Of all ancestors the nearest that took part in a generation says which one it is, so that nothing is paid for twice."""
    a_generation(world, "older", "great-grandparent")
    a_generation(world, "newer", "grandparent")
    generation = await found(world, RunIdentity("child", ("parent", "grandparent", "great-grandparent")))
    assert generation is not None
    assert generation.id == "newer"


async def test_a_retry_after_the_last_word_makes_nothing_anew(world: DurableWorld) -> None:
    """A run that died between the world's last word and Dagster's is retried inside its completed generation."""
    a_generation(world, "done", "parent", status=State.COMPLETED)
    generation = await found(world, RunIdentity("retry", ("parent",), retries=True))
    assert generation is not None
    assert (generation.id, generation.finished) == ("done", True)


async def test_a_re_execution_of_a_completed_world_is_a_new_generation(world: DurableWorld) -> None:
    """A person who executes a successful run again wants new content."""
    a_generation(world, "done", "parent", status=State.COMPLETED)
    assert await found(world, RunIdentity("again", ("parent",))) is None


async def test_an_order_for_the_present_generation_never_begins_a_second_one(world: DurableWorld) -> None:
    """Whoever orders a world because nobody seemed to work on it continues what is there, or begins where nothing is."""
    present = RunIdentity("ordered", tags={GENERATION_TAG: PRESENT_GENERATION})
    assert await found(world, present) is None
    a_generation(world, "former", "run-0", status=State.COMPLETED, age=60)
    a_generation(world, "latest", "run-1")
    generation = await found(world, present)
    assert generation is not None
    assert generation.id == "latest"
    world.see[GENERATIONS].update_one({"_id": "latest"}, {"$set": {"status": State.COMPLETED.value}})
    with pytest.raises(LookupError, match="no unfinished generation"):
        await found(world, present)


async def test_a_stage_that_ends_and_all_stages_fit_into_one_transaction(world: DurableWorld) -> None:
    """A world taken up with all its tasks done moves single stages and all of them at once without a conflict."""
    run = await world.run()
    stages = StageTracker({Stage.CHARACTERS: 1})
    stages.begin()
    ended = run.commits.enqueue(Change(values=stages.task_ended(TaskType.GENERATE_CHARACTER)))
    await run.commits.commit(Change(values=stages.finishing()))
    assert ended.done()
    assert run.commits.transactions == 1
    assert [stage["status"] for stage in world.status["stages"]] == ["completed"] * 5 + ["in_progress"]
