"""A run's log in Dagster: one event with a line for each person, at most ``MOST_LINES``; no world has more events than another.

Here: the lines. Dagster keeps each message of ``context.log`` as an event for ever, so all people share one (attempts, calls,
tokens, cost, failures), people with failures first. The lines of single tasks go to the run's compute log (stdout and stderr on the
run's page) and not here: durable/tasks/runner.py. A failed run has its lines, too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from generia_assets.catalog import TaskType
from generia_assets.content.text import cut, one_line, plural
from generia_assets.durable.collections import HISTORY, TASKS
from generia_assets.durable.status import State
from resources.mongodb.connection import MongoDatabase, MongoDocument

MOST_LINES = 100
LONGEST_ERROR = 200

_OF_PEOPLE = {"$in": [task_type.value for task_type in TaskType if task_type.asset.unit.of_item]}
_PERSON, _PERSON_OF_CALL = ({"$arrayElemAt": [{"$split": [key, "-"]}, 0]} for key in ("$key", "$labels.key"))


def people_lines(database: MongoDatabase, world_id: str, generation: str) -> Iterator[str]:
    """``c0007 @mira: generate_character 1 done, generate_post 5 done (1 asked again), …; 14 calls, 51,200 tokens, $0.0231``."""
    mine = {"world_id": world_id, "generation": generation}
    tasks, calls = {"$match": {**mine, "type": _OF_PEOPLE}}, {"$match": {**mine, "labels.task_type": _OF_PEOPLE}}
    shown = list(database[TASKS].aggregate([tasks, *_TASKS_BY_PERSON], allowDiskUse=True))
    if not shown:
        return
    named = {"$match": {"_id": {"$in": [person["_id"] for person in shown]}}}
    spent = {row["_id"]: row for row in database[HISTORY].aggregate([calls, _CALLS_BY_PERSON, named], allowDiskUse=True)}
    for person in shown:
        yield _line(person, spent.get(person["_id"], {}))
    counted = database[TASKS].aggregate([tasks, {"$group": {"_id": _PERSON}}, {"$count": "people"}])
    found = next(counted, None)  # none where the world's tasks were deleted meanwhile
    if found is not None and (more := found["people"] - len(shown)) > 0:
        well = "" if shown[-1]["failed"] else " without failures"
        yield f"{more} more people{well}: generia stats {world_id}; each task is in stderr"


def log_people(log: logging.Logger, database: MongoDatabase, world_id: str, generation: str) -> None:
    """Write one message with a line for each person, as far as the run came; a warning where MongoDB cannot be read.

    Never raises: logging must neither change nor hide the result of a run.
    """
    try:
        if lines := list(people_lines(database, world_id, generation)):
            log.info("\n".join(lines))
    except Exception as error:  # noqa: BLE001
        log.warning(f"The people's lines are missing ({type(error).__name__}); generia stats {world_id} has their figures")


_FAILED, _DONE = ({"$eq": ["$status", state.value]} for state in (State.FAILED, State.COMPLETED))
_TASKS_BY_PERSON: list[MongoDocument] = [
    {
        "$group": {
            "_id": {"person": _PERSON, "type": "$type"},
            "tasks": {"$sum": 1},
            "again": {"$sum": {"$max": [0, {"$subtract": ["$attempt_count", 1]}]}},
            "done": {"$sum": {"$cond": [_DONE, 1, 0]}},
            "failed": {"$sum": {"$cond": [_FAILED, 1, 0]}},
            "error": {"$max": {"$cond": [_FAILED, "$error", None]}},
            "username": {"$max": "$result.username"},
        }
    },
    {
        "$group": {
            "_id": "$_id.person",
            "kinds": {"$push": {"type": "$_id.type", "tasks": "$tasks", "done": "$done", "failed": "$failed", "again": "$again"}},
            "failed": {"$sum": "$failed"},
            "error": {"$max": "$error"},
            "username": {"$max": "$username"},
        }
    },
    {"$sort": {"failed": -1, "_id": 1}},
    {"$limit": MOST_LINES},
]
_CALLS_BY_PERSON: MongoDocument = {
    "$group": {
        "_id": _PERSON_OF_CALL,
        "calls": {"$sum": {"$cond": [{"$eq": ["$api_type", "platform"]}, 0, 1]}},
        "tokens": {"$sum": {"$add": [{"$ifNull": ["$tokens.prompt", 0]}, {"$ifNull": ["$tokens.output", 0]}]}},
        "cost": {"$sum": "$cost_usd"},
    }
}


def _line(person: dict[str, Any], spent: dict[str, Any]) -> str:
    done = ", ".join(_kind(kind) for kind in sorted(person["kinds"], key=lambda kind: list(TaskType).index(kind["type"])))
    who = f"{person['_id']} @{person['username']}" if person["username"] else str(person["_id"])
    error = f"; failed: {cut(one_line(str(person['error'])), LONGEST_ERROR)}" if person["failed"] else ""
    calls, tokens, cost = spent.get("calls", 0), spent.get("tokens", 0), spent.get("cost", 0.0)
    return f"{who}: {done}; {plural(calls, 'call')}, {plural(tokens, 'token')}, ${cost:.4f}{error}"


def _kind(kind: dict[str, Any]) -> str:
    failed = f", {kind['failed']} failed" if kind["failed"] else ""
    left = kind["tasks"] - kind["done"] - kind["failed"]  # a run that failed leaves some
    unfinished = f", {left} unfinished" if left else ""
    again = f" ({plural(kind['again'], 'attempt')} more)" if kind["again"] else ""
    return f"{kind['type']} {kind['done']} done{failed}{unfinished}{again}"
