"""The harness of messages in its quick form: nothing lost, nothing doubled, every broken message among the dead letters."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.timeout(1250)
@pytest.mark.dagster_process
def test_no_message_is_lost_and_none_counts_twice():
    """Every right order of the quick harness has one record and one run, every broken one a reason that names what is wrong."""
    command = [sys.executable, "-m", "bench.messages", "--quick", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert figures["ok"] is True
    assert figures["dead_letters"] == figures["malformed"] > 30
    assert figures["killed"]["daemon"] > 0
