"""What the tests of failing items share: faults of the emulator for one item, and checks of the resulting world."""

from __future__ import annotations

from typing import Any, ClassVar

from emulators.image_stub import StubImageGenerator
from generia_assets.content.pictures import POST_SIZE
from generia_assets.durable.collections import TASKS
from generia_assets.durable.status import State
from resources.gateway.outcomes import TransientError
from resources.images import GeneratedImage
from tests.support.worlds_in_process import Made, Worlds


def faults(worlds: Worlds, **changes: Any) -> None:
    """Set these faults of the emulator."""
    assert worlds.gemini is not None
    worlds.gemini.set_faults(**changes)


def one_post(worlds: Worlds, world_id: str) -> tuple[str, str]:
    """A post of the world: its key, and words that only the request for this very post has."""
    asked = {idea.key: f"When: {idea.moment}" for idea in worlds.documents("post_briefs", world_id)}
    key = next(key for key, said in asked.items() if sum(said in other for other in asked.values()) == 1)
    return key, asked[key]


def attempts(worlds: Worlds, world_id: str) -> set[int]:
    """Attempts of the world's completed tasks."""
    return {task["attempt_count"] for task in worlds.database[TASKS].find({"world_id": world_id, "status": "completed"})}


def fails_alone(worlds: Worlds, world_id: str, key: str, made: Made, reason: str) -> None:
    """Check that the world is complete except for this post, which used its two attempts and is named with its reason."""
    assert made.success, made.failure
    status = worlds.status(world_id)
    assert (status.status, status.tasks_failed, status.parked) == (State.COMPLETED, 1, None)
    assert [(failure.type, failure.key) for failure in status.failures] == [("generate_post", key)]
    assert reason in status.failures[0].error
    failed = worlds.database[TASKS].find_one({"world_id": world_id, "generation": status.generation, "status": "failed"})
    assert failed is not None
    assert failed["attempt_count"] == 2


class PoisonedPainter(StubImageGenerator):
    """Makes all pictures except the first requested picture of a post, which fails each time."""

    poisonous: ClassVar[int | None] = None
    error: ClassVar[Exception] = TransientError("500 for this picture")

    def __init__(self) -> None:
        super().__init__(latency_seconds=0, cost_usd=0, refused_words=[])

    async def generate(self, *, prompt: str, width: int, height: int, seed: int, **order: Any) -> GeneratedImage:
        if (width, height) == POST_SIZE and type(self).poisonous is None:
            type(self).poisonous = seed
        if seed == type(self).poisonous and "grey wall" not in prompt:
            raise self.error
        return await super().generate(prompt=prompt, width=width, height=height, seed=seed, **order)


class ClumsyPainter(PoisonedPainter):
    """Raises its own error for this picture."""

    error = KeyError("frames")
