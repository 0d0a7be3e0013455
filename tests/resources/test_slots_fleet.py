"""The main invariant of slots under random load: never more calls in flight than the limit, in one process and over several."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from resources.gateway.concurrency import ConcurrencyLimiter
from resources.mongodb.connection import connect_async
from tests.support.slots_tools import Callers, Gauge

LIMIT = 6
PROCESS = """
import asyncio, sys, threading, time
from resources.mongodb.connection import connect_async
from resources.gateway.concurrency import ConcurrencyLimiter

stopped = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()

async def main(uri, database, holder):
    async with connect_async(uri) as client:
        slots = ConcurrencyLimiter(client[database].fleet, "llm", limit=3, lease_seconds=10, holder=holder)
        async def caller():
            while not stopped.is_set():
                async with slots.slot(0):
                    began = time.time()
                    await asyncio.sleep(0.02)
                    print(began, time.time(), flush=True)
        await asyncio.gather(*(caller() for _ in range(5)))
        await slots.aclose()

asyncio.run(main(*sys.argv[1:4]))
"""


@pytest.mark.parametrize("seed", range(4))
async def test_random_load_never_passes_the_limit_and_leaves_nothing_behind(mongodb_uri, mongo_database_name, seed):
    """Processes start, work unevenly, are cancelled and end: the limit holds, and at the end all slots are free."""
    dice, gauge = random.Random(seed), Gauge()
    async with connect_async(mongodb_uri) as client:
        fleet = client[mongo_database_name].fleet

        async def process(number):
            slots = ConcurrencyLimiter(fleet, "llm", limit=LIMIT, lease_seconds=20, holder=f"p{number}")
            for _ in range(dice.randint(1, 3)):
                callers = Callers(slots, dice.randint(1, 12), lambda: dice.uniform(0.001, 0.05), gauge)
                await asyncio.sleep(dice.uniform(0.05, 0.8))
                await callers.stop()
                await asyncio.sleep(dice.uniform(0, 0.4))
            assert (slots.queue.in_use, slots.queue.waiting) == (0, 0)
            await slots.aclose()

        async with asyncio.TaskGroup() as group:
            for number in range(dice.randint(2, 8)):
                group.create_task(process(number))
        assert 1 <= gauge.most <= LIMIT
        assert (await fleet.find_one({"_id": "slots:llm"}))["holders"] == []


def test_real_processes_share_the_limit_and_none_starves(mongodb_uri, mongo_database_name, tmp_path):
    """Four processes with backlogs share three slots: there is never a fourth call in flight, and each process makes calls."""
    script = tmp_path / "caller.py"
    script.write_text(PROCESS)
    command = [sys.executable, "-P", script, mongodb_uri, mongo_database_name]
    root = Path(__file__).parents[2]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([*command, f"p{n}"], **pipes, cwd=root, env={"PYTHONPATH": str(root)}) for n in range(4)]
    first = [[process.stdout.readline() for _ in range(3)] for process in running]  # of each of them
    outputs = ["".join(lines) + process.communicate(timeout=60)[0] for process, lines in zip(running, first, strict=True)]
    calls = [[tuple(map(float, line.split())) for line in output.splitlines()] for output in outputs]
    assert min(map(len, calls)) >= 3
    edges = sorted([(began, 1) for each in calls for began, _ in each] + [(ended, -1) for each in calls for _, ended in each])
    in_flight = most = 0
    for _, step in edges:
        in_flight += step
        most = max(most, in_flight)
    assert most == 3
