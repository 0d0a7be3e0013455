"""The stored status of breakers: how `doctor`, `status` and `watch` show those that are not closed."""

from __future__ import annotations

import asyncio
import io
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from rich.console import Console

from generia_assets.cli.rendering.displays import world_panel
from generia_assets.cli.watching import Snapshot
from generia_assets.durable.calls.api_status import BreakerStatusStore
from generia_assets.durable.collections import FLEET, STATUS
from generia_assets.durable.status import WorldStatus, new_status
from generia_assets.queries.in_flight import BreakerView, breakers_not_closed, in_flight
from resources.gateway.breaker import BreakerState
from resources.gateway.calls import Api
from resources.mongodb.connection import MongoDatabase, connect_async
from resources.settings import GatewaySettings
from tests.support.command import Command
from tests.support.waiting import PATIENCE_S, wait_for
from tests.support.worlds_in_process import worlds_in_process

WORLD = "0b6f9a52-6a7c-4f0e-9d39-5a9a3f2f6c10"
LEASE = 0.6
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


@pytest.fixture
def database(mongodb_uri: str, mongo_database_name: str) -> MongoDatabase:
    return MongoClient(mongodb_uri, tz_aware=True)[mongo_database_name]


@pytest.fixture
async def board(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[Callable[..., BreakerStatusStore]]:
    """Creates a BreakerStatusStore for each process; at the end all are closed."""
    made: list[BreakerStatusStore] = []
    async with connect_async(mongodb_uri) as client:

        def make(run_id: str, lease_seconds: float = LEASE) -> BreakerStatusStore:
            made.append(BreakerStatusStore(client[mongo_database_name][FLEET], run_id, lease_seconds=lease_seconds))
            return made[-1]

        yield make
        for one in made:
            await one.aclose()


async def shown(database: MongoDatabase, *expected: tuple[Api, BreakerState, int]) -> tuple[BreakerView, ...]:
    """The stored API, state and number of runs of each breaker, as soon as they are as expected."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = breakers_not_closed(database)
        if [(one.api, one.state, one.runs) for one in found] == list(expected):
            return found
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.01)


async def test_the_status_of_each_process_is_independent(board: Callable[..., BreakerStatusStore], database: MongoDatabase) -> None:
    """If the breaker of one process is closed, or its run has ended, the open breaker of another process is still shown."""
    first, second = board("run-1", 60.0), board("run-2", 60.0)
    first.breaker(Api.LLM)(OPEN, 90.0)
    (alone,) = await shown(database, (Api.LLM, OPEN, 1))
    second.breaker(Api.LLM)(OPEN, 30.0)
    second.breaker(Api.IMAGE)(OPEN, 30.0)
    both = {one.api: one for one in await shown(database, (Api.IMAGE, OPEN, 1), (Api.LLM, OPEN, 2))}
    assert both["llm"].since == alone.since
    assert both["llm"].probe_at is not None
    assert 0 < (both["llm"].probe_at - datetime.now(UTC)).total_seconds() <= 30
    first.breaker(Api.LLM)(CLOSED, 0.0)
    await shown(database, (Api.IMAGE, OPEN, 1), (Api.LLM, OPEN, 1))
    await second.aclose()
    await shown(database)


async def test_an_open_breaker_is_shown_while_its_process_runs(
    board: Callable[..., BreakerStatusStore], database: MongoDatabase
) -> None:
    """An entry stays beyond its lease as long as it is renewed, with the start of the outage; the entry of a dead process
    expires."""
    alive, dead = board("alive"), board("dead", 2 * LEASE)
    alive.breaker(Api.LLM)(OPEN, 1.0)
    dead.breaker(Api.PLATFORM)(OPEN, 1.0)
    began, _ = await shown(database, (Api.LLM, OPEN, 1), (Api.PLATFORM, OPEN, 1))
    assert dead._writer is not None
    dead._writer.cancel()  # like a killed process: it neither renews nor removes anything
    await shown(database, (Api.LLM, OPEN, 1))
    alive.breaker(Api.LLM)(HALF_OPEN, 0.0)
    (probing,) = await shown(database, (Api.LLM, HALF_OPEN, 1))
    assert (probing.since, probing.probe_at) == (began.since, None)


async def test_the_last_state_of_a_breaker_is_stored(board: Callable[..., BreakerStatusStore], database: MongoDatabase) -> None:
    """However fast a breaker changes, the store has its last state in the end."""
    changed = board("run").breaker(Api.LLM)
    for _ in range(200):
        for state in (OPEN, HALF_OPEN, CLOSED, OPEN):
            changed(state, 60.0)
    await shown(database, (Api.LLM, OPEN, 1))
    changed(CLOSED, 0.0)
    await shown(database)
    assert database[FLEET].count_documents({}) == 0


async def test_commands_show_which_breaker_is_open(
    board: Callable[..., BreakerStatusStore], database: MongoDatabase, mongodb_uri: str, tmp_path: Path
) -> None:
    """`doctor`, `status` and `watch` show which API does not answer, since when, and the time of the next probe."""
    record = new_status("w", {"user_prompt": "a lake"}, users=1, posts=1) | {"_id": WORLD}
    database[STATUS].insert_one(record)
    generia = Command(tmp_path, {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": database.name})
    open_breaker = re.compile(r"OPEN since (\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\.\d+ UTC, next probe in \d+ s")
    board("run", 60.0).breaker(Api.LLM)(OPEN, 45.0)
    await shown(database, (Api.LLM, OPEN, 1))

    assert open_breaker.search(generia.call("status", WORLD)[1])
    (breaker,) = json.loads(generia.call("status", WORLD, "--json")[1])["breakers"]
    assert (breaker["api"], breaker["state"]) == ("llm", "open")
    findings = [json.loads(line) for line in generia.call("doctor", "--json")[1].splitlines()]
    (finding,) = [one for one in findings if one["part"] == "breaker llm"]
    assert finding["health"] == "note"
    assert open_breaker.match(finding["found"])
    air = in_flight(database, WORLD, GatewaySettings(llm_concurrency=15, image_concurrency=10))
    out = io.StringIO()
    Console(file=out, width=120).print(world_panel(Snapshot(WorldStatus.model_validate(record), [], in_flight=air), [], prompt=""))
    assert open_breaker.search(out.getvalue())

    database[STATUS].update_one({"_id": WORLD}, {"$set": {"status": "completed"}})
    assert json.loads(generia.call("status", WORLD, "--json")[1])["breakers"] == []


def test_a_world_that_an_outage_suspended_leaves_no_open_breaker(
    tmp_path: Path, mongodb_uri: str, broker: str, gemini: str
) -> None:
    """While a run waits for Gemini its breaker is shown as open; after the run has ended the entry is removed."""
    hasty: dict[str, Any] = {"patience_seconds": 4.0, "breaker_minimum_calls": 1, "breaker_open_seconds": 0.5}
    with worlds_in_process(tmp_path, mongodb_uri=mongodb_uri, broker=broker, gemini=gemini, **hasty) as worlds:
        assert worlds.gemini is not None
        worlds.gemini.set_faults(unavailable=1.0)
        with ThreadPoolExecutor(1) as threads:
            run = threads.submit(worlds.make, "outage", users=1, posts=1)
            wait_for(
                lambda: [one.api for one in breakers_not_closed(worlds.database) if one.state is OPEN] == ["llm"] or run.done(),
                what="the open breaker on the board",
            )
            assert not run.done()
            assert not run.result()[1].success
        parked = worlds.status("outage").parked
        assert parked is not None and parked.kind == "outage"
        assert worlds.database[FLEET].count_documents({"_id": {"$regex": "^breaker:"}}) == 0
