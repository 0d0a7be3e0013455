"""The platform harness in its small version: one world through the platform's services, half of whose calls meet a fault."""

import json
import subprocess
import sys

import pytest


@pytest.mark.servers
@pytest.mark.timeout(1250)
def test_a_world_is_published_exactly_under_faults():
    """Refusals, lost answers, ambiguous errors and expired URLs: nothing is missing, nothing is there twice."""
    command = [sys.executable, "-m", "bench.platform", "--quick", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert figures["ok"] is True
    assert figures["met"] > 5
    assert (figures["worlds"], figures["missing"], figures["doubled"]) == (1, 0, 0)
