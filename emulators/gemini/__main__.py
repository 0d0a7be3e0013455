"""``python -m emulators.gemini``: start the emulator, announce its address, stop on a signal or when the parent ends.

Not here: anything about Gemini.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from pathlib import Path

from emulators import lifecycle
from emulators.gemini.app import build_app
from emulators.gemini.faults import Faults
from emulators.gemini.recordings import FOLDER, RecordingError
from emulators.gemini.service import Emulator
from emulators.gemini.writing.people import warm_up
from emulators.http_server import Connections, serve


def main() -> None:
    """Run until SIGTERM or SIGINT, and leave with exit code 0."""
    options = _options()
    connections = Connections()
    try:
        emulator = Emulator(
            seed=options.seed,
            start=Faults(latency=options.latency, jitter=options.jitter),
            keep=options.keep_requests,
            connections=connections,
            recorded=options.recorded,
        )
    except RecordingError as error:
        sys.exit(str(error))
    listener = socket.create_server((options.host, options.port), backlog=2048)
    serve(
        build_app(emulator),
        listener,
        connections,
        name="gemini emulator",
        address=f"http://{options.host}:{listener.getsockname()[1]}",
        ready_file=options.ready_file,
        parent_pid=options.parent_pid,
        on_ready=_warm_up,
    )


def _warm_up() -> None:
    """Load names and words in the background: this takes longer than the start of the server."""
    asyncio.get_running_loop().run_in_executor(None, warm_up)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m emulators.gemini", description="A Gemini API that runs on this machine.")
    parser.add_argument("--host", default=lifecycle.LOOPBACK, help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 = a free one")
    parser.add_argument("--seed", type=int, default=0, help="what all answers are drawn from")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until an answer")
    parser.add_argument("--jitter", type=float, default=0.0, help="at most so many seconds more")
    parser.add_argument("--keep-requests", type=int, default=500, help="how many request bodies are kept for looking at")
    parser.add_argument("--recorded", type=Path, default=FOLDER, help="folder of recorded answers")
    lifecycle.add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
