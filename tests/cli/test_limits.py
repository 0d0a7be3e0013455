"""Limits of output: people see the first screens and the number of other entries; programs get everything."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from generia_assets.durable.collections import HISTORY, STATUS, TASKS, WORLD_EVENTS
from generia_assets.durable.status import new_status
from tests.support.command import Command

WORLD = "0b6f9a52-6a7c-4f0e-9d39-5a9a3f2f6c10"
MANY = 120
BEGAN = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)


@pytest.fixture
def generia(mongodb_uri: str, mongo_client: MongoClient[dict[str, Any]], mongo_database_name: str, tmp_path: Path) -> Command:
    """The command on a database with many suspended worlds, one of which has many tasks, requests and log lines."""
    database, suspended = mongo_client[mongo_database_name], {"kind": "stopped", "since": BEGAN, "until": None}
    moments = [BEGAN + timedelta(seconds=number) for number in range(MANY)]
    states = [
        new_status("w", {"user_prompt": "a lake"}, users=1, posts=1)
        | {"_id": WORLD if number == 0 else f"world-{number}", "updated_at": at, "parked": suspended}
        for number, at in enumerate(moments)
    ]
    database[STATUS].insert_many(states)
    database[TASKS].insert_many(
        [{"_id": f"t{number}", "world_id": WORLD, "type": "generate_post", "created_at": at} for number, at in enumerate(moments)]
    )
    database[WORLD_EVENTS].insert_many(
        [
            {"_id": f"e{number}", "world_id": WORLD, "seq": number, "at": at, "event": {"event_type": "waiting"}}
            for number, at in enumerate(moments)
        ]
    )
    call = {"world_id": WORLD, "api_type": "llm", "request_type": "post", "outcome": "ok", "cost_usd": 0.0, "duration_ms": 1}
    database[HISTORY].insert_many(
        [{"_id": f"h{number}", "task_id": f"t{number}", "created_at": at, **call} for number, at in enumerate(moments)]
    )
    return Command(tmp_path, {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": mongo_database_name})


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["list", "--state", "parked"], 20),
        (["status"], 20),
        (["show", WORLD, "tasks"], 20),
        (["history", WORLD], 50),
        (["logs", WORLD], 40),
    ],
)
def test_programs_get_everything_and_people_see_how_much_is_left_out(generia: Command, command: list[str], shown: int) -> None:
    """Without a limit --json prints everything; if the default limit or a given one cuts the output, a note outside the JSON says
    so."""
    exit_code, out, err = generia.call(*command, "--json")
    assert (exit_code, err) == (0, "")
    listed = json.loads(out) if command[0] == "show" else [json.loads(line) for line in out.splitlines()]
    assert len(listed) == len({one.get("world_id", one.get("id")) if "_id" not in one else one["_id"] for one in listed}) == MANY
    _, text, _ = generia.call(*command)
    assert text.count("attempt_count" if command[0] == "show" else "\n") <= shown + 2
    if command[0] in ("status", "logs"):  # has no limit; takes lines from the end
        return
    assert "--limit" in text
    exit_code, out, err = generia.call(*command, "--json", "--limit", "30")
    assert exit_code == 0
    assert len(json.loads(out) if command[0] == "show" else out.splitlines()) == 30
    assert "--limit" in err
    assert "--limit" not in generia.call(*command, "--json", "--limit", str(MANY))[2]
