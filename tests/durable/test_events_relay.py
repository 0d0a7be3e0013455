"""Live events: durable together with their change, numbered without gaps, sent in order and at least once, without delaying a
run."""

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
from generia_assets.durable.events.relay import Relay, catch_up
from generia_assets.durable.leases.changes import Change
from generia_assets.durable.leases.commits import Batch, Commits
from generia_assets.durable.status import Stage
from generia_assets.durable.tasks.control import mark_start_failed, mark_stopped
from generia_assets.processes import start
from resources.gateway.calls import Api
from resources.gateway.outcomes import LeaseLostError
from resources.kafka.producer import InOrder
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
    """The end of a run waits until all events are sent, however slow the machine is."""
    monkeypatch.setattr(relay_module, "CLOSING_SECONDS", PATIENCE_S)


@pytest.fixture
def kafka(broker: str) -> KafkaResource:
    return events_kafka(broker)


class Line:
    """The connection to the broker, which can be cut: no event passes while it is cut, and it is cut after ``left`` more events."""

    def __init__(self, kafka: KafkaResource, *, left: int = 1_000_000) -> None:
        self._kafka = kafka
        self.left = left
        self.tries = 0

    def connect(self) -> InOrder:
        self.tries += 1
        if self.left == 0:
            raise ConnectionError("the line is cut")
        line = self

        class Through(InOrder):
            def __call__(self, key: str, value: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
                if line.left == 0:
                    raise ConnectionError("the line is cut")
                line.left -= 1
                super().__call__(key, value, headers)

        return Through(self._kafka.producer(), self._kafka.settings.kafka_progress_topic)


def outbox(world: DurableWorld) -> list[dict[str, Any]]:
    return list(world.see[WORLD_EVENTS].find({"world_id": world.world_id}).sort("seq"))


async def tell(commits: Commits, count: int) -> None:
    """Enqueue this number of events, each with its own change."""
    await asyncio.gather(*(commits.commit(Change(increments={"tasks_completed": 1}, events=[AN_EVENT])) for _ in range(count)))


def up_to(seq: int) -> Callable[[list[ReceivedEvent]], bool]:
    """A condition for ``read_topic``: this number has arrived."""
    return lambda events: any(one.body["seq"] >= seq for one in durable(events))


def progress_reached(tasks: int) -> Callable[[list[ReceivedEvent]], bool]:
    """A condition for ``read_topic``: the progress of this number of tasks has arrived."""
    return lambda events: any(one.says == "progress" and one.body["tasks_completed"] == tasks for one in events)


async def relayed(world: DurableWorld, connect: Callable[[], InOrder], run_id: str = "run-1") -> tuple[Commits, Relay]:
    """A run with a relay."""
    session = world.client.start_session()
    fence = await world.take(run_id, session=session)
    relay = Relay(world.database, world.world_id, connect)
    return Commits(session, world.database, fence, outage_timeout=60, on_written=relay.changed), relay


def test_the_event_of_an_order_is_written_once_with_its_record(mongo_client: Any, mongo_database_name: str) -> None:
    """The world's first event is written with its status record, however often the order is repeated; a refused order has no
    event."""
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


def test_changes_of_a_world_without_a_run_have_events_too(mongo_client: Any, mongo_database_name: str) -> None:
    """A world that is stopped before its run, and a run that could not start: the event is written with the change of the record,
    and only if there is one."""
    database = mongo_client[mongo_database_name]
    record(database, an_order("world-1"))
    mark_stopped(database, "world-1")
    mark_start_failed(database, "world-1", "no images today")
    mark_stopped(database, "world-1")  # it has failed: it cannot be stopped
    assert [row["event"]["event_type"] for row in database[WORLD_EVENTS].find().sort("seq")] == [
        "world_created",
        "cancelled",
        "failed",
    ]
    assert (database[STATUS].find_one({"_id": "world-1"}) or {})["events_seq"] == 3


async def test_events_are_numbered_without_gaps_in_the_order_of_their_changes(world: DurableWorld) -> None:
    """For any number of changes in a transaction, and after undone transactions, each number is used once, and a batch is one
    transaction."""
    run = await world.run()
    await tell(run.commits, 30)
    async with world.client.start_session() as session, await session.start_transaction():
        await run.commits._apply(session, batch=Batch([Change(events=[AN_EVENT] * 5)]))
        await session.abort_transaction()
    batch = Batch([Change(events=[AN_EVENT, Completed()])])
    for _ in range(2):  # repeated when the answer is lost
        await run.commits._write(batch)
    assert [row["seq"] for row in outbox(world)] == list(range(1, 34))
    assert [row["event"]["seq"] for row in outbox(world)] == list(range(1, 34))
    assert world.status["events_seq"] == 33
    assert run.commits.transactions <= 2 + 2


async def test_a_former_owner_writes_no_event(world: DurableWorld) -> None:
    """The fencing token that refuses its changes also refuses its events."""
    former = await world.run("former")
    await world.take("later")
    with pytest.raises(LeaseLostError):
        await former.commits.commit(Change(events=[Failed(message="I am still here")]))
    assert [row["seq"] for row in outbox(world)] == [1]


async def test_a_final_event_has_the_figures_of_the_world(world: DurableWorld) -> None:
    """Name, counts and cost are those of the status record in the same transaction."""
    run = await world.run()
    values = {"name": "Tortoise", "current_stage": "finishing"}
    run.commits.enqueue(Change(increments={"posts_created": 6, "llm_cost_total": 0.25}))
    await run.commits.commit(Change(values=values, increments={"image_cost_total": 0.5}, events=[Completed()]))
    ending = Completed.model_validate(outbox(world)[-1]["event"])
    assert (ending.name, ending.posts_created, ending.cost_usd, ending.current_stage) == ("Tortoise", 6, 0.75, Stage.FINISHING)


async def test_waiting_and_going_on_events_come_in_pairs(world: DurableWorld) -> None:
    """For any number of calls that wait for a service there is one event for the wait, and one when the service answers."""
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
    """The topic has each event once, in one partition; afterwards the outbox has no unsent event, and the watchdog ignores the
    world."""
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


async def test_progress_is_sent_at_most_twice_a_second_between_events_and_never_stored(
    world: DurableWorld, kafka: KafkaResource
) -> None:
    """It has the number of the event before it, changes each time, and ends with the world's work."""
    commits, relay = await relayed(world, kafka.progress)
    began = time.monotonic()
    await commits.commit(Change(values={"status": "in_progress"}))
    for number in range(25):
        await commits.commit(Change(increments={"tasks_completed": 1}, events=[AN_EVENT] if number % 5 == 0 else ()))
        await asyncio.sleep(0.06)
    await asyncio.to_thread(read_topic, kafka, progress_reached(25))  # although nothing happens any more
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


async def test_events_that_an_outage_of_kafka_delayed_are_sent_later_in_order_and_nothing_waits_for_them(
    world: DurableWorld, kafka: KafkaResource, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is cut during sending: the world continues, one log line says that events wait, and one that they were
    sent."""
    monkeypatch.setattr("generia_assets.durable.events.relay.FIRST_WAIT_SECONDS", 0.05)
    monkeypatch.setattr("generia_assets.durable.events.relay.MOST_FRESH", 10)  # events that do not fit into memory are read again
    line = Line(kafka, left=7)
    with caplog.at_level(logging.WARNING, logger="generia_assets"):
        commits, relay = await relayed(world, line.connect)
        await tell(commits, 20)
        await until(lambda: line.tries >= 3)
        await tell(commits, 20)  # while Kafka is unavailable
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


async def test_events_that_a_dead_run_sent_without_a_note_are_sent_again(
    world: DurableWorld, kafka: KafkaResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run starts at the last note: numbers repeat, none is missing, and the order stays."""
    commits, killed = await relayed(world, kafka.progress)
    await tell(commits, 10)
    await until(lambda: world.status["events_sent"] > 0)
    monkeypatch.setattr(relay_module, "MARK_SECONDS", 3_600.0)
    await tell(commits, 10)
    await asyncio.to_thread(read_topic, kafka, up_to(21))
    killed._sending.cancel()  # between the sending and the note
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
    """The test's own broker, which stops answering after the connection was made, without closing it."""
    with start("broker", python_module("local_services.broker"), log_path=home / "server.log") as server:
        yield server.ready_value, partial(os.kill, server.pid, signal.SIGSTOP)
        os.kill(server.pid, signal.SIGKILL)


async def test_a_hanging_broker_delays_the_end_of_a_run_only_briefly_and_the_rest_is_sent_later(
    world: DurableWorld, kafka: KafkaResource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watchdog sends the events that the run left, from its note on; the second time there is nothing to send."""
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


async def test_the_watchdog_sends_no_events_of_a_world_with_a_live_run(world: DurableWorld, kafka: KafkaResource) -> None:
    """It sends events of worlds without an owner, and of those whose owner has been silent for long."""
    run = await world.run()
    await tell(run.commits, 2)
    caught_up = partial(catch_up, world.see, kafka.progress, silence_seconds=60, seconds=PATIENCE_S)
    assert await asyncio.to_thread(caught_up) == 0
    world.see[STATUS].update_one(
        {"_id": world.world_id}, [{"$set": {"owner.expires_at": {"$add": ["$owner.expires_at", -300_000]}}}]
    )
    assert await asyncio.to_thread(caught_up) == 3
