"""The code location: the composition root, where settings become resources and everything is put together.

Here: ``build_defs``, one factory that tests call with their own settings and resources. It is the only module that knows assets,
resources and sensors alike. Loading it needs no server.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from generia_assets.assets.checks import CHECKS
from generia_assets.assets.content import world_content
from generia_assets.assets.generator import GeneratorResource
from generia_assets.assets.jobs import JOBS, world_job
from generia_assets.assets.world import world_description, world_request
from generia_assets.content.check import require_good_content
from generia_assets.settings import Settings, settings
from generia_assets.warm_start import extend_code_server
from resources.kafka.resource import KafkaResource
from resources.mongodb.io_manager import MongoIOManager
from resources.mongodb.resource import MongoResource
from resources.providers import GeminiResource, ImagesResource, PlatformResource
from sensors.kafka import build_kafka_sensor
from sensors.run_status import build_watchdog


def build_resources(settings: Settings) -> dict[str, object]:
    """The resources by name. What is secret is named by its variable and read from the environment when a run begins."""
    settings.export_defaults()
    mongo = MongoResource(uri=dg.EnvVar("MONGODB_URI"), database=settings.mongodb_database)
    kafka = KafkaResource(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        api_version=settings.kafka_api_version,
        tasks_topic=settings.kafka_tasks_topic,
        progress_topic=settings.kafka_progress_topic,
        dead_letters_topic=settings.kafka_dead_letters_topic,
        group_id=settings.kafka_group_id,
    )
    generator = GeneratorResource(
        mongo=mongo,
        kafka=kafka,
        gemini=GeminiResource(
            api_key=dg.EnvVar("GEMINI_API_KEY"),
            base_url=settings.gemini_base_url,
            model=settings.gemini_model,
            timeout_seconds=settings.gemini_timeout_seconds,
            max_reasks=settings.gemini_max_reasks,
        ),
        images=ImagesResource(
            provider=settings.image_provider,
            latency_seconds=settings.image_stub_latency_seconds,
            cost_usd=settings.image_stub_cost_usd,
            refused_words=settings.image_stub_refused_words,
            timeout_seconds=settings.image_timeout_seconds,
        ),
        platform=PlatformResource(
            database=settings.platform_database,
            media_dir=str(settings.media_dir),
            timeout_seconds=settings.platform_timeout_seconds,
        ),
        llm_concurrency=settings.llm_concurrency,
        image_concurrency=settings.image_concurrency,
        platform_concurrency=settings.platform_concurrency,
        task_concurrency=settings.task_concurrency,
        breaker_failure_rate=settings.breaker_failure_rate,
        breaker_window_calls=settings.breaker_window_calls,
        breaker_minimum_calls=settings.breaker_minimum_calls,
        breaker_open_seconds=settings.breaker_open_seconds,
        breaker_open_max_seconds=settings.breaker_open_max_seconds,
        patience_seconds=settings.patience_seconds,
        world_lease_seconds=settings.world_lease_seconds,
        slot_lease_seconds=settings.slot_lease_seconds,
        max_takeovers=settings.max_takeovers,
        history_ttl_days=settings.history_ttl_days,
    )
    io_manager = MongoIOManager(mongo=mongo, patience_seconds=settings.patience_seconds)
    return {
        "mongo": mongo,
        "kafka": kafka,
        "generator": generator,
        "mongo_io_manager": io_manager,
        "documents": io_manager,
    }


def fixed(resource: object) -> object:
    """The resource without a place in launch forms: thirty settings there would hide the one field that a person has to fill in.

    What is set is set by the environment and ``.env`` (settings.py), the same for every run of an installation.
    """
    if not isinstance(resource, (dg.ConfigurableResource, dg.ConfigurableIOManager)):
        return resource
    definition = resource.get_resource_definition()
    field = definition.config_field
    return definition if field is None else definition.configured(field.default_value)  # a variable's name stays a name


def build_defs(settings: Settings, *, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """The code location for these settings; ``resource_overrides`` replaces resources by name."""
    return dg.Definitions(
        assets=[world_request, world_description, world_content],
        asset_checks=CHECKS,
        jobs=JOBS,
        sensors=[build_kafka_sensor(world_job, settings), build_watchdog(world_job, settings)],
        resources={name: fixed(resource) for name, resource in {**build_resources(settings), **(resource_overrides or {})}.items()},
        executor=dg.in_process_executor,
    )


require_good_content()  # a broken template stops the code location, and not a world that is half paid for
defs = build_defs(settings())
extend_code_server()
