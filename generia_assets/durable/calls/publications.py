"""Publications: what is created on the platform, once, although the platform knows no idempotency keys.

Here: the intent, written (fenced, durable) before the call; the answer, written with the task's next commit; and what is done
about an intent without an answer after a death: the platform is asked for it where it can be read, before anything is sent again.
Not here: a create whose answer is lost while its run lives on (publisher.py), and how the platform is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from pymongo import UpdateOne

from generia_assets.durable.collections import PUBLICATIONS
from generia_assets.durable.leases.commits import Change, Commits, WriteOperation
from generia_assets.durable.retries import retry_on_outage
from generia_assets.durable.tasks.checkpoints import Checkpoints
from resources.mongodb.connection import AsyncMongoDatabase


class Publications:
    """The publications of one world for the run that owns it."""

    def __init__(self, database: AsyncMongoDatabase, commits: Commits) -> None:
        self._database = database
        self._commits = commits

    async def once(
        self,
        key: str,
        kind: str,
        task_id: str,
        steps: Checkpoints,
        *,
        resumed: bool,
        find: Callable[[str], Awaitable[str | None]] | None,
        send: Callable[[str], Awaitable[str]],
        turn: Callable[[], Awaitable[None]] | None = None,
    ) -> str:
        """The platform's answer for ``key``: remembered, settled, or by sending now. ``send`` is given the key.

        What ``steps`` has not written yet becomes durable with the intent, before anything is sent. ``find`` asks the
        platform; None: what is in doubt is sent again, since a second copy harms nobody (an upload that nothing refers to).
        ``turn`` is waited for between the two, so that in its turn nothing but the sending takes time.
        """
        if resumed:
            known = await retry_on_outage(
                lambda: self._database[PUBLICATIONS].find_one({"_id": key}), patience_seconds=self._commits.patience
            )
            if known is not None:
                answer = known.get("answer")
                if answer is None and find is not None:
                    answer = await find(key)
                if answer is not None:
                    self._answered(key, answer)
                    return str(answer)
        intent: dict[str, list[WriteOperation]] = {PUBLICATIONS: [self._intent(key, kind, task_id)]}
        await self._commits.commit(Change(records=steps.unwritten() | intent, releases=task_id))
        if turn is not None:
            await turn()
        answer = await send(key)
        self._answered(key, answer)
        return answer

    def _intent(self, key: str, kind: str, task_id: str) -> UpdateOne:
        fence = self._commits.fence
        return UpdateOne(
            {"_id": key},
            {
                "$setOnInsert": {"kind": kind, "task_id": task_id, "world_id": fence.world_id, "created_at": datetime.now(UTC)},
                "$set": {"status": "sent", "run_id": fence.run_id, "epoch": fence.epoch},
            },
            upsert=True,
        )

    def _answered(self, key: str, answer: str) -> None:
        update = UpdateOne({"_id": key}, {"$set": {"status": "answered", "answer": answer, "answered_at": datetime.now(UTC)}})
        self._commits.enqueue(Change(records={PUBLICATIONS: [update]}))
