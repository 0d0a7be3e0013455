"""The Kafka sensor with a real MongoDB and a broker that speaks the protocol: what a tick reads, records, requests and stores."""

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
from tests.support.kafka_ticks import (
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


def test_an_order_is_recorded_and_its_run_requested_in_the_same_tick(
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


def test_a_repeated_message_creates_no_second_world(ticks: Ticks, mongo_client: MongoClient[dict[str, Any]]) -> None:
    """For a repeated message every run request has the same run key, once for each tick, and there is one task."""
    message = order()
    send(ticks.kafka, message, message)
    assert run_keys(ticks.tick()) == [message["task_id"]]
    send(ticks.kafka, message)
    assert run_keys(ticks.tick()) == [message["task_id"]]
    assert mongo_client[ticks.mongo.database]["tasks"].count_documents({}) == 1


def test_a_finished_order_is_not_requested_again(ticks: Ticks, mongo_client: MongoClient[dict[str, Any]]) -> None:
    """An order whose task is completed requests no run, even if Dagster has lost the first one."""
    message = order()
    send(ticks.kafka, message)
    ticks.tick()
    mongo_client[ticks.mongo.database]["tasks"].update_one({"_id": message["task_id"]}, {"$set": {"status": "completed"}})
    send(ticks.kafka, message)
    data = ticks.tick()
    assert not data.run_requests
    assert data.skip_message == "1 messages: 1 finished before"


def test_an_invalid_message_does_not_affect_the_valid_ones(ticks: Ticks) -> None:
    """It becomes a dead letter with its bytes, key, reason and place; the other orders run; nothing is read twice."""
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
    """An event of another type is not an error: no run, no dead letter, and the cursor passes it."""
    send(ticks.kafka, {"event_type": "task_updated", "anything": [1, 2]})
    assert ticks.tick().skip_message == "1 messages: 1 not for us"
    assert sum(ticks.offsets().values()) == 1
    assert dead_letters(ticks.kafka, 1) == []


def test_an_id_used_before_with_other_parameters_is_a_dead_letter(ticks: Ticks) -> None:
    """A task id or world id with other contents in MongoDB is refused with a reason that names the field."""
    known = order()
    more = dict(known["parameters"], users_count=4)
    send(ticks.kafka, known, known | {"parameters": more}, order(world_id=known["world_id"]), order(parameters=None))
    assert run_keys(ticks.tick()) == [known["task_id"]]
    reasons = [headers(letter)["reason"] for letter in dead_letters(ticks.kafka, 3)]
    assert [reason.split("=")[0].split(":")[0] for reason in reasons] == ["parameters.users_count", "world_id", "parameters"]


def test_an_order_whose_platform_task_is_invalid_is_a_dead_letter(ticks: Ticks, mongo_client: MongoClient[dict[str, Any]]) -> None:
    """An invalid task of the platform blocks no other order: its order is refused by the name of the missing field."""
    broken, good = order(), order()
    mongo_client[ticks.mongo.database]["tasks"].insert_one({"_id": broken["task_id"], "type": "init_world_creation"})
    send(ticks.kafka, broken, good)
    assert run_keys(ticks.tick()) == [good["task_id"]]
    (letter,) = dead_letters(ticks.kafka, 1)
    assert headers(letter)["reason"].startswith("parameters, status, world_id: missing")


@pytest.mark.parametrize("said", [None, {"user_prompt": "a sun of lead", "users_count": 2, "posts_count": 1}])
def test_parameters_in_mongodb_override_the_message(
    ticks: Ticks, mongo_client: MongoClient[dict[str, Any]], said: dict[str, Any] | None
) -> None:
    """A message orders what MongoDB has under its task id, whether its own parameters are missing or different."""
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


def test_of_a_giant_message_the_beginning_is_kept(ticks: Ticks) -> None:
    """A message of 3 MB is not parsed; its dead letter has its beginning, and the place of the whole message."""
    large = json.dumps(order(parameters={"user_prompt": "x" * 3_000_000})).encode()
    send(ticks.kafka, large)
    assert "at most 1048576 are read" in str(ticks.tick().skip_message)
    (letter,) = dead_letters(ticks.kafka, 1)
    assert large.startswith(letter.value)
    assert f"of {len(large)} bytes" in headers(letter)["cut"]


def test_a_part_is_ordered_for_a_world_that_exists(ticks: Ticks) -> None:
    """Each of the other task types requests its asset of an existing world, with its downstream assets."""
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
    """Orders in all partitions of a topic are read, and each partition has its own offset."""
    messages = [order() for _ in range(12)]
    for message in messages:
        send(ticks.kafka, message, key=str(message["world_id"]).encode())
    assert sorted(map(str, run_keys(ticks.tick()))) == sorted(str(message["task_id"]) for message in messages)
    assert sum(1 for offset in ticks.offsets().values() if offset) > 1


def test_a_tick_takes_a_bounded_number_of_messages(ticks: Ticks) -> None:
    """A tick takes at most ``sensor_max_records`` messages; the next one continues where it ended."""
    messages = [order() for _ in range(5)]
    ticks.settings = sensor_settings(sensor_max_records=3)
    send(ticks.kafka, *messages)
    taken = [run_keys(ticks.tick()), run_keys(ticks.tick())]
    assert taken == [[message["task_id"] for message in part] for part in (messages[:3], messages[3:])]


def test_a_topic_may_be_created_later(ticks: Ticks) -> None:
    """While the topic does not exist the tick is skipped and creates nothing; the first message in it is then read."""
    assert ticks.tick().skip_message == f"topic {ticks.kafka.settings.kafka_tasks_topic} does not exist yet"
    assert ticks.tick().skip_message == f"topic {ticks.kafka.settings.kafka_tasks_topic} does not exist yet"
    message = order()
    send(ticks.kafka, message)
    assert run_keys(ticks.tick()) == [message["task_id"]]


def test_a_message_ends_the_wait(ticks: Ticks) -> None:
    """A message that arrives while the tick waits is taken at once, not at the end of the poll."""
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
    """A cursor beyond the log's end is reset to the earliest message instead of waiting until the log is that long."""
    message = order()
    send(ticks.kafka, message)
    ticks.tick()
    cursor = json.loads(ticks.cursor or "")
    ticks.cursor = json.dumps(cursor | {"offsets": dict.fromkeys(cursor["offsets"], 1_000)})
    assert run_keys(ticks.tick()) == [message["task_id"]]


def test_another_broker_under_the_same_name_is_read_from_its_start(ticks: Ticks, tmp_path: Path) -> None:
    """If the cluster was created again no message is missed, although its log is already longer than the cursor's offset."""
    topic = ticks.kafka.settings.kafka_tasks_topic
    send(ticks.kafka, order())
    ticks.tick()
    with own_broker(tmp_path, f"{topic}:4") as other:
        ticks.kafka = kafka_resource(other.ready_value, topic)
        messages = [order(), order()]
        send(ticks.kafka, *messages)
        assert run_keys(ticks.tick()) == [message["task_id"] for message in messages]


def test_without_mongodb_nothing_is_lost(ticks: Ticks, mongo: MongoResource) -> None:
    """During an outage of MongoDB orders wait in Kafka and other messages are handled; the skip reason names MongoDB."""
    assert ticks.tick().skip_message == f"topic {ticks.kafka.settings.kafka_tasks_topic} does not exist yet"
    send(ticks.kafka, {"event_type": "task_updated"})
    ticks.tick()  # the offset in the topic is known from now on
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
    """An unavailable broker gives a skip reason with the address, keeps the cursor, and leaves no thread."""
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


def test_while_the_queue_is_full_worlds_are_recorded_and_only_those_of_a_higher_priority_get_runs(
    ticks: Ticks, instance: dg.DagsterInstance, mongo_client: MongoClient[dict[str, Any]]
) -> None:
    """More runs are queued than the limit: each world has its page at once, and an order with a priority above 0 waits for no
    other. When there is room again, a later order does not overtake the waiting ones.
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
