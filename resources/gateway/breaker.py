"""The circuit breaker (R9), one for each API: CLOSED, OPEN, HALF-OPEN with one probe at a time, exponential open time.

Here: our interface over interlock-cb (the only library measured that lets one probe through whatever the concurrency, and that
opens on a failure rate). Only ``TransientError`` counts as a failure: a refusal or a 429 is an answer, not an outage. What is
neither (no budget left, a lost world, a mistake of ours) proves nothing either way and leaves the state as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from interlock import CircuitBreaker, CircuitOpenError, Config
from interlock import State as InterlockState
from interlock.outcome import Outcome

from resources.gateway.outcomes import (
    FatalCallError,
    InvalidAnswerError,
    ModelMissingError,
    ParameterRefusedError,
    RateLimitedError,
    RefusedError,
    RequestRejectedError,
    TransientError,
)

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")


ANSWERED = (
    RateLimitedError,
    RefusedError,
    InvalidAnswerError,
    ModelMissingError,
    ParameterRefusedError,
    RequestRejectedError,
    FatalCallError,
)
"""What the provider answered, if not what was hoped for: it is not down."""


BACKOFF = 2.0
"""By which the open time grows with every probe that failed."""


class BreakerState(StrEnum):
    """The three states people know."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerOpenError(TransientError):
    """The call was not made: the breaker is open, or another call is the probe. ``retry_in`` seconds until asking again."""

    def __init__(self, name: str, retry_in: float, last_failure: BaseException | None) -> None:
        cause = f" after: {last_failure}" if last_failure else ""
        super().__init__(f"{name} is not answering; calls wait{cause}")
        self.retry_in = retry_in


@dataclass(frozen=True)
class BreakerConfig:
    """Thresholds: share of failures in a window of calls, calls before it counts, first and longest open time in seconds."""

    failure_rate: float
    window_calls: int
    minimum_calls: int
    open_seconds: float
    open_max_seconds: float


class Breaker:
    """One API's breaker in this process. ``on_change`` is told every new state, and of OPEN the seconds until a probe may go."""

    def __init__(self, name: str, config: BreakerConfig, on_change: Callable[[BreakerState, float], None]) -> None:
        self._name = name
        self._shortest_wait = min(0.25, config.open_seconds)
        self._breaker = CircuitBreaker(
            name=name,
            config=Config(
                failure_rate_threshold=config.failure_rate,
                minimum_number_of_calls=config.minimum_calls,
                window_size=max(config.window_calls, config.minimum_calls),
                permitted_calls_in_half_open=1,
                max_concurrent_probes=1,
                wait_duration_in_open=config.open_seconds,
                wait_duration_backoff_multiplier=BACKOFF,
                wait_duration_in_open_max=max(config.open_max_seconds, config.open_seconds),
                slow_call_duration_threshold=86_400.0,
            ),
            classifier=_OnlyTransient(),
            listener=_Listener(config, on_change),
        )

    @property
    def state(self) -> BreakerState:
        """The state now."""
        return _state(self._breaker.state)

    async def call(self, send: Callable[[], Awaitable[ResultT]], *, counts: bool = True) -> ResultT:
        """Make the call if the breaker lets it. Raises ``BreakerOpenError`` if not; else whatever ``send`` raises.

        ``counts`` False: its failure may be its own fault, and says nothing about the provider.
        """

        async def guarded() -> ResultT:
            try:
                return await send()
            except Exception as error:
                if isinstance(error, ANSWERED) or (counts and isinstance(error, TransientError)):
                    raise
                raise _NoVerdict(error) from error

        try:
            return await self._breaker.call_async(guarded)
        except _NoVerdict as nothing:
            raise nothing.error from nothing.error.__cause__
        except CircuitOpenError as error:
            wait = self._shortest_wait if error.retry_after is None else max(error.retry_after, self._shortest_wait)
            raise BreakerOpenError(self._name, wait, error.last_failure) from None

    async def aclose(self) -> None:
        """Release the breaker's timers."""
        await self._breaker.aclose()


def _state(state: InterlockState) -> BreakerState:
    return {InterlockState.OPEN: BreakerState.OPEN, InterlockState.HALF_OPEN: BreakerState.HALF_OPEN}.get(
        state, BreakerState.CLOSED
    )


class _NoVerdict(BaseException):
    """Carries an error that says nothing about the provider (no budget, a lost world) past the library.

    What is not an ``Exception`` counts there neither as a success nor as a failure, and gives a probe's place back.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class _OnlyTransient:
    """Counts a call as failed exactly when the provider or the way to it failed."""

    def is_failure(self, *, result: object, exception: Exception | None) -> bool:
        del result
        return isinstance(exception, TransientError)


class _Listener:
    """Tells state changes on; the other hooks are the library's protocol.

    The library tells its open time only to callers it turns away; until one comes, it is counted here the same way.
    """

    def __init__(self, config: BreakerConfig, on_change: Callable[[BreakerState, float], None]) -> None:
        self._config = config
        self._on_change = on_change
        self._failed_probes = 0

    def on_state_change(self, *, name: str, old: InterlockState, new: InterlockState) -> None:
        logger.warning("breaker %s: %s -> %s", name, old.value, new.value)
        state = _state(new)
        if state is not BreakerState.OPEN:
            self._on_change(state, 0.0)
            return
        self._failed_probes = self._failed_probes + 1 if _state(old) is BreakerState.HALF_OPEN else 0
        longest = max(self._config.open_max_seconds, self._config.open_seconds)
        self._on_change(state, min(self._config.open_seconds * BACKOFF**self._failed_probes, longest))

    def on_call(self, *, name: str, outcome: Outcome, duration: float) -> None:
        """Nothing: every call is recorded by outside.py."""

    def on_rejected(self, *, name: str) -> None:
        """Nothing: the caller waits."""

    def on_reset(self, *, name: str) -> None:
        """Nothing: we never reset."""
