"""Documents of a fleet as monitors see them, and the samples of ``/metrics``."""

from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families

from generia_assets.durable.collections import HISTORY, STATUS, TASKS
from generia_assets.durable.status import new_status


def ago(seconds):
    return datetime.now(UTC) - timedelta(seconds=seconds)


def world(database, world_id, state, *, age_s=0.0, **values):
    record = new_status(world_id, {}, users=1, posts=1) | {"status": state.value, "created_at": ago(age_s)}
    database[STATUS].insert_one(record | values)


def task(database, world_id, number, task_type, state, *, took_s=1.0):
    entry = {"world_id": world_id, "generation": "g", "type": task_type, "key": str(number), "status": state.value}
    ended = ago(0)
    times = {"started_at": ended - timedelta(seconds=took_s), "updated_at": ended}
    database[TASKS].insert_one({"_id": f"{world_id}:{task_type}:{number}", **entry, **times})


def call(database, api, outcome, *, age_s=1.0, **values):
    tokens = {"prompt": 100, "cached": 0, "output": 20, "thinking": 0}
    at = ago(age_s)
    figures = {"duration_ms": 500, "waited_ms": 250, "tokens": tokens, "cost_usd": 0.01, "created_at": at}
    database[HISTORY].insert_one({"api_type": api, "outcome": outcome, **figures, **values})


def figures(text):
    """Every sample by its name and its labels' values, these in alphabetical order."""
    families = text_string_to_metric_families(text)
    return {(sample.name, *sorted(sample.labels.values())): sample.value for family in families for sample in family.samples}
