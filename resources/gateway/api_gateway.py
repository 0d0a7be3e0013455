"""The API gateway: budget → slot → breaker → call → classify → record, for every call of LLM, images and platform.

Only the few calls that are next reserve their budget before they have a slot, so that no slot is idle meanwhile, and a crash costs
little for calls that wait. What is reserved and not sent is given back. While the breaker is not closed, or the wait for a slot is
long, the budget is reserved last. Every attempt is reserved before it is made and recorded after it; an attempt that a crash
interrupts stays counted as spent.

Not here: the rule for poisonous calls and outages (poison.py), and where money and records are stored (durable/calls/ledger.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TypeVar

from resources.gateway.breaker import Breaker, BreakerOpenError, BreakerState
from resources.gateway.call_queue import Place
from resources.gateway.calls import CUT_OFF, OK, Answer, Api, Call, CallLedger, CallOutcome, Reservation
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gateway.deadlines import CallWatch, Deadlines
from resources.gateway.outcomes import (
    AbandonedCallError,
    AmbiguousError,
    CallError,
    CallTimeoutError,
    FatalCallError,
    LeaseLostError,
    OutageTimeoutError,
    RateLimitedError,
    RequestFailedError,
    ShedError,
    TransientError,
)
from resources.gateway.poison import MOST_AMBIGUOUS, Suspicion, Tally
from resources.gateway.slot_shares import weight_of
from resources.gateway.waits import Outage, Stopwatch, milliseconds_since
from resources.tracing import Span

ValueT = TypeVar("ValueT")

logger = logging.getLogger(__name__)

MOST_SHED = 3
"""Times that a call at flex is shed before its fallback is made."""
AHEAD_SECONDS = 5.0
"""A call that has waited so long for a slot gives its reservation back. Then calls reserve when they have their slot, until one of
them has waited for less."""


@dataclass(frozen=True)
class ApiPolicy:
    """The gateway's parts for one API: the concurrency limiter, the breaker, and the tally of outcomes.

    Attributes:
        flex: The parts for calls that the provider may shed: shed and slow calls are no evidence about the others, so they have a
            breaker, a tally and a ceiling of their own. None: there are none.
        deadlines: When calls that others have overtaken are abandoned; None: never.
        within: Of ``flex``: the API's limiter, whose slots these calls take, too.
    """

    limiter: ConcurrencyLimiter
    breaker: Breaker
    tally: Tally = field(default_factory=Tally)
    deadlines: Deadlines | None = None
    flex: ApiPolicy | None = None
    within: ConcurrencyLimiter | None = None

    @property
    def every(self) -> Iterator[ApiPolicy]:
        yield self
        if self.flex is not None:
            yield self.flex

    def of(self, call: Call[object]) -> ApiPolicy:
        return self.flex if self.flex is not None and call.fallback is not None else self

    @asynccontextmanager
    async def place(self, priority: int) -> AsyncIterator[Place]:
        """A place in the queue for slots; of a flex call with a slot already, and one of the API's."""
        with self.limiter.place(priority) as place:
            if self.within is None:
                yield place
            else:
                await place.slot()
                async with self.within.slot(priority):
                    yield place


class ApiGateway:
    """The gateway, one object for each process."""

    def __init__(self, policies: Mapping[Api, ApiPolicy], *, patience_seconds: float) -> None:
        """``patience_seconds``: how long a call is retried through an outage (PATIENCE_SECONDS)."""
        self._policies = policies
        self._limiters = [policy.limiter for api in policies.values() for policy in api.every]
        self._outage_timeout = patience_seconds

    async def call(self, call: Call[ValueT], ledger: CallLedger) -> ValueT:
        """Make the call, and repeat it through outages and rate limits, which never use up a task's attempts.

        Args:
            call: The call, its API and its worst case. Its fallback is made after ``MOST_SHED`` times that it was shed, or one
                time-out, or one shed with a demanded wait beyond ``patience_seconds``.
            ledger: The budget and record of the world that pays for it.

        Returns:
            The answer's value.

        Raises:
            RequestFailedError: This request fails while others do not; ``RefusedError`` and the others say how.
            FatalCallError: Asking again cannot help.
            OutageTimeoutError: An outage lasted longer than ``patience_seconds``, or the provider named an end beyond that.
            CallError: Whatever ``CallLedger.reserve`` raises.
        """
        policy, outage, stopwatch = self._policies[call.api].of(call), Outage(self._outage_timeout), Stopwatch()
        suspicion, too_large = Suspicion(policy.tally), Suspicion(policy.tally, limited=True)
        ambiguous = shed = 0
        while True:
            try:
                if suspicion.exists and call.control and policy.breaker.state is not BreakerState.CLOSED:
                    await self._ask_control(call.control(), ledger, policy)
                return await self._attempt(call, ledger, policy, stopwatch, suspicion)
            except (RateLimitedError, TransientError) as error:
                limited = isinstance(error, RateLimitedError)
                useless = isinstance(error, CallTimeoutError) or (isinstance(error, ShedError) and self._too_far_away(error))
                shed += MOST_SHED if useless else isinstance(error, ShedError)
                if call.fallback is not None and shed >= MOST_SHED:
                    return await self.call(call.fallback, ledger)
                if isinstance(error, RateLimitedError) and self._too_far_away(error):
                    raise OutageTimeoutError(f"{call.api}: {error}", retry_after=error.retry_after) from error
                if (since := outage.worth_reporting(error)) is not None:
                    ledger.waiting(call.api, str(error), since)
                if isinstance(error, ShedError):
                    pass  # no evidence: the provider chooses which calls it sheds
                elif limited:
                    too_large.failed()
                elif not isinstance(error, BreakerOpenError):
                    suspicion.failed()
                    ambiguous += isinstance(error, AmbiguousError)
                    if ambiguous == MOST_AMBIGUOUS:
                        raise RequestFailedError(f"{call.api} failed this {ambiguous} times; the last time: {error}") from error
                    if suspicion.is_proven():
                        raise _poisonous(call, error) from error
                    if call.control is not None and suspicion.needs_control:
                        await self._ask_control(call.control(), ledger, policy)
                if outage.is_too_long:
                    if suspicion.is_proven(at_the_end=True) or (limited and too_large.is_proven(at_the_end=True)):
                        raise _poisonous(call, error) from error
                    raise OutageTimeoutError(
                        f"{call.api} did not recover within {self._outage_timeout:.0f} s (PATIENCE_SECONDS): {error}",
                        may_last=suspicion.exists or too_large.exists or policy.tally.refuses,
                    ) from error
                pause = outage.pause_after(error)
            await asyncio.sleep(pause)

    async def _ask_control(self, control: Call[object], ledger: CallLedger, policy: ApiPolicy) -> None:
        """Make one attempt at this control call, one at a time in this process. The tally records its outcome."""
        if policy.tally.control_under_way:
            return
        policy.tally.control_under_way = True
        try:
            await self._attempt(control, ledger, policy, Stopwatch(), Suspicion(policy.tally))
        except LeaseLostError:
            raise
        except CallError as error:
            logger.debug("the control of %s brought nothing: %s", control.api, error)
        finally:
            policy.tally.control_under_way = False

    async def _attempt(
        self, call: Call[ValueT], ledger: CallLedger, policy: ApiPolicy, stopwatch: Stopwatch, suspicion: Suspicion
    ) -> ValueT:
        async with call.attempt(), policy.place(call.priority) as place:
            try:
                with Reservation(call, ledger) as reservation:
                    await self._reserve_ahead(reservation, policy, place)
                    await place.slot()
                    with policy.breaker.attempt(counts=not suspicion.exists):
                        attempt_id = await reservation.to_send()
                        with call.span() as span:
                            answer = await self._send(attempt_id, call, ledger, policy, stopwatch, span)
            except CallError as error:
                if error.is_answer and not isinstance(error, RateLimitedError):
                    ledger.answered(call.api)
                raise
        if not isinstance(answer.error, FatalCallError):
            policy.tally.answer(control=call.is_control)
        ledger.answered(call.api)
        if answer.error is not None:
            raise answer.error
        policy.limiter.succeeded()
        return answer.value  # type: ignore[return-value]  # a value or an error: Answer's promise

    async def _reserve_ahead(self, reservation: Reservation, policy: ApiPolicy, place: Place) -> None:
        """Reserve when the call is one of the next, and wait for its slot; but not for long, and not in an outage."""
        await place.near()
        if place.has_slot or policy.limiter.queue.last_wait > AHEAD_SECONDS or policy.breaker.state is not BreakerState.CLOSED:
            return
        await reservation.make()
        try:
            async with asyncio.timeout(AHEAD_SECONDS):
                await place.slot()
        except TimeoutError:
            reservation.give_back()

    async def _send(
        self, attempt_id: str, call: Call[ValueT], ledger: CallLedger, policy: ApiPolicy, stopwatch: Stopwatch, span: Span
    ) -> Answer[ValueT]:
        started, waited_ms, tally, watch = time.monotonic(), stopwatch.lap(), policy.tally, None
        tally.in_flight += 1
        # While it is unknown whether the call was carried out and billed, its worst case counts.
        outcome = CallOutcome(CUT_OFF, call.worst_case_usd, error="the run stopped before the answer came")
        try:
            async with asyncio.timeout(call.timeout_seconds) as limit:
                known = policy.deadlines
                watch = CallWatch(known, call.request_type, limit, stopwatch.abandoned) if known else None
                with watch or nullcontext():
                    answer = await call.send()
            cost_usd = call.worst_case_usd if answer.cost_usd is None else answer.cost_usd
            why, error_text = (answer.error.outcome, str(answer.error)) if answer.error else (OK, None)
            outcome = CallOutcome(why, cost_usd, answer.tokens, answer.data, error_text)
        except CallError as raised:
            error = _outage_after_answers(raised, tally, answered_before=self.has_answered(call.api))
            outcome = _failed(error, call)
            # other calls must not keep a slot while they wait
            if isinstance(error, RateLimitedError) and not self._too_far_away(error):
                policy.limiter.limited(started_at=started, retry_after=error.retry_after)
            if error is not raised:
                raise error from raised
            raise
        except TimeoutError:
            late = _late(call.api, started, watch)
            stopwatch.abandoned += isinstance(late, AbandonedCallError)
            outcome = _failed(late, call)
            raise late from None
        except Exception as error:
            outcome = CallOutcome("error", call.worst_case_usd, error=f"{type(error).__name__}: {error}")
            raise
        finally:  # also when this run is stopped: every reservation is finalized
            tally.in_flight -= 1
            tally.failed += outcome.outcome == TransientError.outcome
            tally.limited += outcome.outcome == RateLimitedError.outcome
            outcome = replace(outcome, duration_ms=milliseconds_since(started), waited_ms=waited_ms)
            ledger.finalize(attempt_id, call, outcome)
            outcome.describe(span)
            stopwatch.lap()
        return answer

    def _too_far_away(self, error: RateLimitedError) -> bool:
        """Whether the end that the provider named (a day's quota, an hour's pause) is beyond the outage timeout."""
        return error.daily or (error.retry_after or 0.0) > self._outage_timeout

    def has_answered(self, api: Api) -> bool:
        """Whether this API has answered before, so that its configuration was right."""
        return any(policy.tally.has_answered for policy in self._policies[api].every)

    def weigh(self, priority: int) -> None:
        """From now on let this process have the part of the slots that belongs to a world of this priority."""
        for limiter in self._limiters:
            limiter.weight = weight_of(priority)

    async def aclose(self) -> None:
        for limiter in self._limiters:
            await limiter.aclose()


def _late(api: Api, started: float, watch: CallWatch | None) -> CallTimeoutError:
    none = f"{api}: no answer within {time.monotonic() - started:.0f} s"
    if watch is not None and watch.abandoned:
        return AbandonedCallError(f"{none}, while others were answered; it is made again", late=True)
    return CallTimeoutError(none, late=True)


def _failed(error: CallError, call: Call[object]) -> CallOutcome:
    in_doubt = isinstance(error, TransientError) and error.in_doubt
    cost_usd = call.worst_case_usd if in_doubt else error.cost_usd
    return CallOutcome(error.outcome, cost_usd, error=str(error), carried_out=error.carried_out)


def _outage_after_answers(error: CallError, tally: Tally, *, answered_before: bool) -> CallError:
    """The error as an outage, if the API has answered before: its refusal may then be corrected without a change here."""
    if isinstance(error, FatalCallError) and error.may_heal and answered_before:
        tally.refuses = True
        return TransientError(str(error))
    return error


def _poisonous(call: Call[object], last: CallError) -> RequestFailedError:
    return RequestFailedError(f"{call.api} answers other calls, and failed this one each time; the last time: {last}")
