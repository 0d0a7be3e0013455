"""Uses of Dagster's private API in tests. Not here: those of the product (generia_assets/dagster_internals.py)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg
from dagster._cli.workspace.cli_target import workspace_opts_to_load_target as workspace_opts_to_load_target
from dagster._core.code_pointer import ModuleCodePointer as ModuleCodePointer
from dagster._core.definitions.job_base import InMemoryJob as InMemoryJob
from dagster._core.definitions.sensor_definition import SensorExecutionData as SensorExecutionData
from dagster._core.execution.api import execute_run as execute_run
from dagster._core.execution.backfill import PartitionBackfill as PartitionBackfill
from dagster._core.execution.plan.resume_retry import ReexecutionStrategy as ReexecutionStrategy
from dagster._core.instance.ref import InstanceRef as InstanceRef
from dagster._core.launcher.base import LaunchRunContext as LaunchRunContext
from dagster._core.origin import JobPythonOrigin as JobPythonOrigin
from dagster._core.origin import RepositoryPythonOrigin as RepositoryPythonOrigin
from dagster._core.remote_origin import InProcessCodeLocationOrigin as InProcessCodeLocationOrigin
from dagster._core.remote_origin import RegisteredCodeLocationOrigin as RegisteredCodeLocationOrigin
from dagster._core.remote_origin import RemoteJobOrigin as RemoteJobOrigin
from dagster._core.remote_origin import RemoteRepositoryOrigin as RemoteRepositoryOrigin
from dagster._core.remote_representation.code_location import InProcessCodeLocation as InProcessCodeLocation
from dagster._core.run_coordinator.base import SubmitRunContext as SubmitRunContext
from dagster._core.storage.event_log.in_memory import InMemoryEventLogStorage
from dagster._core.storage.event_log.sqlite import sqlite_event_log as sqlite_event_log
from dagster._core.storage.partition_status_cache import (
    get_and_update_asset_status_cache_value as get_and_update_asset_status_cache_value,
)
from dagster._core.storage.runs import InMemoryRunStorage
from dagster._core.storage.tags import RETRY_NUMBER_TAG as RETRY_NUMBER_TAG
from dagster._core.storage.tags import TagType as TagType
from dagster._core.storage.tags import get_tag_type as get_tag_type
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin as LoadableTargetOrigin
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon as QueuedRunCoordinatorDaemon
from dagster_shared.cli import WorkspaceOpts as WorkspaceOpts
from dagster_shared.record import replace
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.pool import QueuePool


def a_run(status: dg.DagsterRunStatus, tags: Mapping[str, str], run_config: Mapping[str, object] | None = None) -> dg.DagsterRun:
    """A run of job ``world`` that may be queued, to be added to an instance."""
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("generia"), "repository"), "world")
    return dg.DagsterRun("world", status=status, tags=tags, run_config=run_config, remote_job_origin=origin)


def without_checks(defs: dg.Definitions) -> dg.Definitions:
    """The same code location without its asset checks: with their events they take half of the time of a small world."""
    return replace(defs, asset_checks=[])


def in_memory_instance() -> dg.DagsterInstance:
    """Dagster's ephemeral instance, for runs that read their own status on a second thread (generia_assets/dagster_instance.py).

    Its runs are in a SQLite database in memory with a shared cache. There a write fails at once ("table is locked"), whatever the
    busy timeout, while another thread reads. Dagster locks the event log against that, but not the runs. And it opens a connection
    for every row that is read or written, a tenth of what a small world costs: here connections stay open, and the event log has
    one, which says its PRAGMA once. And it looks with every row whether the database has the newest tables and columns: here they
    are known to be there.
    """
    instance = dg.DagsterInstance.ephemeral()
    runs, events, lock = instance.run_storage, instance.event_log_storage, threading.RLock()
    assert isinstance(runs, InMemoryRunStorage)
    assert isinstance(events, InMemoryEventLogStorage)
    for storage in (runs, events):
        storage._engine = create_engine(storage._engine.url, poolclass=QueuePool, connect_args={"check_same_thread": False})
    connect, to_events = runs.connect, events._engine.connect()
    to_events.exec_driver_sql("PRAGMA foreign_keys=ON")
    to_events.commit()

    @contextmanager
    def connect_alone() -> Iterator[Connection]:
        with lock, connect() as connection:
            yield connection

    @contextmanager
    def connect_to_events() -> Iterator[Connection]:
        with events._db_lock, to_events.begin():
            yield to_events

    runs.connect = connect_alone  # type: ignore[method-assign]
    events._connect = connect_to_events  # type: ignore[method-assign]
    events.has_table = lambda table_name: True  # type: ignore[method-assign]
    events._has_asset_key_col_on_connection = lambda conn, column_name: True  # type: ignore[method-assign]
    return instance
