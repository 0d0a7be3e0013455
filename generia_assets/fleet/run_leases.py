"""Leases of runs: which worker process executes a run, and that it is alive. In MongoDB, beside the slots of calls.

The lease of the world (durable/leases/ownership.py) fences the writes. The lease of a run covers the whole life of the process, and
it is what makes a message of the broker that is delivered twice start one process.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

import pymongo
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from generia_assets.durable.collections import FLEET
from resources.mongodb.connection import MongoDatabase, MongoUnavailableError

logger = logging.getLogger(__name__)

LEASE_SECONDS = 12.0
"""A process that has not renewed its run's lease for so long is dead, frozen, or cut off from MongoDB."""
RENEW_SECONDS = 3.0
HEARTBEAT_FILE = "generia-worker"
"""Below the folder of temporary files: a worker touches it while it is connected to the broker."""


class RunLease(NamedTuple):
    """The lease of a run: who has it, when it ends, and whether it has ended by MongoDB's clock."""

    worker: str
    expires_at: datetime
    is_over: bool


def read_lease(database: MongoDatabase, run_id: str) -> RunLease | None:
    """The lease of this run, or None if no process has it: none began, or it ended."""
    over = {"$lte": ["$expires_at", "$$NOW"]}
    found = next(database[FLEET].aggregate([{"$match": {"_id": _id(run_id)}}, {"$set": {"is_over": over}}]), None)
    return None if found is None else RunLease(found["worker"], found["expires_at"], found["is_over"])


@contextmanager
def held_lease(database: MongoDatabase, run_id: str) -> Iterator[bool]:
    """Hold the lease of this run within the block, if no other process does; whether it is held.

    The process gets SIGINT when it loses the lease to another. It keeps it while MongoDB is away: what it writes is fenced, and the
    run waits for MongoDB by itself.
    """
    worker = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4()}"
    if not _renew(database, run_id, worker):
        yield False
        return
    left = threading.Event()
    renewer = threading.Thread(target=_keep, args=(database, run_id, worker, left), name="run-lease", daemon=True)
    renewer.start()
    try:
        yield True
    finally:
        left.set()
        renewer.join()
        try:
            database[FLEET].delete_one({"_id": _id(run_id), "worker": worker})
        except PyMongoError as error:  # it ends by itself
            logger.warning("the lease of run %s was not released: %s", run_id, type(error).__name__)


def _keep(database: MongoDatabase, run_id: str, worker: str, left: threading.Event) -> None:
    while not left.wait(RENEW_SECONDS):
        try:
            if _renew(database, run_id, worker):
                continue
        except (PyMongoError, MongoUnavailableError) as error:
            logger.warning("the lease of run %s is not renewed: MongoDB does not answer (%s)", run_id, type(error).__name__)
            continue
        logger.error("another process executes run %s: this one ends", run_id)
        os.kill(os.getpid(), signal.SIGINT)
        return


def _renew(database: MongoDatabase, run_id: str, worker: str) -> bool:
    """Acquire or renew the lease, unless another process has it and its lease is not over; whether this worker has it now."""
    free = {"$or": [{"$eq": ["$worker", worker]}, {"$lte": [{"$ifNull": ["$expires_at", "$$NOW"]}, "$$NOW"]}]}
    until = {"$add": ["$$NOW", int(LEASE_SECONDS * 1000)]}
    change = {"worker": {"$cond": [free, worker, "$worker"]}, "expires_at": {"$cond": [free, until, "$expires_at"]}}
    with pymongo.timeout(RENEW_SECONDS):
        lease = database[FLEET].find_one_and_update(
            {"_id": _id(run_id)}, [{"$set": change}], upsert=True, return_document=ReturnDocument.AFTER
        )
    return lease is not None and bool(lease["worker"] == worker)


def _id(run_id: str) -> str:
    return f"run:{run_id}"
