"""The harness of messages in its quick form: nothing lost, nothing doubled, every invalid message among the dead letters."""

from __future__ import annotations

import pytest

from bench import messages
from tests.bench.conftest import Quickly


@pytest.mark.timeout(1250)
@pytest.mark.dagster_process
def test_no_message_is_lost_and_none_counts_twice(alone: Quickly) -> None:
    """Every valid order of the quick harness has one record and one run, and every invalid one has a reason that names the
    fault."""
    figures = alone(messages.harness)
    assert figures["dead_letters"] == figures["malformed"] > 30
    assert figures["killed"]["daemon"] > 0
