"""``python -m generia_assets.webserver …``: Dagster's own webserver, with its options, behind ``KnownHosts``.

Dagster's pages can order worlds, ask for no password, and take orders (GraphQL mutations) from any page that the same browser has
open, even by GET. Here: the webserver that `generia dev` and the containers start. A plain `dagster dev` or `dagster-webserver` has
no such checks.
"""

from __future__ import annotations

import os

import dagster_webserver.app
from dagster_webserver.cli import main as webserver_main
from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware

from generia_assets.interrupts import restore_interrupts
from generia_assets.known_hosts import KnownHosts


class GuardedWebserver(DagsterWebserver):  # type: ignore[type-arg]  # generic only for its own base
    """Dagster's webserver behind ``KnownHosts``: it refuses requests of foreign pages."""

    def build_middleware(self) -> list[Middleware]:
        # Not by settings(): a container's webserver has none of our other settings.
        allowed = os.environ.get("ALLOWED_HOSTS", "").split(",")
        guard = Middleware(KnownHosts, allowed=allowed, queries_by_get=[f"{self._app_path_prefix}/graphql"])
        return [guard, *super().build_middleware()]


def main() -> None:
    restore_interrupts()
    dagster_webserver.app.DagsterWebserver = GuardedWebserver  # type: ignore[attr-defined]  # what its command makes
    webserver_main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
