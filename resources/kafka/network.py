"""kafka-python's network part, made to say why a broker refuses.

kafka-python tries for its whole time-out, however hopeless, and then says only that it has passed. It drops an answer that arrives
together with the end of the connection. It waits without end for a broker that never answers the TLS handshake. Here: all three
mended, and one sentence for each way in which a broker refuses, or a connection to it fails.
"""

import ssl
import time

from kafka.errors import (
    AuthorizationError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    InvalidReceiveError,
    KafkaConnectionError,
    KafkaTimeoutError,
    RequestTimedOutError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.connection import KafkaConnection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaTCPTransport

from resources.kafka.settings import TLS, TOKENS, KafkaSettings
from resources.kafka.tokens import TokenError
from resources.redaction import kept_line

REFUSED_MS = 1000.0
"""How long the producer's thread leaves a broker alone that has refused."""

_FINAL = (SaslAuthenticationFailedError, UnsupportedSaslMechanismError, IllegalSaslStateError, TokenError)
_RIGHTS = {
    TopicAuthorizationFailedError: "this user has no right to this topic",
    GroupAuthorizationFailedError: "this user has no right to the group KAFKA_GROUP_ID",
    ClusterAuthorizationFailedError: "this user has no right to do this in the cluster",
}
_ALLOW = "Give it the rights of docs/operating.md (Kafka with a password or TLS)"
_HOST_MISMATCH = (62, 64)
_NOT_ITS_TIME = (9, 10)
"""Numbers of OpenSSL: X509_V_ERR_HOSTNAME_MISMATCH and IP_ADDRESS_MISMATCH; CERT_NOT_YET_VALID and CERT_HAS_EXPIRED."""
_START = "Start a broker with `make dev`, which sets everything up, or point KAFKA_BOOTSTRAP_SERVERS at a running one"


def tls_error(error: BaseException | None) -> ssl.SSLError | None:
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
            return
        out_of_time = isinstance(error, (KafkaTimeoutError, RequestTimedOutError))
        # What a broker has answered says more than that the last try had no time left.
        silent = self.reason is not None and error.args[:1] == ("Connection timed out",)
        if not (self.refusals or out_of_time or silent):
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


def explained(error: BaseException, settings: KafkaSettings, *, connecting: bool) -> tuple[str, str]:
    """What to say after the broker's address, and what to do. Holds no secret."""
    said = str(error.args[0]) if error.args else ""
    words = kept_line(said.removeprefix(f"{type(error).__name__}: ") or type(error).__name__, 600)
    protocol, mechanism = settings.kafka_security_protocol, settings.kafka_sasl_mechanism
    if (tls := tls_error(error)) is not None:
        return _tls(tls, settings)
    match error:
        case TokenError():
            return "was not asked: there is no access token", words
        case SaslAuthenticationFailedError() if mechanism in TOKENS:
            return (
                f"refused: access token ({words})",
                "Check what its issuer and audience must be for this broker, and KAFKA_OAUTH_SCOPE",
            )
        case SaslAuthenticationFailedError():
            return f"refused: user name or password ({words})", "Check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
        case UnsupportedSaslMechanismError():
            return f"refused: it does not take KAFKA_SASL_MECHANISM={mechanism}", "Set one that its listener takes"
        case IllegalSaslStateError():
            without = "SSL" if protocol in TLS else "PLAINTEXT"
            return (
                "refused: this listener asks for no user",
                f"Set KAFKA_SECURITY_PROTOCOL={without}, or the port of another listener",
            )
        case AuthorizationError():
            return f"refused: {_RIGHTS.get(type(error), 'a right is missing')} ({words})", _ALLOW
        case InvalidReceiveError():
            return f"did not answer in Kafka's protocol ({words})", _other_protocol(settings)
        case KafkaConnectionError(args=("socket disconnected",)) if connecting:
            return "ended the connection", _other_protocol(settings)
    return f"did not answer ({words})", _START


def _tls(error: ssl.SSLError, settings: KafkaSettings) -> tuple[str, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        refused = f"was not trusted: {error.verify_message}".rstrip(".")
        if error.verify_code in _HOST_MISMATCH:
            return refused, "Name it in KAFKA_BOOTSTRAP_SERVERS, and the broker in advertised.listeners, as its certificate does"
        if error.verify_code in _NOT_ITS_TIME:
            return refused, "Renew the broker's certificate, or correct this machine's clock"
        return refused, "Set KAFKA_SSL_CA_FILE to the certificates of the authority that signed the broker's"
    reason = error.reason or str(error)
    if "ALERT" in reason and ("CERTIFICATE" in reason or "CA" in reason.split("_")):
        if settings.kafka_ssl_cert_file is None:
            return f"refused: it asks for a client certificate ({reason})", "Set KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE"
        return (
            f"refused: client certificate ({reason})",
            "Take one for KAFKA_SSL_CERT_FILE that an authority of the broker has signed",
        )
    return f"did not answer in TLS ({reason})", _other_protocol(settings)


def _other_protocol(settings: KafkaSettings) -> str:
    return (
        f"Its listener may want something else than KAFKA_SECURITY_PROTOCOL={settings.kafka_security_protocol}: "
        "with TLS or without (SSL), with a user or without (SASL)"
    )
