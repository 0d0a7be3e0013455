"""Control of a running emulator, for tests, benchmarks and the command line: faults, counts, reset. Needs only ``requests``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, JsonValue
from requests import Response, Session, codes

FaultsT = TypeVar("FaultsT", bound=BaseModel)
StatsT = TypeVar("StatsT", bound=BaseModel)
_POLL = 0.01
"""Seconds between two looks at the counts."""


class Control(Generic[FaultsT, StatsT]):
    """Sets faults, reads counts. ``timeout`` is in seconds; every method raises ``requests.RequestException``.

    A refused change of faults raises ``ValueError`` with the emulator's explanation.
    """

    faults_type: ClassVar[type[BaseModel]]
    stats_type: ClassVar[type[BaseModel]]

    def __init__(self, base_url: str, *, timeout: float = 10.0) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._session = Session()
        self._session.trust_env = False  # an emulator is never behind a proxy

    def set_faults(self, **changes: JsonValue) -> FaultsT:
        """Change these faults and leave the others as they are (PATCH)."""
        return self._change("PATCH", changes)

    def replace_faults(self, faults: FaultsT) -> FaultsT:
        """Have exactly these faults (PUT)."""
        return self._change("PUT", faults.model_dump())

    def faults(self) -> FaultsT:
        """The present faults."""
        return self.faults_type.model_validate_json(self._call("GET", "faults").content)  # type: ignore[return-value]

    def stats(self) -> StatsT:
        """The counts since the start or the last reset."""
        return self.stats_type.model_validate_json(self._call("GET", "stats").content)  # type: ignore[return-value]

    def wait_until(self, condition: Callable[[StatsT], bool], *, timeout: float = 60.0) -> StatsT:
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
        """Reset to the state after the start: only the faults of the command line, all counts zero."""
        self._call("POST", "reset")

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _change(self, method: str, changes: Mapping[str, JsonValue]) -> FaultsT:
        answer = self._session.request(method, f"{self.base_url}/emulator/faults", json=changes, timeout=self._timeout)
        if answer.status_code == codes.unprocessable_entity:
            raise ValueError(f"The emulator refuses these faults: {answer.text}")
        answer.raise_for_status()
        return self.faults_type.model_validate_json(answer.content)  # type: ignore[return-value]

    def _call(self, method: str, path: str, body: JsonValue = None, **query: str) -> Response:
        answer = self._session.request(method, f"{self.base_url}/emulator/{path}", params=query, json=body, timeout=self._timeout)
        answer.raise_for_status()
        return answer
