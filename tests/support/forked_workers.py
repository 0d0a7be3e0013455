"""pytest-xdist's workers as forks of its controller, which imports the tests before: six interpreters would each take three
seconds of CPU for that.

Not here: which worker runs which file (tests/conftest.py).
"""

from __future__ import annotations

import atexit
import gc
import os
import random
import sys
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import pytest
from _pytest.config import apply_warning_filters
from execnet import gateway_io
from execnet.gateway_base import ExecModel, Popen2IO

ROOT = Path(__file__).parents[2]


class Fork:
    """A fork of this process that waits for what execnet sends it: as much of ``subprocess.Popen`` as execnet uses."""

    def __init__(self, earlier: Sequence[Fork]) -> None:
        (stdin, to_stdin), (from_stdout, stdout) = os.pipe(), os.pipe()
        self.pid = os.fork()
        self.stdin, self.stdout = os.fdopen(to_stdin, "wb"), os.fdopen(from_stdout, "rb")
        if self.pid == 0:
            for fork in (*earlier, self):  # a worker ends when nobody can send it anything
                fork.stdin.close()
                fork.stdout.close()
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
        os.close(stdin)
        os.close(stdout)

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self) -> None:
        os.kill(self.pid, 9)


class ForkIO(gateway_io.Popen2IOMaster):
    """A gateway to one of the forks; to an interpreter when there are no more, as for a worker that replaces another."""

    forks: ClassVar[list[Fork]] = []

    def __init__(self, args: list[str], execmodel: ExecModel) -> None:
        if not self.forks:
            super().__init__(args, execmodel)
            return
        self.popen = fork = self.forks.pop()  # type: ignore[assignment]  # as much of it as execnet uses
        Popen2IO.__init__(self, fork.stdin, fork.stdout, execmodel)


def fork_workers(config: pytest.Config, count: int) -> None:
    """Import the chosen tests and fork: the next gateways that xdist makes are to these forks."""
    gc.disable()
    with warnings.catch_warnings():
        apply_warning_filters(config.getini("filterwarnings"), [])
        for file in _chosen(config):
            with suppress(Exception, pytest.skip.Exception):  # the workers import it again, and report that
                import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    gc.freeze()  # or a collection would copy what they share
    assert threading.active_count() == 1, "a fork of a process with threads may hang"
    for _ in range(count):
        fork = Fork(ForkIO.forks)
        if fork.pid == 0:
            _work()
        ForkIO.forks.append(fork)
    gateway_io.Popen2IOMaster = ForkIO  # type: ignore[misc]
    gc.enable()


def _chosen(config: pytest.Config) -> list[Path]:
    named = [config.invocation_params.dir / argument.split("::")[0] for argument in config.args]
    return [file for path in named for file in (sorted(path.rglob("test_*.py")) if path.is_dir() else [path])]


def _work() -> None:
    """Do what an interpreter does that execnet starts, and end."""
    random.seed()
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    try:
        exec(eval(sys.stdin.readline()), {"__name__": "__main__"})
        atexit._run_exitfuncs()
    finally:
        os._exit(0)
