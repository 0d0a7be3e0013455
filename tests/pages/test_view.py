"""``generia view``: the worlds' pages as a command."""

from __future__ import annotations

import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from emulators.lifecycle import free_port
from generia_assets.durable.status import State
from tests.support.command import Command
from tests.support.pages_site import get
from tests.support.pages_world import MadeUp
from tests.support.waiting import PATIENCE_S, slowness

PUBLIC = {"PAGES_URL": "https://worlds.example.org"}


@pytest.fixture
def database(mongo_client: Any, mongo_database_name: str) -> Any:
    return mongo_client[mongo_database_name]


def test_view_prints_its_address_and_ends_at_once(tmp_path: Path, mongodb_uri: str, database: Any) -> None:
    """`generia view` prints its address, refuses a used port with status 2, and ends on Ctrl-C, also with open live feeds. Its
    pages have the public address from the settings."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
        generia = Command(tmp_path / "data", {**PUBLIC, "MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": database.name})
        exit_code, _, err = generia.run("view", "--port", port)
        assert exit_code == 2 and f"--port {port}" in err
    growing = MadeUp(database, tmp_path / "data" / "media")
    growing.say(State.IN_PROGRESS)
    view = generia.start("view", growing.world_id, "--port", port)
    try:
        assert view.stdout is not None
        line = view.stdout.readline()
        assert f"http://127.0.0.1:{port}/worlds/{growing.world_id}" in line
        address = re.search(r"http://\S+", line)[0]
        assert "Finished" not in get(address).text
        assert f'property="og:url" content="{PUBLIC["PAGES_URL"]}/worlds/{growing.world_id}"' in get(address).text
        with requests.get(f"{address}/live", stream=True, timeout=60) as live:
            assert next(live.iter_lines(chunk_size=1)) == b"retry: 1000"
            began = time.monotonic()
            view.send_signal(signal.SIGINT)
            assert view.wait(PATIENCE_S) == 130
            assert time.monotonic() - began < 5 * slowness()
        assert view.stderr is not None and view.stderr.read() == ""
    finally:
        view.kill()


@pytest.mark.servers
def test_view_starts_its_own_mongodb_if_none_runs(tmp_path: Path) -> None:
    """After a demo no server runs, and `view` can still show its worlds; when it ends no process is left."""
    port = str(free_port())
    generia = Command(tmp_path / "data")
    view = generia.start("view", "--port", port)
    try:
        assert view.stdout is not None
        assert f":{port}/" in view.stdout.readline()
        assert "No world was ordered yet" in get(f"http://127.0.0.1:{port}/").text
        exit_code, out, err = generia.call("status")
        assert exit_code == 0 and out.startswith("No world was ordered yet"), err
        view.send_signal(signal.SIGINT)
        assert view.wait(PATIENCE_S) == 130
    finally:
        view.kill()
    assert generia.processes() == []
    assert not (tmp_path / "data" / "running.json").exists()
