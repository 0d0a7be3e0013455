"""Run tags: the name of a run's world, the run's origin and who ordered it. People filter the list of runs by them.

The world's id is Dagster's own partition tag. Here: the tags' names, and their completion when a run begins: a sensor's run has
them already, one that a person launched has not. Not here: the hidden tags by which a run finds its work
(durable/orders/decisions.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import dagster as dg

from generia_assets.content.text import cut, one_line
from generia_assets.dagster_internals import PRIORITY_TAG
from generia_assets.durable.collections import STATUS
from generia_assets.durable.orders.decisions import GENERATION_TAG, TASK_TAG
from resources.mongodb.connection import MongoDatabase

NAME = "generia/world_name"
ORIGIN = "generia/origin"
ORDERED_BY = "generia/ordered_by"

LONGEST_NAME = 80
_FROM_UI = "dagster/from_ui"


class Origin(StrEnum):
    """Where a run comes from."""

    KAFKA = "kafka"
    UI = "ui"
    CLI = "cli"
    WATCHDOG = "watchdog"


def of_run(origin: Origin, ordered_by: str) -> dict[str, str]:
    """The tags of a run that a sensor requests."""
    return {ORIGIN: origin.value, ORDERED_BY: ordered_by}


def of_priority(priority: int) -> dict[str, str]:
    """The tag by which Dagster sorts its queue; nothing for the priority of a run without it."""
    return {PRIORITY_TAG: str(priority)} if priority else {}


def named(name: str) -> dict[str, str]:
    """The tag with the world's name; nothing for a world that has none yet."""
    return {NAME: cut(one_line(name), LONGEST_NAME)} if name.strip() else {}


def complete(context: dg.AssetExecutionContext, database: MongoDatabase) -> None:
    """Add the tags that the run lacks."""
    has, world_id = context.run.tags, context.partition_key
    tags = {} if ORIGIN in has else of_run(_origin(has), _ordered_by(context.run))
    if NAME not in has:
        status = database[STATUS].find_one({"_id": world_id}, {"name": 1}) or {}
        tags |= named(str(status.get("name", "")))
    if tags:
        context.instance.add_run_tags(context.run.run_id, tags)


def _origin(has: Mapping[str, str]) -> Origin:
    if TASK_TAG in has:
        return Origin.KAFKA
    if GENERATION_TAG in has:
        return Origin.WATCHDOG
    return Origin.UI if has.get(_FROM_UI) == "true" else Origin.CLI


def _ordered_by(run: dg.DagsterRun) -> str:
    """Who ordered the run: for a person, the job or the button that they used."""
    if TASK_TAG in run.tags:
        return f"task {run.tags[TASK_TAG]}"
    return "materialize" if run.job_name.startswith("__") else f"job {run.job_name}"
