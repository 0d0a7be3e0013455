"""Orders: recorded once, from any source and however often they are repeated; faults are named."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
from bson import Int64
from pymongo import MongoClient

from generia_assets.catalog import TaskType
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.orders.order import ExtensionParameters, Order, OrderError
from generia_assets.durable.orders.records import RecordedOrder
from tests.support.durable_world import PARAMETERS, an_order, order_of, record

THREADS = 8


@pytest.fixture
def database(mongo_client: MongoClient[dict[str, Any]], mongo_database_name: str) -> Any:
    return mongo_client[mongo_database_name]


def at_once(database: Any, orders: list[Order]) -> list[RecordedOrder | OrderError]:
    """Record these orders at the same moment, each in its own thread."""
    start = Barrier(len(orders))

    def one(order: Order) -> RecordedOrder | OrderError:
        start.wait()
        try:
            return record(database, order)
        except OrderError as error:
            return error

    with ThreadPoolExecutor(len(orders)) as threads:
        return list(threads.map(one, orders))


def platform_task(order: Order, **changes: Any) -> dict[str, Any]:
    """A task as the platform inserts it before it sends the message."""
    now = datetime.now(UTC)
    task = {
        "_id": order.task_id,
        "type": order.task_type.value,
        "world_id": order.world_id,
        "status": "pending",
        "worker_id": None,
        "parameters": order.parameters and order.parameters.document(),
        "result": None,
        "created_at": now,
        "updated_at": now,
        "attempt_count": 0,
        "error": None,
    }
    return {**task, **changes}


def test_an_order_raced_from_eight_threads_is_recorded_once_and_new_to_one_of_them(database: Any) -> None:
    """For any number of concurrent callers there is one task and one status record, and exactly one caller learns that it is
    new."""
    for _ in range(5):
        order = an_order(str(uuid.uuid4()))
        recorded = at_once(database, [order] * THREADS)
        assert sum(entry.new for entry in recorded) == 1
        assert {entry.order.task_id for entry in recorded} == {order.task_id}
        assert database[TASKS].count_documents({"world_id": order.world_id}) == 1
        assert database[STATUS].count_documents({"_id": order.world_id}) == 1


def test_of_different_tasks_for_one_world_one_gets_it(database: Any) -> None:
    """One task gets the world, all others are refused by world_id, and their tasks are not stored."""
    world_id = str(uuid.uuid4())
    answers = at_once(database, [an_order(world_id) for _ in range(THREADS)])
    refused = [answer for answer in answers if isinstance(answer, OrderError)]
    assert len(refused) == THREADS - 1
    assert all("world_id=" in str(error) and world_id in str(error) for error in refused)
    tasks = list(database[TASKS].find({"world_id": world_id}))
    assert len(tasks) == 1
    assert database[STATUS].find_one({"_id": world_id})["parameters"]["task_id"] == tasks[0]["_id"]


def test_parameters_absent_from_the_order_are_taken_from_mongodb(database: Any) -> None:
    """The platform's task has the parameters of a message without parameters."""
    order = an_order(str(uuid.uuid4()))
    database[TASKS].insert_one(platform_task(order))
    recorded = record(database, order_of(order.task_id, order.task_type, order.world_id, None))
    assert not recorded.new
    assert database[STATUS].find_one({"_id": order.world_id})["parameters"]["users_count"] == PARAMETERS["users_count"]


def test_parameters_in_mongodb_override_those_of_the_message(database: Any) -> None:
    """A message that differs from the platform's task makes the world of that task; the ignored parameters are named."""
    order = an_order(str(uuid.uuid4()))
    database[TASKS].insert_one(platform_task(order))
    message = an_order(order.world_id, order.task_id, users_count=7, max_cost_usd=2.0)
    recorded = record(database, message)
    assert "users_count=7" in recorded.overruled
    assert "max_cost_usd=2.0" in recorded.overruled
    status = database[STATUS].find_one({"_id": order.world_id})
    assert {name: status["parameters"].get(name) for name in (*PARAMETERS, "max_cost_usd")} == {**PARAMETERS, "max_cost_usd": None}
    assert status["users_predicted"] == PARAMETERS["users_count"]


def test_a_message_that_mongodb_overrode_may_be_repeated_but_not_changed(database: Any) -> None:
    """The same message read twice is the same order; another order under a used id is refused, whoever inserted the task."""
    order = an_order(str(uuid.uuid4()))
    database[TASKS].insert_one(platform_task(order))
    message = an_order(order.world_id, order.task_id, users_count=7)
    for repeated in (message, message, order, order_of(order.task_id, order.task_type, order.world_id, None)):
        assert record(database, repeated).order.task_id == order.task_id
    with pytest.raises(OrderError, match=r"parameters\.users_count=8.*ordered with users_count=3"):
        record(database, an_order(order.world_id, order.task_id, users_count=8))
    assert database[TASKS].find_one({"_id": order.task_id})["parameters"] == {
        **PARAMETERS,
        "quality": "standard",
        "priority": 0,
    }


def test_parameters_in_the_platforms_format_are_accepted(database: Any) -> None:
    """Other fields of the platform, nulls, and whole numbers stored as doubles or longs are accepted."""
    order = an_order(str(uuid.uuid4()))
    stored = {**PARAMETERS, "users_count": 3.0, "posts_count": Int64(6), "user_id": "u-17", "max_cost_usd": None, "quality": None}
    database[TASKS].insert_one(platform_task(order, parameters=stored))
    record(database, order_of(order.task_id, order.task_type, order.world_id, None))
    kept = database[STATUS].find_one({"_id": order.world_id})["parameters"]
    assert (kept["users_count"], kept["posts_count"]) == (3, 6)
    assert type(kept["users_count"]) is int
    assert "user_id" not in kept


@pytest.mark.parametrize(
    ("field", "value"), [("users_count", 2.5), ("users_count", "3"), ("posts_count", 1001), ("user_prompt", 7)]
)
def test_a_wrong_parameter_in_mongodb_is_named(database: Any, field: str, value: object) -> None:
    """Parameters in MongoDB are parsed more tolerantly than those of a message, but must still make a world."""
    order = an_order(str(uuid.uuid4()))
    database[TASKS].insert_one(platform_task(order, parameters={**PARAMETERS, field: value}))
    with pytest.raises(OrderError, match=rf"parameters\.{field}={value!r}"):
        record(database, order)
    assert database[STATUS].count_documents({"_id": order.world_id}) == 0


@pytest.mark.parametrize("field", ["user_prompt", "users_count", "posts_count", "max_cost_usd"])
def test_an_id_used_before_with_other_parameters_is_refused_by_the_field(database: Any, field: str) -> None:
    """An order that contradicts an earlier message is refused, and the record does not change."""
    order = an_order(str(uuid.uuid4()))
    record(database, order)
    recorded = database[TASKS].find_one({"_id": order.task_id})
    other = "another world" if field == "user_prompt" else 7
    with pytest.raises(OrderError, match=f"parameters.{field}="):
        record(database, an_order(order.world_id, order.task_id, **{field: other}))
    assert database[TASKS].find_one({"_id": order.task_id}) == recorded


def test_keys_of_a_part_in_mongodb_override_those_of_the_message(database: Any) -> None:
    """MongoDB's keys override those of the first message; under an id that a message has used, other keys are another order."""
    order = an_order(str(uuid.uuid4()))
    record(database, order)
    part = order_of(str(uuid.uuid4()), TaskType.GENERATE_POST, order.world_id, {"keys": ["c0001"]})
    other = order_of(part.task_id, part.task_type, part.world_id, {"keys": ["c0002"]})
    database[TASKS].insert_one(platform_task(part))
    assert record(database, other).order.parameters.keys == ("c0001",)
    assert "keys=['c0002']" in record(database, other).overruled
    mine = order_of(str(uuid.uuid4()), TaskType.GENERATE_POST, order.world_id, {"keys": ["c0001"]})
    record(database, mine)
    with pytest.raises(OrderError, match=r"parameters\.keys=\['c0002'\]"):
        record(database, order_of(mine.task_id, mine.task_type, mine.world_id, {"keys": ["c0002"]}))
    alone = {"keys": ["c0001"], "with_what_follows": False}
    with pytest.raises(OrderError, match=r"parameters\.with_what_follows=False.* was already ordered with with_what_follows=True"):
        record(database, order_of(mine.task_id, mine.task_type, mine.world_id, alone))


@pytest.mark.parametrize("keys", [["c0001"], ["../c0001"], ["world", "c0001-p0000"]])
def test_keys_of_another_kind_are_refused_from_any_source(database: Any, keys: list[str]) -> None:
    """An order that would make nothing is refused by the key, from the message or from the platform's task."""
    order = an_order(str(uuid.uuid4()))
    record(database, order)
    part = order_of(str(uuid.uuid4()), TaskType.GENERATE_WORLD_IMAGE, order.world_id, None)
    said = rf"parameters\.keys\.{len(keys) - 1}='{keys[-1]}': a key of generate_world_image is world"
    with pytest.raises(OrderError, match=said):
        order_of(part.task_id, part.task_type, part.world_id, {"keys": keys})
    database[TASKS].insert_one(platform_task(part, parameters={"keys": keys}))
    with pytest.raises(OrderError, match=said):
        record(database, part)


@pytest.mark.parametrize(
    ("task_type", "keys"),
    [
        (TaskType.GENERATE_CHARACTER, ["c0000", "c9999"]),
        (TaskType.GENERATE_POST, ["c0000-p9999"]),
    ],
)
@pytest.mark.parametrize("in_mongodb", [False, True], ids=["by message", "in MongoDB's task"])
def test_keys_that_the_world_does_not_have_are_refused_when_the_order_is_recorded(
    database: Any, task_type: TaskType, keys: list[str], in_mongodb: bool
) -> None:
    """An order of missing items starts no run, whoever recorded its parameters."""
    order = an_order(str(uuid.uuid4()))
    record(database, order)
    part = order_of(str(uuid.uuid4()), task_type, order.world_id, None if in_mongodb else {"keys": keys})
    if in_mongodb:
        database[TASKS].insert_one(platform_task(part, parameters={"keys": keys}))
    with pytest.raises(OrderError, match=f"'{keys[-1]}' is nothing in this world"):
        record(database, part)
    assert "accepted_at" not in (database[TASKS].find_one({"_id": part.task_id}) or {})


def test_a_task_id_belongs_to_one_world_and_one_type(database: Any) -> None:
    """The same task id with another world or another type is refused by that field."""
    order = an_order(str(uuid.uuid4()))
    record(database, order)
    with pytest.raises(OrderError, match="world_id="):
        record(database, an_order(str(uuid.uuid4()), order.task_id))
    with pytest.raises(OrderError, match="task_type="):
        record(database, order_of(order.task_id, TaskType.GENERATE_POST, order.world_id, {}))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"users_count": 0}, "users_count"),
        ({"users_count": "3"}, "users_count"),
        ({"users_count": 1001}, "users_count"),
        ({"posts_count": -1}, "posts_count"),
        ({"posts_count": 1001}, "posts_count"),
        ({"quality": "supreme"}, "quality"),
        ({"max_cost_usd": 0.0}, "max_cost_usd"),
        ({"seed": -1}, "seed"),
        ({"max_cost_us": 1.0}, "max_cost_us"),
    ],
)
def test_a_wrong_parameter_is_named_and_nothing_is_recorded(database: Any, changes: dict[str, Any], field: str) -> None:
    """An order that cannot be executed is not stored in MongoDB."""
    world_id = str(uuid.uuid4())
    with pytest.raises(OrderError, match=f"parameters.{field}"):
        record(database, an_order(world_id, **changes))
    assert database[TASKS].count_documents({"world_id": world_id}) == 0
    assert database[STATUS].count_documents({"_id": world_id}) == 0


def test_a_part_of_a_world_needs_the_world(database: Any) -> None:
    """The other eight task types are refused for an unknown world, and accepted, with their keys, for an existing one."""
    order = an_order(str(uuid.uuid4()))
    part = order_of(str(uuid.uuid4()), TaskType.GENERATE_POST, order.world_id, {"keys": ["c0001-p0000"]})
    with pytest.raises(OrderError, match="no such world"):
        record(database, part)
    assert database[TASKS].count_documents({"_id": part.task_id}) == 0
    record(database, order)
    recorded = record(database, part)
    assert (recorded.new, recorded.finished, recorded.order.parameters.keys) == (True, False, ("c0001-p0000",))
    assert not record(database, part).new


def test_an_extension_is_recorded_beside_its_world(database: Any) -> None:
    """Also if the platform has inserted its task; MAX_USERS limits the sum; a task id belongs to one order."""
    order = an_order(str(uuid.uuid4()))
    added = Order(order.world_id, ExtensionParameters(add_users=2, add_posts=5))
    with pytest.raises(OrderError, match="no such world"):
        record(database, added)
    record(database, order)
    first, again = record(database, added), record(database, added)
    assert (first.new, again.new, again.finished, again.order.parameters) == (True, False, False, added.parameters)
    named = Order(order.world_id, None)
    database[TASKS].insert_one(platform_task(named, parameters={"add_posts": 3}))
    assert record(database, named).order.parameters == ExtensionParameters(add_posts=3)
    for wrong, said in (
        (Order(order.world_id, ExtensionParameters(add_users=10**9)), "MAX_USERS"),
        (Order(order.world_id, ExtensionParameters(add_users=3), task_id=added.task_id), "already ordered with"),
        (Order(order.world_id, ExtensionParameters(add_users=3), task_id=order.task_id), "already ordered with others"),
        (Order(order.world_id, order.parameters, task_id=added.task_id), "user_prompt"),
    ):
        with pytest.raises(OrderError, match=said):
            record(database, wrong)
    assert database[STATUS].find_one({"_id": order.world_id})["parameters"]["users_count"] == PARAMETERS["users_count"]


def test_the_status_record_is_complete_from_the_start_with_the_contracts_bson_types(database: Any) -> None:
    """Before any run it has every field that the platform reads: ints as ints, costs as doubles, dates as dates, six stages."""
    order = an_order(str(uuid.uuid4()))
    record(database, order)
    fields = {
        "int": "tasks_total tasks_completed tasks_failed task_predicted users_created posts_created users_predicted "
        "posts_predicted api_call_limits_LLM api_call_limits_images api_calls_made_LLM api_calls_made_images",
        "double": "llm_cost_total image_cost_total",
        "date": "created_at updated_at",
        "string": "status current_stage",
        "array": "stages",
        "object": "parameters",
    }
    wanted = {name: kind for kind, names in fields.items() for name in names.split()}
    types = {"$project": {"_id": 0, **{name: {"$type": f"${name}"} for name in wanted}}}
    (found,) = database[STATUS].aggregate([{"$match": {"_id": order.world_id}}, types])
    assert found == wanted
    status = database[STATUS].find_one({"_id": order.world_id})
    names = ["initializing", "world_description", "world_image", "characters", "posts", "finishing"]
    assert status["stages"] == [{"name": name, "status": "pending"} for name in names]
