"""Outage or poisonous call: the rule that decides when every attempt of a call fails.

In an **outage** no call is answered: it waits, uses no attempt of its task, and after PATIENCE_SECONDS its world is suspended. A
**poisonous** call is one that the API cannot answer (500, 504, a time-out, a broken connection, each time) while it answers others:
it ends with ``RequestFailedError``, which uses up an attempt of its task.

* A failed attempt counts against the call if another call of the same API was answered since the attempt before failed.
* An innocent call fails as often as the others do: with s the share of the others' attempts that failed since this call's first
  failure, it fails n counted times in a row with a chance of s to the power of n. The call is poisonous when that chance is below
  ``CHANCE`` and n is at least ``LEAST``; after PATIENCE_SECONDS ``CHANCE_AT_THE_END`` is enough. So a call in a quiet world ends
  after five failures, and one amid an API that fails four times in five is waited for.
* A call that is alone has no others to compare with: the last item of a world, a world's description. When no other call was
  answered between two failures of a call, its ``control`` is made, a small request of the same API that is known to be right. In an
  outage it fails, too.
* The breaker does not count a failure of a call that has one counted against it, and such a call is no probe: its control is.
* A rate limit (429) is no failure of this kind. But a call that gets nothing else until the end, while
  others are answered, asks for more than its quota ever holds: the same rule with ``CHANCE_AT_THE_END`` holds for its 429s,
  compared with those of the others. Controls prove nothing here, since they ask for little.
* Some errors prove neither an outage nor a poisonous call (``AmbiguousError``). A call gets ``MOST_AMBIGUOUS`` of them at most,
  with the usual pauses between, 25 seconds in all, and no attempt while the breaker is open: a database can restart meanwhile.

"The others" are the other calls of this process. Calls of the platform have no control: a health check says nothing about a
database, and reading says little about writing. Alone, they wait. Only a post is never alone: between its attempts the platform
is asked whether it was made (durable/calls/platform_client.py), and these calls are others. The rule is the same for items (2
attempts, then the world goes on without) and for a world's own tasks (4, then the world fails).
"""

from dataclasses import dataclass

LEAST = 3
CHANCE = 0.001
CHANCE_AT_THE_END = 0.1
MOST_AMBIGUOUS = 8


@dataclass
class Tally:
    """How the attempts at calls of one API ended, in this process. ``trusted``: an earlier process was answered by it."""

    trusted: bool = False
    answered: int = 0
    others_answered: int = 0
    """Of these, calls that were no controls."""
    failed: int = 0
    limited: int = 0
    """Attempts that ended with a 429."""
    in_flight: int = 0
    control_under_way: bool = False
    refuses: bool = False
    """Whether it now refuses requests of a kind that it answered before (``FatalCallError.may_heal``)."""

    def answer(self, *, control: bool) -> None:
        """Count an answered call, also one with an unusable answer."""
        self.refuses = False
        self.answered += 1
        self.others_answered += not control

    @property
    def has_answered(self) -> bool:
        return self.trusted or self.answered > 0


class Suspicion:
    """The evidence that one call is poisonous, from its first failed attempt on; ``limited``: from its first 429 on."""

    def __init__(self, tally: Tally, *, limited: bool = False) -> None:
        self._tally = tally
        self._limited = limited
        self._attempts = 0
        self._counted = 0
        self.needs_control = False
        """Whether there was no other call to compare with when its latest attempt failed."""
        self._first = self._last = (0, 0, 0)

    @property
    def exists(self) -> bool:
        return self._counted > 0

    def failed(self) -> None:
        """An attempt of this call has failed, and the tally has counted it."""
        now = self._now()
        if self._attempts == 0:
            self._first, self.needs_control = now, self._tally.in_flight == 0
        else:
            self._counted += now[0] > self._last[0]
            self.needs_control = now[1] == self._last[1]
        self._attempts += 1
        self._last = now

    def is_proven(self, *, at_the_end: bool = False) -> bool:
        """Whether this call is poisonous and not in an outage; ``at_the_end`` (after PATIENCE_SECONDS) less evidence is enough."""
        answered, _, failed = (now - then for now, then in zip(self._now(), self._first, strict=True))
        others_failed = failed - (self._attempts - 1)
        share = (others_failed + 1) / (others_failed + answered + 2)
        if at_the_end:
            return self.exists and share**self._counted < CHANCE_AT_THE_END
        return self._counted >= LEAST and share**self._counted < CHANCE

    def _now(self) -> tuple[int, int, int]:
        tally = self._tally
        if self._limited:
            return tally.others_answered, tally.others_answered, tally.limited
        return tally.answered, tally.others_answered, tally.failed
