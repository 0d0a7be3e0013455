"""Quotas: how many calls were answered in the last minute and the last day.

Not here: the ceiling on concurrent calls, which service.py checks by the counts.
"""

from __future__ import annotations

from collections import deque

from emulators.gemini.api.errors import GoogleError, quota_exceeded
from emulators.gemini.faults import Faults


class Quotas:
    """Two sliding windows over the times (seconds of a monotonic clock) at which calls were accepted."""

    def __init__(self) -> None:
        self._minute: deque[float] = deque()
        self._day: deque[float] = deque()

    def take(self, faults: Faults, model: str, now: float) -> None:
        """Accept one call. Raises GoogleError (429) with the quota's id and the time until a call is accepted again."""
        for window, length, limit, name in (
            (self._day, faults.day, faults.requests_per_day, "Day"),
            (self._minute, faults.minute, faults.requests_per_minute, "Minute"),
        ):
            while window and window[0] <= now - length:
                window.popleft()
            if limit is not None and len(window) >= limit:
                raise _refusal(limit, name, model, wait=window[0] + length - now if window else length)
        for window, limit in ((self._day, faults.requests_per_day), (self._minute, faults.requests_per_minute)):
            if limit is not None:
                window.append(now)


def _refusal(limit: int, name: str, model: str, *, wait: float) -> GoogleError:
    return quota_exceeded(
        quota_id=f"GenerateRequestsPer{name}PerProjectPerModel",
        limit=limit,
        model=model,
        retry_after=wait,
        outcome=f"quota_{name.lower()}",
    )
