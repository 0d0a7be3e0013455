"""Requests and answers of a world, as ``api_requests_history`` keeps them: each attempt of a call, whole (R5, R14).

Here: the record as a typed model, and reading some of them in order of time. What is older than HISTORY_TTL_DAYS is gone. Not here:
which of them led to a post (traces.py), sums over them (statistics.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from generia_assets.durable.collections import HISTORY
from resources.mongo import MongoDatabase, MongoDocument

OK = "ok"
"""Outcome of an attempt that brought a usable answer."""


class Request(BaseModel):
    """One attempt of a call to the outside, as it was recorded.

    Times in milliseconds; ``cached_tokens`` are part of ``prompt_tokens``. ``model`` is '' for what is no language model;
    ``waited_ms`` is from the wish, or from the end of the attempt before, to the sending.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    task_id: str
    task_type: str
    key: str
    api: str
    request_type: str
    outcome: str
    error: str | None
    at: datetime
    duration_ms: int
    waited_ms: int
    model: str
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    thinking_tokens: int
    cost_usd: float
    request: MongoDocument
    response: MongoDocument

    @property
    def prompt(self) -> str:
        """What was sent, as one text: of the language model system and parts, of a picture its prompt, else nothing."""
        parts = [self.request.get("system"), *(self.request.get("parts") or []), self.request.get("prompt")]
        return "\n\n".join(str(part) for part in parts if part)

    @property
    def answer(self) -> str:
        """What came back, as one text; of a picture its kind and size."""
        text = self.response.get("text", self.response.get("answer"))
        if text is None and "mime" in self.response:
            text = f"{self.response['mime']}, {self.response.get('bytes', 0):,} bytes"
        return str(text or "")


@dataclass(frozen=True)
class Wanted:
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


def history(database: MongoDatabase, world_id: str, wanted: Wanted, *, last: int | None = None) -> Iterator[Request]:
    """The requests in order of time; with ``last``, so many of the newest only."""
    found = database[HISTORY].find(wanted.query(world_id), batch_size=200)
    if last is None:
        yield from map(request_of, found.sort("created_at", 1))
    else:
        yield from map(request_of, reversed(list(found.sort("created_at", -1).limit(last))))


def number_of(database: MongoDatabase, world_id: str, wanted: Wanted) -> int:
    """How many such requests there are."""
    return database[HISTORY].count_documents(wanted.query(world_id))


def kinds(database: MongoDatabase, world_id: str, field: str) -> list[str]:
    """The values that this field has in the world's requests."""
    return sorted(str(value) for value in database[HISTORY].distinct(field, {"world_id": world_id}))


def requests_of(database: MongoDatabase, task_ids: Iterable[str]) -> Iterator[Request]:
    """The recorded attempts of these tasks, in order of time; what is older than HISTORY_TTL_DAYS is gone."""
    for row in database[HISTORY].find({"task_id": {"$in": list(task_ids)}}).sort("created_at", 1):
        yield request_of(row)


def request_of(row: MongoDocument) -> Request:
    """A document of the history as a request. What a death cut off has neither request nor answer."""
    tokens, request, response = row.get("tokens") or {}, row.get("request_data") or {}, row.get("response_data") or {}
    labels = row.get("labels") or {}
    return Request(
        id=row["_id"],
        task_id=row["task_id"],
        task_type=labels.get("task_type", ""),
        key=labels.get("key", ""),
        api=row["api_type"],
        request_type=row["request_type"],
        outcome=row["outcome"],
        error=row.get("error"),
        at=row["created_at"],
        duration_ms=int(row.get("duration_ms") or 0),
        waited_ms=int(row.get("waited_ms") or 0),
        model=str(response.get("model") or request.get("model") or ""),
        prompt_tokens=tokens.get("prompt", 0),
        cached_tokens=tokens.get("cached", 0),
        output_tokens=tokens.get("output", 0),
        thinking_tokens=tokens.get("thinking", 0),
        cost_usd=float(row.get("cost_usd") or 0.0),
        request=request,
        response=response,
    )
