"""The kill harness in its small version: a few deaths of different kinds, each survived exactly."""

import json
import subprocess
import sys

import pytest


@pytest.mark.dagster_process
@pytest.mark.timeout(1250)
def test_worlds_survive_deaths_of_every_part():
    """Whatever is killed in the middle of the work, the world ends complete by itself, with nothing missing and nothing twice."""
    command = [sys.executable, "-m", "bench.kills", "--quick", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert figures["ok"] is True
    assert (figures["kills"], figures["missing"], figures["doubled"]) == (2, 0, 0)
