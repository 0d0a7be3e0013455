"""Waiting out a MongoDB outage: an operation that can safely be repeated is repeated until the server answers or patience ends."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pymongo.errors import PyMongoError
from tenacity import AsyncRetrying, RetryCallState, RetryError, retry_if_exception, stop_after_delay, wait_exponential_jitter

from resources.gateway.outcomes import OutageTimeoutError
from resources.mongodb.connection import is_outage

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")


async def retry_on_outage(operation: Callable[[], Awaitable[ResultT]], *, patience_seconds: float) -> ResultT:
    """Run a repeatable MongoDB operation through outages. Raises ``OutageTimeoutError`` when patience ends."""
    try:
        return await operation()  # nearly always: what follows costs 0.1 ms of CPU for each of thousands of operations
    except PyMongoError as error:
        if not is_outage(error):
            raise
    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(is_outage),
            wait=wait_exponential_jitter(initial=0.1, max=2.0, jitter=0.1),
            stop=stop_after_delay(patience_seconds),
            before_sleep=_say,
        ):
            with attempt:
                return await operation()
    except RetryError as error:
        last = error.last_attempt.exception()
        raise OutageTimeoutError(f"MongoDB did not come back within {patience_seconds:.0f} s: {type(last).__name__}") from last
    raise AssertionError("tenacity ended without a result")  # pragma: no cover


def _say(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    if state.attempt_number in (1, 10, 100):
        logger.warning("MongoDB does not answer (%s); waiting", type(error).__name__)
