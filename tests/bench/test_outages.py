"""The outage harness in its small version: what goes away comes back, and the worlds have waited for it."""

from __future__ import annotations

import pytest

from bench import outages
from tests.bench.conftest import Quickly


@pytest.mark.servers
@pytest.mark.timeout(1250)
def test_worlds_wait_out_whatever_goes_away(alone: Quickly) -> None:
    """Through every outage and every demand to slow down no attempt is used up, and each world ends exact."""
    figures = alone(outages.harness)
    assert figures["cases"] == 5
