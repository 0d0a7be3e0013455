"""``/metrics``: the fleet's figures in Prometheus' text format.

Here: names, help texts and labels, and how often the figures are read. Not here: the queries (queries/fleet.py). A section that
MongoDB does not answer in time is left out, and ``generia_measured`` is 0 for it: a missing figure is never shown as zero.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pymongo
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pymongo.errors import PyMongoError

from generia_assets.code_server import starts_runs
from generia_assets.durable.status import State
from generia_assets.queries import fleet
from generia_assets.queries.fleet import HISTORY_STATE, RECENT, UNFINISHED
from generia_assets.queries.worlds import unreadable_worlds
from generia_assets.settings import settings
from resources.gateway.breaker import BreakerState
from resources.mongodb.connection import MongoDatabase

logger = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
KEPT_S = 5.0
"""Seconds for which the figures are kept: MongoDB is read at most so often, however many monitors ask."""
SECTION_S = 2.0
"""Seconds that one section may take."""
RECORDS_S, RECORDS_KEPT_S = 20.0, 300.0
"""The same two limits for reading every status record."""

_RECENTLY = f"in the last {RECENT.total_seconds() / 60:.0f} minutes"


class Metrics:
    """The page's text, read again when it is older than ``KEPT_S``. Thread-safe: one thread reads, the others wait for it."""

    def __init__(self, database: MongoDatabase) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Fleet(database))
        self._lock = threading.Lock()
        self._text = b""
        self._read_at = float("-inf")

    def text(self) -> bytes:
        """The figures as Prometheus reads them."""
        with self._lock:
            if time.monotonic() - self._read_at > KEPT_S:
                self._text = generate_latest(self._registry)
                self._read_at = time.monotonic()
            return self._text


class _Fleet(Collector):
    """Reads all sections; each has its own time limit, and one that fails is left out alone."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._kept: dict[str, tuple[float, list[Metric]]] = {}

    def collect(self) -> Iterator[Metric]:
        measured = _gauge("measured", "1 if this part of the figures could be read, else 0 and the part is missing", "part")
        answers = True
        for name, section in SECTIONS.items():
            try:
                families = self._read(name, section, answers=answers)
            except PyMongoError as error:
                logger.warning("metrics of %s are left out: MongoDB does not answer (%s)", name, type(error).__name__)
                measured.add_metric([name], 0)
                answers = False
            else:
                measured.add_metric([name], 1)
                yield from families
        yield measured
        if address := settings().code_server:
            starts = _gauge("code_server_starts_runs", "1 if the code server answers and starts runs, 0 if it is stuck or gone")
            starts.add_metric([], starts_runs(address, timeout=SECTION_S))
            yield starts

    def _read(self, name: str, section: MetricsSection, *, answers: bool) -> list[Metric]:
        until, families = self._kept.get(name, (0.0, []))
        if time.monotonic() >= until:
            with pymongo.timeout(section.seconds if answers else SECTION_S):
                families = list(section.families(self._database))
            self._kept[name] = time.monotonic() + section.kept_s, families
        return families


def _worlds(database: MongoDatabase) -> Iterator[Metric]:
    found = fleet.worlds_by_state(database)
    by_state = {figures.state: figures.worlds for figures in found}
    worlds = _gauge("worlds", "Worlds by state", "state")
    for state in (*(state.value for state in State), HISTORY_STATE):
        worlds.add_metric([state], by_state.get(state, 0))
    yield worlds
    yield from (
        _of(
            _gauge("spent_usd", "US dollars spent on all worlds, as their records have it", "api"),
            {"llm": sum(one.llm_usd for one in found), "image_generation": sum(one.images_usd for one in found)},
        ),
        _of(
            _gauge("calls_made", "Calls counted against the limits of all worlds", "api"),
            {"llm": sum(one.llm_calls for one in found), "image_generation": sum(one.image_calls for one in found)},
        ),
    )
    oldest = min((one.oldest for one in found if one.oldest and one.state in UNFINISHED), default=None)
    age = _gauge("oldest_unfinished_world_seconds", "Since the oldest unfinished world was ordered; 0 when there is none")
    age.add_metric([], (datetime.now(UTC) - oldest).total_seconds() if oldest else 0)
    yield age


def _tasks(database: MongoDatabase) -> Iterator[Metric]:
    tasks = _gauge("tasks", "Tasks of the worlds that changed last", "type", "state")
    for count in fleet.tasks_by_state(database):
        tasks.add_metric([count.task_type.value, count.state.value], count.tasks)
    yield tasks
    seconds = _gauge("task_seconds", "From beginning to end, of the tasks that were finished last", "type", "quantile")
    for times in fleet.task_times(database):
        seconds.add_metric([times.task_type.value, "0.5"], times.p50_s)
        seconds.add_metric([times.task_type.value, "0.95"], times.p95_s)
    yield seconds


def _calls(database: MongoDatabase) -> Iterator[Metric]:
    calls = _gauge("recent_calls", f"Calls begun {_RECENTLY}", "api", "outcome")
    calling = _gauge("recent_call_seconds", f"Sum of what the calls begun {_RECENTLY} took", "api", "outcome")
    waiting = _gauge("recent_call_wait_seconds", "Sum of what the same calls waited before they were sent", "api", "outcome")
    cost = _gauge("recent_cost_usd", "What the same calls cost, US dollars", "api", "outcome")
    tokens = _gauge("recent_tokens", "Tokens of the same calls", "api", "outcome", "kind")
    for figures in fleet.recent_calls(database):
        labels = [figures.api, figures.outcome]
        calls.add_metric(labels, figures.calls)
        calling.add_metric(labels, figures.calling_s)
        waiting.add_metric(labels, figures.waiting_s)
        cost.add_metric(labels, figures.cost_usd)
        if figures.api == "llm":
            tokens.add_metric([*labels, "prompt"], figures.prompt_tokens)
            tokens.add_metric([*labels, "output"], figures.output_tokens)
    yield from (calls, calling, waiting, cost, tokens)


def _api(database: MongoDatabase) -> Iterator[Metric]:
    found = fleet.api_status(database)
    slots = {slots.api: slots for slots in found.slots}
    yield _of(_gauge("slots_taken", "Slots that processes hold", "api"), {api: one.taken for api, one in slots.items()})
    yield _of(
        _gauge("slots_ceiling", "Calls allowed at once now; below the limit after a 429", "api"),
        {api: one.ceiling for api, one in slots.items()},
    )
    yield _of(_gauge("slots_limit", "Calls at once as configured", "api"), {api: one.limit for api, one in slots.items()})
    yield _of(_gauge("slots_waiting", "Slots asked for and not granted", "api"), {api: one.waiting for api, one in slots.items()})
    breakers = _gauge("breaker", "1 for the state in which the breaker of the api is", "api", "state")
    for api, state in found.breakers.items():
        for possible in BreakerState:
            breakers.add_metric([api, possible.value], possible.value == state)
    yield breakers
    gone = _gauge("models_gone", "Models of which Gemini says that they are gone; successors took over")
    gone.add_metric([], found.models_gone)
    yield gone


def _records(database: MongoDatabase) -> Iterator[Metric]:
    unreadable = _gauge("unreadable_worlds", "Status records that cannot be read; `generia doctor` names them")
    unreadable.add_metric([], len(unreadable_worlds(database)))
    yield unreadable


@dataclass(frozen=True)
class MetricsSection:
    """A section of the figures: how it is read, how long that may take, how long it is kept. Seconds."""

    families: Callable[[MongoDatabase], Iterator[Metric]]
    seconds: float = SECTION_S
    kept_s: float = 0.0


SECTIONS = {
    "worlds": MetricsSection(_worlds),
    "tasks": MetricsSection(_tasks),
    "calls": MetricsSection(_calls),
    "outside": MetricsSection(_api),
    "records": MetricsSection(_records, RECORDS_S, RECORDS_KEPT_S),
}


def _gauge(name: str, about: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"generia_{name}", about, labels=labels)


def _of(family: GaugeMetricFamily, values: dict[str, float]) -> GaugeMetricFamily:
    for label, value in values.items():
        family.add_metric([label], value)
    return family
