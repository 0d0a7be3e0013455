"""The outage harness in its quick form: the worlds wait until each service is available again."""

import json
import subprocess
import sys

import pytest


@pytest.mark.servers
@pytest.mark.timeout(1250)
def test_worlds_wait_during_every_outage():
    """During every outage and every request to slow down no attempt is used, and each world is exact. The test starts the harness
    as a command, like people do.
    """
    command = [sys.executable, "-m", "bench.outages", "--quick", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert figures["ok"] is True
    assert figures["cases"] == 5
