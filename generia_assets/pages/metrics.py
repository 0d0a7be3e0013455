"""``/metrics``: the fleet's figures in Prometheus' text format.

Here: one function for each section, with the names, help texts and labels of its figures, and how often the sections are read. One
that fails is left out, and ``generia_measured`` is 0 for it: a missing figure is never shown as zero. Names follow Prometheus:
seconds and US dollars, ``_total`` for what only grows. A label is an API, a state, a type or a model; there are few of them. Series
with the id of a world are bounded. Not here: the queries (queries/fleet.py).
"""

from __future__ import annotations

import logging
import math
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TypeVar

import pymongo
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

from generia_assets import generia_version
from generia_assets.code_server import starts_runs
from generia_assets.durable.status import State
from generia_assets.queries import fleet
from generia_assets.queries.fleet import HISTORY_STATE, RECENT
from generia_assets.queries.in_flight import breakers_not_closed
from generia_assets.queries.worlds import unreadable_worlds
from generia_assets.settings import settings
from resources.gateway.breaker import BreakerState
from resources.gateway.calls import Api
from resources.mongodb.connection import MongoDatabase

logger = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
KEPT_S = 5.0
"""Seconds for which the figures are kept: MongoDB is read at most so often, however many monitors ask."""
HURRIED_S = 0.5
"""Seconds that a section may take after another one has taken too long: a monitor waits for all of them. Without a server none is
tried."""
_DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What reading a document raises that somebody has damaged."""
SECTION_S = 2.0
"""Seconds that one section may take."""
RECORDS_S, RECORDS_KEPT_S = 20.0, 300.0
"""Seconds for reading every status record, and for which the result is kept."""
FIRST_CALLS_KEPT_S = 15.0

LabelsT = TypeVar("LabelsT", bound=str | tuple[str, ...])
"""The label of a value, or its labels."""

_RECENTLY = f"in the last {RECENT.total_seconds() / 60:.0f} minutes"


class Metrics(Collector):
    """The page's text, read again when it is older than ``KEPT_S``. Thread-safe: one thread reads, the others wait for it.

    Each section has its own time limit, and one that fails is left out alone.
    """

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._kept: dict[str, tuple[float, list[Metric]]] = {}
        self._lock = threading.Lock()
        self._text = b""
        self._read_at = float("-inf")

    def text(self) -> bytes:
        with self._lock:
            if time.monotonic() - self._read_at > KEPT_S:
                self._text = generate_latest(self)
                self._read_at = time.monotonic()
            return self._text

    def collect(self) -> Iterator[Metric]:
        measured: dict[str, bool] = {}
        most = math.inf
        for name, section in SECTIONS.items():
            families = None
            try:
                if most > 0:
                    families = self._read(name, section, min(section.seconds, most))
            except PyMongoError as error:
                logger.warning("metrics of %s are left out: MongoDB does not answer (%s)", name, type(error).__name__)
                most = 0 if isinstance(error, ServerSelectionTimeoutError) else HURRIED_S
            except _DAMAGED:
                logger.exception("metrics of %s are left out: a document cannot be read", name)
            measured[name] = families is not None
            yield from families or ()
        yield _gauge("measured", "1 if this part of the figures could be read, else 0 and the part is missing", measured, "part")
        versions = {"version": generia_version(), "dagster": version("dagster"), "python": platform.python_version()}
        yield _gauge("build_info", "1, with the versions of the pages' server", {tuple(versions.values()): 1}, *versions)
        if address := settings().code_server:
            about = "1 if the code server answers and starts runs, 0 if it is stuck or gone"
            yield _gauge("code_server_starts_runs", about, starts_runs(address, timeout=SECTION_S))

    def _read(self, name: str, section: _Section, seconds: float) -> list[Metric]:
        until, families = self._kept.get(name, (0.0, []))
        if time.monotonic() >= until:
            with pymongo.timeout(seconds):
                families = list(section.families(self._database))
            self._kept[name] = time.monotonic() + section.kept_s, families
        return families


def _worlds(database: MongoDatabase) -> Iterator[Metric]:
    found = fleet.worlds_by_state(database)
    by_state = {figures.state: figures.worlds for figures in found}
    states = (*(state.value for state in State), HISTORY_STATE)
    yield _gauge("worlds", "Worlds by state", {state: by_state.get(state, 0) for state in states}, "state")
    spent = {"llm": sum(one.llm_usd for one in found), "image_generation": sum(one.images_usd for one in found)}
    yield _gauge("spent_usd", "US dollars spent on all worlds, as their records have it", spent, "api")
    calls = {"llm": sum(one.llm_calls for one in found), "image_generation": sum(one.image_calls for one in found)}
    yield _gauge("calls_made", "Calls counted against the limits of all worlds", calls, "api")
    now = datetime.now(UTC)
    oldest = min((one.oldest for one in found if one.oldest and one.state in (State.PENDING, State.IN_PROGRESS)), default=now)
    about = "Since the oldest unfinished world was ordered; 0 when there is none"
    yield _gauge("oldest_unfinished_world_seconds", about, (now - oldest).total_seconds())
    about = "Unfinished worlds that no run works on, by reason"
    yield _gauge("worlds_suspended", about, fleet.suspended_worlds(database), "reason")
    yield _gauge("worlds_owned", "Worlds whose lease a run holds", fleet.owned_worlds(database))
    yield _gauge("worker_runs", "Runs that Celery workers execute, by host", fleet.worker_runs(database), "worker")
    about = f"Since the last change of worlds in progress that have not changed for a minute; the {fleet.MOST_IDLE} longest"
    idle = {world: (now - since).total_seconds() for world, since in fleet.idle_worlds(database).items()}
    yield _gauge("world_idle_seconds", about, idle, "world")


def _orders(database: MongoDatabase) -> Iterator[Metric]:
    found, now = fleet.waiting_orders(database), datetime.now(UTC)
    waiting = {one.task_type.value: one.orders for one in found}
    yield _gauge("orders_waiting", "Orders that are recorded and that no run has started", waiting, "type")
    oldest = min((one.oldest for one in found), default=now)
    about = "Since the oldest of them was accepted; 0 when there is none"
    yield _gauge("oldest_waiting_order_seconds", about, (now - oldest).total_seconds())


def _first_calls(database: MongoDatabase) -> Iterator[Metric]:
    about = "From the order to the first call, of worlds ordered in the last hour, at most the 20 that changed last"
    yield _gauge("first_call_seconds", about, fleet.first_call_seconds(database), "quantile")


def _sensor(database: MongoDatabase) -> Iterator[Metric]:
    tick = fleet.orders_read(database)
    if tick is None:
        return
    yield _gauge("orders_read_timestamp_seconds", "When the sensor kafka_orders last looked for orders", tick.at.timestamp())
    yield _gauge("kafka_answers", "1 if Kafka answered then, else 0 and there is no lag", tick.lag is not None)
    yield _gauge("runs_queued", "Runs in Dagster's queue then", tick.runs_queued)
    about = "What the oldest of them had waited; 0 when there was none"
    yield _gauge("oldest_queued_run_seconds", about, (tick.at - (tick.oldest_queued_at or tick.at)).total_seconds())
    about = "Messages of the orders' topic that the sensor had not read then"
    yield _gauge("consumer_lag", about, {str(partition): messages for partition, messages in (tick.lag or {}).items()}, "partition")


def _dead_letters(database: MongoDatabase) -> Iterator[Metric]:
    counts = fleet.dead_letter_counts(database)
    yield _total("dead_letters", "Messages that were no orders, since the installation", counts.total)
    about = "Those of the last seven days that were not sent again; at most 1000"
    yield _gauge("dead_letters_unresolved", about, counts.unresolved)
    yield _gauge("dead_letters_kept", "Dead letters that their topic has not taken", counts.kept)
    about = "Partitions of the orders' topic that wait in front of a batch that cannot be read"
    yield _gauge("partitions_held", about, counts.held_partitions)


def _checks(database: MongoDatabase) -> Iterator[Metric]:
    found = fleet.check_figures(database)
    by_severity = {"error": found.error, "warn": found.warn}
    yield _total("failed_checks", "Asset checks that failed, since the installation", by_severity, "severity")
    last = {(one.world_id, one.check): one.at.timestamp() for one in found.errors}
    yield _gauge("failed_check_timestamp_seconds", "When checks failed: the last ten errors", last, "world", "check")


def _tasks(database: MongoDatabase) -> Iterator[Metric]:
    yield _gauge("tasks", "Tasks of the worlds that changed last", fleet.tasks_by_state(database), "type", "state")
    seconds = fleet.task_seconds(database)
    yield _gauge("task_seconds", "From beginning to end, of the tasks that were finished last", seconds, "type", "quantile")


def _calls(database: MongoDatabase) -> Iterator[Metric]:
    found, minutes = fleet.recent_calls(database), RECENT.total_seconds() / 60
    spend = {api.value: sum(one.cost_usd for one in found if one.api == api.value) / minutes for api in Api}
    yield _gauge("spend_usd_per_minute", f"US dollars per minute, over the calls begun {_RECENTLY}", spend, "api")
    for name, about, field in (
        ("recent_calls", f"Calls begun {_RECENTLY}", "calls"),
        ("recent_call_seconds", f"Sum of what the calls begun {_RECENTLY} took", "calling_s"),
        ("recent_call_wait_seconds", "Sum of what the same calls waited before they were sent", "waiting_s"),
        ("recent_cost_usd", "What the same calls cost, US dollars", "cost_usd"),
    ):
        yield _gauge(name, about, {(one.api, one.outcome): getattr(one, field) for one in found}, "api", "outcome")
    tokens = {}
    for one in found:
        if one.api == Api.LLM.value:
            tokens[one.api, one.outcome, "prompt"] = one.prompt_tokens
            tokens[one.api, one.outcome, "output"] = one.output_tokens
    yield _gauge("recent_tokens", "Tokens of the same calls", tokens, "api", "outcome", "kind")


def _api(database: MongoDatabase) -> Iterator[Metric]:
    shares, retired = fleet.slot_shares(database), fleet.retired_models(database)
    taken = {api: sum(holder.share for holder in slots.holders) for api, slots in shares.items()}
    yield _gauge("slots_taken", "Slots that processes hold", taken, "api")
    about = "Calls allowed at once now; below the limit after a 429"
    yield _gauge("slots_ceiling", about, {api: slots.effective for api, slots in shares.items()}, "api")
    yield _gauge("slots_limit", "Calls at once as configured", {api: slots.limit for api, slots in shares.items()}, "api")
    lacking = {api: sum(max(0, one.wants - one.share) for one in slots.holders) for api, slots in shares.items()}
    yield _gauge("slots_waiting", "Slots asked for and not granted", lacking, "api")
    by_world = fleet.held_slots(database, shares)
    about = f"Slots by world; the {fleet.MOST_HOLDERS} worlds with most, the rest as others"
    yield _gauge("slots_held", about, by_world, "api", "world")
    states = {api.value: BreakerState.CLOSED for api in Api} | {one.api: one.state for one in breakers_not_closed(database)}
    breakers = {(api, one.value): one is state for api, state in states.items() for one in BreakerState}
    yield _gauge("breaker", "1 for the state in which the breaker of the api is", breakers, "api", "state")
    yield _gauge("models_gone", "Models of which Gemini says that they are gone; successors took over", len(retired))
    about = "1 for each of these models, with the model that is asked instead"
    yield _gauge("model_retired", about, {(note.model, note.successor or ""): 1 for note in retired}, "model", "successor")


def _records(database: MongoDatabase) -> Iterator[Metric]:
    about = "Status records that cannot be read; `generia doctor` names them"
    yield _gauge("unreadable_worlds", about, len(unreadable_worlds(database)))


@dataclass(frozen=True)
class _Section:
    """A section of the figures: how it is read, how long that may take, how long it is kept. Seconds."""

    families: Callable[[MongoDatabase], Iterator[Metric]]
    seconds: float = SECTION_S
    kept_s: float = 0.0


SECTIONS = {
    "worlds": _Section(_worlds),
    "tasks": _Section(_tasks),
    "calls": _Section(_calls),
    "outside": _Section(_api),
    "orders": _Section(_orders),
    "first_calls": _Section(_first_calls, kept_s=FIRST_CALLS_KEPT_S),
    "sensor": _Section(_sensor),
    "dead_letters": _Section(_dead_letters),
    "checks": _Section(_checks),
    "records": _Section(_records, RECORDS_S, RECORDS_KEPT_S),
}


def _gauge(name: str, about: str, values: float | Mapping[LabelsT, float], *labels: str) -> Metric:
    """A family of gauges under the generator's prefix. ``values``: one without labels, or those by their labels."""
    return _filled(GaugeMetricFamily(f"generia_{name}", about, labels=labels), values)


def _total(name: str, about: str, values: float | Mapping[LabelsT, float], *labels: str) -> Metric:
    return _filled(CounterMetricFamily(f"generia_{name}", about, labels=labels), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: float | Mapping[LabelsT, float]) -> Metric:
    if not isinstance(values, Mapping):
        family.add_metric([], values)
        return family
    for labels, value in values.items():
        family.add_metric([labels] if isinstance(labels, str) else labels, value)
    return family
