"""The launch form: a person orders a world, and an invalid form gives a message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import State
from generia_assets.durable.tasks.control import prioritise
from resources.gateway.api_gateway import ApiGateway
from tests.support.command import Command
from tests.support.worlds_in_process import CONTENT_ASSETS, PROMPT, Worlds


def test_a_world_needs_no_kafka(worlds: Worlds) -> None:
    """A world that is ordered by the form is completed although the broker cannot be reached; its order is recorded like that of a
    message."""
    settings = worlds.settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    alone = Worlds(settings, worlds.settings.mongodb_uri.get_secret_value(), "")
    world_id, made = alone.make("no-kafka", users=1, posts=1, quality="high", max_cost_usd=5.0, seed=7)
    assert made.success, made.failure
    status = alone.status(world_id)
    assert status.status is State.COMPLETED
    assert (status.parameters["quality"], status.parameters["seed"]) == ("high", 7)
    assert status.cost_limit_usd == 5.0
    order = alone.database["tasks"].find_one({"_id": status.parameters["task_id"]})
    assert order is not None
    assert (order["type"], order["status"]) == ("init_world_creation", "completed")
    alone.client.close()
    alone.instance.dispose()


def test_a_world_has_the_priority_of_its_newest_form_and_its_calls_are_weighted_by_it(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run has the slots of that priority from its first call on; a run that makes a part again has the world's priority."""
    weighed: list[int] = []
    weigh = ApiGateway.weigh

    def noted(gateway: ApiGateway, priority: int) -> None:
        weighed.append(priority)
        weigh(gateway, priority)

    monkeypatch.setattr(ApiGateway, "weigh", noted)
    world_id, made = worlds.make("of-priority", users=1, posts=1, priority=4)
    assert made.success, made.failure
    assert (worlds.status(world_id).priority, set(weighed)) == (4, {4})
    weighed.clear()
    assert worlds.make(world_id, users=1, posts=1, priority=-3)[1].success
    assert (worlds.status(world_id).priority, weighed[0], weighed[-1]) == (-3, -3, -3)
    weighed.clear()
    prioritise(worlds.database, world_id, 9)
    assert worlds.run(world_id, select=["world_images"]).success
    assert (worlds.status(world_id).priority, set(weighed)) == (9, {9})


@pytest.mark.parametrize(
    ("world_id", "form", "said"),
    [
        ("unordered", {}, "world unordered was never ordered: give prompt, users and posts in the launch form"),
        ("no-users", {"prompt": PROMPT, "users": 0}, "parameters.users_count=0"),
        ("no-posts", {"prompt": PROMPT, "posts": -1}, "parameters.posts_count=-1"),
        (
            "many-users",
            {"prompt": PROMPT, "users": 100_001},
            "parameters.users_count=100001: at most 100000 are accepted (MAX_USERS",
        ),
        ("many-posts", {"prompt": PROMPT, "posts": 1_000_001}, "parameters.posts_count=1000001: at most 1000000"),
        ("negative-cap", {"prompt": PROMPT, "max_cost_usd": -1.0}, "parameters.max_cost_usd=-1.0"),
        ("negative-seed", {"prompt": PROMPT, "seed": -1}, "parameters.seed=-1"),
        ("wordless", {"prompt": "?! 123"}, "parameters.user_prompt='?! 123': has no words"),
        ("control-characters", {"prompt": "\x00\x1b\x07\u202e"}, "has no words"),
        ("a world/../etc", {"prompt": PROMPT}, "name a world by letters, digits, - and _"),
        ("w" * 65, {"prompt": PROMPT}, "at most 64"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
)
def test_an_invalid_form_fails_with_its_reason_and_records_nothing(
    worlds: Worlds, world_id: str, form: dict[str, Any], said: str
) -> None:
    """The run fails at once with the field, the value and what is allowed; no call is made and nothing is recorded."""
    calls = worlds.calls
    made = worlds.run(world_id, form=form)
    assert not made.success
    assert said in made.failure
    assert worlds.calls == calls
    assert worlds.database[STATUS].find_one({"_id": world_id}) is None


@pytest.mark.case("S11")
def test_an_existing_world_is_made_again_with_its_old_order_or_the_new_form(worlds: Worlds, generia: Command) -> None:
    """Without a prompt the old order is used, with the same number of calls; with one, prompt and counts are the new ones.
    Characters are changed in place, and none exists twice. Superseded objects are counted and shown.
    """
    began = worlds.calls
    world_id, first = worlds.make("again", users=2, posts=3)
    before, calls = worlds.snapshot(world_id), worlds.calls - began
    second = worlds.run(world_id)
    assert second.success, second.failure
    assert worlds.calls - began == 2 * calls
    after = worlds.snapshot(world_id)
    assert worlds.status(world_id).generation == second.run_id != first.run_id
    assert after["world_request"] == [
        before["world_request"][0].model_copy(update={"created_at": after["world_request"][0].created_at})
    ]
    assert [new.character_id for new in after["characters"]] == [old.character_id for old in before["characters"]]
    there = {row["_id"]: row["meta"] for row in worlds.platform["platform_characters"].find({"world_id": world_id})}
    assert {key: meta["username"] for key, meta in there.items()} == {one.character_id: one.username for one in after["characters"]}
    for name in CONTENT_ASSETS:
        assert len(before[name]) == len(after[name]) == worlds.database[name].count_documents({"world_id": world_id})
    former = {post.post_id for post in before["post_images"]}
    assert former.isdisjoint({post.post_id for post in after["post_images"]})
    assert worlds.status(world_id).superseded == {"media": 2 + 2 + 3, "post": 3}
    shown = json.loads(generia.call("show", world_id, "superseded", "--type", "post", "--json")[1])
    assert {row["answer"] for row in shown} == former
    assert "show again superseded" in generia.call("status", world_id)[1]
    third = worlds.run(world_id, form={"prompt": "Ein Leuchtturm im Moor", "users": 1, "posts": 2})
    assert third.success, third.failure
    now, status = worlds.snapshot(world_id), worlds.status(world_id)
    assert now["world_request"][0].user_prompt == "Ein Leuchtturm im Moor"
    assert (len(now["characters"]), len(now["posts"]), len(now["post_images"])) == (1, 2, 2)
    assert (status.users_predicted, status.posts_predicted, status.users_created, status.posts_created) == (1, 2, 1, 2)
    assert status.parameters["users_count"] == 1
    assert status.superseded == {"character": 1, "media": 2 * (2 + 2 + 3), "post": 6}


def test_a_world_of_people_without_posts_completes(worlds: Worlds) -> None:
    """If no posts are ordered, none are made, and the world completes."""
    world_id, made = worlds.make("silent", users=1, posts=0)
    assert made.success, made.failure
    status = worlds.status(world_id)
    assert (status.status, status.users_created, status.posts_created) == (State.COMPLETED, 1, 0)
    assert worlds.documents("posts", world_id) == []
