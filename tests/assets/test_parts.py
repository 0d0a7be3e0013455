"""Parts of a world made again: only the selected items change."""

from __future__ import annotations

import pytest

from generia_assets.catalog import ASSETS
from generia_assets.durable.status import State
from tests.support.worlds_in_process import POSTS, USERS, Made, Worlds


@pytest.fixture(scope="module")
def world_id(the_worlds: Worlds) -> str:
    """One world of which every test below makes some part again; their assumptions hold after each of them."""
    world_id, made = the_worlds.make()
    assert made.success, made.failure
    return world_id


def remade(worlds: Worlds, world_id: str, *select: str, keys: tuple[str, ...] = ()) -> tuple[Made, int]:
    """Make these assets again; return the run, and the number of its LLM calls."""
    before = worlds.calls
    made = worlds.run(world_id, select=select, keys=keys)
    assert made.success, made.failure
    return made, worlds.calls - before


@pytest.mark.parametrize(
    ("select", "llm_calls", "tasks"),
    [
        (("world_description",), 1, {"generate_world_description": 1}),
        (("world_images",), 1, {"generate_world_image": 1}),
        (("character_briefs",), 1, {"generate_character_batch": 1}),
        (("characters",), USERS, {"generate_character": USERS}),
        (("character_avatars",), 0, {"generate_character_avatar": USERS}),
        (("post_briefs",), None, {"generate_post_batch": USERS}),
        (("posts",), POSTS, {"generate_post": POSTS}),
        (("post_images",), 0, {"generate_post_image": POSTS}),
        (("posts", "post_images"), POSTS, {"generate_post": POSTS, "generate_post_image": POSTS}),
        (
            ("character_briefs", "characters", "character_avatars"),
            1 + USERS,
            {"generate_character_batch": 1, "generate_character": USERS, "generate_character_avatar": USERS},
        ),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
def test_a_part_made_again_executes_only_its_own_tasks(
    worlds: Worlds, world_id: str, select: tuple[str, ...], llm_calls: int | None, tasks: dict[str, int]
) -> None:
    """Only the selected assets' tasks run, only their documents are replaced, and the world ends completed and counted."""
    before, created = worlds.snapshot(world_id), worlds.status(world_id)
    made, calls = remade(worlds, world_id, *select)
    after, status = worlds.snapshot(world_id), worlds.status(world_id)
    planners = sum(person.posts_count > 1 for person in before["characters"])  # a single post is planned without a call
    assert calls == (planners if llm_calls is None else llm_calls)
    assert worlds.tasks(world_id) == tasks
    assert {name for name in ASSETS if name not in select and before[name] != after[name]} == set()
    assert {name: len(found) for name, found in after.items()} == {name: len(found) for name, found in before.items()}
    assert set(made.metadata) == set(select)
    assert status.status is State.COMPLETED
    assert status.generation == made.run_id != created.generation
    assert status.task_predicted == status.tasks_total == status.tasks_completed == sum(tasks.values())
    assert (status.users_created, status.posts_created) == (USERS, POSTS)
    assert [stage.status for stage in status.stages] == [State.COMPLETED] * 6
    stored = {row["_id"].rpartition(":")[2]: row["materialization"] for row in worlds.database["materializations"].find()}
    assert {name for name, kind in ASSETS.items() if stored[kind.collection] == made.run_id} == set(select)


@pytest.mark.parametrize(
    ("keys", "tasks"),
    [
        (("c0001",), {"generate_character_avatar": 1, "generate_post": None, "generate_post_image": None}),
        (("POST",), {"generate_post": 1, "generate_post_image": 1}),
    ],
    ids=["a person", "a post"],
)
def test_keys_make_only_those_items_again(
    worlds: Worlds, world_id: str, keys: tuple[str, ...], tasks: dict[str, int | None]
) -> None:
    """Only the named items of the selected assets are made; all others, and their number, stay."""
    before = worlds.snapshot(world_id)
    post = next(post for post in before["posts"] if post.character == "c0001")
    keys = tuple(post.key if key == "POST" else key for key in keys)
    own = sum(post.character == "c0001" for post in before["posts"])
    expected = {name: own if count is None else count for name, count in tasks.items()}
    made, calls = remade(worlds, world_id, "character_avatars", "posts", "post_images", keys=keys)
    after, status = worlds.snapshot(world_id), worlds.status(world_id)
    assert worlds.tasks(world_id) == expected
    assert calls == expected["generate_post"]
    assert {name: [item.key for item in found] for name, found in after.items()} == {
        name: [item.key for item in found] for name, found in before.items()
    }
    for name in ("character_avatars", "posts", "post_images"):
        kept = [(old, new) for old, new in zip(before[name], after[name], strict=True) if not old.key.startswith(keys)]
        assert kept
        assert all(old == new for old, new in kept)
    republished = {
        new.key for old, new in zip(before["post_images"], after["post_images"], strict=True) if old.post_id != new.post_id
    }
    assert len(republished) == expected["generate_post_image"]
    assert status.status is State.COMPLETED
    assert status.task_predicted == status.tasks_completed == sum(expected.values())
    assert (status.users_created, status.posts_created) == (USERS, POSTS)
    assert status.api_call_limits_LLM < 2 * expected["generate_post"] + 2
    assert made.metadata["posts"]["documents"] == POSTS


def test_a_regenerated_character_leaves_all_other_names_and_concepts(worlds: Worlds, world_id: str) -> None:
    """With all content selected and one person named, only this person is invented again; the platform's character stays."""
    before = worlds.snapshot(world_id)
    own = sum(post.character == "c0000" for post in before["posts"])
    _, calls = remade(
        worlds, world_id, *(name for name in ASSETS if name not in ("world_request", "world_description")), keys=("c0000",)
    )
    after, status = worlds.snapshot(world_id), worlds.status(world_id)
    assert after["character_briefs"][1:] == before["character_briefs"][1:]
    assert after["character_briefs"][0].concept != before["character_briefs"][0].concept
    assert after["world_images"] == before["world_images"]
    assert [person.key for person in after["characters"]] == [person.key for person in before["characters"]]
    assert after["characters"][0].character_id == before["characters"][0].character_id
    assert calls == 3 + own
    assert (status.users_created, status.posts_created) == (USERS, POSTS)


@pytest.mark.parametrize("key", ["c00001", "c0003", "c0000-p0099", "everybody"])
def test_a_key_that_does_not_exist_is_refused_by_name(worlds: Worlds, world_id: str, key: str) -> None:
    """A mistyped key makes, costs and changes nothing; the message has the key and what keys look like."""
    before, status, calls = worlds.snapshot(world_id), worlds.status(world_id), worlds.calls
    made = worlds.run(world_id, select=["posts"], keys=[key])
    assert not made.success
    assert f"'{key}'" in made.failure
    assert "c0000" in made.failure
    assert worlds.calls == calls
    assert worlds.snapshot(world_id) == before
    assert worlds.status(world_id).generation == status.generation


def test_keys_apply_to_the_whole_run(worlds: Worlds, world_id: str) -> None:
    """A run over the description and the posts of some items makes no other posts, although another step opened the world first."""
    post = worlds.snapshot(world_id)["posts"][0]
    _, calls = remade(worlds, world_id, "world_description", "posts", "post_images", keys=(post.key,))
    assert calls == 2
    assert worlds.tasks(world_id) == {"generate_world_description": 1, "generate_post": 1, "generate_post_image": 1}
