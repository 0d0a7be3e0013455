"""Task type ``init_world_creation``: an order becomes a world's request (R4). It calls no model."""

from datetime import datetime

from pydantic import Field

from generia_assets.content import languages, seeding
from generia_assets.content.documents import Quality, WorldDescription, WorldRequest
from generia_assets.content.keys import WORLD_KEY
from generia_assets.tasks.clients import TaskClients
from generia_assets.tasks.generate_world_description import publish_world
from generia_assets.tasks.task_definition import TaskParameters, durable_task
from resources.gemini.tiers import ServiceTier


class InitWorldParameters(TaskParameters):
    """The order as it was checked when it was recorded (durable/orders/records.py)."""

    key: str = WORLD_KEY
    world_id: str
    user_prompt: str
    users_count: int
    posts_count: int
    quality: Quality = Quality.STANDARD
    language: str = Field(default="", description="English or own name of a language; '' = the language of the prompt")
    max_cost_usd: float | None = None
    service_tier: ServiceTier = ServiceTier.STANDARD
    seed: int | None = Field(default=None, description="None: derived from the world's id")
    created_at: datetime
    former_sizes: tuple[tuple[int, int], ...] = ()


@durable_task
async def init_world_creation(
    parameters: InitWorldParameters, clients: TaskClients, world: WorldDescription | None = None
) -> WorldRequest:
    """Choose the world's seed and language. ``world``: the one that is extended, whose new counts the platform gets."""
    request = WorldRequest(
        language=languages.canonical(parameters.language),
        seed=seeding.world_seed(parameters.world_id, parameters.seed),
        **parameters.model_dump(exclude={"key", "world_id", "language", "seed"}),
    )
    if world is not None:
        await publish_world(clients, request, world)
    return request
