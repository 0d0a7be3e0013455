"""The task runner: durable tasks are executed once, resumed where they ended, and counted exactly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from generia_assets.catalog import TaskType
from generia_assets.durable.calls.ledger import BudgetLedger
from generia_assets.durable.calls.task_calls import Checkpoints, TaskContext
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.tasks.claims import TaskSpec
from generia_assets.durable.tasks.runner import TaskFailedError, wait_without_slot
from generia_assets.tasks.task_definition import TaskParameters, UnfitTaskError
from resources.cancellation import cancel_and_wait
from resources.gateway.calls import Answer, Api, Call, CallOutcome
from resources.gateway.outcomes import FatalCallError, InvalidAnswerError, LeaseLostError, RefusedError, RequestFailedError
from tests.support.durable_world import Asker, DurableWorld, Note, ScriptedApi, a_task, asking, durable_world
from tests.support.waiting import PATIENCE_S

ITEM = TaskParameters(key="c0000-p0000")


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        yield world


def followed_by(key: str) -> Callable[[Note], list[TaskSpec]]:
    """A follow-up task for a post with this key."""
    return lambda made: [TaskSpec(TaskType.GENERATE_POST, TaskParameters(key=key))]


async def _unsent() -> Answer[None]:
    raise AssertionError("nothing is sent here")


class Hang:
    """An API whose call ``name`` never ends after its scripted answers, like a call in flight when its process is killed."""

    def __init__(self, name: str, script: dict[str, list[Exception | str]] | None = None) -> None:
        self.name = name
        self.api = ScriptedApi(script or {})
        self.calls = self.api.calls
        self.in_flight = asyncio.Event()

    async def answer(self, name: str) -> str:
        if name == self.name and not self.api.script.get(name):
            self.calls.append(name)
            self.in_flight.set()
            await asyncio.Event().wait()
        return await self.api.answer(name)


async def killed_at(world: DurableWorld, task: Any, name: str, script: dict[str, list[Exception | str]] | None = None) -> None:
    """A run executes the task until the call ``name`` is in flight; then the run dies."""
    run = await world.run("killed")
    api = Hang(name, script)
    doing = asyncio.create_task(run.runner(api).execute(None, task, ITEM))  # type: ignore[arg-type]
    await asyncio.wait_for(api.in_flight.wait(), PATIENCE_S)
    await cancel_and_wait(doing)


async def test_a_completed_task_returns_its_result_again_without_any_call(world: DurableWorld) -> None:
    """For the same run and for a later one."""
    api, task = ScriptedApi(), asking("first", "second")
    run = await world.run()
    done = await run.runner(api).execute(None, task, ITEM)
    await run.commits.flush()
    assert await run.runner(api).execute(None, task, ITEM) == done
    later = await world.run("later")
    assert await later.runner(api).execute(None, task, ITEM) == done
    await later.commits.flush()
    assert api.calls == ["first", "second"]
    assert world.status["tasks_completed"] == 1


async def test_a_task_is_stored_with_the_contracts_fields_and_types(world: DurableWorld) -> None:
    """The document has type, world, state, worker, parameters, result, times, attempts and error."""
    run = await world.run()
    await run.runner(ScriptedApi()).execute(None, asking("first"), ITEM)
    await run.commits.flush()
    task = world.task(type="generate_post")
    expected = {
        "world_id": world.world_id,
        "status": "completed",
        "worker_id": "run-1",
        "parameters": {"key": "c0000-p0000"},
        "result": {"text": "answer to first"},
        "attempt_count": 1,
        "error": None,
    }
    assert {name: task[name] for name in expected} == expected
    assert task["created_at"] <= task["updated_at"]


@pytest.mark.parametrize(("of_item", "attempts"), [(False, 4), (True, 2)])
@pytest.mark.parametrize("problem", [InvalidAnswerError("not JSON"), RefusedError("no", reason="SAFETY")], ids=type)
async def test_attempts_are_counted_and_end_with_the_failure_in_the_status_record(
    world: DurableWorld, of_item: bool, attempts: int, problem: Exception
) -> None:
    """A world's own task has four attempts, an item's two; then it is failed for good, named with its cause, and counted once."""
    api = ScriptedApi({"first": [problem] * 9})
    run = await world.run()
    runner, task = run.runner(api), asking("first", of_item=of_item)
    for _ in range(2):  # executed again, it is still failed, without another call
        with pytest.raises(TaskFailedError, match=str(problem)):
            await runner.execute(None, task, ITEM)
    assert len(api.calls) == attempts
    stored, status = world.task(type="generate_post"), world.status
    assert (stored["status"], stored["attempt_count"], stored["error"]) == ("failed", attempts, str(problem))
    assert (status["tasks_failed"], status["tasks_completed"]) == (1, 0)
    (failure,) = status["failures"]
    assert failure == {"task_id": stored["_id"], "type": "generate_post", "key": ITEM.key, "error": str(problem)}


async def test_a_task_that_can_never_succeed_is_tried_once_and_keeps_its_message(world: DurableWorld) -> None:
    """After one attempt and one call the task is failed for good with a message that says what to change, also in a later run."""
    api, task = ScriptedApi({"first": [UnfitTaskError("word it differently")] * 9}), asking("first", of_item=False)
    for run_id in ("run-1", "later"):
        run = await world.run(run_id)
        with pytest.raises(UnfitTaskError, match=r"^word it differently$"):
            await run.runner(api).execute(None, task, ITEM)
    assert len(api.calls) == 1
    stored = world.task(type="generate_post")
    assert (stored["status"], stored["attempt_count"], stored["error"]) == ("failed", 1, "word it differently")
    assert world.status["tasks_failed"] == 1


async def test_a_task_that_succeeds_at_its_last_attempt_is_completed(world: DurableWorld) -> None:
    """A failed attempt leaves only its count."""
    api = ScriptedApi({"first": [InvalidAnswerError("cut", cut=True)]})
    run = await world.run()
    await run.runner(api).execute(None, asking("first"), ITEM)
    await run.commits.flush()
    stored = world.task(type="generate_post")
    assert (stored["status"], stored["attempt_count"], stored["error"]) == ("completed", 2, None)
    assert world.status["failures"] == []


async def test_a_fatal_call_uses_up_no_attempt(world: DurableWorld) -> None:
    """An error that stops the whole world does not count for the task: the next run resumes it with all its attempts."""
    run = await world.run()
    with pytest.raises(FatalCallError):
        await run.runner(ScriptedApi({"first": [FatalCallError("bad key")]})).execute(None, asking("first"), ITEM)
    stored = world.task(type="generate_post")
    assert (stored["status"], stored["attempt_count"]) == ("in_progress", 0)
    assert world.status["tasks_failed"] == 0


async def test_a_recovered_task_repeats_only_the_call_that_was_in_flight(world: DurableWorld) -> None:
    """After a crash answered calls are read from checkpoints, and the unanswered one is made again, in the same attempt."""
    task = asking("first", "second", "third")
    await killed_at(world, task, "third")
    api, later = ScriptedApi(), await world.run("later")
    result = await later.runner(api).execute(None, task, ITEM)
    await later.commits.flush()
    assert result == Note(text="answer to first / answer to second / answer to third")
    assert api.calls == ["third"]
    stored = world.task(type="generate_post")
    assert (stored["attempt_count"], stored["worker_id"]) == (1, "later")


async def test_deaths_use_up_no_attempts(world: DurableWorld) -> None:
    """A process that is killed repeatedly during a task uses no attempt: both are still left."""
    task = asking("first", "second")
    for _ in range(5):
        await killed_at(world, task, "second")
    assert world.task(type="generate_post")["attempt_count"] == 0
    api = ScriptedApi({"second": [InvalidAnswerError("not JSON")]})
    later = await world.run("later")
    await later.runner(api).execute(None, task, ITEM)
    await later.commits.flush()
    assert world.task(type="generate_post")["attempt_count"] == 2


async def test_a_death_in_the_second_attempt_does_not_replay_the_first(world: DurableWorld) -> None:
    """The answers of a failed attempt are not used again: the next run continues with the answers of the second attempt."""
    task = asking("first", "second")
    await killed_at(world, task, "second", {"first": ["old", "new"], "second": [InvalidAnswerError("not JSON")]})
    assert world.task(type="generate_post")["attempt_count"] == 1
    api, later = ScriptedApi(), await world.run("later")
    result = await later.runner(api).execute(None, task, ITEM)
    assert result == Note(text="new / answer to second")
    assert api.calls == ["second"]


async def test_an_attempt_after_a_failure_of_the_platform_uses_the_answers_of_the_first(world: DurableWorld) -> None:
    """Paid answers are used again, also by another run."""
    api, refusals = ScriptedApi(), [True]

    async def publish(parameters: TaskParameters, tools: Asker) -> Note:
        text = await tools.ask("first")
        if refusals:
            refusals.pop()
            tools._steps.outlive_attempt = True
            raise RequestFailedError("INTERNAL, eight times")
        return Note(text=text)

    run = await world.run()
    assert await run.runner(api).execute(None, a_task(publish), ITEM) == Note(text="answer to first")
    await run.commits.flush()
    assert api.calls == ["first"]
    assert world.task(type="generate_post")["attempt_count"] == 2


async def test_a_task_held_by_a_later_owner_is_refused(world: DurableWorld) -> None:
    """A former owner cannot claim a task of the later one, and learns that it lost the world; the claim does not change."""
    former, later = await world.run("former"), await world.run("later")
    api = Hang("first")
    doing = asyncio.create_task(later.runner(api).execute(None, asking("first"), ITEM))  # type: ignore[arg-type]
    await asyncio.wait_for(api.in_flight.wait(), PATIENCE_S)
    own = ScriptedApi()
    with pytest.raises(LeaseLostError):
        await former.runner(own).execute(None, asking("first"), ITEM)
    assert own.calls == []
    assert world.task(type="generate_post")["worker_id"] == "later"
    await cancel_and_wait(doing)


async def test_a_former_owners_result_is_not_written(world: DurableWorld) -> None:
    """A run that loses its world during a call cannot complete the task: result, counters and checkpoints do not change."""
    former = await world.run("former")
    asked, released = asyncio.Event(), asyncio.Event()

    class Slow(ScriptedApi):
        async def answer(self, name: str) -> str:
            asked.set()
            await released.wait()
            return await super().answer(name)

    doing = asyncio.create_task(former.runner(Slow()).execute(None, asking("first"), ITEM))
    await asyncio.wait_for(asked.wait(), PATIENCE_S)
    await world.take("later")
    released.set()
    await doing
    with pytest.raises(LeaseLostError):
        await former.commits.flush()
    stored = world.task(type="generate_post")
    assert (stored["status"], stored["result"]) == ("in_progress", None)
    assert world.status["tasks_completed"] == 0


async def test_a_result_its_follow_ups_and_the_counters_appear_together(world: DurableWorld) -> None:
    """In a snapshot at any moment the counters equal the tasks that they count."""
    run = await world.run()
    runner, parent = run.runner(ScriptedApi(), concurrency=10), asking("first", task_type=TaskType.GENERATE_POST_BATCH)
    child = asking("first")

    def follow_ups(key: str) -> list[TaskSpec]:
        return [TaskSpec(TaskType.GENERATE_POST, TaskParameters(key=f"{key}-p{n:04d}")) for n in range(5)]

    async def family(key: str) -> None:
        await runner.execute(lambda made: follow_ups(key), parent, TaskParameters(key=key))
        await asyncio.gather(*(runner.execute(None, child, spec.parameters) for spec in follow_ups(key)))

    looks = 0
    making = asyncio.gather(*(family(f"c{number:04d}") for number in range(20)))
    while not making.done():
        await look(world)
        looks += 1
    await making
    await run.commits.flush()
    await look(world)
    assert looks > 3
    assert world.status["tasks_completed"] == 20 * 6
    assert world.status["tasks_total"] == 1 + 20 * 6  # the order's own task is the first


async def look(world: DurableWorld) -> None:
    """Compare the counters with the tasks, in one snapshot."""
    async with world.client.start_session(snapshot=True) as session:
        status = await world.database["world_generation_status"].find_one({"_id": world.world_id}, session=session)
        tasks = world.database[TASKS]
        mine = {"world_id": world.world_id}
        counted = {
            "tasks_total": await tasks.count_documents(mine, session=session),
            "tasks_completed": await tasks.count_documents({**mine, "status": "completed"}, session=session),
        }
    assert status is not None
    assert {name: status[name] for name in counted} == counted


async def test_a_task_that_waits_for_its_turn_gives_its_place_to_another(world: DurableWorld) -> None:
    """With one place for tasks, another task is executed while the first one waits. A task that gives up its wait is executed again
    later from its checkpoints, in the same run and the same attempt.
    """
    run, api, other_done = await world.run(), ScriptedApi(), asyncio.Event()
    runner = run.runner(api, concurrency=1)
    waits: list[str] = []

    class GivenUpError(Exception):
        """The wait was given up to save memory."""

    async def wait() -> None:
        waits.append("waits")
        await asyncio.wait_for(other_done.wait(), PATIENCE_S)
        if len(waits) == 1:
            raise GivenUpError

    async def patient(parameters: TaskParameters, tools: Asker) -> Note:
        text = await tools.ask("first")
        await tools.ask("second")  # from now on the first result is durable
        await wait_without_slot(wait)
        return Note(text=text)

    task = a_task(patient)
    first = asyncio.create_task(runner.execute(None, task, ITEM))
    await runner.execute(None, asking("other"), TaskParameters(key="c0000-p0001"))
    other_done.set()
    with pytest.raises(GivenUpError):
        await first
    assert await runner.execute(None, task, ITEM) == Note(text="answer to first")
    assert api.calls.count("first") == 1
    await run.commits.flush()
    stored = world.task(key=ITEM.key)
    assert (stored["status"], stored["attempt_count"]) == ("completed", 1)
    assert await runner.result_of(task, ITEM) == Note(text="answer to first")
    assert await runner.result_of(task, TaskParameters(key="c0000-p0002")) is None


async def test_no_call_is_sent_before_its_cause_is_durable(world: DurableWorld) -> None:
    """At the moment of sending, the parent's result, the task's claim and the reservation are in the database, although no code
    awaited the first two; a call without a reservation waits for the claim.
    """
    world.see[STATUS].update_one({"_id": world.world_id}, {"$set": {"api_call_limits_LLM": 10}})
    run = await world.run()
    ledger, seen = BudgetLedger(run.database, run.commits, run.generation), list[dict[str, Any]]()

    def look() -> None:
        tasks = {task["key"]: task["status"] for task in world.see[TASKS].find({"generation": run.generation})}
        seen.append({**tasks, "in flight": len(world.status["in_flight"])})

    class Sending:
        """The clients of a task, which record what was durable when they sent."""

        def __init__(self, task: TaskContext, steps: Checkpoints) -> None:
            self.task = task

        async def ask(self, api: Api) -> None:
            call: Call[None] = Call(api, "post", self.task.task_id, 0, {}, _unsent)
            if api is Api.PLATFORM:
                await self.task.claimed()
            attempt = await ledger.reserve(call)
            await ledger.confirm(attempt)
            look()
            ledger.finalize(attempt, call, CallOutcome("ok", 0.0))

    def asks(api: Api) -> Any:
        async def ask(parameters: TaskParameters, tools: Sending) -> Note:
            await tools.ask(api)
            return Note(text="asked")

        return a_task(ask)

    runner = run.runner(ScriptedApi(), is_new=True)
    runner._clients = Sending  # type: ignore[assignment]
    for number, api in enumerate((Api.LLM, Api.LLM, Api.PLATFORM)):
        await runner.execute(followed_by(f"c{number + 1}"), asks(api), TaskParameters(key=f"c{number}"))
    assert seen == [
        {"c0": "in_progress", "in flight": 1},
        {"c0": "completed", "c1": "in_progress", "in flight": 1},
        {"c0": "completed", "c1": "completed", "c2": "in_progress", "in flight": 0},
    ]


async def test_a_task_of_a_new_generation_is_not_read(world: DurableWorld) -> None:
    """A task of a new generation cannot exist: it is claimed without being read, whether it was listed before or not, and executed
    once."""
    run, api = await world.run(), ScriptedApi()
    runner = run.runner(api, is_new=True)
    runner._tasks._database = {}  # type: ignore[assignment]  # a read raises
    await runner.execute(followed_by("listed"), asking("first"), ITEM)
    await runner.execute(None, asking("second"), TaskParameters(key="listed"))
    runner._tasks._database = run.database
    assert await runner.execute(None, asking("first"), ITEM) == Note(text="answer to first")
    assert api.calls == ["first", "second"]
    assert world.status["tasks_total"] == 1 + 2
