"""Dagster's storage in PostgreSQL, through a restart of the server."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from generia_assets.fleet.storage import OpenPostgresStorage
from generia_assets.processes import Child
from local_services import fleet
from tests.local_services.test_fleet import home, kill_server, served

__all__ = ["home"]
pytestmark = [pytest.mark.servers, pytest.mark.skipif(fleet.available() is not None, reason=str(fleet.available()))]


def test_a_statement_waits_for_postgresql(home: Path):
    """A statement that begins during an outage of PostgreSQL is answered after it."""
    back: list[Child] = []
    server = served(home, "postgresql")
    try:
        url = server.ready_value
        storage = OpenPostgresStorage(url)
        assert storage.run_storage.get_runs_count() == 0
        kill_server(server)
        port = int(url.partition("@")[2].partition(":")[2].partition("/")[0])
        again = threading.Timer(1.0, lambda: back.append(served(home, "postgresql", port)))
        again.start()
        assert storage.run_storage.get_runs_count() == 0
        again.join()
    finally:
        for one in (server, *back):
            one.stop()
