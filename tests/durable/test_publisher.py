"""Publishing through the one path: what a platform without idempotency keys did is not asked of it a second time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from generia_assets.catalog import TaskType
from generia_assets.durable.calls.ledger import BudgetLedger
from generia_assets.durable.calls.platform_client import Publications, TaskPlatformClient
from generia_assets.durable.calls.task_calls import Checkpoints, Providers, TaskCalls, TaskContext
from generia_assets.durable.collections import HISTORY, PUBLICATIONS
from generia_assets.tasks.clients import NewPost
from resources.gateway.api_gateway import Api, ApiGateway, ApiPolicy
from resources.gateway.breaker import Breaker
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gateway.outcomes import TransientError
from resources.settings import GatewaySettings
from tests.support.durable_world import DurableWorld, Run, durable_world
from tests.support.slots_tools import until

POST = NewPost(character_id="character-1", caption="Rain again.", media_id="media-1", tags=("rain",))


class Keyless:
    """A platform that makes a post for every create it hears, and can be asked; ``late``: creates it answers too late."""

    def __init__(self, *, late: int = 0, silent: int = 0) -> None:
        self.posts: list[str] = []
        self.late = late
        self.silent = silent
        """Questions it fails to answer."""
        self.asked = 0

    async def create_post(self, *, key: str, **post: Any) -> str:
        self.posts.append(key)
        if self.late:
            self.late -= 1
            await asyncio.sleep(60)
        return f"post-{len(self.posts)}"

    async def find(self, *, key: str) -> str | None:
        self.asked += 1
        if self.silent:
            self.silent -= 1
            raise TransientError("the platform does not answer")
        return f"post-{self.posts.index(key) + 1}" if key in self.posts else None


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        yield world


@pytest.fixture
async def outside(world: DurableWorld) -> AsyncIterator[ApiGateway]:
    slots = ConcurrencyLimiter(world.database.fleet, "platform", limit=4, lease_seconds=30)
    breaker = Breaker(
        "platform",
        GatewaySettings(
            breaker_open_seconds=0.05,
            breaker_open_max_seconds=0.1,
        ),
        lambda state, probe_in: None,
    )
    outside = ApiGateway({Api.PLATFORM: ApiPolicy(slots, breaker)}, patience_seconds=10)
    yield outside
    await outside.aclose()


def publisher(run: Run, outside: ApiGateway, platform: Keyless, *, resumed: bool = False) -> TaskPlatformClient:
    """The way to this platform of a task that posts, with a time-out short enough for a test."""
    providers = Providers(
        outside,
        gemini=cast("Any", None),
        models=cast("Any", None),
        images=cast("Any", None),
        platform=cast("Any", platform),
        timeouts={Api.PLATFORM: 0.2},
        max_reasks=0,
        outage_timeout=5,
    )
    task = TaskContext("task-1", TaskType.GENERATE_POST_IMAGE, "c0000-p0000", resumed)
    steps = Checkpoints(run.database, run.commits, "task-1", resumed=resumed)
    account = BudgetLedger(run.database, run.commits, run.generation)
    return TaskPlatformClient("world-1", TaskCalls(task, steps, providers, account), Publications(run.database, run.commits))


async def at_once() -> None:
    """A turn that has come."""


async def test_a_post_that_waits_for_its_turn_is_durable_and_not_sent(world: DurableWorld, outside: ApiGateway) -> None:
    """Its intent is written before the wait, so that in its turn nothing but the sending takes time; until then nothing is sent."""
    run, platform, turn = await world.run(), Keyless(), asyncio.Event()
    waits = asyncio.Event()

    async def its_turn() -> None:
        waits.set()
        await turn.wait()

    posting = asyncio.create_task(publisher(run, outside, platform).post(POST, its_turn))
    await asyncio.wait_for(waits.wait(), 5)
    assert [row["status"] for row in world.see[PUBLICATIONS].find()] == ["sent"]
    assert not platform.posts
    turn.set()
    assert await posting == "post-1"


async def test_a_create_whose_answer_never_came_is_looked_for_before_it_is_sent_again(
    world: DurableWorld, outside: ApiGateway
) -> None:
    """The platform makes the post and answers too late: the next attempt finds it, and there is one post."""
    run, platform = await world.run(), Keyless(late=1)
    assert await publisher(run, outside, platform).post(POST, at_once) == "post-1"
    await run.commits.flush()
    assert len(platform.posts) == 1
    assert platform.asked == 1
    assert [row["outcome"] for row in world.see[HISTORY].find({"request_type": "create_post"})] == ["transient", "ok"]
    assert [row["answer"] for row in world.see[PUBLICATIONS].find()] == ["post-1"]


async def test_a_create_that_is_answered_is_not_looked_for(world: DurableWorld, outside: ApiGateway) -> None:
    """Asking costs a call, so nobody is asked without need."""
    run, platform = await world.run(), Keyless()
    assert await publisher(run, outside, platform).post(POST, at_once) == "post-1"
    assert (len(platform.posts), platform.asked) == (1, 0)


async def test_after_a_death_the_platform_is_asked_on_the_one_path_however_often_it_does_not_answer(
    world: DurableWorld, outside: ApiGateway
) -> None:
    """An outage while a publication in doubt is settled is waited out like any other: recorded, and no failure of the world."""
    run, platform = await world.run(), Keyless(late=1)
    dying = asyncio.create_task(publisher(run, outside, platform).post(POST, at_once))
    await until(lambda: platform.posts)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    later, platform.silent = await world.run("later"), 2
    assert await publisher(later, outside, platform, resumed=True).post(POST, at_once) == "post-1"
    await later.commits.flush()
    assert len(platform.posts) == 1
    assert [row["outcome"] for row in world.see[HISTORY].find({"request_type": "find"})] == ["transient", "transient", "ok"]
