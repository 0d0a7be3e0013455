"""kafka-python's network part, made to say why a broker refuses.

kafka-python tries for its whole time-out, however hopeless, and then says only that it has passed. It drops an answer that arrives
together with the end of the connection. It waits without end for a broker that never answers the TLS handshake. Here: all three
mended. Not here: the words (refusals.py).
"""

from __future__ import annotations

import ssl
import time

from kafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaTimeoutError,
    RequestTimedOutError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.connection import KafkaConnection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaTCPTransport

from resources.kafka.tokens import TokenError

REFUSED_MS = 1000.0
"""How long the producer's thread leaves a broker alone that has refused."""

_FINAL = (SaslAuthenticationFailedError, UnsupportedSaslMechanismError, IllegalSaslStateError, TokenError)


def tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """The error of TLS that kafka-python has wrapped, if it is one."""
    for one in (error, getattr(error, "__context__", None), *getattr(error, "args", ())):
        if isinstance(one, ssl.SSLError):
            return one
    return None


def is_final(error: Exception) -> bool:
    """Whether another try with the same settings cannot help. A connection that just ends may be a restart of the broker."""
    tls = tls_error(error)
    return isinstance(error, _FINAL) or (tls is not None and not isinstance(tls, ssl.SSLEOFError))


class Network(KafkaNetClient):  # type: ignore[misc]  # kafka-python is not typed
    """What kafka-python's clients take as ``kafka_client``. Close it where a client's constructor fails: the client does not."""

    def __init__(self, **options: object) -> None:
        selector = NetworkSelector(**options)
        super().__init__(net=selector, manager=_Connections(selector, **options))

    @property
    def reason(self) -> Exception | None:
        """Why no connection was made, as far as a broker or the network said."""
        return self._manager.reason  # type: ignore[no-any-return]

    def maybe_connect(self, node_id: object, **_: object) -> None:
        """Asked by the producer's thread, which tries again at once whatever is raised: who has refused is just not ready."""
        if node_id not in self._manager.refusals:
            super().maybe_connect(node_id)

    def connection_delay(self, node_id: object) -> float:
        """Milliseconds, as the producer takes it; kafka-python gives seconds, and the producer runs round and round."""
        return REFUSED_MS if node_id in self._manager.refusals else 1000 * float(super().connection_delay(node_id))


class _Connections(KafkaConnectionManager):  # type: ignore[misc]
    def __init__(self, net: NetworkSelector, **options: object) -> None:
        super().__init__(net, **options)
        self.reason: Exception | None = None
        self.refusals: dict[object, Exception] = {}
        self._noted: set[KafkaConnection] = set()

    def get_connection(self, node_id: object, **options: object) -> KafkaConnection:
        """Raises what a node has refused with, for good: this client does not ask it again."""
        if node_id in self.refusals:
            raise self.refusals[node_id]
        connection = super().get_connection(node_id, **options)
        if connection not in self._noted:
            self._noted.add(connection)

            def note(error: Exception) -> None:
                self._note(node_id, error)

            connection.init_future.add_errback(note)
            connection.close_future.add_errback(note)
            connection.close_future.add_both(lambda _: self._noted.discard(connection))
        return connection

    def _note(self, node_id: object, error: Exception) -> None:
        if is_final(error):
            self.refusals[node_id] = self.reason = error
        elif not self.refusals and not isinstance(error, (KafkaTimeoutError, RequestTimedOutError)):
            self.reason = error

    async def _build_transport(self, node: object, timeout_at: float | None = None) -> KafkaTCPTransport:
        left_ms = None if timeout_at is None else max(1.0, 1000 * (timeout_at - time.monotonic()))
        try:
            transport = await self.wait_for(self.call_soon(super()._build_transport, node, timeout_at), left_ms)
        except KafkaTimeoutError as error:
            raise KafkaConnectionError(f"the TLS handshake was not answered: {error.args[0]}") from None
        receive = transport._sock_recv

        def receive_all() -> tuple[bytes, Exception | None]:
            """What came before the end of a connection, the reason of a refusal, is given before the end itself."""
            received, ended = receive()
            return received, None if received else ended

        transport._sock_recv = receive_all
        return transport
