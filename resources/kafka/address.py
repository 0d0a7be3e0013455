"""Kafka's address: how every client of this project is made, and the one message for a broker that does not answer.

Here: time-outs, protocol version, connecting without leaks. Not here: reading (reader.py) and sending (producer.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

CONNECT_TIMEOUT_S = 3.0
REQUEST_TIMEOUT_S = 5.0
"""No operation waits for Kafka longer than this, except for a message that has not been written yet."""

ClientT = TypeVar("ClientT")

_library_log = logging.getLogger("kafka")


class KafkaUnavailableError(ConnectionError):
    """Kafka did not answer, or refused. The message says which address, and how to start a broker."""


@dataclass(frozen=True)
class KafkaAddress:
    """Where Kafka is. ``api_version`` such as '2.3' is needed where the broker cannot report it; '' asks the broker.

    ``connect_s``: seconds after which a broker that does not answer is away.
    """

    bootstrap_servers: str
    api_version: str = ""
    connect_s: float = CONNECT_TIMEOUT_S

    def options(self) -> dict[str, object]:
        """What every kafka-python client is given."""
        return {
            "bootstrap_servers": self.bootstrap_servers,
            "api_version": tuple(int(part) for part in self.api_version.split(".")) if self.api_version else None,
            "bootstrap_timeout_ms": int(self.connect_s * 1000),
            "request_timeout_ms": int(REQUEST_TIMEOUT_S * 1000),
            "reconnect_backoff_max_ms": 1000,
        }

    def unavailable(self, error: Exception) -> KafkaUnavailableError:
        """The error to raise for an address that does not answer, or refuses."""
        from kafka.errors import AuthorizationError  # as below

        if isinstance(error, AuthorizationError):
            return KafkaUnavailableError(
                f"Kafka at {self.bootstrap_servers} refused ({error}). Give this client the right to read orders and write events."
            )
        return KafkaUnavailableError(
            f"Kafka at {self.bootstrap_servers} did not answer ({error or type(error).__name__}). "
            "Start a broker with `make dev`, which sets everything up, or point KAFKA_BOOTSTRAP_SERVERS at a running one."
        )

    def connect(self, make: Callable[..., ClientT], **options: object) -> ClientT:
        """One of kafka-python's clients. Raises ``KafkaUnavailableError``, and then leaves no thread behind.

        A kafka-python client that fails in its constructor leaves its network thread running for ever; an outage with a
        try every five seconds would pile them up. So the network part is made here, where it can be closed.
        """
        from kafka.errors import KafkaError  # a fifth of a second, which those who only name an address need not wait for
        from kafka.net.compat import KafkaNetClient

        if _library_log.level == logging.NOTSET:  # it writes every attempt of an outage as an error; we say it once, by raising
            _library_log.setLevel(logging.CRITICAL)
        made: list[KafkaNetClient] = []

        def network(**settings: object) -> KafkaNetClient:
            made.append(KafkaNetClient(**settings))
            return made[-1]

        try:
            return make(**self.options(), **options, kafka_client=network)
        except (KafkaError, ValueError) as error:  # ValueError: a port that is no number
            for client in made:
                client.close()
            raise self.unavailable(error) from None
