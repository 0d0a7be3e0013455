"""JSON Schemas of all messages, in and out, one file a topic, written into ``docs/schemas/``: ``make schemas``.

Here: which models a topic has. They are the same models that read and write the messages; only an order's kinds, which the
sensor checks one after the other, are joined here. Not here: what the messages mean (docs/events.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, JsonValue, TypeAdapter

from generia_assets.catalog import PARTS, TaskType
from generia_assets.durable.events.events import EVENTS
from generia_assets.durable.orders.order import ExtensionParameters, PartParameters, WorldParameters
from sensors.dead_letters import DeadLetterHeaders
from sensors.messages import Uuid, WorldId

DIRECTORY = Path(__file__).parent.parent / "docs" / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Order(BaseModel):
    event_type: Literal["task_created"]
    task_id: Uuid = Field(description="the order's name: a repetition of it changes nothing")
    world_id: Uuid


class NewWorld(_Order):
    """A whole world. ``parameters`` absent or null: they are in MongoDB, collection ``tasks``, under ``task_id``."""

    task_type: Literal[TaskType.INIT_WORLD_CREATION]
    parameters: WorldParameters | None = None


class Extension(_Order):
    """More people and posts for a completed world."""

    world_id: WorldId = Field(description="of a world from Dagster's launch form: the name that it was given there")
    task_type: Literal[TaskType.INIT_WORLD_CREATION]
    parameters: ExtensionParameters


class PartAgain(_Order):
    """A part of an existing world, made again."""

    world_id: WorldId = Field(description="of a world from Dagster's launch form: the name that it was given there")
    task_type: Annotated[str, Field(json_schema_extra={"enum": [*PARTS]})]
    parameters: PartParameters | None = Field(None, description="absent: as in MongoDB under task_id, or else all items")


def schemas() -> Mapping[str, dict[str, JsonValue]]:
    orders: TypeAdapter[NewWorld | Extension | PartAgain] = TypeAdapter(NewWorld | Extension | PartAgain)
    headers = TypeAdapter(DeadLetterHeaders)
    return {
        "generia-tasks.json": _schema(orders, "Orders: messages of the topic generia-tasks that are carried out"),
        "generia-progress.v1.json": _schema(EVENTS, "Live events: messages of the topic generia-progress, version 1", sent=True),
        "generia-tasks-dlq.headers.json": _schema(headers, "Headers of the messages of the topic generia-tasks-dlq"),
    }


def text(schema: Mapping[str, JsonValue]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _schema(model: TypeAdapter[Any], title: str, *, sent: bool = False) -> dict[str, JsonValue]:
    schema = model.json_schema(mode="serialization" if sent else "validation")
    definitions: dict[str, JsonValue] = {
        name: _readable(definition, sent=sent) for name, definition in schema.pop("$defs", {}).items()
    }
    return {"$schema": DIALECT, "title": title, **_readable(schema, sent=sent), **({"$defs": definitions} if definitions else {})}


def _readable(schema: dict[str, JsonValue], *, sent: bool) -> dict[str, JsonValue]:
    """The schema without redundant entries: titles made of names, and defaults of fields that are always ``sent``."""
    kept = {name: value for name, value in schema.items() if name != "title" and not (sent and name == "default")}
    if isinstance(described := kept.get("description"), str):
        kept["description"] = described.replace("``", "`")
    if isinstance(properties := kept.get("properties"), dict):
        kept["properties"] = {name: _readable(field, sent=sent) for name, field in properties.items() if isinstance(field, dict)}
    return kept


def main() -> None:
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (DIRECTORY / name).write_text(text(schema), encoding="utf-8")
        print(DIRECTORY / name)  # noqa: T201  a command


if __name__ == "__main__":
    main()
