"""One person, one post or one part is made again by the jobs' forms: only the requested items change."""

from __future__ import annotations

import re
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterInvalidConfigError

from generia_assets.assets.checks import ALL
from generia_assets.catalog import ASSETS, TaskType
from generia_assets.content.similarity import NEAR_DUPLICATE, similarity
from generia_assets.durable.orders.decisions import TASK_TAG
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.status import State
from sensors.requests import run_request
from sensors.run_status import assets_of, order_again
from tests.support.durable_world import order_of
from tests.support.worlds_in_process import Made, Worlds

WITH_CHECKS = True
PEOPLE, POSTS = 4, 8
KEPT = ("t", "after", "moment", "in_reply_to", "wish", "order")
"""What stays of a post that is made again."""
BOOKKEEPING = ("_id", "materialization", "fence", "created_at")
"""Where a document lies and since when; not what it says."""


@pytest.fixture(scope="module")
def world_id(the_worlds: Worlds) -> str:
    """One world of which every test below makes something again; their assumptions hold after each of them."""
    world_id, made = the_worlds.make("made-again", users=PEOPLE, posts=POSTS)
    assert made.success, made.failure
    return world_id


def stored(worlds: Worlds, world_id: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Every stored document of the world, by asset and key."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, kind in ASSETS.items():
        where = {"_id": world_id} if kind.one_per_world else {"world_id": world_id}
        rows = worlds.database[kind.collection].find(where)
        found[name] = {row.get("key", "world"): {k: v for k, v in row.items() if k not in BOOKKEEPING} for row in rows}
    return found


def on_platform(worlds: Worlds, world_id: str) -> dict[str, dict[str, Any]]:
    """The platform's characters by id."""
    return {row["_id"]: row for row in worlds.platform["platform_characters"].find({"world_id": world_id})}


def somebody_known(worlds: Worlds, world_id: str) -> Any:
    """A person who posts, and whom another profile mentions."""
    people = worlds.documents("characters", world_id)
    related = {tie.username for person in people for tie in person.relationships}
    return next(person for person in people if person.username in related and person.posts_count)


@pytest.fixture(scope="module")
def regenerated(the_worlds: Worlds, world_id: str) -> tuple[Any, dict[str, Any], dict[str, Any], dict[str, Any], Made, int]:
    """The regenerated character; the world and the platform's people before, the world after; the run and its LLM calls."""
    person = somebody_known(the_worlds, world_id)
    before, people, calls = stored(the_worlds, world_id), on_platform(the_worlds, world_id), the_worlds.calls
    made = the_worlds.launch("rerun_character", world_id, character=f"@{person.username.upper()}")
    assert made.success, made.failure
    return person, before, people, stored(the_worlds, world_id), made, the_worlds.calls - calls


def test_a_regenerated_character_is_another_person_under_the_same_name(worlds: Worlds, regenerated: Any) -> None:
    """Concept, life, look, draw, avatar, ideas and posts are new; key, name, share of the posts, their places in the world's time,
    what they reply to, and the platform's id are not.
    """
    person, before, _, after, made, calls = regenerated
    key = person.key
    old, new = before["character_briefs"][key], after["character_briefs"][key]
    changed, another = {name for name in old if old[name] != new[name]}, {"concept", "one_line", "axes", "selves"}
    assert another <= changed <= another | {"facts", "kind", "age", "trade", "look"}
    assert similarity(old["concept"], new["concept"]) < NEAR_DUPLICATE
    old, new = before["characters"][key], after["characters"][key]
    assert {name: old[name] for name in ("username", "display_name", "posts_count", "character_id")} == {
        name: new[name] for name in ("username", "display_name", "posts_count", "character_id")
    }
    assert old["background_story"] != new["background_story"]
    assert before["character_avatars"][key]["avatar"]["media_id"] != after["character_avatars"][key]["avatar"]["media_id"]
    mine = [post for post in before["posts"] if post.startswith(key)]
    assert len(mine) == person.posts_count
    # The emulator may repeat one text by chance, but not all texts of one answer.
    for asset, fields in (("posts", ("content", "context", "image_prompt")), ("post_images", ("post_id",))):
        assert [post for post in mine if all(before[asset][post][name] == after[asset][post][name] for name in fields)] == []
    old, new = ([made["post_briefs"][post]["idea"] for post in mine] for made in (before, after))
    assert old != new
    for asset, kept in (("post_briefs", KEPT), ("posts", (*KEPT, "quote")), ("post_images", ("t",))):
        for post in mine:
            assert {name: before[asset][post][name] for name in kept} == {name: after[asset][post][name] for name in kept}
    assert calls == 2 + (len(mine) > 1) + len(mine)
    assert set(made.metadata) == set(ASSETS) - {"world_request", "world_description", "world_images"}


def test_all_others_stay_byte_for_byte_except_their_relations_with_that_person(regenerated: Any) -> None:
    """Only the descriptions of relations with the regenerated character differ; nothing is added or lost."""
    person, before, _, after, _, _ = regenerated
    retold = 0
    for asset, documents in before.items():
        assert documents.keys() == after[asset].keys()
        for key, document in documents.items():
            if key.startswith(person.key):
                continue
            now = after[asset][key]
            if asset == "characters":
                for old, new in zip(document["relationships"], now["relationships"], strict=True):
                    if new["username"] == person.username:
                        assert new["description"] == after["characters"][person.key]["seen_by"][now["username"]]
                        assert old | {"description": new["description"]} == new
                        retold += old["description"] != new["description"]
                        old["description"] = new["description"]
            assert document == now, (asset, key)
    assert retold > 0


def test_the_platforms_character_is_changed_and_not_created_again(worlds: Worlds, world_id: str, regenerated: Any) -> None:
    """The number of characters is the same; the changed character and those with a relation to it match the documents."""
    person, _, people, after, _, _ = regenerated
    now = on_platform(worlds, world_id)
    assert now.keys() == people.keys()
    assert len(now) == PEOPLE
    assert (
        now[person.character_id]["meta"]["background_story"]
        == after["characters"][person.key]["background_story"]
        != people[person.character_id]["meta"]["background_story"]
    )
    assert now[person.character_id]["avatar_media_id"] == after["character_avatars"][person.key]["avatar"]["media_id"]
    for document in after["characters"].values():
        assert now[document["character_id"]]["meta"]["relationships"] == document["relationships"]
    tellers = set(after["characters"][person.key]["seen_by"])
    for character_id, character in now.items():
        if character_id != person.character_id and character["meta"]["username"] not in tellers:
            assert character == people[character_id]


def test_the_counters_and_limits_are_those_of_one_person(worlds: Worlds, world_id: str, regenerated: Any) -> None:
    """The world keeps its size; tasks and reserved calls are only those of that person; all checks except similarity pass."""
    person, _, _, _, made, calls = regenerated
    status = worlds.status(world_id)
    assert (status.status, status.users_created, status.posts_created) == (State.COMPLETED, PEOPLE, POSTS)
    own = person.posts_count
    assert worlds.tasks(world_id, made.run_id) == {
        "generate_character_batch": 1,
        "generate_character": 1,
        "generate_character_avatar": 1,
        "generate_post_batch": 1,
        "generate_post": own,
        "generate_post_image": own,
    }
    generation = worlds.database["generations"].find_one({"_id": made.run_id})
    assert generation is not None
    assert sum(generation["tasks"].values()) == 4 + 2 * own
    failed = {name for name, check in made.checks.items() if not check.passed}
    assert failed <= {"distinct_posts"}
    assert calls == status.api_calls_made_LLM or status.generation != made.run_id


def test_a_character_that_is_regenerated_twice_is_a_third_person(worlds: Worlds, world_id: str, regenerated: Any) -> None:
    """Each time the draw and the concept are new; the platform still has one character."""
    person, before, _, after, _, _ = regenerated
    made = worlds.run(
        world_id, select=[name for name in ASSETS if name not in ("world_request", "world_description")], keys=[person.key]
    )
    assert made.success, made.failure
    third = stored(worlds, world_id)["character_briefs"][person.key]
    first, second = before["character_briefs"][person.key], after["character_briefs"][person.key]
    assert [brief["selves"] for brief in (first, second, third)] == [0, 1, 2]
    assert len({brief["concept"] for brief in (first, second, third)}) == 3
    assert third["axes"] != second["axes"] != first["axes"]
    assert len(on_platform(worlds, world_id)) == PEOPLE


def test_one_post_made_again_has_another_text_and_picture_and_nothing_else_changes(worlds: Worlds, world_id: str) -> None:
    """By platform id or by key: text, picture and published id of that post are new. Every other document is unchanged, including
    the quotes in its replies, and so is its place in the timeline.
    """
    before, calls = stored(worlds, world_id), worlds.calls
    replied = {post["in_reply_to"] for post in before["posts"].values()} - {""}
    key, image = next((key, image) for key, image in before["post_images"].items() if key in replied)
    made = worlds.launch("rerun_post", world_id, post=image["post_id"])
    assert made.success, made.failure
    after = stored(worlds, world_id)
    assert worlds.calls - calls == 1
    assert before["posts"][key]["content"] != after["posts"][key]["content"]
    assert before["post_images"][key]["post_id"] != after["post_images"][key]["post_id"]
    assert before["post_images"][key]["image"]["media_id"] != after["post_images"][key]["image"]["media_id"]
    assert {name: before["posts"][key][name] for name in KEPT} == {name: after["posts"][key][name] for name in KEPT}
    assert before["post_images"][key]["t"] == after["post_images"][key]["t"]
    for asset in before:
        assert {k: v for k, v in before[asset].items() if not (asset in ("posts", "post_images") and k == key)} == {
            k: v for k, v in after[asset].items() if not (asset in ("posts", "post_images") and k == key)
        }
    status = worlds.status(world_id)
    assert (status.status, status.users_created, status.posts_created) == (State.COMPLETED, PEOPLE, POSTS)
    assert worlds.tasks(world_id) == {"generate_post": 1, "generate_post_image": 1}


def test_a_part_made_again_includes_its_downstream_assets_by_default(worlds: Worlds, world_id: str) -> None:
    """``part: posts`` makes posts and their pictures. With ``with_what_follows: false`` only the posts; no character is created
    twice.
    """
    made = worlds.launch("rerun_world_part", world_id, part="posts", with_what_follows=False)
    assert made.success, made.failure
    assert set(made.metadata) == {"posts"}
    # Assets that are not made are not checked: Dagster would show their checks as not executed.
    assert set(made.checks) == {check.name for check in ALL if check.asset == "posts"}
    for asset, name in (("posts", "exact_posts"), ("characters", "exact_characters")):
        key = dg.AssetCheckKey(dg.AssetKey(asset), name)
        (latest,) = worlds.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        assert latest.status.value == "SUCCEEDED"
        assert (latest.run_id == made.run_id) is (asset == "posts")
    assert worlds.tasks(world_id) == {"generate_post": POSTS}
    made = worlds.launch("rerun_world_part", world_id, part="characters")
    assert made.success, made.failure
    assert set(made.metadata) == {"characters", "character_avatars", "post_briefs", "posts", "post_images"}
    status = worlds.status(world_id)
    assert (status.status, status.users_created, status.posts_created) == (State.COMPLETED, PEOPLE, POSTS)
    assert len(on_platform(worlds, world_id)) == PEOPLE


def test_a_message_for_one_person_or_one_post_does_what_the_jobs_do(worlds: Worlds, world_id: str) -> None:
    """The run that the sensor requests selects the item and its downstream items, and completes the order."""
    post = next(iter(stored(worlds, world_id)["posts"]))
    for task_id, kind, key, assets in (
        ("00000000-0000-4000-8000-000000000001", TaskType.GENERATE_POST, post, ["posts", "post_images"]),
        (
            "00000000-0000-4000-8000-000000000002",
            TaskType.GENERATE_CHARACTER_BATCH,
            "c0000",
            ["character_briefs", "characters", "character_avatars", "post_briefs", "posts", "post_images"],
        ),
    ):
        before = stored(worlds, world_id)
        order = record_order(worlds.database, order_of(task_id, kind, world_id, {"keys": [key]}), max_users=100, max_posts=100)
        request = run_request(order.order)
        assert [asset.path[-1] for asset in request.asset_selection or []] == assets
        assert request.tags["generia/origin"] == "kafka"
        made = worlds.run(world_id, select=assets, tags=request.tags)
        assert made.success, made.failure
        assert made.run.tags[TASK_TAG] == task_id
        after = stored(worlds, world_id)
        changed = {
            k
            for asset in ("character_briefs", "posts", "post_images")
            for k in before[asset]
            if before[asset][k] != after[asset][k]
        }
        assert changed
        assert all(one.startswith(key) for one in changed)
        ordered = worlds.database["tasks"].find_one({"_id": task_id})
        assert ordered is not None
        assert ordered["status"] == "completed"
    assert len(on_platform(worlds, world_id)) == PEOPLE


def test_the_platform_shows_the_texts_that_a_message_ordered(worlds: Worlds, world_id: str) -> None:
    """After an order of all posts without keys, the text, picture and id of every post are those of one new post of the
    platform."""
    before = stored(worlds, world_id)
    task_id = "00000000-0000-4000-8000-000000000003"
    order = order_of(task_id, TaskType.GENERATE_POST, world_id, {})
    request = run_request(record_order(worlds.database, order, max_users=100, max_posts=100).order)
    made = worlds.run(world_id, select=[asset.path[-1] for asset in request.asset_selection or []], tags=request.tags)
    assert made.success, made.failure
    after = stored(worlds, world_id)
    published = {row["_id"]: row for row in worlds.platform["platform_posts"].find({"world_id": world_id})}
    assert len(after["posts"]) == POSTS
    for key, post in after["posts"].items():
        image = after["post_images"][key]
        shown = published[image["post_id"]]
        assert (shown["caption"], shown["media_id"]) == (post["content"], image["image"]["media_id"])
        assert image["post_id"] != before["post_images"][key]["post_id"]


@pytest.mark.parametrize(
    ("job", "form", "said"),
    [
        ("rerun_character", {}, "character: empty; name one person of this world"),
        (
            "rerun_character",
            {"character": "@nobody"},
            "character='@nobody': nobody in this world. Name one person by key (c0000 to c0003)",
        ),
        ("rerun_character", {"character": "c0099"}, "character='c0099'"),
        ("rerun_post", {}, "post: empty; name one post of this world"),
        ("rerun_post", {"post": "c0000"}, "post='c0000': no post of this world. Name one by key (such as c000"),
        ("rerun_world_part", {}, "part: empty; name one of world_images, character_briefs"),
    ],
)
def test_a_form_that_its_job_cannot_execute_is_refused_before_any_change(
    worlds: Worlds, world_id: str, job: str, form: dict[str, Any], said: str
) -> None:
    """The run fails with the field, the value and what to do; no call, no new generation, no changed document."""
    before, status, calls = stored(worlds, world_id), worlds.raw_status(world_id), worlds.calls
    made = worlds.launch(job, world_id, **form)
    assert not made.success
    assert said in made.failure
    assert "Traceback" not in made.failure
    assert worlds.calls == calls
    assert worlds.raw_status(world_id) == status
    assert stored(worlds, world_id) == before


@pytest.mark.parametrize(
    ("job", "form"),
    [("rerun_world_part", {"part": "everything"}), ("rerun_character", {"keys": "c0000"})],
)
def test_a_value_that_the_form_does_not_allow_starts_no_run(worlds: Worlds, job: str, form: dict[str, Any]) -> None:
    """Dagster's validation of the form names the wrong value, before there is a run."""
    runs = worlds.instance.get_runs_count()
    with pytest.raises(DagsterInvalidConfigError, match=next(iter(form))):
        worlds.launch(job, "never", **form)
    assert worlds.instance.get_runs_count() == runs


def test_the_launchpads_show_every_field_that_a_person_must_fill_in(worlds: Worlds) -> None:
    """Each job's form is valid except for the fields to fill in, and each of its fields has a help text."""
    opened = {
        name: worlds.defs.resolve_job_def(name).get_run_config_for_partition_key("a-world")["ops"]
        for name in ("rerun_world_part", "rerun_character", "rerun_post")
    }
    assert opened["rerun_character"] == {"world_content": {"config": {"character": ""}}}
    assert opened["rerun_post"] == {"world_content": {"config": {"post": ""}}}
    for op in ("world_request", "world_content"):
        shape: Any = worlds.defs.resolve_job_def("world").graph.node_named(op).definition.config_schema.config_type
        assert all(len(field.description) > 40 for field in shape.fields.values())


def test_the_watchdog_resumes_a_rerun_that_an_outage_suspended_and_makes_nothing_else(worlds: Worlds) -> None:
    """The watchdog's run selects the assets of the generation: the description is not requested again, and no answered request is
    repeated."""
    assert worlds.gemini is not None
    world_id, made = worlds.make("outage", users=2, posts=3)
    assert made.success, made.failure
    before, described = stored(worlds, world_id), worlds.database["world_parameters"].find_one({"_id": world_id})
    worlds.gemini.reset()
    worlds.gemini.set_faults(requests_per_day=2)
    suspended = worlds.launch("rerun_character", world_id, character="c0000")
    worlds.gemini.set_faults(requests_per_day=None)
    assert "suspended and can be resumed" in suspended.failure
    assert stored(worlds, world_id) == before
    status = worlds.status(world_id)
    request = order_again(status, None, assets_of(worlds.database, status))
    assert (request.tags["generia/origin"], request.tags["generia/world_name"]) == ("watchdog", status.name)
    again = worlds.run(world_id, select=[key.path[-1] for key in request.asset_selection or []], tags=request.tags)
    assert again.success, again.failure
    after = stored(worlds, world_id)
    assert worlds.gemini.stats().by_outcome["ok"] == 3 + len([post for post in after["posts"] if post.startswith("c0000")])
    assert worlds.database["world_parameters"].find_one({"_id": world_id}) == described
    assert after["character_briefs"]["c0000"]["selves"] == 1
    status = worlds.status(world_id)
    assert (status.status, status.generation, status.users_created, status.posts_created) == (
        State.COMPLETED,
        suspended.run_id,
        2,
        3,
    )
    assert len(on_platform(worlds, world_id)) == 2


def test_a_world_of_an_earlier_version_can_only_be_made_again_as_a_whole(worlds: Worlds, world_id: str) -> None:
    """Assets that depend on its plan are refused, and the message and the order's task say what to do; nothing changes. Avatars can
    be made."""
    briefs = worlds.database["character_briefs"]
    years = {row["_id"]: row["years"] for row in briefs.find({"world_id": world_id})}
    briefs.update_many({"world_id": world_id}, {"$set": {"years": 0}})
    before = stored(worlds, world_id)
    said = r"earlier version.*generia rerun WORLD --part description"
    task_id = "00000000-0000-4000-8000-000000000004"
    order = order_of(task_id, TaskType.GENERATE_POST, world_id, {"keys": ["c0000-p0000"]})
    request = run_request(record_order(worlds.database, order, max_users=100, max_posts=100).order)
    by_message = worlds.run(world_id, select=[asset.path[-1] for asset in request.asset_selection or []], tags=request.tags)
    for made in (by_message, worlds.launch("rerun_character", world_id, character="c0000")):
        assert not made.success
        assert re.search(said, made.failure), made.failure
    ordered = worlds.database["tasks"].find_one({"_id": task_id})
    assert ordered is not None
    assert ordered["status"] == "failed"
    assert re.search(said, ordered["error"])
    assert stored(worlds, world_id) == before
    avatar = worlds.run(world_id, select=["character_avatars"], keys=["c0000"])
    assert avatar.success, avatar.failure
    for key, drawn in years.items():
        briefs.update_one({"_id": key}, {"$set": {"years": drawn}})
