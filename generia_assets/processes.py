"""Child processes: of the ``generia`` command, of the embedded servers and of the tests.

Not here: which processes a command starts (cli, local_services), and what the embedded servers do when they are started
(emulators/lifecycle.py reads the options ``--ready-file`` and ``--parent-pid``).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from errno import ENOENT
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

POLL_S = 0.01
# A program of ours stops its own child first, so it needs longer than that child may take.
_GRACE_S = 10.0
_GRACE_OF_OURS_S = 15.0
_LAST_LINES = 20
_LAST_BYTES = 16_384

ProbeT = TypeVar("ProbeT")


class ProcessError(RuntimeError):
    """A required process cannot be started, or has ended. The message says what to do."""


class ChildFailedError(ProcessError):
    """A process ended by itself, or was not ready in time.

    ``last_lines`` is the end of its log; ``exit_code`` is None while the process lives (negative: ended by that signal).
    """

    def __init__(self, child: Child, what: str) -> None:
        """``what`` happened to it, such as ``was not ready``."""
        self.last_lines = last_lines(child.log_path)
        self.exit_code = child.exit_code()
        super().__init__(f"{child.name} {what}. The end of its log, {child.log_path}:\n{self.last_lines or '(empty)'}")


class Child:
    """A process in a session of its own: a Ctrl-C in the terminal reaches only its parent, which then stops it in order.

    As a context manager it is stopped at the end of the block.
    """

    def __init__(
        self, name: str, process: subprocess.Popen[bytes], log_path: Path | None, grace: float, ready_file: Path | None = None
    ) -> None:
        self.name = name
        self._log_path = log_path
        self._ready_file = ready_file
        self.ready_value = ""
        """What the process wrote to its ready file, without the newline: usually the address it serves at."""
        self._process = process
        self._grace = grace
        self._stopped = False

    @property
    def log_path(self) -> Path:
        """The file of its output. Raises ``ValueError`` if it shares this process's output."""
        if self._log_path is None:
            raise ValueError(f"{self.name} has no log of its own")
        return self._log_path

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """How it ended (negative: by that signal), or None while it lives."""
        return self._process.poll()

    def ready(self) -> bool:
        """Whether a program of ours (``launch``) has reported that it can be used."""
        if not self.ready_value and self._ready_file is not None and self._ready_file.exists():
            self.ready_value = self._ready_file.read_text().strip()  # empty: not written to yet
        return bool(self.ready_value)

    def check(self) -> None:
        """Raise ``ChildFailedError`` if it has ended."""
        code = self.exit_code()
        if code is not None:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise ChildFailedError(self, how)

    def wait_until(self, probe: Callable[[], ProbeT | None], timeout: float) -> ProbeT:
        """Ask ``probe`` until it gives something other than None and return that.

        Raises ``ChildFailedError`` when the process ends first or ``timeout`` seconds are over; it is then not stopped yet.
        """
        deadline = time.monotonic() + timeout
        while True:
            found = probe()
            if found is not None:
                return found
            self.check()
            if time.monotonic() > deadline:
                raise ChildFailedError(self, f"was not ready within {timeout:g} s")
            time.sleep(POLL_S)

    def stop(self, grace: float | None = None) -> int:
        """End the process and its group: SIGTERM, ``grace`` seconds to end in order, then SIGKILL. Returns the exit code.

        Without ``grace`` it has 10 seconds, or 15 if it is one of ours (``start``). May be called after the process has ended by
        itself, for what that left behind, and again, which does nothing.
        """
        if self._stopped:  # another group may have the number by now
            return self._process.wait()
        self._stopped = True
        self._signal_group(signal.SIGTERM)
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(self._grace if grace is None else grace)
        finally:
            self._signal_group(signal.SIGKILL)
        return self._process.wait()

    def kill(self) -> None:
        """Kill the process alone: its own children live on until ``stop``."""
        self._process.kill()
        self._process.wait()

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # the group is empty, or on macOS has only dead processes
            os.killpg(self.pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def spawn(
    name: str,
    argv: Sequence[str | Path],
    *,
    log_path: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Child:
    """Start any program and return at once. Its output goes to ``log_path`` (the log of its former run is kept as ``.1``); without
    it, to this process's output.

    ``env`` is added to this process's environment. On Linux the kernel sends the program SIGTERM when the calling thread
    is gone, however it died; elsewhere a killed process leaves it behind. Raises ``FileNotFoundError`` if there is no such program.
    """
    return Child(name, _popen([*_dying_with(os.getpid(), argv[0]), *argv], log_path, env, cwd), log_path, _GRACE_S)


def launch(
    name: str, argv: Sequence[str | Path], *, log_path: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Child:
    """Start a program of ours and return at once; ``ready`` is true when it can be used, and ``ready_value`` then its address.

    Adds ``--ready-file`` (beside the log) and ``--parent-pid`` to ``argv``: the two options of emulators/lifecycle.py.
    """
    ready_file = log_path.with_suffix(".ready").absolute()
    ready_file.unlink(missing_ok=True)
    arguments = [*argv, "--ready-file", ready_file, "--parent-pid", str(os.getpid())]
    # The program watches this process itself, so it needs no signal from the kernel.
    return Child(name, _popen(arguments, log_path, env, cwd), log_path, _GRACE_OF_OURS_S, ready_file)


def start(
    name: str,
    argv: Sequence[str | Path],
    *,
    log_path: Path,
    timeout: float = 30.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Child:
    """Launch a program of ours and return when it is ready; ``ready_value`` is then the content of its ready file.

    Raises ``ChildFailedError``, with nothing left running, if it ends or is not ready within ``timeout`` seconds.
    """
    child = launch(name, argv, log_path=log_path, env=env, cwd=cwd)
    try:
        child.wait_until(lambda: child.ready() or None, timeout)
    except BaseException:  # a Ctrl-C too must leave nothing behind
        child.stop()
        raise
    return child


def last_lines(log_path: Path, count: int = _LAST_LINES) -> str:
    """The last lines of a log (at most the last 16 KiB for each twenty), or '' if there is none."""
    if not log_path.exists():
        return ""
    with log_path.open("rb") as log:
        log.seek(max(0, log_path.stat().st_size - _LAST_BYTES * ceil(count / _LAST_LINES)))
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-count:])


def _popen(
    argv: Sequence[str | Path], log_path: Path | None, env: Mapping[str, str] | None, cwd: Path | None
) -> subprocess.Popen[bytes]:
    """Without ``preexec_fn``: code between fork and exec is not safe beside threads. gRPC's fork handlers (1.80 to 1.85) restart a
    poller in the child, which aborts it."""
    if log_path is not None:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        if log_path.exists():
            log_path.replace(log_path.with_name(log_path.name + ".1"))
    with nullcontext() if log_path is None else log_path.open("wb") as log:
        return subprocess.Popen(  # noqa: S603  (the one place; callers give lists, never a shell's line)
            [os.fspath(part) for part in argv],
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=None if log is None else subprocess.STDOUT,
            start_new_session=True,
        )


def _dying_with(parent_pid: int, program: str | Path) -> list[str]:
    """What stands before the program on Linux: it asks the kernel for SIGTERM when the parent is gone, and ends if the parent died
    before that."""
    if sys.platform != "linux":
        return []
    if shutil.which(program) is None:
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), os.fspath(program))
    return ["setpriv", "--pdeathsig", "TERM", "sh", "-c", f'[ "$PPID" = {parent_pid} ] && exec "$@"', "sh"]
