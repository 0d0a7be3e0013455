"""Connecting to Kafka: time-outs, the settings of clients, and hidden passwords."""

from __future__ import annotations

import socket
import time

import pytest
from kafka.errors import KafkaConnectionError, SaslAuthenticationFailedError

from resources.kafka.address import KafkaAddress, KafkaUnavailableError
from resources.kafka.network import REFUSED_MS, Network
from resources.kafka.producer import EventProducer
from resources.kafka.settings import KafkaSettings
from tests.support.kafka_ticks import kafka_threads
from tests.support.waiting import wait_for

SECRET = "a-word-of-the-tests"


def with_user(**changes: str) -> KafkaSettings:
    known = {
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_mechanism": "SCRAM-SHA-512",
        "kafka_sasl_username": "gen,er=ator",
        "kafka_sasl_password": SECRET,
    }
    return KafkaSettings.model_validate(known | changes)


def test_a_peer_that_never_answers_the_handshake_times_out() -> None:
    """A TLS connection to a silent peer takes no longer than an unavailable broker, and leaves no thread."""
    before = kafka_threads()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        chosen = KafkaSettings(kafka_bootstrap_servers=address, kafka_security_protocol="SSL")
        began = time.monotonic()
        with pytest.raises(KafkaUnavailableError, match="the TLS handshake was not answered"):
            EventProducer(KafkaAddress(chosen, connect_s=0.5))
    assert time.monotonic() - began < 15
    wait_for(lambda: kafka_threads() <= before)


def test_a_closed_port_is_reported_with_what_to_do() -> None:
    """The error says that no server listens at the port, and what to do."""
    with pytest.raises(KafkaUnavailableError, match=r"127\.0\.0\.1:9 did not answer \(.*ECONNREFUSED\)\. Start a broker"):
        EventProducer(KafkaAddress(KafkaSettings(kafka_bootstrap_servers="127.0.0.1:9"), connect_s=1.0))


def test_the_producers_thread_does_not_spin() -> None:
    """After a refusal it waits for some milliseconds; it raises nothing, because an error would be retried at once."""
    network = Network(bootstrap_servers="127.0.0.1:9", security_protocol="SSL")
    try:
        network._manager.refusals["bootstrap-0"] = SaslAuthenticationFailedError("no")
        network.maybe_connect("bootstrap-0", wakeup=False)
        assert network.connection_delay("bootstrap-0") == REFUSED_MS
        network._manager._backoff["bootstrap-1"] = (1, time.monotonic() + 60, 100)
        assert 30_000 < network.connection_delay("bootstrap-1") <= 60_000
    finally:
        network.close()


def test_scram_escapes_two_characters() -> None:
    """A comma and an equals sign would end the name (RFC 5802, section 5.1); PLAIN does not escape them."""
    assert KafkaAddress(with_user()).options()["sasl_plain_username"] == "gen=2Cer=3Dator"
    assert KafkaAddress(with_user(kafka_sasl_mechanism="PLAIN")).options()["sasl_plain_username"] == "gen,er=ator"


def test_a_client_can_use_the_password_and_nobody_can_print_it() -> None:
    """kafka-python logs its settings: there, and in every text of settings and address, the password is hidden."""
    address = KafkaAddress(with_user())
    password = address.options()["sasl_plain_password"]
    assert isinstance(password, str)
    assert password.encode() == SECRET.encode()
    assert "\0".join(["", password]) == f"\0{SECRET}"
    shown = f"{address.options()} {address!r} {address} {password} {password!r} {address.settings.model_dump_json()}"
    assert SECRET not in shown


def test_the_brokers_answer_is_reported_instead_of_a_time_out() -> None:
    """If the time ends during a connection attempt, the error has the broker's earlier answer."""
    network = Network(bootstrap_servers="127.0.0.1:9")
    try:
        for said in ("Connection timed out", "the connection ended in TLS", "Connection timed out"):
            network._manager._note("bootstrap", KafkaConnectionError(said))
        assert "ended in TLS" in str(network.reason)
    finally:
        network.close()
