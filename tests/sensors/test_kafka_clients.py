"""What people send with clients of their own (row P6): the snippets of the documentation do what they say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from generia_assets.durable.orders.order import Order
from local_services.dev import client_address
from resources.kafka.dead_letters import last_letters
from resources.kafka.producer import Event, EventProducer
from sensors.messages import read_message
from tests.support.kafka_stand_in import kafka_address

CLIENTS = {
    "kafka-python": ("docs/clients/kafka_python.py", sys.executable),
    "confluent-kafka": ("docs/clients/confluent.py", sys.executable),
    "kcat": ("docs/clients/kcat.sh", "sh"),
}
"""The files that docs/events.md shows, and what runs them."""


@pytest.mark.parametrize("client", [pytest.param(client, id=f"P6 {client}") for client in CLIENTS])
def test_a_snippet_sends_an_order_and_reads_events(broker: str, client: str) -> None:
    """Run as it is shown against the embedded broker: its message is an order, and it prints the event."""
    if client == "kcat" and shutil.which("kcat") is None:
        pytest.skip("kcat is not installed")
    topics = {name: f"{name}-{uuid.uuid4().hex[:8]}" for name in ("generia-tasks", "generia-progress")}
    address = kafka_address(broker)
    with EventProducer(address) as producer:
        producer.send(Event(topics["generia-progress"], b"world", b'{"event_type": "world_created"}')).wait(10)
    path, program = CLIENTS[client]
    snippet = Path(path).read_text(encoding="utf-8")
    for name, own in topics.items():
        snippet = snippet.replace(name, own)
    told = subprocess.run(
        [program, "-c", snippet],
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": broker},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert "world_created" in told.stdout
    (sent,) = last_letters(address, topics["generia-tasks"], None)
    assert isinstance(read_message(sent.value), Order)


@pytest.mark.parametrize(
    ("version", "said"),
    [pytest.param("2.3", "b:1  (kafka-python needs api_version=(2, 3))", id="P6 embedded"), pytest.param("", "b:1", id="P6 own")],
)
def test_the_dev_screen_says_what_a_client_needs(version: str, said: str) -> None:
    """The version that kafka-python has to be told stands beside the broker's address."""
    assert client_address(kafka_address("b:1", version)) == said
