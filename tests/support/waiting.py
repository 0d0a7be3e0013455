"""Waiting for another task, thread, process, server or browser.

Every time-out here only ends a test that would hang: it is long, because a machine can be five times slower than another.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 60.0
"""Seconds after which something is late, however slow the machine is."""


def slowness() -> float:
    """How many times slower than an idle machine this one may be: bounds of durations are multiplied by it."""
    return max(5.0, os.getloadavg()[0])


def wait_for(condition: Callable[[], Any], *, seconds: float = PATIENCE_S, what: str = "the condition") -> Any:
    """Call until the result is true, and return it. Raises ``AssertionError``."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:g} s"
        time.sleep(0.01)
    return found


async def until(condition: Callable[[], Any], *, seconds: float = PATIENCE_S) -> None:
    """Let other tasks run until the condition holds. Raises ``AssertionError``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition did not come true within {seconds:g} s"
        await asyncio.sleep(0.005)
