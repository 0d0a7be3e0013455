"""If the requests of one item are refused or answered with damage, the item fails and the world continues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from generia_assets.durable.calls.ledger import item_limits
from generia_assets.durable.collections import HISTORY
from generia_assets.durable.status import State
from resources.gateway.calls import Api
from tests.support.items_worlds import attempts, fails_alone, faults, one_post
from tests.support.worlds_in_process import POSTS, Worlds


@pytest.fixture
def worlds(the_worlds: Worlds) -> Iterator[Worlds]:
    with the_worlds.undamaged():
        yield the_worlds


@pytest.fixture(scope="module")
def there(the_worlds: Worlds) -> str:
    """A completed world."""
    with the_worlds.undamaged():
        world_id, made = the_worlds.make("there")
    assert made.success, made.failure
    return world_id


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param({"invalid_argument": 1.0}, "INVALID_ARGUMENT", id="A11 400 for one post's prompt"),
        pytest.param({"broken_json": 1.0}, "BUDGET_SPARE", id="A18 damaged answers for one post"),
        pytest.param({"stopped": 1.0, "stop_reasons": ["RECITATION"]}, "RECITATION", id="A10 RECITATION each time"),
    ],
)
def test_an_item_that_fails_is_named_and_all_others_are_made(
    worlds: Worlds, there: str, fault: dict[str, Any], reason: str
) -> None:
    """A post whose request is wrong fails after its attempts, without a placeholder, and no other item is affected."""
    key, words = one_post(worlds, there)
    faults(worlds, only_matching=words, **fault)
    made = worlds.run(there, select=["posts"])
    fails_alone(worlds, there, key, made, reason)
    posts = worlds.documents("posts", there)
    assert (len(posts), {post.deleted_reason for post in posts}) == (POSTS - 1, {""})
    status = worlds.status(there)
    most = item_limits({Api.LLM: status.api_call_limits_LLM}, worlds.settings.budget_spare)
    assert status.api_calls_made_LLM <= POSTS - 1 + most[Api.LLM]


@pytest.mark.parametrize(
    ("words", "users", "posts"),
    [
        pytest.param("Write this person", 1, 1, id="A18 a person, three refusals"),
        pytest.param("Write this person", 1, 0, id="A18 a person, and one call to spare"),
        pytest.param("Plan posts of one person", 1, 1, id="A18 the ideas of a batch"),
    ],
)
def test_in_a_small_world_a_refused_item_gets_its_fallback(worlds: Worlds, words: str, users: int, posts: int) -> None:
    """The share of the spare calls is large enough that a refused item reaches its fallback."""
    faults(worlds, only_matching=words, prompt_blocked=1.0, block_reasons=["SAFETY"])
    world_id, made = worlds.make(users=users, posts=posts)
    assert made.success, made.failure
    status = worlds.status(world_id)
    assert (status.status, status.tasks_failed, status.users_created, status.posts_created) == (State.COMPLETED, 0, users, posts)
    assert attempts(worlds, world_id) == {1}


@pytest.mark.case("A11")
def test_when_the_first_requests_of_a_kind_are_all_rejected_the_world_stops(worlds: Worlds) -> None:
    """If the first requests of a kind are all wrong, the world fails with the reason instead of making a hundred of them, and can
    be resumed."""
    faults(worlds, only_matching="Write one post", invalid_argument=1.0)
    world_id, made = worlds.make("rejected", users=2, posts=16)
    assert not made.success
    status = worlds.status(world_id)
    assert status.status is State.FAILED
    assert "generate_post: all requests of this kind were rejected (" in status.message
    assert status.message in made.failure
    assert worlds.database[HISTORY].count_documents({"world_id": world_id, "request_type": "post"}) <= 20
    faults(worlds, invalid_argument=0.0)
    assert worlds.resume(world_id).success


@pytest.mark.case("A11")
def test_a_description_that_is_rejected_fails_the_world_at_the_first_call(worlds: Worlds) -> None:
    """It is the only request of its kind, so a repetition cannot help."""
    faults(worlds, invalid_argument=1.0)
    world_id, _ = worlds.make("rejected-description")
    assert worlds.status(world_id).status is State.FAILED
    assert worlds.calls == 1


@pytest.mark.case("A10")
def test_an_answer_that_stopped_by_chance_is_requested_again_unchanged(worlds: Worlds, there: str) -> None:
    """RECITATION is not moderation: the same request is sent again, and the post has no mark of a refusal."""
    key, words = one_post(worlds, there)
    faults(worlds, stopped=1.0, stop_reasons=["RECITATION"], for_calls=1)
    made = worlds.run(there, select=["posts"], keys=[key])
    assert made.success, made.failure
    assert worlds.gemini is not None
    first, second = worlds.gemini.requests(contains=words)
    assert first.body == second.body
    post = next(post for post in worlds.documents("posts", there) if post.key == key)
    assert "moderation" not in post.context


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"broken_json": 1.0}, id="A17 damaged"),
        pytest.param({"answer_blocked": 1.0, "finish_reasons": ["SAFETY"]}, id="A17 refused"),
        pytest.param({"invalid_argument": 1.0}, id="A17 rejected"),
    ],
)
def test_a_failed_improvement_keeps_the_original(worlds: Worlds, fault: dict[str, Any]) -> None:
    """Quality high: pictures are painted from the original scene, after one answer, in the first attempt of their tasks."""
    faults(worlds, only_matching="Make a better prompt for", **fault)
    world_id, made = worlds.make(users=1, posts=2, quality="high")
    assert made.success, made.failure
    status = worlds.status(world_id)
    assert (status.status, status.tasks_failed, status.posts_created) == (State.COMPLETED, 0, 2)
    assert attempts(worlds, world_id) == {1}
    asked = Counter(
        one["labels"]["key"] for one in worlds.database[HISTORY].find({"world_id": world_id, "request_type": {"$regex": "^refine"}})
    )
    assert set(asked.values()) == {1}
