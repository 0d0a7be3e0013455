"""The providers as Dagster resources: thin, with nothing secret in their config, each giving a plain object that needs no Dagster.

Here: Gemini, the image API (the stub, or the class that IMAGE_PROVIDER names: images.py) and the local platform.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from pydantic import Field

from resources.gemini.client import GeminiClient
from resources.gemini.model_resolver import ModelResolver
from resources.images.provider import STUB, ImageGenerator, open_provider
from resources.mongodb.connection import AsyncMongoDatabase
from resources.platform.local import LocalPlatform
from resources.platform.protocol import Platform


class GeminiResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic only for its own base
    """The language model. ``api_key`` is given as ``EnvVar``, so that no launchpad, event or document can show it."""

    api_key: str
    base_url: str = Field("", description="'' = Google's address; else an emulator or a gateway")
    model: str = Field(description="id of a profile in resources/gemini/models.yaml")
    timeout_seconds: float = Field(description="time-out of one call")
    max_reasks: int = Field(description="times a damaged answer is asked again within one attempt")

    def open(self) -> GeminiClient:
        """A client on the running event loop; close it there."""
        return GeminiClient(api_key=self.api_key, base_url=self.base_url, timeout_seconds=self.timeout_seconds)

    def roster(self, database: AsyncMongoDatabase, collection: str) -> ModelResolver:
        """Which model is asked, with the fleet's knowledge of those that are gone."""
        return ModelResolver(self.model, database[collection])


class ImagesResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The image API: the class that ``provider`` names, or the stub that draws."""

    provider: str = Field("", description="module:Class of an image provider; '' = the stub")
    latency_seconds: float = Field(0.0, description="pretended latency of a picture")
    cost_usd: float = Field(0.0, description="pretended price of a picture in US dollars")
    refused_words: str = Field("", description="comma separated; a prompt with one of these words is refused")
    timeout_seconds: float = Field(description="time-out of one call")

    def open(self) -> ImageGenerator:
        """A generator on the running event loop; close it there. Raises ``FatalCallError`` where a provider cannot be made."""
        if self.provider:
            return open_provider(self.provider)
        words = [word.strip() for word in self.refused_words.split(",") if word.strip()]
        return open_provider(STUB, latency_seconds=self.latency_seconds, cost_usd=self.cost_usd, refused_words=words)


class PlatformResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The platform's services: for now their local stand-in, media in a folder and records in a database of its own."""

    database: str = Field(description="database of the stand-in's records")
    media_dir: str = Field(description="folder of the pictures")
    timeout_seconds: float = Field(description="time-out of one call")

    async def open(self, database: AsyncMongoDatabase) -> Platform:
        """The platform on the running event loop, through the client of this database; close it there."""
        platform = LocalPlatform(database.client[self.database], Path(self.media_dir))
        await platform.ensure_indexes()
        return platform
