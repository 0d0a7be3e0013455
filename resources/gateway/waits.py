"""The waiting times of one call, between its attempts and in an outage."""

import random
import time
from datetime import UTC, datetime

from resources.gateway.breaker import BreakerOpenError
from resources.gateway.outcomes import AbandonedCallError, CallError, RateLimitedError

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 8.0
"""Between two attempts of one call; while the API is down the breaker delays calls for longer."""
PACE_SECONDS = 5.0
"""A call that a rate limit delays for less is not reported."""


def milliseconds_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


class Stopwatch:
    """Counts from when it is made, or from its last lap. ``abandoned``: attempts at the call that were abandoned."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self.abandoned = 0

    def lap(self) -> int:
        milliseconds, self._since = milliseconds_since(self._since), time.monotonic()
        return milliseconds


class Outage:
    """One call's outage: begins with its first failed attempt, so that waiting in the queue for a slot is none."""

    def __init__(self, longest_seconds: float) -> None:
        self._longest = longest_seconds
        self._since: datetime | None = None
        self._began = 0.0
        self._failures = 0

    def worth_reporting(self, error: CallError) -> datetime | None:
        """Record a failed attempt; return when the first one failed. None where the call is delayed only briefly, by a rate limit
        or by one attempt that was abandoned.
        """
        if self._since is None:
            self._since, self._began = datetime.now(UTC), time.monotonic()
        if isinstance(error, (RateLimitedError, AbandonedCallError)):
            wait = error.retry_after if isinstance(error, RateLimitedError) else None
            return self._since if time.monotonic() - self._began + (wait or 0.0) >= PACE_SECONDS else None
        return self._since

    @property
    def is_too_long(self) -> bool:
        return self._since is not None and time.monotonic() - self._began >= self._longest

    def pause_after(self, error: CallError) -> float:
        """Seconds until the next attempt: as the provider or the breaker demands, else exponential with jitter."""
        if isinstance(error, BreakerOpenError):
            return error.retry_in
        if isinstance(error, RateLimitedError) and error.retry_after:
            return 0.0  # the limiter delays all calls for that long
        self._failures += 1  # counts this call's own attempts: a call refused by an open breaker is none
        longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (self._failures - 1))
        return random.uniform(longest / 2, longest)  # noqa: S311  spreads calls, hides nothing
