"""The platform's services on the emulator, opened like in a run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from resources.platform.grpc_platform import GrpcPlatform, open_platform
from resources.settings import SERVICE_NAMES, PlatformSettings


def service_settings(grpc_address: str, **changes: object) -> PlatformSettings:
    """All four services at one address; tests that wait for the time-out set a shorter one."""
    fixed = dict.fromkeys(SERVICE_NAMES, grpc_address)
    return PlatformSettings.model_validate({"platform": "grpc", "platform_timeout_seconds": 30.0, **fixed, **changes})


@asynccontextmanager
async def services(settings: PlatformSettings) -> AsyncIterator[GrpcPlatform]:
    """The platform of these settings, closed at the end."""
    platform = open_platform(settings)
    try:
        yield platform
    finally:
        await platform.aclose()
