"""The harness of money in its quick form: no limit is ever exceeded, and the counts match the calls."""

from __future__ import annotations

import pytest

from bench import money
from tests.bench.conftest import Quickly


@pytest.mark.timeout(1250)
def test_no_world_costs_more_than_it_may(quickly: Quickly) -> None:
    """The quick harness never sees an exceeded limit, and its counts agree with the emulator's."""
    figures = quickly(money.harness)
    assert figures["looks"] > 100
    assert figures["scenarios"] == 6
