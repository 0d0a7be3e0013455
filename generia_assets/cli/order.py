"""An order as the command line makes it: checked, and sent to Kafka as the platform's own message (contracts.md).

Here: the message. Not here: the command's options (order_options.py), and who reads it (sensors/kafka.py).
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

from generia_assets.catalog import TaskType
from generia_assets.content.documents import Quality
from generia_assets.durable.orders.records import WorldParametersOrder
from resources.kafka.address import REQUEST_TIMEOUT_S, KafkaAddress
from resources.kafka.producer import Event, EventProducer


@dataclass(frozen=True)
class WorldOrder:
    """A world to be made."""

    world_id: str
    task_id: str
    parameters: WorldParametersOrder

    def message(self) -> bytes:
        """The Kafka message, as contracts.md has it."""
        parameters = self.parameters.model_dump(mode="json", exclude_none=True)
        return _message(self.world_id, self.task_id, TaskType.INIT_WORLD_CREATION, parameters)


@dataclass(frozen=True)
class PartOrder:
    """A part of a world to be made again with what follows, or ``alone``; ``keys`` empty: this part of the whole world."""

    world_id: str
    task_id: str
    task_type: TaskType
    keys: tuple[str, ...] = ()
    alone: bool = False

    def message(self) -> bytes:
        """The Kafka message, as contracts.md has it."""
        parameters: dict[str, object] = {"keys": list(self.keys)} if self.keys else {}
        if self.alone:
            parameters["with_what_follows"] = False
        return _message(self.world_id, self.task_id, self.task_type, parameters)


def _message(world_id: str, task_id: str, task_type: TaskType, parameters: dict[str, object]) -> bytes:
    body = {
        "event_type": "task_created",
        "task_id": task_id,
        "task_type": task_type.value,
        "world_id": world_id,
        "parameters": parameters,
    }
    return json.dumps(body, ensure_ascii=False).encode()


def new_order(
    *,
    users: int,
    posts: int,
    prompt: str,
    quality: Quality,
    max_cost_usd: float | None = None,
    seed: int | None = None,
    world_id: str | None = None,
) -> WorldOrder:
    """An order under a new id, or under the id that is given."""
    parameters = WorldParametersOrder(
        user_prompt=prompt, users_count=users, posts_count=posts, quality=quality, max_cost_usd=max_cost_usd, seed=seed
    )
    return WorldOrder(world_id or str(uuid.uuid4()), str(uuid.uuid4()), parameters)


def send(order: WorldOrder | PartOrder, address: KafkaAddress, topic: str) -> None:
    """Put the order into the topic; when this returns, Kafka has it. Raises ``KafkaUnavailableError``."""
    with EventProducer(address) as producer:
        hand_over(order, producer, topic)


def hand_over(order: WorldOrder | PartOrder, producer: EventProducer, topic: str) -> None:
    """As ``send``, through a producer that is connected already."""
    producer.send(Event(topic, order.world_id.encode(), order.message())).wait(REQUEST_TIMEOUT_S)
