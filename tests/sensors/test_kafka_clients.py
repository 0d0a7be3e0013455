"""Messages of other clients (row P6): the snippets of the documentation work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from bench.stack import wait_for
from generia_assets.durable.orders.order import Order
from local_services.dev import client_address
from resources.kafka.dead_letters import last_letters
from resources.kafka.producer import Event, EventProducer
from sensors.messages import read_message
from tests.support.kafka_ticks import kafka_address
from tests.support.waiting import PATIENCE_S

CLIENTS = {
    "kafka-python": ("docs/clients/kafka_python.py", sys.executable),
    "confluent-kafka": ("docs/clients/confluent.py", sys.executable),
    "kcat": ("docs/clients/kcat.sh", "sh"),
}
"""The files that docs/events.md shows, and what runs them."""


@pytest.mark.parametrize("client", [pytest.param(client, id=f"P6 {client}") for client in CLIENTS])
def test_a_snippet_sends_an_order_and_reads_events(broker: str, client: str) -> None:
    """The snippet is run unchanged with the embedded broker: its message is a valid order, and it prints the events until its world
    is over."""
    if client == "kcat" and shutil.which("kcat") is None:
        pytest.skip("kcat is not installed")
    topics = {name: f"{name}-{uuid.uuid4().hex[:8]}" for name in ("generia-tasks", "generia-progress")}
    address = kafka_address(broker)
    path, program = CLIENTS[client]
    snippet = Path(path).read_text(encoding="utf-8")
    for name, own in topics.items():
        snippet = snippet.replace(name, own)
    with EventProducer(address) as producer:

        def tell(world_id: str, *event_types: str) -> None:
            for event_type in event_types:
                event = json.dumps({"event_type": event_type, "world_id": world_id}).encode()
                producer.send(Event(topics["generia-progress"], world_id.encode(), event)).wait(PATIENCE_S)

        tell("another", "world_created", "completed")
        environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": broker}
        run = [program, "-c", snippet]
        with subprocess.Popen(run, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            (sent,) = wait_for(
                "the order", lambda: last_letters(address, topics["generia-tasks"], None) or None, seconds=PATIENCE_S
            )
            order = read_message(sent.value)
            assert isinstance(order, Order)
            tell(order.world_id, "world_created", "post_created", "completed")
            printed, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    if client == "kcat":
        assert "world_created" in printed
    else:
        assert printed.split() == ["world_created", "post_created", "completed"]


@pytest.mark.parametrize(
    ("version", "said"),
    [pytest.param("2.3", "b:1  (kafka-python needs api_version=(2, 3))", id="P6 embedded"), pytest.param("", "b:1", id="P6 own")],
)
def test_the_dev_screen_shows_the_settings_of_a_client(version: str, said: str) -> None:
    """It has the version setting for kafka-python beside the broker's address."""
    assert client_address(kafka_address("b:1", version)) == said
