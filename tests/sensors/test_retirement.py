"""The sensor ``retirement``: old worlds are removed from Dagster automatically, others stay, and the documents stay."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from generia_assets.definitions import build_defs
from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import new_status
from generia_assets.retirement import PARTITIONS
from resources.mongodb.connection import MongoResource
from sensors.retirement import build_retirement
from tests.support.worlds_in_process import Worlds, worlds_in_process

DAYS = 30
OLD = timedelta(days=31)


@pytest.fixture
def worlds(tmp_path: Path, mongodb_uri: str, broker: str) -> Iterator[Worlds]:
    with worlds_in_process(tmp_path, mongodb_uri=mongodb_uri, broker=broker, gemini="") as worlds:
        yield worlds


def add(
    worlds: Worlds, world_id: str, ago: timedelta, run: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS, **values: Any
) -> None:
    """A world that changed last this long ago, with its partition and a run."""
    record = new_status(world_id, {"user_prompt": "x", "users_count": 1, "posts_count": 1}, users=1, posts=1)
    worlds.database[STATUS].insert_one({**record, "updated_at": datetime.now(UTC) - ago, "status": "completed", **values})
    worlds.instance.add_dynamic_partitions(PARTITIONS, [world_id])
    worlds.instance.create_run_for_job(worlds.job, tags={"dagster/partition": world_id}, status=run)


def test_worlds_that_have_been_over_for_long_are_removed_from_dagster(worlds: Worlds) -> None:
    """Partition and runs of old worlds are deleted; worlds in progress, new ones and those with a run stay; no document changes."""
    add(worlds, "old", OLD)
    add(worlds, "failed", OLD, dg.DagsterRunStatus.FAILURE, status="failed")
    add(worlds, "new", timedelta(days=29))
    add(worlds, "unfinished", OLD, status="in_progress")
    add(worlds, "at work", OLD, dg.DagsterRunStatus.STARTED)
    before = list(worlds.database[STATUS].find())
    mongo = MongoResource(worlds.settings.mongodb_uri.get_secret_value(), worlds.settings.mongodb_database)
    sensor = build_retirement(worlds.settings, DAYS)
    for said in ("2 worlds and 2 runs", "0 worlds and 0 runs"):
        tick = sensor.evaluate_tick(dg.build_sensor_context(worlds.instance, resources={"mongo": mongo}))
        assert str(tick.skip_message).startswith(said)
    stay = {"new", "unfinished", "at work"}
    assert set(worlds.instance.get_dynamic_partitions(PARTITIONS)) == stay
    assert {run.tags["dagster/partition"] for run in worlds.instance.get_runs()} == stay
    assert list(worlds.database[STATUS].find()) == before


def test_without_the_setting_there_is_no_such_sensor(worlds: Worlds) -> None:
    """RETIRE_AFTER_DAYS=0, the default, deletes nothing."""
    for days, names in ((0, {"kafka_orders", "watchdog"}), (DAYS, {"kafka_orders", "watchdog", "retirement"})):
        defs = build_defs(worlds.settings.model_copy(update={"retire_after_days": days}))
        assert {sensor.name for sensor in (defs.resolve_all_job_defs() and defs.sensors) or ()} == names
