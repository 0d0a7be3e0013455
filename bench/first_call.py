"""From a message in Kafka to the first call of the model: where the seconds go, with warm starts and without.

Each order is sent at a seeded moment of the sensor's interval of five seconds, because real orders come at any moment. No fault is
injected. The bound of a run is the sum of the shortest time seen for each step, in which nothing waits.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
from rich.console import Console

from bench.report import Options, Report, run
from bench.stack import TestStack, await_end, known_status, wait_for
from generia_assets.durable.collections import HISTORY

MOST_TIMES_THE_BOUND = 2.5
"""The median may be so many times the bound: Dagster's queue is looked at once a second, which costs half a second on average."""
GRID_SECONDS = 5.0
"""Dagster's sensor loop comes round so often."""
LEGS = ("recorded", "run queued", "process at work", "first step", "first call")


@dataclass(frozen=True)
class Way:
    """Seconds from the sending of a message to each station."""

    stations: tuple[float, ...]

    @property
    def legs(self) -> Iterator[float]:
        before = 0.0
        for station in self.stations:
            yield station - before
            before = station


def way_of(stack: TestStack) -> Way:
    """Order the smallest world and follow it to its first call."""
    sent = time.time()
    world_id = stack.order(users=1, posts=0)
    with stack.database() as database, stack.instance() as instance:
        call = wait_for("the first call", lambda: database[HISTORY].find_one({"world_id": world_id, "api_type": "llm"}), seconds=60)
        status = known_status(database, world_id)
        (record,) = instance.get_run_records(dg.RunsFilter(tags={"dagster/partition": world_id}), limit=1)
        steps = instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.STEP_START)
        await_end(database, world_id, seconds=60)
    if record.start_time is None:
        raise RuntimeError(f"the run of world {world_id} has no start")
    moments = (
        status.created_at.timestamp(),
        record.create_timestamp.timestamp(),
        record.start_time,
        min(step.timestamp for step in steps),
        call["created_at"].timestamp(),
    )
    return Way(tuple(moment - sent for moment in moments))


def harness(options: Options, console: Console) -> Report:
    """Send the orders, warm and cold, and compare the medians with what is allowed."""
    orders = 4 if options.quick else 20
    dice = random.Random(options.seed)
    rows: list[tuple[str, ...]] = []
    figures: dict[str, object] = {"orders": orders}
    wrong: list[str] = []
    for start in ("warm",) if options.quick else ("warm", "cold"):
        with TestStack(seed=options.seed, settings={"GENERIA_COLD_START": "1" if start == "cold" else ""}) as stack:
            stack.start_servers()
            stack.start_dagster()
            way_of(stack)  # the first run starts with empty caches
            ways = []
            for _ in range(orders):
                time.sleep(dice.uniform(0, GRID_SECONDS))
                ways.append(way_of(stack))
        for name, seconds in zip(LEGS, zip(*(way.legs for way in ways), strict=True), strict=True):
            rows.append((start, name, *_spread(seconds)))
        totals = [way.stations[-1] for way in ways]
        rows.append((start, "in all", *_spread(totals)))
        median, bound = statistics.median(totals), sum(min(way) for way in zip(*(way.legs for way in ways), strict=True))
        figures[f"{start}_median_s"] = round(median, 2)
        figures[f"{start}_times_the_bound"] = round(median / bound, 2)
        if median > MOST_TIMES_THE_BOUND * bound:
            wrong.append(f"{start}: the median is {median:.1f} s, {median / bound:.1f} times the bound of {bound:.1f} s")
        console.print(f"{start}: {orders} orders")
    return Report(not wrong, figures, ("start", "leg", "min s", "median s", "max s"), rows, wrong)


def _spread(seconds: tuple[float, ...] | list[float]) -> tuple[str, str, str]:
    return f"{min(seconds):.2f}", f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}"


if __name__ == "__main__":
    run("first_call", __doc__.splitlines()[0], harness)
