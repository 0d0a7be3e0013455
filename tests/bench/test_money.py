"""The harness of money in its quick form: no limit is ever passed, and what is counted is what was called."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.servers
@pytest.mark.timeout(1250)
def test_no_world_costs_more_than_it_may():
    """At no look of the quick harness was a limit passed, and its counts agree with the emulator's."""
    command = [sys.executable, "-m", "bench.money", "--quick", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert figures["ok"] is True
    assert figures["looks"] > 100
    assert figures["scenarios"] == 6
