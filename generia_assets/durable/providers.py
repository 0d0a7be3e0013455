"""Who is called, and how long a call may take: one object each for the whole process. And how a task marks its calls."""

from __future__ import annotations

from dataclasses import dataclass

from generia_assets.durable.journal import TaskInHand
from resources.gemini import GeminiClient
from resources.images import ImageGenerator
from resources.model_roster import ModelRoster
from resources.outside import Outside
from resources.platform import Platform


@dataclass(frozen=True)
class Timeouts:
    """Seconds one call may take."""

    llm: float
    image: float
    platform: float


@dataclass(frozen=True)
class Providers:
    """Who is called: one object each for the whole process."""

    outside: Outside
    gemini: GeminiClient
    roster: ModelRoster
    images: ImageGenerator
    platform: Platform
    timeouts: Timeouts
    max_reasks: int
    patience: float


def labels_of(task: TaskInHand) -> dict[str, str]:
    """What the record of a task's call says of the task."""
    return {"task_type": task.task_type.value, "key": task.key}
