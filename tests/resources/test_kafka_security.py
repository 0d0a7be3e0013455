"""Apache Kafka with TLS, certificates, passwords and tokens (row K10): allowed clients read and write, others get the reason."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from confluent_kafka import Producer
from kafka.admin import ACLOperation, NewTopic, ResourceType

from generia_assets.cli.connections import Addresses
from generia_assets.cli.health import Health, HealthFinding
from generia_assets.cli.health_servers import kafka_found
from generia_assets.settings import Settings
from resources.kafka.address import KafkaAddress, KafkaUnavailableError
from resources.kafka.dead_letters import last_letters
from resources.kafka.producer import Event, EventProducer
from resources.kafka.reader import TopicReader
from resources.kafka.resource import KafkaResource
from resources.kafka.settings import KafkaSettings
from resources.mongodb.connection import MongoResource
from tests.support.guarded_kafka import PASSWORD, GuardedKafka
from tests.support.kafka_ticks import Ticks, dead_letters, headers, kafka_threads, order, run_keys, send, topics
from tests.support.live_events import read_topic
from tests.support.waiting import PATIENCE_S, wait_for

pytestmark = pytest.mark.apache_kafka


def new_topic(guarded: GuardedKafka) -> str:
    """A topic of the test's own."""
    name = f"orders-{uuid.uuid4().hex[:8]}"
    with guarded.admin() as admin:
        admin.create_topics([NewTopic(name, 1, 1)])
        admin.wait_for_topics([name])
    return name


def round_trip(settings: KafkaSettings, topic: str) -> list[bytes]:
    """The messages that the reader of orders, and that of dead letters, receive from the producer."""
    address = KafkaAddress(settings)
    with EventProducer(address) as producer:
        producer.send(Event(topic, b"key", b"value")).wait(PATIENCE_S)
    reader = TopicReader(address, topic, settings.kafka_group_id)
    try:
        reader.look()
        fetched = reader.read({0: 0}, deadline=time.monotonic() + PATIENCE_S, max_messages=10)
    finally:
        reader.close()
    return [*(one.value or b"" for one in fetched.messages), *(letter.value for letter in last_letters(address, topic, None))]


def scram(guarded: GuardedKafka, mechanism: str) -> KafkaSettings:
    user = "gen,er=ator"  # two characters that SCRAM escapes
    guarded.scram_user(user, mechanism)
    for resource in (ResourceType.TOPIC, ResourceType.GROUP):
        guarded.allow(user, resource, "*", ACLOperation.READ, ACLOperation.WRITE)
    return guarded.as_user(user, mechanism=mechanism)


def token_file(guarded: GuardedKafka) -> KafkaSettings:
    path = guarded.folder / "token"
    path.write_text(guarded.issuer.token("generator") + "\n")
    return guarded.settings("SASL_SSL", kafka_sasl_mechanism="OAUTHBEARER", kafka_oauth_token_file=path)


def certificate(guarded: GuardedKafka, name: str = "generator.pem", **more: Any) -> KafkaSettings:
    guarded.allow("CN=generator", ResourceType.TOPIC, "*", ACLOperation.READ, ACLOperation.WRITE)
    guarded.allow("CN=generator", ResourceType.GROUP, "*", ACLOperation.READ)
    return guarded.settings("SSL", kafka_ssl_cert_file=guarded.folder / name, **more)


WAYS_IN: dict[str, Callable[[GuardedKafka], KafkaSettings]] = {
    "PLAIN": lambda guarded: guarded.as_user(),
    "PLAIN without TLS": lambda guarded: guarded.as_user(listener="SASL_PLAINTEXT"),
    "SCRAM-SHA-256": lambda guarded: scram(guarded, "SCRAM-SHA-256"),
    "SCRAM-SHA-512": lambda guarded: scram(guarded, "SCRAM-SHA-512"),
    "OAUTHBEARER, client secret": lambda guarded: guarded.as_client(kafka_oauth_extensions="team=worlds"),
    "OAUTHBEARER, file": token_file,
    "client certificate": certificate,
    "client certificate, its key beside it and encrypted": lambda guarded: certificate(
        guarded,
        "generator-locked.crt",
        kafka_ssl_key_file=guarded.folder / "generator-locked.key",
        kafka_ssl_key_password=PASSWORD,
    ),
}


@pytest.mark.parametrize("way", WAYS_IN.values(), ids=map("K10 {}".format, WAYS_IN))
def test_every_kind_of_authentication_reads_and_writes(
    guarded_kafka: GuardedKafka, way: Callable[[GuardedKafka], KafkaSettings]
) -> None:
    """Producer, reader, admin client and the reader of dead letters can all connect."""
    assert round_trip(way(guarded_kafka), new_topic(guarded_kafka)) == [b"value"] * 2


REFUSALS: dict[str, tuple[Callable[[GuardedKafka], KafkaSettings], str, str]] = {
    "wrong password": (
        lambda guarded: guarded.as_user(kafka_sasl_password="a-wrong-word-of-the-tests"),
        r"refused: user name or password \(Authentication failed: Invalid username or password\)",
        "KAFKA_SASL_PASSWORD",
    ),
    "unknown user of SCRAM": (
        lambda guarded: guarded.as_user("nobody", mechanism="SCRAM-SHA-512"),
        "refused: user name or password",
        "KAFKA_SASL_USERNAME",
    ),
    "refused token": (
        lambda guarded: guarded.settings(
            "SASL_SSL", kafka_sasl_mechanism="OAUTHBEARER", kafka_oauth_token_file=guarded.folder / "broker.key"
        ),
        "was not asked: there is no access token",
        "KAFKA_OAUTH_TOKEN_FILE",
    ),
    "client secret that the identity provider does not take": (
        lambda guarded: guarded.as_client(kafka_oauth_client_secret="a-wrong-word-of-the-tests"),
        "was not asked: there is no access token. KAFKA_OAUTH_TOKEN_URL=.* refused",
        "KAFKA_OAUTH_CLIENT_SECRET",
    ),
    "another authority": (
        lambda guarded: guarded.as_user(kafka_ssl_ca_file=guarded.folder / "other" / "ca.pem"),
        "was not trusted: (certificate signature failure|self.signed|unable to get)",
        "KAFKA_SSL_CA_FILE",
    ),
    "expired certificate": (
        lambda guarded: guarded.settings("EXPIRED"),
        "was not trusted: certificate has expired",
        "Renew the broker's certificate",
    ),
    "certificate of another host": (
        lambda guarded: guarded.settings("ELSEWHERE"),
        "was not trusted: IP address mismatch",
        "KAFKA_BOOTSTRAP_SERVERS",
    ),
    "no client certificate": (
        lambda guarded: guarded.settings("SSL"),
        "refused: it asks for a client certificate",
        "KAFKA_SSL_CERT_FILE",
    ),
    "client certificate of another authority": (
        lambda guarded: certificate(guarded, "other/generator.pem"),
        "refused: client certificate",
        "KAFKA_SSL_CERT_FILE",
    ),
    "plain client at TLS": (
        lambda guarded: KafkaSettings(kafka_bootstrap_servers=guarded.at("SASL_SSL")),
        "(did not answer in Kafka's protocol|ended the connection)",
        "KAFKA_SECURITY_PROTOCOL=PLAINTEXT",
    ),
    "plain client where a user is asked for": (
        lambda guarded: KafkaSettings(kafka_bootstrap_servers=guarded.at("SASL_PLAINTEXT")),
        "ended the connection",
        "KAFKA_SECURITY_PROTOCOL=PLAINTEXT",
    ),
    "TLS at a plain listener": (
        lambda guarded: guarded.settings("EXPIRED", kafka_bootstrap_servers=guarded.plain),
        "did not answer in TLS",
        "KAFKA_SECURITY_PROTOCOL=SSL",
    ),
    "mechanism that the listener does not take": (
        lambda guarded: guarded.as_user(mechanism="SCRAM-SHA-512", listener="SASL_PLAINTEXT"),
        "refused: it does not take KAFKA_SASL_MECHANISM=SCRAM-SHA-512",
        "Set one that its listener takes",
    ),
    "a user where none is asked for": (
        lambda guarded: guarded.as_user(listener="SASL_PLAINTEXT", kafka_bootstrap_servers=guarded.plain),
        "refused: this listener asks for no user",
        "KAFKA_SECURITY_PROTOCOL=PLAINTEXT",
    ),
}


@pytest.mark.parametrize(("way", "found", "advice"), REFUSALS.values(), ids=map("K10 {}".format, REFUSALS))
def test_a_refused_client_gets_the_reason(
    guarded_kafka: GuardedKafka,
    way: Callable[[GuardedKafka], KafkaSettings],
    found: str,
    advice: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The error says what was refused and which setting to check; no thread is left; neither the error nor a log has a secret."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("kafka").setLevel(logging.DEBUG)
    before = kafka_threads()
    with pytest.raises(KafkaUnavailableError, match=found) as refused:
        EventProducer(KafkaAddress(way(guarded_kafka), connect_s=5.0))
    assert advice in str(refused.value).partition(". ")[2]
    wait_for(lambda: kafka_threads() <= before)
    assert not [secret for secret in (PASSWORD, "a-wrong-word") if secret in f"{refused.value!r} {caplog.text}"]


def test_a_refused_authentication_is_not_repeated(guarded_kafka: GuardedKafka) -> None:
    """A wrong password is tried once, not every 50 milliseconds until the time-out, which could lock the account."""
    before = time.monotonic()
    for settings in (guarded_kafka.as_user(kafka_sasl_password="wrong"), guarded_kafka.settings("EXPIRED")):
        with pytest.raises(KafkaUnavailableError):
            EventProducer(KafkaAddress(settings, connect_s=30.0))
    assert time.monotonic() - before < 25


def produce(producer: Producer, topic: str) -> str:
    """Send a compressible order; return its task."""
    message = order()
    producer.produce(topic, json.dumps(message).encode() + b" " * 500)
    assert producer.flush(PATIENCE_S) == 0
    return str(message["task_id"])


def test_orders_of_every_codec_and_of_transactions_arrive_over_sasl_ssl(
    guarded_kafka: GuardedKafka, mongodb_uri: str, mongo_database_name: str
) -> None:
    """The sensor, as a user with a password, reads committed messages in any codec, and no aborted ones. An invalid message is in
    the dead letters' topic; an event arrives in the progress topic."""
    topic = new_topic(guarded_kafka)
    kafka = KafkaResource(guarded_kafka.as_user(**topics(topic)))
    committed = []
    common = {"bootstrap.servers": guarded_kafka.plain, "linger.ms": 20, "log_level": 0}
    for codec in ("gzip", "snappy"):
        producer = Producer({**common, "compression.type": codec})
        committed.append(produce(producer, topic))
    for codec in ("lz4", "zstd"):
        producer = Producer({**common, "compression.type": codec, "transactional.id": f"{topic}-{codec}"})
        producer.init_transactions(PATIENCE_S)
        producer.begin_transaction()
        produce(producer, topic)
        producer.abort_transaction(PATIENCE_S)
        producer.begin_transaction()
        committed.append(produce(producer, topic))
        producer.commit_transaction(PATIENCE_S)
    send(kafka, b"broken")
    with dg.instance_for_test() as instance:
        ticks = Ticks(instance, kafka, MongoResource(uri=mongodb_uri, database=mongo_database_name))
        assert run_keys(ticks.tick()) == committed
        assert ticks.tick().skip_message == f"no message in {topic}"
    (letter,) = dead_letters(kafka, 1)
    assert (letter.value, headers(letter)["topic"]) == (b"broken", topic)
    sender = kafka.progress()
    sender("a world", b'{"event_type": "completed"}')
    sender.close()
    (arrived,) = read_topic(kafka, bool)
    assert (arrived.key, arrived.body) == ("a world", {"event_type": "completed"})


def look_until(reader: TopicReader, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        assert reader.look() is not None
        time.sleep(0.2)


def test_a_connection_outlives_its_token(guarded_kafka: GuardedKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader sends a new token before the last one expires; without one, the next connection fails with the reason. No thread is
    left."""
    issuer, before = guarded_kafka.issuer, kafka_threads()
    monkeypatch.setattr(issuer, "lifetime_s", 2)
    monkeypatch.setitem(issuer.clients, "short", PASSWORD)
    guarded_kafka.allow("short", ResourceType.TOPIC, "*", ACLOperation.READ)
    topic, given = new_topic(guarded_kafka), issuer.given
    address = KafkaAddress(guarded_kafka.as_client(kafka_oauth_client_id="short"))
    reader = TopicReader(address, topic, "any")
    try:
        look_until(reader, lambda: issuer.given > given + 1)
        issuer.clients["short"] = "another"
        asked = len(issuer.requests)
        with pytest.raises(KafkaUnavailableError):  # the broker may just have ended the session
            look_until(reader, lambda: False)
        with pytest.raises(KafkaUnavailableError, match=r"no access token.* refused"):
            TopicReader(address, topic, "any")
        assert len(issuer.requests) - asked < 12
    finally:
        reader.close()
    wait_for(lambda: kafka_threads() <= before)


def found_by_doctor(settings: KafkaSettings) -> list[HealthFinding]:
    chosen = Settings(_env_file=None, **{name: getattr(settings, name) for name in settings.model_fields_set})
    return list(kafka_found(chosen, Addresses("", KafkaAddress(chosen, connect_s=PATIENCE_S), None)))


def test_rights_that_are_missing_are_named(guarded_kafka: GuardedKafka) -> None:
    """Reading, writing and the group's offsets: each without its right is an error that names the right; `generia doctor` detects
    it without writing, and reports ok if all rights exist."""
    topic, user = new_topic(guarded_kafka), "stranger"
    settings = guarded_kafka.as_user(user, **topics(topic))
    address = KafkaAddress(settings)

    def read() -> None:
        reader = TopicReader(address, topic, settings.kafka_group_id)
        try:
            reader.look()
            reader.report({0: 0})
            reader.read({0: 0}, deadline=time.monotonic() + 1, max_messages=1)
        finally:
            reader.close()

    with EventProducer(address) as producer, pytest.raises(KafkaUnavailableError, match=f"no right to this topic .*{topic}"):
        producer.send(Event(topic, None, b"value")).wait(PATIENCE_S)
    with pytest.raises(KafkaUnavailableError, match=f"no right to this topic .*{topic}"):
        read()
    guarded_kafka.allow(user, ResourceType.TOPIC, topic, ACLOperation.DESCRIBE)
    for name in (settings.kafka_progress_topic, settings.kafka_dead_letters_topic):
        with EventProducer(KafkaAddress(guarded_kafka.as_user())) as producer:
            producer.send(Event(name, None, b"value")).wait(PATIENCE_S)
        guarded_kafka.allow(user, ResourceType.TOPIC, name, ACLOperation.READ)
    with pytest.raises(KafkaUnavailableError, match="no right to the group"):
        read()
    assert {one.part: one.found for one in found_by_doctor(settings) if one.health is Health.WRONG} == {
        f"group {settings.kafka_group_id}": "this user has no right READ on it",
        f"topic {topic}": "this user has no right READ on it (for orders)",
        f"topic {settings.kafka_progress_topic}": "this user has no right WRITE on it (for live events)",
        f"topic {settings.kafka_dead_letters_topic}": "this user has no right WRITE on it (for broken messages)",
    }
    guarded_kafka.allow(user, ResourceType.GROUP, settings.kafka_group_id, ACLOperation.READ)
    guarded_kafka.allow(user, ResourceType.TOPIC, topic, ACLOperation.READ)
    for name in (settings.kafka_progress_topic, settings.kafka_dead_letters_topic):
        guarded_kafka.allow(user, ResourceType.TOPIC, name, ACLOperation.WRITE)
    read()
    assert {one.health for one in found_by_doctor(settings)} == {Health.OK}
    assert "(SASL_SSL, PLAIN stranger)" in found_by_doctor(settings)[0].found


def test_doctor_reports_a_refusal_as_refused(guarded_kafka: GuardedKafka) -> None:
    """A broker that refuses the password is not reported as unavailable."""
    (finding,) = found_by_doctor(guarded_kafka.as_user(kafka_sasl_password="wrong"))
    assert finding.health is Health.WRONG
    assert "refused: user name or password" in finding.found
    assert "KAFKA_SASL_PASSWORD" in finding.advice


def test_a_renewed_certificate_is_used_for_the_next_connection(guarded_kafka: GuardedKafka, tmp_path: Path) -> None:
    """TLS files are read for every connection: replaced files are used without a restart."""
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes((guarded_kafka.folder / "other" / "ca.pem").read_bytes())
    address = KafkaAddress(guarded_kafka.as_user(kafka_ssl_ca_file=trusted))
    with pytest.raises(KafkaUnavailableError, match="was not trusted"):
        EventProducer(address)
    trusted.write_bytes(guarded_kafka.ca.read_bytes())
    EventProducer(address).close()
