"""The one path to the outside: slot → breaker → budget → call → classify → record, for LLM, images and platform alike.

Here: the order of these steps, and what is done about each outcome. The budget is asked last, at the moment of sending, so
that a death while waiting costs nothing, and a waiting call has reserved nothing. Every attempt is reserved before it is
made and recorded after it; what dies in between stays counted as spent.

Not here: which call fails because of itself and which for an outage (poison.py), how a provider is spoken to (gemini.py, images.py,
platform.py give a ``Call``), and where money and records are kept
(the ``CallLedger`` of the world, generia_assets/durable/calls/ledger.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from tenacity import AsyncRetrying, RetryError, retry_if_exception_type

from resources.gateway.breaker import ANSWERED, Breaker, BreakerOpenError, BreakerState
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gateway.outcomes import (
    CallError,
    FatalCallError,
    LeaseLostError,
    ModelMissingError,
    OutageTimeoutError,
    ParameterRefusedError,
    PoisonousCallError,
    RateLimitedError,
    RequestRejectedError,
    TransientError,
)
from resources.gateway.poison import Suspicion, Tally
from resources.gateway.waits import Outage, Stopwatch, Wait, milliseconds_since

ValueT = TypeVar("ValueT")
ValueT_co = TypeVar("ValueT_co", covariant=True)

logger = logging.getLogger(__name__)

CONTROL = "control"
"""Request type of the calls that only tell whether an API answers at all."""
DECLINED = (RateLimitedError, TransientError, ModelMissingError, RequestRejectedError, ParameterRefusedError)
"""Outcomes of calls that the provider did not carry out: they cost nothing and are given back to the limit of calls."""
CUT_OFF = "cut_off"
"""Outcome of an attempt that was stopped, or died with its run, before its answer was recorded."""


class Api(StrEnum):
    """What is called, by the contract's words for ``api_type``."""

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
    """What a call brought: a value, or an ``error`` that was paid for all the same. ``data`` is what the record keeps of it.

    ``cost_usd`` None: the provider did not say what it took, so the call's worst case counts.
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

    ``worst_case_usd`` is reserved before each attempt. ``request_data`` and ``labels`` are recorded: no secret in them.
    ``control``: a small call of the same API that is known to be right, made to tell whether the API answers at all (poison.py).
    ``item_calls``: the calls of the task so far, where an account bounds them.
    ``attempt`` is entered before each attempt waits for its slot, and sees how the attempt ended.
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
    control: Call[object] | None = None
    item_calls: ItemCalls | None = None

    @property
    def is_control(self) -> bool:
        """Whether this is such a control itself."""
        return self.request_type == CONTROL


@dataclass(frozen=True)
class CallOutcome:
    """How an attempt ended: for the record, and for the world's account.

    ``carried_out`` False: the provider declined before doing anything (429, 503, refused connection), so it costs nothing and
    is given back to the limit of calls. When in doubt it was carried out. ``waited_ms`` went by before it was sent: for a slot, for
    the breaker, for room in the budget, for a pause that was demanded; since the wish, or since the attempt before ended.
    """

    outcome: str
    cost_usd: float
    tokens: TokenUsage
    data: Mapping[str, object]
    error: str | None
    duration_ms: int
    carried_out: bool = True
    waited_ms: int = 0


class CallLedger(Protocol):
    """A world's money and records."""

    async def reserve(self, call: Call[ValueT]) -> str:
        """Count the attempt and its worst case, atomically; return the attempt's id.

        Raises ``BudgetExhaustedError``, ``LeaseLostError`` or, for an item's call, ``SpareUsedUpError``; then it must not be made.
        """
        ...

    def finalize(self, attempt_id: str, call: Call[ValueT], outcome: CallOutcome) -> None:
        """Record how the attempt ended and replace its worst case by its cost. Called once for each attempt, whatever happened."""
        ...

    def waiting(self, api: Api, reason: str, since: datetime) -> None:
        """An outage holds up a call of this world; told after each of its failed attempts, with the moment of the first."""
        ...

    def answered(self, api: Api) -> None:
        """The API answers, be it with a refusal: no outage, or its end."""
        ...


@dataclass(frozen=True)
class ApiPolicy:
    """What stands on the way to one API."""

    slots: ConcurrencyLimiter
    breaker: Breaker
    tally: Tally = field(default_factory=Tally)


class ApiGateway:
    """The path, one object for each process."""

    def __init__(self, lanes: Mapping[Api, ApiPolicy], *, patience_seconds: float) -> None:
        self._lanes = lanes
        self._patience = patience_seconds

    async def call(self, call: Call[ValueT], account: CallLedger) -> ValueT:
        """Make the call, as often as outages and pace demand, and return its value.

        Raises the outcome (``RefusedError``, ``PoisonousCallError``, ``FatalCallError``, …), ``OutageTimeoutError`` after an
        outage longer than the patience, or what ``CallLedger.reserve`` raises. Outages never use up a task's attempts.
        """
        lane, outage, wait = self._lanes[call.api], Outage(self._patience), Stopwatch()
        suspicion, too_large = Suspicion(lane.tally), Suspicion(lane.tally, limited=True)
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type((RateLimitedError, TransientError)), wait=Wait(), stop=outage.is_too_long
            ):
                with attempt:
                    try:
                        if suspicion.exists and call.control and lane.breaker.state is not BreakerState.CLOSED:
                            await self._ask_control(call.control, account, lane)
                        return await self._attempt(call, account, wait, suspicion)
                    except (RateLimitedError, TransientError) as error:
                        if self._too_far_away(error):
                            raise OutageTimeoutError(f"{call.api}: {error}", retry_after=_named_end(error)) from error
                        if (since := outage.worth_telling(error)) is not None:
                            account.waiting(call.api, str(error), since)
                        if isinstance(error, RateLimitedError):
                            too_large.failed()
                        elif not isinstance(error, BreakerOpenError):
                            suspicion.failed()
                            if suspicion.is_proven():
                                raise _poisonous(call, error) from error
                            if call.control is not None and suspicion.needs_control:
                                await self._ask_control(call.control, account, lane)
                        raise
        except RetryError as error:
            last = error.last_attempt.exception()
            limited = isinstance(last, RateLimitedError) and too_large.is_proven(at_the_end=True)
            if limited or suspicion.is_proven(at_the_end=True):
                raise _poisonous(call, last) from last
            raise OutageTimeoutError(
                f"{call.api} did not recover within {self._patience:.0f} s (PATIENCE_SECONDS): {last}",
                may_last=suspicion.exists or too_large.exists or lane.tally.refuses,
            ) from last
        raise AssertionError("tenacity ended without a result")  # pragma: no cover

    async def _ask_control(self, control: Call[object], account: CallLedger, lane: ApiPolicy) -> None:
        """Make one attempt at this call. How it ends is in the tally, and all that matters; one at a time in this process."""
        if lane.tally.control_under_way:
            return
        lane.tally.control_under_way = True
        try:
            await self._attempt(control, account, Stopwatch(), Suspicion(lane.tally))
        except LeaseLostError:
            raise
        except CallError as error:
            logger.debug("the control of %s brought nothing: %s", control.api, error)
        finally:
            lane.tally.control_under_way = False

    async def _attempt(self, call: Call[ValueT], account: CallLedger, wait: Stopwatch, suspicion: Suspicion) -> ValueT:
        lane = self._lanes[call.api]
        async with call.attempt(), lane.slots.slot(call.priority):
            try:
                answer = await lane.breaker.call(lambda: self._send(call, account, lane, wait), counts=not suspicion.exists)
            except ANSWERED as error:
                if not isinstance(error, RateLimitedError):
                    account.answered(call.api)
                raise
        if not isinstance(answer.error, FatalCallError):
            lane.tally.answer(control=call.is_control)
        account.answered(call.api)
        if answer.error is not None:
            raise answer.error
        lane.slots.succeeded()
        return answer.value  # type: ignore[return-value]  # a value or an error: Answer's promise

    async def _send(self, call: Call[ValueT], account: CallLedger, lane: ApiPolicy, wait: Stopwatch) -> Answer[ValueT]:
        attempt_id = await account.reserve(call)
        started, waited_ms = time.monotonic(), wait.lap()
        lane.tally.in_flight += 1
        settlement = _unanswered(CUT_OFF, "the run stopped before the answer came", call, started)
        try:
            async with asyncio.timeout(call.timeout_seconds):
                answer = await call.send()
            settlement = _answered(answer, call, started)
        except CallError as said:
            error = _outage_after_answers(said, lane.tally)
            settlement = _failed(error, call, started)
            if isinstance(error, RateLimitedError) and not self._too_far_away(error):  # else nobody is to wait with a slot
                lane.slots.limited(started_at=started, retry_after=error.retry_after)
            if error is not said:
                raise error from said
            raise
        except TimeoutError:
            late = TransientError(f"{call.api}: no answer within {call.timeout_seconds:.0f} s", in_doubt=True)
            settlement = _failed(late, call, started)
            raise late from None
        except Exception as error:
            settlement = _unanswered("error", f"{type(error).__name__}: {error}", call, started)
            raise
        finally:  # also when this run is stopped: nothing reserved stays without its end
            lane.tally.in_flight -= 1
            lane.tally.failed += settlement.outcome == TransientError.outcome
            lane.tally.limited += settlement.outcome == RateLimitedError.outcome
            account.finalize(attempt_id, call, replace(settlement, waited_ms=waited_ms))
            wait.lap()
        return answer

    def _too_far_away(self, error: CallError) -> bool:
        """Whether the provider named an end (a day's quota, an hour's pause) that patience does not last for."""
        return isinstance(error, RateLimitedError) and (error.daily or (error.retry_after or 0.0) > self._patience)

    def has_answered(self, api: Api) -> bool:
        """Whether this API has answered before, so that it is known to be set up right."""
        return self._lanes[api].tally.has_answered

    async def aclose(self) -> None:
        """Give all slots back."""
        for lane in self._lanes.values():
            await lane.slots.aclose()


def _answered(answer: Answer[ValueT], call: Call[ValueT], started: float) -> CallOutcome:
    error = answer.error
    outcome = error.outcome if error else "ok"
    cost_usd = call.worst_case_usd if answer.cost_usd is None else answer.cost_usd
    return CallOutcome(outcome, cost_usd, answer.tokens, answer.data, str(error) if error else None, milliseconds_since(started))


def _failed(error: CallError, call: Call[ValueT], started: float) -> CallOutcome:
    if isinstance(error, TransientError) and error.in_doubt:
        return _unanswered(error.outcome, str(error), call, started)
    declined = isinstance(error, DECLINED)
    return CallOutcome(error.outcome, 0.0, TokenUsage(), {}, str(error), milliseconds_since(started), carried_out=not declined)


def _outage_after_answers(error: CallError, tally: Tally) -> CallError:
    """What was set up right and is refused now may be put right again: until then it is an outage like any other."""
    if isinstance(error, FatalCallError) and error.may_heal and tally.has_answered:
        tally.refuses = True
        return TransientError(str(error))
    return error


def _poisonous(call: Call[ValueT], last: BaseException | None) -> PoisonousCallError:
    return PoisonousCallError(f"{call.api} answers other calls, and failed this one each time; the last time: {last}")


def _named_end(error: CallError) -> float | None:
    return error.retry_after if isinstance(error, RateLimitedError) else None


def _unanswered(outcome: str, error: str, call: Call[ValueT], started: float) -> CallOutcome:
    """The call may have been carried out and billed: its worst case counts as spent."""
    return CallOutcome(outcome, call.worst_case_usd, TokenUsage(), {}, error, milliseconds_since(started))
