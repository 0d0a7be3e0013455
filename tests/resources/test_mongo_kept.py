"""One client of MongoDB for all connections of a run, and operations that are repeated through an outage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from pymongo.errors import AutoReconnect, InvalidOperation, OperationFailure

from resources.mongodb import connection
from resources.mongodb.connection import KeptMongoResource, MongoSilentError, retry_on_outage


def test_all_connections_use_one_client_until_it_is_closed(mongodb_uri: str, mongo_database_name: str) -> None:
    """The first connection opens it, the others use it, also after an error; ``close`` closes it."""
    mongo = KeptMongoResource(mongodb_uri, mongo_database_name)
    with mongo.connection() as first:
        first["kept"].insert_one({"_id": 1})
    with pytest.raises(OperationFailure, match="no such command"), mongo.connection() as second:
        second.command("no such command")
    with mongo.connection() as third:
        assert third["kept"].count_documents({}) == 1
    assert first.client is second.client is third.client
    mongo.close()
    with pytest.raises(InvalidOperation):
        first["kept"].count_documents({})


def test_a_server_that_was_unavailable_is_tried_again(free_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed client is not kept, and leaves nothing to close."""
    monkeypatch.setattr(connection, "check_mongo", partial(connection.check_mongo, seconds=0.05))
    mongo = KeptMongoResource(f"mongodb://127.0.0.1:{free_tcp_port}", "g")
    for _ in range(2):
        with pytest.raises(MongoSilentError), mongo.connection():
            pass
    assert not mongo._clients
    mongo.close()


async def test_an_operation_is_repeated_through_an_outage_however_it_is_given() -> None:
    """A coroutine function, a lambda and a partial are called again until they succeed, and their result is returned."""
    calls: list[str] = []

    async def operation(name: str) -> str:
        calls.append(name)
        if calls.count(name) < 3:
            raise AutoReconnect("the primary has stepped down")
        return name

    async def function() -> str:
        return await operation("function")

    given: dict[str, Callable[[], Awaitable[str]]] = {
        "function": function,
        "lambda": lambda: operation("lambda"),
        "partial": partial(operation, "partial"),
    }
    for name, one in given.items():
        assert await retry_on_outage(one, timeout_seconds=60) == name
        assert calls.count(name) == 3
