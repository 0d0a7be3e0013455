"""What a world, or a part of one, will take, said before it is ordered (R13): calls, tokens, dollars, minutes.

Here: the plan's numbers at the price of the model that is asked now, and an estimate of time. Not here: how it is printed
(orders.py, rerun.py).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from generia_assets.catalog import LLM_CALLS, TaskType
from generia_assets.cli.formats import dollars
from generia_assets.cli.order import new_order
from generia_assets.cli.pace import Pace
from generia_assets.cli.work import work_of
from generia_assets.content.documents import Quality
from generia_assets.durable.orders.records import WorldParametersOrder
from generia_assets.durable.tasks.workload import workload
from generia_assets.settings import Settings
from resources.gateway.api_gateway import Api, TokenUsage
from resources.gemini import models
from resources.images import open_images


class Quote(BaseModel):
    """Calls are exact when every answer is usable; tokens, dollars and minutes are estimates. Limits include BUDGET_SPARE.

    ``model``: the one that is asked now, at its price of now. ``changes``: what ends or changes when, and what the fleet learned
    of models. ``measured``: the minutes come from calls that were made here lately, and not from assumptions about the model.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    llm_calls: int
    image_calls: int
    llm_call_limit: int
    image_call_limit: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    minutes: float
    measured: bool
    changes: list[str]


def quote_for(settings: Settings, pace: Pace, *, users: int, posts: int, quality: Quality, now: datetime) -> Quote:
    """A new world's quote. How posts fall to people is drawn from the world's id, so an order's own may differ by a few calls."""
    order = new_order(users=users, posts=posts, prompt="a quote", quality=quality)
    parameters = order.parameters.model_copy(update={"created_at": now})
    return quote_of(settings, pace, order.world_id, parameters, list(TaskType), now=now)


def quote_of(
    settings: Settings,
    pace: Pace,
    world_id: str,
    order: WorldParametersOrder,
    makes: Collection[TaskType],
    *,
    keys: Collection[str] = (),
    now: datetime | None = None,
) -> Quote:
    """The quote for these task types of a world, or for these items of them. Raises ``OrderError`` for a key of no item."""
    moment = now or models.now()
    profile = pace.notes.asked(models.model_profiles()[settings.gemini_model], moment)

    work = work_of(world_id, order, makes, keys)
    limits = workload(world_id, order, makes, spare=settings.budget_spare, max_cost_usd=None, keys=keys).call_limits
    seconds = work.seconds(pace, llm_at_once=settings.llm_concurrency, images_at_once=settings.image_concurrency)
    tokens = TokenUsage(
        prompt=sum(LLM_CALLS[name].input * count for name, count in work.llm.items()),
        output=sum(LLM_CALLS[name].output * count for name, count in work.llm.items()),
    )
    return Quote(
        model=profile.id,
        llm_calls=work.llm_calls,
        image_calls=work.images,
        llm_call_limit=limits[Api.LLM],
        image_call_limit=limits[Api.IMAGE],
        input_tokens=tokens.prompt,
        output_tokens=tokens.output,
        cost_usd=round(profile.price(moment).cost_usd(tokens) + work.images * _picture_usd(settings), 6),
        minutes=round((pace.start + seconds) / 60, 2),
        measured=pace.measured,
        changes=[change.said for change in models.changes(settings.gemini_model, moment)] + pace.notes.said(),
    )


def _picture_usd(settings: Settings) -> float:
    """The most that one picture can cost."""
    return open_images(settings).cost_per_image_usd


def cap_warning(settings: Settings, order: WorldParametersOrder) -> str | None:
    """What is to be said of a cap that a world like this will reach; None where there is room, or no cap."""
    if order.max_cost_usd is None:
        return None
    users, posts = order.users_count, order.posts_count
    expected = quote_for(settings, Pace(), users=users, posts=posts, quality=order.quality, now=datetime.now(UTC)).cost_usd
    if expected <= order.max_cost_usd:
        return None
    return f"A world like this takes about {dollars(expected)}: the cap of {dollars(order.max_cost_usd)} will cancel it on the way."
