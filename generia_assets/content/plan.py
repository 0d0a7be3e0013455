"""The plan: the numbers of tasks, calls and (estimated) tokens that a world takes, computed before its work begins.

Here: exact numbers of tasks and calls, estimates of tokens. Not here: the calls of each task type (catalog.py), prices (model
profiles), the spare for repeats (the budget adds its 25 %, R13). The numbers hold when every answer is usable at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import ceil

from generia_assets.catalog import LLM_CALLS, TaskType, Unit
from generia_assets.content.documents import Quality, WorldRequest
from generia_assets.content.extension import Extension
from generia_assets.content.keys import character_key
from generia_assets.content.shares import BATCH, shares


@dataclass(frozen=True)
class Plan:
    """What a world takes. ``tasks`` by task type, ``llm_calls`` and ``image_calls`` by request type."""

    tasks: Mapping[TaskType, int]
    llm_calls: Mapping[str, int]
    image_calls: Mapping[str, int]

    @property
    def tasks_total(self) -> int:
        return sum(self.tasks.values())

    @property
    def llm_total(self) -> int:
        """All calls of the language model."""
        return sum(self.llm_calls.values())

    @property
    def images_total(self) -> int:
        return sum(self.image_calls.values())

    @property
    def input_tokens(self) -> int:
        """Estimated input tokens of all calls, cached ones included."""
        return sum(LLM_CALLS[request_type].input * calls for request_type, calls in self.llm_calls.items())

    @property
    def output_tokens(self) -> int:
        """Estimated output tokens of all calls, without thinking."""
        return sum(LLM_CALLS[request_type].output * calls for request_type, calls in self.llm_calls.items())


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
