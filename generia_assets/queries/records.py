"""Records of the machinery as they are read for people: tasks, requests, events, generations.

Here: their shapes, and reading some of them through the one door (resources/mongodb/stored.py). What the old worker wrote lacks
fields of ours, which have defaults here. A record that cannot be read is left out and named in the log. Not here: which records
(the modules beside this one).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat

from generia_assets.durable.collections import GENERATIONS, HISTORY, TASKS, WORLD_EVENTS
from generia_assets.durable.status import State
from resources.mongodb.connection import MongoDocument
from resources.mongodb.stored import Moment, UnreadableRecord, readable

logger = logging.getLogger(__name__)

RecordT = TypeVar("RecordT", bound=BaseModel)


def _none_is(default: object) -> BeforeValidator:
    return BeforeValidator(lambda value: default if value is None else value)


Count = Annotated[int, _none_is(0)]
Text = Annotated[str, _none_is("")]
Milliseconds = Annotated[int, BeforeValidator(lambda value: int(value or 0) if isinstance(value, float) else value or 0)]

_RECORD = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")


class TaskRecord(BaseModel):
    """A task. What a projection leaves out has its default; ``generation`` and ``key`` are '' for an order nobody has begun."""

    model_config = _RECORD

    id: str = Field(alias="_id")
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
        """Whether it is completed, or failed for good."""
        return self.status in (State.COMPLETED, State.FAILED)


class RequestRecord(BaseModel):
    """One attempt of a call to the outside, as it was recorded.

    Times in milliseconds; ``cached_tokens`` are part of ``prompt_tokens``. ``model`` is '' for what is no language model;
    ``waited_ms`` is from the wish, or from the end of the attempt before, to the sending.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    task_id: str
    task_type: Text
    key: Text
    api: str
    request_type: str
    outcome: str
    error: str | None
    at: Moment
    duration_ms: Milliseconds
    waited_ms: Milliseconds
    model: str
    prompt_tokens: Count
    cached_tokens: Count
    output_tokens: Count
    thinking_tokens: Count
    cost_usd: Annotated[FiniteFloat, _none_is(0.0)]
    run_id: Text
    request: MongoDocument
    response: MongoDocument

    @property
    def prompt(self) -> str:
        """What was sent, as one text: of the language model system and parts, of a picture its prompt, else nothing."""
        parts = self.request.get("parts")
        told = [self.request.get("system"), *(parts if isinstance(parts, list) else []), self.request.get("prompt")]
        return "\n\n".join(str(part) for part in told if part)

    @property
    def answer(self) -> str:
        """What came back, as one text; of a picture its kind and size."""
        text = self.response.get("text", self.response.get("answer"))
        if text is None and "mime" in self.response:
            size = self.response.get("bytes")
            text = f"{self.response['mime']}, {size if isinstance(size, int) else 0:,} bytes"
        return str(text or "")


class EventRecord(BaseModel):
    """A live event of a world, as it lies in the outbox."""

    model_config = _RECORD

    id: str = Field(alias="_id")
    seq: int
    at: Moment
    event_type: str
    event: MongoDocument


class GenerationRecord(BaseModel):
    """A generation: when it was begun, for which items (none: all), with how many tasks of each type."""

    model_config = _RECORD

    id: str = Field(alias="_id")
    started_at: Moment
    tasks: dict[str, int] = {}
    keys: list[str] = []


def tasks(found: Iterable[MongoDocument]) -> Iterator[TaskRecord]:
    """These tasks."""
    return readable(TaskRecord, found, TASKS, _name)


def requests(found: Iterable[MongoDocument]) -> Iterator[RequestRecord]:
    """These requests. What a death cut off has neither request nor answer."""
    return readable(RequestRecord, found, HISTORY, _name, at=_request)


def events(found: Iterable[MongoDocument]) -> Iterator[EventRecord]:
    """These events."""
    return readable(EventRecord, found, WORLD_EVENTS, _name, at=lambda row: {**row, "event_type": row["event"]["event_type"]})


def generations(found: Iterable[MongoDocument]) -> Iterator[GenerationRecord]:
    """These generations."""
    return readable(GenerationRecord, found, GENERATIONS, _name)


def _name(unreadable: UnreadableRecord) -> None:
    logger.warning("%s", unreadable)


def _request(row: MongoDocument) -> MongoDocument:
    tokens, labels = row.get("tokens") or {}, row.get("labels") or {}
    request, response = row.get("request_data") or {}, row.get("response_data") or {}
    return {
        "id": row["_id"],
        "task_id": row["task_id"],
        "task_type": labels.get("task_type"),
        "key": labels.get("key"),
        "api": row["api_type"],
        "request_type": row["request_type"],
        "outcome": row.get("outcome") or ("failed" if row.get("error") else OK),
        "error": row.get("error"),
        "at": row["created_at"],
        "duration_ms": row.get("duration_ms"),
        "waited_ms": row.get("waited_ms"),
        "model": str(response.get("model") or request.get("model") or ""),
        "prompt_tokens": tokens.get("prompt"),
        "cached_tokens": tokens.get("cached"),
        "output_tokens": tokens.get("output"),
        "thinking_tokens": tokens.get("thinking"),
        "cost_usd": row.get("cost_usd"),
        "run_id": row.get("run_id"),
        "request": request,
        "response": response,
    }


OK = "ok"
"""Outcome of an attempt that brought a usable answer."""
