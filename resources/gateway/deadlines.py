"""When a call that others have overtaken is abandoned, before its time-out: a call that hangs holds a slot for nothing.

* The **deadline** of a call is ``FACTOR`` times the 95th percentile of the durations of the latest answers to requests of its type,
  at least ``SHORTEST_SECONDS``. Before ``LEAST_ANSWERS`` answers it is the ``FACTOR``-th part of the time-out.
* At its deadline a call is abandoned if a call that was sent after it has been answered in less than the ``FACTOR``-th part of the
  time that this one has taken, or if none was sent after it. Otherwise all calls may have become slow, which is no reason to make
  them again: the call goes on, and is looked at again every ``LOOK_SECONDS``.
* An abandoned call counts with the time that it took. So when more than one call in twenty is abandoned, the deadline grows, up to
  the time-out.
* The next attempt at the same call has ``FACTOR`` times as long, so that a slow answer comes in the end.

An abandoned call may have been billed: its worst case counts as spent, as after a time-out. All figures are those of this process,
and of earlier ones the latest ``KEPT`` durations of each type.
Not here: calls at flex, whose duration says nothing, and calls of the platform, which may create something twice when they are
made again.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from math import ceil
from typing import Self

FACTOR = 3.0
QUANTILE = 0.95
SHORTEST_SECONDS = 10.0
LEAST_ANSWERS = 5
LATEST = 200
"""Answers that are remembered of each request type, and of all together."""
KEPT = 20
"""Of these, for the next process."""
LOOK_SECONDS = 1.0


class Deadlines:
    """What is known of the durations of one API's calls."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=LATEST))
        self._answers: deque[tuple[float, float]] = deque(maxlen=LATEST)
        """Of the latest answers of all types: when the call was sent, and how long it took."""
        self._last_sent = 0.0

    @property
    def known(self) -> dict[str, list[float]]:
        return {request_type: list(seconds)[-KEPT:] for request_type, seconds in self._seconds.items()}

    def learn(self, known: Mapping[str, Iterable[float]]) -> None:
        for request_type, seconds in known.items():
            self._seconds[request_type].extend(seconds)

    def sent(self) -> float:
        self._last_sent = time.monotonic()
        return self._last_sent

    def ended(self, request_type: str, sent: float, *, abandoned: bool) -> None:
        seconds = time.monotonic() - sent
        self._seconds[request_type].append(seconds)
        if not abandoned:
            self._answers.append((sent, seconds))

    def seconds(self, request_type: str, time_out: float) -> float:
        known = self._seconds[request_type]
        enough = len(known) >= LEAST_ANSWERS
        return max(SHORTEST_SECONDS, FACTOR * sorted(known)[ceil(QUANTILE * len(known)) - 1] if enough else time_out / FACTOR)

    def is_overtaken(self, sent: float) -> bool:
        """Whether calls that were sent after this one were answered much faster than it, or there are none."""
        most = (time.monotonic() - sent) / FACTOR
        return self._last_sent <= sent or any(later > sent and seconds <= most for later, seconds in self._answers)


class CallWatch:
    """The context of one call: ends it by its time-out when it is overtaken at its deadline. ``abandoned`` says whether it did.

    It is given how many attempts at the call were abandoned before.
    """

    def __init__(self, deadlines: Deadlines, request_type: str, limit: asyncio.Timeout, abandoned: int) -> None:
        self._deadlines = deadlines
        self._request_type = request_type
        self._limit = limit
        self._factor = FACTOR**abandoned
        self._timer: asyncio.TimerHandle | None = None
        self.abandoned = False

    def __enter__(self) -> Self:
        self._sent = self._deadlines.sent()
        self._time_out = (self._limit.when() or 0.0) - asyncio.get_running_loop().time()
        self._look_in(SHORTEST_SECONDS * self._factor)
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if kind is None or self.abandoned:
            self._deadlines.ended(self._request_type, self._sent, abandoned=self.abandoned)

    def _look_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        if self._limit.expired():
            return
        seconds = self._deadlines.seconds(self._request_type, self._time_out) * self._factor
        is_late = seconds < self._time_out and time.monotonic() - self._sent >= seconds
        if is_late and self._deadlines.is_overtaken(self._sent):
            self.abandoned = True
            self._limit.reschedule(asyncio.get_running_loop().time())
        else:
            self._look_in(LOOK_SECONDS)
