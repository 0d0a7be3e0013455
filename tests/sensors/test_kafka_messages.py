"""Parsing a record of the orders' topic (rows K3, K7, K8): any content has one of three results."""

from __future__ import annotations

import json
import logging
import re
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generia_assets.durable.orders.intake import LONGEST_REASON, RefusedOrder
from generia_assets.durable.orders.order import WORLD_ID_PATTERN, Order, parse_stored, parse_world
from resources.kafka.reader import KafkaRecord
from sensors.dead_letters import InvalidMessage, dead_letter
from sensors.messages import LARGEST_MESSAGE_BYTES, read_message

TASK, WORLD = str(uuid.uuid4()), str(uuid.uuid4())
PARAMETERS = {"user_prompt": "an island of clockmakers", "users_count": 3, "posts_count": 9}
ORDER = {
    "event_type": "task_created",
    "task_id": TASK,
    "task_type": "init_world_creation",
    "world_id": WORLD,
    "parameters": PARAMETERS,
}


def message(parameters: dict[str, Any] | None = None, **changes: Any) -> bytes:
    return json.dumps({**ORDER, "parameters": {**PARAMETERS, **(parameters or {})}, **changes}).encode()


def part(**parameters: Any) -> bytes:
    return json.dumps({**ORDER, "task_type": "generate_post", "parameters": parameters}).encode()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(message({"test_mode": True}), id="K3 test_mode"),
        pytest.param(message({"user_count": 3}), id="K3 like a field that is there"),
        pytest.param(message({"$set": {"a.b": 10**30}, "\x00": [[[]]]}), id="K3 names that MongoDB refuses"),
        pytest.param(message(priority=9, test_mode=True), id="K3 in the envelope"),
        pytest.param(part(keys=["c0001"], test_mode=True, **{"a.b": 10**30}), id="K3 in a part's parameters"),
        pytest.param(message({"created_at": "2026-03-01T12:00:00"}), id="K3 no time zone"),
        pytest.param(message({"created_at": "2026-03-01 12:00:00.123456+02:00"}), id="K3 a blank and a zone"),
        pytest.param(message({"created_at": None, "max_cost_usd": None}), id="K3 null"),
        pytest.param(message({"users_count": 5.0, "posts_count": 0.0, "max_cost_usd": 3}), id="K7 whole doubles"),
        pytest.param(b"\xef\xbb\xbf" + message(), id="byte order mark"),
    ],
)
def test_valid_messages_are_orders(value: bytes) -> None:
    """An unknown field is not an error, and a known one is parsed by the rules of JSON."""
    assert isinstance(read_message(value), Order)


@pytest.mark.case("K3")
def test_an_unknown_field_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log names each unknown field at its first message in this process, and never again."""
    name = f"field_{uuid.uuid4().hex}"
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            read_message(message({name: 1}))
    assert len([record for record in caplog.records if name in record.getMessage()]) == 1


@pytest.mark.case("K3")
def test_parameters_in_mongodb_are_parsed_as_tolerantly() -> None:
    """The parameters in the platform's task have the same rules: unknown fields, doubles, nulls, and times without a zone."""
    at = datetime(2026, 3, 1, 12)  # noqa: DTZ001  as MongoDB gives it
    stored = parse_stored({**PARAMETERS, "users_count": 3.0, "test_mode": True, "quality": None, "created_at": at})
    assert (stored.users_count, stored.created_at) == (3, at.replace(tzinfo=UTC))
    assert parse_world({**PARAMETERS, "created_at": "2026-03-01T12:00:00"}).created_at == at.replace(tzinfo=UTC)


WRONG = [
    pytest.param({"created_at": "9999-12-31T23:59:59-10:00"}, "created_at", id="K7 after the last year in UTC"),
    pytest.param({"created_at": "0001-01-01T00:00:00+10:00"}, "created_at", id="K7 before the first year in UTC"),
    pytest.param({"created_at": "1969-12-31T23:59:59Z"}, "created_at", id="K7 before 1970"),
    pytest.param({"created_at": "2200-01-01T00:00:00Z"}, "created_at", id="K7 in a far future"),
    pytest.param({"created_at": 1_700_000_000}, "created_at", id="K7 a number"),
    pytest.param({"created_at": "1700000000"}, "created_at", id="K7 a number as text"),
    pytest.param({"created_at": "2026-03-01"}, "created_at", id="K7 a day"),
    pytest.param({"created_at": True}, "created_at", id="K7 true"),
    pytest.param({"created_at": "2026-02-30T12:00:00Z"}, "created_at", id="K7 no such day"),
    pytest.param({"users_count": True}, "users_count", id="K7 true users"),
    pytest.param({"users_count": "5"}, "users_count", id="K7 users as text"),
    pytest.param({"users_count": 5.5}, "users_count", id="K7 half a user"),
    pytest.param({"users_count": float("nan")}, "users_count", id="K7 NaN users"),
    pytest.param({"posts_count": float("inf")}, "posts_count", id="K7 infinite posts"),
    pytest.param({"posts_count": -1}, "posts_count", id="K7 posts below nought"),
    pytest.param({"max_cost_usd": float("inf")}, "max_cost_usd", id="K7 infinite dollars"),
    pytest.param({"max_cost_usd": float("nan")}, "max_cost_usd", id="K7 NaN dollars"),
    pytest.param({"max_cost_usd": -1}, "max_cost_usd", id="K7 dollars below nought"),
    pytest.param({"max_cost_usd": 10**400}, "max_cost_usd", id="K7 dollars that no double holds"),
    pytest.param({"max_cost_usd": True}, "max_cost_usd", id="K7 true dollars"),
    pytest.param({"max_cost_us": 1}, "max_cost_us: there is no such field; is", id="K3 misspelt cap"),
    pytest.param({"user_prompt": "12 34 …"}, "user_prompt", id="K8 no letter"),
    pytest.param({"user_prompt": "\x07\u200b\n"}, "user_prompt", id="K8 nothing to see"),
    pytest.param({"user_prompt": "long " * 1000}, "user_prompt", id="K8 5,000 characters"),
]


@pytest.mark.parametrize(("parameters", "field"), WRONG)
def test_a_known_field_with_a_wrong_value_is_refused_by_its_name(parameters: dict[str, Any], field: str) -> None:
    """The reason names the field; the result has world, task and type, so that they can be marked as failed."""
    refused = read_message(message(parameters))
    assert isinstance(refused, RefusedOrder)
    assert f"parameters.{field}" in refused.reason
    assert (refused.world_id, refused.task_id, refused.task_type) == (WORLD, TASK, "init_world_creation")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(b"x" * 10_000_000, "10000000 bytes", id="10 MB"),
        pytest.param(b'{"a":' * 100_000 + b"}" * 100_000, "recursion", id="deep objects"),
        pytest.param(b'{"event_type": "task_created", "a": ' + b"9" * 5_000 + b"}", "not JSON", id="a number of 5,000 digits"),
        pytest.param(message()[:-1] + b', "world_id": "x"}', "'world_id': stands there twice", id="a name twice"),
        pytest.param(message().decode().encode("utf-16"), "not JSON", id="UTF-16"),
        pytest.param(part(key=["c0001"]), "is parameters.keys meant?", id="K3 misspelt keys"),
        pytest.param(
            json.dumps({**ORDER, "parameter": {}}).replace('"parameters"', '"x"').encode(),
            "is parameters meant?",
            id="K3 parameter",
        ),
        pytest.param(part(keys=[7] * 9_000), "parameters.keys.0=7", id="many problems"),
        pytest.param(
            json.dumps({"event_type": "task_created", **{f"f{n}": 0 for n in range(50_000)}}).encode(), "task_id", id="many fields"
        ),
    ],
)
def test_malformed_messages_are_refused(value: bytes, reason: str) -> None:
    """Huge, deeply nested, ambiguous or foreign bytes are refused quickly, with a short reason."""
    refused = read_message(value)
    assert isinstance(refused, RefusedOrder)
    assert reason in refused.reason
    assert len(refused.reason) <= LONGEST_REASON


# --- the door, fuzzed -------------------------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(TASK) | st.just("c0001")
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)
FIELDS = sorted({*ORDER, *PARAMETERS, "keys", "with_what_follows", "quality", "created_at", "max_cost_usd"})
TIMES = st.datetimes().map(str) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([+-]\d\d:\d\d|Z)?", fullmatch=True)
TYPES = st.sampled_from(["init_world_creation", "generate_post", "generate_world_image", "make_coffee"])
MUTATED = st.builds(
    lambda task_type, parameters, changes, left_out: {
        name: value
        for name, value in {**ORDER, "task_type": task_type, "parameters": {**PARAMETERS, **parameters}, **changes}.items()
        if name not in left_out
    },
    TYPES,
    st.dictionaries(st.sampled_from(FIELDS) | st.text(), JSON | TIMES, max_size=4),
    st.dictionaries(st.sampled_from(FIELDS) | st.text(), JSON, max_size=2),
    st.sets(st.sampled_from(FIELDS), max_size=1),
)
DUMPED = (JSON | MUTATED).map(lambda content: json.dumps(content, ensure_ascii=True).encode())
CUT = st.tuples(DUMPED, st.integers(0, 400), st.binary(max_size=4)).map(lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] :])
QUICK = settings(max_examples=400, derandomize=True, deadline=None, database=None)


@QUICK
@given(st.none() | st.binary() | DUMPED | CUT)
@pytest.mark.slow
def test_a_record_has_exactly_one_of_three_results(value: bytes | None) -> None:
    """Nothing raises; the reason of a refusal begins with a field, is short, and can be sent as a header and stored."""
    meaning = read_message(value)
    assert meaning is None or type(meaning) in (Order, RefusedOrder)
    if isinstance(meaning, Order):
        assert re.match(WORLD_ID_PATTERN, meaning.world_id)
        assert uuid.UUID(meaning.task_id)
    if isinstance(meaning, RefusedOrder):
        assert 0 < len(meaning.reason) <= LONGEST_REASON
        assert re.match(r"(value|event_type|task_id|task_type|world_id|parameters|'|.+: there is no such field)", meaning.reason), (
            meaning.reason
        )
        letter = dead_letter(InvalidMessage(KafkaRecord("orders", 0, 0, None, value), meaning.reason), "dlq")
        assert dict(letter.headers)["reason"].isprintable()
        assert meaning.reason.encode()


@QUICK
@given(MUTATED)
@pytest.mark.slow
def test_an_accepted_order_can_be_executed(content: dict[str, Any]) -> None:
    """The parameters of an accepted order are valid: they are stored, compared and priced without an error."""
    meaning = read_message(json.dumps(content).encode())
    if isinstance(meaning, Order) and meaning.task_type == "init_world_creation" and meaning.parameters is not None:
        parameters = meaning.parameters
        assert parse_world(parameters.document()) == parameters
        assert parameters.created_at is None or parameters.created_at.tzinfo is not None


def test_the_largest_message_is_read_quickly() -> None:
    """A message just below the limit, all of it wrong, takes about a tenth of a second."""
    value = json.dumps({**ORDER, "task_type": "generate_post", "parameters": {"keys": [1] * 300_000}}).encode()
    assert len(value) < LARGEST_MESSAGE_BYTES
    began = datetime.now(UTC)
    assert isinstance(read_message(value), RefusedOrder)
    assert (datetime.now(UTC) - began).total_seconds() < 10
