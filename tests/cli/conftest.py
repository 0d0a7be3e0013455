"""What the tests of the commands share."""

from __future__ import annotations

import pytest

from generia_assets.cli import connections
from tests.support.waiting import PATIENCE_S


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Optional parts of a command are waited for, however slow the machine is; refused connections end at once."""
    monkeypatch.setattr(connections, "QUICK_S", PATIENCE_S)
