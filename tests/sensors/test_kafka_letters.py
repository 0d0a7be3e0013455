"""Invalid messages (K5, K6, K8, S9): their task and world say failed, and they are stored when their topic cannot be written."""

from __future__ import annotations

import ctypes
import json
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from confluent_kafka import Producer
from pymongo import MongoClient
from pymongo.database import Database

from generia_assets.durable.orders.intake import kept
from local_services.broker import MockCluster
from resources.mongodb.connection import MongoResource
from sensors.dead_letters import send_kept
from tests.support.kafka_ticks import (
    Ticks,
    command_for,
    dead_letters,
    headers,
    kafka_resource,
    order,
    run_keys,
    send,
    sensor_settings,
)
from tests.support.waiting import PATIENCE_S

UNKNOWN_TOPIC, NOT_AUTHORIZED, NO_ERROR = 3, 29, 0


@pytest.fixture
def mongo(mongodb_uri: str, mongo_database_name: str) -> MongoResource:
    return MongoResource(uri=mongodb_uri, database=mongo_database_name)


@pytest.fixture
def database(mongo_client: MongoClient[dict[str, Any]], mongo_database_name: str) -> Database[dict[str, Any]]:
    return mongo_client[mongo_database_name]


@pytest.fixture
def ticks(instance: dg.DagsterInstance, broker: str, mongo: MongoResource) -> Ticks:
    return Ticks(instance, kafka_resource(broker, f"orders-{uuid.uuid4().hex[:8]}"), mongo)


def generia(ticks: Ticks, folder: Path, *arguments: str) -> str:
    """The output of a command with the test's servers and topics."""
    _, out, err = command_for(ticks.kafka, ticks.mongo, folder).call(*arguments)
    assert "Traceback" not in err
    return " ".join((out + err).split())


# --- K5, S9: the dead letters' topic cannot be written ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> MockCluster:
    """A broker inside this process, whose topics can be made to fail."""
    return MockCluster(1, {})


def let_fail(cluster: MockCluster, topic: str, error: int) -> None:
    """Every request for this topic is answered with this error of Kafka's from now on."""
    fail = cluster._library.rd_kafka_mock_topic_set_error
    fail.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    fail(cluster._cluster, topic.encode(), error)


@pytest.mark.parametrize(
    ("error", "broken", "said"),
    [
        pytest.param(UNKNOWN_TOPIC, 15, "did not answer", id="K5 no such topic, 15 at once"),
        pytest.param(NOT_AUTHORIZED, 1_000, "refused", id="S9 not authorized, 1,000 at once"),
    ],
)
def test_a_topic_that_cannot_be_written_delays_nothing(
    cluster: MockCluster,
    ticks: Ticks,
    database: Database[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: int,
    broken: int,
    said: str,
) -> None:
    """The tick stays within its time, valid orders run, and the cursor moves; MongoDB stores the letters, and they are sent later
    in order."""
    ticks.kafka = kafka_resource(cluster.bootstrap_servers, ticks.kafka.settings.kafka_tasks_topic)
    ticks.settings = sensor_settings(sensor_max_records=2_000)
    let_fail(cluster, ticks.kafka.settings.kafka_dead_letters_topic, error)
    good = order()
    send(ticks.kafka, *(b"broken %d" % number for number in range(broken)), good)
    began = time.monotonic()
    assert run_keys(ticks.tick()) == [good["task_id"]]
    assert time.monotonic() - began < PATIENCE_S
    assert sum(ticks.offsets().values()) == broken + 1
    large = b"x" * 600_000
    send(ticks.kafka, large)
    monkeypatch.setattr("sensors.dead_letters.DELIVERY_TIMEOUT_S", 30.0)
    began = time.monotonic()
    skipped = str(ticks.tick().skip_message)
    assert time.monotonic() - began < 25  # a topic that failed is not tried again
    assert "kept in MongoDB until topic" in skipped
    assert said in skipped
    assert "dead letters" in (checked := generia(ticks, tmp_path, "doctor"))
    assert f"{broken + 1} are kept in MongoDB" in checked
    listed = generia(ticks, tmp_path, "dead-letters", "--limit", "2000")
    assert f"broken {broken - 1} kept in MongoDB until its topic takes it" in listed
    assert max(len(bytes(one["value"])) for one in database["dead_letters"].find()) <= 64 * 1024
    let_fail(cluster, ticks.kafka.settings.kafka_dead_letters_topic, NO_ERROR)
    while list(kept(database)):
        assert send_kept(database, ticks.kafka, PATIENCE_S) > 0
    letters = sorted(dead_letters(ticks.kafka, broken + 1), key=lambda letter: int(headers(letter)["offset"]))
    assert [letter.value for letter in letters[:-1]] == [b"broken %d" % number for number in range(broken)]
    assert "of 600000 bytes" in headers(letters[-1])["cut"]


@pytest.mark.case("S9")
def test_a_kept_letter_can_be_sent_again(ticks: Ticks, database: Database[dict[str, Any]], tmp_path: Path) -> None:
    """The list names its place, and `resend` reads it from there."""
    good = order()
    value = json.dumps({**good, "task_type": "make_coffee"}).encode()
    place = f"{ticks.kafka.settings.kafka_tasks_topic}[0]@7"
    database["dead_letters"].insert_one(
        {"_id": place, "at": datetime.now(UTC), "key": None, "value": value, "headers": {"reason": "task_type"}, "why": "no topic"}
    )
    assert place in generia(ticks, tmp_path, "dead-letters")
    resent = ("dead-letters", "resend", place, "--edit", "task_type=init_world_creation")
    assert "Sent to topic" in generia(ticks, tmp_path, *resent)
    assert run_keys(ticks.tick()) == [good["task_id"]]


# --- K6: any header ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "letter_headers",
    [
        pytest.param([("x", None)], id="K6 no value"),
        pytest.param([("reason", None), ("topic", None)], id="K6 our own without a value"),
        pytest.param([("reason", b"\xff\xfe\x00\x1b[2J")], id="K6 no text"),
        pytest.param([("", b""), ("x", b"1"), ("x", b"2")], id="K6 no name, and one twice"),
        pytest.param([], id="K6 none"),
    ],
)
def test_a_letter_with_any_headers_is_listed(ticks: Ticks, tmp_path: Path, letter_headers: list[Any]) -> None:
    """Any content of the topic is shown, without control codes."""
    producer = Producer({"bootstrap.servers": ticks.kafka.settings.kafka_bootstrap_servers, "log_level": 0})
    producer.produce(ticks.kafka.settings.kafka_dead_letters_topic, b"a letter", headers=letter_headers)
    assert producer.flush(PATIENCE_S) == 0
    listed = generia(ticks, tmp_path, "dead-letters")
    assert "a letter" in listed
    assert "\x1b" not in listed
    assert "a letter" in generia(ticks, tmp_path, "dead-letters", "--json")


# --- K8: the task says failed -----------------------------------------------------------------------------------------------

REFUSED = [
    pytest.param({"parameters": {"user_prompt": "12 34", "users_count": 3, "posts_count": 9}}, "user_prompt", id="K8 no letter"),
    pytest.param({"parameters": {"user_prompt": "a" * 5000, "users_count": 3, "posts_count": 9}}, "user_prompt", id="K8 too long"),
    pytest.param({"parameters": {"user_prompt": "a", "users_count": 10**7, "posts_count": 9}}, "MAX_USERS", id="K8 too many"),
    pytest.param({"parameters": None}, "absent from the message", id="K8 parameters nowhere"),
    pytest.param({"task_type": "make_coffee"}, "task_type", id="K8 no such type"),
    pytest.param({"parameters": 7}, "parameters", id="K8 parameters no object"),
    pytest.param({"parameters": {"user_prompt": "half a character \ud83d"}}, "not JSON", id="K8 half a character"),
]


@pytest.mark.parametrize(("changes", "field"), REFUSED)
def test_a_refused_order_of_a_new_world_says_failed(
    ticks: Ticks, database: Database[dict[str, Any]], changes: dict[str, Any], field: str
) -> None:
    """There is no run; dead letter, task and status record have the same reason; the corrected order replaces them, under the same
    ids."""
    broken = order(**changes)
    send(ticks.kafka, broken, broken)
    assert run_keys(ticks.tick()) == []
    reason = headers(dead_letters(ticks.kafka, 2)[0])["reason"]
    assert field in reason
    (status,) = database["world_generation_status"].find()
    (task,) = database["tasks"].find()
    assert (status["_id"], status["status"], status["message"]) == (broken["world_id"], "failed", reason)
    assert (task["_id"], task["status"], task["error"]) == (broken["task_id"], "failed", reason)
    (event,) = database["world_events"].find()
    assert (event["event"]["event_type"], event["event"]["message"]) == ("failed", reason)
    right = order(task_id=broken["task_id"], world_id=broken["world_id"])
    send(ticks.kafka, right)
    assert run_keys(ticks.tick()) == [right["task_id"]]
    (status,) = database["world_generation_status"].find()
    assert (status["status"], status["message"], status["users_predicted"]) == ("pending", "", 3)
    assert database["tasks"].find_one()["status"] == "pending"
    assert [one["event"]["seq"] for one in database["world_events"].find().sort("seq")] == [1, 2]


@pytest.mark.case("K8")
def test_commands_show_a_refused_world_as_failed(ticks: Ticks, tmp_path: Path) -> None:
    """`list`, `status` and `watch` show it as failed, with the reason; `resume` says that the order must be corrected."""
    broken = order(parameters={"user_prompt": "…", "users_count": 1, "posts_count": 0})
    send(ticks.kafka, broken)
    ticks.tick()
    world = str(broken["world_id"])
    assert "failed" in generia(ticks, tmp_path, "list")
    assert "no words" in generia(ticks, tmp_path, "status", world)
    assert "failed" in generia(ticks, tmp_path, "watch", world)
    assert "its order was refused" in generia(ticks, tmp_path, "resume", world)


@pytest.mark.case("K8")
def test_another_order_of_a_refused_world_is_accepted(ticks: Ticks, database: Database[dict[str, Any]]) -> None:
    """A world that was only refused can be ordered by another task."""
    broken = order(parameters={"user_prompt": "…", "users_count": 1, "posts_count": 0})
    right = order(world_id=broken["world_id"])
    send(ticks.kafka, broken, right)
    assert run_keys(ticks.tick()) == [right["task_id"]]
    assert database["world_generation_status"].find_one()["parameters"]["task_id"] == right["task_id"]


@pytest.mark.parametrize("state", ["pending", "in_progress", "completed", "failed"], ids=lambda state: f"K8 {state}")
def test_a_refused_order_changes_nothing_of_a_world_that_exists(
    ticks: Ticks, database: Database[dict[str, Any]], state: str
) -> None:
    """The world and its order do not change; only the task of the refused message says failed."""
    known = order()
    send(ticks.kafka, known)
    ticks.tick()
    database["world_generation_status"].update_one({}, {"$set": {"status": state}})
    before = database["world_generation_status"].find_one(), database["tasks"].find_one()
    bad = {"user_prompt": "", "users_count": 3, "posts_count": 9}
    same_task = {**known, "parameters": bad}
    part = order(world_id=known["world_id"], task_type="generate_post", parameters={"keys": ["nobody"]})
    others = [order(world_id=known["world_id"], parameters=bad), order(world_id=known["world_id"]), part]
    send(ticks.kafka, same_task, *others)
    assert run_keys(ticks.tick()) == []
    assert len(dead_letters(ticks.kafka, 4)) == 4
    assert before == (database["world_generation_status"].find_one(), database["tasks"].find_one({"_id": known["task_id"]}))
    for one in others:
        assert database["tasks"].find_one({"_id": one["task_id"]})["status"] == "failed"


@pytest.mark.case("K8")
def test_a_refused_order_of_a_part_creates_no_world(ticks: Ticks, database: Database[dict[str, Any]]) -> None:
    """For a part of an unknown world only its task says failed, and no world is created."""
    part = order(task_type="generate_post", parameters={})
    send(ticks.kafka, part)
    assert run_keys(ticks.tick()) == []
    assert "no such world" in str(database["tasks"].find_one()["error"])
    assert database["world_generation_status"].find_one() is None


@pytest.mark.case("K8")
def test_the_task_that_the_platform_inserted_says_failed(ticks: Ticks, database: Database[dict[str, Any]]) -> None:
    """For bad parameters in MongoDB the platform's task has the reason; after a correction there the same message is valid."""
    message = order(parameters=None)
    bad = {"user_prompt": "???", "users_count": 7.0, "posts_count": 0, "test_mode": True}
    inserted = {"_id": message["task_id"], "type": "init_world_creation", "world_id": message["world_id"], "status": "pending"}
    database["tasks"].insert_one({**inserted, "parameters": bad})
    send(ticks.kafka, message)
    assert run_keys(ticks.tick()) == []
    task = database["tasks"].find_one()
    assert task["status"] == "failed"
    assert "user_prompt" in str(task["error"])
    database["tasks"].update_one({}, {"$set": {"parameters.user_prompt": "a moon of glass"}})
    send(ticks.kafka, message)
    assert run_keys(ticks.tick()) == [message["task_id"]]
    assert database["tasks"].find_one()["status"] == "pending"
    assert database["world_generation_status"].find_one()["users_predicted"] == 7
