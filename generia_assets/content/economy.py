"""The service tier of each call of a world; and economy, which pays the full price for a world's first posts alone.

Here: which tasks the first posts need, and how many of these posts count. It depends on nothing but the request. Not here: what a
tier costs (resources/gemini/models.yaml), and how the calls at flex are made (resources/gateway).

At economy the text bill is at most 0.55 of the standard one: a call at flex costs half, or a little more where its input is
cached, and what is asked at standard is at most ``SHARE`` of the standard bill. Up to ``FIRST_POSTS`` posts count, as many as
that share pays for, and always the first one: in a world of 25 people and 150 posts that one alone, in one of 100 and 600 nine
or ten. In a world of fewer than about 120 posts the first one takes more than the share: it needs the description, ten
concepts, a person, their plan and its text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

from generia_assets.catalog import LLM_CALLS, TaskType
from generia_assets.content import social
from generia_assets.content.documents import Quality, WorldRequest
from generia_assets.content.keys import WORLD_KEY, batch_key, character_key, post_batch_key, post_key
from generia_assets.content.plan import plan
from generia_assets.content.shares import BATCH
from generia_assets.content.timeline import timeline
from resources.gemini.tiers import CallTier, ServiceTier

Task: TypeAlias = tuple[TaskType, str]
"""A task by its type and key."""

FIRST_POSTS = 10
"""Most posts that count as the first ones."""
SHARE = 0.05
"""Most of the standard bill that is paid at standard: 0.5 + 0.05 / 2 = 0.525. What is left to 0.55 is room for shed
calls, and for cached input, which flex does not halve on every model."""
OUTPUT_WEIGHT = 8
"""Price of an output token in input tokens: the dearest of all models, with which the first posts' share is largest."""


def tier_of_calls(request: WorldRequest) -> Callable[[TaskType, str], CallTier]:
    """The tier of the calls of each task, by the task's type and key."""
    if request.service_tier is not ServiceTier.ECONOMY:
        same = CallTier(request.service_tier)
        return lambda task_type, key: same
    first = tasks_at_standard(request)
    return lambda task_type, key: CallTier.STANDARD if (task_type, key) in first else CallTier.FLEX


def tasks_at_standard(request: WorldRequest) -> frozenset[Task]:
    most = SHARE * _weight(plan(request).llm_calls)
    for posts in range(FIRST_POSTS, 1, -1):
        needed = needed_by_first(request, posts)
        if _weight(calls_of(request, needed)) <= most:
            return needed
    return needed_by_first(request, 1)


def needed_by_first(request: WorldRequest, posts: int) -> frozenset[Task]:
    """What the first posts of the timeline need: description, concepts, their authors and these authors' plans, the posts.

    Ideas and posts of others that a post hears of or replies to are of earlier places, so they are among these.
    """
    line = timeline(request.seed, *request.size)
    tasks: set[Task] = {(TaskType.GENERATE_WORLD_DESCRIPTION, WORLD_KEY)}
    for index, order in zip(line.people[:posts], line.orders[:posts], strict=True):
        person, last = character_key(index), social.ready_after(request.seed, request.users_count, index, request.size.former)
        # Concepts are made batch after batch, and a person's plans one after the other.
        batches = range(max(last, social.batch_of(index)) + 1)
        tasks |= {(TaskType.GENERATE_CHARACTER_BATCH, batch_key(number * BATCH)) for number in batches}
        tasks |= {(TaskType.GENERATE_POST_BATCH, post_batch_key(person, first)) for first in range(0, order + 1, BATCH)}
        tasks |= {(TaskType.GENERATE_CHARACTER, person), (TaskType.GENERATE_POST, post_key(person, order))}
    return frozenset(tasks)


def calls_of(request: WorldRequest, tasks: Collection[Task]) -> Counter[str]:
    """The calls of the model that these tasks make, by request type."""
    line, calls = timeline(request.seed, *request.size), Counter[str]()
    alone = {character_key(index) for index in set(line.people[:FIRST_POSTS]) if line.count_of(index) == 1}
    for task_type, key in tasks:
        for call in task_type.asset.llm_calls:
            spared = call.not_for_one_post and key.partition("-")[0] in alone
            if not spared and (not call.high_quality_only or request.quality is Quality.HIGH):
                calls[call.request_type] += 1
    return calls


def _weight(calls: Mapping[str, int]) -> float:
    return sum(count * (LLM_CALLS[name].input + OUTPUT_WEIGHT * LLM_CALLS[name].output) for name, count in calls.items())
