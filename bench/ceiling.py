"""The throughput of calls through the real gateway when the provider allows fewer concurrent calls than are configured.

Not here: worlds.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel

from bench.stack import TestStack
from resources.gateway.api_gateway import ApiGateway, ApiPolicy
from resources.gateway.breaker import Breaker
from resources.gateway.calls import Answer, Api, Call, CallOutcome
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gemini.client import GeminiClient, TextRequest
from resources.gemini.models import ModelProfile, model_profiles
from resources.mongodb.connection import connect_async
from resources.settings import GatewaySettings

CONFIGURED, CEILING = 15, 8
CALL_SECONDS = 0.5
LEASE_SECONDS = 15.0
BACK_SECONDS = 60.0
"""All slots are in use again by then."""


@dataclass(frozen=True)
class Pace:
    """The durations of the calls. ``bound``: the fewest seconds they can take, with every slot below the ceiling in use.

    ``back``: seconds from the end of the ceiling until all slots were in use again; None where that was not measured.
    """

    calls: int
    seconds: float
    bound: float
    refused: int
    back: float | None = None

    @property
    def share(self) -> float:
        return self.seconds / self.bound


ValueT = TypeVar("ValueT")


class _Line(BaseModel):
    text: str


class _Free:
    """A ledger without limits."""

    async def reserve(self, call: Call[ValueT]) -> str:
        return call.task_id

    async def confirm(self, attempt_id: str) -> None:
        pass

    def finalize(self, attempt_id: str, call: Call[ValueT], outcome: CallOutcome) -> None:
        pass

    def waiting(self, api: Api, reason: str, since: datetime) -> None:
        pass

    def answered(self, api: Api) -> None:
        pass


def measure(stack: TestStack, calls: int, *, until_back: bool = False) -> Pace:
    """Make this number of calls as fast as the provider allows; ``until_back``: then more of them without a ceiling."""
    stack.gemini.reset()
    stack.gemini.set_faults(latency=CALL_SECONDS, max_in_flight=CEILING)
    pace = asyncio.run(_make(stack, calls, until_back=until_back))
    stack.gemini.reset()
    return pace


async def _make(stack: TestStack, calls: int, *, until_back: bool) -> Pace:
    async with connect_async(stack.env["MONGODB_URI"]) as client:
        slots = ConcurrencyLimiter(
            client["generia_bench"]["fleet"], f"ceiling-{time.time():.0f}", limit=CONFIGURED, lease_seconds=LEASE_SECONDS
        )
        config = GatewaySettings()
        gateway = ApiGateway(
            {Api.LLM: ApiPolicy(slots, Breaker("llm", config, lambda state, probe_in: None))}, patience_seconds=900.0
        )
        gemini = GeminiClient(api_key="", base_url=stack.env["GEMINI_BASE_URL"], timeout_seconds=60.0)
        profile = next(iter(model_profiles().values()))
        try:
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                for number in range(calls):
                    group.create_task(gateway.call(_call(gemini, profile, number), _Free()))
            seconds = time.monotonic() - began
            refused = stack.gemini.stats().by_outcome.get("ceiling", 0)
            back = await _grow_back(stack, gateway, gemini, profile) if until_back else None
        finally:
            await gateway.aclose()
            await gemini.aclose()
    return Pace(calls, seconds, calls * CALL_SECONDS / CEILING, refused, back)


async def _grow_back(stack: TestStack, gateway: ApiGateway, gemini: GeminiClient, profile: ModelProfile) -> float:
    stack.gemini.reset()
    stack.gemini.set_faults(latency=CALL_SECONDS)
    began, back = time.monotonic(), asyncio.Event()

    async def calling(caller: int) -> None:
        number = 0
        while not back.is_set():
            await gateway.call(_call(gemini, profile, caller * 10_000 + number), _Free())
            number += 1

    async with asyncio.TaskGroup() as group:
        for caller in range(1, CONFIGURED + 1):
            group.create_task(calling(caller))
        await asyncio.to_thread(stack.gemini.wait_until, lambda stats: stats.in_flight == CONFIGURED, timeout=BACK_SECONDS)
        back.set()
    return time.monotonic() - began


def _call(gemini: GeminiClient, profile: ModelProfile, number: int) -> Call[_Line]:
    request = TextRequest(
        system="Write one line.",
        parts=(f"Line {number}",),
        schema={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        answer=_Line,
        max_output_tokens=200,
    )

    async def send() -> Answer[_Line]:
        return await gemini.ask(request, profile)

    return Call(Api.LLM, "line", str(number), priority=0, request_data={}, send=send)
