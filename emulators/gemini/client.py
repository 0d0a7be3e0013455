"""The control of a running Gemini emulator: faults, counts, and the requests that it was sent."""

from __future__ import annotations

from pydantic import TypeAdapter

from emulators.control import Control
from emulators.gemini.faults import Faults
from emulators.gemini.stats import RecordedRequest, Stats

_RECORDS = TypeAdapter(list[RecordedRequest])


class EmulatorControl(Control[Faults, Stats]):
    """See ``Control``."""

    faults_type, stats_type = Faults, Stats

    def requests(self, limit: int = 100, contains: str = "") -> list[RecordedRequest]:
        """The last requests, oldest first; with ``contains`` only those whose body contains this text."""
        return _RECORDS.validate_json(self._call("GET", f"requests?limit={limit}", contains=contains).content)
