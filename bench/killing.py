"""Killing parts of a stack, and a supervisor that only restarts the parts that ended.

Not here: worlds, and when to kill (kills.py).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path

from bench.stack import TestStack
from generia_assets.processes import Child, last_lines

CODE_SERVER, DAEMON = "code server", "daemon"


class Kill(StrEnum):
    """What is killed, and how. ``kill -9`` where nothing else is said."""

    RUN = "the run"
    CODE_SERVER = "the code server alone"
    DAEMON = "the daemon"
    EVERYTHING = "everything at once"
    STOP_RUN = "SIGTERM to the run"
    STOP_CODE_SERVER = "SIGTERM to the code server"

    @property
    def signal(self) -> signal.Signals:
        return signal.SIGTERM if self in (Kill.STOP_RUN, Kill.STOP_CODE_SERVER) else signal.SIGKILL

    @property
    def hits_run(self) -> bool:
        return self in (Kill.RUN, Kill.EVERYTHING, Kill.STOP_RUN)

    @property
    def parts(self) -> tuple[str, ...]:
        return {
            Kill.CODE_SERVER: (CODE_SERVER,),
            Kill.STOP_CODE_SERVER: (CODE_SERVER,),
            Kill.DAEMON: (DAEMON,),
            Kill.EVERYTHING: (CODE_SERVER, DAEMON),
        }.get(self, ())


class Supervisor:
    """Starts code server and daemon again when they have ended, as a container's restart policy does.

    The runs of a killed code server continue; they are ended with the stack.
    """

    def __init__(self, stack: TestStack) -> None:
        self._stack = stack
        self._starts: dict[str, Callable[[], Child]] = {CODE_SERVER: stack.spawn_code_server, DAEMON: stack.spawn_daemon}
        self._ended: list[Child] = []

    def look(self) -> None:
        """Restart the parts that ended since the last call; return at once."""
        for name, begin in self._starts.items():
            part = self._stack.parts[name]
            if part.exit_code() is not None:
                self._ended.append(part)
                self._stack.parts[name] = begin()

    def last_words(self) -> str:
        """The last log lines of the supervised parts, to explain why nothing happens."""
        return "\n".join(f"{name}:\n{last_lines(self._stack.parts[name].log_path)}" for name in self._starts)

    def clean_up(self) -> None:
        for part in self._ended:
            part.stop(grace=0.0)
        self._ended.clear()


def run_processes(stack: TestStack) -> list[int]:
    """The processes of runs: children of the process from which the code server forks them."""
    return [pid for forker in children(stack.parts[CODE_SERVER].pid) for pid in children(forker)]


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = stat_of(pid)[0]
    except OSError:
        return False
    return state not in "ZX"


@contextmanager
def frozen(pids: Sequence[int]) -> Iterator[None]:
    """Freeze these processes; they continue at the end of the block, unless they were killed meanwhile."""
    _send(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        _send(pids, signal.SIGCONT)


def send(kill: Kill, stack: TestStack, runs: Sequence[int]) -> None:
    pids = [stack.parts[name].pid for name in kill.parts]
    _send([*pids, *(runs if kill.hits_run else ())], kill.signal)


def _send(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.kill(pid, number)


def children(pid: int) -> list[int]:
    """The processes that a process has started: none if it has ended. The kernel lists them by the thread that started them."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended meanwhile
            found += map(int, listed.read_text().split())
    return found


def stat_of(pid: int) -> list[str]:
    """State, parent and so on: the fields after the process name, which can contain any character."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
