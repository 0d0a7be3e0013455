"""The live feed: every post once, the last word last, and never in anybody's way."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from generia_assets.content.documents import Media, PostImage
from generia_assets.durable.collections import STATUS
from generia_assets.durable.feed import Feed
from tests.durable_world import DurableWorld, durable_world


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        yield world


def a_post(number: int) -> PostImage:
    media = Media(media_id="m", url=f"media/{number}.jpg", prompt="p", width=1, height=1)
    key, now = f"c0000-p{number:04d}", datetime.now(UTC)
    return PostImage(key=key, character="c0000", character_id="c", post_id=f"id-{number}", image=media, published_at=now)


class Recorder:
    """Takes events as a broker would; ``gate`` holds posts up, ``broken`` refuses everything."""

    def __init__(self, *, broken: bool = False) -> None:
        self.events: list[dict[str, Any]] = []
        self.connections = 0
        self.tries = 0
        self.broken = broken
        self.gate = threading.Event()
        self.gate.set()

    def connect(self) -> Recorder:
        self.connections += 1
        return self

    def __call__(self, key: str, value: bytes) -> None:
        self.tries += 1
        if b"post_created" in value:
            self.gate.wait(10)
        if self.broken:
            raise ConnectionError("no broker")
        self.events.append({"sent_under": key, **json.loads(value)})


async def begun(feed: Feed, recorder: Recorder) -> None:
    """Return when the feed is in the middle of sending its first event."""
    while not recorder.tries:
        await feed._database.command("ping")  # something to wait for


async def test_every_post_is_told_once_and_the_worlds_last_state_last(world: DurableWorld) -> None:
    """Versioned events under the world's id; whatever is told in between, the last one says how the world ended."""
    recorder = Recorder()
    feed = Feed(world.database, world.world_id, recorder.connect)
    for number in range(5):
        feed.post(a_post(number))
        feed.changed()
    world.see[STATUS].update_one({"_id": world.world_id}, {"$set": {"status": "completed"}})
    await feed.aclose()
    posts = [event["post_id"] for event in recorder.events if event["event_type"] == "post_created"]
    assert posts == [f"id-{number}" for number in range(5)]
    assert (recorder.events[-1]["event_type"], recorder.events[-1]["status"]) == ("world_progress", "completed")
    assert {(event["version"], event["sent_under"], event["world_id"]) for event in recorder.events} == {
        (1, world.world_id, world.world_id)
    }
    assert recorder.connections == 1


async def test_the_last_word_comes_after_what_was_still_being_sent(world: DurableWorld) -> None:
    """Closing while an event is on its way does not overtake it: nobody sees an older state after the last one."""
    recorder = Recorder()
    recorder.gate.clear()
    feed = Feed(world.database, world.world_id, recorder.connect)
    feed.post(a_post(0))
    await begun(feed, recorder)
    threading.Timer(0.2, recorder.gate.set).start()
    world.see[STATUS].update_one({"_id": world.world_id}, {"$set": {"status": "completed"}})
    await feed.aclose()
    states = [event["status"] for event in recorder.events if event["event_type"] == "world_progress"]
    assert states == sorted(states, key=["pending", "completed"].index)
    assert states[-1] == "completed"


async def test_a_broker_that_does_not_answer_is_asked_once_and_holds_nothing_up(world: DurableWorld) -> None:
    """The feed is silent for the rest of the run, without an error and without another try for each event."""
    recorder = Recorder(broken=True)
    recorder.gate.clear()
    feed = Feed(world.database, world.world_id, recorder.connect)
    for number in range(20):
        feed.post(a_post(number))
    await begun(feed, recorder)
    threading.Timer(0.2, recorder.gate.set).start()
    await feed.aclose()
    assert (recorder.connections, recorder.tries) == (1, 1)
    assert recorder.events == []
