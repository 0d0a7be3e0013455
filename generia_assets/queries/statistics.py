"""Figures of a world's work, by task type and by type of request: counts, failures, times, tokens, dollars (R14, R16).

Not here: where the time of the last one went (critical_path.py). Requests are those of the last HISTORY_TTL_DAYS days.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, TypeVar

from pydantic import computed_field

from generia_assets.catalog import TaskType
from generia_assets.content.documents import FrozenModel
from generia_assets.durable.collections import HISTORY, TASKS
from generia_assets.durable.status import State
from generia_assets.queries.records import OK, WITHOUT_TEXTS, RequestRecord, read_requests, read_tasks
from resources.mongodb.connection import MongoDatabase

NumberT = TypeVar("NumberT", int, float)


class RequestFigures(FrozenModel):
    """Requests of one type with one outcome, at one service tier ('' for none).

    Durations in milliseconds; ``cached_tokens`` are part of ``prompt_tokens``.
    """

    api: str
    request_type: str
    outcome: str
    tier: str
    calls: int
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float
    p50_ms: int
    p95_ms: int


class TaskFigures(FrozenModel):
    """Tasks of one type and all their calls. Times in milliseconds.

    ``p50_ms`` and ``p95_ms`` are of finished tasks, from beginning to end. ``waiting_ms`` is the time before their calls were
    sent (mostly waiting for a slot), ``calling_ms`` the time until the answers: sums over calls, many of which were in flight at
    once.
    """

    task_type: TaskType
    tasks: int
    completed: int
    failed: int
    attempts: int
    p50_ms: int
    p95_ms: int
    calls: int
    calls_failed: int
    waiting_ms: int
    calling_ms: int
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def cached_share(self) -> float:
        """The part of the prompts' tokens that the provider had cached, 0 to 1."""
        return round(self.cached_tokens / self.prompt_tokens, 4) if self.prompt_tokens else 0.0


@dataclass
class _Calls:
    durations: list[int] = field(default_factory=list)
    failed: int = 0
    waited: int = 0
    prompt: int = 0
    cached: int = 0
    output: int = 0
    cost: float = 0.0

    def add(self, call: RequestRecord) -> None:
        self.durations.append(call.duration_ms)
        self.failed += call.outcome != OK
        self.waited += call.waited_ms
        self.prompt += call.prompt_tokens
        self.cached += call.cached_tokens
        self.output += call.output_tokens
        self.cost += call.cost_usd

    @property
    def figures(self) -> dict[str, Any]:
        """What figures of requests and of tasks have in common."""
        tokens = {"prompt_tokens": self.prompt, "cached_tokens": self.cached, "output_tokens": self.output}
        return {"calls": len(self.durations), **tokens, "cost_usd": round(self.cost, 6)}


@dataclass
class _Tasks:
    states: Counter[State] = field(default_factory=Counter)
    attempts: int = 0
    durations: list[int] = field(default_factory=list)


def world_figures(database: MongoDatabase, world_id: str) -> tuple[list[TaskFigures], list[RequestFigures]]:
    """The figures of a world, finished or not. Reads every task and request once; memory grows by one number for each."""
    by_request: defaultdict[tuple[str, str, str, str], _Calls] = defaultdict(_Calls)
    by_type: defaultdict[str, _Calls] = defaultdict(_Calls)
    for call in read_requests(database[HISTORY].find({"world_id": world_id}, WITHOUT_TEXTS, batch_size=1000)):
        by_request[call.api, call.request_type, call.outcome, call.tier].add(call)
        by_type[call.task_type].add(call)
    tasks = [_task_figures(task_type, made, by_type[task_type]) for task_type, made in _tasks(database, world_id)]
    requests = [
        RequestFigures(api=api, request_type=kind, outcome=outcome, tier=tier, **calls.figures, **_percentiles(calls.durations))
        for (api, kind, outcome, tier), calls in sorted(by_request.items())
    ]
    return tasks, requests


def _tasks(database: MongoDatabase, world_id: str) -> Iterable[tuple[TaskType, _Tasks]]:
    """The world's tasks by type, in the order of the work. An order that has not started is not counted."""
    found: defaultdict[str, _Tasks] = defaultdict(_Tasks)
    wanted = dict.fromkeys(("type", "status", "attempt_count", "started_at", "updated_at"), 1)
    for task in read_tasks(database[TASKS].find({"world_id": world_id, "generation": {"$exists": True}}, wanted, batch_size=1000)):
        one = found[task.type]
        one.states[task.status] += 1
        one.attempts += task.attempt_count
        if task.over and task.started_at is not None:
            one.durations.append(round((task.updated_at - task.started_at).total_seconds() * 1000))
    return [(task_type, found[task_type]) for task_type in TaskType if task_type in found]


def _task_figures(task_type: TaskType, tasks: _Tasks, calls: _Calls) -> TaskFigures:
    return TaskFigures(
        task_type=task_type,
        tasks=tasks.states.total(),
        completed=tasks.states[State.COMPLETED],
        failed=tasks.states[State.FAILED],
        attempts=tasks.attempts,
        calls_failed=calls.failed,
        waiting_ms=calls.waited,
        calling_ms=sum(calls.durations),
        **_percentiles(tasks.durations),
        **calls.figures,
    )


def _percentiles(durations: Sequence[int]) -> dict[str, int]:
    return {"p50_ms": percentile(durations, 0.5), "p95_ms": percentile(durations, 0.95)}


def percentile(values: Iterable[NumberT], share: float) -> NumberT:
    """The nearest-rank percentile: the smallest value that at least this share (0 to 1) of the values does not exceed, or 0."""
    ordered = sorted(values) or [0]
    return ordered[max(0, ceil(share * len(ordered)) - 1)]
