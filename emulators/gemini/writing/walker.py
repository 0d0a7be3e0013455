"""The walk over an answer's JSON schema: every node becomes a readable value that the schema allows.

Here: types, counts, choices, the person of an object. Not here: the words (author.py) and what a field name means (fields.py).
"""

from __future__ import annotations

import random
import re
from typing import NamedTuple

from pydantic import JsonValue

from emulators.gemini.api.schema import Schema, resolve
from emulators.gemini.faults import FaultName
from emulators.gemini.writing.author import EVENTS, Author, TextLength, shortened
from emulators.gemini.writing.fields import FieldKind, Form, kind_of
from emulators.gemini.writing.item import BATCH, PostOrder
from emulators.gemini.writing.people import WrittenPeople, WrittenPerson
from emulators.gemini.writing.posts import Posts
from emulators.gemini.writing.scene import Scene
from emulators.gemini.writing.words import WordList

_DEEPEST = 12
"""Levels after which optional properties are left out, so that recursive schemas end."""
_TRIES = 8
_UNBOUNDED = 6
"""Items at most of an array that names no limit."""
_PERSON_FIELD = re.compile(r"^(user_?name|handle|display_name|full_name)$")
_RELATION = re.compile(r"relation|acquaint|mention", re.IGNORECASE)
_WISHES = re.compile(r"wish", re.IGNORECASE)
_CALENDAR = re.compile(r"calendar|^events$", re.IGNORECASE)
_OPENED = frozenset({"bio", "trait", "person"})
"""The decks of what begins alike with everybody when openings are repeated; posts do by themselves."""
_TAGS = re.compile(r"hash_?tag", re.IGNORECASE)
_FACTORS: dict[FaultName | None, float] = {"too_few": 0.5, "too_many": 1.5}
"""What the number of objects in the outermost arrays is multiplied by, whatever the schema allows."""
_GROWN_UP = 20
_HALF = 0.5
_PARAGRAPHS = 3
"""Paragraphs of a person's story."""
_LOOKS_LIKE_PROBABILITY = re.compile(r"probab|likel|confiden|typical")
_FORMATS = {"date-time": "2031-04-{day:02d}T1{digit}:30:00Z", "date": "2031-04-{day:02d}", "time": "1{digit}:30:00"}


class _Spot(NamedTuple):
    """The position of a node in the answer.

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

    def __init__(self, root: Schema, scene: Scene, rng: random.Random, fault: FaultName | None = None) -> None:
        self._root = root
        self._scene = scene
        self._rng = rng
        self._fault = fault
        self._people = WrittenPeople(scene.language, rng, scene.text, scene.worn_names, repeat=fault == "repeated_names")
        self._author = Author(scene, scene.language, rng, self._people, fault)
        english = scene.language is WordList.ENGLISH
        self._english = self._author if english else Author(scene, WordList.ENGLISH, rng, self._people, fault)
        self._posts = Posts(self._author, scene.language, rng, fault)
        self._invented: dict[int, WrittenPerson] = {}
        self._years: int | None = None
        if scene.person:
            self._author.person = self._english.person = self._people.known(scene.person, scene.own_handle)
        self._post = scene.asked.posts[0] if len(scene.asked.posts) == 1 else PostOrder()
        if scene.asked.posts:
            self._author.about(self._post)
            self._english.about(self._post)

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
        # A model rarely leaves out optional fields.
        return self._rng.choice(solid) if solid and (len(solid) == len(schemas) or self._rng.random() < 0.9) else schemas[-1]

    def _object(self, node: Schema, spot: _Spot) -> JsonValue:
        properties = node.get("properties")
        if not isinstance(properties, dict):
            return {}
        required = node.get("required")
        names = required if isinstance(required, list) else []
        before = self._author.person
        if any(_PERSON_FIELD.match(name) for name in properties) and not _RELATION.search(spot.name):
            self._author.person = self._english.person = self._somebody(spot.place)
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

    def _somebody(self, place: int) -> WrittenPerson:
        """A new person; if people are requested by number, the one with this number."""
        numbers, asked = self._scene.numbers, self._scene.asked
        if place >= len(numbers):
            return self._people.somebody()
        # A repeated request names the missing numbers: the batch began at the last full ten.
        place_in_world = asked.existing // BATCH * BATCH + numbers[place] - 1
        pair, second = divmod(place_in_world, 2)
        first_is_woman = random.Random(f"{self._scene.seed}:kind:{pair}").random() < _HALF
        person = self._people.somebody(place_in_world, woman=first_is_woman != bool(second))
        self._invented[numbers[place]] = person
        return person

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
        elif spot.name == "story":
            count = min(max(_PARAGRAPHS, low), high)
        elif _CALENDAR.search(spot.name):
            count = round(min(max(EVENTS, low), high) * _FACTORS.get(self._fault, 1))
            self._author.events = max(count, 1)
        elif _TAGS.search(spot.name) and self._scene.asked.posts:
            count = min(high, self._rng.randint(1, 2)) if self._post.tags is not None else low
        elif "properties" in resolve(self._root, items) and spot.arrays == 0 and not _RELATION.search(spot.name):
            exact = self._scene.exact_count
            wanted = self._rng.randint(max(low, min(3, high)), high) if exact is None else exact
            count = round(min(max(wanted, low), high) * _FACTORS.get(self._fault, 1))
        else:
            count = self._rng.randint(min(low + 2, high), min(low + 4, high))
        inner = [
            _Spot(spot.parent, spot.name, spot.description, spot.arrays + 1, spot.depth, place, item=True) for place in range(count)
        ]
        return self._different(items, inner)

    def _different(self, items: Schema, spots: list[_Spot]) -> list[JsonValue]:
        """A value for each spot; the texts differ as long as there are enough of them."""
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
        text = self._written(kind, self._english if kind.english else self._author, spot)
        if kind.source == "person" and (not spot.item or spot.place == 0):
            text = f"{self._author.sentence('origin')}{self._scene.language.space}{text}"
        if self._fault == "same_opening" and kind.source in _OPENED and spot.place == 0:
            text = f"{self._author.sentence('opening')} {text}"
        return text if kind.length.characters is None else shortened(text, kind.length.characters)

    def _written(self, kind: FieldKind, author: Author, spot: _Spot) -> str:
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
                return author.look(self._drawn_years(spot))
            case Form.WISH:
                return author.wish()
            case Form.LANGUAGE:
                return self._scene.language.english_name
            case Form.SLUG:
                return f"item-{self._rng.randrange(10**6):06d}"
            case Form.DAY:
                return author.day(spot.place if spot.item else None)
            case Form.PART_OF_DAY:
                return author.time_of_day(self._post.moment)
            case Form.POST:
                return self._posts.content(self._post)
            case Form.IDEA:
                planned = self._scene.asked.posts
                return self._posts.idea(planned[spot.place] if spot.place < len(planned) else self._post)
            case Form.PICTURE:
                return author.picture(self._post.picture)
            case _:
                return self._about_somebody(kind.form, author, spot)

    def _about_somebody(self, form: Form, author: Author, spot: _Spot) -> str:
        """What a person is, and the relation of two people."""
        asked = self._scene.asked
        match form:
            case Form.KIND:
                woman = author.person is not None and author.person.woman
                return author.listed("kind", 0 if woman or self._fault == "wrong_kin" else 1)
            case Form.AGE:
                author.given["years"] = str(self._told_years(spot))
                return author.phrase("age")
            case Form.FACT:
                return author.fact(self._two(spot.name))
            case Form.RELATION:
                known = asked.known.get(spot.parent.rpartition("_")[2])
                return author.listed("relation_type", 0) if self._fault == "wrong_kin" else author.relation(known)
            case _:
                known = asked.known.get(spot.parent.rpartition("_")[2])
                return f"{author.text('relation', TextLength(sentences=(1, 1)))} {known.fact if known else ''}".strip()

    def _drawn_years(self, spot: _Spot) -> int:
        years = self._scene.asked.years
        return years[spot.place] if spot.place < len(years) else 0

    def _told_years(self, spot: _Spot) -> int:
        years = self._drawn_years(spot) or self._rng.randint(14, 80)
        return years if self._fault != "wrong_kin" else 7 if years >= _GROWN_UP else 70

    def _two(self, tie: str) -> tuple[str, str]:
        """The names of the two people of a tie: new people by their number, others as the request names them."""
        asked = self._scene.asked
        if pair := asked.ties.get(tie):
            invented = {str(number): person.first_name for number, person in self._invented.items()}
            names = [invented.get(whom, whom) for whom in pair]
            others = [name for name in invented.values() if name not in names]
            return names[0], (*names[1:], *others, "")[0]
        known = asked.known.get(tie.rpartition("_")[2])
        return (asked.renamed or self._people.somebody().first_name), known.display_name if known else ""


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
