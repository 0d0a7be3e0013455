"""What the tests of the commands share."""

from __future__ import annotations

import pytest

from generia_assets.cli import connections
from tests.support.waiting import PATIENCE_S


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not essential is waited for, however slow the machine is; where connections are refused nothing waits."""
    monkeypatch.setattr(connections, "QUICK_S", PATIENCE_S)
