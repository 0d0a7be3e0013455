"""The settings of external systems: addresses, secrets, limits and time-outs, one model for each resource.

Field names in capitals are the names of the environment's variables. ``generia_assets.settings.Settings`` inherits these models, so
that the one object can be passed to each resource. The first sentence of a model's docstring is its title in docs/settings.md.
"""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationInfo

from resources.gemini.tiers import ServiceTier

DEFAULT_MONGODB_URI = "mongodb://127.0.0.1:27017/?directConnection=true"

SHORTEST_DEADLINE_SECONDS = 10.0
LONGEST_DEADLINE_SECONDS = 3600.0
"""Of one call to Gemini, which gets it as a header (X-Server-Timeout)."""

_MONGODB_URI = re.compile(r"mongodb(\+srv)?://([^@/\s]+@)?[^@/\s,]+(,[^@/\s,]+)*(/\S*)?")
_HOST_AND_PORT = re.compile(r"([^\s,:/@\[\]]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})")

SERVICE_NAMES = ("character_service", "media_service", "post_service", "world_service")
"""The platform's services by their settings; Consul knows them by the same names with ``-``."""

STUB, GEMINI = "stub", "gemini"
"""The image providers that have a name of their own."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")

Seconds = Annotated[float, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, le=1)]
Concurrency = Annotated[int, Field(ge=1, le=1000)]


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine by a loopback name or address."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def spare_loopback() -> None:
    """Add the loopback addresses to NO_PROXY, which requests, urllib, httpx and gRPC (Dagster's code servers) obey."""
    for variable in ("NO_PROXY", "no_proxy"):
        listed = [entry.strip() for entry in os.environ.get(variable, "").split(",") if entry.strip()]
        if "*" not in listed:
            os.environ[variable] = ",".join(dict.fromkeys((*listed, *_LOOPBACK)))


def _mongodb_uri(uri: SecretStr) -> SecretStr:
    if not _MONGODB_URI.fullmatch(uri.get_secret_value()):
        raise ValueError(
            "must be mongodb://[user:password@]host[:port][,…][/?options] or mongodb+srv://…, with @, : and / of a password "
            "written as %40, %3A and %2F"
        )
    return uri


def is_host_and_port(address: str) -> bool:
    found = _HOST_AND_PORT.fullmatch(address)
    return found is not None and 0 < int(found[2]) < 65_536


def _service(address: str) -> str:
    if address and not is_host_and_port(address):
        raise ValueError("must be host:port")
    return address


_Service = Annotated[str, AfterValidator(_service)]


def _consul(address: str, info: ValidationInfo) -> str:
    lacking = [name.upper() for name in SERVICE_NAMES if not info.data.get(name)]
    if info.data.get("platform") == "grpc" and lacking and not address:
        raise ValueError(f"PLATFORM=grpc needs the addresses {', '.join(lacking)}, or CONSUL_ADDRESS to find them")
    return _service(address)


def _gemini_key(key: SecretStr) -> SecretStr:
    value = key.get_secret_value()
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("holds a space or a character that no key has: copy it again")
    return key


def _gemini_model(model: str) -> str:
    from resources.gemini.models import model_profiles

    if model not in model_profiles():
        raise ValueError(f"must be one of {', '.join(model_profiles())}, or be given a profile in resources/gemini/models.yaml")
    return model


def _gemini_timeout(seconds: float, info: ValidationInfo) -> float:
    key, address = info.data.get("gemini_api_key"), info.data.get("gemini_base_url", "")
    if seconds < SHORTEST_DEADLINE_SECONDS and (address or (key and key.get_secret_value())) and not is_loopback(address):
        raise ValueError(
            f"must be {SHORTEST_DEADLINE_SECONDS:.0f} to {LONGEST_DEADLINE_SECONDS:.0f}: Google refuses a shorter deadline "
            "(an emulator on this machine does not)"
        )
    return seconds


def _image_provider(name: str) -> str:
    if name not in (STUB, GEMINI):
        from resources.images import provider_class  # with Pillow, for which commands need not wait

        provider_class(name)
    return name


def _image_model(model: str) -> str:
    from resources.gemini.image_models import image_models

    if model not in image_models():
        raise ValueError(f"must be one of {', '.join(image_models())}, or stand in resources/gemini/image_models.yaml")
    return model


class MongoSettings(BaseModel, frozen=True):
    """MongoDB."""

    mongodb_uri: Annotated[SecretStr, AfterValidator(_mongodb_uri)] = Field(
        SecretStr(DEFAULT_MONGODB_URI), description="address of MongoDB, which must be a replica set; one node is enough"
    )
    mongodb_database: str = Field("generia_ai_worker", description="database of tasks, status and worlds")


class GeminiSettings(BaseModel, frozen=True):
    """Texts: the Gemini API."""

    gemini_api_key: Annotated[SecretStr, AfterValidator(_gemini_key)] = Field(
        SecretStr(""), description="key of Google's API. Without a key, `make demo` and `make dev` start the emulator"
    )
    gemini_base_url: str = Field(
        "", pattern=r"^(https?://.+)?$", description="address of the API. Empty: Google's; else an emulator or a gateway"
    )
    gemini_model: Annotated[str, AfterValidator(_gemini_model)] = Field(
        "gemini-2.5-flash",
        description="model of texts, a profile of resources/gemini/models.yaml. After its end its successor is "
        "used (docs/models.md)",
    )
    gemini_timeout_seconds: Annotated[float, AfterValidator(_gemini_timeout)] = Field(
        120.0, gt=0, le=LONGEST_DEADLINE_SECONDS, description="time-out of one call. Google refuses less than 10"
    )
    gemini_flex_timeout_seconds: float = Field(
        900.0, gt=0, le=LONGEST_DEADLINE_SECONDS, description="time-out of one call at the service tier flex"
    )
    service_tier: ServiceTier = Field(
        ServiceTier.STANDARD,
        description="service tier of worlds whose order has none: standard; flex, half the price and slow; "
        "priority, 1.8 times the price; "
        "economy, flex after the first posts (docs/operating.md#service-tiers)",
    )
    gemini_max_reasks: int = Field(
        5, ge=0, le=20, description="how often the generator asks again for a damaged answer, within one attempt"
    )


class ImageSettings(BaseModel, frozen=True):
    """Pictures. What begins with ``image_stub`` is for the stub alone."""

    image_provider: Annotated[str, AfterValidator(_image_provider)] = Field(
        STUB,
        description="who makes pictures: stub draws them and costs nothing; gemini is Google's API, with the "
        "key of texts; module:Class is a "
        "class of yours, such as docs/image_provider.py (docs/operating.md#pictures)",
    )
    image_model: Annotated[str, AfterValidator(_image_model)] = Field(
        "gemini-3.1-flash-lite-image", description="model of IMAGE_PROVIDER=gemini, a profile of resources/gemini/image_models.yaml"
    )
    image_stub_latency_seconds: float = Field(0.0, ge=0, description="time that the stub takes for a picture")
    image_stub_cost_usd: float = Field(0.0, ge=0, description="price of a picture of the stub, US dollars")
    image_stub_refused_words: str = Field("", description="words, separated by commas, that the stub refuses, as moderation would")
    image_timeout_seconds: Seconds = Field(60.0, description="time-out of one picture. Google refuses less than 10")


class PlatformSettings(BaseModel, frozen=True):
    """The platform, and files on this machine. The local fake has media in a folder and records in a database of its own."""

    platform: Literal["local", "grpc"] = Field(
        "local",
        description="local is the fake on this machine, grpc the platform's services (docs/operating.md#the-platform-over-grpc)",
    )
    character_service: _Service = Field("", description="address of the character service, host:port. Empty: Consul is asked")
    media_service: _Service = Field("", description="address of the media service, host:port. Empty: Consul is asked")
    post_service: _Service = Field("", description="address of the post service, host:port. Empty: Consul is asked")
    world_service: _Service = Field("", description="address of the world service, host:port. Empty: Consul is asked")
    consul_address: Annotated[str, AfterValidator(_consul)] = Field(
        "", validate_default=True, description="address of Consul's HTTP API, host:port"
    )
    platform_database: str = Field("generia_platform", description="database of the local fake of the platform")
    generia_data_dir: Path = Field(Path(".generia"), description="folder of pictures, logs, and the data of embedded servers")
    platform_timeout_seconds: Seconds = Field(
        30.0, description="deadline of one call; of an upload, for its three requests together"
    )

    @property
    def service_addresses(self) -> dict[str, str]:
        """The fixed address of each service, by Consul's name of it; '' where Consul is asked."""
        return {name.replace("_", "-"): getattr(self, name) for name in SERVICE_NAMES}

    @property
    def media_dir(self) -> Path:
        return self.generia_data_dir / "media"

    @property
    def pending_dir(self) -> Path:
        return self.generia_data_dir / "pending"


class GatewaySettings(BaseModel, frozen=True):
    """Limits of calls, circuit breakers, outages. The limits are of every call (R17); each API has a breaker (R9)."""

    llm_concurrency: Concurrency = Field(15, description="calls of texts at once, over all runs and machines")
    image_concurrency: Concurrency = Field(10, description="calls of pictures at once, over all runs and machines")
    platform_concurrency: Concurrency = Field(20, description="calls to the platform at once, over all runs and machines")
    slot_lease_seconds: Seconds = Field(15.0, description="a process that is silent for this long loses its slots")

    breaker_failure_rate: Rate = Field(0.5, description="share of failed calls that opens a circuit breaker")
    breaker_window_calls: int = Field(20, ge=1, description="number of last calls that the share is computed over")
    breaker_minimum_calls: int = Field(5, ge=1, description="number of calls before the share counts")
    breaker_open_seconds: Seconds = Field(2.0, description="first wait before a probe. Each failed probe doubles it")
    breaker_open_max_seconds: Seconds = Field(60.0, description="longest wait before a probe")
    patience_seconds: Seconds = Field(900.0, description="how long a run waits for an API before it suspends the world")

    @property
    def calls_at_once(self) -> int:
        """Calls for texts and pictures, over all runs and machines."""
        return self.llm_concurrency + self.image_concurrency
