"""Which MongoDB and which Kafka a command talks to, and the world that is meant there.

Here: what is set (environment or .env) stands; else what a running `generia dev` or `generia demo` of this folder has started; else
the usual addresses. Not here: starting anything (local_services).
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values

from generia_assets.cli.console import CommandError, command_name, safe_line
from generia_assets.cli.data_dir import ENV_FILE, running_generator

if TYPE_CHECKING:
    from generia_assets.durable.status import WorldStatus
    from generia_assets.queries.worlds import NamedWorld
    from generia_assets.settings import Settings
    from resources.kafka.address import KafkaAddress
    from resources.mongodb.connection import MongoDatabase

FoundT = TypeVar("FoundT")

ANSWER_S = 1.0
"""A server that does not answer within this time is unavailable: a person waits about two seconds in all."""


@dataclass(frozen=True)
class Addresses:
    """The servers of the generator. ``dagster_home`` None, ``code_server`` '': neither set nor running here."""

    mongodb_uri: str
    kafka: KafkaAddress
    dagster_home: Path | None
    code_server: str = ""


def settings() -> Settings:
    """The settings. They are imported, with pydantic, when a command needs them: its help does not."""
    from generia_assets.settings import settings as read_settings

    return read_settings()


def is_set(settings: Settings, field: str) -> bool:
    """Whether this field is set, in the environment or in .env; an empty value sets nothing."""
    return field in settings.model_fields_set


def set_dagster_home() -> Path | None:
    """DAGSTER_HOME as the environment or .env sets it, or None. It is Dagster's setting, not one of ours."""
    home = os.environ.get("DAGSTER_HOME") or dotenv_values(ENV_FILE).get("DAGSTER_HOME")
    return Path(home).absolute() if home else None


def addresses(settings: Settings) -> Addresses:
    from resources.kafka.address import KafkaAddress

    mongodb_uri, dagster_home, code_server = settings.mongodb_uri.get_secret_value(), set_dagster_home(), settings.code_server
    if running := running_generator(settings.generia_data_dir):
        if not is_set(settings, "mongodb_uri"):
            mongodb_uri = running.mongodb_uri
        if not is_set(settings, "kafka_bootstrap_servers"):
            known = {"kafka_bootstrap_servers": running.kafka_bootstrap_servers, "kafka_api_version": running.kafka_api_version}
            settings = settings.model_copy(update=known)
        dagster_home = dagster_home or Path(running.dagster_home)
        code_server = code_server or running.code_server
    return Addresses(mongodb_uri, KafkaAddress(settings, connect_s=ANSWER_S), dagster_home, code_server)


QUICK_S = 0.4
"""How long a server is waited for that is asked for what is not essential."""
CANDIDATES = 5
"""Worlds that are named where several, or none, are meant."""


@contextmanager
def database_at(mongodb_uri: str, settings: Settings) -> Iterator[MongoDatabase]:
    """The generator's database there. Raises ``MongoUnavailableError``, whose message says how to start one, after ``ANSWER_S``."""
    from resources.mongodb.connection import check_mongo, connect, silent

    began = time.monotonic()
    if not listens(mongodb_uri):
        raise silent(mongodb_uri, "connection refused")
    with connect(mongodb_uri) as client:
        check_mongo(client, mongodb_uri, seconds=ANSWER_S - min(QUICK_S, time.monotonic() - began))
        yield client[settings.mongodb_database]


@contextmanager
def open_database() -> Iterator[MongoDatabase]:
    chosen = settings()
    with database_at(addresses(chosen).mongodb_uri, chosen) as database:
        yield database


def ask_quickly(settings: Settings, read: Callable[[MongoDatabase], FoundT]) -> FoundT | None:
    """What is not essential of the generator's database; None where MongoDB does not answer: each query has ``QUICK_S``."""
    if not listens(mongodb_uri := addresses(settings).mongodb_uri):
        return None
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    from resources.mongodb.connection import MongoDocument

    most = int(QUICK_S * 1000)
    with (
        suppress(PyMongoError),
        MongoClient[MongoDocument](
            mongodb_uri, serverSelectionTimeoutMS=most, connectTimeoutMS=most, timeoutMS=most, tz_aware=True
        ) as client,
    ):
        return read(client[settings.mongodb_database])
    return None


def listens(mongodb_uri: str) -> bool:
    """Whether one of the servers of this URI may answer: none does where all refuse connections, and pymongo would try again until
    its time-out."""
    parts = urlsplit(mongodb_uri)
    if parts.scheme != "mongodb":  # the servers of mongodb+srv are in DNS
        return True
    for host in parts.netloc.rpartition("@")[2].split(","):
        address = urlsplit(f"//{host}")
        try:
            socket.create_connection((address.hostname or "", address.port or 27017), timeout=QUICK_S).close()
        except ConnectionRefusedError:
            continue
        except (OSError, ValueError):  # pymongo says what is wrong
            return True
        return True
    return False


@contextmanager
def open_world(world: str) -> Iterator[tuple[MongoDatabase, WorldStatus]]:
    """The generator's database, and the world that is meant (see ``get_world``)."""
    with open_database() as database:
        yield database, get_world(database, world)


def get_world(database: MongoDatabase, world: str) -> WorldStatus:
    """The status record of the world that is meant; its own id is ``world_id`` there.

    ``world``: an id (of a world from the launch form: its partition's name), a name, the beginning of an id or name that no other
    world has, or ``last``. Where that is no world, or more than one: ``CommandError`` (exit status 2), which names candidates.
    """
    from generia_assets.queries.worlds import newest_worlds

    found = _found(database, world)
    if found is not None:
        return found
    newest = newest_worlds(database, CANDIDATES)
    said = f"world {safe_line(world, 80)}: no world has this id or name"
    if not newest:
        raise CommandError(f"{said}; nobody has ordered one here yet. `{command_name()} list` shows those that were", 2)
    raise CommandError(f"{said}; `{command_name()} list` shows all. The newest:\n{_lines(newest)}", 2)


def get_world_or_order(database: MongoDatabase, world: str) -> WorldStatus | None:
    """As ``get_world``; None for a UUID that MongoDB does not know: its order may still be in Kafka."""
    try:
        uuid.UUID(world)
    except ValueError:
        return get_world(database, world)
    return _found(database, world)


def _found(database: MongoDatabase, world: str) -> WorldStatus | None:
    from generia_assets.queries.worlds import world_status, worlds_named

    found = worlds_named(database, world, limit=CANDIDATES + 1)
    if len(found) > 1:
        more = "\n  and more" if len(found) > CANDIDATES else ""
        said = f"world {safe_line(world, 80)}: more than one is called or begins like this; give more of an id:"
        raise CommandError(f"{said}\n{_lines(found[:CANDIDATES])}{more}", 2)
    return world_status(database, found[0].world_id) if found else None


def _lines(worlds: Iterable[NamedWorld]) -> str:
    return "\n".join(f"  {safe_line(one.world_id)}  {safe_line(one.name, 60)}".rstrip() for one in worlds)
