"""``python -m bench.retired``: how fast Dagster is with 50,000 worlds in its storage, and after ``generia retire``.

One world is made. Then its rows in Dagster's storage (run, tags, events, checks, partition) are copied under other ids for each
other world, its status record too; files of a run (events, logs) become hard links to those of the one run; no measurement reads
them. Each figure is measured three times: with few worlds, with all of them, and after they are retired. The GraphQL queries are
those of Dagster's pages, over HTTP; the ticks and the start of a run are those of a running daemon.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import dagster as dg
import sqlalchemy as db
from rich.console import Console
from sqlalchemy.engine import Connection

from bench.first_call import way_of
from bench.report import Options, Report, run
from bench.stack import ROOT, TestStack, await_end, wait_for
from emulators.lifecycle import accepts_connections, free_port
from generia_assets.durable.collections import STATUS
from generia_assets.retirement import WORLD_TAG, in_batches

MANY, QUICK = 50_000, 500
OLD = timedelta(days=60)
DAYS = 30
COPIED_AT_ONCE = 250
ASKED = 5
"""Times that each query is sent; the median counts."""
MOST_SLOWER, ALLOWANCE_S = 2.0, 0.1
"""How much longer a query may take after retiring than with one world; the allowance is for the machine."""

ASSET = {"path": ["posts"]}
SELECTOR = {"pipelineName": "world", "repositoryName": "__repository__", "repositoryLocationName": "generia"}
QUERIES: dict[str, tuple[str, dict[str, object]]] = {
    "asset page: health of partitions": (
        """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
             partitionStats { numMaterialized numPartitions numFailed numMaterializing }
             partitionKeysByDimension { name partitionKeys }
             assetPartitionStatuses { ... on DefaultPartitionStatuses {
               materializedPartitions materializingPartitions failedPartitions unmaterializedPartitions } } } } }""",
        {"key": ASSET},
    ),
    "asset page: newest events": (
        """query($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset {
             assetMaterializations(limit: 100) { runId timestamp partition } } } }""",
        {"key": ASSET},
    ),
    "lineage: all assets": (
        "{ assetNodes { id partitionStats { numMaterialized numPartitions numFailed numMaterializing } } }",
        {},
    ),
    "runs page": (
        """{ runsOrError(limit: 30) { ... on Runs { results { id status startTime endTime tags { key value } } } }
             runsFeedCountOrError(view: RUNS) { ... on RunsFeedCount { count } } }""",
        {},
    ),
    "launchpad: partitions to choose": (
        """query($pipeline: PipelineSelector!) { pipelineOrError(params: $pipeline) { ... on Pipeline {
             partitionKeysOrError { partitionKeys } } } }""",
        {"pipeline": SELECTOR},
    ),
}


@dataclass
class Figures:
    """The figures of one measurement: seconds by name."""

    worlds: int
    seconds: dict[str, float] = field(default_factory=dict)


class Measured:
    """A stack with a webserver, and its measurements."""

    def __init__(self, stack: TestStack) -> None:
        self._stack = stack
        self._port = free_port()
        argv = ["-m", "generia_assets.webserver", "--port", str(self._port), "-w", str(stack.folder / "workspace.yaml")]
        child = stack.parts["webserver"] = stack._spawn("webserver", [sys.executable, *argv])
        child.wait_until(lambda: accepts_connections(self._port) or None, 60)

    def ask(self, query: str, variables: dict[str, object]) -> dict[str, Any]:
        """The answer of Dagster's webserver. Raises ``RuntimeError`` if it is an error."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            found: dict[str, Any] = json.load(answer)
        if found.get("errors"):
            raise RuntimeError(f"Dagster's GraphQL: {found['errors'][0]['message']}")
        return found["data"]  # type: ignore[no-any-return]

    def measure(self, worlds: int) -> Figures:
        """Send each query, read the watchdog's next ticks, and make a world."""
        figures = Figures(worlds)
        for name, (query, variables) in QUERIES.items():
            self.ask(query, variables)  # the first query fills caches
            figures.seconds[name] = median(_timed(partial(self.ask, query, variables)) for _ in range(ASKED))
        figures.seconds["tick of the watchdog"] = self._tick("watchdog")
        ways = [way_of(self._stack).stations for _ in range(3)]
        figures.seconds["from the recorded order to the first call"] = median(way[-1] - way[0] for way in ways)
        return figures

    def _tick(self, sensor: str) -> float:
        began = time.time()
        with self._stack.instance() as instance:

            def done() -> list[float] | None:
                for state in instance.all_instigator_state():
                    if state.instigator_name == sensor:
                        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, after=began, limit=10)
                        ended = [tick.end_timestamp - tick.timestamp for tick in ticks if tick.end_timestamp]
                        return ended if len(ended) >= 3 else None
                return None

            return median(wait_for("ticks", done, seconds=120, every=0.5))


def _timed(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def fill(stack: TestStack, world: str, worlds: int) -> None:
    """Copy the records that Dagster and MongoDB have of this world, under this number of other ids."""
    with stack.instance() as instance, stack.database() as database:
        (model,) = instance.get_runs(dg.RunsFilter(tags={WORLD_TAG: world}))
        events: Any = instance.event_log_storage
        runs: Any = instance.run_storage
        status = database[STATUS].find_one({"_id": world}) or {}
        old = {"updated_at": datetime.now(UTC) - OLD, "events_pending": None}
        logs = Path(stack.env["DAGSTER_HOME"], "storage", model.run_id)
        with events.index_connection() as index, runs.connect() as of_runs:
            tables = {
                events.index_connection: {
                    "event_logs": _rows(index, "event_logs", "run_id", model.run_id),
                    "asset_check_executions": _rows(index, "asset_check_executions", "run_id", model.run_id),
                    "dynamic_partitions": _rows(index, "dynamic_partitions", "partition", world),
                },
                runs.connect: {name: _rows(of_runs, name, "run_id", model.run_id) for name in ("runs", "run_tags")},
            }
        for batch in in_batches(iter(range(worlds)), COPIED_AT_ONCE):
            ids = [(str(uuid.uuid4()), str(uuid.uuid4())) for _ in batch]
            for connect, rows in tables.items():
                with connect() as connection:
                    for name, of_table in rows.items():
                        _copy(connection, name, of_table, ids, (model.run_id, world))
            for run_id, _ in ids:
                _link(instance, model.run_id, run_id, logs)
            database[STATUS].insert_many([{**status, **old, "_id": other} for _, other in ids])


def _rows(connection: Connection, table: str, column: str, value: str) -> list[dict[str, Any]]:
    found = db.text(f"SELECT * FROM {table} WHERE {column} = :value ORDER BY id")
    return [
        {name: one for name, one in row.items() if name != "id"} for row in connection.execute(found, {"value": value}).mappings()
    ]


def _copy(
    connection: Connection, table: str, rows: list[dict[str, Any]], ids: list[tuple[str, str]], model: tuple[str, str]
) -> None:
    """Insert the rows once for each pair of a run id and a world id, which replace those of the original."""
    columns, values = ", ".join(rows[0]), ", ".join(f":{name}" for name in rows[0])
    copies = [
        {name: _under(value, dict(zip(model, pair, strict=True))) for name, value in row.items()} for pair in ids for row in rows
    ]
    connection.execute(db.text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), copies)


def _under(value: object, names: dict[str, str]) -> object:
    if isinstance(value, str):
        for name, other in names.items():
            value = value.replace(name, other)
    return value


def _link(instance: dg.DagsterInstance, model: str, run_id: str, logs: Path) -> None:
    events: Any = instance.event_log_storage
    if hasattr(events, "path_for_shard"):
        os.link(events.path_for_shard(model), events.path_for_shard(run_id))
    for file in (path for path in logs.rglob("*") if path.is_file()):
        copy = logs.parent / run_id / file.relative_to(logs)
        copy.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, copy)


def harness(options: Options, console: Console) -> Report:
    many = QUICK if options.quick else options.tries or MANY
    with TestStack(seed=options.seed) as stack:
        stack.start_servers()
        stack.start_dagster()
        world = stack.order(users=1, posts=1)
        with stack.database() as database:
            await_end(database, world, seconds=120)
        with stack.instance() as instance:
            ended = dg.RunsFilter(tags={WORLD_TAG: world}, statuses=[dg.DagsterRunStatus.SUCCESS])
            wait_for("the end of its run", lambda: instance.get_runs(ended) or None, seconds=60)
        measured = Measured(stack)
        found = [measured.measure(1)]
        console.print("one world is measured")
        filled_s = _timed(lambda: fill(stack, world, many))
        console.print(f"{many} worlds are copied in {filled_s:.0f} s")
        found.append(measured.measure(many))
        console.print("they are measured")
        seconds, printed = _retire(stack)
        console.print(f"{printed.strip()} {seconds:.0f} s")
        found.append(measured.measure(1))
    return judged(found, many, seconds)


def _retire(stack: TestStack) -> tuple[float, str]:
    argv = [str(Path(sys.executable).with_name("generia")), "retire", "--older-than", str(DAYS), "--yes"]
    began = time.perf_counter()
    done = subprocess.run(argv, env={**os.environ, **stack.env}, cwd=ROOT, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, done.stdout


def judged(found: list[Figures], many: int, retire_s: float) -> Report:
    """The figures, and every query that is slower after retiring than with one world."""
    one, _, retired = found
    wrong = [
        f"{name}: {seconds:.3f} s after retiring, {one.seconds[name]:.3f} s with one world"
        for name, seconds in retired.seconds.items()
        if seconds > MOST_SLOWER * one.seconds[name] + ALLOWANCE_S
    ]
    rows = [(name, *(f"{figures.seconds[name]:.3f}" for figures in found)) for name in one.seconds]
    figures: dict[str, object] = {"worlds": many, "retire_s": round(retire_s, 1), "ms_per_world": round(retire_s / many * 1000, 1)}
    figures |= {name: [round(at.seconds[name], 3) for at in found] for name in one.seconds}
    return Report(not wrong, figures, ("seconds", "one world", f"{many} worlds", "after retire"), rows, wrong)


if __name__ == "__main__":
    run("retired", __doc__.splitlines()[0], harness)
