"""The command ``generia`` as a separate process, and the processes left after it."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

from generia_assets.cli.main import app
from generia_assets.settings import settings

MARK = "GENERIA_TEST_MARK"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}
"""127.0.0.1, and the same as an IPv6 address, as /proc/net/tcp writes them."""
LISTENING = "0A"
"""The kernel's word for a socket that listens, in /proc/net/tcp."""
AND = ";;"
"""Between two commands that one process runs one after the other, and between what they write."""
PROGRAM = f"""
import sys
from generia_assets.cli.main import app
arguments = sys.argv[1:]
while {AND!r} in arguments:
    end = arguments.index({AND!r})
    app(arguments[:end], prog_name="generia", standalone_mode=False)
    print({AND!r})
    arguments = arguments[end + 1 :]
app(arguments, prog_name="generia")
"""
ADDRESSES = ("MONGODB_URI", "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_API_VERSION", "GEMINI_API_KEY", "GEMINI_BASE_URL", "DAGSTER_HOME")


@dataclass
class Command:
    """``generia`` with its own data folder; every process that it starts has its mark in the environment."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command; its output goes to pipes."""
        environment = {name: value for name, value in os.environ.items() if name not in (*ADDRESSES, "PYTHONDONTWRITEBYTECODE")}
        environment |= {MARK: self.mark, "GENERIA_DATA_DIR": str(self.folder), "CI": "true"} | self.settings
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, timeout: float = 240) -> tuple[int, str, str]:
        """Run a command to its end: exit status, standard output, standard error."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return process.returncode, out, err

    def call(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command that only reads or writes notes inside this process, which has imported everything already."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir("/")  # a folder without .env: reading the checkout's, which has the defaults, is half of a command's CPU
            for name in ADDRESSES:
                patch.delenv(name, raising=False)
            for name, value in (self.settings | {"GENERIA_DATA_DIR": str(self.folder), "CI": "true"}).items():
                patch.setenv(name, value)
            settings.cache_clear()
            try:
                result = CliRunner().invoke(app, arguments)
            finally:
                settings.cache_clear()
        return result.exit_code, result.stdout, result.stderr

    def processes(self) -> list[str]:
        """The command lines of all live processes with the mark."""
        found = []
        for process in self._marked():
            with suppress(OSError):  # gone meanwhile
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found

    def listens_on(self) -> set[str]:
        """The addresses, without ports, on which processes with the mark accept connections (see ``LOOPBACK``)."""
        sockets: set[str] = set()
        for process in self._marked():
            with suppress(OSError):
                sockets |= {str(handle.readlink()) for handle in (process / "fd").iterdir()}
        rows = [row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
        return {row[1].split(":")[0] for row in rows if row[3] == LISTENING and f"socket:[{row[9]}]" in sockets}

    def _marked(self) -> Iterator[Path]:
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with suppress(OSError):  # ended meanwhile, or of another user
                    if f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes():
                        yield entry


def interrupt(process: subprocess.Popen[str], number: signal.Signals, timeout: float) -> tuple[int, str, str, float]:
    """Send the signal and wait: exit status, standard output, standard error, seconds until the end."""
    began = time.monotonic()
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err, time.monotonic() - began


def on_a_terminal(generia: Command, *arguments: str, columns: int = 120, **environment: str) -> str:
    """The output of the command on a terminal with this number of columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR", "COLUMNS", "FORCE_COLOR")}
    settings = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "GENERIA_DATA_DIR": str(generia.folder)} | generia.settings
    command = [sys.executable, "-c", PROGRAM, *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=inherited | settings | environment) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                chunk = os.read(ours, 65_536)
            except OSError:  # Linux reports in this way that the other end is closed
                break
            if not chunk:
                break
            written += chunk
    os.close(ours)
    text = written.decode().replace("\r\n", "\n")
    assert process.returncode == 0, text
    return text
