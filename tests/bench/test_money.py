"""The harness of money in its quick form: no limit is ever passed, and what is counted is what was called."""

from __future__ import annotations

import pytest

from bench import money
from tests.bench.conftest import Quickly


@pytest.mark.timeout(1250)
def test_no_world_costs_more_than_it_may(quickly: Quickly) -> None:
    """At no look of the quick harness was a limit passed, and its counts agree with the emulator's."""
    figures = quickly(money.harness)
    assert figures["looks"] > 100
    assert figures["scenarios"] == 6
