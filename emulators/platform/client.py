"""The control of a running platform emulator: faults, counts, its worlds, and their received data."""

from __future__ import annotations

from emulators.control import Control
from emulators.platform.faults import PlatformFaults
from emulators.platform.stats import PlatformStats, WorldReport


class PlatformControl(Control[PlatformFaults, PlatformStats]):
    """See ``Control``."""

    faults_type, stats_type = PlatformFaults, PlatformStats

    def add_world(self, world_id: str) -> None:
        """Add this world to the platform, as when a user orders it there."""
        self._session.post(f"{self.base_url}/worlds", json={"id": world_id}, timeout=self._timeout).raise_for_status()

    def world(self, world_id: str) -> WorldReport:
        """The data received for this world."""
        return WorldReport.model_validate_json(self._call("GET", f"worlds/{world_id}").content)


def addresses(ready_value: str) -> tuple[str, str]:
    """The gRPC address (host:port) and the HTTP URL (object store, Consul, control) in what the process announces."""
    grpc_address, url = ready_value.split()
    return grpc_address, url
