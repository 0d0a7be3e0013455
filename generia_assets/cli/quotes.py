"""What a world will take, said before it is ordered (R13): the plan's numbers, at the configured model's price."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from generia_assets.cli.console import CommandError
from generia_assets.cli.order import new_order
from generia_assets.content.documents import Quality
from generia_assets.content.plan import plan
from generia_assets.durable.workload import request_of, workload
from generia_assets.settings import Settings
from generia_assets.tasks.kinds import TaskType
from resources.models import model_profiles
from resources.outside import Api, Tokens


class Quote(BaseModel):
    """Calls are exact when every answer is usable; tokens and dollars are estimates. Limits include BUDGET_SPARE."""

    model_config = ConfigDict(frozen=True)

    model: str
    llm_calls: int
    image_calls: int
    llm_call_limit: int
    image_call_limit: int
    input_tokens: int
    output_tokens: int
    cost_usd: float


def quote_for(settings: Settings, *, users: int, posts: int, quality: Quality, now: datetime) -> Quote:
    """The quote. How posts fall to people is drawn from the world's id, so that an order's own number may differ by a few calls."""
    profile = model_profiles().get(settings.gemini_model)
    if profile is None:
        raise CommandError(f"GEMINI_MODEL={settings.gemini_model!r}: no such profile; there are {', '.join(model_profiles())}", 2)
    order = new_order(users=users, posts=posts, prompt="a quote", quality=quality)
    request = request_of(order.world_id, order.parameters.model_copy(update={"created_at": now}))
    planned = plan(request)
    limits = workload(order.world_id, order.parameters, list(TaskType), spare=settings.budget_spare, max_cost_usd=None).call_limits
    text_cost = profile.cost_usd(Tokens(prompt=planned.input_tokens, output=planned.output_tokens))
    return Quote(
        model=profile.id,
        llm_calls=planned.llm_total,
        image_calls=planned.images_total,
        llm_call_limit=limits[Api.LLM],
        image_call_limit=limits[Api.IMAGE],
        input_tokens=planned.input_tokens,
        output_tokens=planned.output_tokens,
        cost_usd=round(text_cost + planned.images_total * settings.image_stub_cost_usd, 6),
    )
