"""Which MongoDB and which Kafka a command talks to.

Here: what is set (environment or .env) stands; else what a running `generia dev` or `generia demo` of this folder has started; else
the usual addresses. Not here: starting anything (parts.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from generia_assets.cli.home import ENV_FILE, running
from generia_assets.settings import Settings
from resources.kafka.address import KafkaAddress
from resources.mongodb.connection import MongoDatabase, check_mongo, connect

ANSWER_S = 1.0
"""A server that does not answer a command within this is away: whoever typed it waits about two seconds in all."""


@dataclass(frozen=True)
class Addresses:
    """Where the generator's world is. ``dagster_home`` None, ``code_server`` '': neither set nor running here."""

    mongodb_uri: str
    kafka: KafkaAddress
    dagster_home: Path | None
    code_server: str = ""


def is_set(settings: Settings, field: str) -> bool:
    """Whether somebody set this field, in the environment or in .env; an empty value sets nothing."""
    return field in settings.model_fields_set


def set_dagster_home() -> Path | None:
    """The DAGSTER_HOME that somebody set, in the environment or in .env, or None. It is Dagster's setting, not one of ours."""
    home = os.environ.get("DAGSTER_HOME") or dotenv_values(ENV_FILE).get("DAGSTER_HOME")
    return Path(home).absolute() if home else None


def addresses(settings: Settings) -> Addresses:
    """The addresses for these settings."""
    dagster_home = set_dagster_home()
    mongodb_uri = settings.mongodb_uri.get_secret_value()
    kafka = KafkaAddress(settings.kafka_bootstrap_servers, settings.kafka_api_version, connect_s=ANSWER_S)
    code_server = settings.code_server
    parts = running(settings.generia_data_dir)
    if parts is not None:
        if not is_set(settings, "mongodb_uri"):
            mongodb_uri = parts.mongodb_uri
        if not is_set(settings, "kafka_bootstrap_servers"):
            kafka = KafkaAddress(parts.kafka_bootstrap_servers, parts.kafka_api_version, connect_s=ANSWER_S)
        dagster_home = dagster_home or Path(parts.dagster_home)
        code_server = code_server or parts.code_server
    return Addresses(mongodb_uri, kafka, dagster_home, code_server)


@contextmanager
def database_at(mongodb_uri: str, settings: Settings) -> Iterator[MongoDatabase]:
    """The generator's database there. Raises ``MongoUnavailableError``, whose message says how to start one, soon."""
    with connect(mongodb_uri) as client:
        check_mongo(client, mongodb_uri, seconds=ANSWER_S)
        yield client[settings.mongodb_database]
