"""What the latest extension of a world adds: which items are new, and how many of each unit.

Here: the rule by which an item is new, from the request alone, so that a run's selection, its workload and its quote agree. Not
here: what is drawn for new items (shares.py, social.py, timeline.py, storyline.py), and its order (durable/orders/order.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from generia_assets.catalog import Unit
from generia_assets.content.documents import WorldRequest
from generia_assets.content.keys import EXTENSION, WORLD_KEY, author_of, character_index, is_post_key, post_index
from generia_assets.content.shares import BATCH, Size, shares


class Extension:
    """The items that a world has and its former size had not."""

    def __init__(self, request: WorldRequest) -> None:
        size = request.size
        former = size.former or Size(0, 0)
        self.people = range(former.people, size.people)
        """The indices of the new people."""
        self._shares = shares(request.seed, *size)
        self._before = shares(request.seed, *former) if former.people else ()

    @classmethod
    def among(cls, keys: Collection[str], request: WorldRequest) -> Extension | None:
        """The extension, where these keys of a generation name it."""
        return cls(request) if EXTENSION in keys else None

    def first_post(self, index: int) -> int:
        """The order of this person's first new post."""
        return self._before[index] if index < self.people.start else 0

    def has(self, unit: Unit, key: str) -> bool:
        """Whether a task of this unit with this key makes something new; of ideas with a person's key: whether any of them is."""
        if key == WORLD_KEY:
            return False
        if unit is Unit.PEOPLE_BATCH:
            return key.startswith("b") and self._of_batch(int(key[1:])) > 0
        index = character_index(author_of(key))
        if is_post_key(key):
            return post_index(key) >= self.first_post(index)
        return index in self.people or (unit is Unit.POST_BATCH and self._shares[index] > self.first_post(index))

    def numbers(self) -> Mapping[Unit, int]:
        new = [(share, self.first_post(index)) for index, share in enumerate(self._shares)]
        return {
            Unit.PEOPLE_BATCH: len({index // BATCH for index in self.people}),
            Unit.PERSON: len(self.people),
            Unit.POST_BATCH: sum((share - 1) // BATCH - first // BATCH + 1 for share, first in new if share > first),
            Unit.POST: sum(share - first for share, first in new),
        }

    def _of_batch(self, number: int) -> int:
        return len(range(max(number * BATCH, self.people.start), min((number + 1) * BATCH, self.people.stop)))
