"""Removing worlds from Dagster's storage, SQLite and PostgreSQL: all their rows, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db

from generia_assets.retirement import PARTITIONS, WORLD_TAG, forget
from local_services.fleet import postgresql
from local_services.mongod import MissingServiceError

TABLES = {
    "index": ("event_logs", "asset_event_tags", "asset_check_executions", "dynamic_partitions"),
    "runs": ("runs", "run_tags"),
}


@dg.asset(partitions_def=dg.DynamicPartitionsDefinition(name=PARTITIONS))
def posts() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(tags={"kind": "post"})


@dg.asset_check(asset=posts)
def check_one() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset_check(asset=posts)
def check_two() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with this storage."""
    with ExitStack() as servers:
        storage = ""
        if request.param == "PostgreSQL":
            folder = Path(servers.enter_context(TemporaryDirectory(prefix="generia-postgresql-")))
            folder.chmod(0o755)  # where the tests run as root, PostgreSQL runs as another user
            try:
                child = servers.enter_context(postgresql(folder / "data", 0))
            except MissingServiceError as error:
                pytest.skip(str(error))
            storage = f"storage: {{postgres: {{postgres_url: '{child.ready_value}'}}}}"
        (tmp_path / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{storage}\n")
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            yield instance


def rows(instance: dg.DagsterInstance) -> dict[str, list[str]]:
    """All rows of all tables that a run or a partition writes to."""
    events: Any = instance.event_log_storage
    runs: Any = instance.run_storage
    found = {}
    for where, connect in (("index", events.index_connection), ("runs", runs.connect)):
        with connect() as connection:
            for table in TABLES[where]:
                found[table] = [repr(row) for row in connection.execute(db.text(f"SELECT * FROM {table} ORDER BY id"))]
    return found


def test_all_rows_of_a_world_are_deleted_and_no_others(instance: dg.DagsterInstance) -> None:
    """Events with their tags, checks, runs with their tags and the partition are deleted; those of another world are unchanged."""
    made = {}
    for world in ("goes", "stays"):
        instance.add_dynamic_partitions(PARTITIONS, [world])
        done = dg.materialize([posts, check_one, check_two], partition_key=world, instance=instance, tags={WORLD_TAG: world})
        made[world] = done.run_id
    before = rows(instance)
    assert all(len(before[table]) >= 2 for table in before)
    assert forget(instance, ["goes"]) == {"goes": 1}
    assert forget(instance, ["goes"]) == {"goes": 0}
    after = rows(instance)
    for table, found in after.items():
        assert not [row for row in found if made["goes"] in row or "'goes'" in row], table
        assert found == [row for row in before[table] if row in found], table
        assert 0 < len(found) < len(before[table]), table
    assert instance.get_dynamic_partitions(PARTITIONS) == ["stays"]
    newest = instance.get_latest_materialization_event(dg.AssetKey("posts"))
    assert newest is not None
    assert newest.asset_materialization is not None
    assert newest.asset_materialization.partition == "stays"
