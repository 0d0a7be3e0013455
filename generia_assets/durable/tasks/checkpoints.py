"""Steps: the outside calls of one task, remembered, so that a task taken up after a death repeats only the call in the air.

Here: replay. A step's outcome (value, refusal or invalid answer) is written before the task's next call begins, never after its
last one, since then the task's own result is written: a task of one call costs no extra write. Steps are numbered in the order in
which the task makes its calls, so a task must make them one after the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from bson import Binary
from pymongo import DeleteMany, UpdateOne

from generia_assets.durable.collections import STEPS
from generia_assets.durable.leases.commits import Change, Commits, WriteOperation
from generia_assets.durable.retries import retry_on_outage
from resources.gateway.outcomes import InvalidAnswerError, RefusedError
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument

ValueT = TypeVar("ValueT")


class Checkpoints:
    """The steps of one task in one run."""

    def __init__(self, database: AsyncMongoDatabase, commits: Commits, task_id: str, *, resumed: bool) -> None:
        self._database = database
        self._commits = commits
        self._task_id = task_id
        self._known: dict[int, MongoDocument] | None = None if resumed else {}
        self._number = 0
        self._unwritten: UpdateOne | None = None
        self._written = resumed

    async def run(
        self, call: Callable[[], Awaitable[ValueT]], *, dump: Callable[[ValueT], str | bytes], load: Callable[[str | bytes], ValueT]
    ) -> ValueT:
        """The outcome of this step: remembered, or by making the call now; ``dump`` and ``load`` store its value."""
        number, self._number = self._number, self._number + 1
        known = (await self._recall()).get(number)
        if known is not None:
            return _outcome(known, load)
        await self._write()
        try:
            value = await call()
        except RefusedError as error:
            self._remember(number, {"refused": str(error), "reason": error.reason})
            raise
        except InvalidAnswerError as error:
            self._remember(number, {"invalid": str(error), "cut": error.cut, "chance": error.chance})
            raise
        dumped = dump(value)
        self._remember(number, {"value": Binary(dumped) if isinstance(dumped, bytes) else dumped})
        return value

    def unwritten(self) -> dict[str, list[WriteOperation]]:
        """The last outcome as records for a commit that somebody makes anyway before the task's next call begins."""
        if self._unwritten is None:
            return {}
        operation, self._unwritten, self._written = self._unwritten, None, True
        return {STEPS: [operation]}

    def forget(self) -> list[WriteOperation]:
        """The operations that remove this task's steps, for the commit that finishes the task."""
        return [DeleteMany({"task_id": self._task_id})] if self._written else []

    async def _recall(self) -> dict[int, MongoDocument]:
        if self._known is None:
            self._known = await retry_on_outage(self._read, patience_seconds=self._commits.patience)
        return self._known

    async def _read(self) -> dict[int, MongoDocument]:
        return {row["number"]: row async for row in self._database[STEPS].find({"task_id": self._task_id})}

    def _remember(self, number: int, outcome: MongoDocument) -> None:
        document = {
            "task_id": self._task_id,
            "world_id": self._commits.fence.world_id,
            "number": number,
            "created_at": datetime.now(UTC),
            **outcome,
        }
        self._unwritten = UpdateOne({"_id": f"{self._task_id}:{number}"}, {"$setOnInsert": document}, upsert=True)

    async def _write(self) -> None:
        if records := self.unwritten():
            await self._commits.commit(Change(records=records, releases=self._task_id))


def _outcome(step: MongoDocument, load: Callable[[str | bytes], ValueT]) -> ValueT:
    if "refused" in step:
        raise RefusedError(step["refused"], reason=step["reason"])
    if "invalid" in step:
        raise InvalidAnswerError(step["invalid"], cut=step["cut"], chance=step.get("chance", False))
    value: str | bytes = step["value"]
    return load(value)
