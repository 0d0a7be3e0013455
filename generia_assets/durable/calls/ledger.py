"""A world's budget: the limits of calls and dollars (R13), reserved before each call, and the record of every request (R5).

Here: the ``CallLedger`` that resources/gateway/api_gateway.py asks before it sends. Reservations are changes in the world's queue
(leases/commits.py) whose bounds are the limits: many of them are one update of the status record with the limits and the owner's
epoch in its filter, so that no concurrency, death or second run can pass a limit. The same update notes each attempt under
``in_flight``; finalizing it removes the note and writes the request's record. What was reserved and never finalized (its run died)
stays counted as spent, and the next owner of the world records it as ``cut_off``.

A call whose answer was lost (cut off by a death, timed out, reset) has to be made again, and may have been billed all the same. It
stays counted and raises the limit of calls by one, at most ``lost_call_allowance`` times in a generation, so that a death or an
outage with all calls in flight does not use up a small world's spare. The cap in dollars is never raised. A control
(resources/gateway/poison.py) is made for the world's sake and raises the limit in the same way.

No item uses up what the whole world has to spare. A task is planned with one call of each API that it needs; what it asks beyond
that, over all its attempts, comes out of the spare (``BUDGET_SPARE``), of which an item may take half, rounded up, or two calls if
there are as many: three answers bring it to its own fallback after refusals. Then it fails (``LostCallAllowanceError``) and is
named, unless moderation refused before: then its fallback is used; the world continues. A world's own tasks may take all of it:
without them there is no world. When many items together have used up the spare, the limit is reached and the generation is
cancelled.
"""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from math import ceil

from generia_assets.durable.calls.history import cut_off_record, in_flight_note, log_attempt, request_record
from generia_assets.durable.collections import HISTORY, STATUS
from generia_assets.durable.events.events import GoingOn, Waiting
from generia_assets.durable.leases.changes import HELD, Bound, Change
from generia_assets.durable.leases.commits import Commits
from resources.cancellation import raise_if_cancelled
from resources.gateway.calls import CUT_OFF, UNSENT, Api, Call, CallOutcome
from resources.gateway.outcomes import (
    BudgetExhaustedError,
    LeaseLostError,
    LostCallAllowanceError,
    OutageTimeoutError,
    TransientError,
)
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument

CALLS_MADE = {Api.LLM: "api_calls_made_LLM", Api.IMAGE: "api_calls_made_images"}
CALL_LIMIT = {Api.LLM: "api_call_limits_LLM", Api.IMAGE: "api_call_limits_images"}
COST_TOTAL = {Api.LLM: "llm_cost_total", Api.IMAGE: "image_cost_total"}
_CAP = Bound((*COST_TOTAL.values(), "cost_reserved_usd"), "cost_limit_usd")
_BOUNDS = {api: (Bound((made,), CALL_LIMIT[api]), _CAP) for api, made in CALLS_MADE.items()}

MOST_LOST = 300
"""Calls without an answer that do not count against a generation's spare: ten deaths (MAX_TAKEOVERS) with all slots in use. A small
world has fewer: as many as its limits of calls add up to, but for one death with all slots in use (``FEWEST_LOST``)."""
FEWEST_LOST = 25
FEWEST_OF_ITEM = 3
"""Answers that an item may have in a small world, too: what moderation refuses three times has its fallback
(tasks/fallback_chain.py)."""
RETRY_SECONDS = 0.05
"""How often a call that only other calls' reservations keep from the dollar cap is tried again."""
HELD_RETRY_SECONDS = 0.5
"""How often a call that is held is tried again."""


class BudgetLedger:
    """The budget of one world for the run that owns it."""

    def __init__(
        self,
        database: AsyncMongoDatabase,
        commits: Commits,
        generation: str,
        *,
        lost_call_allowance: int = MOST_LOST,
        lost_calls: int = 0,
        item_limits: Mapping[Api, int] | None = None,
        held: asyncio.Event | None = None,
    ) -> None:
        """``lost_call_allowance``: how often the generation's limits may be raised; ``lost_calls``: how often they were before.

        ``item_limits``: answered calls that one item may have; None: as many as the limits allow. ``held`` is set when a call is
        held, because a person stops the world.
        """
        self._database = database
        self._commits = commits
        self._generation = generation
        self._lost_call_allowance = lost_call_allowance
        self._lost_calls = lost_calls
        self._waiting_for: Api | None = None
        self._item_limits = item_limits or {}
        self._sent = set[str]()
        self._all_answered = asyncio.Event()
        self._all_answered.set()
        self.held = held or asyncio.Event()

    async def await_answers(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_answered.wait(), seconds)

    async def reserve(self, call: Call[object]) -> str:
        """See ``CallLedger``; the attempt's id is the ``_id`` of its record.

        Calls of the platform cost nothing and have no limit: what they create is guarded by its publication and by ``confirm``.
        Raises also ``OutageTimeoutError``: MongoDB does not answer, or no call in flight ends, for too long.
        """
        attempt_id, most, mine = uuid.uuid4().hex, self._item_limits.get(call.api), call.item_calls
        if most is not None and mine is not None and not call.is_control and mine.answered[call.api] >= most:
            raise LostCallAllowanceError(
                f"{most} answers were not enough, and more would take from what the other items of the world need (BUDGET_SPARE); "
                f"the last one: {mine.last_error or 'ok'}"
            )
        if call.api in CALLS_MADE:
            await self._count(attempt_id, call)
        return attempt_id

    async def confirm(self, attempt_id: str) -> None:
        """See ``CallLedger``. A write of the last moment shows it (``Commits.owned_recently``); else the status record is read."""
        token = self._commits.token
        if (rest := token.sends_from - time.monotonic()) > 0:
            await asyncio.sleep(rest)
        while self.held.is_set() or not self._commits.owned_recently:  # held: this run ends when the calls in flight are answered
            raise_if_cancelled()
            found = await self._commits.retry(partial(self._database[STATUS].find_one, token.filter, {"held": HELD}))
            if found is None:
                raise LeaseLostError(f"run {token.run_id} lost world {token.world_id}; it sends nothing more")
            if not found["held"] and not self.held.is_set():  # it may be set while the record is read
                break
            self.held.set()
            await asyncio.sleep(HELD_RETRY_SECONDS)
        self._sent.add(attempt_id)
        self._all_answered.clear()

    def finalize(self, attempt_id: str, call: Call[object], outcome: CallOutcome) -> None:
        """See ``CallLedger``. Durable with the world's next transaction.

        An attempt that the provider did not carry out (a 429, a 503) is given back to the limit of calls. One that was answered
        waits for the transaction that makes its answer durable: until then it counts as in flight for the world's next owner.
        """
        self._sent.discard(attempt_id)
        if not self._sent:
            self._all_answered.set()
        log_attempt(attempt_id, call, outcome)
        answered = outcome.carried_out and outcome.outcome not in (CUT_OFF, TransientError.outcome)
        if answered and call.item_calls is not None and not call.is_control:
            call.item_calls.answered[call.api] += 1
            call.item_calls.last_error = outcome.error or ""
        record = request_record(self._commits.token, self._generation, attempt_id, call, outcome)
        increments: dict[str, float] = {}
        if call.api in CALLS_MADE:
            increments = {COST_TOTAL[call.api]: outcome.cost_usd, "cost_reserved_usd": -call.worst_case_usd}
            if not outcome.carried_out:
                increments[CALLS_MADE[call.api]] = -1
            elif not answered or call.is_control:
                increments |= self._allow_lost(call.api)
        self._commits.enqueue(
            Change(
                records={HISTORY: [record]},
                increments=increments,
                unset=[f"in_flight.{attempt_id}"] if call.api in CALLS_MADE else (),
            ),
            held_for=call.task_id if answered else None,
        )

    def waiting(self, api: Api, reason: str, since: datetime) -> None:
        if self._waiting_for is None:
            self._waiting_for = api
            waiting_for = {"api": api.value, "reason": reason[:500], "since": since}
            self._commits.enqueue(Change(values={"waiting_for": waiting_for}, events=[Waiting(api=api.value, reason=reason)]))

    def answered(self, api: Api) -> None:
        if self._waiting_for is api:
            self._waiting_for = None
            self._commits.enqueue(Change(values={"waiting_for": None}, events=[GoingOn(after="waiting")]))

    async def close_cut_off(self) -> None:
        """Close the attempts of a run that died: they stay counted, and their worst case counts as spent."""
        token = self._commits.token
        status = await self._commits.retry(lambda: self._database[STATUS].find_one({"_id": token.world_id}, {"in_flight": 1}))
        notes: dict[str, MongoDocument] = (status or {}).get("in_flight") or {}
        increments: defaultdict[str, float] = defaultdict(float)
        for note in notes.values():
            api = Api(note["api_type"])
            increments[COST_TOTAL[api]] += float(note["reserved_usd"])
            for name, amount in self._allow_lost(api).items():
                increments[name] += amount
        records = [cut_off_record(token.world_id, attempt_id, note) for attempt_id, note in notes.items()]
        await self._commits.commit(
            Change(
                records={HISTORY: records} if records else {},
                increments=increments,
                values={"cost_reserved_usd": 0.0, "waiting_for": None, "in_flight": {}},
            )
        )

    def _allow_lost(self, api: Api) -> dict[str, float]:
        """Raise the limit by a call whose answer was lost, as long as that is allowed."""
        if self._lost_calls >= self._lost_call_allowance:
            return {}
        self._lost_calls += 1
        return {CALL_LIMIT[api]: 1, "calls_excused": 1}

    async def _count(self, attempt_id: str, call: Call[object]) -> None:
        token, began = self._commits.token, time.monotonic()
        reservation = Change(
            increments={CALLS_MADE[call.api]: 1, "cost_reserved_usd": call.worst_case_usd},
            values={f"in_flight.{attempt_id}": in_flight_note(token.run_id, self._generation, call)},
            bounds=_BOUNDS[call.api],
        )
        while not await self._reserved(attempt_id, call, reservation):
            status = await self._commits.retry(partial(self._database[STATUS].find_one, {"_id": token.world_id}))
            self._require_possible(call, status or {})
            if time.monotonic() - began > self._commits.outage_timeout:
                raise OutageTimeoutError(
                    f"calls in flight fill the limits of world {token.world_id}, and none has ended for "
                    f"{self._commits.outage_timeout:.0f} s (PATIENCE_SECONDS)"
                )
            # only calls in flight fill a limit: when they end, this one may fit; a world whose calls are held is stopped soon
            if is_held := (status or {}).get("no_calls_until") is not None:
                self.held.set()
            await asyncio.sleep(HELD_RETRY_SECONDS if is_held else RETRY_SECONDS)

    def _require_possible(self, call: Call[object], status: MongoDocument) -> None:
        """Raise ``BudgetExhaustedError`` unless calls in flight may still give back what this one needs."""
        made, limit, world_id = CALLS_MADE[call.api], CALL_LIMIT[call.api], self._commits.token.world_id
        in_flight = any(note["api_type"] == call.api.value for note in status.get("in_flight", {}).values())
        if status[made] >= status[limit] and not in_flight:
            raise BudgetExhaustedError(
                f"{made} has reached {limit} = {status[limit]}; the generation is cancelled and what exists stays. To go on: "
                f"generia resume {world_id} --more-calls N"
            )
        cap, spent = status.get("cost_limit_usd"), float(status["llm_cost_total"] + status["image_cost_total"])
        if cap is not None and spent + call.worst_case_usd > cap:
            raise BudgetExhaustedError(
                f"the next call may cost up to ${call.worst_case_usd:.4f}, and ${spent:.4f} of the cap of ${cap:.4f} are spent; "
                f"the generation is cancelled and what exists stays. To go on: generia resume {world_id} --max-cost-usd X"
            )

    async def _reserved(self, attempt_id: str, call: Call[object], reservation: Change) -> bool:
        """One try to reserve. A task that is stopped meanwhile gives back what it has reserved and will not send."""
        raise_if_cancelled()
        trying = self._commits.enqueue(reservation)
        try:
            return await self._commits.written(trying)
        except asyncio.CancelledError:
            trying.add_done_callback(partial(self._give_back, attempt_id, call))
            await asyncio.wait((trying,))  # a second cancellation ends this, too; what is reserved is given back all the same
            raise

    def _give_back(self, attempt_id: str, call: Call[object], tried: asyncio.Future[bool]) -> None:
        if not tried.cancelled() and tried.exception() is None and tried.result():
            self.finalize(attempt_id, call, UNSENT)


def lost_call_allowance(limits_of_calls: int) -> int:
    """How many calls without an answer may raise the limits of a generation whose limits, as computed, add up to this."""
    return max(FEWEST_LOST, min(MOST_LOST, limits_of_calls))


def item_limits(limits_of_calls: Mapping[Api, int], spare: float) -> dict[Api, int]:
    """Answered calls of each API that one item may have: the one it is planned with, and half of the spare that the limits hold.

    Never less than ``FEWEST_OF_ITEM`` where the spare holds them. ``spare``: share of the computed calls that was added to them.
    """
    spares = {api: limit - int(limit / (1 + spare)) for api, limit in limits_of_calls.items()}
    return {api: min(1 + held, max(FEWEST_OF_ITEM, 1 + ceil(held / 2))) for api, held in spares.items()}
