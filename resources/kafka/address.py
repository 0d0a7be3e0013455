"""Kafka's address: how every client of this project is made, and the one message for a broker that does not answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from resources.kafka.settings import SASL, TOKENS, KafkaSettings
from resources.redaction import hide

if TYPE_CHECKING:
    from resources.kafka.network import Network
    from resources.kafka.tokens import AccessToken

CONNECT_TIMEOUT_S = 3.0
REQUEST_TIMEOUT_S = 5.0
"""No operation waits for Kafka longer than this, except for a message that has not been written yet."""

ClientT = TypeVar("ClientT")

_library_log = logging.getLogger("kafka")


class KafkaUnavailableError(ConnectionError):
    """Kafka did not answer, or refused. The message says which address, and what to do."""


class _Secret(str):
    """A password that kafka-python can use and nobody can print."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    __str__ = __repr__


@dataclass(frozen=True)
class KafkaAddress:
    """Where Kafka is, and how it is reached. ``connect_s``: seconds after which a broker that does not answer is away."""

    settings: KafkaSettings
    connect_s: float = CONNECT_TIMEOUT_S

    @property
    def bootstrap_servers(self) -> str:
        return self.settings.kafka_bootstrap_servers

    def options(self) -> dict[str, object]:
        version = self.settings.kafka_api_version  # needed where the broker cannot report it; '' asks the broker
        options: dict[str, object] = {
            "bootstrap_servers": self.bootstrap_servers,
            "api_version": tuple(int(part) for part in version.split(".")) if version else None,
            "bootstrap_timeout_ms": int(self.connect_s * 1000),
            "request_timeout_ms": int(REQUEST_TIMEOUT_S * 1000),
            "reconnect_backoff_max_ms": 1000,
            "security_protocol": self.settings.kafka_security_protocol,
        }
        return options | self._tls() | self._user()

    def _tls(self) -> dict[str, object]:
        """Files, not their contents: each connection reads them anew, so that renewed certificates count."""
        settings = self.settings
        files = {
            "ssl_cafile": settings.kafka_ssl_ca_file,
            "ssl_certfile": settings.kafka_ssl_cert_file,
            "ssl_keyfile": settings.kafka_ssl_key_file,
        }
        # A password in any case: without one OpenSSL asks the terminal.
        return {name: str(path) for name, path in files.items() if path} | {
            "ssl_password": settings.kafka_ssl_key_password.get_secret_value
        }

    def _user(self) -> dict[str, object]:
        settings, mechanism = self.settings, self.settings.kafka_sasl_mechanism
        if settings.kafka_security_protocol not in SASL:
            return {}
        if (provider := self._token_provider()) is not None:
            return {"sasl_mechanism": mechanism, "sasl_oauth_token_provider": provider}
        user, password = settings.kafka_sasl_username, settings.kafka_sasl_password.get_secret_value()
        if mechanism.startswith("SCRAM"):  # RFC 5802, section 5.1
            user = user.replace("=", "=3D").replace(",", "=2C")
        return {"sasl_mechanism": mechanism, "sasl_plain_username": user, "sasl_plain_password": _Secret(password)}

    def _token_provider(self) -> AccessToken | None:
        if self.settings.kafka_sasl_mechanism not in TOKENS:
            return None
        from resources.kafka.tokens import token_provider  # with requests, which the others need not wait for

        return token_provider(self.settings)

    def unavailable(self, error: BaseException, *, connecting: bool = False) -> KafkaUnavailableError:
        """The error to raise for an address that does not answer, or refuses. ``connecting``: it never has, for this client."""
        from resources.kafka.network import explained  # as below

        what, advice = explained(error, self.settings, connecting=connecting)
        return KafkaUnavailableError(f"Kafka at {self.bootstrap_servers} {what}. {advice}.")

    def connect(self, make: Callable[..., ClientT], **options: object) -> ClientT:
        """One of kafka-python's clients. Raises ``KafkaUnavailableError``, and then leaves no thread behind.

        A kafka-python client that fails in its constructor leaves its network thread running for ever; an outage with a
        try every five seconds would pile them up. So the network part is made here, where it can be closed.
        """
        from kafka.errors import KafkaError, SaslAuthenticationFailedError  # a fifth of a second, not for those who only name one

        from resources.kafka.network import Network

        # It writes every attempt of an outage as an error; we say it once, by raising. At DEBUG it writes passwords.
        if _library_log.level < logging.INFO:
            _library_log.setLevel(logging.CRITICAL)
        secrets = (self.settings.kafka_sasl_password, self.settings.kafka_oauth_client_secret, self.settings.kafka_ssl_key_password)
        hide(*(secret.get_secret_value() for secret in secrets))
        made: list[Network] = []

        def network(**settings: object) -> Network:
            made.append(Network(**settings))
            return made[-1]

        provider = self._token_provider()
        try:
            if provider is not None:
                provider.token()  # before kafka-python's thread needs one
            return make(**self.options(), **options, kafka_client=network)
        except (KafkaError, ValueError) as error:  # ValueError: a port that is no number
            for client in made:
                client.close()
            reason = next((client.reason for client in made if client.reason is not None), error)
            if provider is not None and isinstance(reason, SaslAuthenticationFailedError):
                provider.forget()
            raise self.unavailable(reason, connecting=True) from None
