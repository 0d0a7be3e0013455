"""All uses of Dagster's private API. ``tests/project/test_dagster_internals.py`` fails when a release
changes one of these things, and when another module imports a private one.

Modules that ``import dagster`` loads anyway are imported at the top; those that cost seconds are imported by the function that
needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

from dagster import AssetKey, DagsterEvent, DagsterEventType, DagsterRunStatus
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as UnresolvedAssetJobDefinition
from dagster._core.errors import DagsterUserCodeUnreachableError as DagsterUserCodeUnreachableError
from dagster._core.events import AssetMaterializationPlannedData
from dagster._core.execution.backfill import BulkActionStatus as BulkActionStatus
from dagster._core.launcher.base import CheckRunHealthResult as CheckRunHealthResult
from dagster._core.launcher.base import LaunchRunContext as LaunchRunContext
from dagster._core.launcher.base import RunLauncher as RunLauncher
from dagster._core.launcher.base import WorkerStatus as WorkerStatus
from dagster._core.run_coordinator.base import SubmitRunContext as SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import RunQueueConfig as RunQueueConfig
from dagster._core.storage.compute_log_manager import CapturedLogContext as CapturedLogContext
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.event_log import SqliteEventLogStorage as SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager as LocalComputeLogManager
from dagster._core.storage.runs import SqliteRunStorage as SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage as SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS as SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite import create_db_conn_string as create_db_conn_string
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage as DagsterSqliteStorage
from dagster._core.storage.tags import BACKFILL_ID_TAG as BACKFILL_ID_TAG
from dagster._core.storage.tags import MAX_RETRIES_TAG as MAX_RETRIES_TAG
from dagster._core.storage.tags import PARTITION_NAME_TAG as PARTITION_NAME_TAG
from dagster._core.storage.tags import PRIORITY_TAG as PRIORITY_TAG
from dagster._grpc.types import ExecuteRunArgs as ExecuteRunArgs
from dagster._serdes import ConfigurableClassData as ConfigurableClassData
from dagster._serdes import pack_value as pack_value
from dagster._serdes import unpack_value as unpack_value
from dagster_shared.error import SerializableErrorInfo

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun
    from dagster._grpc.__generated__.dagster_api_pb2 import ReloadCodeReply
    from dagster._grpc.server import DagsterApiServer as DagsterApiServer
    from dagster._grpc.server import DagsterGrpcServer as DagsterGrpcServer
    from sqlalchemy import Column
    from sqlalchemy.engine import Connection

ACTIVE = NOT_FINISHED_STATUSES
"""Statuses of a run that has not ended."""
CheckTarget = AssetCheckEvaluationTargetMaterializationData
PRELOADED = (
    "dagster._grpc.impl",
    "dagster._core.definitions.repository_definition.repository_data_builder",
    "dagster._core.execution.plan.active",
    "dagster._core.execution.run_cancellation_thread",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.instance.runs.run_domain",
    "dagster._core.secrets.env_file",
    "dagster._core.storage.root",
    "dagster._core.system_config.composite_descent",
    "dagster._core.workspace.autodiscovery",
    "dagster._utils.test.definitions",
    "upath.implementations.local",
)
"""Modules that Dagster imports when a process begins to execute a run."""


def code_server_classes() -> tuple[type[DagsterApiServer], type[DagsterGrpcServer], type[ReloadCodeReply]]:
    """Dagster's classes of a code server: the servicer, the gRPC server, and the reply to a request to reload."""
    from dagster._grpc.__generated__.dagster_api_pb2 import ReloadCodeReply
    from dagster._grpc.server import DagsterApiServer, DagsterGrpcServer

    return DagsterApiServer, DagsterGrpcServer, ReloadCodeReply


def daemon_command() -> Callable[[], object]:
    from dagster._daemon.cli import main

    return main


def has_daemon(instance: DagsterInstance) -> bool:
    """Whether a daemon is at work on this instance, or was less than a minute ago."""
    from dagster._daemon.controller import get_daemon_statuses

    statuses = get_daemon_statuses(instance, instance.get_required_daemon_types(), ignore_errors=True)
    return any(status.healthy for status in statuses.values())


def runs_by_tag(instance: DagsterInstance, key: str, values: Sequence[str]) -> dict[str, list[str]]:
    """The ids of all runs that have this tag with one of these values, by value."""
    import sqlalchemy as db
    from dagster._core.storage.runs.schema import RunTagsTable

    runs: Any = instance.run_storage
    tagged = db.select(RunTagsTable.c.value, RunTagsTable.c.run_id).where(RunTagsTable.c.key == key)
    found: dict[str, list[str]] = {}
    with runs.connect() as connection:
        for value, run_id in connection.execute(tagged.where(RunTagsTable.c.value.in_(values))):
            found.setdefault(value, []).append(run_id)
    return found


def status_of_run(instance: DagsterInstance, run_id: str) -> DagsterRunStatus | None:
    """The status alone, for a run that asks each second: Dagster would read, query and parse its whole record."""
    import sqlalchemy as db
    from dagster._core.storage.runs.schema import RunsTable

    runs: Any = instance.run_storage
    with runs.connect() as connection:
        found = connection.execute(db.select(RunsTable.c.status).where(RunsTable.c.run_id == run_id)).scalar()
    return None if found is None else DagsterRunStatus(found)


def delete_rows_of_runs(instance: DagsterInstance, run_ids: Sequence[str]) -> None:
    """Delete these runs in the tables, also what ``DagsterInstance.delete_run`` leaves behind: checks, tags, the copy of an asset's
    newest event. The runs go last.

    The table of checks has no index by run alone, only by asset, check and run.
    """
    import sqlalchemy as db
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Checks
    from dagster._core.storage.event_log.schema import AssetEventTagsTable as EventTags
    from dagster._core.storage.event_log.schema import AssetKeyTable as Assets
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
    from dagster._core.storage.runs.schema import RunsTable, RunTagsTable

    events: Any = instance.event_log_storage
    runs: Any = instance.run_storage
    with events.index_connection() as connection:
        of_runs = db.select(Events.c.id).where(Events.c.run_id.in_(run_ids))
        connection.execute(db.delete(EventTags).where(EventTags.c.event_id.in_(of_runs)))
        connection.execute(db.delete(Events).where(Events.c.run_id.in_(run_ids)))
        for asset, check in _pairs(connection, Checks.c.asset_key, Checks.c.check_name):
            of_check = db.and_(Checks.c.asset_key == asset, Checks.c.check_name == check)
            connection.execute(db.delete(Checks).where(of_check, Checks.c.run_id.in_(run_ids)))
        newest = db.update(Assets).where(Assets.c.last_run_id.in_(run_ids))
        connection.execute(newest.values(last_materialization=None, last_run_id=None))  # Dagster looks for it among the events then
    with runs.connect() as connection:
        connection.execute(db.delete(RunTagsTable).where(RunTagsTable.c.run_id.in_(run_ids)))
        connection.execute(db.delete(RunsTable).where(RunsTable.c.run_id.in_(run_ids)))


def newest_materializations(instance: DagsterInstance, assets: Iterable[str], partition: str) -> dict[str, CheckTarget]:
    """Of each of these assets, the materialization that a check of this partition is about; none that was wiped.

    One query: Dagster makes four for each asset, and parses the event.
    """
    import sqlalchemy as db
    from dagster._core.storage.event_log.schema import AssetKeyTable as Assets
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events

    names = {AssetKey(asset).to_string(): asset for asset in assets}
    made = Events.c.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION.value
    newest = db.select(db.func.max(Events.c.id)).where(Events.c.asset_key.in_(list(names)), made, Events.c.partition == partition)
    wiped = db.exists().where(Assets.c.asset_key == Events.c.asset_key, Assets.c.wipe_timestamp >= Events.c.timestamp)
    columns = db.select(Events.c.asset_key, Events.c.id, Events.c.run_id, Events.c.timestamp)
    events: Any = instance.event_log_storage
    with events.index_connection() as connection:
        found = connection.execute(columns.where(Events.c.id.in_(newest.group_by(Events.c.asset_key)), ~wiped)).all()
    return {
        names[asset]: CheckTarget(storage_id=id_, run_id=run, timestamp=at.replace(tzinfo=UTC).timestamp())
        for asset, id_, run, at in found
    }


def plan_again(instance: DagsterInstance, run: DagsterRun, assets: Iterable[str], partition: str) -> None:
    """Plan these materializations again: until the run makes them, Dagster shows the partition as failed when the run fails."""
    for name in assets:
        planned = AssetMaterializationPlannedData(AssetKey(name), partition)
        event = DagsterEvent(
            event_type_value=DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value,
            job_name=run.job_name,
            event_specific_data=planned,
            message=f"the world failed: {name} is to be made again",
        )
        instance.report_dagster_event(event, run.run_id)


def partitions_of_backfill(instance: DagsterInstance, backfill_id: str) -> frozenset[str]:
    """The partitions that a backfill covers, in any of its assets; none if there is no such backfill."""
    backfill = instance.get_backfill(backfill_id)
    if backfill is None:
        return frozenset()
    data = backfill.asset_backfill_data
    subsets = data.target_subset.partitions_subsets_by_asset_key.values() if data else ()
    return frozenset(backfill.partition_names or ()).union(*(subset.get_partition_keys() for subset in subsets))


def fail_backfill(instance: DagsterInstance, backfill_id: str, message: str) -> None:
    """End a backfill: Dagster cancels its runs, and its page shows the message."""
    backfill = instance.get_backfill(backfill_id)
    if backfill is not None and backfill.status is BulkActionStatus.REQUESTED:
        error = SerializableErrorInfo(message, [], None)
        instance.update_backfill(backfill.with_status(BulkActionStatus.FAILING).with_error(error))  # type: ignore[no-untyped-call]  # Dagster's own


def _pairs(connection: Connection, first: Column[str], second: Column[str]) -> Iterator[tuple[str, str]]:
    """The different values of two columns that an index begins with; one look into the index for each."""
    import sqlalchemy as db

    columns, pair = db.tuple_(first, second), ("", "")
    next_one = db.select(first, second).order_by(first, second).limit(1)
    while found := connection.execute(next_one.where(columns > db.tuple_(*map(db.literal, pair)))).first():
        yield (pair := (found[0], found[1]))


def delete_partitions(instance: DagsterInstance, definition: str, keys: Sequence[str]) -> None:
    import sqlalchemy as db
    from dagster._core.storage.event_log.schema import DynamicPartitionsTable as Partitions

    events: Any = instance.event_log_storage
    with events.index_connection() as connection:
        named = db.and_(Partitions.c.partitions_def_name == definition, Partitions.c.partition.in_(keys))
        connection.execute(db.delete(Partitions).where(named))
