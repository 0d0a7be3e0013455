"""What a Dagster run means for a world: which task types it makes, which generation it belongs to, which step is its last."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
from dagster._core.storage.tags import RESUME_RETRY_TAG
from pydantic import BaseModel

from generia_assets.assets.generator import GeneratorResource
from generia_assets.assets.materialized import ASSETS
from generia_assets.durable.collections import TASKS
from generia_assets.durable.generations import TASK_TAG, RunIdentity, Workload
from generia_assets.durable.orders import PartParameters, validated_parameters
from generia_assets.durable.session import Assignment
from generia_assets.durable.workload import workload
from generia_assets.settings import settings
from generia_assets.tasks.kinds import TaskType
from resources.mongo import MongoDocument

CONTENT = ("world_images", "character_briefs", "characters", "character_avatars", "post_briefs", "posts", "post_images")
"""The assets that the streaming multi-asset makes."""


class _Config(BaseModel):
    keys: tuple[str, ...] = ()


class _Step(BaseModel):
    config: _Config = _Config()


class _Steps(BaseModel):
    world_content: _Step = _Step()


class _RunConfig(BaseModel):
    """What of a run's configuration concerns all of its steps."""

    ops: _Steps = _Steps()


def selected_assets(context: dg.AssetExecutionContext) -> list[str]:
    """The assets this run makes, in the order of the work."""
    selection = context.run.asset_selection
    names = {key.path[-1] for key in selection} if selection else set(ASSETS)
    return [name for name in ASSETS if name in names]


def works_last(context: dg.AssetExecutionContext) -> bool:
    """Whether this step is the run's last one that works on the world."""
    names = {key.path[-1] for key in context.selected_asset_keys}
    return selected_assets(context)[-1] in names


def assignment_of(
    context: dg.AssetExecutionContext, generator: GeneratorResource, *, parameters: MongoDocument | None = None
) -> Assignment:
    """What this run is to do with its world: the same for each of its steps, since the first one takes the world."""
    world_id = context.partition_key
    makes = [ASSETS[name].task_type for name in selected_assets(context)]
    run, keys = context.run, keys_of(context, generator)

    def new_workload(order: MongoDocument) -> Workload:
        validated = validated_parameters({name: value for name, value in order.items() if name != "task_id"})
        spare, cap = settings().budget_spare, settings().max_cost_usd
        return workload(world_id, validated, makes, spare=spare, max_cost_usd=cap, keys=keys)

    return Assignment(
        world_id=world_id,
        run=RunIdentity(run.run_id, tuple(_ancestors(context)), run.tags, retries=run.tags.get(RESUME_RETRY_TAG) == "true"),
        keys=keys,
        order_task=run.tags.get(TASK_TAG),
        workload=new_workload,
        parameters=parameters,
    )


def keys_of(context: dg.AssetExecutionContext, generator: GeneratorResource) -> tuple[str, ...]:
    """The items this run is restricted to: by its launch form, or by the order it carries out, whose keys lie in MongoDB."""
    if given := _RunConfig.model_validate(context.run.run_config).ops.world_content.config.keys:
        return given
    task_id = context.run.tags.get(TASK_TAG)
    if task_id is None or len(selected_assets(context)) == len(ASSETS):
        return ()
    with generator.mongo.connection() as database:
        task = database[TASKS].find_one({"_id": task_id}, {"parameters": 1}) or {}
    return PartParameters.model_validate(task.get("parameters") or {}).keys


def _ancestors(context: dg.AssetExecutionContext) -> Iterator[str]:
    """The runs that this one re-executes, the nearest first."""
    parent = context.run.parent_run_id
    while parent is not None:
        yield parent
        run = context.instance.get_run_by_id(parent)
        parent = run.parent_run_id if run is not None else None


def selected_types(context: dg.AssetExecutionContext) -> frozenset[TaskType]:
    """The task types that this step makes."""
    return frozenset(ASSETS[key.path[-1]].task_type for key in context.selected_asset_keys)
