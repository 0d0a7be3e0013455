"""The workload of a generation: how many tasks and calls it takes, and the limits that follow (R13), before any call is made."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from math import ceil

from generia_assets.catalog import TaskType
from generia_assets.content import seeding
from generia_assets.content.documents import Quality, WorldRequest
from generia_assets.content.plan import Plan, plan, tasks_of_world
from generia_assets.durable.orders.records import OrderError, WorldParametersOrder
from generia_assets.durable.tasks.generations import Workload
from generia_assets.durable.tasks.items import tasks_of
from resources.gateway.api_gateway import Api


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
    planned = plan_of(world_id, order, makes, keys)
    return Workload(
        tasks=planned.tasks,
        call_limits={
            Api.LLM: ceil(planned.llm_total * (1 + spare)),
            Api.IMAGE: ceil(planned.images_total * (1 + spare)),
        },
        cost_limit_usd=order.max_cost_usd or max_cost_usd,
        users=order.users_count,
        posts=order.posts_count,
    )


def plan_of(world_id: str, order: WorldParametersOrder, makes: Collection[TaskType], keys: Collection[str] = ()) -> Plan:
    """The tasks and calls of these task types of this order, or of these items only. Raises ``OrderError`` as ``workload`` does."""
    request = request_of(world_id, order)
    numbers = tasks_of(request, keys) if keys else tasks_of_world(request)
    tasks = {task_type: numbers[task_type] for task_type in TaskType if task_type in makes}
    if keys and not any(tasks.values()):
        named, made = ", ".join(list(keys)[:5]), ", ".join(tasks)
        raise OrderError(f"keys: {named} name nothing of what is made here ({made}); name other items, or leave keys out for all")
    return plan(request, tasks, keys)


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
