"""Every command that shows a world, on a real finished one: for people, as JSON, in pipes, with bad input and with hostile
texts."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bson import Binary

from generia_assets.catalog import TaskType
from generia_assets.durable.collections import HISTORY, STATUS, STEPS
from generia_assets.queries.critical_path import critical_path
from generia_assets.queries.traces import trace
from resources.mongodb.document_store import POINTERS
from tests.support.command import Command
from tests.support.worlds_in_process import Worlds

PEOPLE, POSTS = 3, 6
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")
HOSTILE = "\x1b[2J\x9b31m[bold]Mira[/bold]\u202e <script>alert(1)</script> [x](javascript:1)"


@pytest.fixture(scope="module")
def world(the_worlds: Worlds) -> str:
    """A finished world; a test that changes it restores it."""
    world_id, made = the_worlds.make(users=PEOPLE, posts=POSTS)
    assert made.success, made.failure
    return world_id


def stdout_of(generia: Command, *arguments: str) -> str:
    """Standard output of a command that must succeed and print no control codes."""
    exit_code, out, err = generia.call(*arguments)
    assert exit_code == 0, err
    assert not CONTROL.search(out + err)
    return out


def as_json(generia: Command, *arguments: str) -> Any:
    return json.loads(stdout_of(generia, *arguments, "--json"))


def lines(generia: Command, *arguments: str) -> list[Any]:
    return [json.loads(line) for line in stdout_of(generia, *arguments, "--json").splitlines()]


@pytest.mark.parametrize(
    "command",
    [
        ["status", "WORLD"],
        ["show", "WORLD"],
        ["show", "WORLD", "characters"],
        ["show", "WORLD", "history", "--type", "post"],
        ["show", "WORLD", "events", "--type", "post_published"],
        ["stats", "WORLD"],
        ["trace", "WORLD", "c0000-p0000"],
        ["trace", "WORLD", "c0001", "--full"],
        ["rerun", "WORLD", "--character", "c0001", "--dry-run"],
        ["extend", "WORLD", "--users", "+1", "--dry-run"],
    ],
)
def test_every_command_has_a_text_and_a_json_output(generia: Command, world: str, command: list[str]) -> None:
    """Each command prints a text without control codes, or with --json exactly one JSON document on standard output."""
    arguments = [world if word == "WORLD" else word for word in command]
    exit_code, out, err = generia.call(*arguments)
    assert exit_code == 0, err
    assert out + err
    assert not CONTROL.search(out + err)
    assert as_json(generia, *arguments)


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["history", "WORLD"],
        ["history", "WORLD", "--full", "--limit", "5"],
        ["logs", "WORLD"],
        ["logs", "WORLD", "--calls"],
    ],
)
def test_lists_are_lines_of_json(generia: Command, world: str, command: list[str]) -> None:
    """Long lists have one JSON object on each line, in order of time if they have one."""
    arguments = [world if word == "WORLD" else word for word in command]
    assert stdout_of(generia, *arguments)
    found = lines(generia, *arguments)
    assert found
    if command[0] != "list":
        moments = [datetime.fromisoformat(one["at"]) for one in found]
        assert moments == sorted(moments)


def test_an_object_is_found_by_its_id(generia: Command, world: str) -> None:
    """By key, username, platform id and document id the command finds one object; for an unknown id it prints a message."""
    (post,) = as_json(generia, "show", world, "posts", "--id", "c0000-p0000")
    (person,) = as_json(generia, "show", world, "characters", "--id", f"@{post['username']}")
    assert (person["key"], person["username"]) == (post["character"], post["username"])
    assert as_json(generia, "show", world, "characters", "--id", person["character_id"]) == [person]
    tasks = as_json(generia, "show", world, "tasks", "--id", "c0000-p0000")
    assert {task["type"] for task in tasks} == {"generate_post", "generate_post_image"}
    assert as_json(generia, "show", world, "tasks", "--id", tasks[0]["_id"]) == [tasks[0]]
    for how in ([], ["--json"]):
        exit_code, out, err = generia.call("show", world, "posts", "--id", "c0000-p9999", *how)
        assert (exit_code, out) == (2, "")
        assert f"show {world} posts" in err


def test_every_collection_has_a_section(worlds: Worlds, generia: Command, world: str) -> None:
    """`show` counts every document of the world in every collection."""
    step = {
        "_id": "t:0",
        "task_id": "t",
        "world_id": world,
        "number": 0,
        "created_at": datetime.now(UTC),
        "value": Binary(b"x" * 2000),
    }
    worlds.database[STEPS].insert_one(step)
    try:
        kept = {
            name: worlds.database[name].count_documents({"$or": [{"world_id": world}, {"_id": world}]})
            for name in worlds.database.list_collection_names()
        }
        shown = as_json(generia, "show", world)
        assert shown.pop("orphans") == 0  # publications that may exist twice on the platform
        assert shown.pop("superseded") == 0  # publications to which no document refers
        assert sorted(count for count in kept.values() if count) == sorted(shown.values())
        assert "2,000 bytes" in stdout_of(generia, "show", world, "steps")
        assert as_json(generia, "show", world, "steps", "--id", "t")[0]["value"] == "2,000 bytes"
    finally:
        worlds.database[STEPS].delete_one({"_id": "t:0"})
    (generation,) = as_json(generia, "show", world, "generations")
    assert generation["_id"] == worlds.status(world).generation
    pointers = as_json(generia, "show", world, "materializations")
    assert {one["materialization"] for one in pointers} == {generation["_id"]}


def test_an_unfinished_world_shows_its_finished_items(worlds: Worlds, generia: Command, world: str) -> None:
    """Before the materialization the same objects are read from their tasks."""
    made = {"materializations": 0}
    numbers, people = as_json(generia, "show", world), as_json(generia, "show", world, "characters")
    briefs = as_json(generia, "show", world, "post-briefs")
    pointers = list(worlds.database[POINTERS].find({"world_id": world}))
    worlds.database[POINTERS].delete_many({"world_id": world})
    try:
        assert as_json(generia, "show", world) == numbers | made
        assert as_json(generia, "show", world, "characters") == people
        assert as_json(generia, "show", world, "post-briefs") == briefs
    finally:
        worlds.database[POINTERS].insert_many(pointers)


def test_a_trace_leads_from_a_post_to_its_prompts(worlds: Worlds, generia: Command, world: str) -> None:
    """The trace of a post ends with the post, contains the answer with its text, and has the recorded cost; the published id leads
    to the same trace."""
    (published,) = as_json(generia, "show", world, "post-images", "--id", "c0000-p0000")
    found = trace(worlds.database, world, "c0000-p0000")
    assert [step.task_type for step in found.steps] == [
        TaskType.INIT_WORLD_CREATION,
        TaskType.GENERATE_WORLD_DESCRIPTION,
        TaskType.GENERATE_CHARACTER_BATCH,
        TaskType.GENERATE_CHARACTER,
        TaskType.GENERATE_POST_BATCH,
        TaskType.GENERATE_POST,
        TaskType.GENERATE_POST_IMAGE,
    ]
    post, idea = found.step(TaskType.GENERATE_POST), found.step(TaskType.GENERATE_POST_BATCH)
    assert post is not None and post.made is not None and idea is not None and idea.made is not None
    assert found.post_id == published["post_id"]
    (request,) = [one for one in post.requests if one.outcome == "ok"]
    assert idea.made["idea"] in request.prompt
    assert post.made["content"] == json.loads(request.answer)["content"]
    recorded = sum(row["cost_usd"] for row in worlds.database[HISTORY].find({"task_id": post.task_id}))
    assert post.cost_usd == pytest.approx(recorded, abs=1e-8)
    assert 0 < found.own_cost_usd < sum(step.cost_usd for step in found.steps)
    by_id = as_json(generia, "trace", published["post_id"])
    assert by_id == as_json(generia, "trace", world, "c0000-p0000")
    shown = stdout_of(generia, "trace", world, "c0000-p0000")
    assert all(text in shown for text in (found.post_id, request.model, json.loads(request.answer)["content"].split("\n")[0]))


def test_figures_agree_with_the_status_record(worlds: Worlds, generia: Command, world: str) -> None:
    """Tasks, calls and dollars by task type sum up to the world's counters, and waiting is shown apart from calling."""
    status, figures = worlds.status(world), as_json(generia, "stats", world)
    assert sum(one["completed"] for one in figures["tasks"]) == status.tasks_completed
    assert [one["task_type"] for one in figures["tasks"]] == [task_type.value for task_type in TaskType]
    assert sum(one["cost_usd"] for one in figures["tasks"]) == pytest.approx(status.cost_usd, abs=1e-4)
    model = [one for one in figures["requests"] if one["api"] == "llm"]
    assert sum(one["calls"] for one in model) == status.api_calls_made_LLM
    posts = next(one for one in figures["tasks"] if one["task_type"] == "generate_post")
    assert (posts["tasks"], posts["failed"]) == (POSTS, 0)
    assert posts["calling_ms"] > 0
    assert 0 <= posts["cached_share"] <= 1
    assert worlds.database[HISTORY].count_documents({"world_id": world, "waited_ms": {"$exists": False}}) == 0


def test_the_critical_path_leads_from_the_order_to_the_last_task(worlds: Worlds, generia: Command, world: str) -> None:
    """Each step starts at the end of the step before, their sum is the whole time, and the path is printed in words."""
    status = worlds.status(world)
    path = critical_path(worlds.database, status)
    assert path is not None and status.finished_at is not None
    assert path.links[0].task_type is TaskType.INIT_WORLD_CREATION
    assert all(earlier.ended_at <= later.ended_at for earlier, later in pairwise(path.links))
    assert path.seconds == pytest.approx((status.finished_at - path.began_at).total_seconds(), abs=0.05)
    for link in path.links:
        assert link.seconds == pytest.approx(
            link.before + link.waiting + link.model + link.pictures + link.platform + link.rest, abs=0.25
        )
    shown = stdout_of(generia, "stats", world)
    assert "ended last" in shown
    assert "in all:" in shown


def test_the_history_is_filtered(generia: Command, world: str) -> None:
    """By kind, API, outcome, item and time; for an unknown kind the message lists the existing ones."""
    assert {one["request_type"] for one in lines(generia, "history", world, "--type", "post")} == {"post"}
    assert {one["api"] for one in lines(generia, "history", world, "--api", "platform")} == {"platform"}
    assert {one["key"] for one in lines(generia, "history", world, "--task", "c0000-p0000")} == {"c0000-p0000"}
    of_person = {one["key"].partition("-")[0] for one in lines(generia, "history", world, "--task", "c0000")}
    assert of_person == {"c0000"}
    assert lines(generia, "history", world, "--failed") == []
    assert lines(generia, "history", world, "--outcome", "invalid") == []
    assert lines(generia, "history", world, "--until", "2020-01-01") == []
    assert len(lines(generia, "history", world, "--since", "1h", "--limit", "3")) == 3
    exit_code, _, err = generia.call("history", world, "--type", "psot")
    assert exit_code == 2
    assert "post_batch" in err


def test_a_worlds_log_has_every_stage_and_post(generia: Command, world: str) -> None:
    """It has each stage, person, post and task once; with --follow, a finished world's log is printed and the command ends."""
    found = lines(generia, "logs", world, "--lines", "1000")
    texts = [one["text"] for one in found]
    for stage in ("world_description", "characters", "posts"):
        assert f"stage {stage} started" in texts and f"stage {stage} finished" in texts
    assert sum(text.startswith("post of @") for text in texts) == POSTS
    assert sum(one["kind"] == "task" and one["task_type"] == "generate_post" for one in found) == POSTS
    assert len({one["id"] for one in found}) == len(found)
    assert lines(generia, "logs", world, "--lines", "1000", "--follow") == found


def test_a_world_is_exported_whole(generia: Command, world: str, tmp_path: Path) -> None:
    """Each section has one document on each line, and the book has every post and picture; an existing export is not overwritten by
    accident."""
    folder = tmp_path / "book"
    written = as_json(generia, "export", world, "--folder", str(folder), "--pictures")["files"]
    for section, count in as_json(generia, "show", world).items():
        stored = [json.loads(line) for line in (folder / f"{section}.jsonl").read_text().splitlines()]
        assert len(stored) == count == written[f"{section}.jsonl"]
    book = (folder / "world.md").read_text()
    for key in (json.loads(line)["key"] for line in (folder / "posts.jsonl").read_text().splitlines()):
        assert f"`{key}`" in book
        assert f"](<pictures/posts/{key}.jpg>)" in book
        assert (folder / "pictures" / "posts" / f"{key}.jpg").stat().st_size > 0
    before = book
    exit_code, _, err = generia.call("export", world, "--folder", str(folder))
    assert exit_code == 2
    assert "--force" in err
    assert (folder / "world.md").read_text() == before
    assert generia.call("export", world, "--folder", str(folder), "--force", "--format", "markdown")[0] == 0


def test_hostile_texts_are_shown_as_text(worlds: Worlds, generia: Command, world: str, tmp_path: Path) -> None:
    """A name full of escape sequences, markup, HTML and links is shown as text by every command, and in the book."""
    name = worlds.status(world).name
    documents = [(STATUS, {"_id": world}, "name"), ("world_parameters", {"_id": world}, "name")]
    try:
        for collection, which, field in documents:
            worlds.database[collection].update_one(which, {"$set": {field: HOSTILE}})
        for command in (["list"], ["status", world], ["stats", world], ["show", world, "description"], ["trace", world, "world"]):
            shown = stdout_of(generia, *command)
            assert "[bold]" in shown
            assert CONTROL.search(stdout_of(generia, *command, "--json")) is None
        assert generia.call("export", world, "--folder", str(tmp_path / "x"), "--format", "markdown")[0] == 0
        book = (tmp_path / "x" / "world.md").read_text()
        assert "<script>" not in book
        assert not re.search(r"(?<!\\)\]\(javascript", book)
        assert not CONTROL.search(book)
    finally:
        for collection, which, field in documents:
            worlds.database[collection].update_one(which, {"$set": {field: name}})


@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        (["trace", "nowhere"], 2, "c0000-p0000"),
        (["show", "WORLD", "people"], 2, "characters"),
        (["show", "WORLD", "posts", "--type", "x"], 2, "tasks"),
        (["trace", "WORLD", "c0099-p0000"], 2, "posts"),
        (["trace", "WORLD", "@nobody"], 2, "@name"),
        (["trace", "WORLD", "c0000", "--step", "post"], 2, "avatar"),
        (["rerun", "WORLD"], 2, "--part"),
        (["extend", "WORLD"], 2, "--users"),
        (["extend", "WORLD", "--posts", "+1000000"], 2, "MAX_POSTS"),
        (["rerun", "WORLD", "--post", "c0000-p0099"], 2, "c0000"),
        (["rerun", "WORLD", "--character", "c0000-p0000"], 2, "person"),
        (["rerun", "WORLD", "--post", "c0000-p0000", "--from", "concept"], 2, "text"),
        (["rerun", "WORLD", "--part", "posts", "--from", "text"], 2, "--post"),
        (["rerun", "WORLD", "--post", "c0000-p0000", "--alone"], 2, "--part"),
        (["history", "WORLD", "--since", "soon"], 2, "10min"),
        (["list", "--state", "lost"], 2, "parked"),
        (["history", "WORLD", "--outcome", "bad"], 2, "rate_limited"),
    ],
)
def test_an_unknown_item_is_refused_with_what_to_do(
    generia: Command, world: str, arguments: list[str], status: int, named: str
) -> None:
    """An unknown item, and other bad input, gives exit status 2; each message is short and says what is allowed."""
    exit_code, out, err = generia.call(*(world if word == "WORLD" else word for word in arguments))
    assert (exit_code, out) == (status, "")
    assert named in err
    assert "Traceback" not in err
    assert len(err) < 800


def test_worlds_are_listed_by_state(worlds: Worlds, generia: Command, world: str) -> None:
    """`list --state` lists exactly the worlds in that state; `parked` lists suspended worlds."""
    other = str(uuid.uuid4())
    record = worlds.raw_status(world) | {"_id": other, "status": "in_progress"}
    worlds.database[STATUS].insert_one(record | {"parked": {"kind": "stopped", "since": datetime.now(UTC)}})
    try:
        listed = {
            state: [one["_id"] for one in lines(generia, "list", "--state", state)] for state in ("completed", "parked", "failed")
        }
        assert world in listed["completed"] and other not in listed["completed"]
        assert (listed["parked"], listed["failed"]) == ([other], [])
        assert len(lines(generia, "list", "--limit", "1")) == 1
    finally:
        worlds.database[STATUS].delete_one({"_id": other})


def test_a_shell_completes_worlds_and_stays_silent_without_mongodb(generia: Command, world: str, tmp_path: Path) -> None:
    """Tab after the beginning of an id gives the id; without MongoDB it gives nothing, and no error; `logs` also completes the
    parts."""
    asked = {"_GENERIA_COMPLETE": "complete_bash", "COMP_WORDS": f"generia show {world[:6]}", "COMP_CWORD": "2"}
    here = Command(generia.folder, generia.settings | asked)
    assert here.run()[1].split() == [world]
    away = Command(tmp_path, asked | {"MONGODB_URI": "mongodb://127.0.0.1:9/"})
    exit_code, out, err = away.run()
    assert (exit_code, out.strip(), err) == (0, "", "")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "daemon.log").touch()
    assert Command(tmp_path, away.settings | {"COMP_WORDS": "generia logs da"}).run()[1].split() == ["daemon"]
