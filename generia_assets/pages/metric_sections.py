"""The sections of ``/metrics``: names, help texts and labels of the figures.

Here: one function for each section, and how long each may take. Names follow Prometheus: seconds and US dollars, ``_total`` for
what only grows. A label is an API, a state, a type or a model, of which there are few; series with the id of a world are bounded
(queries/fleet_work.py). Not here: the queries (queries/fleet.py, fleet_work.py), and when the sections are read (metrics.py).
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from generia_assets import generia_version
from generia_assets.durable.status import State
from generia_assets.queries import fleet, fleet_work
from generia_assets.queries.fleet import HISTORY_STATE, RECENT, UNFINISHED
from generia_assets.queries.worlds import unreadable_worlds
from resources.gateway.breaker import BreakerState
from resources.gateway.calls import Api
from resources.mongodb.connection import MongoDatabase

SECTION_S = 2.0
"""Seconds that one section may take."""
RECORDS_S, RECORDS_KEPT_S = 20.0, 300.0
"""Seconds for reading every status record, and for which the result is kept."""
FIRST_CALLS_KEPT_S = 15.0

_RECENTLY = f"in the last {RECENT.total_seconds() / 60:.0f} minutes"


def _worlds(database: MongoDatabase) -> Iterator[Metric]:
    found = fleet.worlds_by_state(database)
    by_state = {figures.state: figures.worlds for figures in found}
    worlds = gauge("worlds", "Worlds by state", "state")
    for state in (*(state.value for state in State), HISTORY_STATE):
        worlds.add_metric([state], by_state.get(state, 0))
    yield worlds
    yield from (
        _of(
            gauge("spent_usd", "US dollars spent on all worlds, as their records have it", "api"),
            {"llm": sum(one.llm_usd for one in found), "image_generation": sum(one.images_usd for one in found)},
        ),
        _of(
            gauge("calls_made", "Calls counted against the limits of all worlds", "api"),
            {"llm": sum(one.llm_calls for one in found), "image_generation": sum(one.image_calls for one in found)},
        ),
    )
    oldest = min((one.oldest for one in found if one.oldest and one.state in UNFINISHED), default=None)
    age = gauge("oldest_unfinished_world_seconds", "Since the oldest unfinished world was ordered; 0 when there is none")
    age.add_metric([], (datetime.now(UTC) - oldest).total_seconds() if oldest else 0)
    yield age
    yield _of(
        gauge("worlds_suspended", "Unfinished worlds that no run works on, by reason", "reason"),
        fleet_work.suspended_worlds(database),
    )
    owned = gauge("worlds_owned", "Worlds whose lease a run holds")
    owned.add_metric([], fleet_work.owned_worlds(database))
    yield owned
    yield _of(gauge("worker_runs", "Runs that Celery workers execute, by host", "worker"), fleet_work.worker_runs(database))
    now = datetime.now(UTC)
    about = f"Since the last change of worlds in progress that have not changed for a minute; the {fleet_work.MOST_IDLE} longest"
    idle = {world.world_id: (now - world.since).total_seconds() for world in fleet_work.idle_worlds(database)}
    yield _of(gauge("world_idle_seconds", about, "world"), idle)


def _orders(database: MongoDatabase) -> Iterator[Metric]:
    found = fleet_work.waiting_orders(database)
    waiting = {one.task_type.value: one.orders for one in found}
    yield _of(gauge("orders_waiting", "Orders that are recorded and that no run has started", "type"), waiting)
    oldest = min((one.oldest for one in found), default=None)
    age = gauge("oldest_waiting_order_seconds", "Since the oldest of them was accepted; 0 when there is none")
    age.add_metric([], (datetime.now(UTC) - oldest).total_seconds() if oldest else 0)
    yield age


def _first_calls(database: MongoDatabase) -> Iterator[Metric]:
    about = "From the order to the first call, of worlds ordered in the last hour, at most the 20 that changed last"
    yield _of(gauge("first_call_seconds", about, "quantile"), dict(fleet_work.quantiles(fleet_work.first_call_seconds(database))))


def _sensor(database: MongoDatabase) -> Iterator[Metric]:
    tick = fleet_work.orders_read(database)
    if tick is None:
        return
    for name, about, value in (
        ("orders_read_timestamp_seconds", "When the sensor kafka_orders last looked for orders", tick.at.timestamp()),
        ("kafka_answers", "1 if Kafka answered then, else 0 and there is no lag", tick.lag is not None),
        ("runs_queued", "Runs in Dagster's queue then", tick.runs_queued),
        (
            "oldest_queued_run_seconds",
            "What the oldest of them had waited; 0 when there was none",
            (tick.at - tick.oldest_queued_at).total_seconds() if tick.oldest_queued_at else 0,
        ),
    ):
        family = gauge(name, about)
        family.add_metric([], value)
        yield family
    lag = {str(partition): messages for partition, messages in (tick.lag or {}).items()}
    yield _of(gauge("consumer_lag", "Messages of the orders' topic that the sensor had not read then", "partition"), lag)


def _dead_letters(database: MongoDatabase) -> Iterator[Metric]:
    counts = fleet_work.dead_letter_counts(database)
    yield _total("dead_letters", "Messages that were no orders, since the installation", {(): counts.total})
    for name, about, value in (
        ("dead_letters_unresolved", "Those of the last seven days that were not sent again; at most 1000", counts.unresolved),
        ("dead_letters_kept", "Dead letters that their topic has not taken", counts.kept),
        (
            "partitions_held",
            "Partitions of the orders' topic that wait in front of a batch that cannot be read",
            counts.held_partitions,
        ),
    ):
        family = gauge(name, about)
        family.add_metric([], value)
        yield family


def _checks(database: MongoDatabase) -> Iterator[Metric]:
    found = fleet_work.check_figures(database)
    by_severity: dict[tuple[str, ...], float] = {("error",): found.error, ("warn",): found.warn}
    yield _total("failed_checks", "Asset checks that failed, since the installation", by_severity, "severity")
    last = gauge("failed_check_timestamp_seconds", "When checks failed: the last ten errors", "world", "check")
    for (world, check), failed in {(one.world_id, one.check): one for one in found.errors}.items():
        last.add_metric([world, check], failed.at.timestamp())
    yield last


def _tasks(database: MongoDatabase) -> Iterator[Metric]:
    tasks = gauge("tasks", "Tasks of the worlds that changed last", "type", "state")
    for count in fleet.tasks_by_state(database):
        tasks.add_metric([count.task_type.value, count.state.value], count.tasks)
    yield tasks
    seconds = gauge("task_seconds", "From beginning to end, of the tasks that were finished last", "type", "quantile")
    for times in fleet.task_times(database):
        seconds.add_metric([times.task_type.value, "0.5"], times.p50_s)
        seconds.add_metric([times.task_type.value, "0.95"], times.p95_s)
    yield seconds


def _calls(database: MongoDatabase) -> Iterator[Metric]:
    calls = gauge("recent_calls", f"Calls begun {_RECENTLY}", "api", "outcome")
    calling = gauge("recent_call_seconds", f"Sum of what the calls begun {_RECENTLY} took", "api", "outcome")
    waiting = gauge("recent_call_wait_seconds", "Sum of what the same calls waited before they were sent", "api", "outcome")
    cost = gauge("recent_cost_usd", "What the same calls cost, US dollars", "api", "outcome")
    tokens = gauge("recent_tokens", "Tokens of the same calls", "api", "outcome", "kind")
    found = fleet.recent_calls(database)
    minutes = RECENT.total_seconds() / 60
    spend = {api.value: sum(one.cost_usd for one in found if one.api == api.value) / minutes for api in Api}
    yield _of(gauge("spend_usd_per_minute", f"US dollars per minute, over the calls begun {_RECENTLY}", "api"), spend)
    for figures in found:
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
    yield _of(gauge("slots_taken", "Slots that processes hold", "api"), {api: one.taken for api, one in slots.items()})
    yield _of(
        gauge("slots_ceiling", "Calls allowed at once now; below the limit after a 429", "api"),
        {api: one.ceiling for api, one in slots.items()},
    )
    yield _of(gauge("slots_limit", "Calls at once as configured", "api"), {api: one.limit for api, one in slots.items()})
    yield _of(gauge("slots_waiting", "Slots asked for and not granted", "api"), {api: one.waiting for api, one in slots.items()})
    held = gauge(
        "slots_held", f"Slots by world; the {fleet_work.MOST_HOLDERS} worlds with most, the rest as others", "api", "world"
    )
    for one in fleet_work.held_slots(database, {api: Counter(figures.by_run) for api, figures in slots.items()}):
        held.add_metric([one.api, one.world_id], one.slots)
    yield held
    breakers = gauge("breaker", "1 for the state in which the breaker of the api is", "api", "state")
    for api, state in found.breakers.items():
        for possible in BreakerState:
            breakers.add_metric([api, possible.value], possible.value == state)
    yield breakers
    gone = gauge("models_gone", "Models of which Gemini says that they are gone; successors took over")
    gone.add_metric([], len(found.retired))
    yield gone
    retired = gauge("model_retired", "1 for each of these models, with the model that is asked instead", "model", "successor")
    for note in found.retired:
        retired.add_metric([note.model, note.successor or ""], 1)
    yield retired


def _records(database: MongoDatabase) -> Iterator[Metric]:
    unreadable = gauge("unreadable_worlds", "Status records that cannot be read; `generia doctor` names them")
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
    "orders": MetricsSection(_orders),
    "first_calls": MetricsSection(_first_calls, kept_s=FIRST_CALLS_KEPT_S),
    "sensor": MetricsSection(_sensor),
    "dead_letters": MetricsSection(_dead_letters),
    "checks": MetricsSection(_checks),
    "records": MetricsSection(_records, RECORDS_S, RECORDS_KEPT_S),
}


def build_info() -> Metric:
    """The versions of what runs here."""
    versions = {"version": generia_version(), "dagster": version("dagster"), "python": platform.python_version()}
    info = gauge("build_info", "1, with the versions of the pages' server", *versions)
    info.add_metric(list(versions.values()), 1)
    return info


def gauge(name: str, about: str, *labels: str) -> GaugeMetricFamily:
    """A family of gauges under the generator's prefix."""
    return GaugeMetricFamily(f"generia_{name}", about, labels=labels)


def _total(name: str, about: str, values: Mapping[tuple[str, ...], float], *labels: str) -> CounterMetricFamily:
    family = CounterMetricFamily(f"generia_{name}", about, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family


def _of(family: GaugeMetricFamily, values: Mapping[str, float]) -> GaugeMetricFamily:
    for label, value in values.items():
        family.add_metric([label], value)
    return family
