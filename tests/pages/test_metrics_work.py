"""``/metrics`` about running and waiting work: right values, bounded labels, few documents read, independent sections."""

from datetime import timedelta
from typing import Any

import pytest

from generia_assets.catalog import TaskType
from generia_assets.durable.collections import FLEET, HISTORY, KEPT_LETTERS, STATUS, TASKS, UNREADABLE_BATCHES
from generia_assets.durable.figures import (
    MOST_OPEN_LETTERS,
    FailedCheck,
    OrdersRead,
    count_dead_letters,
    letter_sent_again,
    record_failed_check,
    record_orders_read,
)
from generia_assets.durable.indexes import ensure_indexes
from generia_assets.durable.status import State
from generia_assets.pages.metrics import SECTIONS, Metrics
from generia_assets.queries import fleet
from generia_assets.queries.fleet import WORLDS_LOOKED_AT
from resources.gemini.model_resolver import Retired
from resources.mongodb.connection import connect
from tests.support.fleet_figures import ago, call, figures, world


@pytest.fixture
def database(mongodb_uri, mongo_database_name):
    with connect(mongodb_uri) as client:
        ensure_indexes(client[mongo_database_name], history_ttl_days=30)
        yield client[mongo_database_name]


def samples(database):
    return figures(Metrics(database).text().decode())


def order(database, number, *, age_s):
    task = {"world_id": f"o{number}", "type": TaskType.INIT_WORLD_CREATION.value, "status": "pending", "accepted_at": ago(age_s)}
    database[TASKS].insert_one({"_id": f"order-{number}", **task})


def holder(run_id, share):
    return {"id": f"{run_id}:1a2b", "share": share, "may_use": share, "wants": share, "expires_at": ago(-60)}


def owner(run_id):
    return {"run_id": run_id, "epoch": 1, "expires_at": ago(-60)}


def test_metrics_have_the_figures_of_waiting_and_running_work(database):
    """Orders, queue, lag, idle and suspended worlds, slots, models, dead letters and checks have the values in MongoDB."""
    world(database, "at-work", State.IN_PROGRESS, age_s=30, owner=owner("run-1"))
    world(database, "idle", State.IN_PROGRESS, updated_at=ago(700), owner=owner("run-2"))
    world(database, "suspended", State.IN_PROGRESS, updated_at=ago(700), parked={"kind": "outage", "since": ago(700)})
    world(database, "done", State.COMPLETED, updated_at=ago(700), parked={"kind": "budget", "since": ago(700)})
    call(database, "llm", "ok", age_s=26, world_id="at-work")
    call(database, "llm", "ok", age_s=20, world_id="at-work")
    call(database, "image_generation", "ok", world_id="at-work", cost_usd=0.05)
    order(database, 1, age_s=90)
    order(database, 2, age_s=10)
    holders = [holder("run-1", 4), holder("run-2", 2), holder("run-3", 1)]
    database[FLEET].insert_one({"_id": "slots:llm", "limit": 15, "ceiling": None, "pause_ms": 0, "holders": holders})
    gone = Retired(model="gemini-old", at=ago(5), successor="gemini-new")
    database[FLEET].insert_one({"_id": "models", "retired": [gone.model_dump()]})
    at = ago(3)
    record_orders_read(database, OrdersRead(at=at, lag={0: 7, 1: 0}, runs_queued=3, oldest_queued_at=at - timedelta(seconds=40)))
    count_dead_letters(database, ["topic[0]@1", "topic[0]@2"])
    letter_sent_again(database, "topic[0]@1")
    leases = [{"_id": f"run:run-{n}", "worker": f"host-{n % 2}:7:x", "expires_at": ago(-60 if n < 3 else 1)} for n in range(4)]
    database[FLEET].insert_many(leases)
    database[KEPT_LETTERS].insert_one({"at": ago(1)})
    database[UNREADABLE_BATCHES].insert_one({"expires_at": ago(-60)})
    for severity in ("warn", "error", "error"):
        record_failed_check(database, FailedCheck(world_id="done", check="exact_posts", severity=severity, at=at))
    found = samples(database)
    expected: dict[tuple[str, ...], Any] = {
        ("generia_worlds_suspended", "outage"): 1,
        ("generia_worlds_suspended", "budget"): 0,
        ("generia_worlds_owned",): 2,
        ("generia_worker_runs", "host-0"): 2,
        ("generia_worker_runs", "host-1"): 1,
        ("generia_orders_waiting", "init_world_creation"): 2,
        ("generia_first_call_seconds", "0.5"): pytest.approx(4, abs=0.5),
        ("generia_slots_held", "at-work", "llm"): 4,
        ("generia_slots_held", "idle", "llm"): 2,
        ("generia_slots_held", "llm", "others"): 1,
        ("generia_model_retired", "gemini-new", "gemini-old"): 1,
        ("generia_models_gone",): 1,
        ("generia_spend_usd_per_minute", "llm"): pytest.approx(0.02 / 5),
        ("generia_spend_usd_per_minute", "image_generation"): pytest.approx(0.05 / 5),
        ("generia_kafka_answers",): 1,
        ("generia_consumer_lag", "0"): 7,
        ("generia_consumer_lag", "1"): 0,
        ("generia_runs_queued",): 3,
        ("generia_oldest_queued_run_seconds",): pytest.approx(40),
        ("generia_orders_read_timestamp_seconds",): pytest.approx(at.timestamp(), abs=0.01),
        ("generia_dead_letters_total",): 2,
        ("generia_dead_letters_unresolved",): 1,
        ("generia_dead_letters_kept",): 1,
        ("generia_partitions_held",): 1,
        ("generia_failed_checks_total", "error"): 2,
        ("generia_failed_checks_total", "warn"): 1,
        ("generia_failed_check_timestamp_seconds", "done", "exact_posts"): pytest.approx(at.timestamp(), abs=0.01),
    }
    assert {name: found.get(name) for name in expected} == expected
    assert [name[1:] for name in found if name[0] == "generia_world_idle_seconds"] == [("idle",)]
    assert 700 <= found[("generia_world_idle_seconds", "idle")] < 760
    assert 90 <= found[("generia_oldest_waiting_order_seconds",)] < 150


def test_series_of_worlds_are_bounded(database):
    """For any number of worlds few have their own series, and one series has the slots of the others."""
    many = fleet.MOST_HOLDERS + 5
    for number in range(many):
        world(database, f"w{number}", State.IN_PROGRESS, updated_at=ago(100 + number), owner=owner(f"run-{number}"))
        record_failed_check(database, FailedCheck(world_id=f"w{number}", check="exact_posts", severity="error", at=ago(0)))
    holders = [holder(f"run-{number}", number + 1) for number in range(many)]
    database[FLEET].insert_one({"_id": "slots:llm", "limit": 400, "ceiling": None, "pause_ms": 0, "holders": holders})
    count_dead_letters(database, [f"topic[0]@{number}" for number in range(MOST_OPEN_LETTERS + 1)])
    found = samples(database)
    slots = {name[1:]: value for name, value in found.items() if name[0] == "generia_slots_held"}
    assert slots[("llm", "others")] == sum(range(1, 6))
    assert len(slots) == fleet.MOST_HOLDERS + 1
    assert sum(slots.values()) == found[("generia_slots_taken", "llm")]
    assert sum(name[0] == "generia_world_idle_seconds" for name in found) == fleet.MOST_IDLE
    assert sum(name[0] == "generia_failed_check_timestamp_seconds" for name in found) == 10
    assert found[("generia_dead_letters_total",)] == MOST_OPEN_LETTERS + 1
    assert found[("generia_dead_letters_unresolved",)] == MOST_OPEN_LETTERS


DAMAGED = [
    ("outside", FLEET, {"_id": "slots:llm", "holders": "three"}),
    ("outside", FLEET, {"_id": "models", "retired": [{"model": "m", "at": "yesterday"}]}),
    ("orders", TASKS, {"_id": "o", "type": "init_world_creation", "status": "pending", "accepted_at": "yesterday"}),
    ("sensor", FLEET, {"_id": "orders-read", "at": 5}),
    ("dead_letters", FLEET, {"_id": "dead-letters", "open": 5}),
    ("checks", FLEET, {"_id": "checks", "error": "many"}),
]


@pytest.mark.parametrize(("section", "collection", "document"), DAMAGED, ids=[f"{one[0]}-{n}" for n, one in enumerate(DAMAGED)])
def test_a_damaged_document_affects_only_its_section(database, section, collection, document):
    """A section whose document cannot be read is left out and marked; all others are complete."""
    database[collection].insert_one(document)
    measured = {name[1]: value for name, value in samples(database).items() if name[0] == "generia_measured"}
    assert {name for name, value in measured.items() if not value} == {section}
    assert measured.keys() == SECTIONS.keys()


def test_waiting_work_is_found_without_reading_finished_work(database):
    """The cost of a scrape depends on the active worlds and orders, not on finished ones."""
    for number in range(200):
        world(database, f"over-{number}", State.COMPLETED, age_s=3600 * 24, updated_at=ago(500 + number))
        database[TASKS].insert_one(
            {"_id": f"t{number}", "type": "init_world_creation", "status": "completed", "accepted_at": ago(9)}
        )
    world(database, "w", State.IN_PROGRESS, age_s=60, updated_at=ago(90), owner=owner("run-1"))
    for number in range(100):
        call(database, "llm", "ok", age_s=50 - number / 10, world_id="w")
    order(database, 1, age_s=5)
    database.command("profile", 2)
    try:
        for query in (
            fleet.waiting_orders,
            fleet.suspended_worlds,
            fleet.owned_worlds,
            fleet.first_call_seconds,
        ):
            query(database)
        list(fleet.idle_worlds(database))
    finally:
        database.command("profile", 0)
    examined = {}
    for entry in database["system.profile"].find({"ns": {"$regex": f"{TASKS}$|{STATUS}$|{HISTORY}$"}}):
        assert "COLLSCAN" not in entry["planSummary"]
        examined[entry["ns"].partition(".")[2]] = max(examined.get(entry["ns"].partition(".")[2], 0), entry["docsExamined"])
    assert (examined[TASKS], examined[HISTORY]) == (1, 0)
    assert examined[STATUS] <= WORLDS_LOOKED_AT
