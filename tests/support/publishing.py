"""The platform client of a task, with gateway, ledger and publications like in a run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from generia_assets.catalog import TaskType
from generia_assets.durable.calls.ledger import BudgetLedger
from generia_assets.durable.calls.platform_client import TaskPlatformClient
from generia_assets.durable.calls.publications import Publications
from generia_assets.durable.calls.task_calls import Checkpoints, Providers, TaskCalls, TaskContext
from resources.gateway.api_gateway import ApiGateway, ApiPolicy
from resources.gateway.breaker import Breaker
from resources.gateway.calls import Api
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.settings import GatewaySettings
from tests.support.durable_world import DurableWorld, Run


@asynccontextmanager
async def platform_gateway(world: DurableWorld) -> AsyncIterator[ApiGateway]:
    """The gateway to the platform, with a breaker that allows probes soon."""
    slots = ConcurrencyLimiter(world.database.fleet, "platform", limit=4, lease_seconds=30)
    settings = GatewaySettings(breaker_open_seconds=0.05, breaker_open_max_seconds=0.1)
    breaker = Breaker("platform", settings, lambda state, probe_in: None)
    gateway = ApiGateway({Api.PLATFORM: ApiPolicy(slots, breaker)}, patience_seconds=60)
    try:
        yield gateway
    finally:
        await gateway.aclose()


def publisher(
    run: Run,
    gateway: ApiGateway,
    platform: object,
    *,
    resumed: bool = False,
    task_id: str = "task-1",
    world_id: str = "world-1",
    timeout: float = 0.2,
) -> TaskPlatformClient:
    """The client of this platform for a task that posts, with a time-out short enough for a test."""
    providers = Providers(
        gateway,
        gemini=cast("Any", None),
        models=cast("Any", None),
        images=cast("Any", None),
        platform=cast("Any", platform),
        timeouts={Api.PLATFORM: timeout},
        max_reasks=0,
        outage_timeout=60,
    )
    task = TaskContext(task_id, TaskType.GENERATE_POST_IMAGE, "c0000-p0000", resumed)
    steps = Checkpoints(run.database, run.commits, task_id, resumed=resumed)
    calls = TaskCalls(task, steps, providers, BudgetLedger(run.database, run.commits, run.generation))
    return TaskPlatformClient(world_id, calls, Publications(run.database, run.commits, "local"))


async def at_once() -> None:
    """A turn that is there at once."""
