"""The Kafka sensor against a real MongoDB and a broker that speaks the protocol: what a tick reads, records, requests and keeps."""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pymongo import MongoClient

from generia_assets.dagster_internals import PRIORITY_TAG
from generia_assets.durable.orders.decisions import TASK_TAG
from generia_assets.processes import Child, start
from resources.mongodb.connection import MongoResource
from tests.support.kafka_stand_in import (
    Ticks,
    dead_letters,
    headers,
    kafka_resource,
    kafka_threads,
    order,
    queued_run,
    run_keys,
    send,
    sensor_settings,
)
from tests.support.waiting import wait_for

NOBODY = "mongodb://127.0.0.1:1/?directConnection=true&serverSelectionTimeoutMS=200"


@pytest.fixture
def mongo(mongodb_uri: str, mongo_database_name: str) -> MongoResource:
    return MongoResource(uri=mongodb_uri, database=mongo_database_name)


@pytest.fixture
def ticks(instance: dg.DagsterInstance, broker: str, mongo: MongoResource) -> Ticks:
    return Ticks(instance, kafka_resource(broker, f"orders-{uuid.uuid4().hex[:8]}"), mongo)


def own_broker(home: Path, topics: str) -> Child:
    return start("broker", [sys.executable, "-m", "local_services.broker", "--topics", topics], log_path=home / "broker.log")


def test_an_order_is_recorded_and_requested_in_the_same_tick(
    ticks: Ticks, mongo_client: MongoClient[dict[str, Any]], mongo: MongoResource
) -> None:
    """After one tick the task and the status record exist, and one run of the world's partition is requested, by task id."""
    message = order()
    send(ticks.kafka, message)
    data = ticks.tick()
    (request,) = data.run_requests or []
    assert (request.run_key, request.partition_key) == (message["task_id"], message["world_id"])
    assert request.tags[TASK_TAG] == message["task_id"]
    assert request.asset_selection is None
    (partitions,) = data.dynamic_partitions_requests or []
    assert list(partitions.partition_keys) == [message["world_id"]]
    database = mongo_client[mongo.database]
    assert database["tasks"].find_one({"_id": message["task_id"]})["status"] == "pending"
    assert database["world_generation_status"].find_one({"_id": message["world_id"]})["users_predicted"] == 3


def test_a_repeated_message_makes_no_second_world(ticks: Ticks, mongo_client: MongoClient[dict[str, Any]]) -> None:
    """However often a message comes, every request for it carries the same run key, once per tick, and there is one task."""
    message = order()
    send(ticks.kafka, message, message)
    assert run_keys(ticks.tick()) == [message["task_id"]]
    send(ticks.kafka, message)
    assert run_keys(ticks.tick()) == [message["task_id"]]
    assert mongo_client[ticks.mongo.database]["tasks"].count_documents({}) == 1


def test_a_finished_order_is_not_requested_again(ticks: Ticks, mongo_client: MongoClient[dict[str, Any]]) -> None:
    """An order whose task is completed asks for no run, even when Dagster has forgotten the first one."""
    message = order()
    send(ticks.kafka, message)
    ticks.tick()
    mongo_client[ticks.mongo.database]["tasks"].update_one({"_id": message["task_id"]}, {"$set": {"status": "completed"}})
    send(ticks.kafka, message)
    data = ticks.tick()
    assert not data.run_requests
    assert data.skip_message == "1 messages: 1 finished before"


def test_a_broken_message_among_good_ones_stops_nobody(ticks: Ticks) -> None:
    """A broken message becomes a dead letter with its bytes, key, reason and place; its neighbours run; nothing is read twice."""
    first, last = order(), order()
    broken = b'{"event_type": "task_created", "task_id": "a...b"}\x00'
    send(ticks.kafka, first, broken, order(event_type="task_updated"), last)
    assert run_keys(ticks.tick()) == [first["task_id"], last["task_id"]]
    (letter,) = dead_letters(ticks.kafka, 1)
    assert (letter.value, letter.key) == (broken, b"one partition")
    place = headers(letter)
    assert place.pop("reason").startswith("value: not JSON")
    assert place == {
        "topic": ticks.kafka.settings.kafka_tasks_topic,
        "partition": max(ticks.offsets(), key=lambda name: ticks.offsets()[name]),
        "offset": "1",
    }
    assert sum(ticks.offsets().values()) == 4
    assert ticks.tick().skip_message == f"no message in {ticks.kafka.settings.kafka_tasks_topic}"


def test_other_events_are_skipped_without_a_dead_letter(ticks: Ticks) -> None:
    """An event of another type is no error: no run, no dead letter, and the cursor is past it."""
    send(ticks.kafka, {"event_type": "task_updated", "anything": [1, 2]})
    assert ticks.tick().skip_message == "1 messages: 1 not for us"
    assert sum(ticks.offsets().values()) == 1
    assert dead_letters(ticks.kafka, 1) == []


def test_an_id_used_before_with_other_parameters_is_a_dead_letter(ticks: Ticks) -> None:
    """A task id or world id that MongoDB knows with other contents is refused with a reason that names the field."""
    known = order()
    more = dict(known["parameters"], users_count=4)
    send(ticks.kafka, known, known | {"parameters": more}, order(world_id=known["world_id"]), order(parameters=None))
    assert run_keys(ticks.tick()) == [known["task_id"]]
    reasons = [headers(letter)["reason"] for letter in dead_letters(ticks.kafka, 3)]
    assert [reason.split("=")[0].split(":")[0] for reason in reasons] == ["parameters.users_count", "world_id", "parameters"]


def test_a_task_of_the_platform_that_is_broken_is_a_dead_letter(ticks: Ticks, mongo_client: MongoClient[dict[str, Any]]) -> None:
    """A task that the platform inserted badly blocks nobody: the order that points to it is refused by the missing field's name."""
    broken, good = order(), order()
    mongo_client[ticks.mongo.database]["tasks"].insert_one({"_id": broken["task_id"], "type": "init_world_creation"})
    send(ticks.kafka, broken, good)
    assert run_keys(ticks.tick()) == [good["task_id"]]
    (letter,) = dead_letters(ticks.kafka, 1)
    assert headers(letter)["reason"].startswith("parameters, status, world_id: missing")


@pytest.mark.parametrize("said", [None, {"user_prompt": "a sun of lead", "users_count": 2, "posts_count": 1}])
def test_parameters_of_mongodb_stand(ticks: Ticks, mongo_client: MongoClient[dict[str, Any]], said: dict[str, Any] | None) -> None:
    """A message orders what MongoDB holds under its task id, be its own parameters absent or others."""
    message = order(parameters=said)
    database = mongo_client[ticks.mongo.database]
    database["tasks"].insert_one(
        {
            "_id": message["task_id"],
            "type": "init_world_creation",
            "world_id": message["world_id"],
            "status": "pending",
            "parameters": {"user_prompt": "a moon of glass", "users_count": 7, "posts_count": 0},
        }
    )
    send(ticks.kafka, message)
    assert run_keys(ticks.tick()) == [message["task_id"]]
    assert database["world_generation_status"].find_one({"_id": message["world_id"]})["users_predicted"] == 7


def test_a_giant_is_kept_by_its_beginning(ticks: Ticks) -> None:
    """A message of 3 MB is not parsed; its dead letter holds its beginning, and says that the whole is at its place."""
    large = json.dumps(order(parameters={"user_prompt": "x" * 3_000_000})).encode()
    send(ticks.kafka, large)
    assert "at most 1048576 are read" in str(ticks.tick().skip_message)
    (letter,) = dead_letters(ticks.kafka, 1)
    assert large.startswith(letter.value)
    assert f"of {len(large)} bytes" in headers(letter)["cut"]


def test_a_part_is_ordered_for_a_world_that_exists(ticks: Ticks) -> None:
    """One of the other task types requests its asset of an existing world, with what is made of that."""
    world = order()
    part = {"task_type": "generate_character", "parameters": {"keys": ["c0001", "c0002"]}}
    again, nowhere = order(world_id=world["world_id"], **part), order(**part)
    send(ticks.kafka, world, again, nowhere)
    whole, request = ticks.tick().run_requests or []
    assert (whole.run_key, request.run_key) == (world["task_id"], again["task_id"])
    made = ["characters", "character_avatars", "post_briefs", "posts", "post_images"]
    assert request.asset_selection == [dg.AssetKey(name) for name in made]
    (letter,) = dead_letters(ticks.kafka, 1)
    assert "no such world" in headers(letter)["reason"]


def test_all_partitions_are_read(ticks: Ticks) -> None:
    """Orders spread over a topic's partitions all arrive, each partition with an offset of its own."""
    messages = [order() for _ in range(12)]
    for message in messages:
        send(ticks.kafka, message, key=str(message["world_id"]).encode())
    assert sorted(map(str, run_keys(ticks.tick()))) == sorted(str(message["task_id"]) for message in messages)
    assert sum(1 for offset in ticks.offsets().values() if offset) > 1


def test_a_tick_takes_no_more_than_its_share(ticks: Ticks) -> None:
    """At most ``sensor_max_records`` messages are taken by a tick; the next one goes on where it ended."""
    messages = [order() for _ in range(5)]
    ticks.settings = sensor_settings(sensor_max_records=3)
    send(ticks.kafka, *messages)
    taken = [run_keys(ticks.tick()), run_keys(ticks.tick())]
    assert taken == [[message["task_id"] for message in part] for part in (messages[:3], messages[3:])]


def test_a_topic_may_come_later(ticks: Ticks) -> None:
    """While the topic does not exist the tick is skipped and creates nothing; the first message in it is then read."""
    assert ticks.tick().skip_message == f"topic {ticks.kafka.settings.kafka_tasks_topic} does not exist yet"
    assert ticks.tick().skip_message == f"topic {ticks.kafka.settings.kafka_tasks_topic} does not exist yet"
    message = order()
    send(ticks.kafka, message)
    assert run_keys(ticks.tick()) == [message["task_id"]]


def test_a_message_ends_the_wait(ticks: Ticks) -> None:
    """A message that comes while the tick waits is taken at once and not at the end of the poll."""
    send(ticks.kafka, order())
    ticks.tick()
    ticks.settings = sensor_settings(sensor_poll_seconds=20)
    message = order()
    later = threading.Timer(0.5, send, (ticks.kafka, message))
    later.start()
    started = time.monotonic()
    assert run_keys(ticks.tick()) == [message["task_id"]]
    assert time.monotonic() - started < 15
    later.join()


def test_a_cursor_beyond_the_end_starts_over(ticks: Ticks) -> None:
    """A cursor beyond the log's end goes back to the earliest message instead of waiting for the log to grow that long."""
    message = order()
    send(ticks.kafka, message)
    ticks.tick()
    cursor = json.loads(ticks.cursor or "")
    ticks.cursor = json.dumps(cursor | {"offsets": dict.fromkeys(cursor["offsets"], 1_000)})
    assert run_keys(ticks.tick()) == [message["task_id"]]


def test_another_broker_under_the_same_name_is_read_from_its_start(ticks: Ticks, tmp_path: Path) -> None:
    """When the cluster was made anew no message is missed, although its log is longer than the cursor's offset already."""
    topic = ticks.kafka.settings.kafka_tasks_topic
    send(ticks.kafka, order())
    ticks.tick()
    with own_broker(tmp_path, f"{topic}:4") as other:
        ticks.kafka = kafka_resource(other.ready_value, topic)
        messages = [order(), order()]
        send(ticks.kafka, *messages)
        assert run_keys(ticks.tick()) == [message["task_id"] for message in messages]


def test_without_mongodb_nothing_is_lost(ticks: Ticks, mongo: MongoResource) -> None:
    """While MongoDB is away, what needs it waits in Kafka and what does not is done; the skip says who did not answer."""
    assert ticks.tick().skip_message == f"topic {ticks.kafka.settings.kafka_tasks_topic} does not exist yet"
    send(ticks.kafka, {"event_type": "task_updated"})
    ticks.tick()  # the place in the topic is known from now on
    message = order()
    send(ticks.kafka, b"broken", message)
    ticks.mongo = MongoResource(uri=NOBODY, database=mongo.database)
    data = ticks.tick()
    assert not data.run_requests
    assert "MongoDB at 127.0.0.1:1 did not answer" in str(data.skip_message)
    assert sum(ticks.offsets().values()) == 2
    ticks.mongo = mongo
    assert run_keys(ticks.tick()) == [message["task_id"]]
    assert len(dead_letters(ticks.kafka, 1)) == 1


def test_without_a_broker_the_tick_is_skipped(ticks: Ticks, tmp_path: Path) -> None:
    """A broker that goes away makes a skip that names the address and keeps the cursor, and leaves no thread behind."""
    before = kafka_threads()
    with own_broker(tmp_path, f"{ticks.kafka.settings.kafka_tasks_topic}:1") as broker:
        ticks.kafka = kafka_resource(broker.ready_value, ticks.kafka.settings.kafka_tasks_topic)
        send(ticks.kafka, order())
        ticks.tick()
        cursor = ticks.cursor
        broker.stop()
    for _ in range(2):
        data = ticks.tick()
        assert f"Kafka at {ticks.kafka.settings.kafka_bootstrap_servers} did not answer" in str(data.skip_message)
        assert "make dev" in str(data.skip_message)
        assert ticks.cursor == cursor
    wait_for(lambda: kafka_threads() <= before)


def test_while_the_queue_is_full_worlds_are_recorded_and_only_those_of_a_higher_priority_get_their_runs(
    ticks: Ticks, instance: dg.DagsterInstance, mongo_client: MongoClient[dict[str, Any]]
) -> None:
    """More runs are queued than the limit: nobody waits for his world's page, and an order above 0 for no other order.

    When there is room again, a later order does not go before those that wait.
    """
    ticks.settings = sensor_settings(sensor_max_queued_runs=1)
    plain, later, urgent = order(), order(), order()
    urgent["parameters"]["priority"] = 3
    send(ticks.kafka, plain, urgent)
    queued = [instance.add_run(queued_run()) for _ in range(2)]
    (request,) = ticks.tick().run_requests or []
    assert (request.run_key, request.tags[PRIORITY_TAG]) == (urgent["task_id"], "3")
    status = mongo_client[ticks.mongo.database]["world_generation_status"]
    assert status.find_one({"_id": plain["world_id"]})["deferred"]  # type: ignore[index]
    instance.delete_run(queued[0].run_id)
    send(ticks.kafka, later)
    assert "1 order waits for room in the queue" in str(ticks.tick().skip_message)
    status.update_many({"deferred": True}, {"$set": {"status": "in_progress"}})
    send(ticks.kafka, last := order())
    assert run_keys(ticks.tick()) == [last["task_id"]]
