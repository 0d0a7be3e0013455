"""The gateway of calls with real slots and a real breaker."""

import pytest

from resources.gateway.api_gateway import ApiGateway, ApiPolicy
from resources.gateway.breaker import Breaker
from resources.gateway.calls import Api
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.mongodb.connection import connect_async
from resources.settings import GatewaySettings
from tests.support.gateway_calls import RecordingLedger


@pytest.fixture
def ledger():
    return RecordingLedger()


@pytest.fixture
async def slots(mongodb_uri, mongo_database_name):
    async with connect_async(mongodb_uri) as client:
        made = ConcurrencyLimiter(client[mongo_database_name].fleet, "llm", limit=4, lease_seconds=30)
        yield made
        await made.aclose()


@pytest.fixture
def breaker():
    config = GatewaySettings(
        breaker_failure_rate=1.0,
        breaker_window_calls=10,
        breaker_minimum_calls=10,
        breaker_open_seconds=0.1,
        breaker_open_max_seconds=0.2,
    )
    return Breaker("llm", config, lambda state, probe_in: None)


@pytest.fixture
async def gateway(slots, breaker):
    made = ApiGateway({Api.LLM: ApiPolicy(slots, breaker)}, patience_seconds=60)
    yield made
    await made.aclose()
