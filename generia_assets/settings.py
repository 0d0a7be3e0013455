"""Every setting of the generator, as one typed object read from the environment and ``.env`` (R19).

Here: where settings come from, and those of the generator itself; those of external systems are inherited (resources/settings.py).
Not here: secrets' values (they come from the environment alone, and never from a file).
The environment wins over ``.env``. An empty value means "not set". A wrong value is refused when the process starts, with the
variable's name, the value and what is allowed. `make reference` writes ``.env`` and docs/settings.md from this file.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from resources.explanation import reason_of
from resources.kafka.settings import KafkaSettings
from resources.settings import GatewaySettings, GeminiSettings, ImageSettings, MongoSettings, PlatformSettings, Seconds

URLS = ("MONGODB_URI", "CELERY_BROKER_URL", "DAGSTER_POSTGRES_URL")
"""Variables whose values may have a password in them: that is masked in messages."""
SECRETS = ("GEMINI_API_KEY", "KAFKA_SASL_PASSWORD", "KAFKA_OAUTH_CLIENT_SECRET", "KAFKA_SSL_KEY_PASSWORD")
"""Variables whose values are secrets: refused in ``.env``, masked in messages."""

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[?[0-9a-fA-F:]*:[0-9a-fA-F:.]*\]?")
_BROKER = re.compile(r"(amqps?|rediss?)://\S+")
_POSTGRES = re.compile(r"postgresql\+psycopg2://[^@/\s]+@[^@/\s]+/\S+")
_PASSWORD = re.compile(r"://[^\s/@]*:[^\s/@]+@")


def _start(start: str) -> str:
    with suppress(ValueError):
        if start in ("installation", "earliest", "latest") or datetime.fromisoformat(start).tzinfo is not None:
            return start
    raise ValueError("must be installation, earliest, latest, or a time by RFC 3339 such as 2026-03-01T12:00:00Z")


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


class SensorSettings(BaseModel):
    """Orders: the sensor and the limits. R3."""

    kafka_start: Annotated[str, AfterValidator(_start)] = Field(
        "installation",
        description="where the first start begins to read orders: installation (10 minutes before that start), latest, earliest, "
        "or a time such as 2026-03-01T12:00:00Z",
    )
    sensor_poll_seconds: Seconds = Field(4.7, le=25, description="longest wait for a message within a tick of the sensor")
    sensor_max_records: int = Field(100, ge=1, le=10_000, description="messages that one tick reads")
    sensor_max_queued_runs: int = Field(
        50,
        ge=1,
        description="runs in Dagster's queue above which new worlds wait in MongoDB. Worlds with a priority above 0 do not wait "
        "(docs/operating.md#priorities)",
    )
    max_users: int = Field(100_000, ge=1, description="largest number of people in an order")
    max_posts: int = Field(1_000_000, ge=0, description="largest number of posts in an order")


class BudgetSettings(BaseModel):
    """Budget. R13."""

    budget_spare: float = Field(0.25, ge=0, le=10, description="share that is added to the computed number of calls")
    max_cost_usd: float | None = Field(
        None, gt=0, description="limit of a world, US dollars. An order can set its own. Empty: no limit"
    )


class RecoverySettings(BaseModel):
    """Runs, recovery and storage time."""

    task_concurrency: int | None = Field(
        None, ge=1, le=10_000, description="tasks at once in one process. Empty: four for each call of texts and pictures, so 100"
    )
    world_lease_seconds: Seconds = Field(15.0, description="a run that is silent for this long loses its world")
    max_takeovers: int = Field(10, ge=0, description="how often a world is resumed after crashes before it fails")
    outage_retry_seconds: Seconds = Field(60.0, description="interval at which a world that an outage suspended is tried again")
    history_ttl_days: int = Field(30, ge=1, description="days for which requests and answers are kept (api_requests_history)")
    retire_after_days: int = Field(
        0,
        ge=0,
        description="days after which a finished world leaves Dagster; its documents stay. 0: never "
        "(docs/operating.md#remove-worlds)",
    )


class PagesSettings(BaseModel):
    """Pages."""

    pages_url: str = Field(
        "http://127.0.0.1:3001",
        pattern=r"^https?://[^/?#\s]+(/[^?#\s]*[^/?#\s])?$",
        description="address of the worlds' pages, without / at its end. Dagster's pages and shared links lead there",
    )
    source_url: str = Field(
        "",
        pattern=r"^(https?://[^?#\s]+[^/?#\s])?$",
        description="address of the source, such as https://git.example.org/generia/blob/main. Assets in Dagster's pages link "
        "there. Empty: they link to the files of this machine",
    )
    allowed_hosts: Annotated[str, AfterValidator(_hosts)] = Field(
        "",
        description="host names, separated by commas, by which browsers may ask for the pages, beside loopback and the host of "
        "PAGES_URL (docs/security.md)",
    )


class FleetSettings(BaseModel):
    """Many machines. See docs/scaling.md."""

    celery_broker_url: Annotated[SecretStr, AfterValidator(_broker_url)] = Field(
        SecretStr(""),
        description="broker between Dagster's daemon and the workers, amqp://host:5672// or redis://host. Empty: runs on one "
        "machine (docs/scaling.md)",
    )
    dagster_postgres_url: Annotated[SecretStr, AfterValidator(_postgres_url)] = Field(
        SecretStr(""),
        description="storage of Dagster in PostgreSQL, postgresql+psycopg2://host/database. Needed with CELERY_BROKER_URL. "
        "Empty: SQLite",
    )


class MachineSettings(BaseModel):
    """Processes of this machine."""

    code_server: str = Field(
        "",
        pattern=r"^([^\s:/]+:\d+)?$",
        description="address of Dagster's code server, host:port, for doctor and metrics. Empty: the one of `make dev`",
    )
    code_server_stuck_seconds: Seconds = Field(
        40.0, description="a code server that does not answer, or starts no run, for this long is replaced"
    )
    generia_cold_start: bool = Field(
        False, description="with 1, runs start as Dagster starts them, a second or two later. To measure, or to find a fault"
    )
    mongod_binary: Path | None = Field(
        None, description="mongod that `make demo` and `make dev` start. Empty: the one on PATH, else that of the package"
    )
    generia_kafka_libs: Path | None = Field(
        None, description="folder of Apache Kafka's jars, for the tests. Empty: ~/.cache/generia/kafka-libs, which Maven fills"
    )
    log_level: str = Field(
        "INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="least level that is logged: DEBUG (every call and claim), INFO, WARNING or ERROR",
    )


class Settings(
    MongoSettings,
    KafkaSettings,
    GeminiSettings,
    ImageSettings,
    PlatformSettings,
    GatewaySettings,
    SensorSettings,
    BudgetSettings,
    RecoverySettings,
    PagesSettings,
    FleetSettings,
    MachineSettings,
    BaseSettings,
):
    """The generator's settings. Field names in capitals are the variables' names. Each base is a section of docs/settings.md."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    @property
    def tasks_at_once(self) -> int:
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
