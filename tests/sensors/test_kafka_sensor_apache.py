"""The Kafka sensor with Apache Kafka itself: behaviour that the small broker lacks, and that the rest is the same."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import dagster as dg
import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewPartitions, NewTopic

from resources.mongodb.connection import MongoResource
from tests.support.kafka_ticks import Ticks, dead_letters, headers, kafka_resource, order, run_keys, send
from tests.support.waiting import wait_for

pytestmark = pytest.mark.apache_kafka


@pytest.fixture
def admin(apache_kafka: str) -> Iterator[KafkaAdminClient]:
    with KafkaAdminClient(bootstrap_servers=apache_kafka) as admin:
        yield admin


@pytest.fixture
def ticks(
    instance: dg.DagsterInstance, apache_kafka: str, admin: KafkaAdminClient, mongodb_uri: str, mongo_database_name: str
) -> Ticks:
    """Ticks over a topic of this test with one partition, and a dead letters' topic with messages of at most 100,000 bytes."""
    kafka = kafka_resource(apache_kafka, f"orders-{uuid.uuid4().hex[:8]}", api_version="")
    create(admin, kafka.settings.kafka_tasks_topic)
    create(admin, kafka.settings.kafka_dead_letters_topic, {"max.message.bytes": "100000"})
    return Ticks(instance, kafka, MongoResource(uri=mongodb_uri, database=mongo_database_name))


def create(admin: KafkaAdminClient, topic: str, configs: dict[str, str] | None = None) -> None:
    admin.create_topics([NewTopic(topic, 1, 1, topic_configs=configs or {})])
    admin.wait_for_topics([topic])


def test_the_same_holds_on_apache_kafka(ticks: Ticks) -> None:
    """Valid orders run once, an invalid one between them is a dead letter, another event is skipped, a repetition is the same
    run."""
    first, last = order(), order()
    send(ticks.kafka, first, b"broken", order(event_type="task_updated"), first, last)
    assert run_keys(ticks.tick()) == [first["task_id"], last["task_id"]]
    (letter,) = dead_letters(ticks.kafka, 1)
    assert (letter.value, letter.key, headers(letter)["offset"]) == (b"broken", b"one partition", "1")
    assert ticks.offsets() == {"0": 5}
    assert ticks.tick().skip_message == f"no message in {ticks.kafka.settings.kafka_tasks_topic}"


def test_partitions_added_later_are_read_from_their_start(ticks: Ticks, admin: KafkaAdminClient) -> None:
    """Messages in a new partition that are older than the sensor's next tick are read."""
    topic = ticks.kafka.settings.kafka_tasks_topic
    send(ticks.kafka, order())
    ticks.tick()
    admin.create_partitions({topic: NewPartitions(total_count=4)})
    wait_for(lambda: len(admin.describe_topics([topic])[0]["partitions"]) == 4)
    messages = [order() for _ in range(12)]
    for message in messages:
        send(ticks.kafka, message, key=str(message["world_id"]).encode())
    assert sorted(map(str, run_keys(ticks.tick()))) == sorted(str(message["task_id"]) for message in messages)
    assert sum(1 for offset in ticks.offsets().values() if offset) > 1


def test_a_topic_created_again_loses_no_message(ticks: Ticks, admin: KafkaAdminClient) -> None:
    """If the topic was deleted and created again, all of its messages are read, although it is already longer than the cursor."""
    send(ticks.kafka, order())
    ticks.tick()
    topic = ticks.kafka.settings.kafka_tasks_topic
    admin.delete_topics([topic])
    wait_for(lambda: topic not in admin.list_topics())
    assert ticks.tick().skip_message == f"topic {topic} does not exist yet"
    create(admin, topic)
    messages = [order(), order(), order()]
    send(ticks.kafka, *messages)
    assert run_keys(ticks.tick()) == [message["task_id"] for message in messages]


def test_messages_deleted_before_they_were_read_are_skipped(ticks: Ticks, admin: KafkaAdminClient) -> None:
    """If retention has deleted the message at the cursor, reading continues at the earliest existing message."""
    send(ticks.kafka, order())
    ticks.tick()
    send(ticks.kafka, order(), order())
    admin.delete_records({TopicPartition(ticks.kafka.settings.kafka_tasks_topic, 0): 3})
    message = order()
    send(ticks.kafka, message)
    assert run_keys(ticks.tick()) == [message["task_id"]]
    assert ticks.offsets() == {"0": 4}


def test_a_dead_letter_too_large_for_its_topic_is_cut(ticks: Ticks) -> None:
    """A message that is too large for the dead letters' topic stops no other: its beginning is stored, and a header has the place
    of the whole."""
    message = order()
    send(ticks.kafka, b"x" * 200_000, b"small", message)
    assert run_keys(ticks.tick()) == [message["task_id"]]
    small, cut = sorted(dead_letters(ticks.kafka, 2), key=lambda letter: len(letter.value))
    assert (small.value, headers(small)["offset"]) == (b"small", "1")
    assert set(cut.value) == set(b"x")
    assert "200000 bytes" in headers(cut)["cut"]
    assert ticks.offsets() == {"0": 3}


def test_several_giant_messages_delay_no_other(ticks: Ticks) -> None:
    """One tick makes dead letters of a dozen giant messages, none of which fits whole into their topic, and takes the order after
    them."""
    message = order()
    send(ticks.kafka, *[b"x" * 900_000] * 12, message)
    assert run_keys(ticks.tick()) == [message["task_id"]]
    letters = dead_letters(ticks.kafka, 12)
    assert sorted(int(headers(letter)["offset"]) for letter in letters) == list(range(12))
    assert all("of 900000 bytes" in headers(letter)["cut"] for letter in letters)
    assert ticks.offsets() == {"0": 13}


def test_the_groups_offsets_are_one_tick_behind(ticks: Ticks) -> None:
    """The group's offset is the cursor at the beginning of the last tick: it is never ahead of the recorded orders."""
    send(ticks.kafka, order(), order())
    ticks.tick()
    ticks.tick()
    consumer = KafkaConsumer(
        bootstrap_servers=ticks.kafka.settings.kafka_bootstrap_servers, group_id=ticks.kafka.settings.kafka_group_id
    )
    try:
        partition = TopicPartition(ticks.kafka.settings.kafka_tasks_topic, 0)
        assert wait_for(lambda: consumer.committed(partition)) == 2
    finally:
        consumer.close(autocommit=False)
