"""The service tier of a world: where it comes from, that it stays, and that the cap holds when shed calls go back to standard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from pydantic import BaseModel

from emulators.gemini.client import EmulatorControl
from generia_assets.catalog import TaskType
from generia_assets.content.prompt import Prompt
from generia_assets.durable.calls.clients import TaskTextClient
from generia_assets.durable.calls.ledger import BudgetLedger
from generia_assets.durable.calls.task_calls import Checkpoints, Providers, TaskCalls, TaskContext
from generia_assets.durable.collections import FLEET, HISTORY, STATUS, TASKS
from generia_assets.durable.orders.order import OrderError
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.status import State
from resources.gateway import waits
from resources.gateway.api_gateway import ApiGateway
from resources.gateway.calls import Api
from resources.gateway.outcomes import BudgetExhaustedError, ParameterRefusedError
from resources.gemini.client import GeminiClient
from resources.gemini.model_resolver import ModelResolver
from resources.gemini.models import asked_at, now
from resources.gemini.tiers import CallTier, ServiceTier
from resources.providers import GeminiResource
from resources.settings import GatewaySettings, GeminiSettings
from tests.support.durable_world import DurableWorld, Run, an_order, durable_world
from tests.support.worlds_in_process import Worlds, worlds_in_process

MODEL = asked_at("gemini-3.5-flash-lite", now())


class _Line(BaseModel):
    text: str


_PROMPT = Prompt("post", "Write.", "", "One line", {"type": "object", "properties": {"text": {"type": "string"}}}, 2000)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, mongodb_uri: str, broker: str, gemini_process: str) -> Iterator[Worlds]:
    """Worlds of an installation whose tier is flex."""
    home = tmp_path_factory.mktemp("worlds")
    with worlds_in_process(home, mongodb_uri=mongodb_uri, broker=broker, gemini=gemini_process, service_tier="flex") as made:
        yield made


def tiers(worlds: Worlds, world_id: str) -> set[str]:
    return set(worlds.database[HISTORY].distinct("service_tier", {"world_id": world_id, "api_type": "llm"}))


def test_a_world_has_the_tier_of_its_order_or_installation_and_keeps_it(worlds: Worlds) -> None:
    """The status record has the tier; another generation of the same order has it, too, whatever the setting is then."""
    of_setting, made = worlds.make()
    assert made.success, made.failure
    assert worlds.status(of_setting).parameters["service_tier"] == "flex"
    assert tiers(worlds, of_setting) == {"flex"}
    named, made = worlds.make(service_tier="standard")
    assert made.success, made.failure
    assert (worlds.status(named).service_tier, tiers(worlds, named)) == (ServiceTier.STANDARD, {"standard"})
    assert worlds.status(named).llm_cost_total > 1.7 * worlds.status(of_setting).llm_cost_total


def test_an_order_is_recorded_with_its_tier(worlds: Worlds) -> None:
    """The task has the ordered tier, the status record the effective one; a repetition of the message changes nothing."""
    database = worlds.database
    for number in range(2):
        recorded = record_order(
            database, an_order("tier-1", "tier-1-task"), max_users=9, max_posts=9, service_tier=list(ServiceTier)[number + 1]
        )
        assert recorded.new is (number == 0)
    stored = database[STATUS].find_one({"_id": "tier-1"})
    assert stored is not None
    assert stored["parameters"]["service_tier"] == "flex"
    assert "service_tier" not in database[TASKS].find_one({"_id": "tier-1-task"})["parameters"]  # type: ignore[index]
    record_order(database, an_order("tier-2", service_tier="economy"), max_users=9, max_posts=9, service_tier=ServiceTier.FLEX)
    assert worlds.status("tier-2").service_tier is ServiceTier.ECONOMY


def test_a_world_older_than_tiers_is_at_standard(worlds: Worlds) -> None:
    """Its status record has no tier, and the present setting does not change that."""
    record_order(worlds.database, an_order("tier-old"), max_users=9, max_posts=9)
    worlds.database[STATUS].update_one({"_id": "tier-old"}, {"$unset": {"parameters.service_tier": 1}})
    assert worlds.status("tier-old").service_tier is ServiceTier.STANDARD
    assert worlds.status("tier-old").status is State.PENDING


@pytest.mark.parametrize("tier", ["Flex", "cheap", 2, ""])
def test_an_unknown_tier_is_refused_by_name(tier: object) -> None:
    """The message names the field and what is allowed."""
    with pytest.raises(OrderError, match=r"service_tier.*standard.*flex.*priority.*economy"):
        an_order("w", service_tier=tier)


@asynccontextmanager
async def writer(
    uri: str, database: str, gemini: str, cap: float | None, **settings: Any
) -> AsyncIterator[tuple[TaskTextClient, DurableWorld, Run]]:
    """A task at flex of a world with this cap; the world and its run."""
    async with durable_world(uri, database) as world:
        run = await world.run()
        await world.database[STATUS].update_one(
            {"_id": world.world_id}, {"$set": {"api_call_limits_LLM": 1000, "cost_limit_usd": cap}}
        )
        resource = GeminiResource(GeminiSettings(gemini_base_url=gemini, gemini_model=MODEL.id, **settings), GatewaySettings())
        gateway = ApiGateway({Api.LLM: resource.policy(world.database[FLEET], lambda state, probe_in: None)}, patience_seconds=60)
        client: GeminiClient = resource.open()
        providers = Providers(
            gateway,
            client,
            ModelResolver(MODEL.id, world.database[FLEET]),
            images=cast("Any", None),
            platform=cast("Any", None),
            timeouts={Api.LLM: resource.timeout_seconds},
            max_reasks=0,
            outage_timeout=60,
            flex_timeout=resource.flex_timeout_seconds,
        )
        task = TaskContext("task-1", TaskType.GENERATE_POST, "c0000-p0000", resumed=False, tier=CallTier.FLEX)
        ledger = BudgetLedger(run.database, run.commits, run.generation)
        checkpoints = Checkpoints(run.database, run.commits, task.task_id, resumed=False)
        yield TaskTextClient(TaskCalls(task, checkpoints, providers, ledger)), world, run
        await gateway.aclose()
        await client.aclose()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(waits, "LONGEST_WAIT_SECONDS", 0.05)


async def attempts(world: DurableWorld, run: Run) -> list[tuple[str, str]]:
    await run.commits.flush()
    rows = world.database[HISTORY].find({"world_id": world.world_id}).sort("created_at", 1)
    return [(row["service_tier"], row["outcome"]) async for row in rows]


@pytest.mark.case("A22")
async def test_a_shed_call_goes_back_to_standard_and_is_billed_so(mongodb_uri: str, mongo_database_name: str, gemini: str) -> None:
    """Three sheds at flex cost nothing, then one call has the standard price; each attempt is recorded with its tier."""
    with EmulatorControl(gemini) as control:
        control.set_faults(flex_shed=1.0)
        async with writer(mongodb_uri, mongo_database_name, gemini, None) as (client, world, run):
            await client.write(_PROMPT, _Line)
            assert await attempts(world, run) == [*[("flex", "shed")] * 3, ("standard", "ok")]
            (row,) = [row async for row in world.database[HISTORY].find({"outcome": "ok"})]
            assert row["reserved_usd"] >= row["cost_usd"] > 0
            status = await world.database[STATUS].find_one({"_id": world.world_id})
            assert status["llm_cost_total"] == pytest.approx(row["cost_usd"])
            assert status["api_calls_made_LLM"] == 1


@pytest.mark.case("A22")
async def test_a_cap_that_allows_only_the_flex_price_is_not_exceeded(
    mongodb_uri: str, mongo_database_name: str, gemini: str
) -> None:
    """The cap is between the worst cases of flex and of standard: an answer may be billed at standard, so no call is made."""
    worst = {tier: MODEL.price(now(), tier=tier).worst_case_usd(prompt_bytes=200, max_output_tokens=2_000) for tier in CallTier}
    cap = (worst[CallTier.FLEX] + worst[CallTier.STANDARD]) / 2
    async with writer(mongodb_uri, mongo_database_name, gemini, cap) as (client, world, run):
        with pytest.raises(BudgetExhaustedError, match="cap"):
            await client.write(_PROMPT, _Line)
        assert await attempts(world, run) == []


async def test_a_call_at_flex_that_takes_too_long_goes_back_to_standard(
    mongodb_uri: str, mongo_database_name: str, gemini: str
) -> None:
    """Its worst case counts, because it is unknown whether it was executed."""
    with EmulatorControl(gemini) as control:
        control.set_faults(latency=0.05, flex_slower=100)
        async with writer(mongodb_uri, mongo_database_name, gemini, None, gemini_flex_timeout_seconds=0.5) as (client, world, run):
            await client.write(_PROMPT, _Line)
            assert await attempts(world, run) == [("flex", "transient"), ("standard", "ok")]


async def test_a_model_without_flex_is_called_at_standard_and_not_replaced(
    mongodb_uri: str, mongo_database_name: str, gemini: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One refusal (400) is noted for the fleet; the call is made at standard, with the same model."""

    asked: list[CallTier] = []
    real = GeminiClient.ask

    async def ask(self: GeminiClient, request: Any, profile: Any) -> Any:
        asked.append(request.tier)
        if request.tier is CallTier.FLEX:
            raise ParameterRefusedError(f"Flex API is not supported for model: {profile.id}.", parameter="service_tier")
        return await real(self, request, profile)

    monkeypatch.setattr(GeminiClient, "ask", ask)
    async with writer(mongodb_uri, mongo_database_name, gemini, None) as (client, world, run):
        await client.write(_PROMPT, _Line)
        assert asked == [CallTier.FLEX, CallTier.STANDARD]
        assert await attempts(world, run) == [("flex", "parameter_refused"), ("standard", "ok")]
        noted = await world.database[FLEET].find_one({"_id": "models"}) or {}
        assert [(note["model"], note["field"]) for note in noted["refused"]] == [(MODEL.id, "tiers")]
        assert "retired" not in noted
