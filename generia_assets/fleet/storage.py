"""Dagster's storage in PostgreSQL for dagster.yaml, with connections that stay open.

Dagster's own opens a connection for each statement, some 150 in the life of a run, and each costs PostgreSQL a process. Here a
process keeps one pool for runs, events and schedules. A connection is tested before it is used again, so that a restart of
PostgreSQL is not noticed. The tables are Dagster's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import sqlalchemy as db
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config

from generia_assets.dagster_internals import ConfigurableClassData

CONNECT_SECONDS = 5
KEPT = 2
"""Connections that a process keeps: one for its work, one for the thread that reads the status of its run."""


class OpenPostgresStorage(DagsterPostgresStorage):
    """Dagster's PostgreSQL storage with one pool of connections."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, inst_data=inst_data)  # makes the tables, by connections that it closes
        pool = db.create_engine(
            postgres_url,
            isolation_level="AUTOCOMMIT",
            pool_size=KEPT,
            max_overflow=-1,
            pool_pre_ping=True,
            connect_args={"connect_timeout": CONNECT_SECONDS},
        )
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = pool

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """As dagster.yaml configures it."""
        return cls(pg_url_from_config(config_value), inst_data)
