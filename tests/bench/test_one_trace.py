"""Whole worlds at a receiver of OTLP: from the message through the sensor, the run and the platform's services to the event."""

import json
import subprocess
import sys

import pytest


@pytest.mark.dagster_process
@pytest.mark.timeout(1250)
def test_a_world_is_one_trace_also_after_its_run_was_killed() -> None:
    """Every span, every call of the platform and every event belongs to the trace of the order, with the right parents."""
    command = [sys.executable, "-m", "bench.one_trace", "--quick", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert figures["ok"] is True
    assert min(figures["spans"], figures["spans_with_a_kill"]) >= 60
