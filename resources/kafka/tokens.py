"""Access tokens for Kafka (SASL OAUTHBEARER): fetched with client id and secret (RFC 6749, section 4.4), or read from a file."""

import re
import threading
import time
from functools import cache
from urllib.parse import quote_plus

import requests
from kafka.errors import KafkaError
from kafka.net.sasl.oauth import AbstractTokenProvider

from resources.kafka.settings import KafkaSettings
from resources.redaction import kept_line

TIME_OUTS_S = (3.0, 4.0)
"""To connect to the token URL, and to wait for its answer."""
RENEWED_AT = 0.8
"""Share of a token's life after which another one is fetched; until its end it is used where none can be had."""

_TOKEN = re.compile(r"[\x21-\x7e]+")


class TokenError(KafkaError):  # type: ignore[misc]  # kafka-python is not typed
    """No access token for Kafka. The message says what to do, and holds no secret."""


class AccessToken(AbstractTokenProvider):  # type: ignore[misc]
    """Kafka's access token, kept until shortly before it ends. Safe to use from several threads."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._token = ""
        self._renewed_at = self._ends_at = 0.0

    def token(self) -> str:
        """A token that is valid now. Raises ``TokenError``."""
        with self._lock:
            if self._settings.kafka_oauth_token_file is not None:
                return self._read()
            now = time.monotonic()
            if now >= self._renewed_at:
                try:
                    self._token, lifetime_s = self._fetch()
                except TokenError:
                    if now >= self._ends_at:
                        raise
                else:
                    self._renewed_at, self._ends_at = now + RENEWED_AT * lifetime_s, now + lifetime_s
            return self._token

    def forget(self) -> None:
        """A broker has refused the token: fetch another one next time."""
        with self._lock:
            self._renewed_at = self._ends_at = 0.0

    def extensions(self) -> dict[str, str]:
        pairs = (pair.partition("=") for pair in self._settings.kafka_oauth_extensions.split(",") if pair)
        return {name: value for name, _, value in pairs}

    def _read(self) -> str:
        path = self._settings.kafka_oauth_token_file
        try:
            token = path.read_text(encoding="ascii").strip() if path else ""
        except (OSError, UnicodeError) as error:
            raise TokenError(f"KAFKA_OAUTH_TOKEN_FILE={path} cannot be read ({type(error).__name__})") from None
        return _good(token, f"KAFKA_OAUTH_TOKEN_FILE={path}")

    def _fetch(self) -> tuple[str, float]:
        settings, place = self._settings, f"KAFKA_OAUTH_TOKEN_URL={self._settings.kafka_oauth_token_url}"
        form = {"grant_type": "client_credentials"} | ({"scope": settings.kafka_oauth_scope} if settings.kafka_oauth_scope else {})
        user = quote_plus(settings.kafka_oauth_client_id), quote_plus(settings.kafka_oauth_client_secret.get_secret_value())
        try:
            answer = requests.post(settings.kafka_oauth_token_url, form, auth=user, timeout=TIME_OUTS_S, allow_redirects=False)
            said = answer.json() if answer.content else {}
        except requests.RequestException as error:  # a body that is no JSON, too
            raise TokenError(f"{place} did not answer with a token ({kept_line(str(error), 300)})") from None
        if answer.status_code in (400, 401, 403):
            words = kept_line(f"{said.get('error', '')} {said.get('error_description', '')}" if isinstance(said, dict) else "", 300)
            raise TokenError(
                f"{place} refused ({answer.status_code} {words}): check KAFKA_OAUTH_CLIENT_ID, KAFKA_OAUTH_CLIENT_SECRET and "
                "KAFKA_OAUTH_SCOPE"
            )
        if answer.status_code != requests.codes.ok or not isinstance(said, dict):
            raise TokenError(f"{place} answered {answer.status_code} and gave no token")
        lifetime = said.get("expires_in")
        return _good(said.get("access_token"), place), float(lifetime) if isinstance(lifetime, int | float) else 0.0


_provider = cache(AccessToken)


def token_provider(settings: KafkaSettings) -> AccessToken:
    """The one that all clients of this process share, which use these settings."""
    return _provider(KafkaSettings.model_construct(**{name: getattr(settings, name) for name in KafkaSettings.model_fields}))


def _good(token: object, place: str) -> str:
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise TokenError(f"{place} holds no access token: visible ASCII characters without spaces")
    return token
