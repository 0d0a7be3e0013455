"""The code location: the composition root, which builds resources from settings and joins assets, jobs and sensors.

Here: ``build_defs``, one factory that tests call with their own settings. It is the only module that imports assets, resources and
sensors together. Loading it needs no server and changes nothing in its process: no environment, no logging, no part of Dagster.
"""

from __future__ import annotations

import dagster as dg

from generia_assets.assets.checks import world_checks
from generia_assets.assets.content import world_content
from generia_assets.assets.definition import with_source_links
from generia_assets.assets.external import external_assets
from generia_assets.assets.generator import generator_resource
from generia_assets.assets.jobs import JOBS, world_job
from generia_assets.assets.new_world import build_new_world
from generia_assets.assets.world import world_description, world_request
from generia_assets.content.check import require_good_content
from generia_assets.settings import Settings, settings
from resources.kafka.resource import KafkaResource
from resources.mongodb.connection import MongoResource
from resources.mongodb.io_manager import mongo_io_manager
from resources.providers import ApiResource, GeminiResource, ImagesResource, PlatformResource
from sensors.kafka import build_kafka_sensor
from sensors.retirement import build_retirement
from sensors.run_status import build_watchdog


def build_resources(settings: Settings) -> dict[str, object]:
    """The resources by name: plain objects that take the settings whole.

    None has a config schema. The environment and ``.env`` (settings.py) set them for every run of an installation; in launch forms
    they would hide the one field that a person has to fill in. A secret that is not config appears in no launch form, event or
    document.
    """
    mongo = MongoResource(settings.mongodb_uri.get_secret_value(), settings.mongodb_database)
    return {
        "mongo": mongo,
        "kafka": KafkaResource(settings),
        "gemini": _limited(GeminiResource(settings, settings), "LLM_CONCURRENCY"),
        "images": _limited(ImagesResource(settings, settings, settings), "IMAGE_CONCURRENCY"),
        "platform": _limited(PlatformResource(settings, settings), "PLATFORM_CONCURRENCY"),
        "generator": generator_resource(settings),
        "mongo_io_manager": mongo_io_manager(mongo, patience_seconds=settings.patience_seconds),
    }


def _limited(api: ApiResource, setting: str) -> dg.ResourceDefinition:
    limit = f"At most {api.limit} calls at once, over all runs and machines ({setting})."
    held = "Slots in MongoDB hold this limit, not a pool of Dagster: *Pools* is empty on purpose (docs/operating.md)."
    return dg.ResourceDefinition.hardcoded_resource(api, f"{limit} {held}")


def build_defs(settings: Settings) -> dg.Definitions:
    return dg.Definitions(
        assets=[
            *(with_source_links(one, settings.source_url) for one in (world_request, world_description, world_content)),
            *external_assets(settings),
        ],
        asset_checks=[world_checks],
        jobs=[*JOBS, build_new_world(settings)],
        sensors=[
            build_kafka_sensor(world_job, settings),
            build_watchdog(world_job, settings),
            *([build_retirement(settings, settings.retire_after_days)] if settings.retire_after_days else []),
        ],
        resources=build_resources(settings),
        executor=dg.in_process_executor,
    )


require_good_content()  # so that a broken template fails the code location, not a world in the middle of its work
defs = build_defs(settings())
defs.get_repository_def().get_all_jobs()  # kept in it: each run would build them again, for 20 ms
