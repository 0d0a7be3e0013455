"""The workload of an order: what its keys name in a world, how many tasks and calls it takes, and the limits that follow (R13).

All of it is computed from the world's parameters, before any call is made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil

from generia_assets.asset_spec import Unit
from generia_assets.catalog import ASSETS, CONTENT, TaskType
from generia_assets.content import seeding
from generia_assets.content.documents import CharacterBrief, PostImage, WorldRequest
from generia_assets.content.keys import (
    EXTENSION,
    WORLD_KEY,
    author_of,
    batch_key,
    character_index,
    character_key,
    post_batch_key,
    post_index,
    post_key,
)
from generia_assets.content.names import fold
from generia_assets.content.plan import Extension, Plan, plan, tasks_of_world
from generia_assets.content.shares import BATCH, shares
from generia_assets.durable.orders.order import OrderError, WorldParameters
from resources.explanation import shortened
from resources.gateway.calls import Api
from resources.gemini.tiers import ServiceTier


@dataclass(frozen=True)
class Workload:
    """What a new generation will do: tasks by type, limits of calls (spare included) and dollars, people and posts."""

    tasks: Mapping[TaskType, int]
    call_limits: Mapping[Api, int]
    cost_limit_usd: float | None
    users: int
    posts: int


def workload(
    world_id: str,
    order: WorldParameters,
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
        call_limits={Api.LLM: ceil(planned.llm_total * (1 + spare)), Api.IMAGE: ceil(planned.images_total * (1 + spare))},
        cost_limit_usd=order.max_cost_usd or max_cost_usd,
        users=order.users_count,
        posts=order.posts_count,
    )


def plan_of(world_id: str, order: WorldParameters, makes: Collection[TaskType], keys: Collection[str] = ()) -> Plan:
    """The tasks and calls of these task types of this order, or of these items only. Raises ``OrderError`` as ``workload`` does."""
    request = request_of(world_id, order)
    numbers = tasks_of(request, keys) if keys else tasks_of_world(request)
    tasks = {task_type: numbers[task_type] for task_type in TaskType if task_type in makes}
    if keys and not any(tasks.values()):
        named, made = ", ".join(list(keys)[:5]), ", ".join(tasks)
        raise OrderError(f"keys: {named} name nothing of what is made here ({made}); name other items, or leave keys out for all")
    return plan(request, tasks, keys)


def request_of(world_id: str, order: WorldParameters) -> WorldRequest:
    """The order as a request, before its task has checked it: enough for planning and for a quote."""
    computed = {
        "seed": seeding.world_seed(world_id, order.seed),
        "service_tier": order.service_tier or ServiceTier.STANDARD,
        "created_at": order.created_at or datetime.now(UTC),
    }
    return WorldRequest(**dict(order) | computed)


def task_keys(unit: Unit, item: str) -> list[str]:
    """The keys that the task of this unit may have which makes a person (``c0007``) or a post, or what they are made of."""
    owner = author_of(item)
    match unit:
        case Unit.WORLD:
            return [WORLD_KEY]
        case Unit.PEOPLE_BATCH:  # a concept is one of ten that were made together, or was made again alone
            return [batch_key(character_index(owner)), owner]
        case Unit.PERSON:
            return [owner]
        case Unit.POST_BATCH:
            return [post_batch_key(owner, post_index(item))]
        case Unit.POST:
            return [item]


def character_named(people: Iterable[CharacterBrief], wanted: str) -> str:
    """The key of the person whom somebody names by key or by @username, whatever its case. Raises ``OrderError``."""
    name, first, last = fold(wanted), "", "none"
    for person in people:
        if wanted == person.key or name == fold(person.username):
            return person.key
        first, last = first or person.key, person.key
    raise OrderError(
        f"character={shortened(wanted)}: nobody in this world. Name one person by key ({first or last} to {last}) or by @username"
    )


def post_named(posts: Iterable[PostImage], wanted: str) -> str:
    """The key of the post that somebody names by key or by the platform's id. Raises ``OrderError``."""
    first = ""
    for post in posts:
        if wanted in (post.key, post.post_id):
            return post.key
        first = first or post.key
    raise OrderError(
        f"post={shortened(wanted)}: no post of this world. Name one by key (such as {first or 'c0000-p0000'}) or by the platform's "
        "id of it"
    )


def tasks_of(request: WorldRequest, keys: Collection[str]) -> Counter[TaskType]:
    """How many tasks these items take. Raises ``OrderError`` naming the first key that is nothing in this world.

    A character's key names everything of that character, the concept included unless a batch's key names it already; a batch's key
    the concepts of its ten people, ``world`` the pictures.
    """
    posts = shares(request.seed, *request.size)
    people = {character_key(index): share for index, share in enumerate(posts)}
    batches = {batch_key(first) for first in range(0, request.users_count, BATCH)}
    tasks = Counter({TaskType.INIT_WORLD_CREATION: 1, TaskType.GENERATE_WORLD_DESCRIPTION: 1})
    for key in dict.fromkeys(keys):
        numbers: dict[Unit, int]
        owner, count = key.partition("-")[0], people.get(key, 0)
        if key == WORLD_KEY:
            numbers = {Unit.WORLD: 1}
        elif key == EXTENSION:
            numbers = dict(Extension(request).numbers())
        elif key in batches:
            numbers = {Unit.PEOPLE_BATCH: 1}
        elif key in people:
            concept = batch_key(character_index(key)) not in keys
            numbers = {Unit.PEOPLE_BATCH: concept, Unit.PERSON: 1, Unit.POST_BATCH: ceil(count / BATCH), Unit.POST: count}
        elif key in (post_key(owner, index) for index in range(people.get(owner, 0))):
            numbers = {Unit.POST: owner not in keys}
        else:
            last = character_key(request.users_count - 1)
            raise OrderError(
                f"keys: {shortened(key)} is nothing in this world. Its people are {character_key(0)} to {last}, their posts "
                f"{post_key(character_key(0), 0)} and so on; {WORLD_KEY} names its pictures, {batch_key(0)} the first ten concepts"
            )
        for asset in map(ASSETS.__getitem__, CONTENT):
            tasks[asset.task_type] += numbers.get(asset.unit, 0)
    return tasks
