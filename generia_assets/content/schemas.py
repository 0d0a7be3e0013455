"""JSON schemas of drafts for the provider: inlined, without keywords that it ignores, with counts per request.

Here: how a pydantic class becomes such a schema. Not here: the classes (drafts.py). Measured limits of the provider: nothing
but ``$`` keys beside a ``$ref``; minLength, maxLength, pattern and default ignored; arrays of objects above ten items and long
enums refused with "too many states". So definitions are inlined, and what is not honoured is checked by the classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pydantic import BaseModel

Schema = dict[str, object]

_KEPT = ("type", "items", "enum", "minItems", "maxItems", "minimum", "maximum", "anyOf")


@dataclass(frozen=True)
class Shape:
    """What a request fixes about its answer; fields are named by dotted paths (``people.number``).

    ``items``: least and most items of an array. ``ranges``: minimum and maximum of a number (or of an array's numbers).
    ``slots``: a field that maps names to objects, and the names it must have. ``without``: fields that are not asked for.
    """

    items: tuple[tuple[str, int, int], ...] = ()
    ranges: tuple[tuple[str, int, int], ...] = ()
    slots: tuple[tuple[str, tuple[str, ...]], ...] = ()
    without: tuple[str, ...] = ()


AS_IT_IS = Shape()


def _object(value: object) -> Schema:
    if not isinstance(value, dict):
        raise TypeError(f"not a schema: {value!r}")
    return value


def _inlined(node: object, definitions: Mapping[str, object]) -> object:
    if isinstance(node, list):
        return [_inlined(part, definitions) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(definitions[str(node["$ref"]).rsplit("/", 1)[-1]], definitions)
    result: Schema = {key: _inlined(node[key], definitions) for key in _KEPT if key in node}
    if "properties" in node:
        # Names of properties are not keywords: each is kept, whatever it is called.
        properties = {name: _inlined(part, definitions) for name, part in _object(node["properties"]).items()}
        # All fields are asked for, defaults or not, and in the order of the class, which is the order of thinking.
        result |= {"properties": properties, "required": list(properties), "propertyOrdering": list(properties)}
    if isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _inlined(node["additionalProperties"], definitions)
    return result


def _at(schema: Schema, path: str) -> Schema:
    """The node at a dotted path; steps through arrays by itself."""
    node = schema
    for name in filter(None, path.split(".")):
        node = _object(_fields(node)[name])
    return node


def _fields(node: Schema) -> Schema:
    """The properties of an object, or of the objects in an array."""
    return _object(_object(node.get("items", node))["properties"])


def _drop(schema: Schema, path: str) -> None:
    parent, _, name = path.rpartition(".")
    holder = _at(schema, parent)
    holder = _object(holder.get("items", holder))
    properties = _object(holder["properties"])
    del properties[name]
    holder |= {"required": list(properties), "propertyOrdering": list(properties)}


def _fill(node: Schema, names: tuple[str, ...]) -> None:
    """Make a mapping of any names into an object with exactly these."""
    value = node.pop("additionalProperties")
    listed = list(names)
    node |= {"properties": dict.fromkeys(listed, value), "required": listed, "propertyOrdering": listed}


@lru_cache(maxsize=256)
def schema_of(draft: type[BaseModel], shape: Shape = AS_IT_IS) -> Schema:
    """The schema of this draft with this shape. Cached: the same shape gives the same object, which must not be changed."""
    raw = draft.model_json_schema()
    schema = _object(_inlined(raw, raw.get("$defs", {})))
    for path in shape.without:
        _drop(schema, path)
    for path, names in shape.slots:
        _fill(_at(schema, path), names)
    for path, least, most in shape.items:
        _at(schema, path).update(minItems=least, maxItems=most)
    for path, minimum, maximum in shape.ranges:
        node = _at(schema, path)
        _object(node.get("items", node)).update(minimum=minimum, maximum=maximum)
    return schema
