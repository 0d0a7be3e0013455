"""A code location with the real Kafka sensor and nine assets that do nothing; nobody executes its runs.

The harness of messages counts the runs that the sensor requests. Not here: making worlds.
"""

import dagster as dg

from generia_assets.catalog import ASSETS
from generia_assets.definitions import build_resources
from generia_assets.partitions import worlds
from generia_assets.settings import settings
from sensors.kafka import build_kafka_sensor


def _asset(name: str) -> dg.AssetsDefinition:
    @dg.asset(name=name, partitions_def=worlds)
    def nothing() -> None: ...

    return nothing


@dg.definitions
def placeholder_location() -> dg.Definitions:
    job = dg.define_asset_job("world", selection=list(ASSETS))
    resources = build_resources(settings())
    return dg.Definitions(
        assets=[_asset(name) for name in ASSETS],
        jobs=[job],
        sensors=[build_kafka_sensor(job, settings())],
        resources={name: resources[name] for name in ("kafka", "mongo")},
    )
