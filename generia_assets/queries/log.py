"""A world's log: its events, tasks and calls in order of time, from MongoDB's records (R14, R16).

Here: events (stages, people, posts, waiting), tasks that ended, failed calls (or all), and starts of generations, as lines of one
shape. Dagster's log of a run is in Dagster's pages, and the processes' logs are files. Not here: rendering.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Literal

from pymongo.cursor import Cursor

from generia_assets.content.documents import FrozenModel
from generia_assets.content.text import plural
from generia_assets.durable.collections import GENERATIONS, HISTORY, TASKS, WORLD_EVENTS
from generia_assets.durable.status import State
from generia_assets.queries import records
from generia_assets.queries.records import OK
from resources.mongodb.connection import MongoDatabase, MongoDocument

LATE = timedelta(seconds=3)
"""Longest delay until a line is written, with the next transaction, after its moment."""
LONGEST_CALL = timedelta(seconds=150)
"""Calls are found by their start, and listed at their end."""

Level = Literal["info", "warning", "error"]


class LogLine(FrozenModel):
    """A line. ``id`` is the same whenever it is read; ``task_type`` and ``key`` are '' for lines without a task."""

    id: str
    at: datetime
    level: Level
    kind: Literal["event", "task", "call", "generation"]
    task_type: str = ""
    key: str = ""
    task_id: str = ""
    run_id: str = ""
    text: str


def newest(database: MongoDatabase, world_id: str, count: int, *, calls: bool) -> list[LogLine]:
    """The last lines, in order. ``calls``: also successful ones."""
    return _lines(database, world_id, None, -1, count, calls=calls)[-count:]


@dataclass
class LogFollower:
    """Returns the new lines from ``begin`` on (None: all) at each call of ``new``, each line once."""

    database: MongoDatabase
    world_id: str
    begin: datetime | None
    calls: bool
    _seen: dict[str, datetime] = field(default_factory=dict)

    def mark_shown(self, lines: Iterable[LogLine]) -> None:
        for line in lines:
            self._seen[line.id] = line.at
            self.begin = line.at if self.begin is None else max(self.begin, line.at)

    def new(self) -> list[LogLine]:
        """The lines since the last call, in order."""
        look_from = None if self.begin is None else self.begin - LATE
        found = _lines(self.database, self.world_id, look_from, 1, 0, calls=self.calls)
        lines = [line for line in found if line.id not in self._seen and (look_from is None or line.at >= look_from)]
        self.mark_shown(lines)
        if look_from is not None:
            self._seen = {name: at for name, at in self._seen.items() if at >= look_from}
        return lines


def _lines(database: MongoDatabase, world_id: str, begin: datetime | None, way: int, most: int, *, calls: bool) -> list[LogLine]:
    """The lines from a moment on (None: all), in order; of each kind the first ones in this direction, at most so many (0: all)."""

    def find(collection: str, at: str, fields: MongoDocument | None = None, **only: object) -> Cursor[MongoDocument]:
        since = begin and begin - (LONGEST_CALL if collection == HISTORY else timedelta())
        wanted = {"world_id": world_id, **only, **({at: {"$gte": since}} if since else {})}
        return database[collection].find(wanted, fields).sort("seq" if collection == WORLD_EVENTS else at, way).limit(most)

    ended, some = [State.COMPLETED.value, State.FAILED.value], {} if calls else {"outcome": {"$ne": OK}}
    lines = [
        *map(_of_generation, records.read_generations(find(GENERATIONS, "started_at"))),
        *map(_of_event, records.read_events(find(WORLD_EVENTS, "at"))),
        *map(_of_task, records.read_tasks(find(TASKS, "updated_at", {"result": 0, "parameters": 0}, status={"$in": ended}))),
        *map(_of_call, records.read_requests(find(HISTORY, "created_at", records.WITHOUT_TEXTS, **some))),
    ]
    return sorted(lines, key=attrgetter("at", "id"))


def _of_generation(found: records.GenerationRecord) -> LogLine:
    of = f" of {', '.join(found.keys)}" if found.keys else ""
    return LogLine(
        id=f"generation:{found.id}",
        at=found.started_at,
        level="info",
        kind="generation",
        run_id=found.id,
        text=f"a generation begins{of}: {plural(sum(found.tasks.values()), 'task')}",
    )


def _of_event(found: records.EventRecord) -> LogLine:
    level: Level = "error" if found.event_type == "failed" else "warning" if found.event_type in _WARNINGS else "info"
    key = str(found.event.get("key", ""))
    return LogLine(id=found.id, at=found.at, level=level, kind="event", key=key, text=_event_text(found.event))


_WARNINGS = ("waiting", "parked", "cancelled")


def _event_text(event: MongoDocument) -> str:
    kind = str(event["event_type"])
    match kind:
        case "world_created":
            people, posts = plural(event.get("users_count", 0), "person"), plural(event.get("posts_count", 0), "post")
            return f"ordered: {people}, {posts}: {event.get('user_prompt', '')}"
        case "stage_started" | "stage_finished":
            return f"stage {event.get('stage')} {kind.removeprefix('stage_')}"
        case "character_created":
            return f"character {event.get('display_name')} @{event.get('username')} is on the platform"
        case "post_published":
            answered = f", a reply to {event['in_reply_to']}," if event.get("in_reply_to") else ""
            return f"post of @{event.get('username')}{answered} is published: {event.get('content', '')}"
        case "waiting":
            return f"waiting for {event.get('api')}: {event.get('reason')}"
        case "going_on":
            return f"going on after {event.get('after', 'a stop')}"
        case "parked":
            return f"parked: {event.get('reason')}"
        case "failed" | "cancelled":
            return f"{kind}: {event.get('message')}"
        case _:
            return kind.replace("_", " ")


def _of_task(task: records.TaskRecord) -> LogLine:
    failed, tries = task.status is State.FAILED, task.attempt_count
    took = f" in {(task.updated_at - task.started_at).total_seconds():.2f} s" if task.started_at else ""
    text = f"failed for good after {plural(tries, 'attempt')}: {task.error}" if failed else f"completed{took}"
    if not failed and tries > 1:
        text += f", attempt {tries}"
    return LogLine(
        id=f"task:{task.id}:{task.updated_at.timestamp()}",
        at=task.updated_at,
        level="error" if failed else "info",
        kind="task",
        task_type=task.type,
        key=task.key,
        task_id=task.id,
        run_id=task.worker_id or "",
        text=text,
    )


def _of_call(call: records.RequestRecord) -> LogLine:
    succeeded = call.outcome == OK
    counted = f", {call.prompt_tokens}+{call.output_tokens} tokens" if call.prompt_tokens else ""
    text = f"{call.api} {call.request_type}: {call.outcome}, {call.duration_ms} ms"
    text += f" after waiting {call.waited_ms} ms{counted}, ${call.cost_usd:.6f}"
    return LogLine(
        id=f"call:{call.id}",
        at=call.at + timedelta(milliseconds=call.duration_ms),
        level="info" if succeeded else "warning",
        kind="call",
        task_type=call.task_type,
        key=call.key,
        task_id=call.task_id,
        run_id=call.run_id,
        text=text if succeeded else f"{text}: {call.error}",
    )
