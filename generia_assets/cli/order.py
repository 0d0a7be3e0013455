"""An order as the command line makes it: checked, and sent to Kafka as the platform's own message (docs/events.md).

Here: the options that make an order, the order that they make, and its sending. Not here: who reads the message (sensors/kafka.py).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated

from pydantic import ValidationError

from generia_assets.cli.connections import ask_quickly
from generia_assets.cli.console import CommandError
from generia_assets.cli.options import choice, dollars, option, whole
from generia_assets.content.documents import Quality
from generia_assets.content.seeding import LARGEST_SEED
from generia_assets.durable.orders.order import Order, WorldParameters
from generia_assets.durable.status import HIGHEST_PRIORITY
from generia_assets.settings import Settings
from resources import tracing
from resources.explanation import reason_of
from resources.gemini.tiers import ServiceTier
from resources.kafka.address import REQUEST_TIMEOUT_S, KafkaAddress

if TYPE_CHECKING:
    from generia_assets.quotes import Knowledge
    from resources.kafka.producer import EventProducer

DEFAULT_PROMPT = "a city where dreams turn solid until dawn"
DEFAULT_USERS, DEFAULT_POSTS, DEFAULT_SEED = 5, 12, 3
"""The order that ``generia demo`` makes without options: the Gemini emulator has recorded answers for exactly this one."""
ANY = 10**40
"""The largest order is a setting; ``order.world_parameters`` checks it."""

Users = Annotated[int, option("--users", "NUMBER", "How many people, at least 1; exactly so many are made.", whole(1, ANY))]
Posts = Annotated[int, option("--posts", "NUMBER", "How many posts of all people together; exactly so many.", whole(0, ANY))]
Prompt = Annotated[str, option("--prompt", "TEXT", "The world in a sentence or two. All content comes in its language.")]
QualityOption = Annotated[
    Quality,
    option(
        "--quality", "standard|high", "high: every picture's prompt is refined by a call of its own (more calls).", choice(Quality)
    ),
]
MaxCost = Annotated[
    float | None,
    option("--max-cost-usd", "DOLLARS", "Cap for this world, US dollars; without it the installation's MAX_COST_USD.", dollars),
]
TierOption = Annotated[
    ServiceTier | None,
    option(
        "--service-tier",
        "TIER",
        "standard; flex: half price, slow; priority: 1.8 times the price; economy: flex after the first posts. Else SERVICE_TIER.",
        choice(ServiceTier),
    ),
]
PriorityOption = Annotated[
    int,
    option(
        "--priority",
        "NUMBER",
        f"Among all worlds, -{HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}: higher ones begin first and have more of the calls at once.",
        whole(-HIGHEST_PRIORITY, HIGHEST_PRIORITY),
    ),
]
Seed = Annotated[
    int | None,
    option(
        "--seed",
        "NUMBER",
        "The same seed, sentence and counts give the same random draws; without it the seed is drawn from the world's id.",
        whole(0, LARGEST_SEED),
    ),
]
_OPTIONS = {"user_prompt": "prompt", "users_count": "users", "posts_count": "posts"}
"""Of fields that are called otherwise."""


def world_parameters(settings: Settings, *, users: int, posts: int, prompt: str, **others: object) -> WorldParameters:
    """The parameters that these options make. ``others`` are called as in the order.

    Raises ``CommandError`` (exit status 2), which names the option, for what the generator would refuse.
    """
    for name, value, limit, setting in (
        ("--users", users, settings.max_users, "MAX_USERS"),
        ("--posts", posts, settings.max_posts, "MAX_POSTS"),
    ):
        if value > limit:
            raise CommandError(f"{name} {value}: at most {limit} ({setting})", 2)
    try:
        return WorldParameters.model_validate({"user_prompt": prompt, "users_count": users, "posts_count": posts, **others})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        field = str(problem["loc"][0])
        name = _OPTIONS.get(field, field.replace("_", "-"))
        raise CommandError(f"--{name} {str(problem['input'])[:60]!r}: {reason_of(problem)}", 2) from None


def knowledge(settings: Settings) -> Knowledge:
    """What MongoDB knows, or assumptions where it does not answer at once."""
    from generia_assets.estimates import assumed_latency
    from generia_assets.quotes import Knowledge, knowledge_of

    known = ask_quickly(settings, lambda database: knowledge_of(database, settings))
    return Knowledge(assumed_latency(settings)) if known is None else known


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
