"""Classifies errors of the platform's services by their gRPC code (docs/requirements.md). Messages quote the service's words.

Here: the one table of codes. Not here: errors of the object store (object_store.py).
"""

from __future__ import annotations

import grpc

from resources.gateway.outcomes import (
    AmbiguousError,
    CallError,
    FatalCallError,
    RateLimitedError,
    RequestRejectedError,
    TransientError,
)
from resources.redaction import kept_line

LONGEST_WORDS = 1_000
"""Characters kept of a service's message."""

_REJECTED = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)
_AMBIGUOUS = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS})
_FATAL = {
    grpc.StatusCode.UNIMPLEMENTED: "Another service answers at this address, or an older version: correct the address",
    grpc.StatusCode.UNAUTHENTICATED: "It asks for credentials, which services inside the cluster do not: correct the address",
}
_NEVER_SENT = ("failed to connect to all addresses", "errors resolving", "DNS resolution failed")
"""What gRPC's own message says where no connection was made."""


def classified(error: grpc.aio.AioRpcError, call: str) -> CallError:
    """The outcome of a call that ended with this error. ``call`` names service, address and method."""
    code, words = error.code(), kept_line(error.details() or "", LONGEST_WORDS)
    message = f"{call}: {code.name}: {words or '(no message)'}"
    if code in _REJECTED:
        return RequestRejectedError(message)
    if code in _AMBIGUOUS:
        return AmbiguousError(message)
    if code in _FATAL:
        return FatalCallError(f"{message}. {_FATAL[code]}.", may_heal=True)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return RateLimitedError(message)
    never_sent = code is grpc.StatusCode.UNAVAILABLE and any(text in words for text in _NEVER_SENT)
    return TransientError(message, in_doubt=not never_sent, late=code is grpc.StatusCode.DEADLINE_EXCEEDED)
