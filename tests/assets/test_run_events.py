"""What a run shows in Dagster: a table, a page, figures and a line for each person. The number of events does not grow with the
world."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from pymongo import MongoClient

from generia_assets.assets.description import CELL, ROWS, figures
from generia_assets.assets.run_log import log_people, people_lines
from generia_assets.catalog import ASSETS
from generia_assets.durable.collections import HISTORY, TASKS
from generia_assets.settings import settings
from tests.support.worlds_in_process import Made, Worlds

WITH_CHECKS = True
PEOPLE = 2
OF_PEOPLE = [
    "generate_character",
    "generate_character_avatar",
    "generate_post_batch",
    "generate_post",
    "generate_post_image",
]


@pytest.fixture(scope="module")
def large(the_worlds: Worlds) -> Made:
    """A run with forty posts of two people."""
    _, made = the_worlds.make("many-posts", users=PEOPLE, posts=40)
    assert made.success, made.failure
    return made


def lines(worlds: Worlds, made: Made) -> list[str]:
    """The lines of the run's page."""
    return [line for message in messages(worlds, made) for line in message.splitlines()]


def messages(worlds: Worlds, made: Made) -> list[str]:
    """The messages of the run's events."""
    return [entry.user_message for entry in worlds.instance.all_logs(made.run_id)]


def test_the_number_of_events_does_not_grow_with_the_world(worlds: Worlds, large: Made, capfd: pytest.CaptureFixture[str]) -> None:
    """Six posts of three people and forty posts of two leave exactly as many rows in Dagster's event log; each task's line is in
    stderr instead."""
    capfd.readouterr()
    _, small = worlds.make("few-posts", users=PEOPLE + 1, posts=6)
    assert small.success, small.failure
    assert len(messages(worlds, small)) == len(messages(worlds, large))
    written = capfd.readouterr().err
    about = f" INFO world=few-posts run={small.run_id} task=generate_post:"
    for post in worlds.documents("posts", "few-posts"):
        assert f"{about}{post.key} generate_post {post.key}: done, attempt 1 of 2\n" in written
        assert written.count(f"generate_post {post.key}: done, attempt 1 of 2\n") == 1
        assert f"generate_post {post.key}" not in "\n".join(lines(worlds, small))


def test_a_filter_finds_one_character_with_all_that_was_done_for_them(worlds: Worlds, large: Made) -> None:
    """Key and username are in exactly one line, with every task type, attempts, calls, tokens and dollars."""
    for person in worlds.documents("characters", "many-posts"):
        (line,) = [line for line in lines(worlds, large) if line.startswith(f"{person.key} ")]
        assert f"@{person.username}:" in line
        assert f"generate_post {person.posts_count} done" in line
        assert f"generate_post_image {person.posts_count} done" in line
        assert "generate_character 1 done" in line
        theirs = {"world_id": "many-posts", "labels.key": {"$regex": f"^{person.key}"}, "api_type": {"$ne": "platform"}}
        calls = worlds.database[HISTORY].count_documents(theirs)
        batches_of_ideas = -(-person.posts_count // 10)
        # At least one for each text and picture; more if similar ideas were requested again.
        assert calls >= 1 + batches_of_ideas + person.posts_count + 1 + person.posts_count
        assert f"; {calls} calls, " in line
        assert "tokens, $0." in line


def test_costs_are_summed_without_reading_a_prompt(worlds: Worlds, large: Made) -> None:
    """The figures of every asset and of every person's line come from an index: no document of a request is read."""
    database, generation = worlds.database, large.run_id
    database.command("profile", 2)
    assert figures(database, "many-posts", generation, ASSETS.values()).keys() == ASSETS.keys()
    assert len(list(people_lines(database, "many-posts", generation))) == PEOPLE
    database.command("profile", 0)
    seen = list(database["system.profile"].find({"ns": f"{database.name}.{HISTORY}", "command.aggregate": HISTORY}))
    assert len(seen) == 2
    assert sum(look["keysExamined"] for look in seen) >= database[HISTORY].count_documents({"world_id": "many-posts"})
    assert {look["docsExamined"] for look in seen} == {0}


def test_a_failed_run_has_a_line_for_each_person_it_began(worlds: Worlds, large: Made) -> None:
    """A cap in dollars ends the run with that reason, and the line of each begun person has the completed and the unfinished
    tasks."""
    whole = worlds.status("many-posts")
    cap = 0.95 * (whole.llm_cost_total + whole.image_cost_total)
    _, made = worlds.make("capped", users=PEOPLE, posts=40, max_cost_usd=cap)
    assert not made.success
    assert "cost" in made.failure
    tasks = list(worlds.database[TASKS].find({"world_id": "capped", "key": {"$regex": "^c[0-9]{4}"}, "type": {"$in": OF_PEOPLE}}))
    output_lines = [line for line in lines(worlds, made) if re.match(r"c[0-9]{4}[ :]", line)]
    assert [line[:5] for line in output_lines] == sorted({task["key"][:5] for task in tasks})
    assert output_lines
    for line in output_lines:
        theirs = [task for task in tasks if task["key"].startswith(line[:5])]
        for word, states in (("done", ("completed",)), ("unfinished", ("pending", "in_progress"))):
            said = sum(int(number) for number in re.findall(rf"([0-9]+) {word}", line))
            assert said == sum(task["status"] in states for task in theirs), line
    assert any("unfinished" in line or "failed" in line for line in output_lines)


def test_the_lines_of_a_world_that_is_deleted_meanwhile_end(worlds: Worlds) -> None:
    """The people who were found have their lines; the count of the others finds none and adds nothing."""
    task = {
        "world_id": "leaving",
        "generation": "g",
        "type": OF_PEOPLE[0],
        "key": "c0000",
        "status": "completed",
        "attempt_count": 1,
    }
    worlds.database[TASKS].insert_one(task)
    found = people_lines(worlds.database, "leaving", "g")
    assert next(found).startswith("c0000: generate_character 1 done;")
    worlds.database[TASKS].delete_many({"world_id": "leaving"})
    assert list(found) == []


@pytest.mark.slow
def test_without_mongodb_a_failing_run_has_a_warning_in_place_of_its_lines(caplog: pytest.LogCaptureFixture) -> None:
    """Missing lines raise no error: the run's own failure stays visible."""
    with MongoClient[dict[str, Any]]("mongodb://127.0.0.1:1", serverSelectionTimeoutMS=100) as client:
        log_people(logging.getLogger("a-run"), client["nowhere"], "a-world", "a-generation")
    assert [record.levelname for record in caplog.records if record.name == "a-run"] == ["WARNING"]
    assert "generia stats a-world" in caplog.text


def test_every_materialization_has_a_table_of_results_and_a_link_to_the_worlds_page(worlds: Worlds, large: Made) -> None:
    """The table has bounded rows with the documents' keys, and bounded cells; the link leads to this world."""
    for name, metadata in large.metadata.items():
        rows = [record.data for record in metadata["results"].records]
        assert 0 < len(rows) <= ROWS, name
        assert all(len(cell) <= CELL for row in rows for cell in row.values() if isinstance(cell, str))
        assert all(any(row[column] != "" for row in rows) for column in rows[0]), name
        assert set(list(metadata)[: list(metadata).index("results")]) <= {"world", "world_page", "pictures", "sample"}, (
            "above a long table"
        )
        named = f"{worlds.status('many-posts').name} (many-posts)"
        assert metadata["world"] == ("many-posts" if name == "world_request" else named), "it had no name yet"
        assert metadata["world_page"] == f"{settings().pages_url}/worlds/many-posts"
    assert set(large.metadata) == set(ASSETS)
    keys = [record.data["key"] for record in large.metadata["posts"]["results"].records]
    assert keys == [post.key for post in worlds.documents("posts", "many-posts")][:ROWS]


def test_a_completed_world_is_one_point_in_the_plots_of_the_platform(worlds: Worlds, large: Made) -> None:
    """The run ends with one materialization of the external asset ``platform``; it has no partition, so that its plots are over
    time."""
    (event,) = (one for one in large.events if one.asset_key is not None and one.asset_key.path[-1] == "platform")
    metadata: dict[str, Any] = {name: one.value for name, one in event.materialization.metadata.items()}
    world = worlds.status("many-posts")
    assert event.partition is None
    assert (metadata["world"], metadata["people"], metadata["posts"]) == (
        f"{world.name} (many-posts)",
        world.users_created,
        world.posts_created,
    )
    cost, seconds = metadata["cost_usd"], metadata["seconds"]
    assert isinstance(cost, float) and cost > 0
    assert isinstance(seconds, float) and 0 < seconds < 600


def test_a_rerun_has_the_worlds_name_from_the_start_and_its_origin(worlds: Worlds, large: Made) -> None:
    """The tags distinguish a run by a job's form, one by the button and one from the command line."""
    name = worlds.status("many-posts").name
    post = worlds.documents("posts", "many-posts")[0].key
    by_form = worlds.launch("rerun_post", "many-posts", post=post)
    assert worlds.status("many-posts").ordered_by == "job rerun_post"
    elsewhere = worlds.run("many-posts", select=["post_images"], keys=[post])
    assert worlds.status("many-posts").ordered_by == "job world"
    for made, origin in ((by_form, "ui"), (elsewhere, "cli"), (large, "cli")):
        tags = worlds.made(made.run_id).run.tags
        assert tags["generia/world_name"] == name
        assert tags["generia/origin"] == origin
