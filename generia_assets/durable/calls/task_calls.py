"""The calls of one task: who is called, in whose name, and the checkpoints that keep the outcomes.

A task that is resumed repeats only the call that was in flight, and after a death also one whose outcome was not written yet.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

from pymongo import DeleteMany, ReplaceOne

from generia_assets.catalog import TaskType
from generia_assets.durable.calls.ledger import BudgetLedger
from generia_assets.durable.collections import STEPS
from generia_assets.durable.leases.changes import Change, WriteOperation
from generia_assets.durable.leases.commits import Commits
from resources.cancellation import raise_if_cancelled
from resources.gateway.api_gateway import ApiGateway, ValueT
from resources.gateway.calls import Answer, Api, Call, ItemCalls
from resources.gateway.outcomes import InvalidAnswerError, RefusedError
from resources.gemini.client import GeminiClient
from resources.gemini.model_resolver import ModelResolver
from resources.gemini.tiers import CallTier
from resources.images import ImageGenerator
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument
from resources.platform.protocol import Platform

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Providers:
    """Who is called: one object each for the whole process.

    Attributes:
        timeouts: Seconds that one call of each API may take.
        flex_timeout: The same of a call of the language model at flex.
        max_reasks: How often an answer of the model that cannot be used is asked for again.
        outage_timeout: Seconds that an outage is waited out.
    """

    gateway: ApiGateway
    gemini: GeminiClient
    models: ModelResolver
    images: ImageGenerator
    platform: Platform
    timeouts: Mapping[Api, float]
    max_reasks: int
    outage_timeout: float
    flex_timeout: float = 900.0


async def _at_once() -> None:
    """Nothing has to be waited for."""


@dataclass(frozen=True)
class TaskContext:
    """A claimed task as its calls carry it.

    Attributes:
        resumed: An earlier run or attempt may have made some of the calls.
        claimed: Returns when the task's claim, and all that it follows from, is durable: awaited before a call that needs no
            reservation. A reservation comes after the claim in the world's queue.
        item_calls: Of an item's task, over its attempts; None for a world's own task, which has no bound.
        priority: Lower goes first when calls of this process wait for slots.
        tier: The service tier of its calls of the language model.
    """

    task_id: str
    task_type: TaskType
    key: str
    resumed: bool
    item_calls: ItemCalls | None = None
    priority: int = 0
    tier: CallTier = CallTier.STANDARD
    claimed: Callable[[], Awaitable[object]] = _at_once


class Checkpoints:
    """The outcomes of one task's calls in one run, numbered in the order in which the task makes them, one after the other.

    An outcome (value, refusal or invalid answer) is written before the reservation of the task's next call, never after its last
    one, since then the task's own result is written: a task of one call costs no extra write. If the run ends before that, the last
    outcome is written, too (``attempt``): only a death repeats a call that was answered.

    Attributes:
        outlive_attempt: The attempt fails for another reason than these outcomes: the next one uses them and pays for none again.
    """

    def __init__(self, database: AsyncMongoDatabase, commits: Commits, task_id: str, *, resumed: bool) -> None:
        self._database = database
        self._commits = commits
        self._task_id = task_id
        self._known: dict[int, MongoDocument] | None = None if resumed else {}
        self._number = 0
        self._unwritten: WriteOperation | None = None
        self._written = resumed
        self.outlive_attempt = False

    async def run(
        self,
        call: Callable[[], Awaitable[ValueT]],
        *,
        dump: Callable[[ValueT], str],
        load: Callable[[str], ValueT],
        usable: Callable[[ValueT], Awaitable[bool]] | None = None,
    ) -> ValueT:
        """The outcome of the task's next call: as it was recorded, or by making the call now.

        ``usable``: whether a stored value is of use yet. If not, the call is made again, and its outcome replaces the stored one.
        ``RefusedError`` and ``InvalidAnswerError`` are recorded outcomes, too, which a resumed task raises again; nothing is
        recorded of any other failure of ``call``.
        """
        number, self._number = self._number, self._number + 1
        if self._known is None:
            self._known = await self._commits.retry(self._read)
        if (known := self._known.get(number)) is not None:
            try:
                value = _outcome(known, load)
            except ValueError:
                logger.warning("task %s: call %d is made again: another version stored its answer", self._task_id, number)
            else:
                if usable is None or await usable(value):
                    return value
                logger.warning("task %s: call %d is made again: what it brought is gone", self._task_id, number)
        self._write()
        try:
            value = await call()
        except RefusedError as error:
            self._remember(number, {"refused": str(error), "reason": error.reason})
            raise
        except InvalidAnswerError as error:
            self._remember(number, {"invalid": str(error), "cut": error.cut, "chance": error.chance})
            raise
        self._remember(number, {"value": dump(value)})
        raise_if_cancelled()
        return value

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """The context of one attempt. One that the end of its run cuts off is continued later: its last outcome is written."""
        try:
            yield
        except BaseException:
            self._write()
            raise

    def _write(self) -> None:
        if records := self.unwritten():
            self._commits.enqueue(Change(records=records, releases=self._task_id))

    def unwritten(self) -> dict[str, list[WriteOperation]]:
        """The last outcome as records for a commit that is made anyway before the task's next call begins."""
        if self._unwritten is None:
            return {}
        operation, self._unwritten, self._written = self._unwritten, None, True
        return {STEPS: [operation]}

    def forget(self) -> dict[str, list[WriteOperation]]:
        """The records that remove this task's outcomes, for the commit that counts an attempt as failed.

        Those of completed tasks are removed when the world is complete (``WorldSession.complete``): nobody reads them.
        """
        self._unwritten = None
        return {STEPS: [DeleteMany({"task_id": self._task_id})]} if self._written else {}

    async def _read(self) -> dict[int, MongoDocument]:
        return {row["number"]: row async for row in self._database[STEPS].find({"task_id": self._task_id})}

    def _remember(self, number: int, outcome: MongoDocument) -> None:
        document = {
            "task_id": self._task_id,
            "world_id": self._commits.token.world_id,
            "number": number,
            "created_at": datetime.now(UTC),
            **outcome,
        }
        self._unwritten = ReplaceOne({"_id": f"{self._task_id}:{number}"}, document, upsert=True)


def _outcome(step: MongoDocument, load: Callable[[str], ValueT]) -> ValueT:
    if "refused" in step:
        raise RefusedError(step["refused"], reason=step["reason"])
    if "invalid" in step:
        raise InvalidAnswerError(step["invalid"], cut=step["cut"], chance=step.get("chance", False))
    return load(step["value"])


@dataclass(frozen=True)
class TaskCalls:
    """What a task's clients share: the task, its checkpoints, who is called, and the ledger of its world."""

    task: TaskContext
    checkpoints: Checkpoints
    providers: Providers
    ledger: BudgetLedger

    def new(
        self,
        api: Api,
        request_type: str,
        request_data: Mapping[str, object],
        send: Callable[[], Awaitable[Answer[ValueT]]],
        *,
        worst_case_usd: float = 0.0,
        attempt: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
        control: Callable[[], Call[object]] | None = None,
        tier: CallTier | None = None,
        fallback: Call[ValueT] | None = None,
        provider: str = "",
        model: str = "",
    ) -> Call[ValueT]:
        """A call in the task's name. ``tier``: of a call of the language model."""
        return Call(
            api=api,
            request_type=request_type,
            task_id=self.task.task_id,
            priority=self.task.priority,
            labels={"task_type": self.task.task_type.value, "key": self.task.key} | ({"service_tier": tier.value} if tier else {}),
            request_data=request_data,
            send=send,
            worst_case_usd=worst_case_usd,
            timeout_seconds=self.providers.flex_timeout if tier is CallTier.FLEX else self.providers.timeouts[api],
            attempt=attempt,
            control=control,
            item_calls=self.task.item_calls,
            fallback=fallback,
            provider=provider,
            model=model,
        )
