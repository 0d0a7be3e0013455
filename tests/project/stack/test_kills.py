"""The kill harness in its small version: a few deaths of different kinds, each survived exactly."""

from __future__ import annotations

import sys

import pytest
from rich.console import Console

from bench import kills
from bench.report import Options
from bench.stack import TestStack


@pytest.mark.dagster_process
@pytest.mark.timeout(1250)
def test_worlds_survive_deaths_of_every_part(stack: TestStack) -> None:
    """Whatever is killed in the middle of the work, the world ends complete by itself, with nothing missing and nothing twice."""
    report = kills.met(stack, Options(quick=True, seed=1, json=True), Console(file=sys.stderr))
    assert report.ok, report.remarks
    assert (report.figures["kills"], report.figures["missing"], report.figures["doubled"]) == (2, 0, 0)
