"""The outage harness in its small version: what goes away comes back, and the worlds have waited for it."""

import json
import subprocess
import sys

import pytest


@pytest.mark.servers
@pytest.mark.timeout(1250)
def test_worlds_wait_out_whatever_goes_away():
    """Through every outage and every demand to slow down no attempt is used up, and each world ends exact.

    This harness runs as the command that people give.
    """
    command = [sys.executable, "-m", "bench.outages", "--quick", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert figures["ok"] is True
    assert figures["cases"] == 5
