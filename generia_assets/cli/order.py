"""An order as the command line makes it: checked, and sent to Kafka as the platform's own message (docs/events.md).

Here: the order of the options, and its sending. Not here: the options (options.py), and who reads the message
(sensors/kafka.py).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from pydantic import ValidationError

from generia_assets.cli.console import CommandError
from generia_assets.content.documents import Quality
from generia_assets.durable.orders.order import Order, WorldParameters
from generia_assets.settings import Settings
from resources import tracing
from resources.explanation import reason_of
from resources.gemini.tiers import ServiceTier
from resources.kafka.address import REQUEST_TIMEOUT_S, KafkaAddress

if TYPE_CHECKING:
    from resources.kafka.producer import EventProducer

_OPTION_OF = {
    "user_prompt": "--prompt",
    "users_count": "--users",
    "posts_count": "--posts",
    "quality": "--quality",
    "max_cost_usd": "--max-cost-usd",
    "service_tier": "--service-tier",
    "seed": "--seed",
    "priority": "--priority",
}


def world_parameters(
    settings: Settings,
    *,
    users: int,
    posts: int,
    prompt: str,
    quality: Quality = Quality.STANDARD,
    max_cost_usd: float | None = None,
    service_tier: ServiceTier | None = None,
    seed: int | None = None,
    priority: int = 0,
) -> WorldParameters:
    """The parameters that these options make.

    Raises ``CommandError`` (exit status 2), which names the option, for what the generator would refuse.
    """
    for option, value, limit, setting in (
        ("--users", users, settings.max_users, "MAX_USERS"),
        ("--posts", posts, settings.max_posts, "MAX_POSTS"),
    ):
        if value > limit:
            raise CommandError(f"{option} {value}: at most {limit} ({setting})", 2)
    try:
        return WorldParameters(
            user_prompt=prompt,
            users_count=users,
            posts_count=posts,
            quality=quality,
            max_cost_usd=max_cost_usd,
            service_tier=service_tier,
            seed=seed,
            priority=priority,
        )
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        option = _OPTION_OF[str(problem["loc"][0])]
        raise CommandError(f"{option} {str(problem['input'])[:60]!r}: {reason_of(problem)}", 2) from None


def new_order(parameters: WorldParameters, world_id: str | None = None) -> Order:
    """An order under a new id, or under the id that is given. Raises ``CommandError`` (exit status 2) for what is no UUID."""
    try:
        return Order(str(uuid.uuid4() if world_id is None else uuid.UUID(world_id)), parameters)
    except ValueError:
        raise CommandError(f"--world-id {str(world_id)[:60]!r}: must be a UUID, such as {uuid.uuid4()}", 2) from None


def send(order: Order, address: KafkaAddress, topic: str) -> None:
    """Put the order into the topic; when this returns, Kafka has it. Raises ``KafkaUnavailableError``."""
    from resources.kafka.producer import EventProducer

    with EventProducer(address) as producer:
        hand_over(order, producer, topic)
    tracing.flush()


def hand_over(order: Order, producer: EventProducer, topic: str) -> None:
    """As ``send``, through a producer that is connected already. The order's trace begins here, where traces are sent anywhere."""
    from resources.kafka.producer import Event

    about = {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
        "generia.world.id": order.world_id,
        "generia.order.id": order.task_id,
    }
    with tracing.Span(f"send {topic}", about, kind=tracing.SpanKind.PRODUCER):
        event = Event(topic, order.world_id.encode(), order.message(), tracing.headers())
        producer.send(event).wait(REQUEST_TIMEOUT_S)
