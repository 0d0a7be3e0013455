"""Where the platform's services are: at a fixed address, or where Consul says."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Mapping

import httpx2
from pydantic import AliasPath, BaseModel, Field, TypeAdapter, ValidationError

from resources.gateway.outcomes import TransientError
from resources.redaction import kept_line

logger = logging.getLogger(__name__)

CACHED_SECONDS = 30.0
CONSUL_SECONDS = 5.0


class _Instance(BaseModel):
    address: str = Field("", validation_alias=AliasPath("Service", "Address"))
    port: int = Field(validation_alias=AliasPath("Service", "Port"), gt=0, lt=65_536)


_INSTANCES = TypeAdapter(list[_Instance])


class ServiceAddresses:
    """The addresses of the services, by Consul's names. The HTTP client belongs to the caller."""

    def __init__(self, fixed: Mapping[str, str], consul: str, http: httpx2.AsyncClient) -> None:
        """``fixed``: ``host:port`` by name, '' where Consul is asked. ``consul``: ``host:port`` of its HTTP API."""
        self._fixed = fixed
        self._consul = consul
        self._http = http
        self._found: dict[str, tuple[str, float]] = {}
        """Addresses that Consul gave, and until when they are not asked for again."""
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def of(self, service: str) -> str:
        """``host:port`` of the service. Raises ``TransientError`` where Consul does not know it."""
        if fixed := self._fixed[service]:
            return fixed
        async with self._asking[service]:
            address, until = self._found.get(service, ("", 0.0))
            if time.monotonic() >= until:
                try:
                    address = await self._ask(service)
                except TransientError as error:
                    if not address:
                        raise
                    logger.warning("%s; %s is called at its former address, %s", error, service, address)
                self._found[service] = address, time.monotonic() + CACHED_SECONDS
            return address

    def forget(self, service: str) -> None:
        """The service did not answer at its address: Consul is asked again before the next call."""
        if service in self._found:
            self._found[service] = self._found[service][0], 0.0

    async def _ask(self, service: str) -> str:
        passing = await self._instances(service, {"passing": "true"})
        if passing:
            return _joined(passing[0].address or service, passing[0].port)
        registered = await self._instances(service, {})
        if not registered:
            raise TransientError(f"Consul at {self._consul} knows no instance of {service}: start it, or set its address")
        logger.warning("Consul knows no passing instance of %s: it is called by its name", service)
        return _joined(service, registered[0].port)

    async def _instances(self, service: str, query: Mapping[str, str]) -> list[_Instance]:
        url = f"http://{self._consul}/v1/health/service/{service}"
        try:
            answer = await self._http.get(url, params=dict(query), timeout=CONSUL_SECONDS)
        except httpx2.HTTPError as error:
            raise TransientError(f"Consul at {self._consul} does not answer ({type(error).__name__}: {error})") from error
        if answer.status_code != httpx2.codes.OK:
            raise TransientError(f"Consul at {self._consul} answered {answer.status_code}: {kept_line(answer.text, 300)}")
        try:
            return _INSTANCES.validate_json(answer.content)
        except ValidationError as error:
            what = f"Consul at {self._consul} answered something else than instances of {service}"
            raise TransientError(f"{what}: {kept_line(answer.text, 300)}") from error


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
