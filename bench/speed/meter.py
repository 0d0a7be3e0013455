"""The resources that a measurement uses: CPU of each process, commands of MongoDB, memory of the run. It reads /proc, so it needs
Linux.

Here: ``Meter``, which counts between two moments. Not here: the work in between (session.py).
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.killing import CODE_SERVER, children, run_processes, stat_of
from bench.stack import TestStack
from resources.mongodb.connection import MongoDatabase

RUN = "run"
LOOK_SECONDS = 0.5
"""How often the run's memory is looked at."""
_TICKS = os.sysconf("SC_CLK_TCK")
_UTIME, _CHILDREN = slice(11, 13), slice(13, 15)
"""Places in /proc/PID/stat, after the name: its own time in user and system mode, and that of its children that have ended."""


@dataclass(frozen=True)
class Spent:
    """CPU seconds by process, commands by kind, the highest resident memory of a run in MB."""

    cpu: Mapping[str, float]
    commands: Mapping[str, int]
    peak_mb: float


class Meter:
    """Counts from the beginning of the block. Runs that ended meanwhile are counted whole: by the process that forked them."""

    def __init__(self, stack: TestStack, database: MongoDatabase) -> None:
        self._stack = stack
        self._database = database
        self._peak_kb = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
        self.own_finds = 0
        """Finds of the harness itself: they are not counted."""

    def __enter__(self) -> Self:
        self._cpu, self._commands = self._cpu_now(), self._commands_now()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def spent(self) -> Spent:
        cpu, commands = self._cpu_now(), self._commands_now()
        commands.subtract(self._commands)
        commands["find"] -= self.own_finds
        seconds = {name: cpu[name] - self._cpu.get(name, 0.0) for name in cpu}
        return Spent(seconds, {kind: number for kind, number in commands.items() if number > 0}, self._peak_kb / 1024)

    def _cpu_now(self) -> dict[str, float]:
        def of_tree(pid: int) -> float:
            return _cpu(pid, _UTIME) + _cpu(pid, _CHILDREN) + sum(map(of_tree, children(pid)))

        found = {name: of_tree(part.pid) for name, part in self._stack.parts.items() if name != CODE_SERVER}
        server = self._stack.parts[CODE_SERVER].pid
        forkers = children(server)
        found[CODE_SERVER] = sum(_cpu(pid, _UTIME) for pid in (server, *forkers))
        found[RUN] = sum(_cpu(pid, _CHILDREN) for pid in forkers) + sum(map(of_tree, run_processes(self._stack)))
        return found

    def _commands_now(self) -> Counter[str]:
        status = self._database.client.admin.command("serverStatus")["metrics"]["commands"]
        found: Counter[str] = Counter(
            {kind: one["total"] for kind, one in status.items() if isinstance(one, dict) and "total" in one}
        )
        # The replica set's own, and the harness's.
        return Counter({kind: number for kind, number in found.items() if kind not in _NOT_OURS})

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            for pid in run_processes(self._stack):
                with suppress(OSError, StopIteration):  # it has ended meanwhile
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                    self._peak_kb = max(self._peak_kb, int(next(line for line in lines if line.startswith("VmHWM")).split()[1]))


_NOT_OURS = frozenset({"hello", "isMaster", "ping", "serverStatus", "replSetHeartbeat", "buildInfo", "endSessions", "saslStart"})


def _cpu(pid: int, places: slice) -> float:
    try:
        return sum(map(int, stat_of(pid)[places])) / _TICKS
    except OSError:  # it has ended meanwhile
        return 0.0


def fixed_loop() -> float:
    """CPU seconds of a fixed loop, which measures the present speed of the machine: the least of three."""
    found = []
    for _ in range(3):
        began = time.process_time()
        sum(i * i for i in range(2_000_000))
        found.append(time.process_time() - began)
    return min(found)
