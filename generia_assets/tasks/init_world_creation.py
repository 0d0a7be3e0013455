"""Task type ``init_world_creation``: an order becomes a world's request (R4). No call to the outside."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from generia_assets.content import draw, languages
from generia_assets.content.documents import WORLD_KEY, Quality, WorldRequest
from generia_assets.content.text import clean
from generia_assets.tasks.kinds import Level, TaskParameters, UnfitTaskError, durable_task
from generia_assets.tasks.tools import Tools

PROMPT_LIMIT = 4_000
"""Characters of a user's sentence: several pages; more is a pasted document, which nobody meant as a world."""


class WorldRequestError(UnfitTaskError):
    """The order cannot become a world. The message says what the user can change."""


def fit_prompt(prompt: str) -> str:
    """The prompt, cleaned: the one rule for messages, forms, commands and the task. Raises WorldRequestError."""
    cleaned = clean(prompt)
    if not any(character.isalpha() for character in cleaned):
        raise WorldRequestError("The prompt has no words. Describe the world in a sentence or two.")
    if len(cleaned) > PROMPT_LIMIT:
        raise WorldRequestError(f"The prompt has {len(prompt)} characters; shorten it to {PROMPT_LIMIT}.")
    return cleaned


class InitWorldParameters(TaskParameters):
    """The order as it came."""

    key: str = WORLD_KEY
    world_id: str
    user_prompt: str
    users_count: int
    posts_count: int
    quality: Quality = Quality.STANDARD
    language: str = Field(default="", description="English or own name of a language; '' = the language of the prompt")
    max_cost_usd: float | None = None
    created_at: datetime


@durable_task(Level.WORLD)
async def init_world_creation(parameters: InitWorldParameters, tools: Tools) -> WorldRequest:
    """Check the order and draw the world's seed from its id.

    Raises WorldRequestError for an empty, wordless or overlong prompt, for fewer than one user and for fewer than no posts.
    """
    prompt = fit_prompt(parameters.user_prompt)
    if parameters.users_count < 1:
        raise WorldRequestError(f"users_count is {parameters.users_count}; a world needs at least 1 user.")
    if parameters.posts_count < 0:
        raise WorldRequestError(f"posts_count is {parameters.posts_count}; it must be 0 or more.")
    if parameters.max_cost_usd is not None and not parameters.max_cost_usd > 0:
        raise WorldRequestError(f"max_cost_usd is {parameters.max_cost_usd}; it must be above 0, or left out for no cap.")
    return WorldRequest(
        user_prompt=prompt,
        users_count=parameters.users_count,
        posts_count=parameters.posts_count,
        quality=parameters.quality,
        language=languages.canonical(parameters.language),
        seed=draw.world_seed(parameters.world_id),
        max_cost_usd=parameters.max_cost_usd,
        created_at=parameters.created_at,
    )
