"""The harness of answers in its quick form: damaged answers and refusals leave worlds exact."""

from __future__ import annotations

import pytest

from bench import answers
from tests.bench.conftest import Quickly


@pytest.mark.timeout(1250)
def test_bad_answers_leave_worlds_exact(quickly: Quickly) -> None:
    """Every world of the quick harness is exact and undamaged, and both damage and refusals happened."""
    figures = quickly(answers.harness)
    assert len(figures["kinds_met"]) >= 13  # twelve kinds of damage and a kind of refusal at least
    assert figures["refused"] > 0
    assert figures["milder_pictures"] > 0
