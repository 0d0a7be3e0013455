"""The declaration of a durable task: its type, its attempts, its typed function. Each task type has a file of its name here.

Here: ``@durable_task``. Not here: the catalogue of types (catalog.py) and durable execution (durable/).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, get_type_hints

from pydantic import BaseModel, Field

from generia_assets.catalog import TaskType
from generia_assets.content.documents import FrozenModel
from generia_assets.content.shares import BATCH
from generia_assets.tasks.clients import TaskClients


class UnfitTaskError(ValueError):
    """A task's arguments can never become its result. The message says what to change; another attempt cannot help."""


class TaskParameters(FrozenModel):
    """The parameters stored with a task, so that it can be executed again: small, never a copy of the world's description."""

    key: str = Field(description="item key, unique among the world's tasks of one type and generation")


class BatchParameters(TaskParameters):
    """Which people of a world, or posts of a person: ``count`` (1 to 10) from the index or order ``first``.

    ``key`` is ``b000`` or ``c0007-b000`` for the first batch, and ``c0007`` when only the eighth person is regenerated.
    """

    first: int = Field(ge=0)
    count: int = Field(ge=1, le=BATCH)


ParametersT = TypeVar("ParametersT", bound=TaskParameters)
ResultT = TypeVar("ResultT", bound=BaseModel)
Context = ParamSpec("Context")


@dataclass(frozen=True)
class DurableTask(Generic[ParametersT, Context, ResultT]):
    """A task type: ``function(parameters, clients, *context)`` gives the typed result that the task runner stores.

    ``parameters`` are stored with the task; ``context`` (the world, the character, …) comes from the caller and is not
    stored; ``clients`` make the task's calls. ``of_item``: one item depends on it, not the whole world: it has fewer attempts
    (R10).
    """

    task_type: TaskType
    of_item: bool
    parameters: type[ParametersT]
    result: type[ResultT]
    function: Callable[Concatenate[ParametersT, TaskClients, Context], Awaitable[ResultT]]

    @property
    def attempts(self) -> int:
        return 2 if self.of_item else 4

    def __call__(
        self, parameters: ParametersT, clients: TaskClients, *context: Context.args, **named: Context.kwargs
    ) -> Awaitable[ResultT]:
        """Execute it once, without a task runner: for tests, and to try a prompt."""
        return self.function(parameters, clients, *context, **named)


def durable_task(
    function: Callable[Concatenate[ParametersT, TaskClients, Context], Awaitable[ResultT]],
) -> DurableTask[ParametersT, Context, ResultT]:
    """Declare an async function that has a task type's name as that task type."""
    hints, task_type = get_type_hints(function), TaskType(function.__name__)
    return DurableTask(
        task_type=task_type,
        of_item=task_type.asset.unit.of_item,
        parameters=hints["parameters"],
        result=hints["return"],
        function=function,
    )


def task_of(task_type: TaskType) -> DurableTask[Any, ..., Any]:
    """The task of this type: its module and its function have the type's name."""
    task: DurableTask[Any, ..., Any] = getattr(import_module(f"{__package__}.{task_type}"), task_type)
    return task
