"""Creates in doubt on the platform's real protocol (the emulator): a post exists once, an orphan of a character is recorded."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emulators.platform.client import PlatformControl
from generia_assets.durable.calls import platform_client
from generia_assets.durable.collections import HISTORY, PUBLICATIONS
from generia_assets.tasks.clients import NewCharacter, NewPost
from resources.gateway import waits
from resources.gateway.api_gateway import ApiGateway
from resources.gateway.outcomes import RequestFailedError, RequestRejectedError
from resources.gateway.poison import MOST_AMBIGUOUS
from resources.platform.grpc_platform import GrpcPlatform
from tests.support.durable_world import DurableWorld, Run, durable_world
from tests.support.platform_services import service_settings, services
from tests.support.publishing import at_once, platform_gateway, publisher
from tests.support.waiting import until

TIMEOUT = 1.0
SLOW = 1.5
"""Seconds: later than the time-out, and before what is in doubt is looked for."""
CAPTION = "Rain again."
ADA = NewCharacter("Ada " * 40, {"bio": "counts"})


@dataclass
class Scene:
    """A world on the platform with one person and one picture of theirs."""

    world: DurableWorld
    gateway: ApiGateway
    platform: GrpcPlatform
    control: PlatformControl
    world_id: str
    post: NewPost

    async def run(self, run_id: str = "run-1") -> Run:
        return await self.world.run(run_id)

    def client(self, run: Run, **changes: Any) -> platform_client.TaskPlatformClient:
        return publisher(run, self.gateway, self.platform, world_id=self.world_id, timeout=TIMEOUT, **changes)

    def faults(self, method: str, fault: str, calls: int = 1) -> None:
        """The next calls of this method get this fault."""
        served = sum(count for name, count in self.control.stats().calls.items() if name not in ("PUT", "GET", "consul"))
        self.control.set_faults(rates={fault: 1.0}, methods=[method], for_calls=served + calls, slow_seconds=SLOW)

    def there(self) -> list[str]:
        """The captions of the feed."""
        return [post.caption for post in self.control.world(self.world_id).posts]


@pytest.fixture
async def scene(
    platform: tuple[str, str], mongodb_uri: str, mongo_database_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    monkeypatch.setattr(waits, "FIRST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(platform_client, "LATE_SECONDS", SLOW)
    world_id, picture = str(uuid.uuid4()), tmp_path / "picture.jpg"
    picture.write_bytes(b"a picture")
    async with (
        durable_world(mongodb_uri, mongo_database_name) as world,
        platform_gateway(world) as gateway,
        services(service_settings(platform[0])) as patient,
        services(service_settings(platform[0], platform_timeout_seconds=TIMEOUT)) as served,
    ):
        with PlatformControl(platform[1]) as control:
            control.add_world(world_id)
            ada = await patient.create_character(key="first", world_id=world_id, display_name="Ada", meta={})
            media = await patient.upload_media(
                key="m",
                world_id=world_id,
                character_id=ada,
                filename="a.jpg",
                content_type="image/jpeg",
                media_type=4,
                path=picture,
            )
            yield Scene(world, gateway, served, control, world_id, NewPost(ada, CAPTION, media.media_id, ()))


@pytest.mark.case("G4")
@pytest.mark.parametrize(
    "fault", ["lost_reset", "lost_unavailable", "lost_internal", "slow_committed", "slow_commits_late", "reset", "internal", "slow"]
)
async def test_a_post_in_doubt_is_created_once(scene: Scene, fault: str) -> None:
    """Whether the platform made it before, makes it late, or never makes it, there is one post, and its id is recorded."""
    run = await scene.run()
    scene.faults("CreateAIPost", fault)
    post_id = await scene.client(run).post(scene.post, at_once)
    await run.commits.flush()
    await asyncio.sleep(SLOW if fault.startswith("slow") else 0)  # late creations of the platform are finished by then
    assert [post.id for post in scene.control.world(scene.world_id).posts] == [post_id]
    assert [row["answer"] for row in scene.world.see[PUBLICATIONS].find()] == [post_id]
    assert scene.control.stats().calls["GetCharacterPosts"] == 1
    recorded = [(row["request_type"], row["outcome"]) for row in scene.world.see[HISTORY].find().sort("created_at")]
    assert recorded[:2] == [("create_post", "transient"), ("find_posts", "ok")]


@pytest.mark.case("G5")
async def test_posts_with_the_same_caption_are_not_confused_after_a_crash(scene: Scene) -> None:
    """Two placeholders of one person: the answer for the first may not be recorded yet, that for the second is lost."""
    run = await scene.run()
    first = await scene.client(run, task_id="first").post(scene.post, at_once)
    scene.faults("CreateAIPost", "slow_committed")
    dying = asyncio.create_task(scene.client(run, task_id="second").post(scene.post, at_once))
    await until(lambda: len(scene.there()) == 2)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    second = scene.control.world(scene.world_id).posts[1].id
    later = await scene.run("later")
    assert await scene.client(later, task_id="second", resumed=True).post(scene.post, at_once) == second
    assert await scene.client(later, task_id="first", resumed=True).post(scene.post, at_once) == first
    assert len(scene.there()) == 2


@pytest.mark.case("G6")
async def test_a_character_in_doubt_is_created_again_and_its_orphan_can_be_found(scene: Scene) -> None:
    """The record says that there may be one more, and the platform has it under the same key; long names are cut for the
    platform."""
    run = await scene.run()
    scene.faults("CreateCharacter", "lost_reset")
    character_id = await scene.client(run).character(ADA)
    await run.commits.flush()
    (row,) = scene.world.see[PUBLICATIONS].find()
    assert (row["answer"], row["possible_orphans"]) == (character_id, 1)
    made = [
        one for one in scene.control.world(scene.world_id).characters if json.loads(one.meta or "")["generator_key"] == row["_id"]
    ]
    assert len(made) == 2
    assert {len(one.display_name) for one in made} == {100}
    assert character_id == made[1].id


@pytest.mark.case("G7")
async def test_an_ambiguous_error_ends_with_the_platforms_message(scene: Scene) -> None:
    """INTERNAL for a world that the database does not have: the item fails after some attempts, and nothing stays in doubt."""
    run = await scene.run()
    scene.world_id = str(uuid.uuid4())
    with pytest.raises(RequestFailedError, match="violates foreign key constraint"):
        await scene.client(run).character(ADA)
    assert scene.control.stats().calls["CreateCharacter"] == 1 + MOST_AMBIGUOUS


async def test_a_refusal_of_the_platform_fails_the_item_at_once(scene: Scene) -> None:
    """A post with another character's picture: one attempt, the platform's message, and no doubt."""
    run, bob = await scene.run(), await scene.platform.create_character(key="b", world_id=scene.world_id, display_name="B", meta={})
    with pytest.raises(RequestRejectedError, match="PERMISSION_DENIED: media does not belong to character"):
        await scene.client(run).post(NewPost(bob, CAPTION, scene.post.media_id, ()), at_once)
    await run.commits.flush()
    assert [row["status"] for row in scene.world.see[PUBLICATIONS].find()] == ["not_created"]


async def test_a_single_post_that_always_times_out_fails(scene: Scene) -> None:
    """The platform answers each look-up of the post, so it is available: the post fails, and the world is not suspended."""
    run = await scene.run()
    scene.faults("CreateAIPost", "slow", calls=100)
    scene.control.set_faults(methods=["CreateAIPost"], slow_seconds=30)
    with pytest.raises(RequestFailedError, match=r"DEADLINE_EXCEEDED|no answer"):
        await scene.client(run).post(scene.post, at_once)
