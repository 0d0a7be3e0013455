"""The kill harness in its quick form: a few kills of different processes, after each of which the world is exact."""

from __future__ import annotations

import sys

import pytest
from rich.console import Console

from bench import kills
from bench.report import Options
from bench.stack import TestStack


@pytest.mark.dagster_process
@pytest.mark.timeout(1250)
def test_worlds_survive_a_kill_of_every_part(stack: TestStack) -> None:
    """Whichever process is killed during the work, the world completes by itself, with nothing missing and nothing made twice."""
    report = kills.met(stack, Options(quick=True, seed=1, json=True), Console(file=sys.stderr))
    assert report.ok, report.remarks
    assert (report.figures["kills"], report.figures["missing"], report.figures["doubled"]) == (2, 0, 0)
