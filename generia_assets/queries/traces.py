"""Traces: from a post or a person back to every step that led to it (R14, R16).

Here: the chain description → concept → character → (avatar | idea → post → picture), each step with its document and the exact
requests and responses, model, tokens, price and time of its calls. Where a part was made again, the newest step counts. Not here:
finding an item by a name (names.py), and rendering (cli, pages).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import computed_field

from generia_assets.asset_spec import Unit
from generia_assets.catalog import ASSETS, TaskType, upstream_of
from generia_assets.content.documents import FrozenModel
from generia_assets.durable.collections import HISTORY, TASKS
from generia_assets.durable.orders.workload import task_keys
from generia_assets.durable.status import State
from generia_assets.queries.names import ItemName, UnknownItemError, generations_of, item_named
from generia_assets.queries.records import RequestRecord, TaskRecord, read_requests, read_tasks
from generia_assets.queries.worlds import world_status
from resources.mongodb.connection import MongoDatabase, MongoDocument


class Step(FrozenModel):
    """A task of the chain. ``made`` is the item's own document (of a batch: its one brief), None while there is none.

    ``items`` is how many items the same calls made; ``own`` is False for steps that all items share (the world's description).
    ``heard``: the posts of others in the prompt of its last call, a line each; ``without_call``: the program made it without the
        model.
    """

    name: str
    task_id: str
    task_type: TaskType
    key: str
    generation: str
    status: State
    attempts: int
    error: str | None
    listed_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    made: MongoDocument | None
    items: int
    own: bool
    heard: tuple[str, ...] = ()
    without_call: bool = False
    requests: tuple[RequestRecord, ...]

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def cost_usd(self) -> float:
        """US dollars of all its calls, for all its items."""
        return round(sum(one.cost_usd for one in self.requests), 8)


class Trace(FrozenModel):
    """The origin of an item. ``post_id`` and ``character_id`` are the platform's, '' until they exist."""

    world_id: str
    world_name: str
    user_prompt: str
    key: str
    kind: Literal["world", "character", "post"]
    username: str
    display_name: str
    character_id: str
    post_id: str
    steps: tuple[Step, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def own_cost_usd(self) -> float:
        """US dollars for this item alone: its own steps, of a batch its share."""
        return round(sum(step.cost_usd / step.items for step in self.steps if step.own), 8)

    def step(self, task_type: TaskType) -> Step | None:
        """The step of this task type, or None if it has not been listed yet."""
        return next((step for step in self.steps if step.task_type is task_type), None)


def trace(database: MongoDatabase, world_id: str, name: str) -> Trace:
    """The trace of the item with this ``name`` in this world (see names.py), or of the world itself by ``world``.

    Raises ``UnknownItemError`` for an item that does not exist, or is not begun yet.
    """
    item = item_named(database, world_id, name)
    status = world_status(database, world_id)
    if status is None:
        raise UnknownItemError(f"world {world_id}: nobody ordered it here")
    tasks = _newest(database, world_id, item)
    steps = _steps(database, item, tasks)
    unit = Unit.POST if item.is_post else Unit.PERSON if item.character else Unit.WORLD
    if not any(step.task_type.asset.unit is unit for step in steps):
        raise UnknownItemError(f"{item.key} is nothing in world {world_id}, or its making has not begun yet")
    made = {step.task_type: step.made or {} for step in steps}
    person, brief = made.get(TaskType.GENERATE_CHARACTER, {}), made.get(TaskType.GENERATE_CHARACTER_BATCH, {})
    return Trace(
        world_id=world_id,
        world_name=status.name,
        user_prompt=str(status.parameters.get("user_prompt", "")),
        key=item.key,
        kind="post" if item.is_post else "character" if item.character else "world",
        username=str(person.get("username") or brief.get("username") or ""),
        display_name=str(person.get("display_name") or brief.get("display_name") or ""),
        character_id=str(person.get("character_id") or ""),
        post_id=str(made.get(TaskType.GENERATE_POST_IMAGE, {}).get("post_id") or ""),
        steps=steps,
    )


def trace_if_kept(database: MongoDatabase, world_id: str, name: str) -> Trace | None:
    """As ``trace``; None for an item whose tasks are deleted, or of which a record is damaged."""
    try:
        return trace(database, world_id, name)
    except LookupError:
        return None


def _own(item: ItemName) -> list[TaskType]:
    """The types of the tasks that make the item, alone or in a batch."""
    units = (Unit.POST_BATCH, Unit.POST) if item.is_post else (Unit.PEOPLE_BATCH, Unit.PERSON) if item.character else (Unit.WORLD,)
    return [task_type for task_type in TaskType if task_type.asset.unit in units]


def _chain(item: ItemName) -> dict[TaskType, list[str]]:
    """The tasks that lead to the item, by type, in order, with the keys that each may have."""
    own = [task_type.asset.name for task_type in _own(item)]
    names = {*own, *(upstream for name in own for upstream in upstream_of(name))}
    return {asset.task_type: task_keys(asset.unit, item.key) for name, asset in ASSETS.items() if name in names}


def _key_in_batch(item: ItemName, task_type: TaskType) -> str | None:
    """The key of the document in a batch of this type that the item is made of."""
    return item.key if task_type.asset.unit is Unit.POST_BATCH else item.character


def _newest(database: MongoDatabase, world_id: str, item: ItemName) -> list[TaskRecord]:
    """Of each link the newest completed task, or the newest one if none is completed; links without a task are left out.

    An extension adds to a batch that was made before, under the same key: only the task that made the item counts.
    """
    generations = generations_of(database, world_id)
    places = {generation: place for place, generation in enumerate(generations)}

    def rank(task: TaskRecord) -> tuple[bool, bool, int]:
        briefs, wanted = (task.result or {}).get("briefs"), _key_in_batch(item, TaskType(task.type))
        without = briefs is not None and all(brief["key"] != wanted for brief in briefs)
        return without, task.status is not State.COMPLETED, places[task.generation]

    newest: list[TaskRecord] = []
    for task_type, keys in _chain(item).items():
        link = {"world_id": world_id, "generation": {"$in": generations}, "type": task_type.value, "key": {"$in": keys}}
        if found := list(read_tasks(database[TASKS].find(link))):
            newest.append(min(found, key=rank))
    return newest


def _steps(database: MongoDatabase, item: ItemName, tasks: list[TaskRecord]) -> tuple[Step, ...]:
    own = _own(item)
    by_task: defaultdict[str, list[RequestRecord]] = defaultdict(list)
    attempts = database[HISTORY].find({"task_id": {"$in": [task.id for task in tasks]}}).sort("created_at", 1)
    for request in read_requests(attempts):
        by_task[request.task_id].append(request)
    steps = []
    for task in tasks:
        task_type = TaskType(task.type)
        briefs = (task.result or {}).get("briefs")
        wanted = _key_in_batch(item, task_type)
        made = task.result if briefs is None else next((brief for brief in briefs if brief["key"] == wanted), None)
        calls = tuple(by_task[task.id])
        steps.append(
            Step(
                name=task_type.asset.step,
                task_id=task.id,
                task_type=task_type,
                key=task.key,
                generation=task.generation,
                status=task.status,
                attempts=task.attempt_count,
                error=task.error,
                listed_at=task.created_at,
                started_at=task.started_at,
                ended_at=task.updated_at if task.over else None,
                made=made,
                items=max(1, len(briefs or ())),
                own=task_type in own,
                heard=_heard(calls),
                without_call=not calls and _is_only_post(task_type, briefs),
                requests=calls,
            )
        )
    return tuple(steps)


_HEARD = re.compile(r"^<heard-(\w+)>\n(.*?)\n</heard-\1>$", re.DOTALL | re.MULTILINE)


def _heard(calls: Sequence[RequestRecord]) -> tuple[str, ...]:
    """The posts of others in the last call's prompt: the lines of the delimited block ``heard`` (content/rendering.py)."""
    found = _HEARD.search(calls[-1].prompt) if calls else None
    return tuple(line for line in found[2].splitlines() if line) if found else ()


def _is_only_post(task_type: TaskType, briefs: Sequence[MongoDocument] | None) -> bool:
    """Whether it is the idea of a person's only post, which takes no call; without a timeline (``t``) it took one."""
    if task_type is not TaskType.GENERATE_POST_BATCH or briefs is None or len(briefs) != 1:
        return False
    return briefs[0].get("order") == 0 and "t" in briefs[0]
