"""Dagster's storage in PostgreSQL for dagster.yaml, with connections that stay open.

Dagster's own opens a connection for each statement, some 150 in the life of a run, and each costs PostgreSQL a process. Here a
process keeps one pool for runs, events and schedules. A connection is tested before it is used again, so that a restart of
PostgreSQL is not noticed, and a statement that begins while it is away waits for a minute. An event of a run is stored again when
the connection was lost meanwhile: a run goes on after a restart of PostgreSQL, and an event whose answer was lost may be there
twice. The tables are Dagster's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import sqlalchemy as db
from dagster import EventLogEntry
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import DagsterPostgresException, pg_url_from_config
from tenacity import Retrying, retry_if_exception, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from generia_assets.dagster_instance import is_of_dagsters_storage
from generia_assets.dagster_internals import ConfigurableClassData

CONNECT_SECONDS = 5
KEPT = 2
"""Connections that a process keeps: one for its work, one for the thread that reads the status of its run."""


OUTAGE_SECONDS = 60.0


class _Events(PostgresEventLogStorage):
    def store_event(self, event: EventLogEntry) -> None:
        _retried(super().store_event, event)


_retried = Retrying(
    retry=retry_if_exception(is_of_dagsters_storage),
    wait=wait_exponential_jitter(initial=0.2, max=2.0, jitter=0.2),
    stop=stop_after_delay(OUTAGE_SECONDS),
    reraise=True,
)


def _connected(dialect: db.Dialect, _record: object, arguments: list[str], options: dict[str, Any]) -> object:
    """A new connection, as soon as PostgreSQL is there again: a statement that begins while it is away waits."""
    waiting = _retried.copy(retry=retry_if_exception_type(dialect.loaded_dbapi.OperationalError))
    return waiting(dialect.connect, *arguments, **options)


class OpenPostgresStorage(DagsterPostgresStorage):
    """Dagster's PostgreSQL storage with one pool of connections."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Raises ``ConnectionError`` if PostgreSQL does not answer."""
        try:
            super().__init__(postgres_url, inst_data=inst_data)  # makes the tables, by connections that it closes
        except DagsterPostgresException as error:
            where = postgres_url.rpartition("@")[2]
            raise ConnectionError(
                f"PostgreSQL at {where} does not answer. Start it, or correct DAGSTER_POSTGRES_URL"
            ) from error.__cause__
        pool = db.create_engine(
            postgres_url,
            isolation_level="AUTOCOMMIT",
            pool_size=KEPT,
            max_overflow=-1,
            pool_pre_ping=True,
            connect_args={"connect_timeout": CONNECT_SECONDS},
        )
        db.event.listen(pool, "do_connect", _connected)
        self._event_log_storage = _Events(postgres_url, should_autocreate_tables=False)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = pool

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(pg_url_from_config(config_value), inst_data)
