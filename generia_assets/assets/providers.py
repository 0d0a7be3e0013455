"""A run's calls: the API gateway over the resources Gemini, images and platform, opened on the run's event loop.

Not here: which settings decide about an API (resources/providers.py), and how a task calls them (durable/calls).
"""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from generia_assets.durable.calls.api_status import BreakerStatusStore, latest_answers, name_of, trust
from generia_assets.durable.calls.task_calls import Providers
from generia_assets.durable.collections import FLEET
from generia_assets.settings import Settings
from resources.gateway.api_gateway import ApiGateway
from resources.gateway.calls import Api
from resources.mongodb.connection import AsyncMongoDatabase
from resources.providers import GeminiResource, ImagesResource, PlatformResource

API_RESOURCES = ("gemini", "images", "platform")
"""The names of the resources, by which a run's form and Dagster's pages know them."""


@dataclass(frozen=True)
class ApiResources:
    """The APIs that a run calls."""

    gemini: GeminiResource
    images: ImagesResource
    platform: PlatformResource

    async def open(self, settings: Settings, database: AsyncMongoDatabase, run_id: str, stack: AsyncExitStack) -> Providers:
        """Open everything that this run calls, on the running event loop.

        Args:
            settings: How often and how long a call is tried.
            database: The generator's database: leases, breakers, models (collection ``fleet``).
            run_id: The run under whose name the state of its breakers is shown.
            stack: Closes what is opened here, in the reverse order.

        Raises:
            FatalCallError: A provider cannot be made of these settings. The message names the setting.
        """
        client = self.gemini.open()
        stack.push_async_callback(client.aclose)
        images = self.images.open()
        stack.push_async_callback(images.aclose)
        platform = await self.platform.open(database)
        stack.push_async_callback(platform.aclose)
        fleet = database[FLEET]
        breakers = BreakerStatusStore(fleet, run_id, lease_seconds=settings.slot_lease_seconds)
        stack.push_async_callback(breakers.aclose)
        each = {one.api: one for one in (self.gemini, self.images, self.platform)}
        policies = {api: one.policy(fleet, breakers.breaker(api), run_id) for api, one in each.items()}
        names = {api: name_of(api, *one.identity) for api, one in each.items() if one.identity}
        for api, name in names.items():
            known = await latest_answers(fleet, name)
            for policy in policies[api].every:
                policy.tally.trusted = known is not None
            if (deadlines := policies[api].deadlines) is not None:
                deadlines.learn(known or {})

        async def note_trust() -> None:
            with suppress(PyMongoError):  # a later run notes it
                for api, name in names.items():
                    # Also when it was trusted before: trust ends a month after the last answer.
                    if any(policy.tally.answered for policy in policies[api].every):
                        deadlines = policies[api].deadlines
                        await trust(fleet, name, deadlines.known if deadlines is not None else {})

        stack.push_async_callback(note_trust)
        gateway = ApiGateway(policies, patience_seconds=settings.patience_seconds)
        stack.push_async_callback(gateway.aclose)
        timeouts: dict[Api, float] = {api: one.timeout_seconds for api, one in each.items()}
        resolver = self.gemini.resolver(fleet)
        return Providers(
            gateway,
            client,
            resolver,
            images,
            platform,
            timeouts,
            settings.gemini_max_reasks,
            settings.patience_seconds,
            self.gemini.flex_timeout_seconds,
        )
