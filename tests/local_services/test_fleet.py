"""The servers of a fleet as processes: they serve, restart with their data after a kill, and leave no process."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy
from kombu.connection import Connection

from generia_assets.processes import Child, start
from local_services import fleet
from tests.conftest import python_module
from tests.local_services.test_servers import family, processes
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.servers, pytest.mark.skipif(fleet.available() is not None, reason=str(fleet.available()))]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="generia-tests-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def served(home: Path, name: str, port: int = 0) -> Child:
    command = python_module("local_services.fleet", name, "--data", home / name, "--port", str(port))
    return start(name, command, log_path=home / f"{name}-keeper.log", timeout=120)


def kill_server(keeper: Child) -> None:
    """``kill -9`` of all processes that the parent process has started; the parent then ends."""
    for pid in family(keeper.pid) - {keeper.pid}:
        with suppress(ProcessLookupError):  # it has ended together with another one
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: keeper.exit_code() is not None)
    keeper.stop()


def test_postgresql_restarts_with_its_data_after_a_kill(home: Path) -> None:
    """Committed data survives a kill and a restart of PostgreSQL; at the end none of its processes is left."""
    with served(home, "postgresql") as server:
        with sqlalchemy.create_engine(server.ready_value, poolclass=sqlalchemy.NullPool).begin() as connection:
            connection.execute(sqlalchemy.text("create table worlds as select 7 as id"))
        kill_server(server)
    with served(home, "postgresql") as server:
        connection = sqlalchemy.create_engine(
            server.ready_value, poolclass=sqlalchemy.NullPool
        ).connect()  # stays open: the server ends without waiting for it
        assert connection.execute(sqlalchemy.text("select id from worlds")).scalars().all() == [7]
        members = family(server.pid)
    connection.invalidate()  # otherwise its rollback is tried, and logged as an error, when it is collected during a later test
    wait_for(lambda: not members & processes().keys())


def test_rabbitmq_leaves_nothing_running(home: Path) -> None:
    """RabbitMQ accepts and delivers a task; after a kill of its parent process, neither it nor its port mapper runs."""
    with served(home, "rabbitmq") as server:
        with Connection(server.ready_value) as connection:
            queue = connection.SimpleQueue("tasks")
            queue.put({"world": 7})
            assert queue.get(timeout=60).payload == {"world": 7}
        members = family(server.pid)
        os.kill(server.pid, signal.SIGKILL)
        assert len(members) > 2
        wait_for(lambda: not members & processes().keys())
