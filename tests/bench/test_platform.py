"""The platform harness in its quick form: one world on the platform's services, half of whose calls hit a fault."""

import pytest

from bench import platform
from tests.bench.conftest import Quickly


@pytest.mark.timeout(1250)
def test_a_world_is_published_exactly_under_faults(quickly: Quickly) -> None:
    """Despite refusals, lost answers, ambiguous errors and expired URLs nothing is missing and nothing exists twice."""
    figures = quickly(platform.harness)
    assert figures["met"] > 5
    assert (figures["worlds"], figures["missing"], figures["doubled"]) == (1, 0, 0)
