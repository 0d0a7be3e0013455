"""Messages of the orders' topic: valid ones, and every kind of invalid one with a reason that names the field."""

from __future__ import annotations

import json
import math
import uuid
from typing import Any

import pytest

from generia_assets.catalog import TaskType
from generia_assets.durable.orders.intake import LONGEST_REASON, RefusedOrder
from generia_assets.durable.orders.order import ExtensionParameters, parse_world
from sensors.messages import LARGEST_MESSAGE_BYTES, read_message

TASK, WORLD = str(uuid.uuid4()), str(uuid.uuid4())
PARAMETERS = {"user_prompt": "an island of clockmakers", "users_count": 3, "posts_count": 9}


def message(**changes: Any) -> bytes:
    right = {
        "event_type": "task_created",
        "task_id": TASK,
        "task_type": "init_world_creation",
        "world_id": WORLD,
        "parameters": PARAMETERS,
    }
    return json.dumps(right | changes).encode()


def without(field: str) -> bytes:
    content = json.loads(message())
    del content[field]
    return json.dumps(content).encode()


def with_parameter(**changes: Any) -> bytes:
    return message(parameters=PARAMETERS | changes)


def test_a_valid_order_is_parsed() -> None:
    """A valid message has its ids, its type and its parameters."""
    order = read_message(message())
    assert (order.task_id, order.task_type, order.world_id) == (TASK, TaskType.INIT_WORLD_CREATION, WORLD)
    assert order.parameters == parse_world(PARAMETERS)


@pytest.mark.parametrize(
    ("task_type", "taken"),
    [*zip(list(TaskType)[1:], (*[{"world"}] * 2, *[{"c0001"}] * 4, *[{"c0001", "c0001-p0003"}] * 2), strict=True)],
)
def test_a_part_is_ordered_by_the_keys_of_its_items_and_no_others(task_type: TaskType, taken: set[str]) -> None:
    """Each of the eight other task types accepts the keys of its items; another key is refused with the form of a valid one."""
    for key in ("world", "c0001", "c0001-p0003"):
        ordered = message(task_type=task_type.value, parameters={"keys": [*taken, key]})
        if key in taken:
            assert read_message(ordered).parameters.keys == (*taken, key)
            continue
        refused = read_message(ordered)
        assert isinstance(refused, RefusedOrder)
        said = refused.reason
        assert said.startswith(f"parameters.keys.{len(taken)}={key!r}: a key of {task_type.value} is ")
        assert "pattern" not in said
        assert all(("such as c0007" if one.startswith("c") else one) in said for one in taken)


@pytest.mark.case("P30")
def test_an_extension_is_an_order_of_a_world_that_exists() -> None:
    """A message with added counts extends a world, also one with a name; a message that adds nothing, or has a sentence, is
    refused."""
    for added in ({"add_users": 10, "add_posts": 60}, {"add_posts": 1}, {"add_users": 2.0, "max_cost_usd": 3}):
        order = read_message(message(world_id="harbour", parameters=added))
        assert order.parameters == ExtensionParameters(**added) and order.world_id == "harbour"
        assert read_message(order.message()) == order
    for wrong, said in (
        ({"add_users": 0}, "adds one or more"),
        ({"add_posts": -1}, "parameters.add_posts=-1"),
        ({"add_users": "3"}, "parameters.add_users='3'"),
        ({"add_users": 3, "add_post": 5}, "is parameters.add_posts meant?"),
        ({"add_users": 3, **PARAMETERS}, "parameters.user_prompt"),
        ({"add_user": 3}, "parameters.user_prompt"),
    ):
        refused = read_message(message(parameters=wrong))
        assert isinstance(refused, RefusedOrder) and said in refused.reason, refused.reason


def test_parameters_may_be_in_mongodb() -> None:
    """A message without parameters is an order whose parameters are looked up by its task id."""
    assert read_message(without("parameters")).parameters is None
    assert read_message(message(parameters=None)).parameters is None


def test_two_spellings_of_an_id_are_one_id() -> None:
    """An id in capitals is the same id, so that it creates no second world."""
    assert read_message(message(world_id=WORLD.upper())).world_id == WORLD


@pytest.mark.parametrize("extra", [{}, {"anything": {"at": "all"}}])
def test_other_events_are_skipped(extra: dict[str, Any]) -> None:
    """An event of another type is skipped, whatever its other fields are."""
    assert read_message(json.dumps({"event_type": "task_updated", **extra}).encode()) is None


WRONG = {
    "nothing": (None, "value:"),
    "empty": (b"", "value:"),
    "not JSON": (b"hello", "value: not JSON"),
    "cut short": (message()[:-1], "value: not JSON"),
    "two documents": (message() + message(), "value: not JSON"),
    "not UTF-8": (message().replace(b"island", b"\xff\xfe"), "value: not JSON"),
    "UTF-16": (message().decode().encode("utf-16"), "value: not JSON"),
    "control character": (message().replace(b"island", b"\x00\x1b"), "value: not JSON"),
    "half a character": (with_parameter(user_prompt="\ud800"), "value: not JSON"),
    "10 MB": (with_parameter(user_prompt="x" * 10_000_000), f"at most {LARGEST_MESSAGE_BYTES}"),
    "deep lists": (b"[" * 500_000, "value: not JSON (recursion"),
    "deep objects": (b'{"event_type":' * 50_000, "value: not JSON (recursion"),
    "endless number": (b"9" * 100_000, "value: not JSON (number"),
    "a list": (b"[1]", "value=[1]:"),
    "a text": (b'"task_created"', "value='task_created':"),
    "a name twice": (message()[:-1] + b', "task_id": "x"}', "'task_id': stands there twice"),
    "a parameter twice": (message().replace(b'"posts_count"', b'"users_count"'), "'users_count': stands there twice"),
    "no event type": (without("event_type"), "event_type=None:"),
    "event type no text": (message(event_type=["task_created"]), "event_type=["),
    "no task id": (without("task_id"), "task_id: Field required"),
    "no task type": (without("task_type"), "task_type: Field required"),
    "no world id": (without("world_id"), "world_id: Field required"),
    "task id no text": (message(task_id=7), "task_id=7:"),
    "task id no UUID": (message(task_id="task-1"), "task_id='task-1':"),
    "empty task id": (message(task_id=""), "task_id='':"),
    "UUID in braces": (message(task_id=f"{{{TASK}}}"), "task_id='{"),
    "UUID without hyphens": (message(task_id=TASK.replace("-", "")), "task_id="),
    "UUID and a newline": (message(world_id=f"{WORLD}\n"), "world_id="),
    "a range of partitions": (message(world_id="a...b"), "world_id='a...b':"),
    "control characters as a partition": (message(world_id="a\x00b\r\n"), "world_id='a\\x00b\\r\\n':"),
    "foreign digits": (message(world_id=WORLD[:-1] + "٣"), "world_id="),
    "unknown task type": (message(task_type="make_coffee"), "task_type='make_coffee':"),
    "parameters a list": (message(parameters=[]), "parameters=[]:"),
    "parameters a text": (message(parameters="{}"), "parameters='{}':"),
    "no prompt": (message(parameters={"users_count": 1, "posts_count": 1}), "parameters.user_prompt: Field required"),
    "prompt a number": (with_parameter(user_prompt=1), "parameters.user_prompt=1:"),
    "negative users": (with_parameter(users_count=-3), "parameters.users_count=-3:"),
    "no users": (with_parameter(users_count=0), "parameters.users_count=0:"),
    "negative posts": (with_parameter(posts_count=-1), "parameters.posts_count=-1:"),
    "users as text": (with_parameter(users_count="3"), "parameters.users_count='3':"),
    "users as truth": (with_parameter(users_count=True), "parameters.users_count=True:"),
    "users in pieces": (with_parameter(users_count=2.5), "parameters.users_count=2.5:"),
    "NaN users": (with_parameter(users_count=math.nan), "parameters.users_count=nan:"),
    "infinite posts": (with_parameter(posts_count=math.inf), "parameters.posts_count=inf:"),
    "too large a number": (message().replace(b'"users_count": 3', b'"users_count": 1e999'), "parameters.users_count=inf:"),
    "NaN dollars": (with_parameter(max_cost_usd=math.nan), "parameters.max_cost_usd=nan:"),
    "free of charge": (with_parameter(max_cost_usd=0), "parameters.max_cost_usd=0:"),
    "a negative seed": (with_parameter(seed=-1), "parameters.seed=-1:"),
    "a seed of 64 bits": (with_parameter(seed=2**63), "parameters.seed=9223372036854775808:"),
    "a seed as text": (with_parameter(seed="7"), "parameters.seed='7':"),
    "unknown quality": (with_parameter(quality="best"), "parameters.quality='best':"),
    "no date": (with_parameter(created_at="yesterday"), "parameters.created_at='yesterday':"),
    "misspelt keys": (
        message(task_type="generate_post", parameters={"key": ["c0001"]}),
        "parameters.key: there is no such field; is",
    ),
    "a key like a path": (message(task_type="generate_post", parameters={"keys": ["../../c0001"]}), "parameters.keys.0="),
    "a key and a newline": (message(task_type="generate_post", parameters={"keys": ["c0001\n"]}), "parameters.keys.0="),
    "keys a text": (message(task_type="generate_post", parameters={"keys": "c0001"}), "parameters.keys='c0001':"),
    "too many keys": (message(task_type="generate_post", parameters={"keys": ["c0001"] * 10_001}), "parameters.keys="),
}


@pytest.mark.parametrize(("value", "reason"), WRONG.values(), ids=WRONG.keys())
def test_an_invalid_message_is_refused_by_the_name_of_the_field(value: bytes | None, reason: str) -> None:
    """For every fault the message is refused with a short reason that names the field."""
    refused = read_message(value)
    assert isinstance(refused, RefusedOrder)
    assert reason in refused.reason
    assert len(refused.reason) <= LONGEST_REASON
