"""Run tags: the name of a run's world and the run's origin. People filter the list of runs by them.

Here: the tags' names, and their completion when a run begins: a sensor's run has them already, one that a person launched has not.
With the one tag by which a run finds its work (durable/orders/decisions.py, hidden in Dagster's pages) a run has at most three tags
of ours. The world's id is Dagster's own partition tag; who ordered the work is in the status record (``ordered_by``).
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

LONGEST_NAME = 80
_FROM_UI = "dagster/from_ui"


class Origin(StrEnum):
    """Where a run comes from."""

    KAFKA = "kafka"
    UI = "ui"
    CLI = "cli"
    WATCHDOG = "watchdog"


def of_origin(origin: Origin) -> dict[str, str]:
    """The tag of a run that a sensor requests."""
    return {ORIGIN: origin.value}


def of_priority(priority: int) -> dict[str, str]:
    """The tag by which Dagster sorts its queue; nothing for the priority of a run without it."""
    return {PRIORITY_TAG: str(priority)} if priority else {}


def named(name: str) -> dict[str, str]:
    """The tag with the world's name; nothing for a world that has none yet."""
    return {NAME: cut(one_line(name), LONGEST_NAME)} if name.strip() else {}


def complete(context: dg.AssetExecutionContext, database: MongoDatabase) -> None:
    """Add the tags that the run lacks."""
    has, world_id = context.run.tags, context.partition_key
    tags = {} if ORIGIN in has else of_origin(_origin(has))
    if NAME not in has:
        status = database[STATUS].find_one({"_id": world_id}, {"name": 1}) or {}
        tags |= named(str(status.get("name", "")))
    if tags:
        context.instance.add_run_tags(context.run.run_id, tags)


def ordered_by(run: dg.DagsterRun) -> str:
    """Who ordered the run's work: a message's task, or the job or button that a person used; '' for a run that continues work."""
    if TASK_TAG in run.tags:
        return f"task {run.tags[TASK_TAG]}"
    if GENERATION_TAG in run.tags:
        return ""
    return "materialize" if run.job_name.startswith("__") else f"job {run.job_name}"


def _origin(has: Mapping[str, str]) -> Origin:
    if TASK_TAG in has:
        return Origin.KAFKA
    if GENERATION_TAG in has:
        return Origin.WATCHDOG
    return Origin.UI if has.get(_FROM_UI) == "true" else Origin.CLI
