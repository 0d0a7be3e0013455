"""``python -m local_services.daemon PORT …``: Dagster's own daemon, which begins when the code server listens at PORT.

Without this a daemon either starts when the code server is up, and all wait for its imports (two seconds), or with it, finds
no code server yet, and looks again five seconds later. Here: the waiting. What follows PORT goes to ``dagster-daemon`` as it is.
"""

from __future__ import annotations

import sys
import time

from emulators.lifecycle import accepts_connections
from generia_assets.dagster_internals import daemon_command
from generia_assets.interrupts import restore_interrupts

POLL_S = 0.05


def main() -> None:
    """Wait, then be the daemon. Whoever started this gives it up when the code server never comes."""
    restore_interrupts()
    command = daemon_command()  # imported before the waiting begins: that is the point
    port = int(sys.argv[1])
    while not accepts_connections(port):
        time.sleep(POLL_S)
    sys.argv = ["dagster-daemon", *sys.argv[2:]]
    command()


if __name__ == "__main__":
    main()
