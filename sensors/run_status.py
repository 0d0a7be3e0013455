"""The watchdog: a world that nobody works on although it should be is ordered again.

Here: the last line of liveness. A killed run is retried by Dagster itself; this catches what Dagster cannot see: an order recorded
whose run never came, a world whose owner fell silent with no run left, a world parked by an outage that may be over, a world that
a person let go on. Not here: worlds that a person stopped or whose budget is used up; those wait for ``generia resume``.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from generia_assets.durable.collections import STATUS
from generia_assets.durable.generations import GENERATION_TAG, PRESENT_GENERATION, Parked
from generia_assets.durable.status import State, WorldStatus
from generia_assets.settings import Settings
from resources.mongo import MongoDatabase, MongoUnavailableError
from resources.mongo_resource import MongoResource

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
INTERVAL_SECONDS = 10
SILENCE_LEASES = 2.0
"""Leases of silence before the watchdog steps in: Dagster's own retry is faster and goes first."""
ORDER_GRACE_SECONDS = 60.0
"""An order whose run has not come by then was lost between its record and its run."""
OUTAGE_RETRY_SECONDS = 60.0
"""A world parked by an outage is tried again so often."""
MOST = 50
"""Worlds ordered again in one tick at most."""


def build_watchdog(job: "UnresolvedAssetJobDefinition", settings: Settings) -> dg.SensorDefinition:
    """The watchdog sensor for this job."""

    @dg.sensor(
        name="watchdog",
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Orders worlds again that nobody works on although they are not finished.",
    )
    def watchdog(context: dg.SensorEvaluationContext, mongo: MongoResource) -> dg.SensorResult | dg.SkipReason:
        try:
            with mongo.connection() as database:
                found = list(abandoned(database, settings.world_lease_seconds))
        except MongoUnavailableError as error:
            return dg.SkipReason(str(error))
        idle = [world for world in found if not _has_run(context.instance, world.world_id)]
        if not idle:
            return dg.SkipReason("every unfinished world is being worked on")
        return dg.SensorResult(
            run_requests=[order_again(world) for world in idle],
            dynamic_partitions_requests=[],
        )

    return watchdog


def abandoned(database: MongoDatabase, lease_seconds: float) -> Iterator[WorldStatus]:
    """Unfinished worlds that look as if nobody worked on them; whether a run exists is still to be asked."""
    now = datetime.now(UTC)
    silent = now - timedelta(seconds=lease_seconds * SILENCE_LEASES)
    query = {
        "$or": [
            {
                "status": State.IN_PROGRESS.value,
                "parked": None,
                "updated_at": {"$lt": silent},
                "$or": [{"owner.run_id": None}, {"owner.expires_at": {"$lt": silent}}],
            },
            {
                "status": State.PENDING.value,
                "parked": None,
                "updated_at": {"$lt": now - timedelta(seconds=ORDER_GRACE_SECONDS)},
            },
            {"status": {"$in": [State.PENDING.value, State.IN_PROGRESS.value]}, "parked.kind": Parked.RESUMED.value},
            {
                "status": State.IN_PROGRESS.value,
                "parked.kind": Parked.OUTAGE.value,
                "parked.since": {"$lt": now - timedelta(seconds=OUTAGE_RETRY_SECONDS)},
            },
        ]
    }
    for document in database[STATUS].find(query).limit(MOST):
        yield WorldStatus.model_validate(document)


def order_again(world: WorldStatus) -> dg.RunRequest:
    """The run that takes the world up: it continues the world's generation. One for each time the world fell silent."""
    moment = world.parked.since if world.parked else (world.owner.expires_at or world.updated_at)
    return dg.RunRequest(
        run_key=f"{world.world_id}:{world.generation or 'first'}:{world.owner.epoch}:{moment.timestamp():.0f}",
        partition_key=world.world_id,
        tags={GENERATION_TAG: world.generation or PRESENT_GENERATION},
    )


def _has_run(instance: dg.DagsterInstance, world_id: str) -> bool:
    runs = instance.get_run_records(dg.RunsFilter(statuses=ACTIVE, tags={"dagster/partition": world_id}), limit=1)
    return bool(runs)
