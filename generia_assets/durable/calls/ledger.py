"""A world's account: the limits of calls and dollars (R13), reserved before each call, and the record of every request (R5).

Here: the ``Account`` that resources/gateway/api_gateway.py asks before it sends. A reservation is one atomic update of the status
record with the limits and the owner's epoch in its filter, so that no concurrency, death or second run can pass a limit. The same
update notes the attempt under ``in_flight``; settling it removes the note and writes the request's record. What was reserved and
never settled (a death in between) stays counted as spent and is recorded as ``cut_off`` by whoever takes the world up.

A call whose answer was lost (cut off by a death, timed out, reset) has to be made again, and may have been billed all the same.
It stays counted and raises the limit of calls by one, at most ``excusable`` times in a generation, so that a death or an
outage with a full set of calls in the air does not use up a small world's spare. The cap in dollars is never raised. A control
(resources/gateway/poison.py) is made for the world's sake and raises the limit in the same way.

No item eats what the whole world has to spare. A task is planned with one call of each API that it needs; what it asks beyond,
over all its attempts, comes out of the spare (``BUDGET_SPARE``), of which an item may take half, rounded up, or two calls if there
are as many: three answers bring it to its own fallback after refusals. Then it fails (``LostCallAllowanceError``) and is named,
unless moderation refused before: then its fallback stands for it; the world goes on. A world's own tasks may take all of it:
without them there is no world. When many items have taken the spare together the limit is reached, and the generation is cancelled
as ever.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from math import ceil
from typing import TypeVar

from pymongo import UpdateOne
from pymongo.results import UpdateResult

from generia_assets.durable.calls.call_logging import log_attempt
from generia_assets.durable.collections import HISTORY, STATUS
from generia_assets.durable.events.events import GoingOn, Waiting
from generia_assets.durable.leases.commits import Change, Commits
from generia_assets.durable.retries import retry_on_outage
from resources.cancellation import raise_if_cancelled
from resources.gateway.api_gateway import CUT_OFF, Api, Call, CallOutcome, TokenUsage
from resources.gateway.outcomes import (
    BudgetExhaustedError,
    LeaseLostError,
    LostCallAllowanceError,
    OutageTimeoutError,
    TransientError,
)
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument
from resources.redaction import kept, kept_data

logger = logging.getLogger(__name__)

ValueT = TypeVar("ValueT")

CALLS_MADE = {Api.LLM: "api_calls_made_LLM", Api.IMAGE: "api_calls_made_images"}
CALL_LIMIT = {Api.LLM: "api_call_limits_LLM", Api.IMAGE: "api_call_limits_images"}
COST_TOTAL = {Api.LLM: "llm_cost_total", Api.IMAGE: "image_cost_total"}

MOST_EXCUSED = 300
"""Calls without an answer that do not count against a generation's spare: ten deaths (MAX_TAKEOVERS) with all slots in use. A small
world has fewer: as many as its limits of calls add up to, but for one death with all slots in use (``FEWEST_EXCUSED``)."""
FEWEST_EXCUSED = 25
FEWEST_OF_ITEM = 3
"""Answers that an item may have in a small world, too: what moderation refuses three times has its fallback
(tasks/fallback_chain.py)."""
UNSENT = "the run stopped before the call was sent"
SETTLE_WAIT_SECONDS = 0.05
"""How often a call that only other calls' reservations keep from the dollar cap looks again."""
NOT_HELD = {"$lte": [{"$ifNull": ["$no_calls_until", "$$NOW"]}, "$$NOW"]}
"""Nobody is stopping the world (resuming.py, ``hold_calls``)."""
HELD_WAIT_SECONDS = 0.5
"""How often a call that is held looks again."""


class BudgetLedger:
    """The account of one world for the run that owns it."""

    def __init__(
        self,
        database: AsyncMongoDatabase,
        commits: Commits,
        generation: str,
        *,
        patience: float,
        excusable: int = MOST_EXCUSED,
        excused: int = 0,
        most_of_item: Mapping[Api, int] | None = None,
    ) -> None:
        """``excusable``: how often the generation's limits may be raised, ``excused``: how often they were before.

        ``most_of_item``: answered calls that one item may have (see ``most_of_item``); None: as many as the limits let.
        """
        self._database = database
        self._commits = commits
        self._generation = generation
        self._patience = patience
        self._excusable = excusable
        self._excused = excused
        self._waiting_for: Api | None = None
        self._most_of_item = most_of_item or {}

    async def reserve(self, call: Call[ValueT]) -> str:
        """Count the attempt and its worst case before it is made. See ``resources.gateway.api_gateway.Account``.

        Calls of the platform cost nothing and have no limit: what they create is guarded by its publication, and by a look at the
        owner now, since they may have waited long for their turn.
        """
        attempt_id = uuid.uuid4().hex
        most = self._most_of_item.get(call.api)
        if most is not None and (mine := call.item_calls) is not None and not call.is_control and mine.answered[call.api] >= most:
            raise LostCallAllowanceError(
                f"{most} answers were not enough, and more would take from what the other items of the world need (BUDGET_SPARE); "
                f"the last one: {mine.last_error or 'ok'}"
            )
        if call.api in CALLS_MADE:
            await self._count(attempt_id, call)
        else:
            await self._ours_and_free()
        return attempt_id

    async def settle(self, attempt_id: str, call: Call[ValueT], settlement: CallOutcome) -> None:
        """Record the attempt's end and exchange its worst case for its cost; durable with the world's next transaction.

        An attempt that the provider did not carry out (a 429, a 503) is given back to the limit of calls. One that was answered
        waits for the transaction that makes its answer durable: until then it is in the air, for whoever takes the world up.
        """
        self._settle(attempt_id, call, settlement)

    def _settle(self, attempt_id: str, call: Call[ValueT], settlement: CallOutcome) -> None:
        log_attempt(attempt_id, call, settlement)
        answered = settlement.carried_out and settlement.outcome not in (CUT_OFF, TransientError.outcome)
        if answered and call.item_calls is not None and not call.is_control:
            call.item_calls.answered[call.api] += 1
            call.item_calls.last_error = settlement.error or ""
        increments: dict[str, float] = {}
        if call.api in CALLS_MADE:
            increments = {COST_TOTAL[call.api]: settlement.cost_usd, "cost_reserved_usd": -call.worst_case_usd}
            if not settlement.carried_out:
                increments[CALLS_MADE[call.api]] = -1
            elif not answered or call.is_control:
                increments |= self._excuse(call.api, 1)
        self._commits.enqueue(
            Change(
                records={HISTORY: [self._record(attempt_id, call, settlement)]},
                increments=increments,
                unset=[f"in_flight.{attempt_id}"] if call.api in CALLS_MADE else (),
            ),
            held_for=call.task_id if answered else None,
        )

    def waiting(self, api: Api, reason: str, since: datetime) -> None:
        """Say in the status record what the world waits for, and since when."""
        if self._waiting_for is None:
            self._waiting_for = api
            waiting_for = {"api": api.value, "reason": reason[:500], "since": since}
            told = Waiting(api=api.value, reason=reason)
            self._commits.enqueue(Change(values={"waiting_for": waiting_for}, events=[told]))

    def answered(self, api: Api) -> None:
        """Nothing is waited for any more."""
        if self._waiting_for is api:
            self._waiting_for = None
            self._commits.enqueue(Change(values={"waiting_for": None}, events=[GoingOn(after="waiting")]))

    async def cut_off(self) -> None:
        """Close the attempts of a run that died: they stay counted, and their worst case counts as spent."""
        fence = self._commits.fence
        status = await retry_on_outage(
            lambda: self._database[STATUS].find_one({"_id": fence.world_id}, {"in_flight": 1}), patience_seconds=self._patience
        )
        dangling: dict[str, MongoDocument] = (status or {}).get("in_flight") or {}
        changes: defaultdict[str, float] = defaultdict(float)
        records = []
        for api, lost in Counter(Api(note["api_type"]) for note in dangling.values()).items():
            for name, amount in self._excuse(api, lost).items():
                changes[name] += amount
        for attempt_id, note in dangling.items():
            changes[COST_TOTAL[Api(note["api_type"])]] += float(note["reserved_usd"])
            record = {
                **note,
                "world_id": fence.world_id,
                "outcome": CUT_OFF,
                "error": "the run died before the answer was recorded",
                "cost_usd": note["reserved_usd"],
                "request_data": None,
                "response_data": None,
                "duration_ms": 0,
            }
            records.append(UpdateOne({"_id": attempt_id}, {"$setOnInsert": record}, upsert=True))
        await self._commits.commit(
            Change(
                records={HISTORY: records} if records else {},
                increments=changes,
                values={"cost_reserved_usd": 0.0, "waiting_for": None, "in_flight": {}},
            )
        )

    def _excuse(self, api: Api, lost: int) -> dict[str, float]:
        """Raise the limit by calls whose answer was lost, as far as that is still allowed."""
        excused = min(lost, max(0, self._excusable - self._excused))
        self._excused += excused
        return {CALL_LIMIT[api]: excused, "calls_excused": excused} if excused else {}

    async def _count(self, attempt_id: str, call: Call[ValueT]) -> None:
        made, limit, worst = CALLS_MADE[call.api], CALL_LIMIT[call.api], call.worst_case_usd
        fence = self._commits.fence
        committed = {"$add": ["$llm_cost_total", "$image_cost_total", "$cost_reserved_usd", worst]}
        note = {
            "api_type": call.api.value,
            "task_id": call.task_id,
            "generation": self._generation,
            "run_id": fence.run_id,
            "request_type": call.request_type,
            "labels": dict(call.labels),
            "reserved_usd": worst,
            "created_at": datetime.now(UTC),
        }
        room = {"$or": [{"$eq": [{"$ifNull": ["$cost_limit_usd", None]}, None]}, {"$lte": [committed, "$cost_limit_usd"]}]}
        expression = {"$and": [{"$lt": [f"${made}", f"${limit}"]}, room, NOT_HELD]}
        free = {f"in_flight.{attempt_id}": {"$exists": False}, "$expr": expression}
        began = time.monotonic()
        while True:
            raise_if_cancelled()
            change = {
                "$inc": {made: 1, "cost_reserved_usd": worst},
                "$set": {f"in_flight.{attempt_id}": note, "updated_at": datetime.now(UTC)},
            }
            if await self._reserved(attempt_id, call, fence.filter | free, change):
                return
            status = await self._database[STATUS].find_one({"_id": fence.world_id}) or {}
            if attempt_id in status.get("in_flight", {}):  # by a try whose answer was lost in an outage
                return
            owner = status.get("owner", {})
            if owner.get("run_id") != fence.run_id or owner.get("epoch") != fence.epoch:
                raise LeaseLostError(f"run {fence.run_id} lost world {fence.world_id}; it makes no more calls")
            self._refuse_what_cannot_be(call, status)
            if status.get("no_calls_until") is not None:  # somebody stops the world: the run is ended in a moment
                await asyncio.sleep(HELD_WAIT_SECONDS)
            if time.monotonic() - began > self._patience:
                raise OutageTimeoutError(
                    f"calls in the air fill the limits of world {fence.world_id}, and none has ended for {self._patience:.0f} s "
                    "(PATIENCE_SECONDS)"
                )
            await asyncio.sleep(SETTLE_WAIT_SECONDS)  # only calls in the air fill a limit: when they settle there may be room

    def _refuse_what_cannot_be(self, call: Call[ValueT], status: MongoDocument) -> None:
        """Raise ``BudgetExhaustedError`` unless calls in the air may still give back what this one needs."""
        made, limit, world_id = CALLS_MADE[call.api], CALL_LIMIT[call.api], self._commits.fence.world_id
        in_the_air = any(note["api_type"] == call.api.value for note in status.get("in_flight", {}).values())
        if status[made] >= status[limit] and not in_the_air:
            raise BudgetExhaustedError(
                f"{made} has reached {limit} = {status[limit]}; the generation is cancelled and what exists stays. To go on: "
                f"generia resume {world_id} --more-calls N",
                limit=limit,
            )
        cap, spent = status.get("cost_limit_usd"), float(status["llm_cost_total"] + status["image_cost_total"])
        if cap is not None and spent + call.worst_case_usd > cap:
            raise BudgetExhaustedError(
                f"the next call may cost up to ${call.worst_case_usd:.4f}, and ${spent:.4f} of the cap of ${cap:.4f} are spent; "
                f"the generation is cancelled and what exists stays. To go on: generia resume {world_id} --max-cost-usd X",
                limit="cost_limit_usd",
            )

    async def _ours_and_free(self) -> None:
        fence = self._commits.fence
        look = partial(self._database[STATUS].find_one, fence.filter, {"free": NOT_HELD})
        while True:
            raise_if_cancelled()
            found = await retry_on_outage(look, patience_seconds=self._patience)
            if found is None:
                raise LeaseLostError(f"run {fence.run_id} lost world {fence.world_id}; it publishes nothing more")
            if found["free"]:
                return
            await asyncio.sleep(HELD_WAIT_SECONDS)

    async def _reserved(self, attempt_id: str, call: Call[ValueT], free: MongoDocument, change: MongoDocument) -> bool:
        """One try to reserve. A task that is stopped meanwhile gives back what it has reserved and will not send."""
        trying = asyncio.ensure_future(
            retry_on_outage(lambda: self._database[STATUS].update_one(free, change), patience_seconds=self._patience)
        )
        try:
            return bool((await asyncio.shield(trying)).matched_count)
        except asyncio.CancelledError:
            trying.add_done_callback(partial(self._give_back, attempt_id, call))
            await asyncio.wait((trying,))  # whoever is in a hurry cancels this, too; what is reserved is given back all the same
            raise

    def _give_back(self, attempt_id: str, call: Call[ValueT], tried: asyncio.Future[UpdateResult]) -> None:
        if not tried.cancelled() and tried.exception() is None and tried.result().matched_count:
            self._settle(attempt_id, call, CallOutcome(CUT_OFF, 0.0, TokenUsage(), {}, UNSENT, 0, carried_out=False))

    def _record(self, attempt_id: str, call: Call[ValueT], settlement: CallOutcome) -> UpdateOne:
        tokens = settlement.tokens
        document = {
            "api_type": call.api.value,
            "task_id": call.task_id,
            "world_id": self._commits.fence.world_id,
            "generation": self._generation,
            "run_id": self._commits.fence.run_id,
            "request_type": call.request_type,
            "labels": dict(call.labels),
            "request_data": kept_data(call.request_data),
            "response_data": kept_data(settlement.data),
            "error": kept(settlement.error) if settlement.error else None,
            "outcome": settlement.outcome,
            "reserved_usd": call.worst_case_usd,
            "cost_usd": settlement.cost_usd,
            "tokens": {
                "prompt": tokens.prompt,
                "cached": tokens.cached,
                "output": tokens.output,
                "thinking": tokens.thinking,
            },
            "duration_ms": settlement.duration_ms,
            "waited_ms": settlement.waited_ms,
            "created_at": datetime.now(UTC) - timedelta(milliseconds=settlement.duration_ms),
        }
        return UpdateOne({"_id": attempt_id}, {"$setOnInsert": document}, upsert=True)


def excusable(limits_of_calls: int) -> int:
    """How many calls without an answer may raise the limits of a generation whose limits, as computed, add up to this."""
    return max(FEWEST_EXCUSED, min(MOST_EXCUSED, limits_of_calls))


def most_of_item(limits_of_calls: Mapping[Api, int], spare: float) -> dict[Api, int]:
    """Answered calls of each API that one item may have: the one it is planned with, and half of the spare that the limits hold.

    Never less than ``FEWEST_OF_ITEM`` where the spare holds them. ``spare``: share of the computed calls that was added to them.
    """
    spares = {api: limit - int(limit / (1 + spare)) for api, limit in limits_of_calls.items()}
    return {api: min(1 + held, max(FEWEST_OF_ITEM, 1 + ceil(held / 2))) for api, held in spares.items()}
