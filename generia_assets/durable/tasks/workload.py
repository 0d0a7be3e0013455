"""The workload of a generation: how many tasks and calls it takes, and the limits that follow (R13), before any call is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from math import ceil

from generia_assets.catalog import TaskType
from generia_assets.content import seeding as seeding
from generia_assets.content.documents import Quality, WorldRequest, character_key
from generia_assets.content.plan import plan
from generia_assets.content.shares import shares
from generia_assets.durable.orders.records import OrderError, WorldParametersOrder
from generia_assets.durable.tasks.generations import Workload
from generia_assets.durable.tasks.items import tasks_of
from resources.gateway.api_gateway import Api

LLM_CALLS_OF = {
    TaskType.GENERATE_WORLD_DESCRIPTION: ("world_description",),
    TaskType.GENERATE_WORLD_IMAGE: ("world_images",),
    TaskType.GENERATE_CHARACTER_BATCH: ("character_batch",),
    TaskType.GENERATE_CHARACTER: ("character",),
    TaskType.GENERATE_CHARACTER_AVATAR: ("refine_avatar",),
    TaskType.GENERATE_POST_BATCH: ("post_batch",),
    TaskType.GENERATE_POST: ("post",),
    TaskType.GENERATE_POST_IMAGE: ("refine_post_image",),
}
_IMAGE_CALLS_OF = {
    TaskType.GENERATE_WORLD_IMAGE: ("world_header", "world_icon"),
    TaskType.GENERATE_CHARACTER_AVATAR: ("avatar",),
    TaskType.GENERATE_POST_IMAGE: ("post_image",),
}


def workload(
    world_id: str,
    order: WorldParametersOrder,
    makes: Collection[TaskType],
    *,
    spare: float,
    max_cost_usd: float | None,
    keys: Collection[str] = (),
) -> Workload:
    """What making these task types of this order takes, or of these items only. Raises ``OrderError`` for a key of no item, and for
    keys that name nothing of it.

    ``spare``: share added to the computed calls, rounded up.
    """
    request = request_of(world_id, order)
    planned = plan(request)
    whole = {task_type: planned.tasks[task_type.value] for task_type in TaskType if task_type in makes}
    of_items = tasks_of(request, keys) if keys else whole
    tasks = {task_type: of_items[task_type] for task_type in whole}
    if keys and not any(tasks.values()):
        named, made = ", ".join(list(keys)[:5]), ", ".join(task_type.value for task_type in whole)
        raise OrderError(f"keys: {named} name nothing of what is made here ({made}); name other items, or leave keys out for all")

    # The only post of a person is planned without a call. What a Counter has too little of, it does not have.
    given = shares(request.seed, request.users_count, request.posts_count)
    alone = {character_key(index) for index, share in enumerate(given) if share == 1}
    all_calling = Counter(whole) - Counter({TaskType.GENERATE_POST_BATCH: len(alone)})
    calling = Counter(tasks) - Counter({TaskType.GENERATE_POST_BATCH: len(alone.intersection(keys) if keys else alone)})

    def calls(planned_calls: Mapping[str, int], names_of: Mapping[TaskType, tuple[str, ...]]) -> int:
        """Every calling task of a type takes as many calls as every other, so that part of them takes that part of the calls."""
        return sum(
            planned_calls[name] * count // all_calling[task_type]
            for task_type, count in calling.items()
            for name in names_of.get(task_type, ())
        )

    llm, images = calls(planned.llm_calls, LLM_CALLS_OF), calls(planned.image_calls, _IMAGE_CALLS_OF)
    return Workload(
        tasks=tasks,
        call_limits={Api.LLM: ceil(llm * (1 + spare)), Api.IMAGE: ceil(images * (1 + spare))},
        cost_limit_usd=order.max_cost_usd or max_cost_usd,
        users=order.users_count,
        posts=order.posts_count,
    )


def request_of(world_id: str, order: WorldParametersOrder) -> WorldRequest:
    """The order as a request, before its task has checked it: enough for planning and for a quote."""
    return WorldRequest(
        user_prompt=order.user_prompt,
        users_count=order.users_count,
        posts_count=order.posts_count,
        quality=Quality(order.quality),
        seed=seeding.world_seed(world_id, order.seed),
        max_cost_usd=order.max_cost_usd,
        created_at=order.created_at or datetime.now(UTC),
    )
