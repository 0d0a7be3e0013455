"""Gemini, the image API and the platform as Dagster resources: each opens its provider, behind its limit of calls at once.

Plain objects without a config schema: a run's form would hide its one field behind them, and a secret that is not config appears in
no form, event or document.
"""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from pymongo.asynchronous.collection import AsyncCollection

from resources.gateway.api_gateway import ApiPolicy
from resources.gateway.breaker import Breaker, BreakerState
from resources.gateway.calls import Api
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gateway.deadlines import Deadlines
from resources.gemini.client import GeminiClient
from resources.gemini.model_resolver import ModelResolver
from resources.gemini.tiers import flex_at_once
from resources.images import ImageGenerator, open_images
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument
from resources.platform.local import LocalPlatform
from resources.platform.protocol import Platform
from resources.settings import GEMINI, GatewaySettings, GeminiSettings, ImageSettings, PlatformSettings


class ApiResource:
    """An external API.

    Attributes:
        api: Which one.
        limit: Calls at once over all runs and machines (R17).
        timeout_seconds: Of one call.
        identity: What the API knows this installation by: address, key, class. Holds secrets.
    """

    api: ClassVar[Api]

    def __init__(self, limit: int, timeout_seconds: float, gateway: GatewaySettings, *identity: str) -> None:
        self.limit = limit
        self.timeout_seconds = timeout_seconds
        self.identity = identity
        self._gateway = gateway

    def _limiter(self, fleet: AsyncCollection[MongoDocument], kind: str, limit: int, run_id: str) -> ConcurrencyLimiter:
        holder = f"{run_id}:{uuid.uuid4().hex}"  # a run that is delivered twice is two processes
        return ConcurrencyLimiter(fleet, kind, limit=limit, lease_seconds=self._gateway.slot_lease_seconds, holder=holder)

    def policy(
        self, fleet: AsyncCollection[MongoDocument], on_breaker: Callable[[BreakerState, float], None], run_id: str = ""
    ) -> ApiPolicy:
        """The limiter, shared by the fleet, and one run's breaker, which reports its state and the seconds until its next probe."""
        return ApiPolicy(
            self._limiter(fleet, self.api.value, self.limit, run_id),
            Breaker(self.api.value, self._gateway, on_breaker),
            deadlines=None if self.api is Api.PLATFORM else Deadlines(),
        )


class GeminiResource(ApiResource):
    """The language model."""

    api = Api.LLM

    def __init__(self, settings: GeminiSettings, gateway: GatewaySettings) -> None:
        self._key = settings.gemini_api_key.get_secret_value()
        self._settings = settings
        self.flex_timeout_seconds = settings.gemini_flex_timeout_seconds
        super().__init__(gateway.llm_concurrency, settings.gemini_timeout_seconds, gateway, settings.gemini_base_url, self._key)

    def policy(
        self, fleet: AsyncCollection[MongoDocument], on_breaker: Callable[[BreakerState, float], None], run_id: str = ""
    ) -> ApiPolicy:
        """As of every API. Calls at flex take slots of both limiters, so that some of the API's stay free of slow calls.

        The breaker of flex is logged, and not shown as the API's: the API answers.
        """
        api = super().policy(fleet, on_breaker, run_id)
        limiter = self._limiter(fleet, f"{self.api}:flex", flex_at_once(self.limit), run_id)
        breaker = Breaker(f"{self.api} at flex", self._gateway, lambda state, probe_in: None)
        return replace(api, flex=ApiPolicy(limiter, breaker, within=api.limiter))

    def open(self) -> GeminiClient:
        return GeminiClient(
            api_key=self._key,
            base_url=self._settings.gemini_base_url,
            timeout_seconds=self.timeout_seconds,
            flex_timeout_seconds=self.flex_timeout_seconds,
        )

    def resolver(self, fleet: AsyncCollection[MongoDocument]) -> ModelResolver:
        """Which model is asked, with what the fleet knows of models that are gone."""
        return ModelResolver(self._settings.gemini_model, fleet)


class ImagesResource(ApiResource):
    """The image API that IMAGE_PROVIDER names."""

    api = Api.IMAGE

    def __init__(self, settings: ImageSettings, gemini: GeminiSettings, gateway: GatewaySettings) -> None:
        self._settings = settings
        self._gemini = gemini
        identity = [settings.image_provider]  # a class has an address and a key of its own, which nobody else knows
        if settings.image_provider == GEMINI:
            identity += [gemini.gemini_base_url, gemini.gemini_api_key.get_secret_value()]
        super().__init__(gateway.image_concurrency, settings.image_timeout_seconds, gateway, *identity)

    def open(self) -> ImageGenerator:
        """A generator on the running event loop; close it there. Raises ``FatalCallError`` where it cannot be made."""
        return open_images(self._settings, self._gemini)


class PlatformResource(ApiResource):
    """The platform: its services over gRPC, or their local fake."""

    api = Api.PLATFORM

    def __init__(self, settings: PlatformSettings, gateway: GatewaySettings) -> None:
        self._settings = settings
        identity = () if settings.platform == "local" else (settings.consul_address, *settings.service_addresses.values())
        super().__init__(gateway.platform_concurrency, settings.platform_timeout_seconds, gateway, *identity)

    async def open(self, database: AsyncMongoDatabase) -> Platform:
        """The platform on the running event loop, the local one through the client of this database; close it there."""
        if self._settings.platform == "grpc":
            from resources.platform.grpc_platform import open_platform  # with gRPC, for which other runs do not wait

            return open_platform(self._settings)
        platform = LocalPlatform(database.client[self._settings.platform_database], self._settings.media_dir)
        await platform.ensure_indexes()
        return platform
