"""What stands in a message of the orders' topic: bytes in, an ``Order`` out, or the reason why not.

Here: the envelope (contracts.md, "Kafka") and strict JSON. Pure functions, no broker and no database. Not here: whether the order
fits what MongoDB knows already (generia_assets/durable/orders.py), and what becomes of a broken message (dead_letters.py).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Annotated, Literal

import pydantic_core
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, WithJsonSchema

from generia_assets.durable.item_keys import KEY_PATTERN, complaint
from generia_assets.durable.orders import WORLD_ID_PATTERN, Order, OrderError, explain, shortened, validated_parameters
from generia_assets.tasks.kinds import TaskType
from resources.mongo import MongoDocument

LARGEST_MESSAGE_BYTES = 1024 * 1024
"""An order is a sentence and a few numbers. What is larger is not read at all."""
MOST_KEYS = 10_000
"""Items that one message can order again; for more, leave out ``keys``, which means all of them."""

TASK_CREATED = "task_created"

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class MessageError(ValueError):
    """A message that is no order. The text names the field, its value and what is allowed."""


@dataclass(frozen=True)
class Skipped:
    """A message that is right and not for us."""

    reason: str


def _uuid(text: str) -> str:
    # Lower case: two spellings of one UUID are one world. Only the usual form: Python's parser takes "{…}" and "urn:uuid:…".
    if not _UUID.fullmatch(text.lower()):
        raise ValueError("must be a UUID, such as 123e4567-e89b-12d3-a456-426614174000")
    return text.lower()


Uuid = Annotated[str, AfterValidator(_uuid), WithJsonSchema({"type": "string", "format": "uuid"})]
ItemKey = Annotated[str, WithJsonSchema({"type": "string", "pattern": KEY_PATTERN})]
"""Which keys there are depends on the task type (item_keys.py), which says it better than a pattern."""


class PartParameters(BaseModel):
    """``parameters`` of the eight task types that make a part of a world again.

    Unknown fields are refused: a misspelt ``keys`` would make everything again, and cost accordingly.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    keys: list[ItemKey] = Field(default_factory=list, max_length=MOST_KEYS, description="these items only; none: all of them")
    with_what_follows: bool = Field(
        True, description="also everything that is made of it; false: that part alone, and what was made of it may no longer fit"
    )


def _world_id(text: str, info: ValidationInfo) -> str:
    if info.data.get("task_type") is TaskType.INIT_WORLD_CREATION or _UUID.fullmatch(text.lower()):
        return _uuid(text)
    if not re.fullmatch(WORLD_ID_PATTERN, text):
        raise ValueError("must be a UUID, or the name that the world has in Dagster")
    return text


WorldId = Annotated[str, AfterValidator(_world_id), WithJsonSchema({"type": "string", "pattern": WORLD_ID_PATTERN})]
"""A new world's id is a UUID, as all of the platform's are; worlds from the launch form may be called otherwise."""


class TaskCreated(BaseModel):
    """The envelope. ``parameters`` absent: they are in MongoDB under ``task_id``."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    event_type: Literal["task_created"]
    task_id: Uuid
    task_type: TaskType = Field(strict=False)
    world_id: WorldId
    parameters: MongoDocument | None = None


def read_message(value: bytes | None) -> Order | Skipped:
    """The order in a message, or why it is not for us. Raises ``MessageError`` for everything that is not as contracts.md says."""
    content = _json_object(value)
    event_type = content.get("event_type")
    if not isinstance(event_type, str):
        raise MessageError(f"event_type={shortened(event_type)}: must be a text, such as {TASK_CREATED!r}")
    if event_type != TASK_CREATED:
        return Skipped(f"event_type {shortened(event_type)} is not for the generator")
    try:
        task = TaskCreated.model_validate(content)
    except ValidationError as error:
        raise MessageError("; ".join(explain(error))) from None
    if task.parameters is not None:
        _check(task.task_type, task.parameters)
    return Order(task.task_id, task.task_type, task.world_id, task.parameters)


def _check(task_type: TaskType, parameters: MongoDocument) -> None:
    """Nothing reaches MongoDB that a model has not looked at."""
    try:
        if task_type is TaskType.INIT_WORLD_CREATION:
            validated_parameters(parameters)
        elif wrong := complaint(task_type, PartParameters.model_validate(parameters).keys):
            raise MessageError(wrong)
    except OrderError as error:
        raise MessageError(str(error)) from None
    except ValidationError as error:
        raise MessageError("; ".join(explain(error, "parameters."))) from None


def _json_object(value: bytes | None) -> MongoDocument:
    if not value:
        raise MessageError("value: empty; must be a JSON object")
    if len(value) > LARGEST_MESSAGE_BYTES:
        raise MessageError(f"value: {len(value)} bytes; at most {LARGEST_MESSAGE_BYTES} are read")
    try:
        # Twice: pydantic's parser is bounded in depth and refuses lone surrogates, Python's can be asked about repeated names.
        pydantic_core.from_json(value)
        content: object = json.loads(value.decode(), object_pairs_hook=_unique_names)
    except ValueError as error:
        if isinstance(error, MessageError):
            raise
        raise MessageError(f"value: not JSON ({error})") from None
    if not isinstance(content, dict):
        raise MessageError(f"value={shortened(content)}: must be a JSON object")
    return content


def _unique_names(pairs: list[tuple[str, object]]) -> MongoDocument:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MessageError(f"{shortened(twice)}: stands there twice; which value is meant?")
    return content
