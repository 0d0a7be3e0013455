"""The kill harness in its small version: a few deaths of different kinds, each survived exactly."""

from __future__ import annotations

import pytest

from bench import kills
from tests.bench.conftest import Quickly


@pytest.mark.dagster_process
@pytest.mark.timeout(1250)
def test_worlds_survive_deaths_of_every_part(alone: Quickly) -> None:
    """Whatever is killed in the middle of the work, the world ends complete by itself, with nothing missing and nothing twice."""
    figures = alone(kills.harness)
    assert (figures["kills"], figures["missing"], figures["doubled"]) == (2, 0, 0)
