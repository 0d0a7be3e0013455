"""The whole generator on one machine: `generia demo` and `generia dev`, and the servers that they start. Not in production's image.

The product refers to these modules only by name (the table of commands, `python -m`); the Gemini emulator is a process like the
others.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from emulators import lifecycle
from generia_assets.processes import Child, ChildFailedError


def keep(
    parser: argparse.ArgumentParser,
    name: str,
    start: Callable[[argparse.Namespace], AbstractContextManager[Child]],
    *errors: type[Exception],
) -> None:
    """Run a server until a signal, until the parent ends, or until the server ends by itself (exit code 1)."""
    lifecycle.add_arguments(parser)
    options = parser.parse_args()
    lifecycle.exit_on_signals()
    lifecycle.end_with_parent(options.parent_pid)
    explained: tuple[type[Exception], ...] = (*errors, ChildFailedError, lifecycle.PortTakenError)
    try:
        with start(options) as child:
            lifecycle.announce(name or options.server, child.ready_value, options.ready_file)
            while True:
                child.check()
                time.sleep(0.2)
    except explained as error:
        sys.exit(str(error))
