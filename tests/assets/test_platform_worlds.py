"""Whole worlds on the platform's services (the emulator): published once and in order despite faults."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from emulators.platform.client import PlatformControl
from generia_assets.durable.calls import platform_client
from generia_assets.durable.collections import GENERATIONS, PUBLICATIONS, WORLD_EVENTS
from generia_assets.durable.orders.decisions import TASK_TAG
from generia_assets.durable.orders.order import Order, parse_world
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.status import State
from resources.gateway import waits
from resources.platform.grpc_platform import GrpcPlatform
from resources.settings import SERVICE_NAMES
from tests.support.worlds_in_process import POSTS, PROMPT, USERS, Worlds, worlds_in_process

SETTINGS: dict[str, Any] = {"breaker_open_seconds": 0.1, "breaker_open_max_seconds": 0.1, "platform_timeout_seconds": 3.0}


@pytest.fixture(scope="module")
def all_worlds(
    tmp_path_factory: pytest.TempPathFactory, mongodb_uri: str, broker: str, gemini_process: str, platform_process: tuple[str, str]
) -> Iterator[Worlds]:
    home, addresses = tmp_path_factory.mktemp("platform-worlds"), dict.fromkeys(SERVICE_NAMES, platform_process[0])
    settings = {"platform": "grpc", **addresses, **SETTINGS}
    with worlds_in_process(home, mongodb_uri=mongodb_uri, broker=broker, gemini=gemini_process, **settings) as worlds:
        yield worlds


@pytest.fixture
def worlds(all_worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worlds]:
    monkeypatch.setattr(waits, "FIRST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(platform_client, "LATE_SECONDS", 5.0)
    with all_worlds.undamaged():
        yield all_worlds


@pytest.fixture
def control(platform: tuple[str, str]) -> Iterator[PlatformControl]:
    with PlatformControl(platform[1]) as control:
        yield control


def ordered(worlds: Worlds, control: PlatformControl) -> str:
    """A world that a user ordered on the platform."""
    world_id = worlds._next_world_id()
    control.add_world(world_id)
    return world_id


def test_a_world_is_published_once_and_in_order_despite_all_faults(worlds: Worlds, control: PlatformControl) -> None:
    """With error codes, lost answers, resets, slow calls, expired URLs and a failing store, nothing is missing or made twice, and
    orphans are recorded."""
    codes = ("unavailable", "internal", "unknown", "resource_exhausted", "aborted")
    lost = ("lost_reset", "lost_unavailable", "lost_internal", "reset", "slow_committed", "slow_commits_late")
    upload = ("url_expired", "put_403", "put_500", "put_reset", "put_lost_reset")
    control.set_faults(rates={**dict.fromkeys(codes + lost, 0.02), **dict.fromkeys(upload, 0.05)}, slow_seconds=4.0, seed=3)
    world_id, made = worlds.make(ordered(worlds, control))
    assert made.success, made.failure
    report = control.world(world_id)
    images = sorted(worlds.documents("post_images", world_id), key=lambda image: image.t)
    assert [post.id for post in report.posts] == [image.post_id for image in images]
    assert len(images) == POSTS
    assert (report.doubled_posts, report.doubled_characters, report.broken_media) == ([], [], [])
    assert len(report.characters) - len(report.orphans) == USERS == len(worlds.documents("characters", world_id))
    noted = worlds.database[PUBLICATIONS].find({"world_id": world_id, "kind": "character"})
    assert sum(row.get("possible_orphans", 0) for row in noted) >= len(report.orphans)


def test_a_post_that_the_platform_always_refuses_gives_up_its_turn(
    worlds: Worlds, control: PlatformControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The platform always answers UNKNOWN for the first post: it fails with the platform's message, and all later posts are
    published."""
    create, poisonous = GrpcPlatform.create_post, list[str]()

    async def create_post(self: GrpcPlatform, *, caption: str, media_id: str, **post: Any) -> str:
        poisonous[:] = poisonous or [caption]
        unknown = str(uuid.uuid4())  # the media service answers UNKNOWN
        return await create(self, caption=caption, media_id=unknown if caption in poisonous else media_id, **post)

    monkeypatch.setattr(GrpcPlatform, "create_post", create_post)
    world_id, made = worlds.make(ordered(worlds, control))
    assert made.success, made.failure
    status = worlds.status(world_id)
    assert (status.status, status.tasks_failed) == (State.COMPLETED, 1)
    assert len(control.world(world_id).posts) == POSTS - 1
    assert "UNKNOWN: failed to get media" in status.failures[0].error


def test_a_world_that_was_ordered_elsewhere_fails_after_its_description(worlds: Worlds, control: PlatformControl) -> None:
    """The platform has no row for it: the message says where to order it, and no further call is made."""
    world_id, made = worlds.make()
    assert not made.success
    assert "Order it on the platform, or set PLATFORM=local" in made.failure
    status = worlds.status(world_id)
    assert (status.status, status.api_calls_made_images) == (State.FAILED, 0)
    assert "Order it on the platform" in status.message


def test_a_world_is_not_continued_on_another_platform(worlds: Worlds, control: PlatformControl) -> None:
    """Ids of one platform are never sent to another: the run fails before any call, names the setting, and the world is
    unchanged."""
    world_id, made = worlds.make(ordered(worlds, control))
    assert made.success, made.failure
    before = (worlds.calls, worlds.snapshot(world_id), State.COMPLETED)
    with worlds.changed_settings(platform="local"):
        again = worlds.run(world_id, select=["posts", "post_images"])
    assert "was published with PLATFORM=grpc, and now PLATFORM=local" in str(again.failure)
    assert (worlds.calls, worlds.snapshot(world_id), worlds.status(world_id).status) == before


def test_a_world_passes_on_the_trace_of_its_order_although_no_spans_are_sent(worlds: Worlds, control: PlatformControl) -> None:
    """Every call of the platform, and every event but the order's own, has the header that came with the order; its
    generation keeps it for the runs that continue it."""
    world_id, trace = ordered(worlds, control), f"00-{'4b' * 16}-{'0f' * 8}-01"
    parameters = parse_world({"user_prompt": PROMPT, "users_count": 1, "posts_count": 2})
    order = Order(world_id, parameters, traceparent=trace)
    record_order(worlds.database, order, max_users=5, max_posts=5)
    made = worlds.run(world_id, tags={TASK_TAG: order.task_id})
    assert made.success, made.failure
    assert set(control.stats().traceparents) == {trace}
    events = list(worlds.database[WORLD_EVENTS].find({"world_id": world_id}).sort("seq"))
    assert [row["traceparent"] for row in events] == ["", *[trace] * (len(events) - 1)]
    generation = worlds.database[GENERATIONS].find_one({"_id": worlds.status(world_id).generation})
    assert generation is not None
    assert generation["traceparent"] == trace
