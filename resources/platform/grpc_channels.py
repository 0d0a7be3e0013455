"""gRPC channels to the platform's services: one for each address, made at its first call.

Here: sending one request, with a deadline and the present trace context (tracing.py), and without retries, which belong to the
gateway; and the one table of gRPC's codes (docs/requirements.md). Not here: what is sent (grpc_platform.py), and errors of the
object store (object_store.py).
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from resources import tracing
from resources.gateway.outcomes import (
    AmbiguousError,
    CallError,
    FatalCallError,
    RateLimitedError,
    RequestRejectedError,
    TransientError,
)
from resources.platform.addresses import ServiceAddresses
from resources.redaction import kept_line

ResponseT = TypeVar("ResponseT", bound=Message)

OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),  # a service config could bring retries back
    ("grpc.enable_http_proxy", 0),  # the services are inside the cluster
    # A server ends a connection that is pinged more often than every five minutes. With keep-alive Linux also ends one whose
    # packets nobody acknowledges, so that the next call makes a new one.
    ("grpc.keepalive_time_ms", 300_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # time-out of a connection
    ("grpc.max_reconnect_backoff_ms", 2_000),  # the breaker waits longer where that is needed
)

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


@dataclass(frozen=True)
class Method(Generic[ResponseT]):
    """A method of a service, which has Consul's name. ``path``: ``/package.Service/Method``."""

    service: str
    path: str
    response: type[ResponseT]


class GrpcChannels:
    """The channels of one process. Make it on the event loop; ``aclose`` it there."""

    def __init__(self, addresses: ServiceAddresses, timeout_seconds: float) -> None:
        self._addresses = addresses
        self._timeout_seconds = timeout_seconds
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def call(self, method: Method[ResponseT], request: Message) -> ResponseT:
        """Send the request once. Raises the ``CallError`` of a call without an answer."""
        address = await self._addresses.of(method.service)
        if address not in self._channels:
            self._channels[address] = grpc.aio.insecure_channel(address, options=OPTIONS)
        send = self._channels[address].unary_unary(
            method.path, request_serializer=type(request).SerializeToString, response_deserializer=method.response.FromString
        )
        what = f"{method.service} at {address}, {method.path.rpartition('/')[2]}"
        try:
            answer: ResponseT | None = await send(request, timeout=self._timeout_seconds, metadata=tracing.headers())
        except grpc.aio.AioRpcError as error:
            outcome = classified(error, what)
            if isinstance(outcome, TransientError):
                self._addresses.forget(method.service)
            raise outcome from error
        if answer is None:  # what gRPC makes of bytes that do not decode
            raise AmbiguousError(f"{what}: the answer is no {method.response.DESCRIPTOR.full_name}: another version answers there")
        return answer

    async def check(self, service: str) -> str:
        """Ask the service, by the standard health protocol, whether it serves; return its address. Raises ``CallError``."""
        answer = await self.call(
            Method(service, "/grpc.health.v1.Health/Check", health_pb2.HealthCheckResponse), health_pb2.HealthCheckRequest()
        )
        address = await self._addresses.of(service)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise TransientError(f"{service} at {address} does not serve")
        return address

    async def aclose(self) -> None:
        for channel in self._channels.values():
            await channel.close()


def classified(error: grpc.aio.AioRpcError, call: str) -> CallError:
    """The outcome of a call that ended with this error. ``call``: service, address and method."""
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
