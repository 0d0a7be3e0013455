"""A20: with each form of a model's retirement a world completes, a process wastes at most one call, and the bill is right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from pydantic import BaseModel

from emulators.gemini.client import EmulatorControl
from generia_assets.catalog import TaskType
from generia_assets.content.prompt import Prompt
from generia_assets.durable.calls.clients import TaskTextClient
from generia_assets.durable.calls.ledger import BudgetLedger
from generia_assets.durable.calls.task_calls import Checkpoints, Providers, TaskCalls, TaskContext
from generia_assets.durable.collections import FLEET, HISTORY, STATUS
from generia_assets.durable.status import State
from resources.gateway.api_gateway import ApiGateway, ApiPolicy
from resources.gateway.breaker import Breaker
from resources.gateway.calls import Api, TokenUsage
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gateway.outcomes import FatalCallError
from resources.gemini.client import GeminiClient
from resources.gemini.model_resolver import ModelResolver
from resources.gemini.models import dearest, model_profiles, profile_of
from resources.settings import GatewaySettings
from tests.support.durable_world import durable_world
from tests.support.waiting import until
from tests.support.worlds_in_process import Worlds, worlds_in_process

OLD, NEW, LATER = "gemini-2.5-flash", "gemini-3.5-flash-lite", "gemini-3.8-flash"
BEFORE = datetime(2026, 11, 28, 12, tzinfo=UTC)
AFTER = datetime(2026, 12, 1, 0, 0, 1, tzinfo=UTC)
MIDNIGHT = datetime(2027, 1, 1, tzinfo=UTC)
WASTED = ("model_missing", "invalid_argument")
"""What the emulator calls the answers that brought nothing but the news."""


@pytest.fixture(scope="module")
def made_here(
    tmp_path_factory: pytest.TempPathFactory, mongodb_uri: str, broker: str, gemini_process: str
) -> Iterator[dict[str, Worlds]]:
    """Worlds by the configured model, with the default settings."""
    home = tmp_path_factory.mktemp("worlds")
    servers: dict[str, Any] = {"mongodb_uri": mongodb_uri, "broker": broker, "gemini": gemini_process}
    with worlds_in_process(home, **servers) as old, worlds_in_process(home, **servers, gemini_model=LATER) as dated:
        yield {"": old, LATER: dated}


@pytest.fixture
def worlds(made_here: dict[str, Worlds], gemini: str, monkeypatch: pytest.MonkeyPatch) -> Worlds:
    """The worlds of the default model, before it ends, in a fleet without notes."""
    del gemini
    today(monkeypatch, BEFORE)
    for each in made_here.values():
        each.database[FLEET].delete_many({})
    return made_here[""]


def today(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr("resources.gemini.models.now", lambda: moment)


def completed(worlds: Worlds) -> str:
    """Make a complete world, and return its id."""
    world_id, made = worlds.make(users=1, posts=2)
    assert made.success, made.failure
    status = worlds.status(world_id)
    assert (status.status, status.users_created, status.posts_created) == (State.COMPLETED, 1, 2)
    return world_id


def calls(worlds: Worlds, world_id: str) -> list[dict[str, Any]]:
    """The records of the model's calls that were answered, in their order."""
    answered = {"world_id": world_id, "api_type": "llm", "tokens.prompt": {"$gt": 0}}
    return list(worlds.database[HISTORY].find(answered).sort("created_at", 1))


def owed(row: dict[str, Any], moment: datetime, model: str = "") -> float:
    """The cost of a recorded call at its moment."""
    profile = profile_of(model or row["response_data"]["model"])
    assert profile is not None
    return profile.price(moment).cost_usd(TokenUsage(**row["tokens"]))


def warned(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """The warnings about a model in the log since the last call."""
    return [line for line in capfd.readouterr().err.splitlines() if " WARNING " in line and f"model {OLD}" in line]


@pytest.mark.parametrize(
    ("moment", "retirement", "wasted", "asked", "answered", "warnings"),
    [
        pytest.param(BEFORE, {"shape": "not_found"}, 1, NEW, NEW, 1, id="A20 404"),
        pytest.param(BEFORE, {"shape": "routed"}, 0, NEW, NEW, 1, id="A20 answered by another modelVersion"),
        pytest.param(BEFORE, {"shape": "routed", "successor": f"models/{OLD}-001"}, 0, OLD, OLD, 0, id="A20 a version of itself"),
        pytest.param(BEFORE, {"shape": "parameter"}, 1, NEW, NEW, 1, id="A20 a parameter refused"),
        pytest.param(AFTER, {"shape": "not_found"}, 0, NEW, NEW, 0, id="A20 after its end"),
    ],
)
def test_a_retired_model_fails_no_world(
    worlds: Worlds,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    moment: datetime,
    retirement: dict[str, Any],
    wasted: int,
    asked: str,
    answered: str,
    warnings: int,
) -> None:
    """Worlds are complete, the first one wasted at most one call, the second none, and there was one warning."""
    assert worlds.gemini is not None
    today(monkeypatch, moment)
    worlds.gemini.set_faults(retired={OLD: retirement})
    for number, expected in enumerate((wasted, 0) if warnings else (wasted,)):
        before = worlds.gemini.stats()
        rows = calls(worlds, world_id := completed(worlds))
        stats = worlds.gemini.stats()
        lost = [stats.by_outcome.get(outcome, 0) - before.by_outcome.get(outcome, 0) for outcome in WASTED]
        assert sum(lost) == expected
        assert {row["request_data"]["model"] for row in rows[1 - number :]} == {
            asked
        }  # the first call of all may find the retirement
        assert all(answered in row["response_data"]["model"] for row in rows)
        assert [row["cost_usd"] for row in rows] == pytest.approx([owed(row, moment) for row in rows])
        assert all(row["cost_usd"] <= row["reserved_usd"] for row in rows)
        status = worlds.status(world_id)
        assert status.llm_cost_total == pytest.approx(sum(row["cost_usd"] for row in rows))
        assert status.api_calls_made_LLM == len(rows)  # a refused call does not count in the budget
    assert len(warned(capfd)) == warnings


@pytest.mark.case("A20")
def test_a_series_of_429_500_and_503_is_waited_for(worlds: Worlds) -> None:
    """With the default settings worlds are complete although their model fails three calls of five in three ways for a while."""
    assert worlds.gemini is not None
    worlds.gemini.set_faults(retired={OLD: {"shape": "spell"}}, for_calls=80)
    for _ in range(3):  # one has too few calls to meet each failure
        completed(worlds)
    outcomes = worlds.gemini.stats().by_outcome
    assert all(outcomes.get(name, 0) > 0 for name in ("rate_limited_bare", "internal", "unavailable"))


@pytest.mark.case("A20")
def test_a_price_that_changes_at_midnight_counts_from_midnight(
    worlds: Worlds, made_here: dict[str, Worlds], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a world made over midnight each call has the price of its day, and its reservation was enough for both prices."""
    del worlds
    dated = made_here[LATER]
    gemini = dated.gemini
    assert gemini is not None
    gemini.set_faults(retired={LATER: {"shape": "price"}})
    eve = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    monkeypatch.setattr("resources.gemini.models.now", lambda: eve if gemini.stats().calls < 4 else MIDNIGHT)
    rows = calls(dated, completed(dated))
    old, new = ([row["cost_usd"] == pytest.approx(owed(row, day)) for row in rows] for day in (eve, MIDNIGHT))
    assert all(one or other for one, other in zip(old, new, strict=True))
    assert 2 <= sum(old) <= 4
    assert sum(new) == len(rows) - sum(old)
    assert all(row["cost_usd"] <= row["reserved_usd"] for row in rows)


@pytest.mark.case("A20")
def test_an_unknown_model_has_the_highest_price_and_one_warning(worlds: Worlds, capfd: pytest.CaptureFixture[str]) -> None:
    """If answers have a modelVersion without a profile, the world completes at the highest price, with one warning."""
    assert worlds.gemini is not None
    worlds.gemini.set_faults(retired={OLD: {"shape": "routed", "successor": "gemini-9-ultra"}})
    rows = calls(worlds, completed(worlds))
    most = dearest(profile.price(BEFORE) for profile in model_profiles().values())
    assert [row["cost_usd"] for row in rows] == pytest.approx([most.cost_usd(TokenUsage(**row["tokens"])) for row in rows])
    later = calls(worlds, completed(worlds))
    assert all(row["cost_usd"] <= row["reserved_usd"] for row in later)  # the possible models are known by then
    (warning,) = warned(capfd)
    assert "gemini-9-ultra answers for model gemini-2.5-flash, and has no profile" in warning


class _Line(BaseModel):
    text: str


_PROMPT = Prompt("post", "Write.", "", "One line", {"type": "object", "properties": {"text": {"type": "string"}}}, 2000)


@asynccontextmanager
async def first_calls(model: str, uri: str, database: str, gemini: str) -> AsyncIterator[list[TaskTextClient]]:
    """Fifteen tasks of a process without earlier calls, like in a world that is resumed in the middle."""
    async with durable_world(uri, database) as world:
        run = await world.run()
        await world.database[STATUS].update_one({"_id": world.world_id}, {"$set": {"api_call_limits_LLM": 100}})
        breaker = Breaker(
            "llm",
            GatewaySettings(
                breaker_open_seconds=0.05,
                breaker_open_max_seconds=0.1,
            ),
            lambda state, probe_in: None,
        )
        gateway = ApiGateway(
            {Api.LLM: ApiPolicy(ConcurrencyLimiter(world.database.fleet, "llm", limit=15, lease_seconds=30), breaker)},
            patience_seconds=60,
        )
        client = GeminiClient(api_key="", base_url=gemini, timeout_seconds=60)
        providers = Providers(
            gateway,
            client,
            ModelResolver(model, world.database.fleet),
            images=cast("Any", None),
            platform=cast("Any", None),
            timeouts={Api.LLM: 60},
            max_reasks=0,
            outage_timeout=60,
        )
        ledger = BudgetLedger(run.database, run.commits, run.generation)
        tasks = [
            TaskContext(f"task-{number}", TaskType.GENERATE_POST, f"c0000-p{number:04d}", resumed=False) for number in range(15)
        ]
        yield [
            TaskTextClient(TaskCalls(task, Checkpoints(run.database, run.commits, task.task_id, resumed=False), providers, ledger))
            for task in tasks
        ]
        await gateway.aclose()
        await client.aclose()


@pytest.mark.parametrize(
    ("model", "retirement", "by_model"),
    [
        pytest.param(OLD, {"shape": "not_found"}, {OLD: 1, NEW: 15}, id="A20 404"),
        pytest.param(OLD, {"shape": "parameter"}, {OLD: 1, NEW: 15}, id="A20 a parameter refused"),
        pytest.param(
            NEW,
            {"shape": "parameter", "successor": LATER},
            {NEW: 2, LATER: 14},
            id="A20 a parameter refused that the successor would send as well: left out, and then it is known who answers",
        ),
        pytest.param("gemini-3.1-flash-lite", {"shape": "routed"}, {"gemini-3.1-flash-lite": 1, NEW: 14}, id="A20 routed"),
    ],
)
async def test_a_process_wastes_at_most_one_of_its_first_calls(
    mongodb_uri: str,
    mongo_database_name: str,
    gemini: str,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    retirement: dict[str, Any],
    by_model: dict[str, int],
) -> None:
    """For any number of first calls, one of them finds that the model was replaced, and the others use the new one."""
    today(monkeypatch, BEFORE)
    with EmulatorControl(gemini) as control:
        control.set_faults(latency=0.5, retired={model: retirement})  # long compared with the time for sending them
        async with first_calls(model, mongodb_uri, mongo_database_name, gemini) as writers:
            await asyncio.gather(*(writer.write(_PROMPT, _Line) for writer in writers))
        stats = control.stats()
    assert stats.by_model == by_model
    assert sum(stats.by_outcome.get(outcome, 0) for outcome in WASTED) == (retirement["shape"] != "routed")
    assert stats.by_outcome["ok"] == 15
    assert stats.peak_in_flight > 5  # the others are sent together


@pytest.mark.case("A20")
async def test_models_that_replace_each_other_end_the_calls(
    mongodb_uri: str, mongo_database_name: str, gemini: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If two retired models have each other as successors, the calls end."""
    today(monkeypatch, BEFORE)
    older = "gemini-3.1-flash-lite"
    assert model_profiles()[NEW].successor == older
    with EmulatorControl(gemini) as control:
        control.set_faults(retired={older: {"shape": "routed", "successor": NEW}})
        async with first_calls(older, mongodb_uri, mongo_database_name, gemini) as writers, asyncio.timeout(60):
            await writers[0].write(_PROMPT, _Line)
            control.set_faults(retired={NEW: {"shape": "not_found"}})
            with pytest.raises(FatalCallError, match="set GEMINI_MODEL"):
                await writers[1].write(_PROMPT, _Line)
        assert control.stats().by_model == {older: 1, NEW: 1}


@pytest.mark.case("A20")
async def test_at_most_one_of_the_calls_that_an_outage_delayed_is_wasted(
    mongodb_uri: str, mongo_database_name: str, gemini: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a model is retired while calls to it are repeated, one of them is wasted; the others use its successor."""
    today(monkeypatch, BEFORE)
    with EmulatorControl(gemini) as control:
        control.set_faults(unavailable=1.0)
        async with first_calls(OLD, mongodb_uri, mongo_database_name, gemini) as writers, asyncio.TaskGroup() as group:
            for writer in writers:
                group.create_task(writer.write(_PROMPT, _Line))
            await until(lambda: control.stats().by_outcome.get("unavailable", 0) >= 8)
            control.set_faults(unavailable=0.0, retired={OLD: {"shape": "parameter"}})
        stats = control.stats()
    assert (stats.by_outcome["invalid_argument"], stats.by_outcome["ok"]) == (1, 15)
