"""The sensor that turns orders in Kafka into runs: one tick reads, records, and asks Dagster for one run per order.

Its parts are elsewhere: what a record means (messages.py), where to read on (offsets.py), what becomes of a broken one
(dead_letters.py), what is asked of Dagster (requests.py).

Nothing is lost, whatever dies when: the cursor moves only with Dagster's own record of the tick, past messages that are recorded in
MongoDB, safe as dead letters, or not for us. All of it may happen twice; a repeated order makes no second world.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import dagster as dg
from pymongo.errors import PyMongoError

from generia_assets.content.text import plural
from generia_assets.dagster_internals import UnresolvedAssetJobDefinition
from generia_assets.durable.figures import OrdersRead, record_orders_read
from generia_assets.durable.leases.brake import engaged_since
from generia_assets.durable.orders.intake import RefusedOrder, installed_at, record_refusal
from generia_assets.durable.orders.order import Order, OrderError
from generia_assets.durable.orders.records import RecordedOrder, record_order
from generia_assets.settings import Settings
from resources.kafka.address import KafkaUnavailableError
from resources.kafka.reader import Fetched, KafkaRecord, TopicLog
from resources.kafka.resource import KafkaResource, ReaderBusyError
from resources.mongodb.connection import MongoDatabase, MongoResource, MongoUnavailableError
from sensors.dead_letters import DlqResult, InvalidMessage, pass_skipped, place, send_to_dlq
from sensors.messages import read_message
from sensors.offsets import Cursor, first_offsets, for_this_log, lag, next_offsets, parse_cursor, starting_offsets
from sensors.requests import QUEUED, partition_request, requested_now, run_requests

logger = logging.getLogger(__name__)

HANDLING_S = 15.0
"""From the tick's start; what is not handled by then is read again by the next tick. Dagster gives up on a tick after 60 s."""


@dataclass
class Handled:
    """What became of a tick's messages. Those in none of the lists were not reached."""

    orders: list[RecordedOrder] = field(default_factory=list)
    broken: list[InvalidMessage] = field(default_factory=list)
    done: list[KafkaRecord] = field(default_factory=list)
    """Recorded, or not for us."""
    stopped: str = ""
    """Why the rest was not reached, or ''."""


class TickDatabase:
    """The database, for one tick: connects with the first use."""

    def __init__(self, mongo: MongoResource, connections: ExitStack) -> None:
        self._mongo = mongo
        self._connections = connections
        self._database: MongoDatabase | MongoUnavailableError | None = None

    def __call__(self) -> MongoDatabase:
        """The database. Raises ``MongoUnavailableError``: within one tick it is waited for once."""
        if self._database is None:
            try:
                self._database = self._connections.enter_context(self._mongo.connection())
            except MongoUnavailableError as error:
                self._database = error
        if isinstance(self._database, MongoUnavailableError):
            raise self._database
        return self._database


def handle(
    messages: Sequence[KafkaRecord],
    record: Callable[[Order], RecordedOrder],
    refuse: Callable[[RefusedOrder], None],
    *,
    deadline: float,
) -> Handled:
    """Take the messages one by one. A broken one stops nobody; a database that is away stops here, and so does the clock.

    ``record`` raises ``OrderError`` for an order that does not fit; ``refuse`` is for those who wait for the world that a refused
    message names. Both raise ``MongoUnavailableError`` or ``PyMongoError`` in an outage.
    """
    handled = Handled()
    for number, message in enumerate(messages):
        if number and time.monotonic() > deadline:  # the first is always taken: else slow reading would stand still for ever
            handled.stopped = f"the tick's time is over; {place(message)} and what follows is read again"
            break
        try:
            meaning = read_message(message.value)
            if meaning is None:
                handled.done.append(message)
                continue
            with message.span(_about(meaning)) as span:
                if isinstance(meaning, Order):
                    try:
                        handled.orders.append(record(replace(meaning, traceparent=span.traceparent)))
                    except OrderError as error:
                        meaning = RefusedOrder(str(error), meaning.world_id, meaning.task_id, meaning.task_type)
                if isinstance(meaning, RefusedOrder):
                    span.fail("refused")
                    refuse(meaning)
                    handled.broken.append(InvalidMessage(message, meaning.reason))
                else:
                    handled.done.append(message)
        except (MongoUnavailableError, PyMongoError) as error:
            handled.stopped = f"{error} {place(message)} and what follows is read again"
            break
    return handled


def _about(meaning: Order | RefusedOrder) -> dict[str, str]:
    named = {"generia.world.id": meaning.world_id, "generia.order.id": meaning.task_id, "generia.task.type": meaning.task_type}
    return {name: str(value) for name, value in named.items() if value is not None}


def build_kafka_sensor(job: dg.JobDefinition | UnresolvedAssetJobDefinition, settings: Settings) -> dg.SensorDefinition:
    """The sensor ``kafka_orders``, which runs this job: all nine assets, partitioned by world."""

    @dg.sensor(
        job=job,
        name="kafka_orders",
        minimum_interval_seconds=1,  # 0 would mean 30
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reads orders from Kafka, records them in MongoDB, and requests one run for each.",
    )
    def kafka_orders(
        context: dg.SensorEvaluationContext, mongo: dg.ResourceParam[MongoResource], kafka: dg.ResourceParam[KafkaResource]
    ) -> dg.SensorResult:
        return _tick(context, mongo, kafka, settings)

    return kafka_orders


def _tick(context: dg.SensorEvaluationContext, mongo: MongoResource, kafka: KafkaResource, settings: Settings) -> dg.SensorResult:
    started = time.monotonic()
    queued = context.instance.get_runs_count(QUEUED)
    with ExitStack() as connections:
        database, limits = TickDatabase(mongo, connections), {"max_users": settings.max_users, "max_posts": settings.max_posts}
        try:
            reading = _read(context, kafka, database, settings, deadline=started + settings.sensor_poll_seconds)
        except (KafkaUnavailableError, ReaderBusyError, MongoUnavailableError, PyMongoError) as error:
            _record_tick(context, database, None, queued)
            return dg.SensorResult(skip_reason=str(error))
        if reading is None:
            _record_tick(context, database, {}, queued)
            return dg.SensorResult(skip_reason=f"topic {kafka.settings.kafka_tasks_topic} does not exist yet")
        log, cursor, fetched = reading
        if fetched.messages and (since := _stopped_since(database)) is not None:
            at = f"{since:%Y-%m-%d %H:%M} UTC"
            return dg.SensorResult(skip_reason=f"everything is stopped since {at}: orders wait in Kafka; generia resume --all")
        handled = handle(
            fetched.messages,
            lambda order: record_order(database(), order, **limits, service_tier=settings.service_tier),
            lambda refusal: record_refusal(database(), refusal) if refusal.world_id is not None else None,
            deadline=started + HANDLING_S,
        )
        full = queued > settings.sensor_max_queued_runs
        try:
            now = requested_now(database(), handled.orders, queue_is_full=full) if handled.orders else []
        except (MongoUnavailableError, PyMongoError) as error:
            return dg.SensorResult(skip_reason=str(error))
        result = send_to_dlq(kafka, handled.broken, database)
        done = [*handled.done, *(broken.message for broken in result.done)]
        offsets = next_offsets(fetched.reached, fetched.messages, done)
        waiting = pass_skipped(kafka, database, fetched.unreadable, offsets)
        cursor = cursor.moved(offsets)
        _record_tick(context, database, lag(cursor, log), queued)
    for warning in (*result.problems, *waiting, *filter(None, [handled.stopped])):
        context.log.warning(warning)
    for broken in result.done:
        context.log.warning(f"{place(broken.message)} is a dead letter: {broken.reason}")
        logger.warning("%s is a dead letter: %s", place(broken.message), broken.reason)
    for recorded in handled.orders:
        order, again = recorded.order, "" if recorded.new else ", a repetition"
        logger.info("order %s (%s) of world %s is recorded%s", order.task_id, order.task_type, order.world_id, again)
        if recorded.overruled:
            context.log.warning(recorded.overruled)
    requests = run_requests(now)
    if not requests:
        deferred = len(handled.orders) - len(now)
        wait = f"{plural(deferred, 'order')} {'waits' if deferred == 1 else 'wait'}"
        note = f"{wait} for room in the queue (SENSOR_MAX_QUEUED_RUNS={settings.sensor_max_queued_runs})"
        summary = "; ".join([_summary(log, fetched, handled, result), *([note] if deferred else []), *waiting])
        logger.debug("%s", summary)
        return dg.SensorResult(skip_reason=summary, cursor=cursor.model_dump_json())
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[partition_request(recorded.order.world_id for recorded in now)],
        cursor=cursor.model_dump_json(),
    )


def _record_tick(context: dg.SensorEvaluationContext, database: TickDatabase, unread: dict[int, int] | None, queued: int) -> None:
    """Record this tick for ``/metrics``, which has neither Kafka nor Dagster's storage. Without MongoDB they see the former one."""
    first = context.instance.get_run_records(QUEUED, limit=1, ascending=True) if queued else ()
    oldest = first[0].create_timestamp if first else None
    tick = OrdersRead(at=datetime.now(UTC), lag=unread, runs_queued=queued, oldest_queued_at=oldest)
    try:
        record_orders_read(database(), tick)
    except (MongoUnavailableError, PyMongoError) as error:
        context.log.warning(f"this tick is not recorded for monitors: {error}")


def _stopped_since(database: TickDatabase) -> datetime | None:
    """Since when a person has stopped everything. Where MongoDB does not answer no order is recorded anyway."""
    try:
        return engaged_since(database())
    except (MongoUnavailableError, PyMongoError):
        return None


def _read(
    context: dg.SensorEvaluationContext, kafka: KafkaResource, database: TickDatabase, settings: Settings, *, deadline: float
) -> tuple[TopicLog, Cursor, Fetched] | None:
    """Read on from the cursor. Returns the topic, the cursor for it, and what was read; None: there is no such topic.

    Raises ``KafkaUnavailableError``, ``ReaderBusyError``, and what MongoDB raises at a first start.
    """
    cursor, notes = parse_cursor(context.cursor, kafka.settings.kafka_tasks_topic)
    with kafka.tasks() as reader:
        log = reader.await_topic(deadline)
        if log is None:
            return None
        cursor, anew = for_this_log(cursor, log)
        reader.report({partition: at for partition, at in cursor.offsets.items() if partition in log.bounds})
        first, begun = first_offsets(
            cursor, log, settings.kafka_start, installed_at=lambda: installed_at(database()), since=reader.offsets_from
        )
        starts, corrections = starting_offsets(cursor, log, first)
        for note in (*notes, *anew, *begun, *corrections):
            context.log.warning(note)
        fetched = reader.read(starts, deadline=deadline, max_messages=settings.sensor_max_records)
    return log, cursor, fetched


def _summary(log: TopicLog, fetched: Fetched, handled: Handled, result: DlqResult) -> str:
    if not fetched.messages:
        return f"no message in {log.topic}"
    counts = (
        (len(handled.done) - len(handled.orders), "not for us"),
        (len(handled.orders), "finished before"),
        (len(result.sent), f"to the dead letters: {result.sent[0].reason}" if result.sent else ""),
        (len(handled.broken) - len(result.sent), f"broken: {result.problems[-1]}" if result.problems else ""),
    )
    said = "; ".join(f"{count} {what}" for count, what in counts if count)
    return f"{len(fetched.messages)} messages: {'; '.join(filter(None, (said, handled.stopped)))}"
