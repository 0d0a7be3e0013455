"""Dagster's storage with open connections: the same files and results as Dagster's own storage."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as db
from sqlalchemy.engine import Engine
from sqlalchemy.event import listens_for

from generia_assets import dagster_storage
from generia_assets.dagster_internals import status_of_run

pytestmark = pytest.mark.slow  # creating the common instance takes a second or two

ROOT = Path(__file__).parents[2]
KEY, CHECK = dg.AssetKey("tides"), dg.AssetCheckKey(dg.AssetKey("tides"), "high")


@dg.asset(name="tides", check_specs=[dg.AssetCheckSpec("high", asset="tides")])
def tides() -> Iterator[dg.Output[int] | dg.AssetCheckResult]:
    yield dg.Output(7)
    yield dg.AssetCheckResult(passed=True, check_name="high")


JOB = dg.Definitions(assets=[tides]).resolve_implicit_global_asset_job_def()


@pytest.fixture(scope="module")
def instance_with_a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Dagster's own storage has created its files, which takes seconds."""
    folder = tmp_path_factory.mktemp("instance")
    with instance(folder, ours=False) as plain:
        run_on(plain)
    return folder


@pytest.fixture
def home(instance_with_a_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The instance's folder of a test."""
    folder = tmp_path / "dagster"
    shutil.copytree(instance_with_a_run, folder)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


@contextmanager
def instance(home: Path, *, ours: bool = True) -> Iterator[dg.DagsterInstance]:
    """The instance that docker/dagster.yaml describes, or one with Dagster's own storage, on the same folder."""
    if ours:
        shutil.copy(ROOT / "docker" / "dagster.yaml", home / "dagster.yaml")
    else:
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(home)) as opened:
        yield opened


def run_on(opened: dg.DagsterInstance) -> str:
    result = JOB.execute_in_process(instance=opened)
    assert result.success
    return result.run_id


def tables(home: Path, run_id: str) -> list[object]:
    """The tables and indexes of a run's file, and the version of Dagster's migrations."""
    with sqlite3.connect(home / "history" / "runs" / f"{run_id}.db") as connection:
        made = connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
        return [*made, *connection.execute("SELECT version_num FROM alembic_version").fetchall()]


def known(opened: dg.DagsterInstance, run_id: str) -> tuple[object, ...]:
    """The visible state of a run: its status, its events, the newest materialization, the newest evaluation of the check."""
    run, materialized = opened.get_run_by_id(run_id), opened.get_latest_materialization_event(KEY)
    checked = opened.event_log_storage.get_latest_asset_check_execution_by_key([CHECK])
    events = [entry.dagster_event_type for entry in opened.all_logs(run_id)]
    return run and run.status, events, materialized and materialized.run_id, [record.run_id for record in checked.values()]


def test_the_files_are_those_of_dagsters_own_storage(home: Path) -> None:
    """Runs of each storage are read equally by the other one, with the events that Dagster's own storage has."""
    with instance(home, ours=False) as plain:
        (first,) = (run.run_id for run in plain.get_runs())
        before = known(plain, first)
    with instance(home) as opened:
        assert isinstance(opened.event_log_storage, dagster_storage._Events)
        assert known(opened, first) == before
        second = run_on(opened)
        after = known(opened, second)
        assert after[:2] == before[:2]
        assert (after[2], after[3]) == (second, [second])
    with instance(home, ours=False) as plain:
        assert known(plain, second) == after
    assert tables(home, second) == tables(home, first)


def test_an_event_opens_no_connection(home: Path) -> None:
    """After a run's file is open, reading and writing its events, status and materializations opens no connection."""
    with instance(home) as opened:
        run_id = run_on(opened)
        connected: list[object] = []

        @listens_for(Engine, "do_connect")
        def count(_dialect: object, _record: object, arguments: list[object], _named: object) -> None:
            connected.append(arguments[0])

        try:
            run = opened.get_run_by_id(run_id)
            assert run is not None
            opened.report_engine_event("again", run)
            opened.report_runless_asset_event(dg.AssetMaterialization(KEY))
            assert known(opened, run_id)[0] is dg.DagsterRunStatus.SUCCESS
        finally:
            db.event.remove(Engine, "do_connect", count)
        assert [path for path in connected if run_id in str(path) or "index" in str(path) or "runs.db" in str(path)] == []


def test_the_status_of_a_run_is_that_of_its_record(home: Path) -> None:
    """Before, while and after a run is executed, ours and Dagster's own storage have the status that Dagster's record has."""
    for ours in (True, False):
        with instance(home, ours=ours) as opened:
            run = opened.create_run_for_job(JOB)
            seen = [status_of_run(opened, run.run_id)]
            for event in dg.DagsterEventType.RUN_STARTING, dg.DagsterEventType.RUN_CANCELED:
                opened.report_dagster_event(dg.DagsterEvent(event.value, JOB.name), run.run_id)
                record = opened.get_run_by_id(run.run_id)
                assert record is not None
                assert status_of_run(opened, run.run_id) is record.status
                seen.append(record.status)
            assert seen == [dg.DagsterRunStatus[name] for name in ("NOT_STARTED", "STARTING", "CANCELED")]
            assert status_of_run(opened, run_on(opened)) is dg.DagsterRunStatus.SUCCESS


def test_an_event_looks_for_no_columns(home: Path) -> None:
    """The columns that Dagster's own storage looks for with each event and query were found once."""
    with instance(home) as opened:
        runs, run_id = opened.run_storage, run_on(opened)
        assert isinstance(runs, dagster_storage._Runs)
        assert runs.has_run_stats_index_cols() is super(dagster_storage._Runs, runs).has_run_stats_index_cols() is True
        statements: list[str] = []

        @listens_for(Engine, "before_cursor_execute")
        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            statements.append(statement)

        try:
            opened.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, JOB.name), run_id)
            (record,) = opened.get_run_records(dg.RunsFilter(run_ids=[run_id]))
        finally:
            db.event.remove(Engine, "before_cursor_execute", note)
        assert record.start_time
        assert record.end_time
        assert any(one.startswith("UPDATE runs") for one in statements)
        assert [one for one in statements if "table_" in one and '"runs"' in one] == []


def test_what_stays_true_is_asked_once(home: Path) -> None:
    """Dagster's migrations of the shared file are not asked again."""
    with instance(home) as opened:
        statements: list[str] = []

        @listens_for(Engine, "before_cursor_execute")
        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            statements.append(statement)

        try:
            assert opened.get_asset_records([KEY])
            statements.clear()
            assert opened.get_asset_records([KEY])
            assert [one for one in statements if "secondary_indexes" in one] == []
        finally:
            db.event.remove(Engine, "before_cursor_execute", note)


def test_commits_wait_for_no_disk_and_the_files_are_in_wal_mode(home: Path) -> None:
    """Every file has a write-ahead log, which our connections sync only at checkpoints."""
    with instance(home) as opened:
        run_on(opened)
        runs, events = opened.run_storage, opened.event_log_storage
        assert isinstance(runs, dagster_storage._Runs)
        assert isinstance(events, dagster_storage._Events)
        with runs.connect() as first, events.index_connection() as second:
            assert [one.execute(db.text("PRAGMA synchronous")).scalar() for one in (first, second)] == [1, 1]
    for path in home.rglob("*.db"):
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",), path


def test_a_file_that_was_replaced_is_opened_again(home: Path) -> None:
    """A process reads the present file of the folder, not one that was deleted."""
    with instance(home) as opened:
        (before,) = (run.run_id for run in opened.get_runs())
        run_id = run_on(opened)
        kept = home / "kept"
        with sqlite3.connect(home / "history" / "runs.db") as there, sqlite3.connect(kept) as copy:
            there.backup(copy)
        run_on(opened)
        assert opened.get_runs_count() == 3
        for name in ("runs.db-wal", "runs.db-shm"):
            (home / "history" / name).unlink(missing_ok=True)
        kept.replace(home / "history" / "runs.db")
        assert {run.run_id for run in opened.get_runs()} == {before, run_id}


def test_two_processes_may_create_a_runs_file_at_once(home: Path) -> None:
    """The first file stays with its content, and no other file is left."""
    with instance(home) as opened:
        (run,) = opened.get_runs()
        events, before = opened.event_log_storage, opened.all_logs(run.run_id)
        assert isinstance(events, dagster_storage._Events)
        events._make(Path(events.path_for_shard(run.run_id)))
        assert opened.all_logs(run.run_id) == before
    kinds = {path.name.removeprefix(run.run_id) for path in (home / "history" / "runs").glob(f"{run.run_id}*")}
    assert kinds <= {".db", ".db-wal", ".db-shm"}


def test_a_forked_process_opens_its_own_connections(home: Path) -> None:
    """A connection of SQLite must not be used on both sides of a fork: the child has another engine for the same file."""
    with instance(home) as opened:
        run_on(opened)
        url = opened.run_storage._conn_string  # type: ignore[attr-defined]  # of SQLite's
        mine = dagster_storage._engine(url)
        assert dagster_storage._engine(url) is mine
        child = os.fork()
        if child == 0:
            os._exit(0 if dagster_storage._engine(url) is not mine else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_dagster_still_asks_the_storage_for_connections_by_these_names(home: Path) -> None:
    """The methods and attributes that our class overrides are those with which Dagster reads and writes."""
    names = {
        "run_storage": ("connect", "_conn_string", "has_run_stats_index_cols"),
        "schedule_storage": ("connect", "_conn_string"),
        "event_log_storage": (
            *("_connect", "has_table", "_db_lock", "_initialized_dbs", "_initdb", "conn_string_for_shard"),
            "has_secondary_index",
        ),
    }
    with instance(home, ours=False) as plain:
        for part, overridden in names.items():
            assert [name for name in overridden if not hasattr(getattr(plain, part), name)] == []
