"""A call to an external API and what becomes of it: the types that the gateway, the providers and the ledgers share.

Here: the call, its answer, its outcome, the protocol of the ledger that pays for it, and the reservation of an attempt; the span of
an attempt. Attributes of models have the names of OpenTelemetry's GenAI conventions (schema gen-ai/1.42.0; none of these names is
stable yet), ours begin with ``generia.``. They are ids, names and numbers only: neither a request nor an answer, and no error's
message, which may quote them. Not here: making calls (api_gateway.py), and the classes of errors (outcomes.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from resources.gateway.outcomes import CallError
from resources.tracing import Span, SpanKind

ValueT_co = TypeVar("ValueT_co", covariant=True)

GEMINI_PROVIDER = "gcp.gemini"
"""Gemini's API in traces."""
CONTROL = "control"
"""Request type of the control calls, which only find out whether an API answers."""
OK = "ok"
"""Outcome of an attempt with a usable answer."""
CUT_OFF = "cut_off"
"""Outcome of an attempt that was stopped, or died with its run, before its answer was recorded."""

_OPERATION = "generate_content"
"""What the conventions call a request for content of several kinds."""


class Api(StrEnum):
    """The external APIs, by the contract's values of ``api_type``."""

    LLM = "llm"
    IMAGE = "image_generation"
    PLATFORM = "platform"


@dataclass(frozen=True)
class TokenUsage:
    """Tokens of one call as the provider billed them; ``prompt`` includes ``cached``, ``output`` includes thinking."""

    prompt: int = 0
    cached: int = 0
    output: int = 0
    thinking: int = 0


@dataclass(frozen=True)
class Answer(Generic[ValueT_co]):
    """The result of an answered call: a value, or an ``error`` that was paid for, too.

    Attributes:
        value: None where there is an error.
        data: What the record keeps of the answer.
        cost_usd: US dollars; None: the provider named no price, so the call's worst case counts.
        error: What is wrong with the answer.
    """

    value: ValueT_co | None
    data: Mapping[str, object]
    cost_usd: float | None = 0.0
    tokens: TokenUsage = field(default_factory=TokenUsage)
    error: CallError | None = None


@dataclass
class ItemCalls:
    """The calls of one item's task over all its attempts: how many were answered, and what was wrong with the last answer."""

    answered: Counter[Api] = field(default_factory=Counter)
    last_error: str = ""


@dataclass(frozen=True)
class Call(Generic[ValueT_co]):
    """One call to make.

    Attributes:
        api: The API; ``request_type``, ``task_id``, ``request_data`` and ``labels`` are recorded: no secret in them.
        priority: The lowest comes first.
        send: Makes the call once; raises a ``CallError`` where it is not answered.
        worst_case_usd: US dollars that are reserved before each attempt.
        timeout_seconds: Of one attempt.
        attempt: Entered before each attempt waits for its slot; sees how the attempt ended.
        control: Makes a small call of the same API that is known to be right, to find out whether the API answers (poison.py).
        item_calls: The calls of the task so far, where a ledger bounds them.
        fallback: Of a call that the provider may shed (flex): the same call at a tier that is not shed, and costs more.
        provider: Of a model, by the name that traces have for it, with ``model``, if it has any; '' of the platform.
    """

    api: Api
    request_type: str
    task_id: str
    priority: int
    request_data: Mapping[str, object]
    send: Callable[[], Awaitable[Answer[ValueT_co]]]
    worst_case_usd: float = 0.0
    timeout_seconds: float = 60.0
    labels: Mapping[str, str] = field(default_factory=dict)
    attempt: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    control: Callable[[], Call[object]] | None = None
    item_calls: ItemCalls | None = None
    fallback: Call[ValueT_co] | None = None
    provider: str = ""
    model: str = ""

    @property
    def is_control(self) -> bool:
        return self.request_type == CONTROL

    def span(self) -> Span:
        """The span of an attempt, which begins now, under that of its task."""
        asked = {"generia.api": self.api.value, "generia.request_type": self.request_type}
        if tier := self.labels.get("service_tier"):
            asked["generia.service_tier"] = tier
        if not self.provider:
            return Span(self.request_type, asked, kind=SpanKind.CLIENT)
        asked["gen_ai.operation.name"] = _OPERATION
        asked["gen_ai.provider.name"] = self.provider
        asked["gen_ai.output.type"] = "image" if self.api is Api.IMAGE else "json"
        if self.model:
            asked["gen_ai.request.model"] = self.model
        return Span(f"{_OPERATION} {self.model or self.provider}", asked, kind=SpanKind.CLIENT)


@dataclass(frozen=True)
class CallOutcome:
    """How an attempt ended: for the record, and for the world's budget.

    Attributes:
        outcome: ``ok``, ``cut_off``, or the ``outcome`` of a ``CallError``.
        cost_usd: US dollars; the worst case where it is unknown.
        data: What the record keeps of the answer.
        error: Why it failed, redacted.
        duration_ms: From sending to the answer.
        carried_out: False if the provider declined before doing anything (429, 503, refused connection): the attempt costs nothing
            and is given back to the limit of calls. When in doubt it was carried out.
        waited_ms: Before it was sent, for a slot, the breaker, the budget, a pause that was demanded; since the call was asked
            for, or since the attempt before ended.
    """

    outcome: str
    cost_usd: float
    tokens: TokenUsage = field(default_factory=TokenUsage)
    data: Mapping[str, object] = field(default_factory=dict)
    error: str | None = None
    duration_ms: int = 0
    carried_out: bool = True
    waited_ms: int = 0

    def describe(self, span: Span) -> None:
        ended: dict[str, str | int | float | bool] = {
            "generia.outcome": self.outcome,
            "generia.cost_usd": self.cost_usd,
            "generia.wait_ms": self.waited_ms,
        }
        tokens = self.tokens
        if tokens.prompt or tokens.output:
            ended |= {
                "gen_ai.usage.input_tokens": tokens.prompt,
                "gen_ai.usage.cache_read.input_tokens": tokens.cached,
                "gen_ai.usage.output_tokens": tokens.output,
                "gen_ai.usage.reasoning.output_tokens": tokens.thinking,
            }
        for name, known in (("gen_ai.response.model", "model"), ("gen_ai.response.id", "response_id")):
            if isinstance(value := self.data.get(known), str):
                ended[name] = value
        span.set(ended)
        if self.outcome != OK:
            span.fail(self.outcome)


UNSENT = CallOutcome(CUT_OFF, 0.0, error="the run stopped before the call was sent", carried_out=False)
"""Outcome of an attempt that was reserved and not sent: it is given back."""


class CallLedger(Protocol):
    """A world's budget and its record of requests."""

    async def reserve(self, call: Call[object]) -> str:
        """Count the attempt and its worst case, atomically.

        Returns:
            The attempt's id.

        Raises:
            BudgetExhaustedError: A limit of the world is reached. This attempt must not be made.
            LeaseLostError: Another run owns the world; neither.
            LostCallAllowanceError: This item has used its share of the spare calls; neither.
        """

    async def confirm(self, attempt_id: str) -> None:
        """Make sure, immediately before the attempt is sent, that it may be: this run owns the world, and nobody holds its calls.

        Raises:
            LeaseLostError: Another run owns the world. This attempt must not be made.
        """

    def finalize(self, attempt_id: str, call: Call[object], outcome: CallOutcome) -> None:
        """Record how the attempt ended and replace its worst case by its cost. Called once for each attempt, whatever happened."""

    def waiting(self, api: Api, reason: str, since: datetime) -> None:
        """An outage holds up a call of this world; called after each of its failed attempts, with the moment of the first."""

    def answered(self, api: Api) -> None:
        """The API answers, possibly with a refusal: there is no outage, or it has ended."""


class Reservation:
    """The reservation of one attempt, as a context: at its end it is given back unless the attempt was sent."""

    def __init__(self, call: Call[object], ledger: CallLedger) -> None:
        self._call = call
        self._ledger = ledger
        self._attempt_id: str | None = None

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *raised: object) -> None:
        self.give_back()

    async def make(self) -> str:
        """The id of the attempt, reserved now if it is not yet. Raises what ``CallLedger.reserve`` raises."""
        if self._attempt_id is None:
            self._attempt_id = await self._ledger.reserve(self._call)
        return self._attempt_id

    async def to_send(self) -> str:
        """The same of an attempt that is sent now: whoever sends it finalizes it. Raises what ``confirm`` raises, too."""
        attempt_id = await self.make()
        await self._ledger.confirm(attempt_id)
        self._attempt_id = None
        return attempt_id

    def give_back(self) -> None:
        if self._attempt_id is not None:
            self._ledger.finalize(self._attempt_id, self._call, UNSENT)
            self._attempt_id = None
