"""The workload of a generation: tasks and limits, known before any call is made."""

from __future__ import annotations

from math import ceil

import pytest

from generia_assets.catalog import TaskType
from generia_assets.content.plan import plan
from generia_assets.content.shares import shares
from generia_assets.durable.orders.order import OrderError, WorldParameters
from generia_assets.durable.orders.workload import request_of, tasks_of, workload
from resources.gateway.calls import Api

WORLD = "a-world"
ORDER = WorldParameters(user_prompt="a town on a tortoise", users_count=25, posts_count=150)
LLM = plan(request_of(WORLD, ORDER)).llm_total


def test_a_whole_world_has_the_tasks_and_limits_of_the_plan() -> None:
    """25 people and 150 posts: the plan's LLM calls and 177 pictures, each limit a quarter higher, rounded up."""
    found = workload(WORLD, ORDER, set(TaskType), spare=0.25, max_cost_usd=None)
    assert found.call_limits == {Api.LLM: ceil(1.25 * LLM), Api.IMAGE: 222}
    assert found.tasks[TaskType.GENERATE_CHARACTER_BATCH] == 3
    assert found.tasks[TaskType.GENERATE_POST] == found.tasks[TaskType.GENERATE_POST_IMAGE] == 150
    assert (found.users, found.posts) == (25, 150)


def test_a_part_has_its_own_tasks_and_limits_only() -> None:
    """Posts alone need no pictures and no people; pictures alone need no language model."""
    posts = workload(WORLD, ORDER, {TaskType.GENERATE_POST}, spare=0.25, max_cost_usd=None)
    assert posts.tasks == {TaskType.GENERATE_POST: 150}
    assert posts.call_limits == {Api.LLM: 188, Api.IMAGE: 0}
    pictures = workload(WORLD, ORDER, {TaskType.GENERATE_POST_IMAGE}, spare=0.0, max_cost_usd=None)
    assert pictures.call_limits == {Api.LLM: 0, Api.IMAGE: 150}


def test_quality_high_refines_every_picture_with_a_call() -> None:
    """Avatars and posts' pictures take one LLM call each more, also when a single person is made again."""
    high = ORDER.model_copy(update={"quality": "high"})
    whole = workload(WORLD, high, set(TaskType), spare=0.0, max_cost_usd=None)
    assert whole.call_limits[Api.LLM] == LLM + 25 + 150
    one = workload(WORLD, high, {TaskType.GENERATE_CHARACTER_AVATAR}, spare=0.0, max_cost_usd=None, keys=["c0003"])
    assert one.call_limits == {Api.LLM: 1, Api.IMAGE: 1}


def test_an_ordered_seed_is_used_for_the_plan() -> None:
    """The tasks and limits of an order with a seed are those of the world that will be made with it, whatever its id is."""
    seeded = ORDER.model_copy(update={"seed": 7})
    assert request_of("one-world", seeded).seed == request_of("another-world", seeded).seed == 7


def test_keys_count_what_they_name() -> None:
    """The key of a person means everything of that person, the key of a post that post; nothing is counted twice."""
    request = request_of(WORLD, ORDER)
    own = shares(request.seed, 25, 150)[3]
    tasks = tasks_of(request, ["c0003", "c0003-p0000", "c0003", "b001", "world"])
    assert tasks[TaskType.GENERATE_CHARACTER] == tasks[TaskType.GENERATE_CHARACTER_AVATAR] == 1
    assert tasks[TaskType.GENERATE_POST] == tasks[TaskType.GENERATE_POST_IMAGE] == own
    assert tasks[TaskType.GENERATE_POST_BATCH] == -(-own // 10)
    assert tasks[TaskType.GENERATE_WORLD_IMAGE] == 1
    assert tasks[TaskType.GENERATE_CHARACTER_BATCH] == 2, "the second batch, and the fourth person of the first one"
    assert tasks_of(request, ["c0003", "b000"])[TaskType.GENERATE_CHARACTER_BATCH] == 1
    found = workload(WORLD, ORDER, {TaskType.GENERATE_POST}, spare=0.0, max_cost_usd=None, keys=["c0004-p0000"])
    assert found.tasks == {TaskType.GENERATE_POST: 1}
    assert found.call_limits[Api.LLM] == 1


def test_the_plans_of_some_people_count_exactly_their_calls() -> None:
    """A person with one post is planned without a call, also when only some people are made again; all others need one."""
    order = ORDER.model_copy(update={"users_count": 40, "posts_count": 60})
    given = shares(request_of(WORLD, order).seed, 40, 60)
    assert 1 in given
    assert max(given) > 1
    for people in (range(40), [given.index(1)], [given.index(max(given)), given.index(1)], range(0, 40, 3)):
        keys = [f"c{index:04d}" for index in people]
        found = workload(WORLD, order, {TaskType.GENERATE_POST_BATCH}, spare=0.0, max_cost_usd=None, keys=keys)
        assert found.tasks[TaskType.GENERATE_POST_BATCH] == len(keys)
        assert found.call_limits[Api.LLM] == sum(given[index] > 1 for index in people)


@pytest.mark.parametrize("key", ["c0025", "c25", "b003", "c0003-p9999", "p0001", "", "c0003-b000", "World"])
def test_an_unknown_key_is_refused_with_the_possible_keys(key: str) -> None:
    """The message has the mistyped key, and what keys look like in this world."""
    with pytest.raises(OrderError, match=r"keys: .*is nothing in this world.*c0000 to c0024") as refused:
        tasks_of(request_of(WORLD, ORDER), [key])
    assert repr(key) in str(refused.value)


def test_keys_that_select_nothing_are_refused() -> None:
    """A person's key for the world's pictures is refused with what would have been made."""
    with pytest.raises(OrderError, match=r"c0003 name nothing of what is made here \(generate_world_image"):
        workload(WORLD, ORDER, {TaskType.GENERATE_WORLD_IMAGE}, spare=0.0, max_cost_usd=None, keys=["c0003"])


def test_the_cap_of_the_order_overrides_that_of_the_installation() -> None:
    """A cap in the order is used; without one the installation's default is."""
    capped = ORDER.model_copy(update={"max_cost_usd": 2.5})
    assert workload(WORLD, capped, set(TaskType), spare=0.25, max_cost_usd=9.0).cost_limit_usd == 2.5
    assert workload(WORLD, ORDER, set(TaskType), spare=0.25, max_cost_usd=9.0).cost_limit_usd == 9.0


def test_a_world_without_posts_has_a_workload() -> None:
    """Without posts there are no calls for them, and no division by zero."""
    quiet = ORDER.model_copy(update={"posts_count": 0})
    found = workload(WORLD, quiet, set(TaskType), spare=0.0, max_cost_usd=None)
    assert found.tasks[TaskType.GENERATE_POST] == 0
    assert found.call_limits == {Api.LLM: 2 + 3 + 25, Api.IMAGE: 2 + 25}
