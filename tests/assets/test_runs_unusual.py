"""Worlds after unusual events of their runs."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from generia_assets.assets.checks import ALL as CHECKS
from generia_assets.assets.checks.finding import World
from generia_assets.catalog import ASSETS, TaskType
from generia_assets.durable.orders.decisions import TASK_TAG
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.status import State
from generia_assets.durable.tasks.control import ResumeOptions, resume_world
from generia_assets.partitions import worlds as partitions
from sensors.requests import run_request
from tests.support.command import Command
from tests.support.dagster_internals import ReexecutionStrategy, get_and_update_asset_status_cache_value
from tests.support.durable_world import order_of
from tests.support.worlds_in_process import PROMPT, Worlds

PEOPLE, POSTS = 2, 3


SETTINGS: dict[str, Any] = {"gemini_max_reasks": 0}


@pytest.fixture
def worlds(the_worlds: Worlds) -> Iterator[Worlds]:
    with the_worlds.undamaged():
        yield the_worlds


@pytest.mark.case("S10")
@pytest.mark.parametrize("answered", [0, 4], ids=["while it is described", "among its people"])
def test_a_world_whose_partition_is_deleted_while_it_is_made_is_completed(
    worlds: Worlds, instance_folder: Path, answered: int
) -> None:
    """Paid results are stored: the run adds the partition again and succeeds."""
    assert worlds.gemini is not None
    world_id, gemini = f"deleted-after-{answered}", worlds.gemini
    gemini.set_faults(latency=0.15)

    def delete() -> None:
        gemini.wait_until(lambda stats: stats.calls > answered, timeout=120)
        on_disk.delete_dynamic_partition("worlds", world_id)

    # Two threads read it.
    with dg.DagsterInstance.from_config(str(instance_folder)) as on_disk, pytest.MonkeyPatch.context() as patch:
        patch.setattr(worlds, "instance", on_disk)
        deleting = threading.Thread(target=delete)
        deleting.start()
        _, made = worlds.make(world_id, users=1, posts=1)
        deleting.join()
        assert made.success, made.failure
        assert on_disk.has_dynamic_partition("worlds", world_id)
    assert worlds.status(world_id).status is State.COMPLETED
    assert len(worlds.documents("post_images", world_id)) == 1


@pytest.fixture(scope="module")
def world_id(the_worlds: Worlds) -> str:
    """A completed world of two people and three posts; a test that changes it leaves it completed."""
    assert the_worlds.gemini is not None
    the_worlds.gemini.reset()
    world_id, made = the_worlds.make("00000000-0000-4000-8000-0000000000aa", users=PEOPLE, posts=POSTS)
    assert made.success, made.failure
    return world_id


def look(worlds: Worlds, world_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The world's documents, and fields of its status record."""
    shown = (
        "status",
        "generation",
        "parameters",
        "stages",
        "failures",
        "name",
        "users_created",
        "posts_created",
        "tasks_completed",
    )
    status = worlds.raw_status(world_id)
    return worlds.snapshot(world_id), {
        name: status[name] for name in (*shown, *(one for one in status if one.startswith("api_call")))
    }


def failed_partitions(worlds: Worlds, world_id: str) -> list[str]:
    """The assets for which Dagster shows this world's partition as failed."""
    failed = []
    for name in ASSETS:
        cached = get_and_update_asset_status_cache_value(worlds.instance, dg.AssetKey(name), partitions)
        assert cached is not None
        subset = cached.deserialize_failed_partition_subsets(partitions)
        failed += [name] if world_id in subset.get_partition_keys() else []
    return failed


@pytest.mark.parametrize(
    ("faults", "select", "form"),
    [
        pytest.param({"broken_json": 1.0}, (), None, id="P3 all nine, at the description"),
        pytest.param({"broken_json": 1.0, "after_calls": 1}, (), None, id="P3 all nine, after the description"),
        pytest.param(
            {"broken_json": 1.0, "after_calls": 1}, (), {"prompt": "Elsewhere", "users": 1, "posts": 1}, id="P3 another order"
        ),
        pytest.param({"no_credit": 1.0}, ("posts", "post_images"), None, id="P3 a part, the account without credit"),
    ],
)
def test_a_failed_rerun_does_not_change_the_completed_world_until_it_is_resumed(
    worlds: Worlds, world_id: str, faults: dict[str, Any], select: tuple[str, ...], form: dict[str, Any] | None
) -> None:
    """Documents, counters, order and Dagster's partition are unchanged; the message says what to do; after a resume the rerun
    replaces them."""
    assert worlds.gemini is not None
    before, status = look(worlds, world_id)
    worlds.gemini.set_faults(**faults)
    made = worlds.run(world_id, select=select, form=form)
    worlds.gemini.reset()
    assert not made.success
    assert look(worlds, world_id) == (before, status)
    message = worlds.status(world_id).message
    assert f"generia resume {world_id}" in message
    assert f"generia stop {world_id} --give-up" in message
    assert failed_partitions(worlds, world_id) == []
    resume_world(worlds.database, world_id, ResumeOptions(more_calls=20, retry_failed=True))
    assert worlds.status(world_id).status is State.IN_PROGRESS
    resumed = worlds.resume(world_id, select=select)
    assert resumed.success, resumed.failure
    now = worlds.status(world_id)
    assert (now.status, now.generation, now.unfinished, now.message) == (State.COMPLETED, made.run_id, None, "")
    assert {post.post_id for post in worlds.documents("post_images", world_id)}.isdisjoint(
        {post.post_id for post in before["post_images"]}
    )
    if form is not None:
        assert (now.users_created, now.parameters["user_prompt"]) == (1, "Elsewhere")
        assert worlds.run(world_id, form={"prompt": PROMPT, "users": PEOPLE, "posts": POSTS}).success


@pytest.mark.case("P1")
@pytest.mark.case("P3")
def test_a_failed_post_that_fails_again_or_is_given_up_leaves_the_world_completed_with_its_failures(
    worlds: Worlds, generia: Command
) -> None:
    """If the failed post fails again, or is given up, the world is completed without it and names it: reruns are possible, and the
    post can be tried once more."""
    assert worlds.gemini is not None
    worlds.gemini.set_faults(broken_json=1.0, only_matching="When: ")
    world_id, made = worlds.make("with-a-hole", users=1, posts=1)
    worlds.gemini.reset()
    assert made.success, made.failure
    before = look(worlds, world_id)
    assert [failure["key"] for failure in before[1]["failures"]] == ["c0000-p0000"]
    assert resume_world(worlds.database, world_id, ResumeOptions(retry_failed=True)) == 1
    assert generia.call("stop", world_id, "--give-up")[0] == 0
    assert look(worlds, world_id) == before
    assert not [one for one in doctor(generia) if world_id in one["part"]]
    assert generia.call("rerun", world_id, "--part", "images", "--dry-run")[0] == 0
    spent = worlds.status(world_id).cost_usd
    assert resume_world(worlds.database, world_id, ResumeOptions(max_cost_usd=spent, retry_failed=True)) == 1
    assert "cap of" in worlds.resume(world_id).failure
    assert look(worlds, world_id) == before
    resume_world(worlds.database, world_id, ResumeOptions(max_cost_usd=1.0, more_calls=9, retry_failed=True))
    assert worlds.resume(world_id).success
    assert (worlds.status(world_id).posts_created, worlds.status(world_id).failures) == (1, [])


@pytest.mark.case("P1")
def test_giving_up_a_rerun_leaves_the_world_completed_as_before(worlds: Worlds, world_id: str, generia: Command) -> None:
    """Only a person gives up paid work; then the world is unchanged, and can be made again."""
    assert worlds.gemini is not None
    before = look(worlds, world_id)
    worlds.gemini.set_faults(broken_json=1.0, after_calls=1)
    made = worlds.run(world_id)
    worlds.gemini.reset()
    exit_code, _, err = generia.call("rerun", world_id, "--part", "images", "--dry-run")
    assert (exit_code, f"generia resume {world_id}" in err) == (1, True)
    exit_code, out, _ = generia.call("stop", world_id, "--give-up")
    assert (exit_code, "it is completed, as it was before" in " ".join(out.split())) == (0, True)
    assert look(worlds, world_id) == before
    assert (worlds.status(world_id).unfinished, worlds.status(world_id).message) == (None, "")
    again = worlds.run(world_id, parent=made)
    assert "the generation of the run that is re-executed is over" in again.failure
    assert worlds.run(world_id, select=["world_images"]).success
    assert generia.call("stop", world_id, "--give-up")[0] == 1
    assert generia.call("resume", world_id)[0] == 1


@pytest.mark.case("P1")
def test_a_world_that_was_given_up_before_it_was_complete_can_be_ordered_again(worlds: Worlds, generia: Command) -> None:
    """No run continues it, and no part of it can be made; a new order makes the whole world."""
    assert worlds.gemini is not None
    worlds.gemini.set_faults(requests_per_day=3)
    world_id, made = worlds.make("given-up", users=1, posts=1)
    worlds.gemini.reset()
    assert not made.success
    assert f"generia watch {world_id}" in worlds.run(world_id, form={"prompt": "Elsewhere", "users": 1, "posts": 2}).failure
    assert worlds.status(world_id).parameters["posts_count"] == 1
    exit_code, out, _ = generia.call("stop", world_id, "--give-up")
    assert (exit_code, "can be ordered again" in " ".join(out.split())) == (0, True)
    assert worlds.status(world_id).status is State.FAILED
    assert not worlds.run(world_id, select=["posts"]).success
    assert worlds.run(world_id, form={"prompt": "Elsewhere", "users": 1, "posts": 2}).success
    assert (worlds.status(world_id).status, worlds.status(world_id).posts_created) == (State.COMPLETED, 2)


@pytest.mark.case("S6")
def test_an_invalid_form_changes_nothing_of_a_completed_world(worlds: Worlds, world_id: str) -> None:
    """Everything is checked before anything is written: documents, order, limits, counters and Dagster's partition stay."""
    before, status = worlds.snapshot(world_id), worlds.raw_status(world_id)
    made = worlds.run(world_id, form={"prompt": "w " * 450_000})
    assert "has 899,999 characters; shorten it to 4,000" in made.failure
    assert (worlds.snapshot(world_id), worlds.raw_status(world_id)) == (before, status)
    assert failed_partitions(worlds, world_id) == []


@pytest.mark.case("P1")
def test_a_world_with_missing_documents_is_found_and_not_called_completed(worlds: Worlds, world_id: str, generia: Command) -> None:
    """If documents are missing, the check fails, and doctor names the world and the command that repairs it."""
    gone = list(worlds.database["materializations"].find({"_id": f"{world_id}:posts"}))
    assert not [one for one in doctor(generia) if world_id in one["part"]]
    worlds.database["materializations"].delete_many({"_id": f"{world_id}:posts"})
    (found,) = [one for one in doctor(generia) if world_id in one["part"]]
    assert found["found"] == f"is called completed with 0 of {POSTS} posts"
    assert found["advice"] == f"generia rerun {world_id} --part posts"
    made = worlds.run(world_id, select=["post_images"])
    assert not made.success
    worlds.database["materializations"].insert_many(gone)
    generia.call("stop", world_id, "--give-up")
    one_post = worlds.database["posts"].find_one_and_delete({"world_id": world_id})
    (check,) = [one for one in CHECKS if one.name == "world_is_whole"]
    answer = check.evaluate(World(world_id, worlds.database, Path()))
    assert (answer.passed, answer.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert f"{POSTS - 1} of {POSTS} posts" in str(answer.description)
    assert one_post is not None
    worlds.database["posts"].insert_one(one_post)
    assert check.evaluate(World(world_id, worlds.database, Path())).passed
    worlds.database["materializations"].insert_one({"_id": "unknown:posts", "world_id": "unknown", "count": 1})
    (found,) = [one for one in doctor(generia) if "unknown" in one["part"]]
    assert found["found"] == "has documents and no status record"
    worlds.database["materializations"].delete_one({"_id": "unknown:posts"})


def doctor(generia: Command) -> list[dict[str, str]]:
    return [json.loads(line) for line in generia.call("doctor", "--json")[1].splitlines()]


@pytest.mark.case("P8")
@pytest.mark.parametrize(
    ("alone", "makes"),
    [
        ((), [kind.task_type.value for name, kind in ASSETS.items() if name != "world_request"]),
        (("--alone",), ["generate_world_description"]),
    ],
    ids=["with what follows", "alone"],
)
def test_the_description_made_again_includes_everything_downstream_unless_ordered_alone(
    worlds: Worlds, world_id: str, generia: Command, alone: tuple[str, ...], makes: list[str]
) -> None:
    """The message makes what `rerun` announces; alone, `rerun` names what may no longer fit."""
    fields = json.loads(generia.call("rerun", world_id, "--part", "description", *alone, "--dry-run", "--json")[1])
    assert fields["makes"] == makes
    said = generia.call("rerun", world_id, "--part", "description", *alone, "--dry-run")[1]
    assert ("may no longer fit" in said) is bool(alone)
    order = order_of(str(uuid.uuid4()), TaskType.GENERATE_WORLD_DESCRIPTION, world_id, {"with_what_follows": not alone})
    request = run_request(record_order(worlds.database, order, max_users=9, max_posts=9).order)
    assert [ASSETS[key.path[-1]].task_type.value for key in request.asset_selection or ()] == makes
    made = worlds.run(world_id, select=[key.path[-1] for key in request.asset_selection or ()], tags=request.tags)
    assert made.success, made.failure
    assert set(made.metadata) == (set(ASSETS) - {"world_request"} if not alone else {"world_description"})


@pytest.mark.case("P11")
def test_a_failed_world_fails_only_its_own_partition(worlds: Worlds, world_id: str) -> None:
    """All assets of this partition are failed, also those that the run had made before; no other partition is."""
    assert worlds.gemini is not None
    worlds.gemini.set_faults(broken_json=1.0)
    failing, made = worlds.make("failing", users=1, posts=1)
    worlds.gemini.reset()
    assert not made.success
    assert failed_partitions(worlds, failing) == list(ASSETS)
    assert failed_partitions(worlds, world_id) == []
    resume_world(worlds.database, failing, ResumeOptions(more_calls=20, retry_failed=True))
    assert worlds.resume(failing).success
    assert failed_partitions(worlds, failing) == []


@pytest.mark.case("P12")
def test_a_run_has_three_tags_of_ours_with_the_worlds_name(worlds: Worlds, world_id: str) -> None:
    """Each run has the world's name, its origin, and the tag with which a run of a sensor finds its work."""
    order = order_of(str(uuid.uuid4()), TaskType.GENERATE_WORLD_IMAGE, world_id, {})
    request = run_request(record_order(worlds.database, order, max_users=9, max_posts=9).order)
    runs = [worlds.run(world_id, select=["world_images"], tags=request.tags), worlds.run(world_id, select=["world_images"])]
    runs.append(worlds.re_execute(runs[0], ReexecutionStrategy.ALL_STEPS, retry=True))
    for made in runs:
        tags = {name: value for name, value in made.run.tags.items() if "generia" in name}
        assert {"generia/world_name", "generia/origin"} <= set(tags) <= {"generia/world_name", "generia/origin", TASK_TAG}
        assert tags["generia/world_name"] == worlds.status(world_id).name
        assert max(map(len, tags.values())) <= 80
