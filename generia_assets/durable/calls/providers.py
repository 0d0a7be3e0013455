"""Who is called, and how long a call may take: one object each for the whole process. And how a task marks its calls."""

from __future__ import annotations

from dataclasses import dataclass

from generia_assets.durable.tasks.runner import TaskContext
from resources.gateway.api_gateway import ApiGateway
from resources.gemini.client import GeminiClient
from resources.gemini.model_resolver import ModelResolver
from resources.images import ImageGenerator
from resources.platform.protocol import Platform


@dataclass(frozen=True)
class Timeouts:
    """Seconds one call may take."""

    llm: float
    image: float
    platform: float


@dataclass(frozen=True)
class Providers:
    """Who is called: one object each for the whole process."""

    outside: ApiGateway
    gemini: GeminiClient
    roster: ModelResolver
    images: ImageGenerator
    platform: Platform
    timeouts: Timeouts
    max_reasks: int
    patience: float


def labels_of(task: TaskContext) -> dict[str, str]:
    """What the record of a task's call says of the task."""
    return {"task_type": task.task_type.value, "key": task.key}
