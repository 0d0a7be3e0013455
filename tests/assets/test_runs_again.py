"""A world that is made again: its cap, earlier refusals, lost records, and the leftovers of another generation."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from generia_assets.catalog import TaskType
from generia_assets.durable.collections import STATUS
from generia_assets.durable.orders.intake import RefusedOrder, record_refusal
from generia_assets.durable.orders.order import OrderError
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.status import State
from generia_assets.durable.tasks import opening
from generia_assets.durable.tasks.control import ResumeOptions, resume_world
from generia_assets.durable.tasks.generations import begin
from tests.support.durable_world import order_of
from tests.support.worlds_in_process import PROMPT, Worlds

PEOPLE, POSTS = 2, 3
SETTINGS: dict[str, Any] = {"gemini_max_reasks": 0}


@pytest.fixture
def worlds(the_worlds: Worlds) -> Iterator[Worlds]:
    with the_worlds.undamaged():
        yield the_worlds


@pytest.mark.case("P2")
def test_a_cap_that_a_person_set_stays(worlds: Worlds) -> None:
    """A new generation keeps the world's cap, whether the order's cap is missing, higher or lower, unless its own form names a
    cap."""
    form: dict[str, Any] = {"prompt": PROMPT, "users": 1, "posts": 0}
    for ordered in (None, 5.0, 0.5):
        assert worlds.run("capped", form=form | ({"max_cost_usd": ordered} if ordered else {})).success
        assert worlds.status("capped").cost_limit_usd == ordered
        worlds.database[STATUS].update_one({"_id": "capped"}, {"$set": {"cost_limit_usd": 2.0}})  # generia resume --max-cost-usd 2
        assert worlds.run("capped").success
        assert worlds.status("capped").cost_limit_usd == 2.0


@pytest.mark.case("P1")
def test_a_person_can_make_a_world_whose_message_was_refused(worlds: Worlds) -> None:
    """The world replaces the record of the refusal; the corrected message then finds an existing world, and changes nothing."""
    world_id, task_id = "refused", str(uuid.uuid4())
    record_refusal(worlds.database, RefusedOrder("users_count=0", world_id, task_id, TaskType.INIT_WORLD_CREATION))
    form: dict[str, Any] = {"prompt": PROMPT, "users": 1, "posts": 0}
    made = worlds.run(world_id, form=form)
    assert made.success, made.failure
    before = worlds.raw_status(world_id)
    assert (before["status"], before["refused"], before["llm_cost_total"] > 0) == ("completed", False, True)
    mended = order_of(task_id, TaskType.INIT_WORLD_CREATION, world_id, {"user_prompt": PROMPT, "users_count": 1, "posts_count": 0})
    with pytest.raises(OrderError, match="already ordered by task"):
        record_order(worlds.database, mended, max_users=9, max_posts=9)
    assert worlds.raw_status(world_id) == before


@pytest.mark.case("P1")
def test_the_record_of_a_refusal_is_not_overwritten_once_a_run_owns_it(worlds: Worlds) -> None:
    """While a run owns the world, or has begun it, a message does not create its record again."""
    world_id = "refused-and-taken"
    record_refusal(worlds.database, RefusedOrder("users_count=0", world_id, None, TaskType.INIT_WORLD_CREATION))
    taken = {"owner.run_id": "r", "owner.epoch": 1}
    worlds.database[STATUS].update_one({"_id": world_id}, {"$set": taken})
    order = order_of(
        str(uuid.uuid4()), TaskType.INIT_WORLD_CREATION, world_id, {"user_prompt": PROMPT, "users_count": 1, "posts_count": 0}
    )
    before = worlds.raw_status(world_id)
    record_order(worlds.database, order, max_users=9, max_posts=9)
    assert worlds.raw_status(world_id) == before


@pytest.mark.case("P1")
def test_a_world_whose_status_record_was_lost_can_be_ordered_again_and_replaces_its_documents(worlds: Worlds) -> None:
    """The epoch of the first owner in the new record is higher than those in the stored documents: its writes are not fenced
    off."""
    world_id, made = worlds.make("without-a-record", users=1, posts=0)
    assert made.success, made.failure
    assert worlds.run(world_id, select=["world_images"]).success  # fencing tokens above the new record's first epochs
    fences = [pointer["fence"] for pointer in worlds.database["materializations"].find({"world_id": world_id})]
    worlds.database[STATUS].delete_one({"_id": world_id})
    worlds.database["generations"].delete_many({"world_id": world_id})
    again = worlds.make(world_id, users=1, posts=0)[1]
    assert again.success, again.failure
    assert worlds.raw_status(world_id)["owner"]["epoch"] > max(fences)


@pytest.mark.case("P1")
def test_a_world_whose_generation_record_was_lost_fails_and_can_be_made_again(worlds: Worlds) -> None:
    """The run that should continue it fails, and the world is failed with the reason; otherwise the watchdog would start a run
    every minute."""
    assert worlds.gemini is not None
    worlds.gemini.set_faults(requests_per_day=3)
    world_id, made = worlds.make("without-a-generation", users=1, posts=0)
    worlds.gemini.reset()
    assert not made.success
    resume_world(worlds.database, world_id, ResumeOptions(more_calls=9))
    worlds.database["generations"].delete_many({"world_id": world_id})
    assert not worlds.resume(world_id).success
    world = worlds.status(world_id)
    assert (world.status, world.resumable, "launch job world" in world.message) == (State.FAILED, False, True)
    assert worlds.run(world_id, form={"prompt": PROMPT, "users": 1, "posts": 0}).success


@pytest.mark.case("P1")
def test_staged_documents_of_another_generation_are_deleted_before_a_generation_begins(worlds: Worlds) -> None:
    """If a run dies as soon as its generation has begun, the generation has no staged documents of another one."""
    world_id, made = worlds.make("staged-and-left", users=1, posts=0)
    assert made.success, made.failure
    pointers, mine = worlds.database["materializations"], {"world_id": world_id, "staged": True}
    pointers.insert_one({"_id": f"{world_id}:posts:staged", **mine, "collection": "posts", "materialization": "x", "count": 0})

    async def dying(*begun: Any) -> None:
        await begin(*begun)
        raise RuntimeError("killed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "begin", dying)
        assert "killed" in worlds.run(world_id, select=["world_images"]).failure
    assert pointers.count_documents(mine) == 0
    assert worlds.resume(world_id, select=["world_images"]).success
