"""Checkpoints and publications: the answers and the publications of a task survive the death of its process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from generia_assets.catalog import TaskType
from generia_assets.durable.calls.publications import Doubt, Publications
from generia_assets.durable.calls.task_calls import Checkpoints, TaskContext
from generia_assets.durable.collections import PUBLICATIONS, STEPS
from generia_assets.durable.tasks.runner import TaskFailedError
from generia_assets.tasks.task_definition import TaskParameters
from resources.gateway.outcomes import FatalCallError, InvalidAnswerError, OutageTimeoutError, RefusedError, RequestRejectedError
from tests.support.durable_world import Asker, DurableWorld, Note, Run, ScriptedApi, a_task, asking, durable_world


def task(task_id: str = "task-1", *, resumed: bool = False) -> TaskContext:
    return TaskContext(task_id, TaskType.GENERATE_POST_IMAGE, "c0000-p0000", resumed)


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        yield world


def steps(run: Run, *, resumed: bool = False) -> Checkpoints:
    return Checkpoints(run.database, run.commits, "task-1", resumed=resumed)


async def never() -> str:
    raise AssertionError("this call was answered before the death and must not be made again")


async def test_values_refusals_and_invalid_answers_are_replayed_in_their_order(world: DurableWorld) -> None:
    """A resumed task gets exactly the earlier results, including errors with their texts, and calls only for what was never
    answered."""
    run = await world.run()
    log, api = steps(run), ScriptedApi({"b": [RefusedError("no", reason="SPII")], "c": [InvalidAnswerError("cut off", cut=True)]})
    heard: list[Any] = []

    async def ask(log: Checkpoints, name: str) -> None:
        try:
            heard.append(await log.run(lambda: api.answer(name), dump=str, load=str))
        except RefusedError as error:
            heard.append((str(error), error.reason))
        except InvalidAnswerError as error:
            heard.append((str(error), error.cut))
        await run.commits.flush()  # like the reservation of the next call

    for name in "abcd":
        await ask(log, name)
    first, heard = heard, []
    assert first == ["answer to a", ("no", "SPII"), ("cut off", True), "answer to d"]
    run = await world.run("later")
    again = steps(run, resumed=True)
    for name in "abcd":
        await ask(again, name)
    assert heard == first
    assert api.calls == ["a", "b", "c", "d", "d"]  # the last answer was never written, because no call followed


async def test_an_unusable_stored_value_is_requested_again_and_replaced(world: DurableWorld) -> None:
    """The result of a call may be lost (a picture's file), or stored by another version: the call is made again, once."""
    api, gone, kept = ScriptedApi(), "gone", "kept"

    async def is_kept(value: str) -> bool:
        return value != gone

    async def ask(log: Checkpoints, answer: str) -> str:
        api.script["picture"] = [answer]
        return await log.run(lambda: api.answer("picture"), dump=str, load=str, usable=is_kept)

    run = await world.run()
    first = steps(run)
    await ask(first, gone)
    await ask(first, "the next")  # writes the first
    await run.commits.flush()
    run = await world.run("second")
    second = steps(run, resumed=True)
    assert await ask(second, kept) == kept
    await ask(second, "the next")
    await run.commits.flush()
    third = steps(await world.run("third"), resumed=True)
    assert await third.run(never, dump=str, load=str, usable=is_kept) == kept
    assert await third.run(lambda: api.answer("number"), dump=str, load=int) == "answer to number"


class Counter:
    """Sends, and records for each call whether an earlier one was in doubt."""

    def __init__(self) -> None:
        self.in_doubt: list[bool] = []

    async def send(self, key: str, doubt: Doubt) -> str:
        self.in_doubt.append(doubt.exists)
        return f"id-{len(self.in_doubt)}"

    async def send_and_die(self, key: str, doubt: Doubt) -> str:
        await self.send(key, doubt)
        raise asyncio.CancelledError


async def published(
    run: Run, send: Callable[[str, Doubt], Awaitable[str]], *, resumed: bool, log: Checkpoints | None = None
) -> str:
    publications = Publications(run.database, run.commits, "local")
    answer = await publications.once(task(resumed=resumed), log or steps(run), "post", send)
    await run.commits.flush()
    return answer


async def test_an_answered_publication_is_never_sent_again(world: DurableWorld) -> None:
    """A later run reads the platform's answer from the record, without sending."""
    platform = Counter()
    first = await published(await world.run(), platform.send, resumed=False)
    assert await published(await world.run("later"), platform.send, resumed=True) == first
    assert platform.in_doubt == [False]


async def test_a_publication_without_an_answer_is_in_doubt(world: DurableWorld) -> None:
    """It has an intent without an answer: the next run resolves the doubt before it sends; the run after that reads the answer."""
    platform = Counter()
    with pytest.raises(asyncio.CancelledError):
        await published(await world.run(), platform.send_and_die, resumed=False)
    for run_id in ("later", "much later"):
        assert await published(await world.run(run_id), platform.send, resumed=True) == "id-2"
    assert platform.in_doubt == [False, True]


async def test_a_publication_that_failed_before_it_was_sent_is_not_in_doubt(world: DurableWorld) -> None:
    """A post that gave up its turn was never sent: after a resume it is not looked up."""
    platform, run = Counter(), await world.run()

    async def postponed() -> None:
        raise RuntimeError("too many wait")

    with pytest.raises(RuntimeError):
        await Publications(run.database, run.commits, "local").once(task(), steps(run), "post", platform.send, turn=postponed)
    await run.commits.flush()
    await published(run, platform.send, resumed=True)
    assert platform.in_doubt == [False]


async def test_an_answer_that_is_not_written_yet_counts(world: DurableWorld) -> None:
    """A post that was just published is not taken for the next one with the same caption, stored or not."""
    run = await world.run()
    publications = Publications(run.database, run.commits, "local")

    async def send(key: str, _: Doubt) -> str:
        return f"post of {key}"

    answer = await publications.once(task("first"), steps(run), "post", send)
    assert await publications.not_of_others("second:post", [answer, "another"]) == ["another"]
    assert await publications.not_of_others("first:post", [answer]) == [answer]


async def test_the_intent_is_durable_before_anything_is_sent(world: DurableWorld) -> None:
    """At the moment of sending the record has the intent, and the earlier results of the task are written with it."""
    run = await world.run()
    log = steps(run)
    await log.run(lambda: ScriptedApi().answer("learned"), dump=str, load=str)
    seen: list[Any] = []

    async def send(key: str, _: Doubt) -> str:
        intent = world.see[PUBLICATIONS].find_one({"_id": key}) or {}
        seen.append((intent.get("status"), world.see[STEPS].count_documents({"task_id": "task-1"})))
        return "id"

    await published(run, send, resumed=False, log=log)
    assert seen == [("sent", 1)]


async def test_a_task_of_one_call_writes_no_step(world: DurableWorld) -> None:
    """The result of the task contains the last answer, so that most tasks need one write."""
    run = await world.run()
    before = run.commits.transactions
    await run.runner(ScriptedApi()).execute(None, asking("first"), TaskParameters(key="c0000-p0000"))
    await run.commits.flush()
    assert world.see[STEPS].count_documents({}) == 0
    assert run.commits.transactions - before == 2  # listed and claimed before the call; completed


@pytest.mark.parametrize(
    "end", [asyncio.CancelledError(), OutageTimeoutError("the platform is away"), RequestRejectedError("by the platform")], ids=type
)
async def test_a_call_that_was_answered_before_a_run_ended_is_never_repeated(world: DurableWorld, end: BaseException) -> None:
    """A run is stopped, suspended or fails between a task's last answer and its result: only a crash may repeat a call."""
    api, ends = ScriptedApi(), [end]

    async def ask(parameters: TaskParameters, tools: Asker) -> Note:
        answer = await tools.ask("first")
        if ends:
            raise ends.pop()
        return Note(text=answer)

    for run_id in ("first", "later"):
        run = await world.run(run_id)
        runner = run.runner(api)
        runner._planned = {TaskType.GENERATE_POST: 1}  # so that one rejected request ends the run
        with suppress(asyncio.CancelledError, OutageTimeoutError, FatalCallError):
            await runner.execute(None, a_task(ask), TaskParameters(key="c0000-p0000"))
        await run.commits.flush()
    assert api.calls == ["first"]
    assert world.task(type="generate_post")["status"] == "completed"


async def test_the_checkpoints_of_a_failed_task_are_deleted(world: DurableWorld) -> None:
    """The commit that fails the task deletes its checkpoints, so that another try starts from the beginning."""
    run = await world.run()
    failing = run.runner(ScriptedApi({"second": [InvalidAnswerError("no"), InvalidAnswerError("no")]}))
    with pytest.raises(TaskFailedError):
        await failing.execute(None, asking("first", "second"), TaskParameters(key="other"))
    await run.commits.flush()
    assert world.see[STEPS].count_documents({}) == 0
