"""What the tests of a fleet share: Dagster's instance in a folder, and the settings of a worker."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from emulators.lifecycle import free_port
from generia_assets.settings import settings
from resources.mongodb.connection import MongoDatabase
from tests.support.dagster_internals import InstanceRef, JobPythonOrigin, ModuleCodePointer, RepositoryPythonOrigin


@pytest.fixture
def instance(
    instance_folder: Path, monkeypatch: pytest.MonkeyPatch, mongodb_uri: str, mongo_database_name: str
) -> Iterator[dg.DagsterInstance]:
    """The instance that ``DAGSTER_HOME`` names; the broker of the settings is unavailable, MongoDB is that of the tests."""
    (instance_folder / "dagster.yaml").write_text("run_monitoring: {enabled: true}\ntelemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(instance_folder))
    monkeypatch.setenv("CELERY_BROKER_URL", f"amqp://127.0.0.1:{free_port()}//")
    monkeypatch.setenv("MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("MONGODB_DATABASE", mongo_database_name)
    settings.cache_clear()
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(instance_folder))) as instance:
        yield instance
    settings.cache_clear()


def run_with(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> str:
    """The id of a new run with this status in Dagster."""
    return instance.add_run(dg.DagsterRun("world", status=status)).run_id


@pytest.fixture
def origin() -> JobPythonOrigin:
    """The code origin of a run, as in a message."""
    definitions = ModuleCodePointer("generia_assets.definitions", "defs")
    return JobPythonOrigin("world", RepositoryPythonOrigin(executable_path=sys.executable, code_pointer=definitions))


@contextmanager
def silent(database: MongoDatabase, command: str) -> Iterator[None]:
    """Within the block MongoDB closes the connection instead of answering this command."""
    admin = database.client.admin
    fail = {"failCommands": [command], "closeConnection": True, "appName": "generia"}
    admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=fail)
    try:
        yield
    finally:
        admin.command("configureFailPoint", "failCommand", mode="off")
