"""The fleet's harness in its small version: two workers, of which one dies."""

import json
import subprocess
import sys

import pytest

from local_services import fleet


@pytest.mark.dagster_process
@pytest.mark.skipif(fleet.available() is not None, reason=str(fleet.available()))
@pytest.mark.timeout(300)
def test_worlds_survive_the_death_of_a_worker():
    """When a worker dies, its worlds are completed by another: each made once, exact, within the limits of calls."""
    command = [sys.executable, "-m", "bench.fleet", "--quick", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert (figures["ok"], figures["worlds"], figures["missing"], figures["doubled"]) == (True, 4, 0, 0)
    assert figures["takeovers"] > 0
