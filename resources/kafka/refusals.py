"""Why Kafka cannot be used, in words: what happened, and what to do about it.

Here: one sentence for each way in which a broker refuses, or a connection to it fails. Not here: noticing it (network.py).
"""

from __future__ import annotations

import ssl

from kafka.errors import (
    AuthorizationError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    InvalidReceiveError,
    KafkaConnectionError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from resources.kafka.network import tls_error
from resources.kafka.settings import TLS, TOKENS, KafkaSettings
from resources.kafka.tokens import TokenError
from resources.redaction import kept_line

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
