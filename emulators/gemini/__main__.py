"""``python -m emulators.gemini``: start the emulator, say where it is, stop when told or when the parent is gone.

Not here: anything about Gemini.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import threading
from pathlib import Path

import uvicorn

from emulators.gemini.app import build_app
from emulators.gemini.connections import Connections
from emulators.gemini.faults import Faults
from emulators.gemini.service import Emulator
from emulators.gemini.writing.people import warm_up


def main() -> None:
    """Run until SIGTERM or SIGINT, and leave with exit code 0."""
    options = _options()
    connections = Connections()
    emulator = Emulator(
        seed=options.seed,
        start=Faults(latency=options.latency, jitter=options.jitter),
        keep=options.keep_requests,
        connections=connections,
    )
    config = uvicorn.Config(
        build_app(emulator),
        http=connections.protocol(),
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
        backlog=2048,
    )
    listener = socket.create_server((options.host, options.port), backlog=2048)
    url = f"http://{options.host}:{listener.getsockname()[1]}"
    server = _AnnouncedServer(config, url, options.ready_file)
    # uvicorn raises the signal again after its shutdown; with nothing to do then, the process ends with exit code 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    if options.parent_pid:
        threading.Thread(target=_leave_with_parent, args=(options.parent_pid, server), daemon=True).start()
    server.run(sockets=[listener])


class _AnnouncedServer(uvicorn.Server):
    """A server that says when it is ready: one line on stdout, and its URL in a file if there is one to write."""

    def __init__(self, config: uvicorn.Config, url: str, ready_file: Path | None) -> None:
        super().__init__(config)
        self._url = url
        self._ready_file = ready_file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready_file is not None:
            unfinished = self._ready_file.with_name(f"{self._ready_file.name}.{os.getpid()}")
            unfinished.write_text(self._url, encoding="utf-8")
            unfinished.replace(self._ready_file)
        print(f"gemini emulator ready {self._url}", flush=True)  # noqa: T201 - the line that callers wait for
        # Names and words take longer to load than the server to start; nobody has to wait for them.
        self._warming = asyncio.get_running_loop().run_in_executor(None, warm_up)


def _leave_with_parent(parent: int, server: uvicorn.Server) -> None:
    """Look once a second whether the parent lives. A dead child's parent is another process, so ours must stay the same."""
    ours = os.getppid() == parent
    pause = threading.Event()
    while not pause.wait(1.0):
        if (ours and os.getppid() != parent) or not Path(f"/proc/{parent}").exists():
            server.should_exit = True
            return


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m emulators.gemini", description="A Gemini API that runs on this machine.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 = a free one")
    parser.add_argument("--seed", type=int, default=0, help="what all answers are drawn from")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until an answer")
    parser.add_argument("--jitter", type=float, default=0.0, help="at most so many seconds more")
    parser.add_argument("--keep-requests", type=int, default=500, help="how many request bodies are kept for looking at")
    parser.add_argument("--ready-file", type=Path, help="file to write the base URL to when ready")
    parser.add_argument("--parent-pid", type=int, help="stop when this process is gone")
    return parser.parse_args()


if __name__ == "__main__":
    main()
