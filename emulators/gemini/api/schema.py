"""JSON schemas of answers: the rules with which Google refuses them, and the one dialect that the walker reads.

Here: ``checked_schema``, which turns ``responseJsonSchema`` or ``responseSchema`` into a checked schema for the walker, and whether
an answer fits one. Not here: the walk itself (writing/walker.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import JsonValue

from emulators.gemini.api.errors import GoogleError, bare_invalid_argument, invalid_argument
from emulators.gemini.api.models import Model
from emulators.gemini.api.wire import GenerationConfig, OpenApiSchema

Schema = dict[str, JsonValue]

# Measured limits of "too many states": about 960 summed maxItems, arrays of objects from maxItems 20 on, and objects in objects
# beyond three to four levels. The other two limits are sizes at which requests are known to fail; the exact numbers are not
# published.
MAX_SUMMED_ITEMS = 960
MAX_OBJECT_ITEMS = 19
MAX_OBJECT_LEVELS = 4
MAX_ENUM_VALUES = 500
MAX_NAME_CHARACTERS = 20_000

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_TOO_MANY_STATES = (
    "The specified schema produces a constraint that has too many states for serving.  Typical causes of this error are "
    "schemas with lots of text (for example, very long property or enum names), schemas with long array length limits "
    "(especially when nested), or schemas using complex value matchers (for example, integers or numbers with minimum/maximum "
    "bounds or strings with complex formats like date-time)"
)


def checked_schema(config: GenerationConfig, model: Model) -> Schema | None:
    """The answer's schema, or None if any answer is allowed.

    Raises GoogleError (400): two schemas at once, siblings beside ``$ref``, a reference to nothing, a cycle through required
    properties, too many states.
    """
    if config.response_json_schema is not None and config.response_schema is not None:
        raise invalid_argument("Only one of response_schema and response_json_schema can be set.")
    if config.response_schema is not None:
        schema: JsonValue = _from_openapi(config.response_schema)
    else:
        schema = config.response_json_schema
    if schema is None:
        return None
    if not isinstance(schema, dict):
        raise invalid_argument("* GenerateContentRequest.generation_config.response_json_schema: must be a JSON object.")
    check = _Check(schema)
    check.node(schema, _Place())
    if check.too_many_states:
        raise _states_error(model)
    return schema


def resolve(root: Schema, node: Schema) -> Schema:
    """Follow ``$ref`` to its end. The schema has been checked: every reference has a target."""
    while isinstance(ref := node.get("$ref"), str):
        target = _target(root, ref)
        if target is None:
            raise invalid_argument(f"Reference {ref} is not defined in the schema.")
        node = target
    return node


def _target(root: Schema, ref: str) -> Schema | None:
    node: JsonValue = root
    for step in ref.removeprefix("#").strip("/").split("/"):
        if step:
            node = node.get(step) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None


def _states_error(model: Model) -> GoogleError:
    return invalid_argument(_TOO_MANY_STATES) if model.explains_states else bare_invalid_argument()


@dataclass(frozen=True)
class _Place:
    """The position of a node: its depth in objects, its number of copies, and the references around it. ``required`` are the
    innermost references with no optional step after them: a second occurrence of one of them would be an endless recursion.
    """

    levels: int = 0
    copies: int = 1
    inside: tuple[str, ...] = ()
    required: tuple[str, ...] = ()

    def optional(self) -> _Place:
        return replace(self, required=())


class _Check:
    """One pass over a schema with every reference expanded, counting what makes states."""

    def __init__(self, root: Schema) -> None:
        self.root = root
        self.items = 0
        self.enum_values = 0
        self.name_characters = 0
        self.unservable = False

    @property
    def too_many_states(self) -> bool:
        return (
            self.unservable
            or self.items > MAX_SUMMED_ITEMS
            or self.enum_values > MAX_ENUM_VALUES
            or self.name_characters > MAX_NAME_CHARACTERS
        )

    def node(self, node: Schema, place: _Place) -> None:
        """Check a node and everything below it."""
        ref = node.get("$ref")
        if isinstance(ref, str):
            self._reference(node, ref, place)
            return
        for branch in (*_schemas(node.get("anyOf")), *_schemas(node.get("oneOf"))):
            self.node(branch, place)
        enum = node.get("enum")
        if isinstance(enum, list):
            self.enum_values += len(enum)
            self.name_characters += sum(len(str(value)) for value in enum)
        items, properties = node.get("items"), node.get("properties")
        if isinstance(items, dict):
            self._array(node, items, place)
        if isinstance(properties, dict):
            self._object(node, properties, replace(place, levels=place.levels + 1))

    def _reference(self, node: Schema, ref: str, place: _Place) -> None:
        if any(not key.startswith("$") for key in node):
            name = ref.rsplit("/", maxsplit=1)[-1]
            raise invalid_argument(
                f"$ref '{name}' was set alongside unsupported fields. "
                "If a schema node has $ref set, then only properties starting with $ can be set alongside it."
            )
        target = _target(self.root, ref)
        if target is None:
            raise invalid_argument(f"Reference {ref} is not defined in the schema.")
        if ref in place.required:
            raise invalid_argument(f"Reference {ref} is part of a cycle of required properties; cycles must be optional.")
        if ref not in place.inside:
            self.node(target, replace(place, inside=(*place.inside, ref), required=(*place.required, ref)))

    def _array(self, node: Schema, items: Schema, place: _Place) -> None:
        most = node.get("maxItems")
        if isinstance(most, int):
            self.items += most * place.copies
            self.unservable |= most > MAX_OBJECT_ITEMS and "properties" in resolve(self.root, items)
            place = replace(place, copies=place.copies * max(1, most))
        # An array may be empty unless minItems says otherwise, so a cycle through it ends by itself.
        self.node(items, place if node.get("minItems") else place.optional())

    def _object(self, node: Schema, properties: dict[str, JsonValue], place: _Place) -> None:
        self.unservable |= place.levels > MAX_OBJECT_LEVELS
        required = node.get("required")
        names = required if isinstance(required, list) else []
        for name, child in properties.items():
            self.name_characters += len(name)
            if not isinstance(child, dict):
                raise bare_invalid_argument()
            self.node(child, place if name in names else place.optional())


def _schemas(value: JsonValue) -> list[Schema]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _from_openapi(schema: OpenApiSchema) -> Schema:
    """The same schema as JSON Schema."""
    plain = schema.model_dump(by_alias=True, exclude_none=True, exclude={"items", "properties", "any_of", "defs", "ref"})
    node: Schema = dict(plain)
    if schema.type:
        node["type"] = schema.type.lower()
    if schema.items is not None:
        node["items"] = _from_openapi(schema.items)
    if schema.properties is not None:
        node["properties"] = {name: _from_openapi(child) for name, child in schema.properties.items()}
    if schema.any_of is not None:
        node["anyOf"] = [_from_openapi(child) for child in schema.any_of]
    if schema.defs is not None:
        node["$defs"] = {name: _from_openapi(child) for name, child in schema.defs.items()}
    if schema.ref is not None:
        node["$ref"] = schema.ref.replace("#/defs/", "#/$defs/")
    if node.pop("nullable", False):
        return {"anyOf": [node, {"type": "null"}]}
    return node


def fits(value: JsonValue, schema: Schema) -> bool:
    """Whether the value is one that the schema allows. Properties that the schema does not name are allowed."""
    return _fits(value, schema, schema)


def _fits(value: JsonValue, node: JsonValue, root: Schema) -> bool:
    if not isinstance(node, dict):
        return False
    node = resolve(root, node)
    options = node.get("anyOf") or node.get("oneOf")
    if isinstance(options, list):
        return any(_fits(value, option, root) for option in options)
    enum, kind = node.get("enum"), node.get("type")
    if isinstance(enum, list):
        return value in enum
    if isinstance(kind, str) and not (isinstance(value, _TYPES[kind]) and (not isinstance(value, bool) or kind == "boolean")):
        return False
    if isinstance(value, dict):
        properties, required = node.get("properties"), node.get("required")
        children = properties if isinstance(properties, dict) else {}
        names = required if isinstance(required, list) else []
        return all(name in value for name in names) and all(
            _fits(value[name], children[name], root) for name in children if name in value
        )
    if isinstance(value, list):
        least, most, items = node.get("minItems", 0), node.get("maxItems"), node.get("items")
        enough = len(value) >= (least if isinstance(least, int) else 0) and not (isinstance(most, int) and len(value) > most)
        return enough and (items is None or all(_fits(item, items, root) for item in value))
    if isinstance(value, int | float):
        low, high = node.get("minimum"), node.get("maximum")
        return not (isinstance(low, int | float) and value < low) and not (isinstance(high, int | float) and value > high)
    return True
