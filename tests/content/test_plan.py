"""The plan: tasks and calls of a world, computed before any call."""

from math import ceil

from generia_assets.catalog import LLM_CALLS, TaskType
from generia_assets.content.documents import Quality
from generia_assets.content.plan import plan
from generia_assets.content.seeding import world_seed
from generia_assets.content.shares import shares
from tests.support.worlds import a_request


def test_the_known_world_takes_205_calls_at_most_and_177_pictures():
    """25 people and 150 posts take 205 calls of the language model, one less for each person with one post, and 177 pictures."""
    for name in range(50):
        request = a_request(seed=world_seed(str(name)))
        planned = plan(request)
        assert planned.llm_total == 205 - shares(request.seed, 25, 150).count(1)
        assert planned.images_total == 177
        assert sum(planned.tasks.values()) == 381


def test_the_plan_has_all_task_types_and_follows_the_shares():
    """All nine task types are counted, and ideas take one task for every ten posts of a person."""
    request = a_request(users=7, posts=400)
    planned = plan(request)
    assert set(planned.tasks) == {task.value for task in TaskType}
    expected = sum(ceil(share / 10) for share in shares(request.seed, 7, 400))
    assert planned.tasks["generate_post_batch"] == planned.llm_calls["post_batch"] == expected
    lonely = plan(a_request(users=7, posts=7))
    assert (lonely.tasks["generate_post_batch"], lonely.llm_calls["post_batch"]) == (7, 0), "one post each is not planned by a call"
    assert plan(request) == planned


def test_high_quality_takes_one_more_call_for_each_picture():
    """Quality high refines every avatar and post picture with one call, and nothing else changes."""
    standard, high = plan(a_request()), plan(a_request(quality=Quality.HIGH))
    assert high.llm_total == standard.llm_total + 25 + 150
    assert high.tasks == standard.tasks
    assert high.image_calls == standard.image_calls


def test_a_world_without_posts_can_be_planned():
    """One person and no posts: description, pictures, concept, person, avatar."""
    planned = plan(a_request(users=1, posts=0))
    assert planned.llm_total == 4
    assert planned.images_total == 3


def test_tokens_are_estimated_for_every_kind_of_call():
    """Every request type has an estimate."""
    planned = plan(a_request())
    assert set(planned.llm_calls) == set(LLM_CALLS)
