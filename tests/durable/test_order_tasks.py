"""The task of an order always has its state: the run that executes it, its completion, or the reason of its failure."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from generia_assets.catalog import TaskType
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.orders.order import Order, OrderError
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.status import State
from generia_assets.durable.tasks.control import ResumeOptions, give_up, resume_world
from sensors.requests import run_request
from sensors.run_status import assets_of, order_again
from tests.support.durable_world import order_of
from tests.support.worlds_in_process import Made, Worlds

SETTINGS: dict[str, Any] = {"gemini_max_reasks": 0}


@pytest.fixture
def worlds(the_worlds: Worlds) -> Iterator[Worlds]:
    with the_worlds.undamaged():
        yield the_worlds


@pytest.fixture(scope="module")
def world_id(the_worlds: Worlds) -> str:
    """A small world, finished, as every test leaves it."""
    with the_worlds.undamaged():
        world_id, made = the_worlds.make(users=2, posts=3)
    assert made.success, made.failure
    return world_id


def ordered(worlds: Worlds, world_id: str, task_type: TaskType, *keys: str) -> str:
    """The task of an order for this part, recorded as the sensor does."""
    task_id = str(uuid.uuid4())
    order = order_of(task_id, task_type, world_id, {"keys": list(keys)} if keys else {})
    record_order(worlds.database, order, max_users=100, max_posts=100)
    return task_id


def carry_out(worlds: Worlds, task_id: str) -> Made:
    """Execute the run that the sensor requests."""
    task = the_task(worlds, task_id)
    order = order_of(task_id, TaskType(task["type"]), task["world_id"], None)
    request = run_request(record_order(worlds.database, order, max_users=100, max_posts=100).order)
    return worlds.run(order.world_id, select=names(request.asset_selection), tags=request.tags)


def resumed_by_watchdog(worlds: Worlds, world_id: str) -> Made:
    """Execute the run with which the watchdog continues a world; it does not know of any order."""
    status = worlds.status(world_id)
    request = order_again(status, None, assets_of(worlds.database, status))
    return worlds.run(world_id, select=names(request.asset_selection), tags=request.tags)


def names(selection: Sequence[Any] | None) -> list[str]:
    return [key.path[-1] for key in selection or ()]


def the_task(worlds: Worlds, task_id: str) -> dict[str, Any]:
    return worlds.database[TASKS].find_one({"_id": task_id}) or {}


def state_and_run(worlds: Worlds, task_id: str) -> tuple[str, str | None]:
    task = the_task(worlds, task_id)
    return task["status"], task["worker_id"]


def counters_agree(worlds: Worlds, world_id: str) -> bool:
    """Whether the status record counts the generation's tasks as they are, and no others."""
    status = worlds.status(world_id)
    mine = {"world_id": world_id, "generation": status.generation}
    counted = {
        state: worlds.database[TASKS].count_documents({**mine, "status": state.value}) for state in (State.COMPLETED, State.FAILED)
    }
    return counted == {State.COMPLETED: status.tasks_completed, State.FAILED: status.tasks_failed}


def test_the_watchdogs_run_completes_the_order_of_an_earlier_run(worlds: Worlds, world_id: str) -> None:
    """While an outage suspends the world, the order stays in progress; the run that finishes the generation completes it."""
    assert worlds.gemini is not None
    task_id = ordered(worlds, world_id, TaskType.GENERATE_CHARACTER_BATCH, "c0000")
    assert state_and_run(worlds, task_id) == ("pending", None)
    worlds.gemini.set_faults(requests_per_day=1)
    parked = carry_out(worlds, task_id)
    worlds.gemini.set_faults(requests_per_day=None)
    assert "suspended and can be resumed" in parked.failure
    assert state_and_run(worlds, task_id) == ("in_progress", parked.run_id)
    assert counters_agree(worlds, world_id)
    again = resumed_by_watchdog(worlds, world_id)
    assert again.success, again.failure
    assert state_and_run(worlds, task_id) == ("completed", again.run_id)
    assert the_task(worlds, task_id)["attempt_count"] == 2
    assert counters_agree(worlds, world_id)


def test_a_failed_order_has_its_reason_until_it_is_resumed(worlds: Worlds, world_id: str) -> None:
    """The order fails with its generation, with the same message; after a resume it is completed and has no error."""
    assert worlds.gemini is not None
    task_id = ordered(worlds, world_id, TaskType.GENERATE_WORLD_DESCRIPTION)
    worlds.gemini.set_faults(broken_json=1.0)
    assert not carry_out(worlds, task_id).success
    worlds.gemini.reset()
    task, status = the_task(worlds, task_id), worlds.status(world_id)
    assert task["status"] == "failed"
    assert task["error"].rstrip(".") in status.message
    assert "generia resume" in task["error"]
    assert (status.status, status.unfinished is None) == (State.COMPLETED, False)
    assert counters_agree(worlds, world_id)
    resume_world(worlds.database, world_id, ResumeOptions(more_calls=20, retry_failed=True))
    again = resumed_by_watchdog(worlds, world_id)
    assert again.success, again.failure
    assert (state_and_run(worlds, task_id), the_task(worlds, task_id)["error"]) == (("completed", again.run_id), None)
    assert counters_agree(worlds, world_id)


def test_an_order_of_a_missing_item_fails_and_does_not_change_its_world(worlds: Worlds, world_id: str) -> None:
    """An accepted task whose key names nobody is failed by its run, which begins nothing, so that nobody waits for it."""
    before = worlds.status(world_id)
    task_id = ordered(worlds, world_id, TaskType.GENERATE_CHARACTER)
    worlds.database[TASKS].update_one({"_id": task_id}, {"$set": {"parameters": {"keys": ["c9999"]}}})
    made = carry_out(worlds, task_id)
    assert not made.success
    task = the_task(worlds, task_id)
    assert (task["status"], task["error"] in made.failure) == ("failed", True)
    assert "'c9999' is nothing in this world" in task["error"]
    after = worlds.status(world_id)
    assert (after.status, after.generation, after.tasks_failed) == (State.COMPLETED, before.generation, 0)


def test_an_order_never_overtakes_another_that_is_unfinished(worlds: Worlds, world_id: str) -> None:
    """It waits while the other one continues by itself, and fails with the possible commands when the other one waits for a
    person."""
    assert worlds.gemini is not None
    first = ordered(worlds, world_id, TaskType.GENERATE_POST)
    worlds.gemini.set_faults(requests_per_day=1)
    assert not carry_out(worlds, first).success
    worlds.gemini.reset()
    other = ordered(worlds, world_id, TaskType.GENERATE_WORLD_IMAGE)
    assert f"generia watch {world_id}" in carry_out(worlds, other).failure
    assert (state_and_run(worlds, first)[0], state_and_run(worlds, other)[0]) == ("in_progress", "pending")
    worlds.database[STATUS].update_one({"_id": world_id}, {"$set": {"parked.kind": "stopped"}})
    assert f"generia resume {world_id}" in carry_out(worlds, other).failure
    assert (state_and_run(worlds, first)[0], state_and_run(worlds, other)[0]) == ("in_progress", "failed")
    assert f"generia stop {world_id} --give-up" in the_task(worlds, other)["error"]
    assert give_up(worlds.database, world_id)


def test_an_order_whose_run_has_no_gemini_is_failed(worlds: Worlds, world_id: str) -> None:
    """The message with which the run fails before it begins is also that of its order; the world stays completed."""
    task_id = ordered(worlds, world_id, TaskType.GENERATE_POST)
    nowhere = Worlds(worlds.settings.model_copy(update={"gemini_base_url": ""}), worlds.settings.mongodb_uri.get_secret_value(), "")
    assert not carry_out(nowhere, task_id).success
    nowhere.client.close()
    nowhere.instance.dispose()
    assert state_and_run(worlds, task_id)[0] == "failed"
    assert "GEMINI_API_KEY is not set" in the_task(worlds, task_id)["error"]
    assert worlds.status(world_id).status is State.COMPLETED


def test_an_order_that_can_never_become_a_world_is_not_recorded(worlds: Worlds) -> None:
    """Recording it raises an error with the reason, and no run is started."""
    task_id, kind, world_id = str(uuid.uuid4()), TaskType.INIT_WORLD_CREATION, str(uuid.uuid4())
    stored = {"user_prompt": "!?", "users_count": 1, "posts_count": 1}
    task = {"_id": task_id, "type": kind.value, "world_id": world_id, "status": "pending", "parameters": stored}
    worlds.database[TASKS].insert_one(task)
    with pytest.raises(OrderError, match="has no words"):
        record_order(worlds.database, Order(world_id, None, kind, task_id), max_users=100, max_posts=100)
    assert worlds.database[STATUS].find_one({"_id": world_id}) is None
