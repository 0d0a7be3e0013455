"""The watchdog: it orders an unfinished world without a run again, and sends what a world has left in its outbox.

Here: the last line of liveness. A killed run is retried by Dagster itself; this catches what Dagster cannot see: an order recorded
whose run never came, a world whose owner fell silent with no run left, one whose owner lives on although Dagster gave it up and
forgot to retry it, a world parked by an outage that may be over, a world that a person let go on. Worlds that a person stopped or
whose budget is used up wait for ``generia resume``; so does one whose run was terminated in Dagster and could not say so itself.
Not here: what is ordered of a finished world (requests.py).
"""

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

import dagster as dg
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import PyMongoError

from generia_assets.assets import run_tags
from generia_assets.assets.jobs import NEW_WORLD
from generia_assets.catalog import ASSETS
from generia_assets.dagster_instance import was_terminated
from generia_assets.dagster_internals import ACTIVE, PARTITION_NAME_TAG, PRIORITY_TAG, UnresolvedAssetJobDefinition
from generia_assets.durable.collections import GENERATIONS, STATUS
from generia_assets.durable.events.relay import catch_up
from generia_assets.durable.leases.brake import engaged_since, mark_held_stopped
from generia_assets.durable.orders.decisions import GENERATION_TAG, PRESENT_GENERATION
from generia_assets.durable.status import OURS, UNFINISHED, State, SuspendReason, WorldStatus, statuses, unowned
from generia_assets.durable.tasks.control import mark_stopped
from generia_assets.retirement import runs_in_the_way
from generia_assets.settings import Settings
from resources.kafka.resource import KafkaResource
from resources.mongodb.connection import MongoDatabase, MongoDocument, MongoResource, MongoUnavailableError
from sensors.dead_letters import send_kept
from sensors.observations import observe
from sensors.requests import QUEUED, partition_request, reordered

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 4
"""With Dagster's grid of five seconds: every time."""
SECOND_LOOK_SECONDS = 2.0
"""A lease that is over is looked at again after this: where MongoDB was away itself, heartbeats come back within it."""
SILENCE_LEASES = 2.0
"""Leases of silence before the watchdog steps in: Dagster's own retry is faster and goes first."""
ORDER_GRACE_SECONDS = 60.0
"""An order whose run has not come by then was lost between its record and its run."""
ORPHAN_GRACE_SECONDS = 10.0
"""Dagster retries a run that it has failed within seconds; one that it cannot start, for want of a code server, it forgets."""
FUTILE_RETRY_SECONDS = 60.0
"""A run that ended before it could take its world (no MongoDB, no image) is followed by another so often."""
CATCH_UP_SECONDS = 5.0
"""For the live events that ended runs could not send, in one tick."""
OWNED: MongoDocument = {"status": State.IN_PROGRESS.value, "parked": None, "owner.run_id": {"$ne": None}}
"""Finds worlds that a run works on."""
MOST = 50
"""Worlds ordered again in one tick at most."""


def build_watchdog(job: UnresolvedAssetJobDefinition, settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name="watchdog",
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Orders again what nobody works on although it is not finished, sends live events left behind, and observes "
        "the topic and the platform.",
    )
    def watchdog(
        context: dg.SensorEvaluationContext, mongo: dg.ResourceParam[MongoResource], kafka: dg.ResourceParam[KafkaResource]
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            with mongo.connection() as database:
                fail_silent_runs(database, context.instance)
                mark_held_stopped(database)
                reprioritise(database, context.instance)
                on_their_way = list(runs_in_the_way(context.instance))  # a queue full of these worlds must not hide the others
                full = context.instance.get_runs_count(QUEUED) > settings.sensor_max_queued_runs
                lease, retry = settings.world_lease_seconds, settings.outage_retry_seconds
                left = abandoned(database, lease, retry, on_their_way, queue_is_full=full)
                found = {world.world_id: world for world in (*left, *orphaned(database, context.instance))}
                last_runs = [(world, _last_run(context.instance, world_id)) for world_id, world in found.items()]
                stopped = [world.world_id for world, last in last_runs if was_stopped(context.instance, world, last)]
                for world_id in stopped:
                    mark_stopped(database, world_id)
                now = datetime.now(UTC)
                again = [(world, last) for world, last in last_runs if world.world_id not in stopped and is_due(world, last, now)]
                parts = [] if full else list(reordered(database, context.instance, on_their_way))
                if engaged_since(database) is not None:
                    again, parts = [], []
                requests = [*(order_again(world, last, assets_of(database, world)) for world, last in again), *parts]
                observed, cursor = observe(database, settings, context.cursor)
                if not requests:  # worlds first: Kafka may keep this tick waiting
                    notes = _caught_up(context, database, kafka, settings)
                    reason = f"every unfinished world is being worked on{notes}"
                    return dg.SensorResult(skip_reason=reason, asset_events=observed, cursor=cursor)
        except (MongoUnavailableError, PyMongoError) as error:
            return dg.SkipReason(str(error))
        for world, last in again:
            after = last.dagster_run.run_id if last is not None else "no run"
            logger.info("world %s is ordered again, after %s: nobody works on it", world.world_id, after)
        return dg.SensorResult(
            run_requests=requests,
            dynamic_partitions_requests=[partition_request(one.partition_key for one in requests)],
            asset_events=observed,
            cursor=cursor,
        )

    return watchdog


def _caught_up(context: dg.SensorEvaluationContext, database: MongoDatabase, kafka: KafkaResource, settings: Settings) -> str:
    """Send the live events of worlds that no run works on, and dead letters that wait; returns what is to be said about it.

    Kafka may be away.
    """
    silence = settings.world_lease_seconds * SILENCE_LEASES
    try:
        sent = catch_up(database, kafka.progress, silence_seconds=silence, seconds=CATCH_UP_SECONDS)
        notes = f"; {sent} live events were caught up" if sent else ""
    except (ConnectionError, PyMongoError) as error:
        context.log.warning(f"live events wait in the outbox: {error}")
        notes = "; live events wait in the outbox"
    try:
        letters = send_kept(database, kafka, CATCH_UP_SECONDS)
    except (ConnectionError, PyMongoError) as error:
        context.log.warning(f"dead letters wait in MongoDB: {error}")
        return notes + "; dead letters wait in MongoDB"
    return notes + (f"; {letters} dead letters that had waited were sent" if letters else "")


def reprioritise(database: MongoDatabase, instance: dg.DagsterInstance) -> None:
    """Give each queued run the priority that its world has now: by this tag Dagster sorts its queue."""
    queued = instance.get_runs(QUEUED)
    worlds = [run.tags[PARTITION_NAME_TAG] for run in queued if PARTITION_NAME_TAG in run.tags]
    found = database[STATUS].find({"_id": {"$in": worlds}, "priority": {"$exists": True}}, {"priority": 1})
    present = {one["_id"]: str(one["priority"]) for one in found}
    for run in queued:
        tagged = run.tags.get(PRIORITY_TAG, "0")
        if (priority := present.get(run.tags.get(PARTITION_NAME_TAG, ""), tagged)) != tagged:
            instance.add_run_tags(run.run_id, {PRIORITY_TAG: priority})


def abandoned(
    database: MongoDatabase,
    lease_seconds: float,
    outage_retry_seconds: float,
    on_their_way: Sequence[str] = (),
    *,
    queue_is_full: bool = False,
) -> Iterator[WorldStatus]:
    """Unfinished worlds that look as if nobody worked on them: those that were begun first, then by priority and age.

    ``outage_retry_seconds``: how long a world that an outage has parked is left alone. ``on_their_way``: worlds that have a run.
    ``queue_is_full``: worlds that were never begun wait in MongoDB, but for those with a priority above 0.
    """
    now = datetime.now(UTC)
    silent = now - timedelta(seconds=lease_seconds * SILENCE_LEASES)
    query = {
        **OURS,
        "_id": {"$nin": list(on_their_way)},
        "$or": [
            {"status": State.IN_PROGRESS.value, "parked": None, "updated_at": {"$lt": silent}, "$or": unowned(silent)},
            {
                **({"priority": {"$gt": 0}} if queue_is_full else {}),
                "status": State.PENDING.value,
                "parked": None,
                "$or": [{"updated_at": {"$lt": now - timedelta(seconds=ORDER_GRACE_SECONDS)}}, {"deferred": True}],
            },
            {"status": UNFINISHED, "parked.kind": SuspendReason.RESUMED.value},
            {
                "status": State.IN_PROGRESS.value,
                "parked.kind": SuspendReason.OUTAGE.value,
                "parked.since": {"$lt": now - timedelta(seconds=outage_retry_seconds)},
                "parked.until": {"$not": {"$gt": now}},
            },
        ],
    }
    in_turn = [("status", ASCENDING), ("priority", DESCENDING), ("created_at", ASCENDING)]  # in_progress, then pending
    found = database[STATUS].find(query).sort(in_turn)
    yield from islice(statuses(found, logger.warning), MOST)  # those that cannot be read hide no others


def orphaned(database: MongoDatabase, instance: dg.DagsterInstance) -> Iterator[WorldStatus]:
    """Worlds whose owner Dagster has given up for dead: the code server died, the run's process may live on and hold its lease."""
    owned = database[STATUS].find({**OURS, **OWNED}, {"owner.run_id": 1})
    owners = {one["owner"]["run_id"]: one["_id"] for one in owned}
    if not owners:
        return
    given_up = dg.RunsFilter(
        run_ids=list(owners),
        statuses=[dg.DagsterRunStatus.FAILURE],
        updated_before=datetime.now(UTC) - timedelta(seconds=ORPHAN_GRACE_SECONDS),
    )
    worlds = [owners[run.run_id] for run in instance.get_runs(given_up, limit=MOST)]
    yield from statuses(database[STATUS].find({"_id": {"$in": worlds}}), logger.warning)


def fail_silent_runs(database: MongoDatabase, instance: dg.DagsterInstance) -> None:
    """Tell Dagster that runs are over whose lease is: a process that stands still keeps its world from nobody.

    Dagster then repeats them within seconds, as it does those whose process died. Should the process wake up, it has lost its
    world, and stops itself.
    """
    if silent := _silent_owners(database):
        at_work = instance.get_runs(dg.RunsFilter(run_ids=list(silent), statuses=[dg.DagsterRunStatus.STARTED]), limit=MOST)
        if at_work:
            time.sleep(SECOND_LOOK_SECONDS)
            again = _silent_owners(database)
            for run in at_work:
                if again.get(run.run_id) == silent[run.run_id]:
                    logger.warning("run %s has lost its world: it has not renewed its lease", run.run_id)
                    instance.report_run_failed(run, "The run's process stands still: its lease is over, and another run goes on.")


def _silent_owners(database: MongoDatabase) -> dict[str, datetime]:
    """Runs that own a world and have let its lease run out, with when it did."""
    over = database[STATUS].find({**OWNED, "$expr": {"$lt": ["$owner.expires_at", "$$NOW"]}}, {"owner": 1})
    return {one["owner"]["run_id"]: one["owner"]["expires_at"] for one in over}


def is_due(world: WorldStatus, last: dg.RunRecord | None, now: datetime) -> bool:
    """Whether to order the world now: no run of it is on its way, and none has just failed before it could begin."""
    if last is None:
        return True
    if last.dagster_run.status in ACTIVE:
        return False
    futile = last.start_time is not None and last.start_time > world.updated_at.timestamp()  # it never changed anything
    return not futile or now.timestamp() - (last.end_time or 0.0) > FUTILE_RETRY_SECONDS


def was_stopped(instance: dg.DagsterInstance, world: WorldStatus, last: dg.RunRecord | None) -> bool:
    """Whether somebody terminated the world's run, which could not say so: it was still queued, or its process was dead."""
    if last is None or last.dagster_run.status in ACTIVE or world.is_suspended(SuspendReason.RESUMED):
        return False
    return was_terminated(instance, last.dagster_run)


def assets_of(database: MongoDatabase, world: WorldStatus) -> tuple[str, ...]:
    """The assets that the world's generation makes, so that whoever continues it makes no others; none: all nine."""
    found = database[GENERATIONS].find_one({"_id": world.generation}, {"tasks": 1}) or {}
    types = set(found.get("tasks", {}))
    names = tuple(name for name, kind in ASSETS.items() if kind.task_type.value in types)
    return () if len(names) == len(ASSETS) else names


def order_again(world: WorldStatus, last: dg.RunRecord | None, assets: Sequence[str] = ()) -> dg.RunRequest:
    """The run that takes the world up: it continues the world's generation. One after each run that left it unfinished."""
    after = last.dagster_run.run_id if last is not None else "no run"
    by_hand = world.is_suspended(SuspendReason.RESUMED)
    by_form = last is None and world.ordered_by == f"job {NEW_WORLD}"
    origin = run_tags.Origin.CLI if by_hand else run_tags.Origin.UI if by_form else run_tags.Origin.WATCHDOG
    return dg.RunRequest(
        run_key=f"{world.world_id}:{world.generation or 'first'}:after {after}",
        partition_key=world.world_id,
        asset_selection=[dg.AssetKey(name) for name in assets] or None,
        tags={
            GENERATION_TAG: world.generation or PRESENT_GENERATION,
            **run_tags.of_origin(origin),
            **run_tags.named(world.name),
            **run_tags.of_priority(world.priority),
        },
    )


def _last_run(instance: dg.DagsterInstance, world_id: str) -> dg.RunRecord | None:
    """The world's run that is on its way; without one the newest that ended."""
    tags = {PARTITION_NAME_TAG: world_id}
    for runs in (dg.RunsFilter(statuses=ACTIVE, tags=tags), dg.RunsFilter(tags=tags)):
        if found := instance.get_run_records(runs, limit=1):
            return found[0]
    return None
