"""Priorities: which of the waiting calls of one world is first, by the timeline."""

import pytest

from generia_assets.assets.publication import NOT_NEEDED_AFTER, Priorities
from generia_assets.catalog import TaskType
from generia_assets.content.keys import character_key, post_key
from generia_assets.content.social import ready_after
from generia_assets.content.timeline import timeline
from tests.support.worlds import a_request


@pytest.mark.parametrize(("people", "posts"), [(1, 0), (7, 7), (25, 150), (40, 30), (30, 600)])
def test_calls_for_an_earlier_post_go_first_and_the_last_task_of_a_post_before_its_others(people: int, posts: int) -> None:
    """Everything that a post waits for goes before calls that only a later post needs; among its own tasks the last one goes
    first."""
    request = a_request(users=people, posts=posts)
    line, of = timeline(request.seed, people, posts), Priorities(request)
    before = -1
    for t in range(posts):
        index, order = line.people[t], line.orders[t]
        person, post = character_key(index), post_key(character_key(index), order)
        image, text = of(TaskType.GENERATE_POST_IMAGE, post), of(TaskType.GENERATE_POST, post)
        assert before < image < text
        before = text
        plan = of(TaskType.GENERATE_POST_BATCH, f"{person}-b{order // 10:03d}")
        character = of(TaskType.GENERATE_CHARACTER, person)
        batch = of(TaskType.GENERATE_CHARACTER_BATCH, f"b{ready_after(request.seed, people, index):03d}")
        later = None
        if t + 1 < posts:
            later = of(TaskType.GENERATE_POST_IMAGE, post_key(character_key(line.people[t + 1]), line.orders[t + 1]))
        for needed in (plan, character, batch):
            assert later is None or needed < later
        if line.joined(index) == t:
            assert text < plan < character
            assert later is None or of(TaskType.GENERATE_CHARACTER_AVATAR, person) > later


@pytest.mark.parametrize("task_type", [TaskType.GENERATE_WORLD_IMAGE, TaskType.GENERATE_CHARACTER_AVATAR])
def test_pictures_that_no_post_needs_wait_for_a_bounded_number_of_posts(task_type: TaskType) -> None:
    """They neither delay the next posts nor wait for the last ones."""
    request = a_request()
    line, of = timeline(request.seed, 25, 150), Priorities(request)
    key, since = ("world", 0) if task_type is TaskType.GENERATE_WORLD_IMAGE else ("c0003", line.joined(3))
    texts = [of(TaskType.GENERATE_POST, post_key(character_key(line.people[t]), line.orders[t])) for t in range(150)]
    # The post that is written at the same time, and this number of others.
    assert sum(text < of(task_type, key) for text in texts[since:]) == 1 + NOT_NEEDED_AFTER
