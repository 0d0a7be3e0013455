"""A whole world, made by the real job on real servers: exact, published once, described, checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from threading import Event
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from generia_assets.assets.checks import ALL
from generia_assets.assets.description import banned_terms_in
from generia_assets.catalog import ASSETS, TaskType
from generia_assets.durable.collections import TASKS
from generia_assets.durable.status import State
from tests.support.waiting import wait_for
from tests.support.worlds_in_process import PROMPT, Made, Worlds

WITH_CHECKS = True
PEOPLE, LARGER_POSTS = 12, 30
"""More than one batch of people; more than one call of everything."""


@pytest.fixture(scope="module")
def made(the_worlds: Worlds) -> tuple[str, Made]:
    """One world that all tests below share; none of them changes it."""
    world_id, made = the_worlds.make(users=PEOPLE, posts=LARGER_POSTS)
    assert made.success, made.failure
    return world_id, made


def test_a_world_has_exactly_what_was_ordered(worlds: Worlds, made: tuple[str, Made]) -> None:
    """N people, M posts, one document of each kind for each of them, and nothing twice."""
    world = worlds.snapshot(made[0])
    assert {name: len(documents) for name, documents in world.items()} == {
        "world_request": 1,
        "world_description": 1,
        "world_images": 1,
        "character_briefs": PEOPLE,
        "characters": PEOPLE,
        "character_avatars": PEOPLE,
        "post_briefs": LARGER_POSTS,
        "posts": LARGER_POSTS,
        "post_images": LARGER_POSTS,
    }
    people = world["characters"]
    assert [person.key for person in people] == [f"c{index:04d}" for index in range(PEOPLE)]
    for name in ("username", "display_name", "character_id"):
        assert len({getattr(person, name).casefold() for person in people}) == PEOPLE
    posts_of = Counter(post.character for post in world["posts"])
    assert {person.key: person.posts_count for person in people if person.posts_count} == posts_of
    assert [post.key for post in world["posts"]] == [image.key for image in world["post_images"]]
    assert world["world_request"][0].user_prompt == PROMPT


def test_relations_and_mentions_name_people_who_exist(worlds: Worlds, made: tuple[str, Made]) -> None:
    """Related and mentioned people exist in this world, and differ from the person of the document."""
    world = worlds.snapshot(made[0])
    people = {person.username for person in world["characters"]}
    related = {(person.username, other.username) for person in world["characters"] for other in person.relationships}
    mentioned = {(post.username, other) for post in world["posts"] for other in post.mentions}
    assert related
    assert {other for _, other in related | mentioned} <= people
    assert all(one != other for one, other in related | mentioned)


def test_every_post_is_published_once_with_a_picture_of_its_own(worlds: Worlds, made: tuple[str, Made]) -> None:
    """The platform has each person and each post once; every post shows its own picture, which is a file."""
    world_id = made[0]
    world = worlds.snapshot(world_id)
    on_platform = {
        name: {row["_id"]: row for row in worlds.platform[f"platform_{name}"].find({"world_id": world_id})}
        for name in ("characters", "posts", "media")
    }
    assert on_platform["characters"].keys() == {person.character_id for person in world["characters"]}
    assert on_platform["posts"].keys() == {image.post_id for image in world["post_images"]}
    assert len({image.image.media_id for image in world["post_images"]}) == LARGER_POSTS
    texts = {post.key: post.content for post in world["posts"]}
    for image in world["post_images"]:
        post = on_platform["posts"][image.post_id]
        assert (post["caption"], post["media_id"]) == (texts[image.key], image.image.media_id)
        assert post["character_id"] == image.character_id
        assert (worlds.settings.generia_data_dir / image.image.url).is_file()
    assert len(on_platform["media"]) == 2 + PEOPLE + LARGER_POSTS


def test_the_counters_agree_with_all_other_counts(worlds: Worlds, made: tuple[str, Made]) -> None:
    """Status record, tasks, history and the emulator's count agree."""
    world_id = made[0]
    status, tasks = worlds.status(world_id), worlds.tasks(world_id)
    assert status.status is State.COMPLETED
    assert (status.users_created, status.posts_created) == (PEOPLE, LARGER_POSTS)
    assert (status.users_predicted, status.posts_predicted) == (PEOPLE, LARGER_POSTS)
    assert status.tasks_total == status.tasks_completed == status.task_predicted == sum(tasks.values())
    assert status.tasks_failed == 0
    assert worlds.database[TASKS].count_documents({"world_id": world_id, "status": "completed"}) == status.tasks_total
    history = worlds.database["api_requests_history"]
    assert history.count_documents({"world_id": world_id, "api_type": "llm"}) == status.api_calls_made_LLM == worlds.calls
    assert history.count_documents({"world_id": world_id, "api_type": "image_generation"}) == status.api_calls_made_images
    (costs,) = history.aggregate([{"$match": {"world_id": world_id}}, {"$group": {"_id": None, "usd": {"$sum": "$cost_usd"}}}])
    assert status.cost_usd == pytest.approx(costs["usd"])
    assert status.cost_usd > 0
    assert status.cost_reserved_usd == 0
    assert status.api_calls_made_LLM < status.api_call_limits_LLM
    assert [stage.status for stage in status.stages] == [State.COMPLETED] * 6
    assert status.owner.run_id is None


def test_a_materialization_has_counts_cost_tokens_a_sample_and_pictures(worlds: Worlds, made: tuple[str, Made]) -> None:
    """The figures of the nine materializations sum up to those of the world."""
    world_id, run = made
    by_asset, status = run.metadata, worlds.status(world_id)
    assert set(by_asset) == set(ASSETS)
    world = worlds.snapshot(world_id)
    assert {name: metadata["documents"] for name, metadata in by_asset.items()} == {
        name: len(found) for name, found in world.items()
    }
    assert sum(metadata["llm_calls"] for metadata in by_asset.values()) == status.api_calls_made_LLM
    assert sum(metadata["image_calls"] for metadata in by_asset.values()) == status.api_calls_made_images
    assert sum(metadata["cost_usd"] for metadata in by_asset.values()) == pytest.approx(status.cost_usd, abs=1e-4)
    assert by_asset["posts"]["input_tokens"] > by_asset["posts"]["output_tokens"] > 0
    assert all(metadata["failed_tasks"] == 0 for metadata in by_asset.values())
    assert all("worn_out" in by_asset[name] for name in ("world_description", "character_briefs", "posts"))
    for name in ("characters", "posts", "world_description"):
        assert len(by_asset[name]["sample"]) > 100
    for name in ("world_images", "character_avatars", "post_images"):
        assert "data:image/jpeg;base64," in by_asset[name]["pictures"]


def test_banned_terms_are_summed_over_all_posts_of_a_generation(worlds: Worlds) -> None:
    """The banned terms of each post are counted with the post, only for this world, generation and task type."""
    mine = {"world_id": "worn", "generation": "g", "type": TaskType.GENERATE_POST.value, "status": State.COMPLETED.value}
    tasks = [
        mine | {"key": f"c0000-p{n:04d}", "result": {"worn": worn}}
        for n, worn in enumerate([["whisper*"], [], ["bees", "whisper*"]])
    ]
    others = [{"generation": "h"}, {"world_id": "w"}, {"type": TaskType.GENERATE_POST_IMAGE.value}]
    tasks += [mine | other | {"key": f"other-{n}", "result": {"worn": ["tapestry"]}} for n, other in enumerate(others)]
    worlds.database[TASKS].insert_many([task | {"_id": f"worn-{n}"} for n, task in enumerate(tasks)])
    metadata = banned_terms_in(worlds.database, "worn", "g", ASSETS["posts"])
    assert (metadata["worn_out"].value, metadata["worn_out_most"].value) == (3, "whisper* (2), bees (1)")
    assert banned_terms_in(worlds.database, "worn", "g", ASSETS["post_images"]) == {}


def test_the_checks_of_a_good_world_pass(made: tuple[str, Made]) -> None:
    """All checks were executed for this world's partition, and found no fault."""
    checks = made[1].checks
    assert set(checks) == {check.name for check in ALL}
    # The emulator writes from lists, so that its texts repeat: that is a warning.
    assert {name for name, check in checks.items() if not check.passed} <= {"distinct_posts", "post_openings", "profiles_differ"}


def test_every_snapshot_has_agreeing_counters_stages_in_order_and_completed_last(worlds: Worlds) -> None:
    """In every snapshot the counters equal the tasks; no stage goes back; when ``completed`` is first seen, everything is there."""
    world_id = "watched"
    assert worlds.gemini is not None
    with worlds.undamaged(), watching(worlds, world_id) as looks:
        worlds.gemini.set_faults(latency=0.2)  # a snapshot takes less
        _, run = worlds.make(world_id)
        wait_for(lambda: looks and looks[-1].status["owner"]["run_id"] is None and looks[-1].status["status"] == "completed")
    assert run.success, run.failure
    working = [look for look in looks if look.status["status"] == "in_progress"]
    assert len({look.status["tasks_completed"] for look in working}) > 5, "too few looks to have seen anything"
    order = ["pending", "in_progress", "completed"]
    ranks = [[order.index(stage["status"]) for stage in look.status["stages"]] for look in looks]
    assert all(now <= then for before, after in pairwise(ranks) for now, then in zip(before, after, strict=True))
    names = [stage["name"] for stage in looks[0].status["stages"]]
    current = [names.index(look.status["current_stage"]) for look in looks]
    assert current == sorted(current)
    assert len(set(current)) >= 4
    for look in looks:
        if look.status["generation"] is not None:
            assert {name: look.status[name] for name in look.tasks} == look.tasks
    first, *later = [look for look in looks if look.status["status"] == "completed"]
    assert set(first.documents) == {kind.collection for kind in ASSETS.values()}
    for look in [first, *later]:
        assert all(found == promised > 0 for found, promised in look.documents.values())
        assert last_word(look.status) == last_word(first.status)


@dataclass(frozen=True)
class Look:
    """One snapshot: the status record, counts of tasks, and by collection the number of documents found and expected."""

    status: dict[str, Any]
    tasks: dict[str, int]
    documents: dict[str, tuple[int, int]]


def last_word(status: dict[str, Any]) -> dict[str, Any]:
    """The record without the fields that releasing the world and sending its events change."""
    later = ("owner", "updated_at", "last_commit", "events_sent", "events_pending")
    return {name: value for name, value in status.items() if name not in later}


@contextmanager
def watching(worlds: Worlds, world_id: str) -> Iterator[list[Look]]:
    """A thread that takes snapshots as often as it can."""
    looks: list[Look] = []
    over = Event()

    def watch() -> None:
        while not over.is_set():
            try:
                if (look := look_once(worlds, world_id)) is not None:
                    looks.append(look)
            except OperationFailure as error:
                if error.code != 246:  # no snapshot is possible while a collection is created
                    raise

    with ThreadPoolExecutor(1) as thread:
        watcher = thread.submit(watch)
        try:
            yield looks
        finally:
            over.set()
            watcher.result()


def look_once(worlds: Worlds, world_id: str) -> Look | None:
    database = worlds.database
    with worlds.client.start_session(snapshot=True) as session:
        status = database["world_generation_status"].find_one({"_id": world_id}, session=session)
        if status is None:
            return None
        mine = {"world_id": world_id, "generation": status["generation"]}
        tasks = {
            name: database["tasks"].count_documents({**mine, **state}, session=session)
            for name, state in (
                ("tasks_total", {}),
                ("tasks_completed", {"status": "completed"}),
                ("tasks_failed", {"status": "failed"}),
            )
        }
        documents = {}
        for pointer in database["materializations"].find({"world_id": world_id}, session=session):
            collection = pointer["_id"].rpartition(":")[2]
            of_world = {"_id": world_id} if collection == "world_parameters" else {"world_id": world_id}
            documents[collection] = (database[collection].count_documents(of_world, session=session), pointer["count"])
    return Look(status, tasks, documents)
