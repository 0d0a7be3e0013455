"""Whole worlds at a receiver of OTLP: from the message through the sensor, the run and the platform's services to the event."""

from __future__ import annotations

import pytest

from bench import one_trace
from tests.bench.conftest import Quickly


@pytest.mark.dagster_process
@pytest.mark.timeout(1250)
def test_a_world_is_one_trace_even_after_its_run_was_killed(alone: Quickly) -> None:
    """Every span, every call of the platform and every event belongs to the trace of the order, with the right parents."""
    figures = alone(one_trace.harness)
    assert min(figures["spans"], figures["spans_with_a_kill"]) >= 60
