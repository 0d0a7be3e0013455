"""Access tokens for Kafka: fetched once for all clients, renewed in time, and every failure is reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from resources.kafka.settings import KafkaSettings
from resources.kafka.tokens import AccessToken, TokenError, token_provider
from resources.redaction import hide
from tests.support.guarded_kafka import PASSWORD, Issuer


@pytest.fixture(scope="module")
def the_issuer() -> Iterator[Issuer]:
    with closing(Issuer()) as issuer:
        yield issuer


@pytest.fixture
def issuer(the_issuer: Issuer) -> Issuer:
    the_issuer.reset()
    return the_issuer


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time of the provider, set by the test."""
    now = [1000.0]
    monkeypatch.setattr("resources.kafka.tokens.time.monotonic", lambda: now[0])
    yield now
    monkeypatch.undo()


def settings(issuer: Issuer, **changes: Any) -> KafkaSettings:
    known = {
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_mechanism": "OAUTHBEARER",
        "kafka_oauth_token_url": issuer.url,
        "kafka_oauth_client_id": "generator",
        "kafka_oauth_client_secret": PASSWORD,
    }
    return KafkaSettings(**known | changes)


def test_a_token_is_fetched_once_and_renewed_before_it_ends(issuer: Issuer, clock: list[float]) -> None:
    """It is used again until the last fifth of its lifetime; then another one is fetched, with the configured scope."""
    provider = AccessToken(settings(issuer, kafka_oauth_scope="kafka write"))
    first = provider.token()
    clock[0] += 0.79 * issuer.lifetime_s
    assert (provider.token(), issuer.given) == (first, 1)
    clock[0] += 0.02 * issuer.lifetime_s
    provider.token()
    assert issuer.given == 2
    assert issuer.requests[0] == {"grant_type": ["client_credentials"], "scope": ["kafka write"]}


def test_during_an_outage_the_last_token_is_used_until_it_expires(issuer: Issuer, clock: list[float]) -> None:
    """During an outage of the identity provider a valid token still works."""
    provider = AccessToken(settings(issuer))
    first = provider.token()
    issuer.clients.clear()
    clock[0] += 0.9 * issuer.lifetime_s
    assert provider.token() == first
    clock[0] += 0.2 * issuer.lifetime_s
    with pytest.raises(TokenError):
        provider.token()


def test_a_refused_token_is_not_sent_again(issuer: Issuer) -> None:
    """After a broker's refusal the next connection has a new token."""
    provider = AccessToken(settings(issuer))
    provider.token()
    provider.forget()
    provider.token()
    assert issuer.given == 2


def test_all_clients_share_one_token(issuer: Issuer) -> None:
    """Equal settings have one provider; another client id has another."""
    assert token_provider(settings(issuer)) is token_provider(settings(issuer))
    assert token_provider(settings(issuer)) is not token_provider(settings(issuer, kafka_oauth_client_id="other"))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(
            (401, b'{"error": "invalid_client", "error_description": "not SECRET"}'), r"refused \(401 invalid_client", id="401"
        ),
        pytest.param((400, b'["no object"]'), "refused", id="400"),
        pytest.param((503, b"{}"), "answered 503", id="503"),
        pytest.param((302, b""), "answered 302", id="a redirect, which would take the secret elsewhere"),
        pytest.param((200, b"<html>"), "did not answer with a token", id="a page"),
        pytest.param((200, b"{}"), "holds no access token", id="no token"),
        pytest.param((200, b'{"access_token": "two words"}'), "holds no access token", id="a token with a space"),
    ],
)
def test_a_missing_token_is_reported_without_the_secret(issuer: Issuer, answer: tuple[int, bytes], message: str) -> None:
    """The message has the URL and its answer."""
    issuer.answer = (answer[0], answer[1].replace(b"SECRET", PASSWORD.encode()))
    hide(PASSWORD)
    with pytest.raises(TokenError, match=message) as refused:
        AccessToken(settings(issuer)).token()
    assert issuer.url in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_a_url_that_does_not_answer_is_named(issuer: Issuer) -> None:
    """The message has the URL."""
    with pytest.raises(TokenError, match=r"KAFKA_OAUTH_TOKEN_URL=http://127\.0\.0\.1:9/token did not answer"):
        AccessToken(settings(issuer, kafka_oauth_token_url="http://127.0.0.1:9/token")).token()


def test_a_token_file_is_read_each_time(tmp_path: Path) -> None:
    """A renewed token in the file is used without a restart; an invalid token is refused with the file's name."""
    file = tmp_path / "token"
    file.write_text("first\n")
    chosen = KafkaSettings(kafka_security_protocol="SASL_SSL", kafka_sasl_mechanism="OAUTHBEARER", kafka_oauth_token_file=file)
    provider = AccessToken(chosen)
    assert provider.token() == "first"
    file.write_text("second")
    assert provider.token() == "second"
    for wrong in ("", "two words"):
        file.write_text(wrong)
        with pytest.raises(TokenError, match=r"KAFKA_OAUTH_TOKEN_FILE=.*holds no access token"):
            provider.token()
    file.unlink()
    with pytest.raises(TokenError, match="cannot be read"):
        provider.token()


def test_a_token_without_a_lifetime_is_used_once(issuer: Issuer) -> None:
    """Its lifetime is unknown."""
    issuer.answer = (200, b'{"access_token": "one", "expires_in": "soon"}')
    provider = AccessToken(settings(issuer))
    assert [provider.token(), provider.token()] == ["one"] * 2
    assert len(issuer.requests) == 2


def test_extensions_are_sent_with_the_token(issuer: Issuer) -> None:
    """As Confluent Cloud needs it."""
    provider = AccessToken(settings(issuer, kafka_oauth_extensions="logicalCluster=lkc-1,identityPoolId=pool-2"))
    assert provider.extensions() == {"logicalCluster": "lkc-1", "identityPoolId": "pool-2"}
