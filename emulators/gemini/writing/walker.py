"""The walk over an answer's JSON schema: every node becomes a value that the schema allows and a reader can read.

Here: types, counts, choices, who an object is about. Not here: the words (author.py) and what a field name means (fields.py).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import JsonValue

from emulators.gemini.api.schema import Schema, resolve
from emulators.gemini.writing.author import Author
from emulators.gemini.writing.fields import FieldKind, Form, kind_of
from emulators.gemini.writing.people import People
from emulators.gemini.writing.scene import Scene
from emulators.gemini.writing.words import Language

_DEEPEST = 12
"""Levels after which optional properties are left out, so that recursive schemas end."""
_TRIES = 8
_UNBOUNDED = 6
"""Items at most of an array that names no limit."""
_PERSON_FIELD = re.compile(r"^(user_?name|handle|display_name|full_name)$")
_RELATION = re.compile(r"relation|acquaint|mention", re.IGNORECASE)
_WISHES = re.compile(r"wish", re.IGNORECASE)
_LOOKS_LIKE_PROBABILITY = re.compile(r"probab|likel|confiden|typical")
_FORMATS = {"date-time": "2031-04-{day:02d}T1{digit}:30:00Z", "date": "2031-04-{day:02d}", "time": "1{digit}:30:00"}


@dataclass(frozen=True)
class Wishes:
    """How the walk is to go wrong, and how many there should be of what was asked for.

    ``item_factor`` multiplies the number of objects in the outermost arrays (0.5: too few, 1.5: too many), whatever the
    schema allows; ``exact`` is the number the prompt names.
    """

    item_factor: float = 1.0
    repeat_names: bool = False
    exact: int | None = None


class _Spot(NamedTuple):
    """Where in the answer a node stands.

    ``parent`` is the dotted path of the objects around it; ``place`` is its number in the innermost array; ``item`` whether it is
    itself an item of that array.
    """

    parent: str = ""
    name: str = ""
    description: str = ""
    arrays: int = 0
    depth: int = 0
    place: int = 0
    item: bool = False


class Walker:
    """Walks one schema once."""

    def __init__(self, root: Schema, scene: Scene, rng: random.Random, wishes: Wishes) -> None:
        self._root = root
        self._scene = scene
        self._rng = rng
        self._wishes = wishes
        self._people = People(scene.language, rng, scene.text, scene.worn_names, repeat=wishes.repeat_names)
        self._author = Author(scene, scene.language, rng, self._people)
        english = scene.language is Language.ENGLISH
        self._english = self._author if english else Author(scene, Language.ENGLISH, rng, self._people)
        if scene.person:
            self._author.person = self._english.person = self._people.known(scene.person, scene.own_handle)

    def walk(self) -> JsonValue:
        """A value for the whole schema."""
        return self._value(self._root, _Spot())

    def _value(self, node: Schema, spot: _Spot) -> JsonValue:
        description = _text(node.get("description")) or spot.description
        spot = _Spot(spot.parent, spot.name, description, spot.arrays, spot.depth + 1, spot.place, spot.item)
        node = resolve(self._root, node)
        options = node.get("anyOf") or node.get("oneOf")
        if isinstance(options, list):
            return self._value(self._option(options), spot)
        if "const" in node:
            return node["const"]
        enum = node.get("enum")
        if isinstance(enum, list) and enum:
            return self._rng.choice(enum)
        match _type(node):
            case "object":
                return self._object(node, spot)
            case "array":
                return self._array(node, spot)
            case "integer":
                return self._integer(node, spot)
            case "number":
                return self._number(node, spot)
            case "boolean":
                return self._rng.random() < 0.5
            case "null":
                return None
            case _:
                return self._string(node, spot)

    def _option(self, options: list[JsonValue]) -> Schema:
        schemas = [option for option in options if isinstance(option, dict)]
        solid = [option for option in schemas if option.get("type") != "null"]
        # A model rarely leaves out what it may leave out.
        return self._rng.choice(solid) if solid and (len(solid) == len(schemas) or self._rng.random() < 0.9) else schemas[-1]

    def _object(self, node: Schema, spot: _Spot) -> JsonValue:
        properties = node.get("properties")
        if not isinstance(properties, dict):
            return {}
        required = node.get("required")
        names = required if isinstance(required, list) else []
        before = self._author.person
        if any(_PERSON_FIELD.match(name) for name in properties) and not _RELATION.search(spot.name):
            self._author.person = self._english.person = self._people.somebody()
        answer: dict[str, JsonValue] = {}
        ordering = node.get("propertyOrdering")
        ordered = [str(name) for name in ordering if name in properties] if isinstance(ordering, list) else []
        for name in dict.fromkeys([*ordered, *properties]):
            child = properties[name]
            if isinstance(child, dict) and (name in names or spot.depth < _DEEPEST):
                inner = _Spot(f"{spot.parent}.{spot.name}", name, "", spot.arrays, spot.depth, spot.place)
                answer[name] = self._value(child, inner)
        self._author.person = self._english.person = before
        return answer

    def _array(self, node: Schema, spot: _Spot) -> JsonValue:
        items = node.get("items")
        if not isinstance(items, dict):
            return []
        least, most = node.get("minItems"), node.get("maxItems")
        low = least if isinstance(least, int) else 0
        high = max(low, most if isinstance(most, int) else max(low, _UNBOUNDED))
        if _RELATION.search(spot.name):
            high = max(low, min(high, len(self._scene.others)))
        if spot.depth > _DEEPEST:
            count = low
        elif _WISHES.search(spot.name) and self._scene.ideas:
            count = min(max(len(self._scene.ideas), low), high)
        elif "properties" in resolve(self._root, items) and spot.arrays == 0 and not _RELATION.search(spot.name):
            wanted = self._wishes.exact if self._wishes.exact is not None else self._rng.randint(max(low, min(3, high)), high)
            count = round(min(max(wanted, low), high) * self._wishes.item_factor)
        else:
            count = self._rng.randint(min(low + 2, high), min(low + 4, high))
        inner = [
            _Spot(spot.parent, spot.name, spot.description, spot.arrays + 1, spot.depth, place, item=True) for place in range(count)
        ]
        return self._different(items, inner)

    def _different(self, items: Schema, spots: list[_Spot]) -> list[JsonValue]:
        """A value for each spot, texts all different as far as there are enough of them."""
        values: list[JsonValue] = []
        for spot in spots:
            value = self._value(items, spot)
            for _ in range(_TRIES):
                if value not in values or not isinstance(value, str):
                    break
                value = self._value(items, spot)
            values.append(value)
        return values

    def _integer(self, node: Schema, spot: _Spot) -> int:
        low, high = _bounds(node, 1, 10)
        if spot.name == "number" and spot.arrays:
            asked = self._scene.numbers
            return asked[spot.place] if spot.place < len(asked) else round(low) + spot.place
        return self._rng.randint(round(low), max(round(low), round(high)))

    def _number(self, node: Schema, spot: _Spot) -> float:
        likely = _LOOKS_LIKE_PROBABILITY.search(f"{spot.name} {spot.description}".lower())
        low, high = (0.02, 0.35) if likely else _bounds(node, 0, 10)
        return round(self._rng.uniform(low, high), 2)

    def _string(self, node: Schema, spot: _Spot) -> str:
        pattern = _FORMATS.get(_text(node.get("format")))
        if pattern:
            return pattern.format(day=self._rng.randint(1, 28), digit=self._rng.randint(0, 9))
        longest = node.get("maxLength")
        kind = kind_of(
            spot.parent, spot.name, spot.description, longest if isinstance(longest, int) else None, one_of_many=spot.item
        )
        return self._written(kind, self._english if kind.english else self._author)

    def _written(self, kind: FieldKind, author: Author) -> str:
        match kind.form:
            case Form.DECK:
                return author.text(kind.source, kind.length)
            case Form.PHRASE:
                return author.phrase(kind.source)
            case Form.SLOT:
                word = author.slot(kind.source)
                return word[:1].upper() + word[1:]
            case Form.EVENT:
                event = author.event()
                return event[:1].upper() + event[1:]
            case Form.HANDLE:
                return (author.person.username if author.person else "") or self._people.somebody().username
            case Form.PERSON_NAME:
                return (author.person or self._people.somebody()).display_name
            case Form.MENTION:
                return author.mention() or self._people.somebody().username
            case Form.HASHTAG:
                return author.hashtag()
            case Form.LOOK:
                return author.look()
            case Form.WISH:
                return author.wish()
            case Form.LANGUAGE:
                return self._scene.language.english_name
            case Form.SLUG:
                return f"item-{self._rng.randrange(10**6):06d}"


def _type(node: Schema) -> str:
    kind = node.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in node:
        return "object"
    return "array" if "items" in node else "string"


def _bounds(node: Schema, low: float, high: float) -> tuple[float, float]:
    least, most = node.get("minimum"), node.get("maximum")
    lower = least if isinstance(least, (int, float)) else low
    return lower, most if isinstance(most, (int, float)) else max(high, lower + 10)


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""
