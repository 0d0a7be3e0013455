"""Kafka's settings: where the brokers are, how they are reached (TLS, users, tokens), and the topics.

Here: their rules; a contradiction is refused with the name of the setting. Not here: what kafka-python is given (address.py).
"""

import ssl
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationInfo, field_validator

from resources.settings import is_host_and_port

DEFAULT_KAFKA = "127.0.0.1:9092"
TLS = ("SSL", "SASL_SSL")
SASL = ("SASL_PLAINTEXT", "SASL_SSL")
PASSWORDS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
TOKENS = ("OAUTHBEARER",)

_PROTOCOL, _MECHANISM = "kafka_security_protocol", "kafka_sasl_mechanism"
_URL, _CERTIFICATE = "kafka_oauth_token_url", "kafka_ssl_cert_file"
_ANY = ()
_USED_WITH: dict[str, tuple[str, tuple[str, ...], bool]] = {
    _MECHANISM: (_PROTOCOL, SASL, True),
    "kafka_sasl_username": (_MECHANISM, PASSWORDS, True),
    "kafka_sasl_password": (_MECHANISM, PASSWORDS, True),
    "kafka_oauth_token_file": (_MECHANISM, TOKENS, False),
    _URL: (_MECHANISM, TOKENS, False),
    "kafka_oauth_client_id": (_URL, _ANY, True),
    "kafka_oauth_client_secret": (_URL, _ANY, True),
    "kafka_oauth_scope": (_URL, _ANY, False),
    "kafka_oauth_extensions": (_MECHANISM, TOKENS, False),
    "kafka_ssl_ca_file": (_PROTOCOL, TLS, False),
    _CERTIFICATE: (_PROTOCOL, TLS, False),
    "kafka_ssl_key_password": (_CERTIFICATE, _ANY, False),
    "kafka_ssl_key_file": (_CERTIFICATE, _ANY, False),
}
"""For each setting: the one that decides whether it is used, the values with which it is, whether it must be set then."""


def _brokers(servers: str) -> str:
    for server in servers.split(","):
        if not is_host_and_port(server):
            raise ValueError(f"must be host:port[,host:port], and {server!r} is not")
    return servers


def _readable(path: Path) -> Path:
    try:
        path.read_bytes()
    except OSError as error:
        raise ValueError(f"must be a file that this process can read ({error.strerror})") from None
    return path


_File = Annotated[Path, AfterValidator(_readable)]


class KafkaSettings(BaseModel, frozen=True, hide_input_in_errors=True):
    """Kafka. What decides about a setting stands before it."""

    kafka_bootstrap_servers: Annotated[str, AfterValidator(_brokers)] = Field(
        DEFAULT_KAFKA, description="Kafka brokers: host:port[,host:port]"
    )
    kafka_api_version: str = Field(
        "", pattern=r"^(\d+\.\d+(\.\d+)?)?$", description="version of the protocol, such as 2.3. Empty: the broker is asked"
    )
    kafka_tasks_topic: str = Field("generia-tasks", description="topic of orders")
    kafka_progress_topic: str = Field("generia-progress", description="topic of events")
    kafka_dead_letters_topic: str = Field("generia-tasks-dlq", description="topic of invalid messages")
    kafka_group_id: str = Field("generia-world-generator", description="consumer group whose offsets show the lag")

    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="protocol of the brokers' listener: SSL is TLS, SASL is a user (docs/operating.md)"
    )
    kafka_sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "", validate_default=True, description="how the user is checked, with SASL_PLAINTEXT and SASL_SSL"
    )
    kafka_sasl_username: str = Field("", validate_default=True, description="user of PLAIN and SCRAM")
    kafka_sasl_password: SecretStr = Field(SecretStr(""), validate_default=True, description="password of PLAIN and SCRAM")
    kafka_oauth_token_file: _File | None = Field(
        None, description="OAUTHBEARER: file with an access token, read for every connection"
    )
    kafka_oauth_token_url: str = Field(
        "",
        pattern=r"^(https?://[^\s/@]+(/\S*)?)?$",
        validate_default=True,
        description="OAUTHBEARER: address where client id and secret get an access token",
    )
    kafka_oauth_client_id: str = Field("", validate_default=True, description="OAUTHBEARER: client id")
    kafka_oauth_client_secret: SecretStr = Field(SecretStr(""), validate_default=True, description="OAUTHBEARER: client secret")
    kafka_oauth_scope: str = Field("", description="OAUTHBEARER: scope of the token")
    kafka_oauth_extensions: str = Field(
        "",
        pattern=r"^([A-Za-z]+=[^\s,]+(,[A-Za-z]+=[^\s,]+)*)?$",
        description="OAUTHBEARER: what the brokers get beside the token, name=value[,name=value]",
    )
    kafka_ssl_ca_file: _File | None = Field(None, description="TLS: PEM file of trusted authorities. Empty: those of the system")
    kafka_ssl_cert_file: _File | None = Field(None, description="TLS: PEM file of the client certificate, with its chain")
    kafka_ssl_key_password: SecretStr = Field(SecretStr(""), description="TLS: password of an encrypted key")
    kafka_ssl_key_file: _File | None = Field(
        None, validate_default=True, description="TLS: PEM file of the key. Empty: the key is in KAFKA_SSL_CERT_FILE"
    )

    @field_validator(*_USED_WITH)
    @classmethod
    def _is_used(cls, value: str | SecretStr | Path | None, info: ValidationInfo) -> str | SecretStr | Path | None:
        decider, values, needed = _USED_WITH[str(info.field_name)]
        if decider not in info.data:  # wrong itself
            return value
        chosen = str(info.data[decider] or "")
        used = chosen in values if values else bool(chosen)
        if value and not used:
            wanted = f"={' or '.join(values)}" if values else ""
            raise ValueError(f"is used only with {decider.upper()}{wanted}: set that, or leave this out")
        if used and needed and not value:
            raise ValueError(f"must be set with {decider.upper()}={chosen}")
        return value

    @field_validator("kafka_oauth_token_url")
    @classmethod
    def _one_source(cls, url: str, info: ValidationInfo) -> str:
        if info.data.get(_MECHANISM) in TOKENS and "kafka_oauth_token_file" in info.data:
            file = info.data["kafka_oauth_token_file"]
            if bool(url) == bool(file):
                what = "cannot be set beside" if url else "must be set with KAFKA_SASL_MECHANISM=OAUTHBEARER, or"
                raise ValueError(f"{what} KAFKA_OAUTH_TOKEN_FILE")
        return url

    @field_validator("kafka_ssl_ca_file", "kafka_ssl_cert_file")
    @classmethod
    def _certificates(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
            except ssl.SSLError as error:
                raise ValueError(f"must be a PEM file of certificates ({error.reason or error})") from None
        return path

    @field_validator("kafka_ssl_key_file")
    @classmethod
    def _key(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        certificate, password = info.data.get(_CERTIFICATE), info.data.get("kafka_ssl_key_password")
        if certificate is None or password is None:
            return path
        try:
            # A password in any case: without one OpenSSL asks the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, path, password.get_secret_value)
        except (ssl.SSLError, ValueError) as error:  # ValueError: a password that is too long
            reason = getattr(error, "reason", None) or error
            raise ValueError(
                f"must be the key of KAFKA_SSL_CERT_FILE, opened by KAFKA_SSL_KEY_PASSWORD if it is encrypted ({reason})"
            ) from None
        return path
