"""Sample answers: what stands for the model's answers where requests are only looked at.

Here: an answer that fits a request's schema. It depends on the schema and on the request's place in the world alone, never on the
words of a template, so that a changed template changes no other request. Not here: sample documents (samples.py).
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias, TypeVar

from generia_assets.content import languages, seeding
from generia_assets.content.drafts import Draft, in_language
from generia_assets.content.schemas import Schema

DraftT = TypeVar("DraftT", bound=Draft)
_Node: TypeAlias = dict[str, Any]

_NO_LANGUAGE = "-"
"""A language's name that names none: sample answers are English in every world, and no script is asked for."""
_ENTRIES = 2
"""Entries of a list whose length is open."""


def sample_answer(draft: type[DraftT], schema: Schema, name: str, language: str) -> DraftT:
    """The answer to the request of this ``name`` (``post.@mira.3``), in a world of this ``language``."""
    free: type[DraftT] = in_language(draft, _NO_LANGUAGE)
    return free.model_validate(_value(schema, name, "", language))


def _value(schema: _Node, name: str, path: str, language: str) -> object:
    if options := schema.get("enum"):
        return options[0]
    if either := schema.get("anyOf"):
        return _value(either[0], name, path, language)
    match schema.get("type"):
        case "object":
            parts = schema.get("properties", {})
            return {part: _value(of, name, f"{path} {part}".strip(), language) for part, of in parts.items()}
        case "array":
            least, most = schema.get("minItems", 0), schema.get("maxItems", _ENTRIES)
            entries = range(1, max(least, min(_ENTRIES, most)) + 1)
            return [_value(_numbered(schema["items"], number), name, f"{path} {number}", language) for number in entries]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case _:
            return language if path == "content_language" else _text(name, path, language)


def _numbered(schema: _Node, number: int) -> _Node:
    """The schema of an entry of a list: the numbers in it count from their minimum on, entry by entry."""
    own = {**schema, "minimum": min(schema["minimum"] + number - 1, schema["maximum"])} if "minimum" in schema else schema
    parts = own.get("properties", {})
    return {**own, "properties": {part: _numbered(of, number) if "minimum" in of else of for part, of in parts.items()}}


def _text(name: str, path: str, language: str) -> str:
    digits = "_".join(re.findall(r"\d+", f"{name} {path}"))
    if path.endswith("username"):
        return f"person_{digits}"
    if path.endswith("display_name"):  # the tasks ask for the world's script; digits are of any
        return f"Person {digits}" if languages.checked_script(language) in ("Latin", None) else digits
    # The codes make any two samples unlike each other for every measure of likeness.
    return f"Sample of {path} in {name} ({' '.join(seeding.code(0, name, path, place) for place in range(3))})"
