"""``generia dead-letters``: the list, and sending corrected letters again."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from generia_assets.durable.figures import count_dead_letters
from generia_assets.queries.fleet import dead_letter_counts
from resources.kafka.dead_letters import last_letters, letter_at
from resources.kafka.producer import Event
from resources.kafka.resource import KafkaResource
from resources.mongodb.connection import MongoResource, connect
from sensors.dead_letters import InvalidMessage, send_dead_letters
from tests.support.kafka_ticks import command_for, kafka_resource, order

DeadLetters = Callable[..., tuple[int, str, str]]


@pytest.fixture
def kafka(broker: str) -> KafkaResource:
    """Topics of the test's own."""
    return kafka_resource(broker, f"orders-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def mongo(mongodb_uri: str, mongo_database_name: str) -> MongoResource:
    return MongoResource(uri=mongodb_uri, database=mongo_database_name)


@pytest.fixture
def generia(kafka: KafkaResource, mongo: MongoResource, tmp_path: Path) -> DeadLetters:
    """Runs ``generia dead-letters``: exit status, standard output, standard error."""
    return partial(command_for(kafka, mongo, tmp_path).call, "dead-letters")


def send_to_dlq(kafka: KafkaResource, *values: bytes, reason: str = "parameters.users_count='3': must be a number") -> None:
    """Make dead letters as the sensor does, all in one partition."""
    from resources.kafka.reader import KafkaRecord

    with kafka.producer() as producer:
        letters = [
            InvalidMessage(KafkaRecord(kafka.settings.kafka_tasks_topic, 1, 40 + n, b"one key", value), reason)
            for n, value in enumerate(values)
        ]
        arrived, problems = send_dead_letters(producer, letters, kafka.settings.kafka_dead_letters_topic)
    assert (len(arrived), problems) == (len(values), [])


def resent(kafka: KafkaResource) -> list[dict[str, Any]]:
    """The messages that the command sent to the orders' topic."""
    return [json.loads(letter.value) for letter in last_letters(kafka.address, kafka.settings.kafka_tasks_topic, 10)]


def place_of(kafka: KafkaResource, value: bytes) -> str:
    """The place of a letter, as in the list."""
    return next(
        letter.place
        for letter in last_letters(kafka.address, kafka.settings.kafka_dead_letters_topic, 100)
        if letter.value == value
    )


def test_the_list_shows_reason_origin_and_message_without_terminal_codes(kafka: KafkaResource, generia: DeadLetters):
    """Every letter is listed with its reason and its origin; terminal codes are removed."""
    assert "no dead letters" in "".join(generia()[1:])
    send_to_dlq(kafka, b'{"a": "\x1b[2Jcleared"}', b"second")
    exit_code, out, err = generia()
    assert exit_code == 0
    assert f"{kafka.settings.kafka_tasks_topic}[1]@40" in out
    assert "parameters.users_count='3'" in out
    assert "\x1b" not in out + err
    shown = [json.loads(line) for line in generia("--json", "--limit", "1")[1].splitlines()]
    assert [letter["message"] for letter in shown] == ["second"]


def test_a_limit_shows_the_newest_letters_of_all_partitions(kafka: KafkaResource, generia: DeadLetters):
    """With a limit the newest letters of all partitions are listed in order, with the number of the others; --json alone lists
    all."""
    values = [f"letter {number}" for number in range(25)]
    with kafka.producer() as producer:
        for number, value in enumerate(values):  # keys for several partitions, and a different millisecond for each letter
            began = time.time_ns() // 1_000_000
            while time.time_ns() // 1_000_000 == began:
                pass
            event = Event(kafka.settings.kafka_dead_letters_topic, b"k%d" % number, value.encode(), (("reason", "broken"),))
            producer.send(event).wait(10)
    assert len({one.partition for one in last_letters(kafka.address, kafka.settings.kafka_dead_letters_topic, None)}) > 1
    _, whole, err = generia("--json")
    assert [json.loads(line)["message"] for line in whole.splitlines()] == values
    assert err == ""
    _, some, err = generia("--json", "--limit", "9")
    assert [json.loads(line)["message"] for line in some.splitlines()] == values[-9:]
    assert "--limit" in err
    assert "--limit 200" in generia()[1]


def test_an_edited_letter_is_sent_again_with_the_other_fields_as_they_were(
    kafka: KafkaResource, mongo: MongoResource, generia: DeadLetters
):
    """--edit changes the named fields, removes those without a value, and keeps the rest; the letter stays, and is resolved."""
    right = order()
    wrong = {**right, "priority": 1, "parameters": {**right["parameters"], "users_count": "3"}}  # type: ignore[dict-item]
    letter = json.dumps(wrong).encode()
    send_to_dlq(kafka, letter)
    with connect(mongo.uri) as client:
        count_dead_letters(client[mongo.database], [f"{kafka.settings.kafka_tasks_topic}[1]@40", "another"])
        exit_code, out, err = generia(
            "resend", place_of(kafka, letter), "--edit", "parameters.users_count=3", "--edit", "priority=", "--json"
        )
        assert dead_letter_counts(client[mongo.database]).unresolved == 1
    assert exit_code == 0, err
    said = json.loads(out)
    assert (said["topic"], said["message"]) == (kafka.settings.kafka_tasks_topic, right)
    assert resent(kafka) == [right]
    (message,) = last_letters(kafka.address, kafka.settings.kafka_tasks_topic, 10)
    assert message.key == str(right["world_id"]).encode()
    assert message.headers["resent_from"].startswith(kafka.settings.kafka_dead_letters_topic)
    assert place_of(kafka, letter)


def test_a_letter_that_is_not_json_is_corrected_by_a_file(kafka: KafkaResource, generia: DeadLetters, tmp_path: Path):
    """--edit is refused with the reason; the message of the file is sent instead."""
    send_to_dlq(kafka, b"{broken")
    place, right, file = place_of(kafka, b"{broken"), order(), tmp_path / "mended.json"
    exit_code, _, err = generia("resend", place, "--edit", "a=1")
    assert exit_code == 1
    assert "is not JSON" in err
    assert "--file" in err
    file.write_text(json.dumps(right))
    assert generia("resend", place, "--file", str(file))[0] == 0
    assert resent(kafka) == [right]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["0"], 2, "either --file"),
        (["one", "--edit", "a=1"], 2, "must be a number"),
        (["99", "--edit", "a=1"], 2, "no dead letter at 99"),
        (["7:0", "--edit", "a=1"], 2, "no dead letter at 7:0"),
        (["0", "--file", "/nowhere/mended.json"], 2, "No such file"),
    ],
)
def test_a_letter_that_cannot_be_sent_again_is_refused_with_the_reason(
    kafka: KafkaResource, generia: DeadLetters, arguments: list[str], status: int, message: str
):
    """Wrong input is answered with one line that names it, and nothing is sent."""
    for number in range(8):
        send_to_dlq(kafka, b'{"number": %d}' % number)
    # The small broker creates topics with four partitions; the partition of each letter does not matter here.
    places = {letter.place for letter in last_letters(kafka.address, kafka.settings.kafka_dead_letters_topic, 100)}
    arguments = [sorted(places)[0] if argument == "0" else argument for argument in arguments]
    exit_code, _, err = generia("resend", *arguments)
    assert exit_code == status, err
    assert message in err
    assert resent(kafka) == []


def test_a_cut_letter_is_not_edited(kafka: KafkaResource, generia: DeadLetters):
    """The dead letter of a giant message has only its beginning, so it must be corrected from the whole message."""
    with kafka.producer() as producer:
        event = Event(
            kafka.settings.kafka_dead_letters_topic, b"k", b'{"a": 1}', (("reason", "too large"), ("cut", "8 of 9000000 bytes"))
        )
        producer.send(event).wait(5)
    exit_code, _, err = generia("resend", place_of(kafka, b'{"a": 1}'), "--edit", "a=2")
    assert exit_code == 1
    assert "only a part" in err


@pytest.mark.parametrize("version", ["", "2.3"])
def test_an_unavailable_broker_is_reported_in_one_line(mongo: MongoResource, tmp_path: Path, version: str):
    """There is no traceback and no endless wait; the line has the address, and how to start a broker."""
    away = kafka_resource("127.0.0.1:9", "orders", api_version=version)
    exit_code, _, err = command_for(away, mongo, tmp_path).call("dead-letters")
    assert exit_code == 1
    assert "127.0.0.1:9" in err
    assert "make dev" in err


def test_a_place_without_a_letter_is_none(kafka: KafkaResource):
    """A partition or an offset that does not exist is not an error of the reader."""
    send_to_dlq(kafka, b"one")
    address = kafka.address
    assert letter_at(address, kafka.settings.kafka_dead_letters_topic, 99, 0) is None
    assert letter_at(address, kafka.settings.kafka_dead_letters_topic, 0, 10_000) is None
    assert letter_at(address, "no-such-topic-yet", 0, 0) is None
