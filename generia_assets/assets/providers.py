"""The external APIs of a run: the API gateway with its limiters and breakers, the model, the image API, the platform.

Here: how a run builds them from the settings. Not here: the clients (resources/) and how a task calls them (durable/calls).
"""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress

from pymongo.errors import PyMongoError

from generia_assets.durable.calls.api_status import BreakerStatusStore, is_trusted, name_of, trust
from generia_assets.durable.calls.task_calls import Providers
from generia_assets.durable.collections import FLEET
from generia_assets.settings import Settings
from resources.gateway.api_gateway import Api, ApiGateway, ApiPolicy
from resources.gateway.breaker import Breaker
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gemini.client import GeminiClient
from resources.gemini.model_resolver import ModelResolver
from resources.images import open_images
from resources.mongodb.connection import AsyncMongoDatabase
from resources.platform.local import LocalPlatform


async def open_providers(settings: Settings, database: AsyncMongoDatabase, run_id: str, stack: AsyncExitStack) -> Providers:
    """Open everything that this run calls, on the running event loop.

    Args:
        settings: Addresses, keys, limits, time-outs.
        database: The generator's database: leases, breakers, models (collection ``fleet``).
        run_id: The run that reports the state of its breakers.
        stack: Closes what is opened here, in the reverse order.

    Raises:
        FatalCallError: A provider cannot be made of these settings. The message names the setting.
    """
    key = settings.gemini_api_key.get_secret_value()
    gemini = GeminiClient(api_key=key, base_url=settings.gemini_base_url, timeout_seconds=settings.gemini_timeout_seconds)
    stack.push_async_callback(gemini.aclose)
    images = open_images(settings)
    stack.push_async_callback(images.aclose)
    platform = LocalPlatform(database.client[settings.platform_database], settings.media_dir)
    await platform.ensure_indexes()
    fleet = database[FLEET]
    breakers = BreakerStatusStore(fleet, run_id, lease_seconds=settings.slot_lease_seconds)
    stack.push_async_callback(breakers.aclose)
    limits = {Api.LLM: settings.llm_concurrency, Api.IMAGE: settings.image_concurrency, Api.PLATFORM: settings.platform_concurrency}
    policies = {
        api: ApiPolicy(
            ConcurrencyLimiter(fleet, api.value, limit=limit, lease_seconds=settings.slot_lease_seconds),
            Breaker(api.value, settings, breakers.breaker(api)),
        )
        for api, limit in limits.items()
    }
    names = {
        Api.LLM: name_of(Api.LLM, settings.gemini_base_url, key),
        Api.IMAGE: name_of(Api.IMAGE, settings.image_provider),  # it reads its own address and key
    }
    for api, name in names.items():
        policies[api].tally.trusted = await is_trusted(fleet, name)

    async def note_trust() -> None:
        with suppress(PyMongoError):  # a later run notes it
            for api, name in names.items():
                if policies[api].tally.answered:  # also when it was trusted before: trust ends a month after the last answer
                    await trust(fleet, name)

    stack.push_async_callback(note_trust)
    gateway = ApiGateway(policies, patience_seconds=settings.patience_seconds)
    stack.push_async_callback(gateway.aclose)
    timeouts = {
        Api.LLM: settings.gemini_timeout_seconds,
        Api.IMAGE: settings.image_timeout_seconds,
        Api.PLATFORM: settings.platform_timeout_seconds,
    }
    resolver = ModelResolver(settings.gemini_model, fleet)
    return Providers(gateway, gemini, resolver, images, platform, timeouts, settings.gemini_max_reasks, settings.patience_seconds)
