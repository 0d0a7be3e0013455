"""What a record of the orders' topic means: the one place that decides it.

The envelope (docs/events.md) is strict JSON. Every record is exactly one of three things: an order, not for us, or refused with a
reason that names the field. Pure functions, no broker and no database.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

import pydantic_core
from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, WithJsonSchema

from generia_assets.catalog import TaskType
from generia_assets.durable.orders.intake import RefusedOrder
from generia_assets.durable.orders.order import (
    TASK_CREATED,
    WORLD_ID_PATTERN,
    Order,
    OrderError,
    is_extension,
    parse_fields,
    parse_parameters,
)
from resources.explanation import shortened
from resources.mongodb.connection import MongoDocument

LARGEST_MESSAGE_BYTES = 1024 * 1024
"""An order is a sentence and a few numbers. What is larger is not read at all."""

T = TypeVar("T")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _uuid(text: str) -> str:
    # Lower case: two spellings of one UUID are one world. Only the usual form: Python's parser takes "{…}" and "urn:uuid:…".
    if not _UUID.fullmatch(text.lower()):
        raise ValueError("must be a UUID, such as 123e4567-e89b-12d3-a456-426614174000")
    return text.lower()


Uuid = Annotated[str, AfterValidator(_uuid), WithJsonSchema({"type": "string", "format": "uuid"})]


def _world_id(text: str, info: ValidationInfo) -> str:
    return _name_of_world(text, info.data.get("task_type"), info.data.get("parameters"))


def _name_of_world(text: str, task_type: TaskType | None, parameters: object) -> str:
    of_new = task_type in (None, TaskType.INIT_WORLD_CREATION) and not is_extension(task_type, parameters)
    if of_new or _UUID.fullmatch(text.lower()):
        return _uuid(text)
    if not re.fullmatch(WORLD_ID_PATTERN, text):
        raise ValueError("must be a UUID, or the name that the world has in Dagster")
    return text


WorldId = Annotated[str, AfterValidator(_world_id), WithJsonSchema({"type": "string", "pattern": WORLD_ID_PATTERN})]
"""A new world's id is a UUID, as all of the platform's are; worlds from the launch form may be called otherwise."""


class TaskCreated(BaseModel, strict=True, extra="ignore", frozen=True):
    """The envelope. ``parameters`` absent: they are in MongoDB under ``task_id``."""

    event_type: Literal["task_created"]
    task_id: Uuid
    task_type: TaskType = Field(strict=False)
    parameters: MongoDocument | None = None
    world_id: WorldId


def read_message(value: bytes | None) -> Order | RefusedOrder | None:
    """What a record with this value means; None: it is right and not for us. Never raises.

    Its key, headers and time are the transport's and say nothing about the order.
    """
    try:
        return _meaning(_json_object(value))
    except OrderError as error:
        named = _leniently(value)
        task_type = _readable(TaskType, named.get("task_type"))
        world_id = _readable(lambda text: _name_of_world(text, task_type, named.get("parameters")), named.get("world_id"))
        return RefusedOrder(str(error), world_id, _readable(_uuid, named.get("task_id")), task_type)


def _leniently(value: bytes | None) -> MongoDocument:
    """What stands in a refused value all the same: half a character in a prompt must not hide which world is waited for."""
    if value is None or len(value) > LARGEST_MESSAGE_BYTES:
        return {}
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _meaning(content: MongoDocument) -> Order | None:
    event_type = content.get("event_type")
    if not isinstance(event_type, str):
        raise OrderError(f"event_type={shortened(event_type)}: must be a text, such as {TASK_CREATED!r}")
    if event_type != TASK_CREATED:
        return None
    task = parse_fields(TaskCreated, content)
    parameters = None if task.parameters is None else parse_parameters(task.task_type, task.parameters)
    return Order(task.world_id, parameters, task.task_type, task.task_id)


def _readable(read: Callable[[str], T], value: object) -> T | None:
    try:
        return read(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _json_object(value: bytes | None) -> MongoDocument:
    if not value:
        raise OrderError("value: empty; must be a JSON object")
    if len(value) > LARGEST_MESSAGE_BYTES:
        raise OrderError(f"value: {len(value)} bytes; at most {LARGEST_MESSAGE_BYTES} are read")
    text = value.removeprefix(codecs.BOM_UTF8)
    try:
        # Twice: pydantic's parser is bounded in depth and refuses lone surrogates, Python's can be asked about repeated names.
        pydantic_core.from_json(text)
        content: object = json.loads(text.decode(), object_pairs_hook=_unique_names)
    except OrderError:
        raise
    except ValueError as error:
        raise OrderError(f"value: not JSON ({error})") from None
    if not isinstance(content, dict):
        raise OrderError(f"value={shortened(content)}: must be a JSON object")
    return content


def _unique_names(pairs: list[tuple[str, object]]) -> MongoDocument:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise OrderError(f"{shortened(twice)}: stands there twice; which value is meant?")
    return content
