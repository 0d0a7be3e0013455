"""The sensor that turns orders in Kafka into runs: one tick reads, records, and asks Dagster for one run per order.

Here: the tick's order of steps. Its parts are elsewhere: what a message says (messages.py), where to read on (offsets.py), what
becomes of a broken one (dead_letters.py), what is asked of Dagster (requests.py).

Nothing is lost, whatever dies when: the cursor moves only with Dagster's own record of the tick, past messages that are recorded
in MongoDB, acknowledged as dead letters, or not for us. All of it may happen twice; a repeated order makes no second world.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter
from pymongo.errors import PyMongoError

from generia_assets.durable.orders import Order, OrderError, RecordedOrder, record_order
from generia_assets.settings import Settings
from resources.kafka import KafkaResource, KafkaUnavailableError, Message, ReaderBusyError
from resources.mongo import MongoDatabase, MongoUnavailableError
from resources.mongo_resource import MongoResource
from sensors.dead_letters import Broken, place, send_dead_letters
from sensors.messages import MessageError, Skipped, read_message
from sensors.offsets import Cursor, for_this_log, next_offsets, parse_cursor, starting_offsets
from sensors.requests import partition_request, run_requests

logger = logging.getLogger(__name__)

HANDLING_S = 15.0
"""From the tick's start; what is not handled by then is read again by the next tick. Dagster gives up on a tick after 60 s."""


@dataclass
class Handled:
    """What became of a tick's messages. Those in none of the lists were not reached."""

    orders: list[RecordedOrder] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    done: list[Message] = field(default_factory=list)
    """Recorded, or not for us."""
    stopped: str = ""
    """Why the rest was not reached, or ''."""


class Recorder:
    """Records orders; connects to MongoDB with the first one, so that an idle tick costs MongoDB nothing."""

    def __init__(self, mongo: MongoResource, settings: Settings, connections: ExitStack) -> None:
        self._mongo = mongo
        self._settings = settings
        self._connections = connections
        self._database: MongoDatabase | None = None

    def __call__(self, order: Order) -> RecordedOrder:
        """Raises ``OrderError`` for an order that does not fit, ``MongoUnavailableError`` or ``PyMongoError`` for an outage."""
        if self._database is None:
            self._database = self._connections.enter_context(self._mongo.connection())
        return record_order(self._database, order, max_users=self._settings.max_users, max_posts=self._settings.max_posts)


def handle(messages: Sequence[Message], record: Callable[[Order], RecordedOrder], *, deadline: float) -> Handled:
    """Take the messages one by one. A broken one stops nobody; a database that is away stops here, and so does the clock."""
    handled = Handled()
    for number, message in enumerate(messages):
        if number and time.monotonic() > deadline:  # the first is always taken: else slow reading would stand still for ever
            handled.stopped = f"the tick's time is over; {place(message)} and what follows is read again"
            break
        try:
            read = read_message(message.value)
            if not isinstance(read, Skipped):
                handled.orders.append(record(read))
        except (MessageError, OrderError) as error:
            handled.broken.append(Broken(message, str(error)))
        except (MongoUnavailableError, PyMongoError) as error:
            handled.stopped = f"{error} {place(message)} and what follows is read again"
            break
        else:
            handled.done.append(message)
    return handled


def build_kafka_sensor(job: dg.JobDefinition | dg.UnresolvedAssetJobDefinition, settings: Settings) -> dg.SensorDefinition:
    """The sensor ``kafka_orders``, which runs this job: all nine assets, partitioned by world."""

    @dg.sensor(
        job=job,
        name="kafka_orders",
        minimum_interval_seconds=1,  # 0 would mean 30
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reads orders from Kafka, records them in MongoDB, and requests one run for each.",
    )
    def kafka_orders(context: dg.SensorEvaluationContext, mongo: MongoResource, kafka: KafkaResource) -> dg.SensorResult:
        return _tick(context, mongo, kafka, settings)

    return kafka_orders


def _tick(context: dg.SensorEvaluationContext, mongo: MongoResource, kafka: KafkaResource, settings: Settings) -> dg.SensorResult:
    started = time.monotonic()
    queued = context.instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.QUEUED]))
    if queued > settings.sensor_max_queued_runs:
        limit = settings.sensor_max_queued_runs
        return dg.SensorResult(skip_reason=f"{queued} runs are queued, more than {limit} (SENSOR_MAX_QUEUED_RUNS): nothing is read")
    try:
        reading = _read(context, kafka, settings, deadline=started + settings.sensor_poll_seconds)
    except (KafkaUnavailableError, ReaderBusyError) as error:
        return dg.SensorResult(skip_reason=str(error))
    if reading is None:
        return dg.SensorResult(skip_reason=f"topic {kafka.tasks_topic} does not exist yet")
    with ExitStack() as connections:
        handled = handle(reading.messages, Recorder(mongo, settings, connections), deadline=started + HANDLING_S)
    buried, problems = _bury(kafka, handled.broken)
    for problem in problems:
        context.log.warning(problem)
    if handled.stopped:
        context.log.warning(handled.stopped)
    for broken in buried:
        context.log.warning(f"{place(broken.message)} is a dead letter: {broken.reason}")
        logger.warning("%s is a dead letter: %s", place(broken.message), broken.reason)
    for order in handled.orders:
        again = "" if order.new else ", a repetition"
        logger.info("order %s (%s) of world %s is recorded%s", order.task_id, order.task_type, order.world_id, again)
        if order.overruled:
            context.log.warning(order.overruled)
    done = [*handled.done, *(broken.message for broken in buried)]
    cursor = reading.cursor_after(done).model_dump_json()
    requests = run_requests(handled.orders)
    if not requests:
        summary = _summary(reading, handled, buried)
        logger.debug("%s", summary)
        return dg.SensorResult(skip_reason=summary, cursor=cursor)
    return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=[partition_request(handled.orders)], cursor=cursor)


@dataclass(frozen=True)
class Reading:
    """What a tick has read, and where it began."""

    topic: str
    cursor: Cursor
    starts: dict[int, int]
    messages: list[Message]

    def cursor_after(self, done: Sequence[Message]) -> Cursor:
        """The cursor for the next tick, when these of the messages are done."""
        return self.cursor.moved(next_offsets(self.starts, self.messages, done))


def _read(context: dg.SensorEvaluationContext, kafka: KafkaResource, settings: Settings, *, deadline: float) -> Reading | None:
    """Read on from the cursor; None: there is no such topic. Raises ``KafkaUnavailableError``, ``ReaderBusyError``."""
    cursor, notes = parse_cursor(context.cursor, kafka.tasks_topic)
    with kafka.tasks() as reader:
        log = reader.await_topic(deadline)
        if log is None:
            return None
        cursor, more = for_this_log(cursor, log)
        reader.report({partition: at for partition, at in cursor.offsets.items() if partition in log.bounds})
        starts, corrections = starting_offsets(cursor, log)
        for note in (*notes, *more, *corrections):
            context.log.warning(note)
        messages = reader.read(starts, deadline=deadline, max_messages=settings.sensor_max_records)
    return Reading(log.topic, cursor, starts, messages)


def _bury(kafka: KafkaResource, letters: Sequence[Broken]) -> tuple[list[Broken], list[str]]:
    """Send dead letters. Gives those that arrived, and what is to be said about the others, which are read again."""
    if not letters:
        return [], []
    try:
        with kafka.producer() as producer:
            return send_dead_letters(producer, letters, kafka.dead_letters_topic)
    except KafkaUnavailableError as error:
        return [], [f"{len(letters)} dead letters were not sent, they are tried again: {error}"]


def _summary(reading: Reading, handled: Handled, buried: Sequence[Broken]) -> str:
    if not reading.messages:
        return f"no message in {reading.topic}"
    counts = (
        (len(handled.done) - len(handled.orders), "not for us"),
        (len(handled.orders), "finished before"),
        (len(buried), f"to the dead letters: {buried[0].reason}" if buried else ""),
        (len(handled.broken) - len(buried), "broken, and the dead letters' topic did not take them"),
    )
    said = "; ".join(f"{count} {what}" for count, what in counts if count)
    return f"{len(reading.messages)} messages: {'; '.join(filter(None, (said, handled.stopped)))}"
