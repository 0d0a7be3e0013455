"""What the tests of the sensors share: their own instance of Dagster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest


@pytest.fixture
def instance(instance_folder: Path) -> Iterator[dg.DagsterInstance]:
    """An instance without a run, which ``DAGSTER_HOME`` names."""
    with dg.instance_for_test(temp_dir=str(instance_folder)) as instance:
        yield instance
