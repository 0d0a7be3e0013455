"""The line of one call's attempt in the log, at DEBUG: what was called for whom, how it ended, how long it took, what it cost.

Not here: the record of the attempt in MongoDB (account.py), whose ``_id`` is the attempt's id in the line.
"""

from __future__ import annotations

import logging
from typing import TypeVar

from resources.gateway.api_gateway import Call, CallOutcome

logger = logging.getLogger(__name__)

ValueT = TypeVar("ValueT")


def log_attempt(attempt_id: str, call: Call[ValueT], settlement: CallOutcome) -> None:
    """Log how the attempt ended. Neither prompt nor answer is in the line: they are in the record."""
    if not logger.isEnabledFor(logging.DEBUG):
        return
    tokens = settlement.tokens
    logger.debug(
        "call %s %s of %s %s, attempt %s: %s in %d ms after %d ms of waiting, tokens %d in (%d cached) %d out, $%.6f%s",
        call.api.value,
        call.request_type,
        call.labels.get("task_type", call.task_id),
        call.labels.get("key", ""),
        attempt_id,
        settlement.outcome,
        settlement.duration_ms,
        settlement.waited_ms,
        tokens.prompt,
        tokens.cached,
        tokens.output,
        settlement.cost_usd,
        f": {settlement.error}" if settlement.error else "",
    )
