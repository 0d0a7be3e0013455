"""Service tiers of single calls: the request, the cost of an answer, and the effects of a shed call at flex."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from emulators.gemini.client import EmulatorControl
from resources.gateway import waits
from resources.gateway.api_gateway import MOST_SHED, ApiGateway, ApiPolicy
from resources.gateway.breaker import Breaker, BreakerState
from resources.gateway.calls import Answer, Api, Call
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gateway.outcomes import (
    CallError,
    CallTimeoutError,
    ParameterRefusedError,
    RateLimitedError,
    ShedError,
    TransientError,
)
from resources.gemini.answers import HttpAnswer, read_answer
from resources.gemini.client import GeminiClient
from resources.gemini.model_resolver import ModelResolver
from resources.gemini.models import dearest, model_profiles, now
from resources.gemini.tiers import CallTier, flex_at_once, tiers_served
from resources.mongodb.connection import connect_async
from resources.settings import GatewaySettings
from tests.support.gateway_calls import RecordingLedger
from tests.support.gemini_server import FLASH, KEY, as_bytes, failed, question, said
from tests.support.waiting import PATIENCE_S, until

USED = {"promptTokenCount": 1_000, "candidatesTokenCount": 100, "totalTokenCount": 1_100, "cachedContentTokenCount": 400}


def at(tier: CallTier) -> Any:
    return replace(question(), tier=tier)


def price(*tiers: CallTier) -> Any:
    return dearest(FLASH.price(now(), tier=tier) for tier in tiers)


@pytest.mark.case("A21")
@pytest.mark.parametrize(
    ("asked", "named", "billed"),
    [
        pytest.param(CallTier.FLEX, "flex", (CallTier.FLEX,), id="A21 served at flex"),
        pytest.param(CallTier.FLEX, "standard", (CallTier.STANDARD,), id="A21 served at standard, billed at standard"),
        pytest.param(CallTier.PRIORITY, "standard", (CallTier.STANDARD,), id="A21 beyond the quota of priority"),
        pytest.param(CallTier.PRIORITY, "PRIORITY", (CallTier.PRIORITY,), id="any case"),
        pytest.param(CallTier.STANDARD, "priority", (CallTier.PRIORITY,), id="more than was asked for"),
        pytest.param(CallTier.FLEX, None, (CallTier.FLEX, CallTier.STANDARD), id="nobody says: the dearer one"),
        pytest.param(CallTier.PRIORITY, "", (CallTier.PRIORITY,), id="nobody says: the dearer one, priority"),
        pytest.param(CallTier.STANDARD, "turbo", tuple(CallTier), id="an unknown one: the dearest"),
        pytest.param(CallTier.FLEX, 7, (CallTier.STANDARD,), id="no name"),
    ],
)
def test_an_answer_has_the_price_of_the_tier_that_served_it(asked: CallTier, named: object, billed: tuple[CallTier, ...]) -> None:
    """The tier in the answer's body or header is billed."""
    usage = USED if named is None else {**USED, "serviceTier": named}
    in_body = read_answer(HttpAnswer(200, {}, as_bytes(said(usage=usage))), at(asked), FLASH)
    assert in_body.cost_usd == pytest.approx(price(*billed).cost_usd(in_body.tokens))
    headers = {"x-gemini-service-tier": named} if isinstance(named, str) else {}
    in_header = read_answer(HttpAnswer(200, headers, as_bytes(said(usage=USED))), at(asked), FLASH)
    assert in_header.cost_usd == in_body.cost_usd
    assert in_header.data["service_tier"] == (named if isinstance(named, str) and named else asked)


def test_a_tier_that_a_model_does_not_support_is_standard() -> None:
    """The call is made and priced at standard."""
    plain = FLASH.model_copy(update={"tiers": {}})
    assert plain.tier(CallTier.FLEX) is CallTier.STANDARD
    assert plain.price(now(), tier=CallTier.PRIORITY) == FLASH.price(now())
    assert set(tiers_served("unspecified", CallTier.FLEX)) == {CallTier.STANDARD}


@pytest.mark.parametrize(
    ("status", "body", "sheds"),
    [
        (503, failed(503, "UNAVAILABLE", "high demand"), True),
        (429, failed(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."), True),
        (500, failed(500, "INTERNAL"), False),
        (429, failed(429, "RESOURCE_EXHAUSTED", "no", {"violations": [{"quotaId": "RequestsPerDay"}]}), False),
    ],
)
def test_a_429_and_a_503_at_flex_are_sheds_and_at_standard_are_not(status: int, body: object, sheds: bool) -> None:
    """A used-up daily quota is not a shed, because a short wait does not help."""
    for tier in CallTier:
        with pytest.raises(CallError) as raised:
            read_answer(HttpAnswer(status, {}, as_bytes(body)), at(tier), FLASH)
        assert isinstance(raised.value, ShedError) is (sheds and tier is CallTier.FLEX)
        assert not (sheds and tier is CallTier.FLEX and raised.value.carried_out)


def test_a_tier_that_the_api_refuses_is_a_refused_parameter() -> None:
    """Calls are then made at standard for a day, and no other model takes over (test_models_retired.py)."""
    refusal = failed(400, "INVALID_ARGUMENT", f"Flex API is not supported for model: {FLASH.id}.")
    with pytest.raises(ParameterRefusedError) as raised:
        read_answer(HttpAnswer(400, {}, as_bytes(refusal)), at(CallTier.FLEX), FLASH)
    assert raised.value.parameter == "service_tier"


def test_the_servers_own_deadline_at_flex_is_a_time_out() -> None:
    """Like after the client's time-out, the work may have been billed, and the next attempt is made at standard."""
    for tier in CallTier:
        with pytest.raises(TransientError) as raised:
            read_answer(HttpAnswer(504, {}, as_bytes(failed(504, "DEADLINE_EXCEEDED"))), at(tier), FLASH)
        assert isinstance(raised.value, CallTimeoutError) is (tier is CallTier.FLEX)
        assert raised.value.in_doubt


@pytest.mark.case("A21")
@pytest.mark.parametrize(("asked", "served"), [(asked, named) for asked in CallTier for named in (None, asked, CallTier.STANDARD)])
def test_no_answer_costs_more_than_its_call_reserved(asked: CallTier, served: CallTier | None) -> None:
    """At the requested tier or at standard, with or without a tier in the answer, with every token that the request allows."""
    request = replace(at(asked), max_output_tokens=2_000)
    usage = {"promptTokenCount": request.prompt_bytes, "candidatesTokenCount": 2_000} | ({"serviceTier": served} if served else {})
    answer = read_answer(HttpAnswer(200, {}, as_bytes(said(usage=usage))), request, FLASH)
    worst = ModelResolver(FLASH.id, cast("Any", None)).worst_price(FLASH, asked)
    reserved = worst.worst_case_usd(prompt_bytes=request.prompt_bytes, max_output_tokens=2_000)
    assert answer.cost_usd is not None
    assert 0 < answer.cost_usd <= reserved


@pytest.mark.parametrize("tier", CallTier)
async def test_the_emulator_serves_the_requested_tier(gemini: str, tier: CallTier) -> None:
    """The field is in the request beside the configuration, and the answer has the tier in body and bill."""
    client = GeminiClient(api_key=KEY, base_url=gemini, timeout_seconds=60)
    answer = await client.ask(at(tier), model_profiles()["gemini-3.5-flash-lite"])
    await client.aclose()
    with EmulatorControl(gemini) as control:
        (request,) = control.requests()
        assert control.stats().by_service_tier == {tier.value: 1}
    assert isinstance(request.body, dict)
    assert request.body.get("serviceTier") == (None if tier is CallTier.STANDARD else tier.value)
    assert answer.data["service_tier"] == tier
    expected = model_profiles()["gemini-3.5-flash-lite"].price(now(), tier=tier).cost_usd(answer.tokens)
    assert answer.cost_usd == pytest.approx(expected)


async def test_flex_has_its_own_time_out(gemini: str) -> None:
    """An answer at flex may take longer than the time-out of standard, and ends after the time-out of flex."""
    with EmulatorControl(gemini) as control:
        control.set_faults(latency=0.1, flex_slower=6)
    patient = GeminiClient(api_key=KEY, base_url=gemini, timeout_seconds=0.4, flex_timeout_seconds=60)
    hasty = GeminiClient(api_key=KEY, base_url=gemini, timeout_seconds=60, flex_timeout_seconds=0.4)
    assert (await patient.ask(at(CallTier.FLEX), FLASH)).value is not None
    with pytest.raises(CallTimeoutError):
        await hasty.ask(at(CallTier.FLEX), FLASH)
    await patient.aclose()
    await hasty.aclose()


# The gateway


class UnorderedLedger(RecordingLedger):
    """A ledger for concurrent calls, which end in any order."""

    def finalize(self, attempt_id, call, settlement):
        self.events.append("finalize")
        self.settlements.append(settlement)


@dataclass
class Way:
    """A gateway with its policies, and a ledger."""

    gateway: ApiGateway
    policy: ApiPolicy
    ledger: UnorderedLedger

    @property
    def flex(self) -> ApiPolicy:
        assert self.policy.flex is not None
        return self.policy.flex


@pytest.fixture
async def way(mongodb_uri: str, mongo_database_name: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Way]:
    monkeypatch.setattr(waits, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(waits, "LONGEST_WAIT_SECONDS", 0.02)
    config = GatewaySettings(breaker_open_seconds=0.05, breaker_open_max_seconds=0.1)

    def breaker(name: str) -> Breaker:
        return Breaker(name, config, lambda state, probe_in: None)

    async with connect_async(mongodb_uri) as client:
        fleet = client[mongo_database_name].fleet
        slots, flex = (
            ConcurrencyLimiter(fleet, name, limit=limit, lease_seconds=30, rise_seconds=600)
            for name, limit in (("llm", 6), ("flex", 4))
        )
        policy = ApiPolicy(slots, breaker("llm"), flex=ApiPolicy(flex, breaker("flex"), within=slots))
        gateway = ApiGateway({Api.LLM: policy}, patience_seconds=1.0)
        yield Way(gateway, policy, UnorderedLedger())
        await gateway.aclose()


def a_call(*outcomes: Exception | str, fallback: Call[str] | None = None) -> Call[str]:
    """A call whose attempts have these outcomes; the last one repeats."""
    left = list(outcomes)

    async def send() -> Answer[str]:
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, Exception):
            raise outcome
        return Answer(outcome, {})

    return Call(Api.LLM, "post", "task", 1, {}, send, fallback=fallback)


SHED = ShedError("503 high demand")


@pytest.mark.parametrize(
    ("outcomes", "value", "attempts"),
    [
        ((SHED, SHED, "at flex"), "at flex", 3),
        ((SHED, SHED, SHED, "at flex"), "at standard", MOST_SHED + 1),
        ((CallTimeoutError("too long", in_doubt=True), "at flex"), "at standard", 2),
        ((ShedError("429", retry_after=3_600), "at flex"), "at standard", 2),
        ((TransientError("500"), TransientError("500"), "at flex"), "at flex", 3),
    ],
    ids=["tried again", "shed three times", "a time-out is enough", "an hour's pause is enough", "an outage is no shed"],
)
async def test_a_shed_call_is_tried_again_and_then_made_at_standard(
    way: Way, outcomes: tuple[Exception | str, ...], value: str, attempts: int
) -> None:
    """A bounded number of sheds, then the fallback; every attempt is reserved and recorded."""
    assert await way.gateway.call(a_call(*outcomes, fallback=a_call("at standard")), way.ledger) == value
    assert (way.ledger.events.count("reserve"), way.ledger.events.count("finalize")) == (attempts, attempts)


@pytest.mark.case("A22")
async def test_shed_calls_do_not_affect_ceiling_and_breaker_of_other_tiers(way: Way) -> None:
    """After fifty sheds the slots and the breaker of calls at standard are unchanged; only flex is slowed down."""
    shed = [a_call(SHED, SHED, end, fallback=a_call("at standard")) for end in ("at flex", SHED) for _ in range(8)]
    assert set(await asyncio.gather(*(way.gateway.call(call, way.ledger) for call in shed))) == {"at flex", "at standard"}
    assert way.policy.breaker.state is BreakerState.CLOSED
    assert (way.policy.tally.failed, way.flex.breaker.state) == (0, BreakerState.CLOSED)
    await way.gateway.call(a_call("fine"), way.ledger)
    assert way.policy.limiter.ceiling == 6
    await until(lambda: way.flex.limiter.ceiling < 4)


async def test_time_outs_at_flex_open_the_breaker_of_flex_alone(way: Way) -> None:
    """Calls at standard continue while flex does not answer at all."""
    down = [a_call(TransientError("504", in_doubt=True), fallback=a_call("at standard")) for _ in range(12)]
    flex = asyncio.gather(*(way.gateway.call(call, way.ledger) for call in down), return_exceptions=True)
    await until(lambda: way.flex.breaker.state is not BreakerState.CLOSED)
    assert await way.gateway.call(a_call("fine"), way.ledger) == "fine"
    assert way.policy.breaker.state is BreakerState.CLOSED
    assert all(isinstance(error, CallError) for error in await flex)


async def test_the_limit_of_calls_applies_to_all_tiers_and_keeps_slots_free_of_slow_ones(way: Way) -> None:
    """Ten slow calls at flex never have more than their part of the slots; a call at standard gets a slot at once."""
    running: list[int] = []
    go = asyncio.Event()

    async def slow() -> Answer[str]:
        running.append(way.policy.limiter.queue.in_use)
        await go.wait()
        return Answer("slow", {})

    async def quick() -> Answer[str]:
        return Answer("quick", {})

    flex = [Call(Api.LLM, "post", "task", 0, {}, slow, fallback=a_call("dear")) for _ in range(10)]
    under_way = asyncio.gather(*(way.gateway.call(call, way.ledger) for call in flex))
    await until(lambda: len(running) == 4)
    quick_calls = [Call(Api.LLM, "post", "task", 9, {}, quick) for _ in range(8)]
    assert await asyncio.wait_for(asyncio.gather(*(way.gateway.call(call, way.ledger) for call in quick_calls)), PATIENCE_S)
    assert len(running) == 4
    assert way.policy.limiter.queue.in_use == 4
    go.set()
    await under_way
    assert max(running) <= 6


@pytest.mark.parametrize(("limit", "flex"), [(15, 10), (1, 1), (2, 2), (3, 2), (100, 67)])
def test_a_third_of_the_slots_is_kept_from_flex(limit: int, flex: int) -> None:
    """A single slot may be used by any tier."""
    assert flex_at_once(limit) == flex


def test_a_shed_is_a_rate_limit_with_its_own_name() -> None:
    """So the record distinguishes the two."""
    assert isinstance(SHED, RateLimitedError)
    assert (SHED.outcome, SHED.carried_out, SHED.is_answer) == ("shed", False, True)
    assert json.dumps(SHED.args)
