"""Exact counts of the emulator's calls, for tests, and the bodies of the last requests.

Not here: the endpoints that show them (app.py).
"""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from emulators.gemini.usage import Usage


class Stats(BaseModel):
    """Counts since the start or the last reset. Control calls are not counted."""

    model_config = ConfigDict(extra="forbid")

    calls: int = Field(default=0, description="generateContent calls received")
    calls_finished: int = Field(default=0, description="of these, answered or given up")
    in_flight: int = Field(default=0, description="calls being served now")
    peak_in_flight: int = Field(default=0, description="most calls served at once, refused ones included")
    by_outcome: dict[str, int] = Field(
        default={}, description="finished calls by outcome: ok, a fault's name, or why it was refused"
    )
    by_model: dict[str, int] = Field(default={}, description="calls received, by model id")
    by_service_tier: dict[str, int] = Field(default={}, description="calls that were served, by the tier that served them")
    prompt_tokens: int = Field(default=0, description="of answered calls, cached ones included")
    cached_tokens: int = 0
    candidates_tokens: int = 0
    thoughts_tokens: int = 0
    recorded: int = Field(default=0, description="answers that were recorded ones (recordings.py)")
    recorded_unfit: int = Field(default=0, description="recorded answers that did not fit the schema of the request any more")
    first_call_at: float | None = Field(default=None, description="when the first call came, seconds since the epoch")
    last_call_at: float | None = Field(default=None, description="when the last call came, seconds since the epoch")


class RecordedRequest(BaseModel):
    """One request as it arrived. ``outcome`` is '' while it is being served."""

    model_config = ConfigDict(extra="forbid")

    sequence: int = Field(description="place among the calls since the reset, from 1")
    at: float = Field(description="seconds since the epoch")
    model: str
    outcome: str
    body: JsonValue = Field(description="the JSON that was sent, or the text if it was no JSON")


class EmulatedCall:
    """One call while it is served."""

    def __init__(self, sequence: int, model: str) -> None:
        self.sequence = sequence
        self.model = model
        self.at = time.time()
        self.body = b""
        self.outcome = ""
        self.usage = Usage(prompt=0)
        self.recorded: Literal["", "recorded", "unfit"] = ""


class Counts:
    """Keeps the counts. ``keep`` is the number of requests that are kept with their bodies."""

    def __init__(self, keep: int) -> None:
        self._stats = Stats()
        self._outcomes: Counter[str] = Counter()
        self._models: Counter[str] = Counter()
        self._tiers: Counter[str] = Counter()
        self._ring: deque[EmulatedCall] = deque(maxlen=keep)

    @property
    def in_flight(self) -> int:
        """Calls being served now."""
        return self._stats.in_flight

    def begin(self, model: str) -> EmulatedCall:
        """A call has arrived."""
        stats = self._stats
        stats.calls += 1
        stats.in_flight += 1
        stats.peak_in_flight = max(stats.peak_in_flight, stats.in_flight)
        self._models[model] += 1
        call = EmulatedCall(stats.calls, model)
        stats.last_call_at = call.at
        stats.first_call_at = stats.first_call_at or call.at
        self._ring.append(call)
        return call

    def finish(self, call: EmulatedCall) -> None:
        """The call is over, with the outcome and usage it now has."""
        stats = self._stats
        stats.calls_finished += 1
        stats.in_flight -= 1
        stats.prompt_tokens += call.usage.prompt
        stats.cached_tokens += call.usage.cached
        stats.candidates_tokens += call.usage.candidates
        stats.thoughts_tokens += call.usage.thoughts
        stats.recorded += call.recorded == "recorded"
        stats.recorded_unfit += call.recorded == "unfit"
        self._outcomes[call.outcome] += 1
        self._tiers[call.usage.tier] += call.usage.prompt > 0

    def stats(self) -> Stats:
        """The present counts."""
        return self._stats.model_copy(
            update={"by_outcome": dict(self._outcomes), "by_model": dict(self._models), "by_service_tier": dict(self._tiers)}
        )

    def requests(self, limit: int, contains: str = "") -> list[RecordedRequest]:
        """The last requests, oldest first, at most ``limit`` of those whose body contains the text."""
        found: list[RecordedRequest] = []
        for call in reversed(self._ring):
            recorded = RecordedRequest(
                sequence=call.sequence, at=call.at, model=call.model, outcome=call.outcome, body=_body(call.body)
            )
            if contains in json.dumps(recorded.body, ensure_ascii=False):
                found.append(recorded)
            if len(found) == limit:
                break
        return found[::-1]


def _body(body: bytes) -> JsonValue:
    try:
        value: JsonValue = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
    return value
