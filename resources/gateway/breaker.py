"""The circuit breaker (R9), one for each API: CLOSED, OPEN, HALF-OPEN with one probe at a time, exponential open time.

Only ``TransientError`` counts as a failure: a refusal or a 429 is an answer, not an outage. Other errors (no budget left, a lost
lease, a bug) are no evidence and leave the state as it is. So does a call that ends in another state than it began in.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from resources.gateway.outcomes import CallError, TransientError
from resources.settings import GatewaySettings

logger = logging.getLogger(__name__)

BACKOFF = 2.0
"""Factor by which the open time grows with every probe that failed."""
SHORTEST_WAIT_SECONDS = 0.25
"""A call that is not let through asks again after this, or after the open time if that is shorter."""


class BreakerState(StrEnum):
    """The usual three states."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerOpenError(TransientError):
    """The call was not made: the breaker is open, or another call is the probe. ``retry_in`` seconds until asking again."""

    def __init__(self, name: str, retry_in: float, last_failure: BaseException | None) -> None:
        cause = f" after: {last_failure}" if last_failure else ""
        super().__init__(f"{name} is not answering; calls wait{cause}")
        self.retry_in = retry_in


class Breaker:
    """One API's breaker in this process."""

    def __init__(self, name: str, settings: GatewaySettings, on_change: Callable[[BreakerState, float], None]) -> None:
        """``on_change`` is called with every new state, and for OPEN with the seconds until a probe may go, else 0."""
        self._name = name
        self._settings = settings
        self._on_change = on_change
        self._window: deque[bool] = deque(maxlen=max(settings.breaker_window_calls, settings.breaker_minimum_calls))
        self.state = BreakerState.CLOSED
        self._era = 0  # counts changes of the state
        self._failed_probes = 0
        self._probe_at = 0.0
        self._probing = False
        self._last_failure: TransientError | None = None

    @contextmanager
    def attempt(self, *, counts: bool = True) -> Iterator[None]:
        """The context of one call: the error that it raises, or none, is the evidence. Raises ``BreakerOpenError``.

        ``counts`` is False if the call itself may be the cause of a failure.
        """
        self._let_through()
        era, self._probing = self._era, self.state is BreakerState.HALF_OPEN
        try:
            yield
            self._learn(era, None)
        except TransientError as error:
            if counts:
                self._learn(era, error)
            raise
        except CallError as error:
            if error.is_answer:
                self._learn(era, None)
            raise
        finally:
            if era == self._era:
                self._probing = False

    def _let_through(self) -> None:
        wait = self._probe_at - time.monotonic() if self.state is BreakerState.OPEN else 0.0
        if self._probing or wait > 0:
            shortest = min(SHORTEST_WAIT_SECONDS, self._settings.breaker_open_seconds)
            raise BreakerOpenError(self._name, max(wait, shortest), self._last_failure)
        if self.state is BreakerState.OPEN:
            self._change(BreakerState.HALF_OPEN)

    def _learn(self, era: int, failure: TransientError | None) -> None:
        """Count one call's outcome, if the state is still the one in which the call began."""
        if era != self._era:
            return
        self._last_failure = failure or self._last_failure
        if self.state is BreakerState.HALF_OPEN:
            self._failed_probes = self._failed_probes + 1 if failure else 0
            self._change(BreakerState.OPEN if failure else BreakerState.CLOSED)
            return
        self._window.append(failure is not None)
        enough = len(self._window) >= self._settings.breaker_minimum_calls
        if enough and sum(self._window) >= self._settings.breaker_failure_rate * len(self._window):
            self._change(BreakerState.OPEN)

    def _change(self, state: BreakerState) -> None:
        logger.warning("breaker %s: %s -> %s", self._name, self.state.value, state.value)
        self.state = state
        self._era += 1
        self._probing = False
        self._window.clear()
        open_seconds = 0.0
        if state is BreakerState.OPEN:
            first = self._settings.breaker_open_seconds
            open_seconds = min(first * BACKOFF**self._failed_probes, max(first, self._settings.breaker_open_max_seconds))
            self._probe_at = time.monotonic() + open_seconds
        self._on_change(state, open_seconds)
