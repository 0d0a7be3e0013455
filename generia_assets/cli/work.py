"""The calls that a generation takes, and how long they take one beside another: for quotes, and for the time that is left.

Here: the estimate. Not here: how long single calls take (pace.py), and what is left of a world (remaining.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from generia_assets.catalog import ASSETS, LLM_CALLS, NEEDED_BY_POSTS, TaskType
from generia_assets.cli.pace import Pace
from generia_assets.durable.orders.records import WorldParametersOrder
from generia_assets.durable.tasks.workload import plan_of

_NEEDED = [asset for asset in ASSETS.values() if asset.name in NEEDED_BY_POSTS]
_ONE_BY_ONE = tuple(call.request_type for asset in _NEEDED if not asset.unit.of_item for call in asset.llm_calls)
"""Made one after the other: nothing of a world begins before its description, and each ten people are told of all before them."""
_STEPS = tuple(call.request_type for asset in _NEEDED if asset.unit.of_item for call in asset.llm_calls)
"""What waits for each other, for each person and post."""
_BESIDE = tuple(name for name in LLM_CALLS if name not in (*_ONE_BY_ONE, *_STEPS))
"""What no post waits for."""
_ORDER = sorted(LLM_CALLS, key=lambda name: (name not in _ONE_BY_ONE, LLM_CALLS[name].high_quality_only))
"""The order in which most calls of these types are made."""


@dataclass(frozen=True)
class Work:
    """Calls of the model by request type, and pictures."""

    llm: Mapping[str, int]
    images: int

    @property
    def llm_calls(self) -> int:
        """All calls of the model."""
        return sum(self.llm.values())

    def without(self, llm_calls: int, images: int) -> Work:
        """What is left after so many calls and pictures."""
        left: dict[str, int] = {}
        for name in _ORDER:
            done = min(llm_calls, self.llm.get(name, 0))
            left[name] = self.llm.get(name, 0) - done
            llm_calls -= done
        return Work(left, max(0, self.images - images))

    def seconds(self, pace: Pace, *, llm_at_once: int, images_at_once: int) -> float:
        """How long it takes once a run works on it: one step after the other, each as wide as the calls at once allow."""

        def rounds(name: str) -> float:
            """How often all calls of a type, so many at once, take as long as one of them."""
            calls = self.llm.get(name, 0)
            return max(1.0, calls / llm_at_once) if calls else 0.0

        described, batches = (pace.of(name) * self.llm.get(name, 0) for name in _ONE_BY_ONE)
        first_batch = min(batches, pace.of("character_batch"))
        chain = batches - first_batch + sum(pace.of(name) for name in _STEPS if self.llm.get(name))
        wide = sum(pace.of(name) * rounds(name) for name in _STEPS)
        others = sum(pace.of(name) * self.llm.get(name, 0) for name in _BESIDE) / llm_at_once
        texts = described + first_batch + max(chain, wide + others) + (pace.image if self.images else 0.0)
        return max(texts, described + self.images * pace.image / images_at_once)


def work_of(world_id: str, order: WorldParametersOrder, makes: Collection[TaskType], keys: Collection[str] = ()) -> Work:
    """The calls of these task types of a world, or of these items of them. Raises ``OrderError`` for a key of no item."""

    planned = plan_of(world_id, order, makes, keys)
    return Work(planned.llm_calls, planned.images_total)
