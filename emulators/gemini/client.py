"""The reins of a running emulator, for tests, benchmarks and the command line. Needs nothing but ``requests``."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from pydantic import JsonValue, TypeAdapter
from requests import Response, Session, codes

from emulators.gemini.faults import Faults
from emulators.gemini.stats import RecordedRequest, Stats

_POLL = 0.01
"""Seconds between two looks at the counts."""
_RECORDS = TypeAdapter(list[RecordedRequest])


class EmulatorControl:
    """Sets faults, reads counts. ``timeout`` is in seconds; every method raises ``requests.RequestException``.

    A refused change of faults raises ``ValueError`` with the emulator's explanation.
    """

    def __init__(self, base_url: str, *, timeout: float = 10.0) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._session = Session()
        self._session.trust_env = False  # no proxy stands before an emulator

    def set_faults(self, **changes: JsonValue) -> Faults:
        """Change these faults and leave the others as they are (PATCH)."""
        return self._put("PATCH", changes)

    def replace_faults(self, faults: Faults) -> Faults:
        """Have exactly these faults (PUT)."""
        return self._put("PUT", faults.model_dump())

    def faults(self) -> Faults:
        """The faults as they are."""
        return Faults.model_validate_json(self._call("GET", "faults").content)

    def stats(self) -> Stats:
        """The counts since the start or the last reset."""
        return Stats.model_validate_json(self._call("GET", "stats").content)

    def wait_until(self, condition: Callable[[Stats], bool], *, timeout: float = 5.0) -> Stats:
        """Ask for the counts until the condition holds, and return them.

        Raises ``TimeoutError`` with the last counts after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while not condition(stats := self.stats()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"After {timeout:g} s the emulator still counts {stats!r}")
            time.sleep(_POLL)
        return stats

    def reset(self) -> None:
        """As if just started: no faults but those of the command line, all counts zero."""
        self._call("POST", "reset")

    def requests(self, limit: int = 100, contains: str = "") -> list[RecordedRequest]:
        """The last requests, oldest first; with ``contains`` only those whose body contains this text."""
        return _RECORDS.validate_json(self._call("GET", f"requests?limit={limit}", contains=contains).content)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def __enter__(self) -> EmulatorControl:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _put(self, method: str, changes: dict[str, JsonValue]) -> Faults:
        answer = self._session.request(method, f"{self.base_url}/emulator/faults", json=changes, timeout=self._timeout)
        if answer.status_code == codes.unprocessable_entity:
            raise ValueError(f"The emulator refuses these faults: {answer.text}")
        answer.raise_for_status()
        return Faults.model_validate_json(answer.content)

    def _call(self, method: str, path: str, **query: str) -> Response:
        answer = self._session.request(method, f"{self.base_url}/emulator/{path}", params=query, timeout=self._timeout)
        answer.raise_for_status()
        return answer
