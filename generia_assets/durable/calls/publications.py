"""Publications: what a world's tasks create on the platform, each recorded before and after it is sent.

Here: the record (fenced, durable): the intent before the call, the answer with a transaction after it. An intent without an answer
is in doubt. Not here: the calls, and how a doubt is resolved (platform_client.py, docs/decisions/in-doubt.md).
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pymongo import UpdateOne

from generia_assets.durable.calls.task_calls import Checkpoints, TaskContext
from generia_assets.durable.collections import PUBLICATIONS
from generia_assets.durable.leases.changes import Change, WriteOperation
from generia_assets.durable.leases.commits import Commits
from resources.gateway.outcomes import FatalCallError
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument

logger = logging.getLogger(__name__)

_SENT, _NOT_CREATED = "sent", "not_created"


@dataclass
class Doubt:
    """Whether the platform may have made a thing whose answer is not known; ``late``: it may still be making it."""

    exists: bool
    late: bool = False


def key_of(task: TaskContext, kind: str) -> str:
    """The id of what a task publishes: of each kind one thing."""
    return f"{task.task_id}:{kind}"


class Publications:
    """The publications of one world for the run that owns it."""

    def __init__(self, database: AsyncMongoDatabase, commits: Commits, platform: str) -> None:
        """``platform``: where the world is published (PLATFORM), recorded with each publication."""
        self._database = database
        self._commits = commits
        self._platform = platform

    async def once(
        self,
        task: TaskContext,
        checkpoints: Checkpoints,
        kind: str,
        send: Callable[[str, Doubt], Awaitable[str]],
        *,
        repeatable: bool = False,
        turn: Callable[[], Awaitable[None]] | None = None,
        recorded: Callable[[], None] | None = None,
    ) -> str:
        """The platform's answer: as recorded, or by ``send``, which is given the publication's key and resolves what is in doubt.

        What ``checkpoints`` has not written yet becomes durable with the intent, before anything is sent; where sending again does
        no harm (``repeatable``) nobody waits for it. ``turn`` is awaited between the intent and the sending: what an earlier post
        has in doubt is resolved then. ``recorded`` is called when the answer is durable.
        """
        key, doubt = key_of(task, kind), Doubt(exists=False)
        if task.resumed:
            known = await self._known(key)
            if known is not None and (answer := known.get("answer")) is not None:
                self._answered(key, answer, recorded)
                return str(answer)
            doubt.exists = known is not None and known["status"] == _SENT
        intent: dict[str, list[WriteOperation]] = {PUBLICATIONS: [self._intent(key, kind, task.task_id)]}
        enqueued = self._commits.enqueue(Change(records=checkpoints.unwritten() | intent, releases=task.task_id))
        if not repeatable:
            await self._commits.written(enqueued)
        try:
            if turn is not None:
                await turn()
            answer = await send(key, doubt)
        except Exception:
            if not doubt.exists:
                self._update(key, {"status": _NOT_CREATED})
            raise
        self._answered(key, answer, recorded)
        return answer

    async def is_answered(self, key: str) -> bool:
        known = await self._known(key)
        return known is not None and known.get("answer") is not None

    async def not_of_others(self, key: str, ids: Sequence[str]) -> list[str]:
        """Those of these posts that are not the recorded answer of another publication of this world."""
        await self._commits.flush()
        others = {"kind": "post", "world_id": self._commits.token.world_id, "_id": {"$ne": key}, "answer": {"$in": list(ids)}}
        known = await self._commits.retry(lambda: self._database[PUBLICATIONS].distinct("answer", others))
        return [one for one in ids if one not in known]

    async def note_orphan(self, key: str) -> None:
        """Record, before it is created again, that the platform may have one more than anybody refers to."""
        logger.warning("%s is created again, since its answer was lost: an orphan may be on the platform (docs/operating.md)", key)
        update = UpdateOne({"_id": key}, {"$inc": {"possible_orphans": 1}})
        await self._commits.commit(Change(records={PUBLICATIONS: [update]}))

    async def _known(self, key: str) -> MongoDocument | None:
        return await self._commits.retry(lambda: self._database[PUBLICATIONS].find_one({"_id": key}))

    def _intent(self, key: str, kind: str, task_id: str) -> UpdateOne:
        token = self._commits.token
        first = {"kind": kind, "task_id": task_id, "world_id": token.world_id, "created_at": datetime.now(UTC)}
        sent = {"status": _SENT, "run_id": token.run_id, "epoch": token.epoch, "platform": self._platform}
        return UpdateOne({"_id": key}, {"$setOnInsert": first, "$set": sent}, upsert=True)

    def _answered(self, key: str, answer: str, recorded: Callable[[], None] | None) -> None:
        self._update(key, {"status": "answered", "answer": answer, "answered_at": datetime.now(UTC)}, recorded)

    def _update(self, key: str, values: MongoDocument, recorded: Callable[[], None] | None = None) -> None:
        written = self._commits.enqueue(Change(records={PUBLICATIONS: [UpdateOne({"_id": key}, {"$set": values})]}))
        if recorded is not None:
            written.add_done_callback(lambda done: None if done.cancelled() or done.exception() else recorded())


async def require_same_platform(database: AsyncMongoDatabase, world_id: str, platform: str) -> None:
    """Raise ``FatalCallError`` if the world was published elsewhere: the ids of its characters and pictures mean nothing here."""
    elsewhere = {"world_id": world_id, "platform": {"$nin": [platform, None]}}
    if (other := await database[PUBLICATIONS].find_one(elsewhere, {"platform": 1})) is not None:
        raise FatalCallError(
            f"World {world_id} was published with PLATFORM={other['platform']}, and now PLATFORM={platform}: its characters and "
            f"pictures are not there. Set PLATFORM={other['platform']} to continue it, or order a new world."
        )
