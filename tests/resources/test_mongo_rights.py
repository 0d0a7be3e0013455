"""A database user without all rights (S14): every place reports the missing right."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from generia_assets.catalog import ASSETS, TaskType
from generia_assets.durable.indexes import ensure_indexes, lacks_indexes
from generia_assets.durable.orders.order import Order
from generia_assets.durable.orders.records import record_order
from resources.mongodb.connection import (
    MongoForbiddenError,
    MongoResource,
    MongoUnavailableError,
    check_mongo,
    connect,
    connect_async,
)
from resources.mongodb.document_store import DocumentStore
from resources.platform.local import LocalPlatform
from tests.support.command import Command
from tests.support.durable_world import order_of
from tests.support.mongod_with_users import ServerWithUsers, mongod_with_users
from tests.support.worlds_in_process import worlds_in_process

NO_INDEXES = ["find", "insert", "update", "remove", "listIndexes", "listCollections", "dropDatabase"]
ORDER = {"user_prompt": "a harbour", "users_count": 2, "posts_count": 2}


pytestmark = pytest.mark.servers  # a server with users


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerWithUsers]:
    """Users of database ``g``: a reader, a writer, and one with all rights except creating indexes."""
    with mongod_with_users(tmp_path_factory.mktemp("users")) as started:
        with started.as_root() as client:
            privileges = [{"resource": {"db": name, "collection": ""}, "actions": NO_INDEXES} for name in ("g", "g_platform")]
            client.admin.command("createRole", "no_indexes", privileges=privileges, roles=[])
        started.add("reader", [{"role": "read", "db": "g"}])
        started.add("writer", [{"role": "readWrite", "db": name} for name in ("g", "g_platform")])
        started.add("modest", ["no_indexes"])
        yield started


@pytest.fixture(autouse=True)
def clean(server: ServerWithUsers) -> None:
    with server.as_root() as client:
        for name in ("g", "g_platform"):
            client.drop_database(name)


def order(world_id: str) -> Order:
    return order_of(task_id=f"t-{world_id}", task_type=TaskType.INIT_WORLD_CREATION, world_id=world_id, parameters=ORDER)


@pytest.mark.parametrize(
    ("user", "password", "says"),
    [
        pytest.param("reader", "", "right insert and update and remove on database g", id="S14 read-only user"),
        pytest.param("reader", "wrong", "does not take the user and password", id="S14 wrong password"),
    ],
)
def test_the_sensor_names_the_missing_right(server: ServerWithUsers, user: str, password: str, says: str) -> None:
    """A tick without the right to record an order names the right, the database and how to grant it; the message is read again."""
    uri = server.uri(user, password) if password else server.uri(user)
    resource = MongoResource(uri=uri, database="g")
    with pytest.raises(MongoUnavailableError, match=says) as raised, resource.connection() as database:
        record_order(database, order("w"), max_users=9, max_posts=9)
    assert isinstance(raised.value, MongoForbiddenError)
    assert "a-word-of-the-tests" not in str(raised.value)


@pytest.mark.case("S14")
def test_a_server_that_requires_a_user_is_not_taken_for_an_outage(server: ServerWithUsers) -> None:
    """Without user and password the message says where they belong."""
    uri = f"mongodb://127.0.0.1:{server.port}/?directConnection=true"
    with connect(uri) as client:
        check_mongo(client, uri)  # hello needs no right
    with pytest.raises(MongoForbiddenError, match="asks for a user"), MongoResource(uri=uri, database="g").connection() as database:
        record_order(database, order("w"), max_users=9, max_posts=9)


def made_indexes(uri: str) -> None:
    with connect(uri) as client:
        ensure_indexes(client["g"], history_ttl_days=30)
        DocumentStore(client["g"]).ensure_indexes(kind for kind in ASSETS.values())


async def made_platform_indexes(uri: str, media: Path) -> None:
    async with connect_async(uri) as client:
        await LocalPlatform(client["g_platform"], media).ensure_indexes()


@pytest.mark.case("S14")
def test_no_right_to_create_indexes_is_needed_if_they_exist(server: ServerWithUsers, caplog: pytest.LogCaptureFixture) -> None:
    """A user without the right works if the indexes exist; a new HISTORY_TTL_DAYS gives a warning, not a failure."""
    with pytest.raises(Exception, match="createIndexes"):
        made_indexes(server.uri("modest"))
    made_indexes(server.uri("writer"))
    made_indexes(server.uri("modest"))
    with connect(server.uri("modest")) as client, caplog.at_level(logging.WARNING):
        assert not lacks_indexes(client["g"])
        ensure_indexes(client["g"], history_ttl_days=7)
    assert "HISTORY_TTL_DAYS=7 does not count" in caplog.text
    assert "collMod" in caplog.text


@pytest.mark.case("S14")
def test_a_run_names_the_missing_right(server: ServerWithUsers, broker: str, gemini: str, tmp_path: Path) -> None:
    """The run's failure, the world's record and doctor name the right; after it is granted, the same world is made."""
    uri = server.uri("modest")
    names = {"mongodb_database": "g", "platform_database": "g_platform"}
    with worlds_in_process(tmp_path, mongodb_uri=uri, broker=broker, gemini=gemini, checks=True, **names) as worlds:
        kafka = {"KAFKA_BOOTSTRAP_SERVERS": broker, "KAFKA_API_VERSION": "2.3"}
        cli = Command(tmp_path, {"MONGODB_URI": uri, **kafka, **{name.upper(): value for name, value in names.items()}})
        with connect(uri) as client:
            record_order(client["g"], order("w"), max_users=9, max_posts=9)
        made = worlds.run("w", select=["world_request"])
        assert not made.success
        assert "right createIndex on database g" in made.failure
        assert "right createIndex on database g" in worlds.status("w").message
        assert worlds.status("w").status == "pending"
        assert "right createIndex" in cli.call("status", "w")[1]
        assert "its user has no right createIndex on g" in cli.call("doctor")[1]

        reading = Command(tmp_path, {"MONGODB_URI": server.uri("reader"), "MONGODB_DATABASE": "g", **kafka})
        assert "its user has no right insert and update and remove on g" in reading.call("doctor")[1]
        assert reading.call("list")[0] == 0
        status, _, said = reading.call("resume", "w")
        assert (status, "right update on database g" in said) == (1, True), said

        made_indexes(server.uri("writer"))
        asyncio.run(made_platform_indexes(server.uri("writer"), tmp_path))
        assert worlds.run("w").success
        assert worlds.status("w").message == ""
