"""The addresses of the platform's services, from the settings and from Consul (the emulator)."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from emulators import lifecycle
from emulators.platform.client import PlatformControl
from resources.gateway.outcomes import TransientError
from resources.platform import addresses
from resources.platform.addresses import ServiceAddresses
from resources.settings import SERVICE_NAMES, PlatformSettings
from tests.support.platform_services import service_settings, services

NAMES = [name.replace("_", "-") for name in SERVICE_NAMES]


@pytest.fixture
def control(platform: tuple[str, str]) -> Iterator[PlatformControl]:
    with PlatformControl(platform[1]) as control:
        yield control


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(trust_env=False) as http:
        yield http


def by_consul(platform: tuple[str, str], http: httpx2.AsyncClient) -> ServiceAddresses:
    return ServiceAddresses(dict.fromkeys(NAMES, ""), platform[1].removeprefix("http://"), http)


async def test_consul_is_asked_again_only_if_its_answer_is_old_or_the_service_does_not_answer(platform, control, http, monkeypatch):
    """The first instance's address is used until the answer is too old, or the service does not answer there."""
    found = by_consul(platform, http)
    assert [await found.of(name) for name in (*NAMES, *NAMES)] == [platform[0]] * 8
    assert control.stats().calls["consul"] == 4
    found.forget("post-service")
    await found.of("post-service")
    assert control.stats().calls["consul"] == 5
    monkeypatch.setattr(addresses, "CACHED_SECONDS", 0.0)
    found = by_consul(platform, http)
    await found.of("post-service")
    await found.of("post-service")
    assert control.stats().calls["consul"] == 7


@pytest.mark.case("G3")
async def test_a_service_without_a_passing_instance_is_called_by_its_name(platform, control, http):
    """With the port of an instance that does not pass."""
    control.set_faults(rates={"no_instance": 1.0})
    port = platform[0].rpartition(":")[2]
    assert await by_consul(platform, http).of("media-service") == f"media-service:{port}"


async def test_a_consul_that_fails_is_an_outage_unless_an_address_is_known(platform, control, http):
    """The last address is used until Consul returns another."""
    found = by_consul(platform, http)
    await found.of("world-service")
    control.set_faults(rates={"consul_500": 1.0})
    with pytest.raises(TransientError, match="answered 500: No cluster leader"):
        await found.of("post-service")
    found.forget("world-service")
    assert await found.of("world-service") == platform[0]
    nobody = ServiceAddresses(dict.fromkeys(NAMES, ""), f"127.0.0.1:{lifecycle.free_port()}", http)
    with pytest.raises(TransientError, match="does not answer"):
        await nobody.of("post-service")


async def test_an_answer_that_is_not_a_list_of_instances_is_an_outage(platform, control, http):
    """Another server at Consul's address, and a service that Consul does not know, are named with the received answer."""
    with pytest.raises(TransientError, match="knows no instance of nobody"):
        await ServiceAddresses({"nobody": ""}, platform[1].removeprefix("http://"), http).of("nobody")
    with pytest.raises(TransientError, match="answered 404"):
        await ServiceAddresses({"x": ""}, f"{platform[1].removeprefix('http://')}/emulator", http).of("x")


async def test_a_service_that_moved_is_found_again(platform, control, http):
    """After an outage Consul is asked before the next call, so that the call reaches the new instance at once."""
    settings = PlatformSettings.model_validate(
        {"platform": "grpc", "consul_address": platform[1].removeprefix("http://"), "platform_timeout_seconds": 30.0}
    )
    world_id = str(uuid.uuid4())
    control.add_world(world_id)
    async with services(settings) as served:
        gone = f"127.0.0.1:{lifecycle.free_port()}"
        served._channels._addresses._found["character-service"] = gone, float("inf")
        create: dict[str, Any] = {"key": "k", "world_id": world_id, "display_name": "Ada", "meta": {}}
        with pytest.raises(TransientError):
            await served.create_character(**create)
        assert await served.create_character(**create)


def test_services_without_an_address_are_named():
    """With PLATFORM=grpc each service has an address, or Consul is there to ask."""
    with pytest.raises(ValidationError, match="PLATFORM=grpc needs the addresses MEDIA_SERVICE, or CONSUL_ADDRESS"):
        service_settings("127.0.0.1:1", media_service="")
    with pytest.raises(ValidationError, match="must be host:port"):
        service_settings("http://127.0.0.1:1")
    assert service_settings("127.0.0.1:1", media_service="", consul_address="consul:8500").service_addresses["media-service"] == ""
    assert PlatformSettings().platform == "local"
