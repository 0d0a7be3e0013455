"""What `rerun` and `extend` order, what `watch` shows, and when it ends: with the world, with the order of a part, or because there
is no such order."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from generia_assets.catalog import TaskType
from generia_assets.cli.watching import WatchOptions, follow
from generia_assets.durable.collections import GENERATIONS, STATUS, TASKS
from generia_assets.durable.orders.order import ExtensionParameters, PartParameters
from generia_assets.durable.orders.records import record_order
from generia_assets.estimates import CallLatency
from local_services.demo import emulated_latency
from resources.kafka.dead_letters import last_letters
from sensors.messages import read_message
from tests.cli.test_worlds import as_json
from tests.support.command import Command
from tests.support.durable_world import order_of
from tests.support.kafka_ticks import kafka_address
from tests.support.worlds_in_process import Worlds

PEOPLE, POSTS = 2, 4


@pytest.fixture(scope="module")
def world(the_worlds: Worlds) -> str:
    """A finished world; a test that changes it restores it."""
    world_id, made = the_worlds.make(users=PEOPLE, posts=POSTS)
    assert made.success, made.failure
    return world_id


def an_order(worlds: Worlds, world: str, **values: Any) -> str:
    """An order for a part of the world, as the sensor records it, in the state that ``values`` say."""
    task_id = str(uuid.uuid4())
    record_order(worlds.database, order_of(task_id, TaskType.GENERATE_POST, world, {}), max_users=100, max_posts=100)
    worlds.database[TASKS].update_one({"_id": task_id}, {"$set": {"status": "pending", **values}})
    return task_id


def test_rerun_sends_one_message_and_none_with_dry_run(generia: Command, world: str, broker: str) -> None:
    """`rerun` prints the cost and sends one message, which the sensor reads as this order; --dry-run sends none."""
    topic, address = generia.settings["KAFKA_TASKS_TOPIC"], kafka_address(broker)
    quoted = as_json(generia, "rerun", world, "--post", "c0000-p0000", "--dry-run")
    assert quoted["task_id"] is None
    assert (quoted["quote"]["llm_calls"], quoted["quote"]["image_calls"]) == (1, 1)
    part = as_json(generia, "rerun", world, "--part", "posts", "--dry-run")
    assert part["makes"] == ["generate_post", "generate_post_image"]
    assert (part["quote"]["llm_calls"], part["quote"]["image_calls"]) == (POSTS, POSTS)
    alone = as_json(generia, "rerun", world, "--part", "posts", "--alone", "--dry-run")
    assert alone["makes"] == ["generate_post"]
    assert (alone["quote"]["llm_calls"], alone["quote"]["image_calls"]) == (POSTS, 0)
    assert last_letters(address, topic, 10) == []
    exit_code, out, err = generia.call("rerun", world, "--character", "c0001")
    assert exit_code == 0, err
    (letter,) = last_letters(address, topic, 10)
    order = read_message(letter.value)
    assert vars(order) == {
        "task_id": out.strip(),
        "task_type": TaskType.GENERATE_CHARACTER_BATCH,
        "world_id": world,
        "parameters": PartParameters(keys=("c0001",)),
        "traceparent": "",
    }
    assert f"watch {world} --task {out.strip()}" in err


def test_extend_sends_one_message_and_prints_the_price(generia: Command, world: str, broker: str) -> None:
    """`extend` prints the cost and sends one message, which the sensor reads as this order; --dry-run sends none."""
    topic, address = generia.settings["KAFKA_TASKS_TOPIC"], kafka_address(broker)
    quoted = as_json(generia, "extend", world, "--users", "+2", "--posts", "+6", "--dry-run")
    assert (quoted["task_id"], quoted["posts_count"]) == (None, POSTS + 6)
    assert quoted["quote"]["image_calls"] == 2 + 6
    before = len(last_letters(address, topic, 10))
    exit_code, out, err = generia.call("extend", world, "--posts", "+6", "--max-cost-usd", "0.000001")
    assert exit_code == 0, err
    assert "will probably stop this" in err and f"watch {world} --task {out.strip()}" in err
    letters = last_letters(address, topic, 10)
    assert len(letters) == before + 1
    order = read_message(letters[-1].value)
    assert (order.task_id, order.world_id) == (out.strip(), world)
    assert order.parameters == ExtensionParameters(add_posts=6, max_cost_usd=0.000001)


def test_watch_of_an_order_for_a_part_ends_when_the_part_is_made(worlds: Worlds, world: str) -> None:
    """`watch` does not end because the world was finished before, or because another order's part is made."""
    order, another, before = an_order(worlds, world), str(uuid.uuid4()), worlds.status(world).generation
    watched = follow(worlds.database, world, worlds.settings, WatchOptions(earlier=0, task=order, wait_s=0))
    later = {"_id": another, "world_id": world, "started_at": datetime.now(UTC) + timedelta(seconds=1), "tasks": {}, "keys": []}
    try:
        assert [next(watched).status is not None for _ in range(2)] == [True, True]
        worlds.database[GENERATIONS].insert_one(later)
        worlds.database[STATUS].update_one({"_id": world}, {"$set": {"generation": another}})
        assert [next(watched).status is not None for _ in range(2)] == [True, True]
        worlds.database[TASKS].update_one({"_id": order}, {"$set": {"status": "completed"}})
        assert len(list(watched)) == 1
    finally:
        worlds.database[STATUS].update_one({"_id": world}, {"$set": {"generation": before}})
        worlds.database[GENERATIONS].delete_one({"_id": another})
        worlds.database[TASKS].delete_one({"_id": order})


def test_watch_ends_when_the_world_of_the_order_is_stopped(worlds: Worlds, world: str) -> None:
    """The task stays in progress, because `resume` continues it, but `watch` ends."""
    order = an_order(worlds, world, status="in_progress")
    stopped = {"status": "in_progress", "parked": {"kind": "stopped", "since": datetime.now(UTC)}}
    worlds.database[STATUS].update_one({"_id": world}, {"$set": stopped})
    try:
        assert len(list(follow(worlds.database, world, worlds.settings, WatchOptions(earlier=0, task=order)))) == 1
    finally:
        worlds.database[STATUS].update_one({"_id": world}, {"$set": {"status": "completed", "parked": None}})
        worlds.database[TASKS].delete_one({"_id": order})


def test_an_order_that_failed_ends_its_watch_with_the_reason(worlds: Worlds, generia: Command, world: str) -> None:
    """The world is still finished, but the failed order gives exit status 1, and the message says what to do."""
    order = an_order(worlds, world, status="failed", error="keys: c9999 is nothing in this world; name another")
    try:
        exit_code, _, err = generia.call("watch", world, "--task", order)
        assert exit_code == 1
        assert f"task {order} failed: keys: c9999 is nothing in this world; name another" in err
    finally:
        worlds.database[TASKS].delete_one({"_id": order})


@pytest.mark.parametrize("arguments", [[str(uuid.uuid4())], ["WORLD", "--task", str(uuid.uuid4())]])
def test_watch_of_an_unknown_order_ends(generia: Command, world: str, arguments: list[str]) -> None:
    """`watch` of a mistyped world, or of a task that is a dead letter, ends after --wait seconds: exit status 1, and where to look
    for it."""
    exit_code, _, err = generia.call("watch", *(world if word == "WORLD" else word for word in arguments), "--wait", "1")
    assert exit_code == 1
    assert arguments[-1] in err
    assert [word for word in ("list", "dead-letters", "doctor", "--wait") if word not in err] == []


def test_the_time_left_is_that_of_the_order(worlds: Worlds, world: str) -> None:
    """`watch` shows it from the start: more for high quality or slow calls, less for one post made again."""
    status, statuses, generations = worlds.raw_status(world), worlds.database[STATUS], worlds.database[GENERATIONS]
    growing = {
        "status": "in_progress",
        "created_at": datetime.now(UTC),
        "finished_at": None,
        "tasks_completed": 0,
        "posts_created": 0,
        "api_calls_made_LLM": 0,
        "api_calls_made_images": 0,
    }
    one_post = {"tasks": {"generate_post": 1, "generate_post_image": 1}, "keys": ["c0000-p0000"]}
    try:
        statuses.update_one({"_id": world}, {"$set": growing})
        standard, slower = time_left(worlds, world, emulated_latency(20)), time_left(worlds, world, emulated_latency(40))
        statuses.update_one({"_id": world}, {"$set": {"parameters.quality": "high"}})
        high = time_left(worlds, world, emulated_latency(20))
        statuses.update_one({"_id": world}, {"$set": {"parameters.quality": "standard"}})
        making = generations.find_one_and_update({"_id": status["generation"]}, {"$set": one_post})
        again = time_left(worlds, world, emulated_latency(20))
        assert making is not None
        generations.replace_one({"_id": status["generation"]}, making)
        assert 15 < again < standard - 15 < standard < high - 15
        assert slower > 1.8 * standard
    finally:
        statuses.replace_one({"_id": world}, status)


def time_left(worlds: Worlds, world: str, pace: CallLatency) -> float:
    """The estimate of the first snapshot."""
    left = next(follow(worlds.database, world, worlds.settings, WatchOptions(earlier=0, latency=pace))).left
    assert left is not None
    return left


def test_a_finished_world_is_watched_with_texts_and_pictures(generia: Command, world: str, tmp_path: Path) -> None:
    """`watch` of a finished world prints every text, saves every picture in the folder, and prints the figures of the result."""
    folder = tmp_path / "pictures"
    exit_code, out, err = generia.call("watch", world, "--texts", "--log", "--images", str(folder), "--json")
    assert exit_code == 0, err
    assert json.loads(out)["posts"] == POSTS
    assert len(list(folder.rglob("*.jpg"))) == 2 + PEOPLE + POSTS
    _, shown, _ = generia.call("show", world, "posts", "--json")
    for post in json.loads(shown):
        assert post["content"].split("\n")[0] in err
    assert "stage posts started" in err
