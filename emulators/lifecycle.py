"""The process of an embedded server: its two common options, its port, its ready file, its end.

Here: what the Gemini emulator and the servers of local_services share. Not here: starting them (generia_assets/processes.py).
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

LOOPBACK = "127.0.0.1"
_PARENT_POLL_S = 0.5
_held: list[socket.socket] = []


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--ready-file`` and ``--parent-pid``."""
    parser.add_argument("--ready-file", type=Path, help="the address is written to this file as soon as it can be used")
    parser.add_argument("--parent-pid", type=int, help="end when this process does (default: run until a signal)")


def announce(name: str, address: str, ready_file: Path | None) -> None:
    """Print ``<name> ready <address>`` and write the address to the ready file, which is either whole or not there."""
    if ready_file is not None:
        unfinished = ready_file.with_name(f"{ready_file.name}.{os.getpid()}")
        unfinished.write_text(address + "\n")
        unfinished.replace(ready_file)
    print(f"{name} ready {address}", flush=True)  # noqa: T201  (people start these by hand, too)


def exit_on_signals() -> None:
    """Make SIGTERM and SIGINT end this process through ``SystemExit(0)``, so that every open ``with`` block closes. Further signals
    are then ignored: they must not interrupt the clean-up.
    """

    def leave(_number: int, _frame: FrameType | None) -> NoReturn:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)


def end_with_parent(parent_pid: int | None) -> None:
    """Send this process SIGTERM as soon as the process ``parent_pid`` is gone; do nothing for None.

    A thread waits for the end. The kernel's PR_SET_PDEATHSIG would also send its signal when only the thread that started us ends.
    """
    if parent_pid is not None:
        threading.Thread(target=_end_with, args=(parent_pid,), name="parent-watch", daemon=True).start()


def _end_with(parent_pid: int) -> None:
    _wait_for_end_of(parent_pid)
    os.kill(os.getpid(), signal.SIGTERM)


def _wait_for_end_of(pid: int) -> None:
    if hasattr(os, "pidfd_open"):  # Linux: no polling, and no confusion when another process gets the same id later
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        ended.poll()
        return
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(_PARENT_POLL_S)


class PortTakenError(RuntimeError):
    """Another server uses the requested port."""


def choose_port(wanted: int) -> int:
    """Return the wanted port of the loopback interface, or for 0 a free one. Raises ``PortTakenError``: a caller that waits for the
    port would otherwise use the other server.
    """
    if wanted:
        if accepts_connections(wanted):
            raise PortTakenError(f"port {wanted} is taken: stop who uses it, or leave --port out")
        return wanted
    return free_port()


def free_port() -> int:
    """Return a free TCP port, reserved on this machine as long as this process runs.

    On Linux the port stays bound here, without listening. No process that requests any free port gets it, and a server that gets
    its number can listen there repeatedly if it sets SO_REUSEADDR, as all servers here do. On other systems another process may
    take it before the server does.
    """
    probe = socket.socket()
    probe.bind((LOOPBACK, 0))
    port: int = probe.getsockname()[1]
    if sys.platform == "linux":
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _held.append(probe)
    else:
        probe.close()
    return port


def accepts_connections(port: int) -> bool:
    """Return whether a server listens at this port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0
