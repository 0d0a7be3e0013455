"""Dagster: the used private API is unchanged and imported in one module, and loading the code location has no side effects."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path

import dagster as dg
import pytest

from generia_assets import dagster_internals

ROOT = Path(__file__).parents[2]
PRIVATE = ("generia_assets/dagster_internals.py", "tests/support/dagster_internals.py", "tests/sensors/test_kafka_sensor_daemon.py")
"""The product's module, the tests', and the test that is a daemon itself."""

SMOKE = """
import logging, os, signal, sys, threading
from multiprocessing import forkserver

from generia_assets.dagster_internals import code_server_classes

api, server, _ = code_server_classes()

def state():
    loggers = [logging.getLogger(name) for name in (None, "dagster", "generia_assets", "resources", "sensors")]
    return {
        "environment": dict(os.environ),
        "logging": [(one.level, one.propagate, list(one.handlers), list(one.filters)) for one in loggers],
        "patches": (api.StartRun, api.ReloadCode, server.serve, list(forkserver._forkserver._preload_modules)),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "threads": threading.enumerate(),
        "excepthook": sys.excepthook,
    }

before = state()
import generia_assets.definitions
after = state()
print(sorted(name for name in before if before[name] != after[name]))
location = generia_assets.definitions.defs
print(len(location.resolve_asset_graph().get_all_asset_keys()), len(list(location.sensors)))
"""


@pytest.mark.servers  # a second interpreter loads the code location
def test_loading_the_code_location_changes_nothing_in_its_process() -> None:
    """After loading the definitions in a fresh interpreter, environment, logging, signals, threads and Dagster are unchanged."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", SMOKE], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["[]", "11 2"]


def test_private_modules_are_imported_in_one_place() -> None:
    """No other file imports a module of Dagster whose name begins with an underscore."""
    folders = ("generia_assets", "resources", "sensors", "emulators", "local_services", "bench", "tests")
    imported = re.compile(r"^\s*(?:from|import) dagster\._\w", re.MULTILINE)
    found = [
        path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py") if imported.search(path.read_text())
    ]
    assert {str(path) for path in found} == set(PRIVATE)


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]  # one that can be called


def test_the_code_server_has_the_methods_that_warm_starts_replace() -> None:
    """Its methods have the same parameters, and its attributes the same names."""
    api, server, reply = dagster_internals.code_server_classes()
    assert [len(parameters(method)) for method in (api.StartRun, api.ReloadCode)] == [3, 3]
    assert parameters(server.serve) == ["self"]
    source = inspect.getsource(api)
    assert 'self._mp_ctx = multiprocessing.get_context("spawn")' in source
    assert "self._mp_ctx.Process(" in inspect.getsource(api.StartRun)
    assert "self._executions: dict[str," in source
    assert "self._health_servicer = health.HealthServicer()" in inspect.getsource(server)
    assert reply()
    assert all(map(importlib.util.find_spec, dagster_internals.PRELOADED))
    assert {"_forkserver_address", "_forkserver_alive_fd", "_forkserver_pid"} <= vars(forkserver._forkserver).keys()


def test_the_run_launcher_has_the_methods_that_ours_overrides() -> None:
    """The types of the health check, the access to a run's code server, and the tags have the same names."""
    assert (dagster_internals.PARTITION_NAME_TAG, dagster_internals.MAX_RETRIES_TAG) == ("dagster/partition", "dagster/max_retries")
    assert {"RUNNING", "FAILED", "UNKNOWN"} <= set(dagster_internals.WorkerStatus.__members__)
    assert list(dagster_internals.CheckRunHealthResult._fields)[:2] == ["status", "msg"]
    for method in ("terminate", "check_run_worker_health", "_get_grpc_client_for_termination"):
        assert callable(getattr(dg.DefaultRunLauncher, method))
    assert isinstance(dg.define_asset_job("one"), dagster_internals.UnresolvedAssetJobDefinition)


def test_the_instance_has_the_tables_and_daemons_that_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a fresh instance of SQLite rows of an unknown run can be deleted, and no daemon is found."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        dagster_internals.delete_rows_of_runs(instance, ["no such run"])
        assert dagster_internals.status_of_run(instance, "no such run") is None
        dagster_internals.delete_partitions(instance, "worlds", ["no such world"])
        assert dagster_internals.runs_by_tag(instance, "dagster/partition", ["no such world"]) == {}
        assert not dagster_internals.has_daemon(instance)
    assert callable(dagster_internals.daemon_command())


def test_the_newest_materializations_are_those_that_dagster_finds() -> None:
    """Of each asset and partition the last of several; none of an asset that was wiped, until it is made again.

    The storage in memory keeps the events of a wiped asset, as PostgreSQL does. SQLite's files delete them.
    """
    with dg.DagsterInstance.ephemeral() as instance:

        def make(*made: tuple[str, str]) -> None:
            for asset, partition in made:
                instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=partition))

        def newest(asset: str, partition: str) -> list[tuple[int, str, object]]:
            of_partition = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[partition])
            records = instance.fetch_materializations(of_partition, limit=1).records
            return [(one.storage_id, one.run_id, pytest.approx(one.timestamp, abs=1e-6)) for one in records]

        make(("tides", "a"), ("moons", "a"), ("tides", "a"), ("tides", "b"), ("moons", "b"))
        instance.wipe_assets([dg.AssetKey("moons")])
        make(("moons", "b"))
        for partition, there in (("a", {"tides"}), ("b", {"tides", "moons"})):
            found = dagster_internals.newest_materializations(instance, ["tides", "moons", "never made"], partition)
            assert found.keys() == there
            for asset, one in found.items():
                assert [(one.storage_id, one.run_id, one.timestamp)] == newest(asset, partition)
            assert newest("moons", "a") == []


def test_the_webserver_is_made_by_the_name_that_ours_takes() -> None:
    """The command creates ``app.DagsterWebserver`` and reads its middleware."""
    import dagster_webserver.app  # half a second, only in this test
    from dagster_webserver.webserver import DagsterWebserver

    assert dagster_webserver.app.DagsterWebserver is DagsterWebserver  # type: ignore[attr-defined]
    assert "DagsterWebserver(" in inspect.getsource(dagster_webserver.app)
    assert parameters(DagsterWebserver.build_middleware) == ["self"]
