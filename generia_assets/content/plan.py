"""What a world takes, computed from its request alone before its work begins: tasks, calls, and their tiers.

Here: exact numbers of tasks and calls; which items the latest extension adds, by which a run's selection, its
workload and its quote agree; and economy, which pays the full price for a world's first posts alone. The numbers hold when every
answer is usable at once. Not here: the calls of each task type and their tokens (catalog.py), prices and what a tier costs
(resources/gemini), the spare for repeats (the budget adds its 25 %, R13).

At economy the text bill is at most 0.55 of the standard one: a call at flex costs half, or a little more where its input is
cached, and what is asked at standard is at most ``SHARE`` of the standard bill. Up to ``FIRST_POSTS`` posts count, as many as
that share pays for, and always the first one: in a world of 25 people and 150 posts that one alone, in one of 100 and 600 nine
or ten. In a world of fewer than about 120 posts the first one takes more than the share: it needs the description, ten
concepts, a person, their plan and its text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import ceil
from typing import TypeAlias

from generia_assets.asset_spec import Unit
from generia_assets.catalog import LLM_CALLS, TaskType
from generia_assets.content import social
from generia_assets.content.documents import Quality, WorldRequest
from generia_assets.content.keys import (
    EXTENSION,
    WORLD_KEY,
    author_of,
    batch_key,
    character_index,
    character_key,
    is_post_key,
    post_batch_key,
    post_index,
    post_key,
)
from generia_assets.content.shares import BATCH, Size, shares
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


class Extension:
    """The items that a world has and its former size had not."""

    def __init__(self, request: WorldRequest) -> None:
        size = request.size
        former = size.former or Size(0, 0)
        self.people = range(former.people, size.people)
        """The indices of the new people."""
        self._batches = range(former.people // BATCH, ceil(size.people / BATCH)) if self.people else range(0)
        self._shares = shares(request.seed, *size)
        self._before = shares(request.seed, *former) if former.people else ()

    @classmethod
    def among(cls, keys: Collection[str], request: WorldRequest) -> Extension | None:
        """The extension, where these keys of a generation name it."""
        return cls(request) if EXTENSION in keys else None

    def first_post(self, index: int) -> int:
        return self._before[index] if index < self.people.start else 0

    def has(self, unit: Unit, key: str) -> bool:
        """Whether a task of this unit with this key makes something new; of ideas with a person's key: whether any of them is."""
        if key == WORLD_KEY:
            return False
        if unit is Unit.PEOPLE_BATCH:
            return key.startswith("b") and int(key[1:]) in self._batches
        index = character_index(author_of(key))
        if is_post_key(key):
            return post_index(key) >= self.first_post(index)
        return index in self.people or (unit is Unit.POST_BATCH and self._shares[index] > self.first_post(index))

    def numbers(self) -> Mapping[Unit, int]:
        new = [(share, self.first_post(index)) for index, share in enumerate(self._shares)]
        return {
            Unit.PEOPLE_BATCH: len(self._batches),
            Unit.PERSON: len(self.people),
            Unit.POST_BATCH: sum((share - 1) // BATCH - first // BATCH + 1 for share, first in new if share > first),
            Unit.POST: sum(share - first for share, first in new),
        }


@dataclass(frozen=True)
class Plan:
    """What a world takes. ``tasks`` by task type, ``llm_calls`` and ``image_calls`` by request type."""

    tasks: Mapping[TaskType, int]
    llm_calls: Mapping[str, int]
    image_calls: Mapping[str, int]

    @property
    def llm_total(self) -> int:
        return sum(self.llm_calls.values())

    @property
    def images_total(self) -> int:
        return sum(self.image_calls.values())


def tasks_of_world(request: WorldRequest) -> dict[TaskType, int]:
    given = shares(request.seed, *request.size)
    numbers = {
        Unit.WORLD: 1,
        Unit.PEOPLE_BATCH: ceil(request.users_count / BATCH),
        Unit.PERSON: request.users_count,
        Unit.POST_BATCH: sum(ceil(share / BATCH) for share in given),
        Unit.POST: request.posts_count,
    }
    return {task_type: numbers[task_type.asset.unit] for task_type in TaskType}


def plan(request: WorldRequest, tasks: Mapping[TaskType, int] | None = None, keys: Collection[str] = ()) -> Plan:
    """The plan of this world; depends on nothing but the request. 25 people and 150 posts: 205 LLM calls at most, 177 pictures.

    ``tasks``: of these tasks only, of the items with these ``keys`` (none: of all).
    """
    made = tasks_of_world(request) if tasks is None else tasks
    given = enumerate(shares(request.seed, *request.size))
    new = Extension.among(keys, request)

    def is_made(index: int) -> bool:
        """Whether the one post of this person is among what is made."""
        return new.first_post(index) == 0 if new is not None else not keys or character_key(index) in keys

    alone = [index for index, share in given if share == 1 and is_made(index)]
    return Plan(
        tasks=made,
        llm_calls={
            call.request_type: 0
            if call.high_quality_only and request.quality is not Quality.HIGH
            else max(0, count - len(alone) * call.not_for_one_post)
            for task_type, count in made.items()
            for call in task_type.asset.llm_calls
        },
        image_calls={picture.request_type: count for task_type, count in made.items() for picture in task_type.asset.pictures},
    )


def tier_of_calls(request: WorldRequest) -> Callable[[TaskType, str], CallTier]:
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
