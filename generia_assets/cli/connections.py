"""Which MongoDB and which Kafka a command talks to, and the world that is meant there.

Here: what is set (environment or .env) stands; else what a running `generia dev` or `generia demo` of this folder has started; else
the usual addresses. Not here: starting anything (local_services).
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values
from pymongo import DESCENDING

from generia_assets.cli.console import CommandError, command_name, safe_line
from generia_assets.cli.data_dir import ENV_FILE, running_generator
from generia_assets.cli.options import LAST
from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import WorldStatus
from generia_assets.queries.worlds import world_status
from generia_assets.settings import Settings, settings
from resources.kafka.address import KafkaAddress
from resources.mongodb.connection import MongoDatabase, check_mongo, connect

ANSWER_S = 1.0
"""A server that does not answer within this time is unavailable: a person waits about two seconds in all."""


@dataclass(frozen=True)
class Addresses:
    """The servers of the generator. ``dagster_home`` None, ``code_server`` '': neither set nor running here."""

    mongodb_uri: str
    kafka: KafkaAddress
    dagster_home: Path | None
    code_server: str = ""


def is_set(settings: Settings, field: str) -> bool:
    """Whether this field is set, in the environment or in .env; an empty value sets nothing."""
    return field in settings.model_fields_set


def set_dagster_home() -> Path | None:
    """DAGSTER_HOME as the environment or .env sets it, or None. It is Dagster's setting, not one of ours."""
    home = os.environ.get("DAGSTER_HOME") or dotenv_values(ENV_FILE).get("DAGSTER_HOME")
    return Path(home).absolute() if home else None


def addresses(settings: Settings) -> Addresses:
    """The addresses for these settings."""
    dagster_home = set_dagster_home()
    mongodb_uri = settings.mongodb_uri.get_secret_value()
    kafka = KafkaAddress(settings, connect_s=ANSWER_S)
    code_server = settings.code_server
    running = running_generator(settings.generia_data_dir)
    if running is not None:
        if not is_set(settings, "mongodb_uri"):
            mongodb_uri = running.mongodb_uri
        if not is_set(settings, "kafka_bootstrap_servers"):
            known = {"kafka_bootstrap_servers": running.kafka_bootstrap_servers, "kafka_api_version": running.kafka_api_version}
            kafka = KafkaAddress(settings.model_copy(update=known), connect_s=ANSWER_S)
        dagster_home = dagster_home or Path(running.dagster_home)
        code_server = code_server or running.code_server
    return Addresses(mongodb_uri, kafka, dagster_home, code_server)


@contextmanager
def database_at(mongodb_uri: str, settings: Settings) -> Iterator[MongoDatabase]:
    """The generator's database there. Raises ``MongoUnavailableError``, whose message says how to start one, after ``ANSWER_S``."""
    with connect(mongodb_uri) as client:
        check_mongo(client, mongodb_uri, seconds=ANSWER_S)
        yield client[settings.mongodb_database]


CANDIDATES = 5
"""Worlds that are named where several match."""


@contextmanager
def open_database() -> Iterator[MongoDatabase]:
    """The generator's database, wherever it is now."""
    chosen = settings()
    with database_at(addresses(chosen).mongodb_uri, chosen) as database:
        yield database


def get_world(database: MongoDatabase, world: str) -> WorldStatus:
    """The status record of the world that is meant; its own id is ``world_id`` there.

    ``world``: an id (of a world from the launch form: its partition's name), the beginning of one id alone, or ``last``. Raises
    ``CommandError`` (exit status 2) where that is no world, or more than one.
    """
    found = _found(database, world)
    if found is None:
        raise _unknown(world)
    return found


def get_world_or_order(database: MongoDatabase, world: str) -> WorldStatus | None:
    """As ``get_world``; None for a UUID that MongoDB does not know: its order may still be in Kafka."""
    found = _found(database, world)
    if found is None:
        try:
            uuid.UUID(world)
        except ValueError:
            raise _unknown(world) from None
    return found


def _found(database: MongoDatabase, world: str) -> WorldStatus | None:
    if exactly := world_status(database, world):
        return exactly
    worlds = database[STATUS]
    if world == LAST:
        ids = [
            record["_id"]
            for record in worlds.find({"created_at": {"$type": "date"}}, {"_id": 1}).sort("created_at", DESCENDING).limit(1)
        ]
    else:
        beginning = {"_id": {"$regex": f"^{re.escape(world)}", "$options": "i"}}
        ids = [record["_id"] for record in worlds.find(beginning, {"_id": 1}).sort("_id", 1).limit(CANDIDATES + 1)]
    if len(ids) > 1:
        shown = ", ".join(ids[:CANDIDATES]) + (", …" if len(ids) > CANDIDATES else "")
        raise CommandError(f"world {safe_line(world, 80)}: more than one begins like this: {safe_line(shown)}", 2)
    return world_status(database, ids[0]) if ids else None


def _unknown(world: str) -> CommandError:
    if world == LAST:
        return CommandError(f"world {LAST}: nobody has ordered one here yet", 2)
    return CommandError(f"world {safe_line(world, 80)}: nobody ordered it here; `{command_name()} list` shows those that were", 2)
