"""Extending a completed world: existing documents do not change, and new ones continue from there."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import pytest

from generia_assets.assets.checks import ALL
from generia_assets.assets.checks.finding import World
from generia_assets.catalog import TaskType
from generia_assets.content import social
from generia_assets.content.keys import character_index
from generia_assets.durable.orders.order import ExtensionParameters, Order, OrderError
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.status import State
from generia_assets.durable.tasks.control import ResumeOptions, give_up, resume_world
from generia_assets.queries.traces import trace
from sensors.requests import run_request
from sensors.run_status import assets_of, order_again
from tests.assets.test_rerun import on_platform, stored
from tests.support.worlds_in_process import Made, Worlds

PEOPLE, POSTS = 4, 9


def extend(worlds: Worlds, world_id: str, **parameters: Any) -> Made:
    """Execute the run of a message that extends the world."""
    order = Order(world_id, ExtensionParameters(**parameters), task_id=str(uuid.uuid4()))
    recorded = record_order(worlds.database, order, max_users=50, max_posts=100)
    request = run_request(recorded.order)
    return worlds.run(world_id, select=[key.path[-1] for key in request.asset_selection or ()], tags=request.tags)


def go_on(worlds: Worlds, world_id: str) -> Made:
    """Execute the run with which the watchdog continues the world after ``generia resume``."""
    status = worlds.status(world_id)
    request = order_again(status, None, assets_of(worlds.database, status))
    return worlds.run(world_id, select=[key.path[-1] for key in request.asset_selection or ()], tags=request.tags)


def made_world(worlds: Worlds, name: str) -> str:
    world_id, made = worlds.make(name, users=PEOPLE, posts=POSTS)
    assert made.success, made.failure
    return world_id


def task_of(worlds: Worlds, made: Made) -> dict[str, Any]:
    """The task of the order that a run executed."""
    found = worlds.database["tasks"].find_one({"_id": made.run.tags[".dagster/generia_task_id"]})
    assert found is not None
    return found


def require_good(worlds: Worlds, world_id: str) -> None:
    """Every asset check with severity error passes for the whole world."""
    world = World(world_id, worlds.database, worlds.settings.media_dir)
    for check in ALL:
        result = check.evaluate(world)
        assert result.passed or result.severity.name == "WARN", f"{check.name}: {result.description}"


def without_counts(documents: dict[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """All documents except the request, whose counts an extension raises."""
    return {name: found for name, found in documents.items() if name != "world_request"}


def require_kept(before: dict[str, dict[str, dict[str, Any]]], after: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Every earlier document exists and is unchanged."""
    for name, found in without_counts(before).items():
        assert {key: after[name][key] for key in found} == found, name


@pytest.fixture(scope="module")
def extended(the_worlds: Worlds) -> tuple[str, dict[str, Any], dict[str, Any], Made, int]:
    """A world, its documents and the platform's people before the extension, the run, and its LLM calls."""
    world_id = made_world(the_worlds, "extended")
    before, people, calls = stored(the_worlds, world_id), on_platform(the_worlds, world_id), the_worlds.calls
    made = extend(the_worlds, world_id, add_users=8, add_posts=20)
    assert made.success, made.failure
    return world_id, before, people, made, the_worlds.calls - calls


def test_existing_documents_stay_and_new_ones_have_the_next_keys(worlds: Worlds, extended: Any) -> None:
    """Documents, platform ids and places are unchanged; the sums are exact; no call was made for existing items."""
    world_id, before, people, made, calls = extended
    after, status = stored(worlds, world_id), worlds.status(world_id)
    require_kept(before, after)
    assert people.items() <= on_platform(worlds, world_id).items()
    assert sorted(after["characters"]) == [f"c{index:04d}" for index in range(PEOPLE + 8)]
    assert sorted(document["t"] for document in after["post_images"].values()) == list(range(POSTS + 20))
    assert {after["posts"][key]["t"] for key in after["posts"].keys() - before["posts"].keys()} == set(range(POSTS, POSTS + 20))
    assert (status.users_created, status.posts_created, status.users_predicted, status.posts_predicted) == (12, 29, 12, 29)
    assert status.tasks_completed == status.task_predicted == status.tasks_total
    assert status.parameters["former_sizes"] == [[PEOPLE, POSTS]]
    assert calls <= status.api_call_limits_LLM
    assert calls == status.api_calls_made_LLM
    assert task_of(worlds, made)["status"] == "completed"
    for key in before["posts"]:  # an extension adds to a batch of ideas that was made before
        idea = trace(worlds.database, world_id, key).step(TaskType.GENERATE_POST_BATCH)
        assert idea is not None and idea.made is not None and idea.generation != status.generation
    world = worlds.platform["platform_worlds"].find_one({"_id": world_id})
    assert (world["users_count"], world["posts_count"]) == (12, 29)
    require_good(worlds, world_id)


def test_new_people_know_old_ones_and_posts_go_on(worlds: Worlds, extended: Any) -> None:
    """A new person's document has all their ties; old and new people post; a new post replies to the author of an old one."""
    world_id, *_ = extended
    request, people = worlds.documents("world_request", world_id)[0], worlds.documents("characters", world_id)
    names = {person.key: person.username for person in people}
    for person in people[PEOPLE:]:
        ties = social.acquaintances(request.seed, *request.size[:1], character_index(person.key), request.size.former)
        assert {tie.username for tie in person.relationships} == {names[f"c{tie.index:04d}"] for tie in ties}
    old = {person.username for person in people[:PEOPLE]}
    assert any(tie.username in old for person in people[PEOPLE:] for tie in person.relationships)
    new = [post for post in worlds.documents("posts", world_id) if post.t >= POSTS]
    assert {character_index(post.character) < PEOPLE for post in new} == {True, False}
    assert any(post.in_reply_to for post in new)
    published = [image.published_at for image in sorted(worlds.documents("post_images", world_id), key=lambda image: image.t)]
    assert published == sorted(published)


def test_a_rerun_replaces_only_the_named_old_or_new_items(worlds: Worlds, extended: Any) -> None:
    """An old person and a new one, an old post and a new one are made again; their draws, and all other items, stay."""
    world_id, *_ = extended
    old_post = next(post.key for post in worlds.documents("posts", world_id) if post.t < POSTS and post.character != "c0001")
    new_post = next(post.key for post in worlds.documents("posts", world_id) if post.t >= POSTS and post.character != "c0001")
    for form in ({"character": "c0001"}, {"character": "c0009"}, {"post": old_post}, {"post": new_post}):
        before = stored(worlds, world_id)
        made = worlds.launch("rerun_post" if "post" in form else "rerun_character", world_id, **form)
        assert made.success, made.failure
        after = stored(worlds, world_id)
        for name in ("posts", "post_briefs"):
            same = ("t", "after", "moment", "in_reply_to", "wish", "order")
            assert {key: [one.get(field) for field in same] for key, one in after[name].items()} == {
                key: [one.get(field) for field in same] for key, one in before[name].items()
            }
        changed = {key for key, one in after["posts"].items() if one != before["posts"][key]}
        assert changed == {key for key in after["posts"] if key.startswith(tuple(form.values()))}
        assert after["world_request"] == before["world_request"]
    require_good(worlds, world_id)


def test_extended_again_by_people_only_and_by_posts_only(worlds: Worlds, extended: Any) -> None:
    """Each extension starts at the end of the world at that time."""
    world_id, *_ = extended
    for added in ({"add_users": 2}, {"add_posts": 5}):
        before = stored(worlds, world_id)
        made = extend(worlds, world_id, **added)
        assert made.success, made.failure
        require_kept(before, stored(worlds, world_id))
    status = worlds.status(world_id)
    assert (status.users_created, status.posts_created) == (14, 34)
    assert status.parameters["former_sizes"] == [[4, 9], [12, 29], [14, 29]]
    require_good(worlds, world_id)


def cut_off(worlds: Worlds, world_id: str, how: str) -> Made:
    """An extension that reaches its cap and fails, or reaches the model's daily quota and is suspended."""
    cap = worlds.raw_status(world_id)["llm_cost_total"] * 1.2 if how == "cap" else None
    assert worlds.gemini is not None
    if how == "outage":
        worlds.gemini.set_faults(requests_per_day=6)
    made = extend(worlds, world_id, add_users=4, add_posts=8, max_cost_usd=cap)
    worlds.gemini.reset()
    assert ("cap of" if how == "cap" else "suspended and can be resumed") in made.failure
    return made


@pytest.mark.parametrize(("how", "then"), [("cap", "outage"), ("outage", "cap")])
def test_an_interrupted_extension_leaves_the_world_unchanged_and_can_be_resumed_or_given_up(
    worlds: Worlds, how: str, then: str
) -> None:
    """Readers see the earlier world; another extension is refused; ``resume`` makes the missing items; nothing is paid twice. After
    ``stop --give-up`` the world is completed as before, and another extension can start.
    """
    world_id = made_world(worlds, f"cut-off-by-{how}")
    before, visible, status = stored(worlds, world_id), worlds.snapshot(world_id), worlds.raw_status(world_id)
    made = cut_off(worlds, world_id, how)
    assert worlds.snapshot(world_id) == visible
    now = worlds.raw_status(world_id)
    if how == "cap":
        kept = ("status", "users_created", "posts_created", "users_predicted", "posts_predicted", "parameters", "generation")
        assert {name: now[name] for name in kept} == {name: status[name] for name in kept}
        assert task_of(worlds, made)["status"] == "failed"
    refused = extend(worlds, world_id, add_users=1)
    assert "First: generia" in refused.failure
    resume_world(worlds.database, world_id, ResumeOptions(max_cost_usd=50.0))
    again = go_on(worlds, world_id)
    assert again.success, again.failure
    require_kept(before, stored(worlds, world_id))
    rows = worlds.database["api_requests_history"].find({"world_id": world_id, "api_type": {"$ne": "platform"}, "outcome": "ok"})
    assert max(Counter((row["task_id"], row["request_type"]) for row in rows).values()) == 1
    assert (worlds.status(world_id).users_created, worlds.status(world_id).posts_created) == (PEOPLE + 4, POSTS + 8)
    assert task_of(worlds, made)["status"] == "completed"
    require_good(worlds, world_id)
    before = stored(worlds, world_id)
    cut_off(worlds, world_id, then)
    assert give_up(worlds.database, world_id)
    given_up = worlds.status(world_id)
    assert (given_up.status, given_up.unfinished, given_up.users_predicted) == (State.COMPLETED, None, PEOPLE + 4)
    assert stored(worlds, world_id) == before
    made = extend(worlds, world_id, add_posts=3, max_cost_usd=50.0)
    assert made.success, made.failure
    require_kept(before, stored(worlds, world_id))
    require_good(worlds, world_id)


def test_an_extension_too_large_is_refused_at_the_order(worlds: Worlds, extended: Any) -> None:
    """MAX_USERS and MAX_POSTS limit the sum, and an order that adds nothing is invalid."""
    world_id, *_ = extended
    with pytest.raises(OrderError, match="MAX_USERS"):
        extend(worlds, world_id, add_users=39)
    with pytest.raises(OrderError, match="no such world"):
        extend(worlds, str(uuid.uuid4()), add_users=1)
    with pytest.raises(ValueError, match="adds one or more"):
        extend(worlds, world_id)


@pytest.mark.case("P29")
def test_the_smallest_worlds_are_extended(worlds: Worlds) -> None:
    """A world of one person with one post, and one without posts: existing items stay, and everybody has the planned posts. If the
    whole world is made again, it has as many people and posts, in the same places.
    """
    for posts in (1, 0):
        world_id, made = worlds.make(users=1, posts=posts)
        assert made.success, made.failure
        for added in ({"add_posts": 3}, {"add_users": 1, "add_posts": 1}):
            before = stored(worlds, world_id)
            made = extend(worlds, world_id, **added)
            assert made.success, made.failure
            require_kept(before, stored(worlds, world_id))
        assert worlds.status(world_id).posts_created == posts + 4
        if posts:  # which had no planned idea: the request of the next post contains its text
            only = worlds.documents("posts", world_id)[0].content
            asked = worlds.database["api_requests_history"].find({"world_id": world_id, "request_type": "post_batch"})
            assert only in str(next(asked)["request_data"])
        require_good(worlds, world_id)
        if posts:
            places = {post.key: (post.t, post.in_reply_to) for post in worlds.documents("posts", world_id)}
            made = worlds.run(world_id)
            assert made.success, made.failure
            assert {post.key: (post.t, post.in_reply_to) for post in worlds.documents("posts", world_id)} == places
            require_good(worlds, world_id)
