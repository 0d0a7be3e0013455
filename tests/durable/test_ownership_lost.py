"""The loss of a world: leases, and servers that do not allow us to end another session."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from pymongo import MongoClient

from generia_assets.durable.collections import STATUS
from generia_assets.durable.leases import ownership
from generia_assets.durable.status import new_status
from sensors import run_status
from sensors.run_status import fail_silent_runs
from tests.support.durable_world import DurableWorld, durable_world
from tests.support.worlds_in_process import Worlds, worlds_in_process


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        yield world


@contextmanager
def refusing(client: MongoClient[Any], command: str, code: int) -> Iterator[None]:
    """The server refuses this command with this code."""
    client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data={"failCommands": [command], "errorCode": code})
    try:
        yield
    finally:
        client.admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.mark.parametrize("code", [pytest.param(13, id="E4 Unauthorized"), pytest.param(59, id="E4 CommandNotFound")])
async def test_a_world_is_recovered_although_the_server_forbids_ending_sessions(
    world: DurableWorld, mongo_client: MongoClient[Any], code: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A dead run's world is recovered also if killSessions is not allowed, and that is logged once."""
    ownership._warn_once.cache_clear()
    await world.take("dead")
    with refusing(mongo_client, "killSessions", code), caplog.at_level(logging.WARNING):
        first = await world.take("heir")
        second = await world.take("heir of the heir")
    assert (first.epoch, second.epoch) == (2, 3)
    assert caplog.text.count("does not let this user end sessions") == 1


@pytest.fixture
def worlds(tmp_path: Path, mongodb_uri: str) -> Iterator[Worlds]:
    with worlds_in_process(tmp_path, mongodb_uri=mongodb_uri, broker="127.0.0.1:1", gemini="") as worlds:
        yield worlds


@pytest.mark.parametrize(
    ("lease", "renewed", "given_up"),
    [
        pytest.param(-60.0, False, True, id="S3 over"),
        pytest.param(60.0, False, False, id="S3 not over"),
        pytest.param(-60.0, True, False, id="S3 over while MongoDB was away, and renewed since"),
    ],
)
def test_a_lease_that_is_over_ends_its_run(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch, lease: float, renewed: bool, given_up: bool
) -> None:
    """Dagster reports a run as over when its lease is over, unless the lease is renewed at once."""
    run = worlds.instance.create_run_for_job(worlds.job, tags={"dagster/partition": "w1"}, status=dg.DagsterRunStatus.STARTED)
    expires = datetime.now(UTC) + timedelta(seconds=lease)
    document = new_status("w1", {"user_prompt": "x", "users_count": 1, "posts_count": 1}, users=1, posts=1)
    owner = {"run_id": run.run_id, "epoch": 1, "expires_at": expires}
    worlds.database[STATUS].insert_one({**document, "status": "in_progress", "owner": owner})

    def look_again_later(seconds: float) -> None:
        if not renewed:
            return
        later = {"$set": {"owner.expires_at": datetime.now(UTC) + timedelta(seconds=15)}}
        worlds.database[STATUS].update_one({"_id": "w1"}, later)

    monkeypatch.setattr(run_status, "time", SimpleNamespace(sleep=look_again_later))
    fail_silent_runs(worlds.database, worlds.instance)
    found = worlds.instance.get_run_by_id(run.run_id)
    assert found is not None
    assert (found.status is dg.DagsterRunStatus.FAILURE) is given_up
