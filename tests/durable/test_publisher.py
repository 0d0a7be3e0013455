"""Publishing through the gateway to a platform without idempotency keys: no object is created a second time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from generia_assets.durable.calls import platform_client
from generia_assets.durable.collections import HISTORY, PUBLICATIONS
from generia_assets.tasks.clients import NewCharacter, NewPost
from resources.gateway import waits
from resources.gateway.api_gateway import ApiGateway
from resources.gateway.outcomes import AmbiguousError, RequestFailedError, RequestRejectedError, TransientError
from resources.gateway.poison import MOST_AMBIGUOUS
from tests.support.durable_world import DurableWorld, durable_world
from tests.support.publishing import at_once, platform_gateway, publisher
from tests.support.waiting import PATIENCE_S, until

TIMEOUT = 0.2
POST = NewPost(character_id="character-1", caption="Rain again.", media_id="media-1", tags=("rain",))


class Keyless:
    """A platform that creates an object for every create call, and finds posts by their caption. ``late``: the number of creates
    that it answers too late; ``slow``: the number of these that it executes only after the caller has left.
    """

    has_keys = False

    def __init__(self, *, late: int = 0, slow: int = 0, silent: int = 0, raises: list[Exception] | None = None) -> None:
        self.made: list[str] = []
        """Captions of posts and names of characters, in the order of their making."""
        self.late = late
        self.slow = slow
        self.silent = silent
        """Questions it fails to answer."""
        self.raises = raises or []
        """Errors with which the next creates end, without making anything."""
        self.asked = 0
        self.working: list[asyncio.Task[None]] = []

    async def _create(self, what: str) -> str:
        if self.raises:
            raise self.raises.pop(0)
        if self.slow:
            self.slow -= 1
            self.working.append(asyncio.create_task(self._make_late(what)))
            await asyncio.sleep(60)
        self.made.append(what)
        number = len(self.made)
        if self.late:
            self.late -= 1
            await asyncio.sleep(60)
        return f"made-{number}"

    async def _make_late(self, what: str) -> None:
        await asyncio.sleep(TIMEOUT + 0.1)
        self.made.append(what)

    async def create_post(self, *, caption: str, **post: Any) -> str:
        return await self._create(caption)

    async def create_character(self, *, display_name: str, **character: Any) -> str:
        return await self._create(display_name)

    async def find_posts(self, *, world_id: str, character_id: str, caption: str) -> list[str]:
        self.asked += 1
        if self.silent:
            self.silent -= 1
            raise TransientError("the platform does not answer")
        return [f"made-{number}" for number, made in enumerate(self.made, 1) if made == caption]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits: before the next attempt, and before the look-up after a time-out."""
    monkeypatch.setattr(waits, "FIRST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(platform_client, "LATE_SECONDS", 0.5)


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        yield world


@pytest.fixture
async def gateway(world: DurableWorld) -> AsyncIterator[ApiGateway]:
    async with platform_gateway(world) as gateway:
        yield gateway


async def test_a_post_that_waits_for_its_turn_is_durable_and_not_sent(world: DurableWorld, gateway: ApiGateway) -> None:
    """Its intent is written before the wait, so that in its turn only the sending takes time; until then nothing is sent."""
    run, platform, turn = await world.run(), Keyless(), asyncio.Event()
    waits = asyncio.Event()

    async def its_turn() -> None:
        waits.set()
        await turn.wait()

    posting = asyncio.create_task(publisher(run, gateway, platform).post(POST, its_turn))
    await asyncio.wait_for(waits.wait(), PATIENCE_S)
    assert [row["status"] for row in world.see[PUBLICATIONS].find()] == ["sent"]
    assert not platform.made
    turn.set()
    assert await posting == "made-1"


async def test_after_a_lost_answer_the_post_is_looked_up_before_it_is_sent_again(world: DurableWorld, gateway: ApiGateway) -> None:
    """The platform makes the post and answers too late: the next attempt finds it, and there is one post."""
    run, platform = await world.run(), Keyless(late=1)
    assert await publisher(run, gateway, platform).post(POST, at_once) == "made-1"
    await run.commits.flush()
    assert len(platform.made) == 1
    assert platform.asked == 1
    assert [row["outcome"] for row in world.see[HISTORY].find({"request_type": "create_post"})] == ["transient"]
    assert [row["answer"] for row in world.see[PUBLICATIONS].find()] == ["made-1"]


async def test_an_answered_create_is_not_looked_up(world: DurableWorld, gateway: ApiGateway) -> None:
    """A look-up costs a call, so it is not made without need."""
    run, platform = await world.run(), Keyless()
    assert await publisher(run, gateway, platform).post(POST, at_once) == "made-1"
    assert (len(platform.made), platform.asked) == (1, 0)


async def test_after_a_crash_the_look_up_goes_through_the_gateway_and_waits_during_an_outage(
    world: DurableWorld, gateway: ApiGateway
) -> None:
    """An outage during the look-up of a publication in doubt is handled like any other: it is recorded, and does not fail the
    world."""
    run, platform = await world.run(), Keyless(late=1)
    dying = asyncio.create_task(publisher(run, gateway, platform).post(POST, at_once))
    await until(lambda: platform.made)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    later, platform.silent = await world.run("later"), 2
    assert await publisher(later, gateway, platform, resumed=True).post(POST, at_once) == "made-1"
    await later.commits.flush()
    assert len(platform.made) == 1
    assert [row["outcome"] for row in world.see[HISTORY].find({"request_type": "find_posts"})] == ["transient", "transient", "ok"]


async def test_a_post_that_is_made_after_the_deadline_is_found(world: DurableWorld, gateway: ApiGateway) -> None:
    """After a time-out the platform may still execute the call: the next attempt comes late enough to find the post."""
    run, platform = await world.run(), Keyless(slow=1)
    assert await publisher(run, gateway, platform).post(POST, at_once) == "made-1"
    assert (len(platform.made), platform.asked) == (1, 1)


async def test_another_post_with_the_same_caption_is_not_taken_for_the_one_in_doubt(
    world: DurableWorld, gateway: ApiGateway
) -> None:
    """Two posts of a person may have the same caption: the look-up of the second does not return the first, recorded or not."""
    run, platform = await world.run(), Keyless()
    assert await publisher(run, gateway, platform, task_id="first").post(POST, at_once) == "made-1"
    platform.raises = [TransientError("reset", in_doubt=True)]
    assert await publisher(run, gateway, platform, task_id="second").post(POST, at_once) == "made-2"
    assert platform.asked == 1


async def test_a_character_in_doubt_is_created_again_and_the_orphan_recorded(world: DurableWorld, gateway: ApiGateway) -> None:
    """A character cannot be looked up: it is created twice, the second one counts, and the record says that there may be
    another."""
    run, platform = await world.run(), Keyless(late=1)
    assert await publisher(run, gateway, platform).character(NewCharacter("Ada", {})) == "made-2"
    await run.commits.flush()
    (row,) = world.see[PUBLICATIONS].find()
    assert (row["answer"], row["possible_orphans"]) == ("made-2", 1)


async def test_a_refused_create_is_not_in_doubt(world: DurableWorld, gateway: ApiGateway) -> None:
    """A refused create has made nothing: it is neither looked up nor counted as an orphan when its task tries again."""
    run, platform = await world.run(), Keyless(raises=[RequestRejectedError("no such character")])
    with pytest.raises(RequestRejectedError):
        await publisher(run, gateway, platform).character(NewCharacter("Ada", {}))
    await run.commits.flush()
    assert await publisher(run, gateway, platform, resumed=True).character(NewCharacter("Ada", {})) == "made-1"
    await run.commits.flush()
    assert [row.get("possible_orphans") for row in world.see[PUBLICATIONS].find()] == [None]


async def test_an_ambiguous_error_fails_the_item_after_some_attempts(world: DurableWorld, gateway: ApiGateway) -> None:
    """Repeated INTERNAL is not an endless outage: the call ends with the platform's message; a post, which can be looked up, ends
    even sooner."""
    run = await world.run()
    platform = Keyless(raises=[AmbiguousError("INTERNAL: violates foreign key constraint") for _ in range(20)])
    with pytest.raises(RequestFailedError, match="foreign key"):
        await publisher(run, gateway, platform).character(NewCharacter("Ada", {}))
    assert 20 - len(platform.raises) == MOST_AMBIGUOUS
    platform.raises += [AmbiguousError("INTERNAL: violates foreign key constraint") for _ in range(20)]
    left = len(platform.raises)
    with pytest.raises(RequestFailedError, match="foreign key"):
        await publisher(run, gateway, platform, task_id="post").post(POST, at_once)
    assert left - len(platform.raises) == platform.asked + 1 < MOST_AMBIGUOUS
