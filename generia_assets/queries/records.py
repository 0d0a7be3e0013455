"""Read models of execution records: tasks, requests, events, generations; and finding some of a world's requests.

Here: the models over MongoDB's records (resources/mongodb/stored.py parses them). Fields that the former worker did not write have
a default. An unreadable record is left out and logged. Requests older than HISTORY_TTL_DAYS are gone. Not here: the tasks behind a
post (traces.py), sums over requests (statistics.py).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated

from pydantic import AliasPath, BeforeValidator, Field, FiniteFloat, model_validator

from generia_assets.catalog import TaskType
from generia_assets.content.documents import FrozenModel
from generia_assets.durable.collections import GENERATIONS, HISTORY, TASKS, WORLD_EVENTS
from generia_assets.durable.status import State
from resources.gateway.calls import OK as OK
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.stored import Moment, readable

logger = logging.getLogger(__name__)

WITHOUT_TEXTS = {"request_data": 0, "response_data": 0}
"""Projection of requests whose figures alone are read."""


def _none_is(default: object) -> BeforeValidator:
    return BeforeValidator(lambda value: default if value is None else value)


Count = Annotated[int, _none_is(0)]
Text = Annotated[str, _none_is("")]
Milliseconds = Annotated[int, BeforeValidator(lambda value: int(value or 0) if isinstance(value, float) else value or 0)]


class TaskRecord(FrozenModel):
    """A task.

    Fields that a projection leaves out have their defaults; ``generation`` and ``key`` are '' for an order that has not started.
    """

    id: str = Field(validation_alias="_id")
    type: str
    status: State
    generation: Text = ""
    key: Text = ""
    attempt_count: Count = 0
    error: str | None = None
    worker_id: str | None = None
    created_at: Moment | None = None
    started_at: Moment | None = None
    updated_at: Moment
    result: MongoDocument | None = None

    @property
    def over(self) -> bool:
        return self.status in (State.COMPLETED, State.FAILED)


class RequestRecord(FrozenModel):
    """One recorded attempt of a call to an external API.

    Times in milliseconds; ``cached_tokens`` are part of ``prompt_tokens``. ``model`` is '' for other APIs than the language
    model; ``waited_ms`` is from the call, or from the end of the attempt before, to the sending. A call that a crash cut off has
    neither request nor response.
    """

    id: str = Field(validation_alias="_id")
    task_id: str
    task_type: Text = Field("", validation_alias=AliasPath("labels", "task_type"))
    key: Text = Field("", validation_alias=AliasPath("labels", "key"))
    api: str = Field(validation_alias="api_type")
    request_type: str
    outcome: str
    error: str | None = None
    at: Moment = Field(validation_alias="created_at")
    duration_ms: Milliseconds = 0
    waited_ms: Milliseconds = 0
    model: str
    tier: str
    prompt_tokens: Count = Field(0, validation_alias=AliasPath("tokens", "prompt"))
    cached_tokens: Count = Field(0, validation_alias=AliasPath("tokens", "cached"))
    output_tokens: Count = Field(0, validation_alias=AliasPath("tokens", "output"))
    thinking_tokens: Count = Field(0, validation_alias=AliasPath("tokens", "thinking"))
    cost_usd: Annotated[FiniteFloat, _none_is(0.0)] = 0.0
    run_id: Text = ""
    request: MongoDocument
    response: MongoDocument

    @model_validator(mode="before")
    @classmethod
    def _of_record(cls, record: MongoDocument) -> MongoDocument:
        request, response = record.get("request_data") or {}, record.get("response_data") or {}
        return {
            **record,
            "outcome": record.get("outcome") or ("failed" if record.get("error") else OK),
            "model": str(response.get("model") or request.get("model") or ""),
            "tier": str(record.get("service_tier") or (record.get("labels") or {}).get("service_tier") or ""),
            "request": request,
            "response": response,
        }

    @property
    def prompt(self) -> str:
        """The request as one text: system instruction and parts for the language model, the prompt for an image, else ''."""
        parts = self.request.get("parts")
        texts = [self.request.get("system"), *(parts if isinstance(parts, list) else []), self.request.get("prompt")]
        return "\n\n".join(str(part) for part in texts if part)

    @property
    def answer(self) -> str:
        """The response as one text; of an image its media type and size."""
        text = self.response.get("text", self.response.get("answer"))
        if text is None and "mime" in self.response:
            size = self.response.get("bytes")
            text = f"{self.response['mime']}, {size if isinstance(size, int) else 0:,} bytes"
        return str(text or "")


class EventRecord(FrozenModel):
    """A live event of a world, as the outbox holds it."""

    id: str = Field(validation_alias="_id")
    seq: int
    at: Moment
    event_type: str = Field(validation_alias=AliasPath("event", "event_type"))
    event: MongoDocument


class GenerationRecord(FrozenModel):
    """A generation: when it began, for which items (none: all), with how many tasks of each type."""

    id: str = Field(validation_alias="_id")
    started_at: Moment
    tasks: dict[str, int] = Field(default_factory=dict)
    keys: tuple[str, ...] = ()


def completed(world_id: str, generation: object, task_type: TaskType) -> MongoDocument:
    """Finds the completed tasks of this type. ``generation``: its id, or a condition."""
    return {"world_id": world_id, "generation": generation, "type": task_type.value, "status": State.COMPLETED.value}


_logged = partial(logger.warning, "%s")
read_tasks = partial(readable, TaskRecord, collection=TASKS, unreadable=_logged)
read_requests = partial(readable, RequestRecord, collection=HISTORY, unreadable=_logged)
read_events = partial(readable, EventRecord, collection=WORLD_EVENTS, unreadable=_logged)
read_generations = partial(readable, GenerationRecord, collection=GENERATIONS, unreadable=_logged)


@dataclass(frozen=True)
class RequestFilter:
    """Which requests; None: any. ``task``: a task's id, a task type, or an item's key; a character's key includes their posts."""

    request_type: str | None = None
    api: str | None = None
    outcome: str | None = None
    failed: bool = False
    task: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def query(self, world_id: str) -> MongoDocument:
        fields = {"world_id": world_id, "request_type": self.request_type, "api_type": self.api, "outcome": self.outcome}
        query: MongoDocument = {name: value for name, value in fields.items() if value}
        if self.failed and not self.outcome:
            query["outcome"] = {"$ne": OK}
        if self.task:
            item = {"$regex": f"^{re.escape(self.task)}(-|$)"}
            query["$or"] = [{"task_id": self.task}, {"labels.task_type": self.task}, {"labels.key": item}]
        moments = {"$gte": self.since, "$lt": self.until}
        if times := {bound: moment for bound, moment in moments.items() if moment is not None}:
            query["created_at"] = times
        return query


def find_requests(database: MongoDatabase, world_id: str, wanted: RequestFilter, last: int | None) -> Iterator[RequestRecord]:
    """The requests in order of time: so many of the newest, or all."""
    found = database[HISTORY].find(wanted.query(world_id), batch_size=200)
    if last is None:
        yield from read_requests(found.sort("created_at", 1))
    else:
        yield from read_requests(reversed(list(found.sort("created_at", -1).limit(last))))


def count_requests(database: MongoDatabase, world_id: str, wanted: RequestFilter) -> int:
    return database[HISTORY].count_documents(wanted.query(world_id))
