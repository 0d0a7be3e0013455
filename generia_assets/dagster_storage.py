"""Dagster's storage for dagster.yaml: its SQLite files, with connections that stay open.

Dagster's default opens a connection, compiles the statement and syncs the file for each event, and reads its migration scripts
each time a process opens the storage: half of the CPU of a small world. Here a process keeps an SQLAlchemy engine for each of the
files it used last, and trusts a file that Dagster has stamped. The files and tables are Dagster's own: an instance can change from
its default storage to this one and back.

A commit is not synced to the disk (``synchronous=NORMAL`` in WAL mode): a power failure may take the last events, and damages
no file. MongoDB has what a world is: a run whose end is lost is repeated, and an order that is read again changes nothing.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar

import sqlalchemy as db
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.event import listen
from sqlalchemy.pool import NullPool

from generia_assets.dagster_internals import (
    SQLITE_BUSY_TIMEOUT_SECONDS,
    ConfigurableClassData,
    DagsterSqliteStorage,
    SqliteEventLogStorage,
    SqliteRunStorage,
    SqliteScheduleStorage,
    create_db_conn_string,
)

StorageT = TypeVar("StorageT", "_Runs", "_Schedules")

FILES = 16
"""Files whose connections a process keeps: three are shared by all runs, and each run has one."""
_BUSY = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}


class OpenSqliteStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage below ``base_dir``, with connections that stay open."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self.base_dir = base_dir
        self._inst_data = inst_data
        self._run_storage = _opened(_Runs, Path(base_dir, "history"), "runs")
        self._event_log_storage = _Events(str(Path(base_dir, "history", "runs")))
        self._schedule_storage = _opened(_Schedules, Path(base_dir, "schedules"), "schedules")

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls.from_local(config_value["base_dir"], inst_data)


class _Kept:
    _conn_string: str

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with _engine(self._conn_string).begin() as connection:
            yield connection


class _Runs(_Kept, SqliteRunStorage):
    def has_run_stats_index_cols(self) -> bool:
        """Whether the table has columns that Dagster added once. It looks again with each query and each event."""
        return self._has_run_stats

    @cached_property
    def _has_run_stats(self) -> bool:
        return super().has_run_stats_index_cols()


class _Schedules(_Kept, SqliteScheduleStorage): ...


class _Events(SqliteEventLogStorage):
    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        url = self.conn_string_for_shard(shard)
        with self._db_lock:
            if shard not in self._initialized_dbs:
                if not _inode(url):
                    self._make(Path(self.path_for_shard(shard)))
                elif not _is_stamped(url):
                    self._initdb(_passing_engine(url))
                self._initialized_dbs.add(shard)
            with _engine(url).begin() as connection:
                yield connection

    def _make(self, path: Path) -> None:
        """Make a run's file, which another process may do at the same time."""
        copy = path.with_suffix(f".{uuid.uuid4()}")
        copy.write_bytes(self._empty_file)
        with suppress(FileExistsError):
            path.hardlink_to(copy)
        copy.unlink()

    @cached_property
    def _empty_file(self) -> bytes:
        """A file with Dagster's tables: making them takes 50 ms, copying them none."""
        with TemporaryDirectory() as folder:
            self._initdb(_passing_engine(create_db_conn_string(folder, "empty")))
            return Path(folder, "empty.db").read_bytes()

    def has_table(self, table_name: str) -> bool:
        """Whether the file that all runs share has this table. Asked within a transaction, too: it takes no lock."""
        if table_name not in self._tables_there:
            with _engine(self.conn_string_for_shard("index")).connect() as connection:
                if db.inspect(connection).has_table(table_name):
                    self._tables_there.add(table_name)
        return table_name in self._tables_there

    @cached_property
    def _tables_there(self) -> set[str]:
        return set()

    def has_secondary_index(self, name: str) -> bool:
        """Whether Dagster has migrated the file that all runs share in this way. It looks with each query; a migration stays."""
        if name not in self._migrations and super().has_secondary_index(name):
            self._migrations.add(name)
        return name in self._migrations

    @cached_property
    def _migrations(self) -> set[str]:
        return set()


def _opened(storage: type[StorageT], folder: Path, name: str) -> StorageT:
    url = create_db_conn_string(str(folder), name)
    if not _is_stamped(url):
        storage.from_local(str(folder))
    return storage(url)


def _is_stamped(url: str) -> bool:
    """Whether Dagster has made the tables of this file, and noted their version."""
    if not _inode(url):
        return False
    with _engine(url).connect() as connection:
        made = db.inspect(connection).has_table("alembic_version")
        return made and connection.execute(db.text("SELECT version_num FROM alembic_version")).first() is not None


def _engine(url: str) -> Engine:
    """The engine for a file: another one after a fork, and when the file was replaced."""
    return _kept_engine(url, os.getpid(), _inode(url))


@lru_cache(FILES)
def _kept_engine(url: str, process: int, inode: int) -> Engine:
    del process, inode
    return _with_pragmas(db.create_engine(url, max_overflow=-1, connect_args=_BUSY))  # no thread waits for another's connection


def _passing_engine(url: str) -> Engine:
    return _with_pragmas(db.create_engine(url, poolclass=NullPool, connect_args=_BUSY))


def _with_pragmas(engine: Engine) -> Engine:
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
        listen(engine, "connect", lambda opened, _, pragma=pragma: opened.execute(f"PRAGMA {pragma}"))
    return engine


def _inode(url: str) -> int:
    """What tells a file from another one of its name; 0: there is none."""
    try:
        return os.stat(url.removeprefix("sqlite:///")).st_ino  # noqa: PTH116  asked for each event: a fifth of a Path's time
    except FileNotFoundError:
        return 0
