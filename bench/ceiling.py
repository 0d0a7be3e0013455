"""The pace of calls where the provider allows fewer at once than we are configured for, on the real path to the outside.

Here: so many calls through slots, breaker and client against the emulator's hard ceiling, and the time they took. Not here:
worlds.
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


@dataclass(frozen=True)
class Pace:
    """How the calls went. ``bound``: seconds they take at the least, with the ceiling filled at every moment."""

    calls: int
    seconds: float
    bound: float
    refused: int

    @property
    def share(self) -> float:
        """Seconds taken for each second of the bound."""
        return self.seconds / self.bound


ValueT = TypeVar("ValueT")


class _Line(BaseModel):
    text: str


class _Free:
    """An account without limits."""

    async def reserve(self, call: Call[ValueT]) -> str:
        return call.task_id

    async def confirm(self, attempt_id: str, call: Call[ValueT]) -> None:
        pass

    def finalize(self, attempt_id: str, call: Call[ValueT], outcome: CallOutcome) -> None:
        pass

    def waiting(self, api: Api, reason: str, since: datetime) -> None:
        pass

    def answered(self, api: Api) -> None:
        pass


def measure(stack: TestStack, calls: int) -> Pace:
    """Make so many calls as fast as the provider lets us."""
    stack.gemini.reset()
    stack.gemini.set_faults(latency=CALL_SECONDS, max_in_flight=CEILING)
    seconds = asyncio.run(_make(stack, calls))
    stats = stack.gemini.stats()
    stack.gemini.reset()
    return Pace(calls, seconds, calls * CALL_SECONDS / CEILING, stats.by_outcome.get("ceiling", 0))


async def _make(stack: TestStack, calls: int) -> float:
    async with connect_async(stack.env["MONGODB_URI"]) as client:
        slots = ConcurrencyLimiter(
            client["generia_bench"]["fleet"], f"ceiling-{time.time():.0f}", limit=CONFIGURED, lease_seconds=LEASE_SECONDS
        )
        config = GatewaySettings()
        outside = ApiGateway(
            {Api.LLM: ApiPolicy(slots, Breaker("llm", config, lambda state, probe_in: None))}, patience_seconds=900.0
        )
        gemini = GeminiClient(api_key="", base_url=stack.env["GEMINI_BASE_URL"], timeout_seconds=60.0)
        profile = next(iter(model_profiles().values()))
        try:
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                for number in range(calls):
                    group.create_task(outside.call(_call(gemini, profile, number), _Free()))
            return time.monotonic() - began
        finally:
            await outside.aclose()
            await gemini.aclose()


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
