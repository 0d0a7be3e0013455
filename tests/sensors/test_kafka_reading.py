"""Reading the orders' topic (rows K1, K2, K4, K9): every codec, no aborted records, nothing before the start position; an
unreadable batch stops only its partition."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from confluent_kafka import Producer
from crc32c import crc32c
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.record.util import calc_crc32c
from pymongo import MongoClient

from generia_assets.durable.status import HISTORY_LACKS, new_status
from resources.mongodb.connection import MongoResource
from tests.support.command import Command
from tests.support.kafka_ticks import (
    Ticks,
    batch,
    command_for,
    dead_letters,
    headers,
    kafka_resource,
    order,
    run_keys,
    send,
    send_batch,
    sensor_settings,
    with_its_checksum,
)
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def ticks(instance: dg.DagsterInstance, broker: str, mongodb_uri: str, mongo_database_name: str) -> Ticks:
    """Ticks over an existing topic of this test, with four partitions."""
    kafka = kafka_resource(broker, f"orders-{uuid.uuid4().hex[:8]}")
    ticks = Ticks(instance, kafka, MongoResource(uri=mongodb_uri, database=mongo_database_name))
    send(kafka, {"event_type": "task_updated"})
    ticks.tick()
    return ticks


def one_by_one(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


@pytest.mark.parametrize("codec", ["none", "gzip", "lz4", "snappy", "zstd"], ids=lambda codec: f"K1 {codec}")
def test_every_codec_is_read(ticks: Ticks, codec: str) -> None:
    """A batch that librdkafka compressed with any of Kafka's codecs is read."""
    producer = Producer(
        {"bootstrap.servers": ticks.kafka.settings.kafka_bootstrap_servers, "compression.type": codec, "linger.ms": 50}
    )
    messages = [order() for _ in range(3)]
    for message in messages:
        producer.produce(ticks.kafka.settings.kafka_tasks_topic, one_by_one(message) + b" " * 500, partition=2)
    assert producer.flush(PATIENCE_S) == 0
    assert run_keys(ticks.tick()) == [message["task_id"] for message in messages]


def test_checksums_are_computed_in_c() -> None:
    """The package that kafka-python needs for it is there: its own code in Python takes hundreds of times as long."""
    assert calc_crc32c.__defaults__ == (crc32c,)


def unknown_codec(value: bytes) -> bytes:
    spoilt = batch(value, value)
    spoilt[22] |= 5
    return with_its_checksum(spoilt)


def no_lz4(value: bytes) -> bytes:
    spoilt = batch(value, value)
    spoilt[22] |= 3
    return with_its_checksum(spoilt)


def wrong_checksum(value: bytes) -> bytes:
    spoilt = batch(value, value)
    spoilt[-3] ^= 255
    return bytes(spoilt)


def damaged_record(value: bytes) -> bytes:
    spoilt = batch(value, value)
    spoilt[61] ^= 2  # the first record's length
    return with_its_checksum(spoilt)


def too_long(value: bytes) -> bytes:
    spoilt = batch(value, value)
    spoilt[9] ^= 1  # the batch's own length
    spoilt[-3] ^= 255  # else it is read: only its end was lost
    return bytes(spoilt)


def too_short(value: bytes) -> bytes:
    spoilt = batch(value, value)
    spoilt[11] = 5
    return bytes(spoilt)


UNREADABLE = [
    pytest.param(too_long, id="K2 length beyond its end"),
    pytest.param(too_short, id="K2 length too short"),
    pytest.param(unknown_codec, id="K1 unknown codec"),
    pytest.param(no_lz4, id="K1 codec's bytes damaged"),
    pytest.param(wrong_checksum, id="K2 wrong checksum"),
    pytest.param(damaged_record, id="K2 damaged record"),
]


@pytest.fixture
def command(ticks: Ticks, tmp_path: Path) -> Command:
    return command_for(ticks.kafka, ticks.mongo, tmp_path)


@pytest.mark.parametrize("spoil", UNREADABLE)
def test_an_unreadable_batch_stops_only_its_partition_until_it_is_skipped(ticks: Ticks, command: Command, spoil) -> None:
    """Other partitions are read; the tick, doctor and the list have the place and the reason; `skip` makes its bytes a dead
    letter."""
    before, behind, elsewhere, later = order(), order(), order(), order()
    send_batch(ticks.kafka, 1, bytes(batch(one_by_one(before))))
    spoilt = spoil(b"a good order, perhaps")
    send_batch(ticks.kafka, 1, spoilt)
    send_batch(ticks.kafka, 1, bytes(batch(one_by_one(behind))))
    send_batch(ticks.kafka, 2, bytes(batch(one_by_one(elsewhere))))
    assert set(run_keys(ticks.tick())) == {before["task_id"], elsewhere["task_id"]}
    send_batch(ticks.kafka, 3, bytes(batch(one_by_one(later))))
    assert run_keys(ticks.tick()) == [later["task_id"]]
    something_else = bytes(batch(b'{"event_type": "task_updated"}'))  # so that the tick does not wait
    send_batch(ticks.kafka, 3, something_else)
    said = str(ticks.tick().skip_message)
    assert f"offsets 1 to 2 in {ticks.kafka.settings.kafka_tasks_topic}[1] cannot be read" in said
    assert "generia dead-letters skip 1:1" in said
    assert ticks.offsets()["1"] == 1
    assert "cannot be read" in "".join(command.call("dead-letters")[1:])
    assert "dead-letters skip 1:1" in " ".join(command.call("doctor")[1].split())
    assert command.call("dead-letters", "skip", "1:0")[0] == 2
    exit_code, _, err = command.call("dead-letters", "skip", "1:1")
    assert exit_code == 0, err
    send_batch(ticks.kafka, 3, something_else)
    assert run_keys(ticks.tick()) == []
    assert run_keys(ticks.tick()) == [behind["task_id"]]
    (letter,) = dead_letters(ticks.kafka, 1)
    # The broker writes offset and leader's epoch into a batch; the rest, up to the batch's length, is as it was sent.
    assert letter.value[21:].startswith(spoilt[21 : len(letter.value)])
    assert (headers(letter)["partition"], headers(letter)["offset"]) == ("1", "1")
    assert "offsets 1 to 2" in headers(letter)["reason"]
    assert json.loads(command.call("dead-letters", "--json")[1])["state"] == "sent"


@pytest.mark.parametrize("name", [b"\xff\xfe\xfd", b"\xc3(\x00", b"key"], ids=lambda name: f"K2 header {name!r}")
def test_a_header_with_any_name_is_accepted(ticks: Ticks, name: bytes) -> None:
    """Only the value counts: a header's name that is not UTF-8 does not make the order invalid."""
    messages = [order(), order()]
    spoilt = batch(*map(one_by_one, messages), headers=[("KEY", b"value"), ("other", b"")])
    send_batch(ticks.kafka, 1, with_its_checksum(spoilt.replace(b"KEY", name)))
    assert run_keys(ticks.tick()) == [message["task_id"] for message in messages]
    assert dead_letters(ticks.kafka, 0) == []


# --- K9: where reading begins -----------------------------------------------------------------------------------------------


def send_at(kafka_servers: str, topic: str, *sent: tuple[datetime, dict[str, Any]], api_version: tuple[int, ...] | None) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka_servers, api_version=api_version)
    for at, message in sent:
        producer.send(topic, one_by_one(message), key=b"one", timestamp_ms=int(at.timestamp() * 1000)).get(PATIENCE_S)
    producer.close()


@pytest.fixture
def apache_ticks(apache_kafka: str, instance: dg.DagsterInstance, mongodb_uri: str, mongo_database_name: str) -> Ticks:
    """Ticks over a topic of this test with one partition, on Apache Kafka."""
    kafka = kafka_resource(apache_kafka, f"orders-{uuid.uuid4().hex[:8]}", api_version="")
    with KafkaAdminClient(bootstrap_servers=apache_kafka) as admin:
        for topic in (kafka.settings.kafka_tasks_topic, kafka.settings.kafka_dead_letters_topic):
            admin.create_topics([NewTopic(topic, 1, 1)])
            admin.wait_for_topics([topic])
    return Ticks(instance, kafka, MongoResource(uri=mongodb_uri, database=mongo_database_name))


@pytest.mark.apache_kafka
@pytest.mark.parametrize(
    ("start", "read"),
    [
        pytest.param("installation", [2, 3], id="K9 installation"),
        pytest.param("earliest", [0, 1, 2, 3], id="K9 earliest"),
        pytest.param("latest", [], id="K9 latest"),
        pytest.param((datetime.now(UTC) - timedelta(days=2)).isoformat(), [1, 2, 3], id="K9 a time"),
        pytest.param((datetime.now(UTC) + timedelta(days=2)).isoformat(), [], id="K9 a time to come"),
    ],
)
def test_the_first_start_begins_at_the_configured_position(apache_ticks: Ticks, start: str, read: list[int]) -> None:
    """Earlier messages are read from the installation, a time, the beginning or not at all; later messages are read."""
    ticks, now = apache_ticks, datetime.now(UTC)
    ticks.settings = sensor_settings(kafka_start=start)
    messages = [order() for _ in range(4)]
    ages = (timedelta(days=3), timedelta(hours=1), timedelta(minutes=3), timedelta())
    sent = [(now - age, message) for age, message in zip(ages, messages, strict=True)]
    send_at(ticks.kafka.settings.kafka_bootstrap_servers, ticks.kafka.settings.kafka_tasks_topic, *sent, api_version=None)
    assert run_keys(ticks.tick()) == [messages[number]["task_id"] for number in read]
    new = order()
    send(ticks.kafka, new)
    assert run_keys(ticks.tick()) == [new["task_id"]]


@pytest.mark.apache_kafka
@pytest.mark.case("K9")
def test_after_a_lost_cursor_reading_begins_at_the_installation(apache_ticks: Ticks, mongo_client: MongoClient) -> None:
    """The installation's time is recorded once, in MongoDB: if Dagster loses the cursor no order since then is lost."""
    ticks, long_ago = apache_ticks, datetime.now(UTC) - timedelta(days=1)
    old, since = order(), order()
    mongo_client[ticks.mongo.database]["fleet"].insert_one({"_id": "installation", "at": long_ago})
    sent = ((long_ago - timedelta(hours=1), old), (long_ago + timedelta(hours=1), since))
    send_at(ticks.kafka.settings.kafka_bootstrap_servers, ticks.kafka.settings.kafka_tasks_topic, *sent, api_version=None)
    assert run_keys(ticks.tick()) == [since["task_id"]]
    ticks.cursor = None
    assert run_keys(ticks.tick()) == [since["task_id"]]


@pytest.mark.case("K9")
def test_a_part_of_a_world_of_the_former_worker_is_not_made_again(ticks: Ticks, mongo_client: MongoClient) -> None:
    """The former worker's worlds are history, wherever reading begins: no order resumes them, and nothing of them is changed."""
    status = mongo_client[ticks.mongo.database]["world_generation_status"]
    record = new_status(str(uuid.uuid4()), {}, users=1, posts=0) | {"status": "completed"}
    record = {name: value for name, value in record.items() if name not in HISTORY_LACKS}
    status.insert_one(record)
    before = status.find_one()
    part = order(world_id=record["_id"], task_type="generate_post_batch", parameters={})
    send(ticks.kafka, part, order(world_id=record["_id"]))
    assert run_keys(ticks.tick()) == []
    assert all("former worker" in headers(letter)["reason"] for letter in dead_letters(ticks.kafka, 2))
    assert [task["status"] for task in mongo_client[ticks.mongo.database]["tasks"].find()] == ["failed", "failed"]
    assert status.find_one() == before


# --- K4: transactions -------------------------------------------------------------------------------------------------------


@pytest.mark.apache_kafka
@pytest.mark.case("K4")
def test_records_of_an_aborted_transaction_are_not_read(apache_ticks: Ticks) -> None:
    """Only committed records make a world, and the cursor passes aborted records and markers, also at the end of the topic."""
    ticks = apache_ticks
    topic = ticks.kafka.settings.kafka_tasks_topic
    producer = Producer(
        {"bootstrap.servers": ticks.kafka.settings.kafka_bootstrap_servers, "transactional.id": topic, "log_level": 0}
    )
    producer.init_transactions(PATIENCE_S)

    def transaction(*messages: dict[str, Any]) -> None:
        producer.begin_transaction()
        for message in messages:
            producer.produce(topic, one_by_one(message))
        producer.flush(PATIENCE_S)

    committed, aborted, open_yet = order(), order(), order()
    transaction(committed)
    producer.commit_transaction(PATIENCE_S)
    transaction(aborted, order())
    producer.abort_transaction(PATIENCE_S)
    assert run_keys(ticks.tick()) == [committed["task_id"]]
    deadline = time.monotonic() + PATIENCE_S
    while ticks.offsets() != {"0": 5} and time.monotonic() < deadline:  # one, a marker, two, a marker
        assert run_keys(ticks.tick()) == []
    assert ticks.offsets() == {"0": 5}
    transaction(open_yet)
    assert run_keys(ticks.tick()) == []
    producer.commit_transaction(PATIENCE_S)
    assert run_keys(ticks.tick()) == [open_yet["task_id"]]
