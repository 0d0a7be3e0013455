"""Random choices of the emulators. They depend on the seed and the call, never on time or on the order in which calls arrive."""

from __future__ import annotations

import hashlib
import uuid
from collections import OrderedDict

_REMEMBERED_REQUESTS = 100_000


class Dice:
    """The random numbers of one call. ``digest`` is that of the request, ``repetition`` the number of earlier identical
    requests."""

    def __init__(self, seed: int, digest: bytes, repetition: int) -> None:
        self._seed = seed
        self._digest = digest
        self._repetition = repetition

    def throw(self, name: str, *, sticky: bool = False) -> float:
        """A number from 0 to 1 for this name. ``sticky``: the same for every repetition of the same request."""
        return int.from_bytes(self._bytes(name, 8, sticky=sticky), "big") / 2**64

    def uuid(self, name: str) -> uuid.UUID:
        """An id for this name."""
        return uuid.UUID(bytes=self._bytes(name, 16), version=4)

    def _bytes(self, name: str, size: int, *, sticky: bool = False) -> bytes:
        repetition = 0 if sticky else self._repetition
        key = f"{self._seed}:{name}:{repetition}:".encode() + self._digest
        return hashlib.blake2b(key, digest_size=size).digest()


class Repetitions:
    """How often each request was made."""

    def __init__(self) -> None:
        self._times: OrderedDict[bytes, int] = OrderedDict()

    def count(self, digest: bytes) -> int:
        """The number of earlier identical requests."""
        times = self._times.pop(digest, -1) + 1
        self._times[digest] = times
        if len(self._times) > _REMEMBERED_REQUESTS:
            self._times.popitem(last=False)
        return times
