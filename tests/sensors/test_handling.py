"""The handling of a tick's messages one by one, and the requested runs, without a broker or a database."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import replace

import dagster as dg
import pytest
from pymongo.errors import AutoReconnect

from generia_assets.catalog import PARTS, TaskType
from generia_assets.durable.orders.decisions import TASK_TAG
from generia_assets.durable.orders.intake import LONGEST_REASON, RefusedOrder
from generia_assets.durable.orders.order import Order, OrderError, PartParameters
from generia_assets.durable.orders.records import RecordedOrder
from resources.kafka.reader import KafkaRecord
from sensors.dead_letters import CUT_AT_BYTES, InvalidMessage, dead_letter
from sensors.kafka import Handled, handle
from sensors.requests import run_request, run_requests


def order_message(offset: int) -> KafkaRecord:
    order = {"event_type": "task_created", "task_id": str(uuid.uuid4()), "task_type": "init_world_creation"}
    value = json.dumps(order | {"world_id": str(uuid.uuid4())}).encode()
    return KafkaRecord("orders", 0, offset, b"key", value)


class Recorder:
    """Records in memory; fails at the given call."""

    def __init__(self, call: int = 0, error: Exception | None = None) -> None:
        self.refused: list[RefusedOrder] = []
        self._calls, self._failing, self._error = 0, call, error

    def order(self, order: Order) -> RecordedOrder:
        self._calls += 1
        if self._error is not None and self._calls == self._failing:
            raise self._error
        return RecordedOrder(order, new=True, finished=False)

    def refusal(self, refusal: RefusedOrder) -> None:
        self.refused.append(refusal)


def an_order(
    task_type: TaskType = TaskType.INIT_WORLD_CREATION,
    *,
    task_id: str = "task",
    world_id: str = "world",
    keys: tuple[str, ...] = (),
    with_what_follows: bool = True,
) -> Order:
    return Order(world_id, PartParameters(keys=keys, with_what_follows=with_what_follows), task_type, task_id)


def handled_by(recorder: Recorder, messages: list[KafkaRecord], seconds: float = 60) -> Handled:
    return handle(messages, recorder.order, recorder.refusal, deadline=time.monotonic() + seconds)


def test_an_outage_of_the_database_stops_the_tick_at_its_message() -> None:
    """Messages recorded before the outage of MongoDB count as done; the message at which it began, and the rest, do not."""
    messages = [order_message(offset) for offset in range(4)]
    handled = handled_by(Recorder(3, AutoReconnect("gone")), messages)
    assert (len(handled.orders), handled.done, handled.broken) == (2, messages[:2], [])
    assert "gone" in handled.stopped
    assert "orders[0]@2" in handled.stopped


def test_an_order_that_mongodb_refuses_does_not_stop_the_next_one() -> None:
    """The refused order is invalid, with the reason; the next one is recorded."""
    messages = [order_message(offset) for offset in range(3)]
    recorder = Recorder(2, OrderError("world_id: no such world"))
    handled = handled_by(recorder, messages)
    assert [one.reason for one in recorder.refused] == ["world_id: no such world"]
    assert handled.broken == [InvalidMessage(messages[1], "world_id: no such world")]
    assert handled.done == [messages[0], messages[2]]


def test_a_tick_ends_in_time() -> None:
    """When the tick's time is over no further message is handled; the first always is, because slow reading would otherwise never
    progress."""
    messages = [order_message(0), order_message(1)]
    handled = handled_by(Recorder(), messages, seconds=-1)
    assert handled.done == messages[:1]
    assert "time is over" in handled.stopped


def test_a_dead_letter_has_the_message_and_its_origin() -> None:
    """Bytes and key are the original's; the headers are single lines of bounded length without control characters."""
    message = KafkaRecord("orders", 3, 17, b"\x00key", b"\xff\x00broken")
    letter = dead_letter(InvalidMessage(message, "task_id='\x1b[31m\r\n\u2028\u202e\u200b\ud800'" + "x" * 5_000), "orders-dlq")
    assert (letter.topic, letter.key, letter.value) == ("orders-dlq", b"\x00key", b"\xff\x00broken")
    headers = dict(letter.headers)
    reason = headers.pop("reason")
    assert headers == {"topic": "orders", "partition": "3", "offset": "17"}
    assert len(reason) == LONGEST_REASON
    assert reason.isprintable()
    assert reason.encode()


def test_a_dead_letter_without_a_value_can_be_sent() -> None:
    """A message without key and value becomes an empty dead letter, because Kafka requires one of the two."""
    letter = dead_letter(InvalidMessage(KafkaRecord("orders", 0, 0, None, None), "value: empty"), "orders-dlq")
    assert (letter.key, letter.value) == (None, b"")


def test_a_dead_letter_that_is_cut_says_so() -> None:
    """A message that is too large for the dead letters' topic is cut to its beginning, and a header has the place of the
    original."""
    message = KafkaRecord("orders", 0, 0, b"k" * 1_000_000, b"v" * 1_000_000)
    letter = dead_letter(InvalidMessage(message, "value: too large"), "orders-dlq", cut=True)
    assert (letter.key, len(letter.value)) == (None, CUT_AT_BYTES)
    assert "1000000 bytes" in dict(letter.headers)["cut"]


def test_every_task_type_has_its_run() -> None:
    """``init_world_creation`` requests the whole world, each of the other eight types its own asset."""
    assert run_request(an_order()).asset_selection is None
    for task_type in PARTS:
        requested = run_request(an_order(task_type)).asset_selection
        assert requested is not None
        assert requested[0].path[-1] == task_type.asset.name


@pytest.mark.parametrize(
    ("task_type", "assets"),
    [
        (
            TaskType.GENERATE_CHARACTER_BATCH,
            ["character_briefs", "characters", "character_avatars", "post_briefs", "posts", "post_images"],
        ),
        (TaskType.GENERATE_CHARACTER_AVATAR, ["character_avatars"]),
        (TaskType.GENERATE_POST_BATCH, ["post_briefs", "posts", "post_images"]),
        (TaskType.GENERATE_POST, ["posts", "post_images"]),
        (TaskType.GENERATE_WORLD_IMAGE, ["world_images"]),
    ],
)
@pytest.mark.parametrize("keys", [(), ("c0001",)])
def test_a_part_includes_its_downstream_assets_unless_ordered_alone(
    task_type: TaskType, assets: list[str], keys: tuple[str, ...]
) -> None:
    """This holds for a whole part and for one item: texts without new pictures would never be published. The order can exclude
    them."""
    assert run_request(an_order(task_type, keys=keys)).asset_selection == [dg.AssetKey(name) for name in assets]
    alone = an_order(task_type, keys=keys, with_what_follows=False)
    assert run_request(alone).asset_selection == [dg.AssetKey(assets[0])]


def test_a_run_has_its_origin_and_who_ordered_it() -> None:
    """Dagster's list of runs can be filtered by the origin; the world is the partition, and the task's id is hidden there."""
    assert run_request(an_order()).tags == {"generia/origin": "kafka", TASK_TAG: "task"}


def test_a_repetition_within_a_tick_is_one_run() -> None:
    """Two messages of one order ask for one run, and a finished order for none."""
    unfinished = [RecordedOrder(order, new=True, finished=False) for order in (an_order(), an_order(), an_order(task_id="other"))]
    orders = [*unfinished, RecordedOrder(an_order(task_id="old"), new=True, finished=True)]
    assert [request.run_key for request in run_requests(orders)] == ["task", "other"]


def test_an_order_belongs_to_the_trace_that_its_message_came_with() -> None:
    """The header is the order's trace context; a malformed or missing header is ignored, and the order is still valid."""
    trace = f"00-{'4b' * 16}-{'0f' * 8}-01"
    values = (trace.encode(), b"00-nonsense", None)
    headers: list[list[tuple[str, bytes | None]]] = [[], *([("traceparent", value)] for value in values)]
    messages = [replace(order_message(offset), headers=one) for offset, one in enumerate(headers)]
    handled = handled_by(Recorder(), messages)
    assert [recorded.order.traceparent for recorded in handled.orders] == ["", trace, "", ""]
    assert handled.done == messages
