"""The harness of answers in its quick form: damaged answers and refusals leave worlds exact."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.servers
@pytest.mark.timeout(1250)
def test_bad_answers_leave_worlds_exact():
    """Every world of the quick harness is exact and undamaged, and both damage and refusals happened."""
    command = [sys.executable, "-m", "bench.answers", "--quick", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert figures["ok"] is True
    assert len(figures["kinds_met"]) >= 13  # twelve kinds of damage and a kind of refusal at least
    assert figures["refused"] > 0
    assert figures["milder_pictures"] > 0
