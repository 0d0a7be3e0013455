"""Live events of whole worlds, as a consumer reads them from the topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from generia_assets.assets.jobs import world_job
from generia_assets.durable.collections import STATUS, WORLD_EVENTS
from generia_assets.durable.events.events import CharacterCreated, PostPublished
from generia_assets.durable.orders.decisions import GENERATION_TAG
from generia_assets.durable.status import Stage
from resources.kafka.resource import KafkaResource
from resources.mongodb.connection import MongoResource
from sensors.run_status import build_watchdog
from tests.support.live_events import ReceivedEvent, durable, ended, events_kafka, numbers, read_topic
from tests.support.worlds_in_process import POSTS, USERS, Made, Worlds, worlds_in_process

TOPIC = "events-of-worlds"


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, mongodb_uri: str, broker: str, gemini_process: str) -> Iterator[Worlds]:
    home = tmp_path_factory.mktemp("events")
    settings: dict[str, Any] = {"kafka_progress_topic": TOPIC}
    with worlds_in_process(home, mongodb_uri=mongodb_uri, broker=broker, gemini=gemini_process, **settings) as worlds:
        assert worlds.gemini is not None
        worlds.gemini.reset()
        yield worlds


@pytest.fixture(scope="module")
def kafka(broker: str) -> KafkaResource:
    return events_kafka(broker, topic=TOPIC)


@pytest.fixture(scope="module")
def made(worlds: Worlds) -> tuple[str, Made]:
    world_id, made = worlds.make()
    assert made.success, made.failure
    return world_id, made


def events_of(kafka: KafkaResource, world_id: str, *, endings: int = 1) -> list[ReceivedEvent]:
    """The events of this world, after this number of final events."""

    def enough(events: list[ReceivedEvent]) -> bool:
        return sum(ended([one]) for one in events if one.key == world_id) >= endings

    return [one for one in read_topic(kafka, enough) if one.key == world_id]  # type: ignore[arg-type]


def outbox(worlds: Worlds, world_id: str) -> list[dict[str, Any]]:
    return [row["event"] for row in worlds.database[WORLD_EVENTS].find({"world_id": world_id}).sort("seq")]


def test_a_world_has_events_from_its_order_to_its_end(worlds: Worlds, kafka: KafkaResource, made: tuple[str, Made]) -> None:
    """Each stage starts and finishes once, each person and post has one event; the events are numbered without gaps, have the run's
    id, and end with completed."""
    events = durable(events_of(kafka, made[0]))
    assert numbers(events) == list(range(1, len(events) + 1))
    said = Counter(one.says for one in events)
    assert said == {
        "world_created": 1,
        **{f"stage_{moved} {stage.value}": 1 for stage in Stage for moved in ("started", "finished")},
        "character_created": USERS,
        "post_published": POSTS,
        "completed": 1,
    }
    order = [one.says for one in events]
    assert (order[0], order[1], order[-1]) == ("world_created", "stage_started initializing", "completed")
    for stage, event in ((Stage.CHARACTERS, "character_created"), (Stage.POSTS, "post_published")):
        places = [place for place, one in enumerate(order) if one == event]
        assert order.index(f"stage_started {stage.value}") < places[0]
        assert places[-1] < order.index(f"stage_finished {stage.value}")
    assert {one.body["generation"] for one in events[1:]} == {made[1].run_id}
    assert events[0].body["run_id"] is None
    assert {one.body["run_id"] for one in events[1:]} == {made[1].run_id}


def test_every_event_is_valid_and_equal_to_the_outbox(worlds: Worlds, kafka: KafkaResource, made: tuple[str, Made]) -> None:
    """Each body, including progress, is unchanged after it is parsed and written again; the stored events are the sent ones."""
    events = events_of(kafka, made[0])
    for one in events:
        assert one.event.model_dump(mode="json") == one.body
        assert (one.body["version"], one.body["world_id"]) == (1, made[0])
    assert [one.body for one in durable(events)] == outbox(worlds, made[0])
    progress = [one for one in events if one.body["event_type"] == "progress"]
    assert progress
    assert worlds.raw_status(made[0])["events_sent"] == worlds.raw_status(made[0])["events_seq"]


def test_events_of_people_and_posts_have_everything_that_a_feed_shows(
    worlds: Worlds, kafka: KafkaResource, made: tuple[str, Made]
) -> None:
    """The event has the values of the materialized documents, and the picture of the author if it existed."""
    events = [one.event for one in durable(events_of(kafka, made[0]))]
    people = {person.key: person for person in worlds.documents("characters", made[0])}
    avatars = {avatar.key: avatar.avatar.url for avatar in worlds.documents("character_avatars", made[0])}
    posts = {post.key: post for post in worlds.documents("posts", made[0])}
    published = {image.key: image for image in worlds.documents("post_images", made[0])}
    created = {event.key: event for event in events if isinstance(event, CharacterCreated)}
    assert {(key, event.character_id, event.username) for key, event in created.items()} == {
        (key, person.character_id, person.username) for key, person in people.items()
    }
    posted = {event.key: event for event in events if isinstance(event, PostPublished)}
    assert set(posted) == set(posts)
    for key, event in posted.items():
        assert (event.content, event.hashtags, event.mentions) == (posts[key].content, posts[key].hashtags, posts[key].mentions)
        assert (event.post_id, event.image_url) == (published[key].post_id, published[key].image.url)
        assert (event.character_key, event.deleted) == (posts[key].character, False)
        assert event.avatar_url in (None, avatars[event.character_key])


def test_a_part_made_again_is_a_generation_of_its_own(worlds: Worlds, kafka: KafkaResource, made: tuple[str, Made]) -> None:
    """One post is made again: only its stage starts and finishes, the post has a new event with its author's picture, and the
    numbers continue."""
    before = len(outbox(worlds, made[0]))
    again = worlds.run(made[0], select=("posts", "post_images"), keys=["c0000-p0000"])
    assert again.success, again.failure
    events = durable(events_of(kafka, made[0], endings=2))[before:]
    assert [one.says for one in events] == [
        "stage_started posts",
        "post_published",
        "stage_finished posts",
        "stage_started finishing",
        "stage_finished finishing",
        "completed",
    ]
    assert numbers(events) == list(range(before + 1, before + 7))
    assert {one.body["generation"] for one in events} == {again.run_id}
    assert events[1].body["key"] == "c0000-p0000"
    assert events[1].body["avatar_url"] is not None


def test_a_used_up_budget_sends_cancelled_and_a_resumed_world_completes(worlds: Worlds, kafka: KafkaResource) -> None:
    """The event has a reason for people; earlier events are not repeated, and no stage starts twice."""
    world_id, stopped = worlds.make(max_cost_usd=0.02)
    assert not stopped.success
    cancelled = durable(events_of(kafka, world_id))[-1]
    assert (cancelled.body["event_type"], cancelled.body["reason"]) == ("cancelled", "budget")
    assert "--max-cost-usd" in cancelled.body["message"]
    worlds.database[STATUS].update_one({"_id": world_id}, {"$set": {"cost_limit_usd": 10.0}})
    resumed = worlds.resume(world_id)
    assert resumed.success, resumed.failure
    events = durable(events_of(kafka, world_id, endings=2))
    said = Counter(one.says for one in events)
    assert (said["going_on resume"], said["completed"]) == (1, 1)
    assert (said["character_created"], said["post_published"]) == (USERS, POSTS)
    after = [one.says for one in events[events.index(cancelled) + 1 :]] if cancelled in events else []
    assert (after[0], after[-1]) == ("going_on resume", "completed")
    assert len({one.body["key"] for one in events if one.says == "post_published"}) == POSTS
    failed_stage = cancelled.body["current_stage"]  # this stage starts again, the others continue
    assert {name for name, count in said.items() if name.startswith("stage_started") and count > 1} <= {
        f"stage_started {failed_stage}"
    }
    assert {name: count for name, count in said.items() if name.startswith("stage_finished") and count != 1} == {}


def test_dagsters_retry_of_a_run_of_a_completed_world_sends_no_event(worlds: Worlds, made: tuple[str, Made]) -> None:
    """The world was completed; storing it again is no event."""
    before = outbox(worlds, made[0])
    generation = worlds.status(made[0]).generation
    parent = worlds.made(str(generation))
    tags = {**parent.run.tags, "dagster/is_resume_retry": "true"}
    tags.pop(GENERATION_TAG, None)
    retried = worlds.run(made[0], select=("posts", "post_images"), keys=["c0000-p0000"], tags=tags, parent=parent)
    assert retried.success, retried.failure
    assert outbox(worlds, made[0]) == before


def test_the_watchdog_sends_the_events_of_a_world_that_was_made_during_an_outage_of_kafka(
    tmp_path: Path, mongodb_uri: str, broker: str, gemini: str
) -> None:
    """A world can be made without Kafka; when Kafka is back one tick sends all events, in order, and the next tick none."""
    away: dict[str, Any] = {"broker": "127.0.0.1:1", "kafka_progress_topic": "events-sent-late"}
    with worlds_in_process(tmp_path, mongodb_uri=mongodb_uri, gemini=gemini, **away) as worlds:
        world_id, made = worlds.make()
        assert made.success, made.failure
        owed = outbox(worlds, world_id)
        assert (
            tick(worlds, events_kafka("127.0.0.1:1")) == "every unfinished world is being worked on; live events wait in the outbox"
        )
        assert worlds.raw_status(world_id)["events_sent"] == 0
        back = events_kafka(broker, topic="events-sent-late")
        assert tick(worlds, back) == f"every unfinished world is being worked on; {len(owed)} live events were caught up"
        assert [one.body for one in read_topic(back, ended)] == owed
        assert tick(worlds, back) == "every unfinished world is being worked on"


def tick(worlds: Worlds, kafka: KafkaResource) -> str | None:
    """The message of a tick of the watchdog that requests no run."""
    sensor: Any = build_watchdog(world_job, worlds.settings)
    mongo = MongoResource(uri=worlds.settings.mongodb_uri.get_secret_value(), database=worlds.settings.mongodb_database)
    result = sensor(dg.build_sensor_context(instance=worlds.instance), mongo=mongo, kafka=kafka)
    assert isinstance(result, dg.SensorResult)
    return result.skip_reason.skip_message if result.skip_reason else None
