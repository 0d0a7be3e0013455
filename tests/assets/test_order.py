"""Posts are written along the world's timeline and published in its order: despite failures, hanging calls, full buffers and
stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from emulators.gemini.client import EmulatorControl
from generia_assets.assets import orchestrator, publication
from generia_assets.content.keys import character_key, post_key
from generia_assets.content.seeding import world_seed
from generia_assets.content.timeline import Timeline, timeline
from generia_assets.durable.collections import HISTORY, STEPS, TASKS, WORLD_EVENTS
from generia_assets.durable.status import State
from resources.gateway.calls import CUT_OFF
from tests.support.items_worlds import faults
from tests.support.waiting import wait_for
from tests.support.worlds_in_process import Worlds

PEOPLE, POSTS = 8, 20
HANG_SECONDS = 5.0
"""The deadline of a call in a world in which one hangs."""


SETTINGS: dict[str, Any] = {"gemini_max_reasks": 0}


@pytest.fixture
def worlds(the_worlds: Worlds) -> Iterator[Worlds]:
    with the_worlds.undamaged():
        yield the_worlds


def line_of(world_id: str) -> Timeline:
    return timeline(world_seed(world_id), PEOPLE, POSTS)


def key_at(world_id: str, t: int) -> str:
    line = line_of(world_id)
    return post_key(character_key(line.people[t]), line.orders[t])


def only_post(world_id: str, t: int) -> str:
    """Words that occur only in the requests for the post at this place."""
    line = line_of(world_id)
    index = line.people[t]
    return f"Post {line.orders[t] + 1} of {line.count_of(index)} of @"


def matches_once(world_id: str, t: int) -> bool:
    """Whether the words that name this post in a request name no other post."""
    return [only_post(world_id, other) for other in range(POSTS)].count(only_post(world_id, t)) == 1


def out(worlds: Worlds, world_id: str) -> list[int]:
    """The places of the posts in the order of publication, which is the same by the platform's clock, by ours and in the events."""
    place = {image.post_id: image.t for image in worlds.documents("post_images", world_id)}
    rows = worlds.platform["platform_posts"].find({"world_id": world_id}).sort("created_at")
    on_platform = [place[row["_id"]] for row in rows if row["_id"] in place]
    images = worlds.documents("post_images", world_id)
    assert [image.t for image in sorted(images, key=lambda image: (image.published_at, image.t))] == on_platform
    events = worlds.database[WORLD_EVENTS].find({"world_id": world_id, "event.event_type": "post_published"}).sort("seq")
    assert [row["event"]["t"] for row in events] == on_platform
    return on_platform


def requests(worlds: Worlds, world_id: str) -> Counter[str]:
    """Every answered call of the model, by its request."""
    rows = worlds.database[HISTORY].find({"world_id": world_id, "api_type": "llm", "outcome": {"$ne": CUT_OFF}})
    return Counter(repr(row["request_data"]) for row in rows)


def test_posts_that_give_up_waiting_are_published_in_order_and_painted_once(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one place for a waiting post and one for a task, all posts are published in order, without an extra picture or request.
    Ideas, posts and pictures have the places of the timeline, and a reply quotes the post that it answers.
    """
    monkeypatch.setattr(orchestrator, "PublicationOrder", lambda places, waiting: publication.PublicationOrder(places, waiting=1))
    monkeypatch.setattr(publication, "RESUMED", 2)
    narrow = Worlds(worlds.settings.model_copy(update={"task_concurrency": 3}), worlds.settings.mongodb_uri.get_secret_value(), "")
    try:
        faults(worlds, jitter=0.2)
        world_id, made = narrow.make("let-go", users=PEOPLE, posts=POSTS)
        assert made.success, made.failure
        assert out(worlds, world_id) == list(range(POSTS))
        status = worlds.status(world_id)
        assert status.api_calls_made_images == 2 + PEOPLE + POSTS
        media = worlds.platform["platform_media"].count_documents({"world_id": world_id})
        assert media == 2 + PEOPLE + POSTS
        assert worlds.database[STEPS].count_documents({"world_id": world_id}) == 0
        assert {task["attempt_count"] for task in worlds.database[TASKS].find({"world_id": world_id})} == {1}
        assert set(requests(worlds, world_id).values()) == {1}
        line, world = line_of(world_id), worlds.snapshot(world_id)
        texts = {post.key: post.content for post in world["posts"]}
        for asset in ("post_briefs", "posts", "post_images"):
            assert {document.key: document.t for document in world[asset]} == {key_at(world_id, t): t for t in range(POSTS)}
        replies = {post.t: post for post in world["posts"] if post.in_reply_to}
        assert set(replies) == {t for t in range(POSTS) if line.replies[t] >= 0} != set()
        for t, reply in replies.items():
            assert (reply.in_reply_to, reply.quote) == (key_at(world_id, line.replies[t]), texts[reply.in_reply_to])
        assert "first_post_at" in worlds.raw_status(world_id)
    finally:
        narrow.client.close()
        narrow.instance.dispose()


@pytest.mark.timeout(900)
def test_a_hanging_call_delays_the_feed_no_longer_than_its_deadline(worlds: Worlds) -> None:
    """The call of one early post hangs once: the others are written meanwhile, and all are published, in order, right after its
    deadline. If a machine is too slow to write the others within the deadline, the next world has a longer deadline.
    """
    named = ((f"hanging-{number}", t) for number in range(50) for t in range(POSTS // 3))
    hanging = ((world_id, t) for world_id, t in named if matches_once(world_id, t))
    for seconds in (HANG_SECONDS, 3 * HANG_SECONDS, 12 * HANG_SECONDS):
        with worlds.changed_settings(gemini_timeout_seconds=seconds):
            world_id, t = next(hanging)
            late = late_when_one_hangs(worlds, world_id, t, seconds)
        if late == set():
            return
    pytest.fail(f"the call at {t} of {world_id} hung for {seconds:g} s, and after that came what needs not wait for it: {late}")


def late_when_one_hangs(worlds: Worlds, world_id: str, hanging: int, seconds: float) -> set[str]:
    """The keys of posts that are late in a world whose post at ``hanging`` hangs once, without the replies to it."""
    faults(worlds, hang=1.0, only_matching=only_post(world_id, hanging))

    def heal() -> None:
        control = EmulatorControl(worlds.settings.gemini_base_url)
        wait_for(lambda: control.requests(contains=only_post(world_id, hanging)), what="the call that hangs", seconds=180)
        control.set_faults(hang=0.0)
        control.close()

    with ThreadPoolExecutor(1) as beside:
        healing = beside.submit(heal)
        _, made = worlds.make(world_id, users=PEOPLE, posts=POSTS)
        healing.result()
    assert made.success, made.failure
    assert out(worlds, world_id) == list(range(POSTS))
    asked = list(worlds.database[HISTORY].find({"world_id": world_id, "request_type": "post"}))
    hung = next(call for call in asked if call["outcome"] != "ok")
    assert hung["labels"]["key"] == key_at(world_id, hanging)
    assert hung["duration_ms"] >= seconds * 1000
    released = hung["created_at"] + timedelta(milliseconds=hung["duration_ms"])
    line, waiting_for_it = line_of(world_id), {hanging}  # its replies, and replies to them
    for t in range(POSTS):
        if line.replies[t] in waiting_for_it:
            waiting_for_it.add(t)
    written = {call["labels"]["key"] for call in asked if call["outcome"] == "ok" and call["created_at"] < released}
    need_not_wait = {key_at(world_id, t) for t in range(POSTS) if t not in waiting_for_it}
    assert written <= need_not_wait
    at = [image.published_at for image in sorted(worlds.documents("post_images", world_id), key=lambda image: image.t)]
    assert released < at[hanging]
    # After the deadline only that post and its replies are made, and posts are published.
    before_it = {key_at(world_id, t) for t in range(hanging) if at[t] >= released}
    after_it = {key_at(world_id, t) for t in range(hanging, POSTS) if at[t] - released >= timedelta(seconds=seconds)}
    return (need_not_wait - written) | before_it | after_it


def test_a_failed_post_leaves_the_others_in_order_and_can_be_made_later(worlds: Worlds) -> None:
    """Its replies are ordinary posts; when it is made again by its key, it is published last and gets its place ``t``, and no other
    document changes.
    """
    named = ((f"with-a-hole-{number}", t) for number in range(50) for t in range(POSTS))
    world_id, failed = next((world, t) for world, t in named if t in line_of(world).replies and matches_once(world, t))
    line = line_of(world_id)
    faults(worlds, broken_json=1.0, only_matching=only_post(world_id, failed))
    _, made = worlds.make(world_id, users=PEOPLE, posts=POSTS)
    assert made.success, made.failure
    worlds.gemini.reset()
    assert [failure.key for failure in worlds.status(world_id).failures] == [key_at(world_id, failed)]
    assert out(worlds, world_id) == [t for t in range(POSTS) if t != failed]
    before = {asset: {document.key: document for document in found} for asset, found in worlds.snapshot(world_id).items()}
    for t in range(POSTS):
        if line.replies[t] == failed:
            reply = before["posts"][key_at(world_id, t)]
            assert (reply.in_reply_to, reply.quote) == ("", "")
            assert before["post_briefs"][reply.key].in_reply_to == key_at(world_id, failed)
    made = worlds.run(world_id, select=["posts", "post_images"], keys=[key_at(world_id, failed)])
    assert made.success, made.failure
    after = {asset: {document.key: document for document in found} for asset, found in worlds.snapshot(world_id).items()}
    assert after["posts"][key_at(world_id, failed)].t == after["post_images"][key_at(world_id, failed)].t == failed
    for asset, documents in before.items():
        assert {key: after[asset][key] for key in documents} == documents
    assert out(worlds, world_id)[-1] == failed


@pytest.mark.parametrize("after_calls", [17, 28])
def test_a_world_that_was_stopped_continues_in_order_with_the_same_requests(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch, after_calls: int
) -> None:
    """If the budget ends while posts wait for their turn, nothing is published out of order; after a resume the world is completed
    with exactly the requests that it would have made, and every picture is painted once.
    """
    monkeypatch.setattr(orchestrator, "OPEN_POSTS", 1)
    world_id = f"stopped-{after_calls}"
    faults(worlds, jitter=0.1, no_credit=1.0, after_calls=after_calls, seed=after_calls)
    _, made = worlds.make(world_id, users=PEOPLE, posts=POSTS)
    assert not made.success
    assert worlds.status(world_id).status is not State.COMPLETED
    rows = worlds.database[WORLD_EVENTS].find({"world_id": world_id, "event.event_type": "post_published"}).sort("seq")
    published = [row["event"]["t"] for row in rows]
    assert published == list(range(len(published)))
    worlds.gemini.reset()
    again = worlds.resume(world_id)
    assert again.success, again.failure
    assert out(worlds, world_id) == list(range(POSTS))
    ok = [row["request_data"] for row in worlds.database[HISTORY].find({"world_id": world_id, "api_type": "llm", "outcome": "ok"})]
    assert len({repr(asked) for asked in ok}) == len(ok)
    assert worlds.platform["platform_media"].count_documents({"world_id": world_id}) == 2 + PEOPLE + POSTS
    asked = {row["labels"]["key"]: row["request_data"] for row in posts_asked(worlds, world_id)}
    line = line_of(world_id)
    for t in range(POSTS):
        assert ("Replies to @" in repr(asked[key_at(world_id, t)])) is (line.replies[t] >= 0)


def posts_asked(worlds: Worlds, world_id: str) -> list[dict[str, Any]]:
    """The answered requests for posts."""
    return list(worlds.database[HISTORY].find({"world_id": world_id, "request_type": "post", "outcome": "ok"}))
