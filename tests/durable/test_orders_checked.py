"""The validation of orders from every source: in one place, before anything is written."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from generia_assets.asset_spec import Unit
from generia_assets.catalog import TaskType
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.orders.order import _KEYS_OF, OrderError, parse_stored, parse_world
from tests.support.durable_world import PARAMETERS, order_of, record


@pytest.fixture
def database(mongo_client: MongoClient[dict[str, Any]], mongo_database_name: str) -> Any:
    return mongo_client[mongo_database_name]


@pytest.mark.parametrize("in_mongodb", [False, True], ids=["by message", "in MongoDB's task"])
@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        pytest.param("user_prompt", "", "has no words", id="K8 empty prompt"),
        pytest.param("user_prompt", "12 … !!! 🐢", "has no words", id="K8 prompt without a letter"),
        pytest.param("user_prompt", "\x00\x07\x1b\n\u202e", "has no words", id="S6 prompt of control characters"),
        pytest.param("user_prompt", "ы" * 4_001, "has 4,001 characters; shorten it to 4,000", id="K8 prompt just too long"),
        pytest.param("user_prompt", "w " * 450_000, "has 899,999 characters", id="S6 prompt of 900,000 characters"),
        pytest.param("users_count", 0, "greater than or equal to 1", id="no users"),
        pytest.param("posts_count", -1, "greater than or equal to 0", id="less than no posts"),
        pytest.param("max_cost_usd", float("nan"), "finite number", id="a cap that is no number"),
        pytest.param("created_at", "9999-12-31T23:59:59-10:00", "must be in the years 1970 to 2199", id="K7 beyond the calendar"),
        pytest.param("created_at", "0001-01-01T00:00:00+14:00", "must be in the years 1970 to 2199", id="K7 before the calendar"),
        pytest.param("created_at", 1e300, "must be a time by RFC 3339", id="K7 seconds beyond the calendar"),
    ],
)
def test_an_order_that_cannot_become_a_world_is_not_stored(
    database: Any, field: str, value: object, said: str, in_mongodb: bool
) -> None:
    """There is no task and no status record, and the message names the field and what to change, whoever recorded the
    parameters."""
    world_id, parameters = str(uuid.uuid4()), {**PARAMETERS, field: value}
    task_id, kind = str(uuid.uuid4()), TaskType.INIT_WORLD_CREATION
    if in_mongodb:
        stored = {"_id": task_id, "type": kind.value, "world_id": world_id, "status": "pending", "parameters": parameters}
        database[TASKS].insert_one(stored)
    with pytest.raises(OrderError, match=rf"parameters\.{field}") as refused:
        record(database, order_of(task_id, kind, world_id, None if in_mongodb else parameters))
    assert said in str(refused.value)
    assert len(str(refused.value)) < 400
    assert database[STATUS].count_documents({}) == 0
    assert database[TASKS].count_documents({}) == int(in_mongodb)


@pytest.mark.parametrize("read", [parse_world, parse_stored])
def test_a_prompt_is_cleaned_for_storage(read: Any) -> None:
    """Control and direction characters, lone surrogates and blanks at the ends are removed; the words do not change."""
    assert read({**PARAMETERS, "user_prompt": "  A town\x00 on a \ud800tortoise\u202e "}).user_prompt == "A town on a tortoise"


@pytest.mark.case("K12")
@pytest.mark.parametrize("wrong", [11, -11, 1.5, "3", True, 10**30])
def test_a_priority_is_a_whole_number_of_its_scale(wrong: object) -> None:
    """Another value is refused by name; 5.0 is 5 in JSON, and an order without a priority has 0."""
    with pytest.raises(OrderError, match=r"^parameters\.priority="):
        parse_world({**PARAMETERS, "priority": wrong})
    assert [parse_world({**PARAMETERS, **given}).priority for given in ({"priority": -10}, {"priority": 5.0}, {})] == [-10, 5, 0]


@pytest.mark.case("K3")
def test_a_moment_without_a_zone_is_utc() -> None:
    """The platform sometimes sends such moments; a moment with a zone is converted to UTC."""
    kept = [
        parse_world({**PARAMETERS, "created_at": sent}).created_at for sent in ("2026-11-23T14:30:00", "2026-11-23T16:30:00+02:00")
    ]
    assert kept == [datetime(2026, 11, 23, 14, 30, tzinfo=UTC)] * 2
    assert [moment.utcoffset() for moment in kept if moment] == [timedelta(0)] * 2


def test_every_part_of_a_world_says_which_keys_it_takes() -> None:
    """A unit that a task type gets later cannot be forgotten: an order would take keys that make nothing."""
    assert set(_KEYS_OF) == set(Unit)
