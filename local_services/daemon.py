"""``python -m local_services.daemon PORT …``: Dagster's own daemon, which starts when the code server listens at PORT.

Otherwise a daemon would start either after the code server, so that all wait for its imports (two seconds), or at the same time;
then it finds no code server and tries again after five seconds. Here: the waiting. Arguments after PORT are those of
``dagster-daemon``.
"""

from __future__ import annotations

import sys
import time

from emulators.lifecycle import accepts_connections
from generia_assets.dagster_internals import daemon_command
from generia_assets.interrupts import restore_interrupts

POLL_S = 0.05


def main() -> None:
    """Wait, then run the daemon. The parent ends this process if the code server never starts."""
    restore_interrupts()
    command = daemon_command()  # imported before the waiting begins, to save this time later
    port = int(sys.argv[1])
    while not accepts_connections(port):
        time.sleep(POLL_S)
    sys.argv = ["dagster-daemon", *sys.argv[2:]]
    command()


if __name__ == "__main__":
    main()
