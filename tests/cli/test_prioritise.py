"""The priority of a world on the command line: ``generia prioritise``, and where it is shown."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from pymongo import MongoClient

from generia_assets.durable.collections import STATUS
from resources.mongodb.connection import MongoDatabase, MongoDocument
from tests.support.command import Command
from tests.support.durable_world import an_order, record


@pytest.fixture
def database(mongo_client: MongoClient[MongoDocument], mongo_database_name: str) -> MongoDatabase:
    return mongo_client[mongo_database_name]


@pytest.fixture
def cli(tmp_path: Path, mongodb_uri: str, mongo_database_name: str) -> Command:
    return Command(tmp_path, {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": mongo_database_name})


def test_a_new_priority_is_stored_and_shown(cli: Command, database: MongoDatabase) -> None:
    """Also a negative one, which is not parsed as an option; status and list show the stored value."""
    world_id = str(uuid.uuid4())
    record(database, an_order(world_id, priority=3))
    assert cli.call("prioritise", world_id, "-5")[:2] == (0, f"World {world_id} has priority -5, before 3.\n")
    assert database[STATUS].find_one({"_id": world_id})["priority"] == -5  # type: ignore[index]
    done = json.loads(cli.call("prioritise", world_id[:8], "10", "--json")[1])
    assert done == {"world_id": world_id, "priority": 10, "before": -5}
    assert "priority    10" in cli.call("status", world_id)[1]
    assert "pending, priority 10" in cli.call("list")[1]


@pytest.mark.parametrize("wrong", ["11", "-11", "1.5", "high"])
def test_an_invalid_priority_is_refused(cli: Command, database: MongoDatabase, wrong: str) -> None:
    """Both commands with a priority end with exit status 2 and name what is allowed; nothing changes."""
    world_id = str(uuid.uuid4())
    record(database, an_order(world_id))
    for command in (("prioritise", world_id, wrong), ("send", "--prompt", "a town", "--priority", wrong)):
        exit_code, _, err = cli.call(*command)
        assert (exit_code, wrong in err, "10" in err) == (2, True, True)
    assert database[STATUS].find_one({"_id": world_id})["priority"] == 0  # type: ignore[index]


def test_history_has_no_priority(cli: Command, database: MongoDatabase) -> None:
    """A world of the former worker is not changed."""
    world_id = str(uuid.uuid4())
    record(database, an_order(world_id))
    database[STATUS].update_one({"_id": world_id}, {"$unset": {"owner": "", "priority": ""}})
    exit_code, _, err = cli.call("prioritise", world_id, "4")
    assert (exit_code, "it is history" in err) == (1, True)
    assert "priority" not in database[STATUS].find_one({"_id": world_id})  # type: ignore[operator]
