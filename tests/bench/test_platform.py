"""The platform harness in its small version: one world through the platform's services, half of whose calls meet a fault."""

import pytest

from bench import platform
from tests.bench.conftest import Quickly


@pytest.mark.timeout(1250)
def test_a_world_is_published_exactly_under_faults(quickly: Quickly) -> None:
    """Refusals, lost answers, ambiguous errors and expired URLs: nothing is missing, nothing is there twice."""
    figures = quickly(platform.harness)
    assert figures["met"] > 5
    assert (figures["worlds"], figures["missing"], figures["doubled"]) == (1, 0, 0)
