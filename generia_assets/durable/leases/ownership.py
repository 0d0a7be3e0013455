"""Leases: a world has one owner, a run with an epoch, held as a lease in its status record and renewed by heartbeat.

Here: acquiring, renewing and releasing the lease, and noticing that it was lost. Dagster may be wrong about which run lives (a run
whose code server died lives on), so the epoch fences every write (commits.py), and a run that lost its world stops itself.

A call cannot be fenced: what receives it knows no epoch. So a run sends only while it has owned the world within the last second: a
fenced write that began then has succeeded (``Commits.owned_recently``), or it has just read its name in the status record. The next
owner may have taken the world meanwhile: Dagster was wrong, or the lease had ended. Unless the former owner released the world, the
next one therefore sends nothing for ``TAKEOVER_SECONDS`` after its own epoch is written. From that write on, no write of the former
owner begins and succeeds; those that began before are too old when this time is over. A process that stood still in between finds
that its last write is too old, and reads the status record before it sends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import cache, partial

from pymongo import DESCENDING, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import OperationFailure

from generia_assets.durable.collections import STATUS
from generia_assets.durable.leases.changes import HELD, FencingToken
from generia_assets.durable.leases.commits import TAKEOVER_SECONDS, Commits
from generia_assets.durable.status import world_to_work_on
from resources.gateway.outcomes import LeaseLostError
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument, is_outage, retry_on_outage
from resources.mongodb.document_store import POINTERS

logger = logging.getLogger(__name__)

NOT_ALLOWED = (13, 59)
"""MongoDB's codes for a command that this user may not give, or that a managed server does not have."""
LOOK_SECONDS = 1.0
"""How often a run reads its world's priority."""
AGAIN_SECONDS = 0.5
"""How soon a heartbeat that met an outage is tried again."""


class LeaseHeldError(RuntimeError):
    """Another run owns the world and lives. One run at a time works on a world."""


async def acquire_lease(
    database: AsyncMongoDatabase,
    world_id: str,
    run_id: str,
    session: AsyncClientSession,
    *,
    lease_seconds: float,
    run_is_over: Callable[[str], bool],
    outage_timeout: float,
) -> FencingToken:
    """Own the world: at once if no run does, or its owner is over or silent; else wait one lease at most.

    Args:
        session: In which the new owner will write. The former owner's is ended, since a transaction that a killed process left
            open would block the status record for a minute.
        lease_seconds: Seconds of silence after which an owner has lost its world, by the server's clock.
        run_is_over: Asks Dagster whether this run, the present owner, has ended.
        outage_timeout: Seconds that an outage of MongoDB is waited out.

    Returns:
        The token that fences each write of the new owner; each acquisition raises its epoch. It says from when on calls may be
        sent.

    Raises:
        LeaseHeldError: Another run owns the world and lives.
        LookupError: Nobody ordered the world.
        HistoryWorldError, UnreadableRecordError: No run may work on this record.
        OutageTimeoutError: MongoDB does not answer.
    """

    async def acquire(former: MongoDocument) -> MongoDocument | None:
        """Become the owner after this one, if it still is; None if somebody else became it."""
        if former.get("session") is not None:
            await _end_session(database, former["session"])
        highest = await _highest_epoch(database, world_id) if former["epoch"] == 0 else 0
        new_owner = {
            "run_id": run_id,
            "epoch": {"$add": [{"$max": ["$owner.epoch", highest]}, 1]},
            "expires_at": {"$add": ["$$NOW", int(lease_seconds * 1000)]},
            "session": session.session_id["id"],
        }
        former_is_owner = {"_id": world_id, "owner.epoch": former["epoch"]}
        return await database[STATUS].find_one_and_update(
            former_is_owner, [{"$set": {"owner": new_owner}}], return_document=ReturnDocument.AFTER
        )

    deadline = asyncio.get_running_loop().time() + lease_seconds + 2.0
    while True:
        found = await retry_on_outage(partial(_owner, database, world_id), timeout_seconds=outage_timeout)
        if found is None:
            raise LookupError(f"world {world_id} has no status record; it was never ordered")
        world_to_work_on(found)
        owner = found["owner"]
        free = owner["run_id"] in (None, run_id) or found["silent"] or await asyncio.to_thread(run_is_over, owner["run_id"])
        if free:
            taken = await retry_on_outage(partial(acquire, owner), timeout_seconds=outage_timeout)
            if taken is not None:
                released = owner["run_id"] is None and owner.get("session") is None
                sends_from = 0.0 if released else time.monotonic() + TAKEOVER_SECONDS
                return FencingToken(world_id, run_id, int(taken["owner"]["epoch"]), sends_from)
            continue  # somebody was faster
        if asyncio.get_running_loop().time() > deadline:
            raise LeaseHeldError(
                f"world {world_id} is being generated by run {owner['run_id']}. Wait for it, or stop it: generia stop {world_id}"
            )
        await asyncio.sleep(0.25)


async def _owner(database: AsyncMongoDatabase, world_id: str) -> MongoDocument | None:
    """The present owner, and whether it has been silent for longer than its lease."""
    silent = {"$lte": ["$owner.expires_at", "$$NOW"]}
    found = await database[STATUS].aggregate([{"$match": {"_id": world_id}}, {"$set": {"silent": silent}}])
    return await found.try_next()


async def _highest_epoch(database: AsyncMongoDatabase, world_id: str) -> int:
    """The highest epoch that has written documents of the world: they may be older than its status record, which was lost."""
    found = await database[POINTERS].find_one({"world_id": world_id}, {"fence": 1}, sort=[("fence", DESCENDING)])
    return int(found["fence"]) if found is not None else 0


async def _end_session(database: AsyncMongoDatabase, session_id: object) -> None:
    """Undo what the former owner left open, where the server allows that; elsewhere it expires by itself within a minute."""
    try:
        await database.client.admin.command("killSessions", [{"id": session_id}])
    except OperationFailure as error:
        if error.code not in NOT_ALLOWED:
            raise
        _warn_once(f"MongoDB does not let this user end sessions ({error.code}): a world whose run was killed may wait a minute")


@cache
def _warn_once(line: str) -> None:
    logger.warning(line)


async def renew_lease(
    database: AsyncMongoDatabase,
    token: FencingToken,
    *,
    lease_seconds: float,
    on_priority: Callable[[int], None],
    held: asyncio.Event | None = None,
    commits: Commits | None = None,
) -> None:
    """Renew the lease, three times in each ``lease_seconds``, until cancelled; ``on_priority`` hears the world's each second.

    ``held`` is set when the world's calls are held. What ``commits`` have read within the last second is not read again. Raises
    ``LeaseLostError``.
    """
    between = lease_seconds / 3
    look = pause = min(LOOK_SECONDS, between)
    renewed, status = time.monotonic(), database[STATUS]
    renewal = [{"$set": {"owner.expires_at": {"$add": ["$$NOW", int(lease_seconds * 1000)]}}}]
    while True:
        await asyncio.sleep(pause)
        pause, now = look, time.monotonic()
        try:
            if now - renewed + look > between:  # the next look would be too late
                # Not one command: to a repeated one MongoDB answers with the whole record, which has no "held".
                await status.update_one(token.filter, renewal)
                renewed = now
            elif commits is not None and commits.owned_recently:
                on_priority(commits.priority)
                continue
            record = await status.find_one(token.filter, {"priority": 1, "held": HELD})
        except Exception as error:
            if not is_outage(error):
                raise
            logger.warning("heartbeat of world %s: MongoDB does not answer; writes are fenced meanwhile", token.world_id)
            pause = min(AGAIN_SECONDS, look)  # when it is back, the lease may be over already
            continue
        if record is None:
            raise LeaseLostError(f"run {token.run_id} lost world {token.world_id}: another run owns it; this one stops")
        on_priority(record.get("priority", 0))
        if held is not None and record["held"]:
            held.set()


async def release_lease(database: AsyncMongoDatabase, token: FencingToken) -> None:
    await database[STATUS].update_one(
        token.filter, {"$set": {"owner.run_id": None, "owner.expires_at": None, "owner.session": None}}
    )
