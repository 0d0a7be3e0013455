"""Requests and answers of a world, as ``api_requests_history`` keeps them: each attempt of a call, whole (R5, R14).

Here: finding some of them, in order of time. What is older than HISTORY_TTL_DAYS is gone. Not here: the record (records.py), which
of them led to a post (traces.py), sums over them (statistics.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from generia_assets.durable.collections import HISTORY
from generia_assets.queries.records import OK, RequestRecord, requests
from resources.mongodb.connection import MongoDatabase, MongoDocument


@dataclass(frozen=True)
class RequestFilter:
    """Which requests; '' and None: any. ``request_type`` takes a prefix word (``post`` is not ``post_batch``).

    ``task`` is a task's id, a task type, or an item's key; with a character's key go the character's posts.
    """

    request_type: str = ""
    api: str = ""
    outcome: str = ""
    failed: bool = False
    task: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def query(self, world_id: str) -> MongoDocument:
        """The query that finds them in this world."""
        query: MongoDocument = {"world_id": world_id}
        for field, value in (("request_type", self.request_type), ("api_type", self.api), ("outcome", self.outcome)):
            if value:
                query[field] = value
        if self.failed and not self.outcome:
            query["outcome"] = {"$ne": OK}
        if self.task:
            item = {"$regex": f"^{re.escape(self.task)}(-|$)"}
            query["$or"] = [{"task_id": self.task}, {"labels.task_type": self.task}, {"labels.key": item}]
        moments = {"$gte": self.since, "$lt": self.until}
        if times := {bound: moment for bound, moment in moments.items() if moment is not None}:
            query["created_at"] = times
        return query


def history(database: MongoDatabase, world_id: str, wanted: RequestFilter, *, last: int | None = None) -> Iterator[RequestRecord]:
    """The requests in order of time; with ``last``, so many of the newest only."""
    found = database[HISTORY].find(wanted.query(world_id), batch_size=200)
    if last is None:
        yield from requests(found.sort("created_at", 1))
    else:
        yield from requests(reversed(list(found.sort("created_at", -1).limit(last))))


def number_of(database: MongoDatabase, world_id: str, wanted: RequestFilter) -> int:
    """How many such requests there are."""
    return database[HISTORY].count_documents(wanted.query(world_id))


def kinds(database: MongoDatabase, world_id: str, field: str) -> list[str]:
    """The values that this field has in the world's requests."""
    return sorted(str(value) for value in database[HISTORY].distinct(field, {"world_id": world_id}))


def requests_of(database: MongoDatabase, task_ids: Iterable[str]) -> Iterator[RequestRecord]:
    """The recorded attempts of these tasks, in order of time; what is older than HISTORY_TTL_DAYS is gone."""
    return requests(database[HISTORY].find({"task_id": {"$in": list(task_ids)}}).sort("created_at", 1))
