"""Failures while a world is made: the world and the run name them, and the world can be resumed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from generia_assets.durable.collections import GENERATIONS, STATUS
from generia_assets.durable.status import Stage, State
from tests.support.worlds_in_process import POSTS, USERS, Made, Worlds

SETTINGS: dict[str, Any] = {
    "gemini_max_reasks": 0
}  # a damaged answer is a failed attempt at once, because a small world has few spare calls
WITH_CHECKS = True


@pytest.fixture
def worlds(the_worlds: Worlds) -> Iterator[Worlds]:
    with the_worlds.undamaged():
        yield the_worlds


def faults(worlds: Worlds, **changes: Any) -> None:
    assert worlds.gemini is not None
    worlds.gemini.set_faults(**changes)


def a_post_fails(worlds: Worlds, world_id: str) -> str:
    """Let the emulator damage every answer for one post of this world; return the key of the post."""
    ideas = worlds.documents("post_briefs", world_id)
    answered = {idea.in_reply_to for idea in ideas}
    post = next(idea for idea in ideas if idea.key not in answered)
    count = sum(idea.character == post.character for idea in ideas)
    # As the request for this post names it.
    faults(worlds, broken_json=1.0, only_matching=f"Post {post.order + 1} of {count} of @{post.username}.")
    return str(post.key)


@pytest.fixture(scope="module")
def with_a_hole(the_worlds: Worlds) -> tuple[str, str, Made]:
    """A world in which one post failed for good: the world, the key of the post, the run."""
    worlds = the_worlds
    assert worlds.gemini is not None
    worlds.gemini.reset()
    world_id, made = worlds.make("with-a-hole")
    assert made.success, made.failure
    key = a_post_fails(worlds, world_id)
    made = worlds.run(world_id, select=["posts", "post_images"])
    worlds.gemini.reset()
    return world_id, key, made


def test_a_world_with_a_failed_post_is_completed_and_the_checks_name_the_post(
    worlds: Worlds, with_a_hole: tuple[str, str, Made]
) -> None:
    """Everything else is made; the status record counts and names the failure, and so do both checks of missing items."""
    world_id, key, made = with_a_hole
    assert made.success, made.failure
    status = worlds.status(world_id)
    assert (status.status, status.tasks_failed) == (State.COMPLETED, 1)
    assert [(failure.type, failure.key) for failure in status.failures] == [("generate_post", key)]
    assert (len(worlds.documents("posts", world_id)), len(worlds.documents("post_images", world_id))) == (POSTS - 1, POSTS - 1)
    checks = made.checks
    assert {name for name, check in checks.items() if not check.passed} == {"exact_posts", "exact_publications"}
    for name in ("exact_posts", "exact_publications"):
        assert f"{POSTS - 1} of {POSTS}" in checks[name].description
        assert key in checks[name].description
    assert made.metadata["posts"]["failed_tasks"] == 1


def test_pictures_can_be_made_again_although_a_post_is_missing(worlds: Worlds, with_a_hole: tuple[str, str, Made]) -> None:
    """A missing post does not prevent the pictures of the other posts; the check still fails."""
    world_id, _, _ = with_a_hole
    made = worlds.run(world_id, select=["post_images"])
    assert made.success, made.failure
    assert len(worlds.documents("post_images", world_id)) == POSTS - 1
    assert not made.checks["exact_publications"].passed


def test_a_failed_item_can_be_made_by_its_key(worlds: Worlds, with_a_hole: tuple[str, str, Made]) -> None:
    """The advice of the check completes the world: counts, counters and checks are right again."""
    world_id, key, _ = with_a_hole
    made = worlds.run(world_id, select=["posts", "post_images"], keys=[key])
    assert made.success, made.failure
    status = worlds.status(world_id)
    assert (status.status, status.tasks_failed, status.posts_created, status.users_created) == (State.COMPLETED, 0, POSTS, USERS)
    assert len(worlds.documents("post_images", world_id)) == POSTS
    assert all(check.passed for check in made.checks.values())


def test_a_failed_description_fails_the_world_and_the_run_with_its_reason(worlds: Worlds) -> None:
    """After four attempts the world is failed in that stage, and the platform can read it."""
    faults(worlds, broken_json=1.0)
    world_id, made = worlds.make("undescribed")
    assert not made.success
    assert "generate_world_description world failed after 4 attempts" in made.failure
    status = worlds.status(world_id)
    assert (status.status, status.tasks_failed) == (State.FAILED, 1)
    assert "generate_world_description" in status.message
    assert status.message.endswith(f"generia resume {world_id} --retry-failed")  # without it the task would still be failed
    assert status.current_stage is Stage.WORLD_DESCRIPTION
    assert {stage.name: stage.status for stage in status.stages}[Stage.WORLD_DESCRIPTION] is State.FAILED
    assert status.owner.run_id is None


def test_a_refused_sentence_fails_the_smallest_world_with_a_message_for_its_user(worlds: Worlds) -> None:
    """Both steps of the fallback chain are used, within the few calls of one person without posts; the limit of calls is not
    reached."""
    faults(worlds, prompt_blocked=1.0, block_reasons=["SAFETY"])
    world_id, made = worlds.make("refused", users=1, posts=0)
    assert not made.success
    status = worlds.status(world_id)
    assert (status.status, status.parked, status.api_calls_made_LLM) == (State.FAILED, None, 2)
    assert "Word it differently and order the world again" in status.message
    assert status.message in made.failure
    again = worlds.resume(world_id)
    assert worlds.status(world_id).message == status.message
    assert status.message in again.failure


def test_if_all_concepts_are_refused_the_people_are_fallback_characters(worlds: Worlds) -> None:
    """Three calls and no failed task; everybody has a name and a profile, and the check names them as fallback characters."""
    faults(worlds, prompt_blocked=1.0, block_reasons=["SAFETY"], only_matching=f"Invent {USERS} people of this world")
    world_id, made = worlds.make("drawn-people")
    assert made.success, made.failure
    status = worlds.status(world_id)
    assert (status.status, status.tasks_failed, status.users_created, status.posts_created) == (State.COMPLETED, 0, USERS, POSTS)
    briefs = worlds.documents("character_briefs", world_id)
    assert all(brief.moderation.endswith("SAFETY") for brief in briefs)
    assert all(person.personality and not person.moderation for person in worlds.documents("characters", world_id))
    assert {name for name, check in made.checks.items() if not check.passed} == {"people_in_full"}
    assert made.checks["people_in_full"].metadata["wrong"].value == USERS


def test_a_wrong_api_key_ends_the_run_at_once_and_a_re_execution_continues(worlds: Worlds) -> None:
    """A fatal answer fails no task: the run's message says what to do, and with a right key the same generation is completed."""
    with worlds.changed_settings(gemini_api_key=SecretStr("bad-key")):
        world_id, made = worlds.make("wrong-key")
    assert not made.success
    assert "GEMINI_API_KEY" in made.failure
    assert "bad-key" not in made.failure
    assert worlds.status(world_id).status is State.FAILED
    assert worlds.calls == 1
    again = worlds.run(world_id, parent=made, form=None)
    assert again.success, again.failure
    status = worlds.status(world_id)
    assert (status.status, status.generation) == (State.COMPLETED, made.run_id)


def test_without_a_gemini_address_the_run_names_the_setting_and_the_world_is_failed(worlds: Worlds) -> None:
    """Without key and address the world is failed at once, so that nobody waits for it."""
    nowhere = Worlds(worlds.settings.model_copy(update={"gemini_base_url": ""}), worlds.settings.mongodb_uri.get_secret_value(), "")
    world_id, made = nowhere.make("no-gemini")
    assert not made.success
    assert "GEMINI_API_KEY is not set" in made.failure
    status = nowhere.status(world_id)
    assert status.status is State.FAILED
    assert "GEMINI_API_KEY is not set" in status.message
    nowhere.client.close()
    nowhere.instance.dispose()


def test_without_mongodb_the_run_names_the_address_and_how_to_start_mongodb(worlds: Worlds) -> None:
    """The failure is one sentence with the hosts and without the password."""
    nowhere = "mongodb://somebody:secret@127.0.0.1:1/?directConnection=true"  # pragma: allowlist secret
    with worlds.changed_settings(mongodb_uri=SecretStr(nowhere)):
        _, made = worlds.make("no-mongodb")
    assert not made.success
    assert re.search(r"MongoDB at 127\.0\.0\.1:1 did not answer.*make dev", made.failure)
    assert "secret" not in made.failure
    assert worlds.database[STATUS].find_one({"_id": "no-mongodb"}) is None


def test_an_exhausted_limit_of_calls_cancels_a_rerun_and_keeps_what_exists(worlds: Worlds) -> None:
    """Too many requests were repeated: the world is completed as before and names the limit; no call exceeds it."""
    world_id, made = worlds.make("dear")
    assert made.success, made.failure
    before = worlds.calls
    faults(worlds, broken_json=1.0)
    made = worlds.run(world_id, select=["posts"])
    assert not made.success
    assert "api_calls_made_LLM has reached api_call_limits_LLM" in made.failure
    status = worlds.status(world_id)
    assert (status.status, status.unfinished) == (State.COMPLETED, made.run_id)
    assert "api_call_limits_LLM" in status.message
    rerun = worlds.database[GENERATIONS].find_one({"_id": made.run_id}) or {}
    left = rerun["left"]
    # Calls that were in flight when the limit was reached were cut off: each counts, and raises the limit by one.
    assert left["api_calls_made_LLM"] == left["api_call_limits_LLM"] - left["calls_excused"]
    assert worlds.calls - before <= left["api_calls_made_LLM"]
    assert len(worlds.documents("posts", world_id)) == POSTS
