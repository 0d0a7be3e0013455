"""The workload of an order: what its keys name in a world, how many tasks and calls it takes, and the limits that follow (R13).

Here: what can be computed from the world's parameters, before any call is made. Not here: which of the items a run makes
(assets/selection.py), by the same rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil

from generia_assets.content import seeding
from generia_assets.content.documents import (
    WORLD_KEY,
    CharacterBrief,
    PostImage,
    WorldRequest,
    character_index,
    character_key,
    post_key,
)
from generia_assets.content.names import fold
from generia_assets.content.plan import plan
from generia_assets.content.shares import BATCH, shares
from generia_assets.durable.orders.order import OrderError, WorldParameters
from generia_assets.tasks.task_definition import TaskType
from resources.explanation import shortened
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


def request_of(world_id: str, order: WorldParameters) -> WorldRequest:
    """The order as a request, before its task has checked it: enough for planning and for a quote."""
    computed = {"seed": seeding.world_seed(world_id, order.seed), "created_at": order.created_at or datetime.now(UTC)}
    return WorldRequest(**dict(order) | computed)


def batch_key(first: int) -> str:
    """The key of the batch of people that begins with this index."""
    return f"b{first // BATCH:03d}"


def character_named(people: Iterable[CharacterBrief], wanted: str) -> str:
    """The key of the person whom somebody names by key or by @username, whatever its case. Raises ``OrderError``."""
    name, keys = fold(wanted), ["none", "none"]
    for number, person in enumerate(people):
        if wanted == person.key or name == fold(person.username):
            return person.key
        keys = [person.key, person.key] if number == 0 else [keys[0], person.key]
    raise OrderError(
        f"character={shortened(wanted)}: nobody in this world. Name one person by key ({keys[0]} to {keys[1]}) or by @username"
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
    posts = shares(request.seed, request.users_count, request.posts_count)
    people = {character_key(index): share for index, share in enumerate(posts)}
    batches = {batch_key(first) for first in range(0, request.users_count, BATCH)}
    tasks = Counter({TaskType.INIT_WORLD_CREATION: 1, TaskType.GENERATE_WORLD_DESCRIPTION: 1})
    for key in dict.fromkeys(keys):
        owner = key.partition("-")[0]
        if key == WORLD_KEY:
            tasks[TaskType.GENERATE_WORLD_IMAGE] += 1
        elif key in batches:
            tasks[TaskType.GENERATE_CHARACTER_BATCH] += 1
        elif key in people:
            tasks[TaskType.GENERATE_CHARACTER_BATCH] += batch_key(character_index(key)) not in keys
            tasks[TaskType.GENERATE_CHARACTER] += 1
            tasks[TaskType.GENERATE_CHARACTER_AVATAR] += 1
            tasks[TaskType.GENERATE_POST_BATCH] += ceil(people[key] / BATCH)
            tasks[TaskType.GENERATE_POST] += people[key]
            tasks[TaskType.GENERATE_POST_IMAGE] += people[key]
        elif key in (post_key(owner, index) for index in range(people.get(owner, 0))):
            if owner not in keys:
                tasks[TaskType.GENERATE_POST] += 1
                tasks[TaskType.GENERATE_POST_IMAGE] += 1
        else:
            last = character_key(request.users_count - 1)
            raise OrderError(
                f"keys: {shortened(key)} is nothing in this world. Its people are {character_key(0)} to {last}, their posts "
                f"{post_key(character_key(0), 0)} and so on; {WORLD_KEY} names its pictures, {batch_key(0)} the first ten concepts"
            )
    return tasks
