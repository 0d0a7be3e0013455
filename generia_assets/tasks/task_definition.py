"""What a durable task is: its type, its level, its typed function. Each task type has a file of its name beside this one.

Here: the declaration (``@durable_task``). Not here: what is known about each type (catalog.py) and how a task survives (durable/).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Concatenate, Generic, ParamSpec, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field

from generia_assets.catalog import TaskType
from generia_assets.tasks.clients import TaskClients


class UnfitTaskError(ValueError):
    """What a task was given can never become its result. The message says what to change; trying again cannot help."""


class Level(Enum):
    """How much hangs on a task, and so how many attempts it has (R10): 4 for the whole world's, 2 for one item's."""

    WORLD = 4
    ITEM = 2

    @property
    def attempts(self) -> int:
        """Attempts before the task has failed for good."""
        return self.value


class TaskParameters(BaseModel):
    """What is stored with a task so that it can be done again: small, never a copy of the world's description."""

    model_config = ConfigDict(frozen=True)

    key: str = Field(description="item key, unique among the world's tasks of one type and generation")


ParametersT = TypeVar("ParametersT", bound=TaskParameters)
ResultT = TypeVar("ResultT", bound=BaseModel)
Context = ParamSpec("Context")


@dataclass(frozen=True)
class DurableTask(Generic[ParametersT, Context, ResultT]):
    """A task type: ``function(parameters, tools, *context)`` gives the typed result that the journal keeps.

    ``parameters`` are stored with the task; ``context`` (the world, the character, …) is what the caller has at hand and is
    not stored; ``tools`` are the task's only way to the outside.
    """

    task_type: TaskType
    level: Level
    parameters: type[ParametersT]
    result: type[ResultT]
    function: Callable[Concatenate[ParametersT, TaskClients, Context], Awaitable[ResultT]]

    def __call__(
        self, parameters: ParametersT, tools: TaskClients, *context: Context.args, **named: Context.kwargs
    ) -> Awaitable[ResultT]:
        """Do it once, without a journal: for tests, and to try a prompt."""
        return self.function(parameters, tools, *context, **named)


def durable_task(
    level: Level,
) -> Callable[
    [Callable[Concatenate[ParametersT, TaskClients, Context], Awaitable[ResultT]]], DurableTask[ParametersT, Context, ResultT]
]:
    """Declare an async function named like one of the nine task types as that task type."""

    def declare(
        function: Callable[Concatenate[ParametersT, TaskClients, Context], Awaitable[ResultT]],
    ) -> DurableTask[ParametersT, Context, ResultT]:
        hints = get_type_hints(function)
        name = function.__name__
        return DurableTask(
            task_type=TaskType(name),
            level=level,
            parameters=hints["parameters"],
            result=hints["return"],
            function=function,
        )

    return declare
