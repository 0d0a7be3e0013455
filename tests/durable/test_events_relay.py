"""Live events: durable with what they tell about, numbered without gaps, sent in order, at least once, in nobody's way."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from generia_assets.durable.calls.ledger import BudgetLedger
from generia_assets.durable.collections import STATUS, WORLD_EVENTS
from generia_assets.durable.events import relay as relay_module
from generia_assets.durable.events.events import Completed, Failed, StageStarted, WorldCreated
from generia_assets.durable.events.relay import Relay, Sender, catch_up
from generia_assets.durable.leases.changes import Change
from generia_assets.durable.leases.commits import Batch, Commits
from generia_assets.durable.status import Stage
from generia_assets.durable.tasks.control import mark_start_failed, mark_stopped
from generia_assets.processes import start
from resources.gateway.calls import Api
from resources.gateway.outcomes import LeaseLostError
from resources.kafka.resource import KafkaResource
from tests.conftest import python_module
from tests.support.durable_world import DurableWorld, an_order, durable_world, record
from tests.support.live_events import ReceivedEvent, durable, ended, events_kafka, numbers, read_topic, seen_once
from tests.support.waiting import PATIENCE_S, until

AN_EVENT = StageStarted(stage=Stage.POSTS)


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        yield world


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's end waits until all is sent, however slow the machine is."""
    monkeypatch.setattr(relay_module, "CLOSING_SECONDS", PATIENCE_S)


@pytest.fixture
def kafka(broker: str) -> KafkaResource:
    return events_kafka(broker)


class Line:
    """The way to the broker, which can be cut: nothing passes while it is away, and after ``left`` more events it is cut."""

    def __init__(self, kafka: KafkaResource, *, left: int = 1_000_000) -> None:
        self._kafka = kafka
        self.left = left
        self.tries = 0

    def connect(self) -> Sender:
        self.tries += 1
        if self.left == 0:
            raise ConnectionError("the line is cut")
        line, sender = self, self._kafka.progress()

        class Through:
            def __call__(self, key: str, value: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
                if line.left == 0:
                    raise ConnectionError("the line is cut")
                line.left -= 1
                sender(key, value, headers)

            def close(self) -> None:
                sender.close()

        return Through()


def outbox(world: DurableWorld) -> list[dict[str, Any]]:
    return list(world.see[WORLD_EVENTS].find({"world_id": world.world_id}).sort("seq"))


async def tell(commits: Commits, count: int) -> None:
    """So many events, each with a change of its own, as they come."""
    await asyncio.gather(*(commits.commit(Change(increments={"tasks_completed": 1}, events=[AN_EVENT])) for _ in range(count)))


def up_to(seq: int) -> Callable[[list[ReceivedEvent]], bool]:
    """Enough is when this number has come."""
    return lambda events: any(one.body["seq"] >= seq for one in durable(events))


def progress_reached(tasks: int) -> Callable[[list[ReceivedEvent]], bool]:
    """Enough is when the progress of so many tasks has come."""
    return lambda events: any(one.says == "progress" and one.body["tasks_completed"] == tasks for one in events)


async def relayed(world: DurableWorld, connect: Callable[[], Sender], run_id: str = "run-1") -> tuple[Commits, Relay]:
    """A run that writes and tells."""
    session = world.client.start_session()
    fence = await world.take(run_id, session=session)
    relay = Relay(world.database, world.world_id, connect)
    return Commits(session, world.database, fence, outage_timeout=60, on_written=relay.changed), relay


def test_an_order_is_told_with_its_record_once(mongo_client: Any, mongo_database_name: str) -> None:
    """The world's first event stands beside its status record, whoever repeats the order; nothing is told of a refused one."""
    database = mongo_client[mongo_database_name]
    order = an_order("world-1", user_prompt="a town \x1b[31m on a tortoise")
    for _ in range(3):
        record(database, order)
    (event,) = database[WORLD_EVENTS].find()
    assert (event["_id"], event["seq"]) == ("world-1:0000000001", 1)
    created = WorldCreated.model_validate(event["event"])
    assert (created.world_id, created.task_id, created.users_count, created.generation) == ("world-1", order.task_id, 3, None)
    assert created.user_prompt == "a town [31m on a tortoise"
    status = database[STATUS].find_one({"_id": "world-1"})
    assert (status["events_seq"], status["events_sent"], status["events_pending"]) == (1, 0, True)


def test_what_becomes_of_a_world_that_no_run_works_on_is_told_too(mongo_client: Any, mongo_database_name: str) -> None:
    """Stopped before its run came, or a run that could not even begin: told with the record's change, and only if it changed."""
    database = mongo_client[mongo_database_name]
    record(database, an_order("world-1"))
    mark_stopped(database, "world-1")
    mark_start_failed(database, "world-1", "no images today")
    mark_stopped(database, "world-1")  # it has failed: nothing is left to stop
    assert [row["event"]["event_type"] for row in database[WORLD_EVENTS].find().sort("seq")] == [
        "world_created",
        "cancelled",
        "failed",
    ]
    assert (database[STATUS].find_one({"_id": "world-1"}) or {})["events_seq"] == 3


async def test_events_are_numbered_without_gaps_in_the_order_of_their_changes(world: DurableWorld) -> None:
    """However many changes share a transaction, and whatever is undone, each number is given once, in one transaction a batch."""
    run = await world.run()
    await tell(run.commits, 30)
    async with world.client.start_session() as session, await session.start_transaction():
        await run.commits._apply(session, batch=Batch([Change(events=[AN_EVENT] * 5)]))
        await session.abort_transaction()
    batch = Batch([Change(events=[AN_EVENT, Completed()])])
    for _ in range(2):  # what is repeated when the answer does not come
        await run.commits._write(batch)
    assert [row["seq"] for row in outbox(world)] == list(range(1, 34))
    assert [row["event"]["seq"] for row in outbox(world)] == list(range(1, 34))
    assert world.status["events_seq"] == 33
    assert run.commits.transactions <= 2 + 2


async def test_a_former_owner_tells_nothing(world: DurableWorld) -> None:
    """The fence that keeps its changes out keeps out what it has to say."""
    former = await world.run("former")
    await world.take("later")
    with pytest.raises(LeaseLostError):
        await former.commits.commit(Change(events=[Failed(message="I am still here")]))
    assert [row["seq"] for row in outbox(world)] == [1]


async def test_an_ending_tells_where_the_world_stands(world: DurableWorld) -> None:
    """Name, counts and cost are the status record's of the very same transaction."""
    run = await world.run()
    values = {"name": "Tortoise", "current_stage": "finishing"}
    run.commits.enqueue(Change(increments={"posts_created": 6, "llm_cost_total": 0.25}))
    await run.commits.commit(Change(values=values, increments={"image_cost_total": 0.5}, events=[Completed()]))
    ending = Completed.model_validate(outbox(world)[-1]["event"])
    assert (ending.name, ending.posts_created, ending.cost_usd, ending.current_stage) == ("Tortoise", 6, 0.75, Stage.FINISHING)


async def test_waiting_and_going_on_come_in_pairs(world: DurableWorld) -> None:
    """However many calls wait for however many services, one waiting is told, and one going on when its service answers."""
    run = await world.run()
    ledger = BudgetLedger(run.database, run.commits, run.generation)
    since = world.status["created_at"]
    for _ in range(2):
        for api in (Api.LLM, Api.LLM, Api.IMAGE):
            ledger.waiting(api, "503 for a while", since)
        for api in (Api.IMAGE, Api.LLM, Api.LLM):
            ledger.answered(api)
    await run.commits.flush()
    said = [(row["event"]["event_type"], row["event"].get("api") or row["event"].get("after")) for row in outbox(world)[1:]]
    assert said == [("waiting", "llm"), ("going_on", "waiting")] * 2


async def test_all_events_arrive_in_order_under_the_worlds_key_and_are_marked(world: DurableWorld, kafka: KafkaResource) -> None:
    """The topic holds each event once, in one partition; afterwards the world owes nothing, and no watchdog looks at it."""
    commits, relay = await relayed(world, kafka.progress)
    for _ in range(4):
        await tell(commits, 10)
    await commits.commit(Change(values={"status": "completed"}, events=[Completed()]))
    await commits.aclose()
    await relay.aclose()
    events = read_topic(kafka, ended)
    assert numbers(durable(events)) == list(range(1, 43))
    assert [one.body for one in durable(events)] == [row["event"] for row in outbox(world)]
    assert {one.key for one in events} == {world.world_id}
    assert len({one.partition for one in events}) == 1
    status = world.status
    assert (status["events_sent"], "events_pending" in status) == (42, False)


async def test_progress_is_told_at_most_twice_a_second_between_events_and_never_kept(
    world: DurableWorld, kafka: KafkaResource
) -> None:
    """It carries the number of the event before it, says something new each time, and ends where the world's work ends."""
    commits, relay = await relayed(world, kafka.progress)
    began = time.monotonic()
    await commits.commit(Change(values={"status": "in_progress"}))
    for number in range(25):
        await commits.commit(Change(increments={"tasks_completed": 1}, events=[AN_EVENT] if number % 5 == 0 else ()))
        await asyncio.sleep(0.06)
    await asyncio.to_thread(read_topic, kafka, progress_reached(25))  # though nothing happens any more
    took = time.monotonic() - began
    await commits.commit(Change(values={"status": "completed"}, events=[Completed()]))
    await commits.aclose()
    await relay.aclose()
    events = read_topic(kafka, ended)
    progress = [one for one in events if one.body["event_type"] == "progress"]
    assert 2 <= len(progress) <= 1 + took / 0.5
    assert progress[-1].body["tasks_completed"] == 25
    completed = [one.body["tasks_completed"] for one in progress]
    assert completed == sorted(set(completed))
    assert numbers(events) == sorted(numbers(events))
    assert events[-1].body["event_type"] == "completed"
    assert "progress" not in {row["event"]["event_type"] for row in outbox(world)}


async def test_what_an_outage_of_kafka_holds_up_is_caught_up_in_order_and_nothing_waits_for_it(
    world: DurableWorld, kafka: KafkaResource, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut in the middle of sending: the world writes on, one line says that events wait, one that they are caught up."""
    monkeypatch.setattr("generia_assets.durable.events.relay.FIRST_WAIT_SECONDS", 0.05)
    monkeypatch.setattr("generia_assets.durable.events.relay.MOST_FRESH", 10)  # what is too much for memory is read again
    line = Line(kafka, left=7)
    with caplog.at_level(logging.WARNING, logger="generia_assets"):
        commits, relay = await relayed(world, line.connect)
        await tell(commits, 20)
        await until(lambda: line.tries >= 3)
        await tell(commits, 20)  # while Kafka is away
        line.left = 1_000_000
        await until(lambda: len(caplog.records) >= 2)
        await commits.commit(Change(events=[Completed()]))
        await commits.aclose()
        await relay.aclose()
    events = read_topic(kafka, ended)
    assert numbers(seen_once(events)) == list(range(1, 43))
    waited, again = [entry.getMessage() for entry in caplog.records]
    assert "wait in the outbox, the generation goes on" in waited
    assert "Kafka answers again" in again


async def test_what_a_run_sent_and_had_not_noted_when_it_died_is_sent_again(
    world: DurableWorld, kafka: KafkaResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run begins where the last note is: numbers repeat, none is missing, and their order stays."""
    commits, killed = await relayed(world, kafka.progress)
    await tell(commits, 10)
    await until(lambda: world.status["events_sent"] > 0)
    monkeypatch.setattr(relay_module, "MARK_SECONDS", 3_600.0)
    await tell(commits, 10)
    await asyncio.to_thread(read_topic, kafka, up_to(21))
    killed._sending.cancel()  # between sending and noting
    assert world.status["events_sent"] < 21
    later, relay = await relayed(world, kafka.progress, "run-2")
    await later.commit(Change(events=[Completed()]))
    await later.aclose()
    await relay.aclose()
    events = durable(read_topic(kafka, ended))
    assert numbers(seen_once(events)) == list(range(1, 23))
    assert len(events) > 22
    with pytest.raises(LeaseLostError):
        await commits.commit(Change())
    await commits.aclose()


@contextmanager
def a_broker_that_hangs(home: Path) -> Any:
    """A broker of the test's own that has stopped answering, without closing anything, after it was connected to."""
    with start("broker", python_module("local_services.broker"), log_path=home / "server.log") as server:
        yield server.ready_value, partial(os.kill, server.pid, signal.SIGSTOP)
        os.kill(server.pid, signal.SIGKILL)


async def test_a_broker_that_hangs_holds_up_a_runs_end_for_moments_only_and_the_rest_is_caught_up(
    world: DurableWorld, kafka: KafkaResource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watchdog's catching up sends what the run left, from its note on; a second time there is nothing to send."""
    with a_broker_that_hangs(tmp_path) as (address, hang):
        hanging = events_kafka(address)
        commits, relay = await relayed(world, hanging.progress)
        await tell(commits, 3)
        await until(lambda: world.status["events_sent"] >= 1)
        hang()
        monkeypatch.setattr(relay_module, "CLOSING_SECONDS", 2.0)
        before = time.monotonic()
        await commits.commit(Change(values={"status": "completed", "owner.run_id": None}, events=[Completed()]))
        await commits.aclose()
        await relay.aclose()
        assert time.monotonic() - before < 15
        assert world.status["events_pending"] is True
        sent_before = world.status["events_sent"]
        caught_up = partial(catch_up, world.see, kafka.progress, silence_seconds=60, seconds=PATIENCE_S)
        assert await asyncio.to_thread(caught_up) == 5 - sent_before
        assert await asyncio.to_thread(caught_up) == 0
        assert numbers(read_topic(kafka, ended)) == list(range(sent_before + 1, 6))
        assert "events_pending" not in world.status


async def test_events_of_a_world_that_a_run_works_on_are_left_to_that_run(world: DurableWorld, kafka: KafkaResource) -> None:
    """The watchdog sends for nobody's worlds, and for those whose owner has been silent for long."""
    run = await world.run()
    await tell(run.commits, 2)
    caught_up = partial(catch_up, world.see, kafka.progress, silence_seconds=60, seconds=PATIENCE_S)
    assert await asyncio.to_thread(caught_up) == 0
    world.see[STATUS].update_one(
        {"_id": world.world_id}, [{"$set": {"owner.expires_at": {"$add": ["$owner.expires_at", -300_000]}}}]
    )
    assert await asyncio.to_thread(caught_up) == 3
