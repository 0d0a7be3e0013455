"""``/metrics``: the fleet's figures for monitors, from a real MongoDB: cheap to read, and left out if they cannot be read."""

import time
from dataclasses import replace
from typing import Any

import pytest
import requests

from generia_assets.durable.collections import FLEET, HISTORY, TASKS
from generia_assets.durable.indexes import ensure_indexes
from generia_assets.durable.status import State
from generia_assets.pages import metrics
from generia_assets.pages.metrics import SECTIONS, Metrics
from generia_assets.queries import fleet
from resources.mongodb.connection import connect
from tests.support.fleet_figures import ago, call, figures, task, world
from tests.support.pages_site import serving
from tests.support.waiting import slowness


@pytest.fixture
def database(mongodb_uri, mongo_database_name):
    with connect(mongodb_uri) as client:
        ensure_indexes(client[mongo_database_name], history_ttl_days=30)
        yield client[mongo_database_name]


def test_metrics_have_the_figures_of_the_fleet(database, mongodb_uri, tmp_path):
    """Worlds, dollars, tasks and their times, calls, slots and breakers have the values in MongoDB, in Prometheus' format."""
    world(database, "w1", State.IN_PROGRESS, age_s=600, llm_cost_total=0.5, image_cost_total=0.25, api_calls_made_LLM=7)
    world(database, "w2", State.COMPLETED, age_s=9000, llm_cost_total=1.0)
    for number in range(10):
        task(database, "w1", number, "generate_post", State.COMPLETED, took_s=number + 1)
    task(database, "w1", 10, "generate_post", State.PENDING)
    call(database, "llm", "ok")
    call(database, "llm", "ok")
    call(database, "llm", "rate_limited")
    call(database, "llm", "ok", age_s=fleet.RECENT.total_seconds() + 5)
    alive, dead = ago(-60), ago(1)
    holders = [
        {"id": "a", "share": 4, "may_use": 4, "wants": 9, "expires_at": alive},
        {"id": "b", "share": 2, "may_use": 2, "wants": 2, "expires_at": dead},
    ]
    database[FLEET].insert_one({"_id": "slots:llm", "limit": 15, "ceiling": 11.25, "pause_ms": 0, "holders": holders})
    entry = {"api": "llm", "state": "open", "since": ago(0), "probe_at": ago(0), "expires_at": alive}
    database[FLEET].insert_one({"_id": "breaker:llm:run-1", **entry})
    with serving(mongodb_uri, database.name, tmp_path) as address:
        answer = requests.get(f"{address}/metrics", timeout=60)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = figures(answer.text)
    expected: dict[tuple[str, ...], Any] = {
        ("generia_worlds", "in_progress"): 1,
        ("generia_worlds", "completed"): 1,
        ("generia_worlds", "failed"): 0,
        ("generia_spent_usd", "llm"): 1.5,
        ("generia_spent_usd", "image_generation"): 0.25,
        ("generia_calls_made", "llm"): 7,
        ("generia_tasks", "completed", "generate_post"): 10,
        ("generia_tasks", "generate_post", "pending"): 1,
        ("generia_task_seconds", "0.5", "generate_post"): pytest.approx(5.0),
        ("generia_task_seconds", "0.95", "generate_post"): pytest.approx(10.0),
        ("generia_recent_calls", "llm", "ok"): 2,
        ("generia_recent_calls", "llm", "rate_limited"): 1,
        ("generia_recent_call_seconds", "llm", "ok"): pytest.approx(1.0),
        ("generia_recent_call_wait_seconds", "llm", "ok"): pytest.approx(0.5),
        ("generia_recent_cost_usd", "llm", "ok"): pytest.approx(0.02),
        ("generia_recent_tokens", "llm", "ok", "prompt"): 200,
        ("generia_slots_taken", "llm"): 4,
        ("generia_slots_waiting", "llm"): 5,
        ("generia_slots_ceiling", "llm"): 11,
        ("generia_slots_limit", "llm"): 15,
        ("generia_breaker", "llm", "open"): 1,
        ("generia_breaker", "closed", "llm"): 0,
        ("generia_models_gone",): 0,
        **{("generia_measured", part): 1 for part in SECTIONS},
    }
    assert {name: samples.get(name) for name in expected} == expected
    assert 600 <= samples[("generia_oldest_unfinished_world_seconds",)] < 660


def test_an_empty_database_has_figures_too(database):
    """Before the first order no series is missing whose absence would look like an outage."""
    samples = figures(Metrics(database).text().decode())
    assert samples[("generia_worlds", "pending")] == samples[("generia_oldest_unfinished_world_seconds",)] == 0
    assert [samples[("generia_measured", part)] for part in SECTIONS] == [1] * len(SECTIONS)


def test_figures_come_from_indexes(database):
    """Tasks are counted with an index alone, and calls are found by their time, for any number of them."""
    world(database, "w1", State.IN_PROGRESS)
    for number in range(300):
        task(database, "w1", number, "generate_post", State.COMPLETED)
        call(database, "llm", "ok", age_s=10_000)
    database.command("profile", 2)
    try:
        list(fleet.tasks_by_state(database))
        list(fleet.task_seconds(database))
        list(fleet.recent_calls(database))
    finally:
        database.command("profile", 0)
    profiled = list(database["system.profile"].find({"ns": {"$in": [f"{database.name}.{TASKS}", f"{database.name}.{HISTORY}"]}}))
    assert {entry["planSummary"].split()[0] for entry in profiled} == {"IXSCAN"}
    counted, *timed = [entry for entry in profiled if entry["ns"].endswith(TASKS)]
    assert counted["docsExamined"] == 0
    assert max(entry["docsExamined"] for entry in timed) <= fleet.TASKS_TIMED
    assert [entry["docsExamined"] for entry in profiled if entry["ns"].endswith(HISTORY)] == [0]


def test_many_monitors_ask_mongodb_once(database, monkeypatch):
    """Within some seconds the figures are read once, and then again."""
    monkeypatch.setattr(metrics, "KEPT_S", 3_600.0)
    reader = Metrics(database)
    before = reader.text()
    world(database, "w1", State.PENDING)
    assert reader.text() == before
    monkeypatch.setattr(metrics, "KEPT_S", 0.0)
    assert figures(reader.text().decode())[("generia_worlds", "pending")] == 1


@pytest.mark.slow
def test_unreadable_figures_are_left_out_and_marked(monkeypatch):
    """Without MongoDB the figures are left out instead of being zero, and `generia_measured` is 0 for each part, in bounded
    time."""
    monkeypatch.setitem(SECTIONS, "worlds", replace(SECTIONS["worlds"], seconds=0.02))  # the first collection that is read
    with connect("mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=20") as client:
        began = time.monotonic()
        samples = figures(Metrics(client.nowhere).text().decode())
    assert {name: value for name, value in samples.items() if name[0] != "generia_build_info"} == {
        ("generia_measured", part): 0 for part in SECTIONS
    }
    assert time.monotonic() - began < 5 * slowness()
