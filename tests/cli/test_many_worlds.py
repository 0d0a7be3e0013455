"""``stop`` and ``resume`` of many worlds: the choice by filters, the confirmation, and that the same worlds are resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pymongo import MongoClient

from generia_assets.cli.dagster_link import cancel_queued
from generia_assets.durable.collections import STATUS
from generia_assets.durable.leases.brake import engaged_since
from generia_assets.durable.orders.decisions import TASK_TAG
from generia_assets.durable.status import new_status
from resources.mongodb.connection import MongoDatabase, MongoDocument
from tests.support.command import Command
from tests.support.dagster_internals import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin


@pytest.fixture
def database(mongo_client: MongoClient[MongoDocument], mongo_database_name: str) -> MongoDatabase:
    return mongo_client.get_database(
        mongo_database_name, codec_options=mongo_client.codec_options.with_options(tz_aware=True, tzinfo=UTC)
    )


@pytest.fixture
def cli(tmp_path: Path, mongodb_uri: str, mongo_database_name: str) -> Command:
    return Command(tmp_path, {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": mongo_database_name})


def add(database: MongoDatabase, world_id: str, prompt: str = "a town", *, ago: timedelta = timedelta(), **values: Any) -> None:
    record = new_status(world_id, {"user_prompt": prompt}, users=1, posts=1)
    database[STATUS].insert_one({**record, "created_at": datetime.now(UTC) - ago, "status": "in_progress", **values})


@pytest.fixture
def four(database: MongoDatabase) -> MongoDatabase:
    """Four unfinished worlds that differ in state, text, age and cost."""
    add(database, "cheap", "A Harbour (old)", llm_cost_total=0.1)
    add(database, "dear", "a harbour", llm_cost_total=2.0, image_cost_total=3.5)
    add(database, "old", "a town", ago=timedelta(days=3), image_cost_total=9.0)
    add(database, "waiting", "a town", status="pending")
    return database


def stopped(database: MongoDatabase) -> set[str]:
    return {one["_id"] for one in database[STATUS].find({"parked.kind": "stopped"})}


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--state", "pending"], {"waiting"}),
        (["--prompt", "HARBOUR"], {"cheap", "dear"}),
        (["--prompt", "harbour (old)"], {"cheap"}),
        (["--ordered-before", "2d"], {"old"}),
        (["--ordered-after", "1h"], {"cheap", "dear", "waiting"}),
        (["--cost-over", "5"], {"dear", "old"}),
        (["--cost-over", "5", "--ordered-after", "2d", "--state", "in_progress"], {"dear"}),
        (["cheap", "waiting"], {"cheap", "waiting"}),
        (["--all"], {"cheap", "dear", "old", "waiting"}),
    ],
)
def test_filters_choose_the_worlds_that_are_stopped_and_resumed(
    cli: Command, four: MongoDatabase, filters: list[str], found: set[str]
) -> None:
    """Filters are combined; --dry-run counts the worlds and changes nothing; the same filters resume the same worlds."""
    code, out, _ = cli.call("stop", *filters, "--dry-run", "--json")
    assert (code, json.loads(out)["worlds"], stopped(four)) == (0, len(found), set())
    code, out, err = cli.call("stop", *filters)
    assert (code, "give --yes" in err, stopped(four)) == (2, True, set())
    code, out, err = cli.call("stop", *filters, "--yes", "--json")
    assert (code, json.loads(out)["worlds"]) == (0, len(found)), err
    assert stopped(four) == found
    code, out, err = cli.call("resume", *filters, "--yes", "--json")
    assert (code, json.loads(out)["resumed"]) == (0, len(found)), err
    assert four[STATUS].count_documents({"parked.kind": "resumed"}) == len(found)
    assert stopped(four) == set()


def test_resume_all_resumes_only_worlds_that_stop_all_stopped(cli: Command, four: MongoDatabase) -> None:
    """Worlds that a person or a filter stopped before stay stopped; single worlds cannot be resumed until the brake is off."""
    assert cli.call("stop", "--cost-over", "9.5", "--state", "pending", "--yes")[0] == 0  # matches no world
    assert cli.call("stop", "cheap", "dear", "--yes")[0] == 0
    assert cli.call("stop", "--all", "--yes")[0] == 0
    assert engaged_since(four) is not None
    assert "everything is stopped since" in cli.call("doctor")[1]
    for words in (["waiting"], ["--prompt", "town", "--yes"]):
        code, _, err = cli.call("resume", *words)
        assert (code, "resume --all" in err) == (1, True), err
    assert cli.call("resume", "--all", "--yes")[0] == 0
    assert engaged_since(four) is None
    assert stopped(four) == {"cheap", "dear"}


@pytest.mark.parametrize(
    "words", [[], ["--all", "--state", "pending"], ["w", "--all"], ["w", "--cost-over", "1"], ["--all", "--give-up"]]
)
def test_exactly_one_way_of_naming_worlds_is_required(cli: Command, four: MongoDatabase, words: list[str]) -> None:
    """Worlds, --all and filters exclude each other; without one of them the command does nothing."""
    assert cli.call("stop", *words, "--yes")[0] == 2
    assert stopped(four) == set()


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("run_coordinator: {module: dagster, class: QueuedRunCoordinator}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as found:
        yield found


def queue(instance: dg.DagsterInstance, run_id: str, world: str, order: str = "") -> None:
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("generia"), "__repository__"), "world")
    tags = {"dagster/partition": world, **({TASK_TAG: order} if order else {})}
    status = dg.DagsterRunStatus.QUEUED
    instance.add_run(dg.DagsterRun("world", run_id=run_id, status=status, tags=tags, remote_job_origin=origin))


def test_a_world_that_never_began_can_be_given_up(
    instance: dg.DagsterInstance, four: MongoDatabase, tmp_path: Path, mongodb_uri: str, mongo_database_name: str
) -> None:
    """Its run is removed from the queue; the world is failed, and can be ordered again."""
    queue(instance, "own", "waiting")
    env = {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": mongo_database_name, "DAGSTER_HOME": str(tmp_path)}
    exit_code, out, err = Command(tmp_path, env).call("stop", "waiting", "--give-up")
    assert (exit_code, "can be ordered again" in " ".join(out.split())) == (0, True), err
    run = instance.get_run_by_id("own")
    assert run is not None
    assert run.status is dg.DagsterRunStatus.CANCELED
    found = four[STATUS].find_one({"_id": "waiting"})
    assert found is not None
    assert (found["status"], found["resumable"]) == ("failed", False)


def test_runs_of_held_worlds_are_removed_from_the_queue_and_other_orders_stay(instance: dg.DagsterInstance) -> None:
    """A queued run of another order, or of another world, stays in the queue: otherwise its order would be lost."""
    for run_id, world, order in (("own", "w", "t"), ("resumed", "w", ""), ("part", "w", "p"), ("other", "v", "u")):
        queue(instance, run_id, world, order)
    assert cancel_queued(instance, {"w": "t"}) == 2
    queued = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    assert {run.run_id for run in queued} == {"part", "other"}
