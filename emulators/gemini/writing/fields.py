"""The kind of text of an answer's field, recognized by its name, its description and its parent field.

Here: the table only. Not here: the writing (author.py) and the walk (walker.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache

from emulators.gemini.writing.author import TextLength


class Form(Enum):
    """How a text field is filled."""

    DECK = auto()
    """sentences from a deck of templates"""
    PHRASE = auto()
    """one phrase of a list"""
    SLOT = auto()
    """one word of the setting, capitalised"""
    HANDLE = auto()
    PERSON_NAME = auto()
    MENTION = auto()
    EVENT = auto()
    HASHTAG = auto()
    LOOK = auto()
    LANGUAGE = auto()
    WISH = auto()
    SLUG = auto()
    POST = auto()
    IDEA = auto()
    """what a post is to be about"""
    KIND = auto()
    AGE = auto()
    FACT = auto()
    """what happened between two people"""
    RELATION = auto()
    """what somebody is to the person of the text"""
    TIE = auto()
    """a relation as one of the two tells it"""
    DAY = auto()
    """a label of time of the world's calendar"""
    PART_OF_DAY = auto()
    PICTURE = auto()
    """what a post's picture shows"""


@dataclass(frozen=True)
class FieldKind:
    """How a field is filled, from which deck, list or slot, in how many words. ``english`` overrides the content's language."""

    form: Form
    source: str = ""
    length: TextLength = field(default_factory=TextLength)
    english: bool = False


_ONE = TextLength(sentences=(1, 1))
_STORY = TextLength(paragraphs=(2, 3), sentences=(2, 2))

# (the parent, the field, its kind); the first row that fits counts, and '' fits anything.
_TABLE: tuple[tuple[str, str, FieldKind], ...] = (
    ("", "^obvious$", FieldKind(Form.PHRASE, "obvious")),
    ("wish", "^idea$", FieldKind(Form.WISH)),
    ("", "^comments$", FieldKind(Form.DECK, "comment", _ONE)),
    ("", "^daily$", FieldKind(Form.DECK, "daily", _ONE)),
    ("", "^days$", FieldKind(Form.DAY)),
    ("calendar", "^moment$", FieldKind(Form.DAY)),
    ("ideas", "^idea$", FieldKind(Form.IDEA)),
    (r"\.(ties|plot)$", r"^(tie|person|step)_\d+$", FieldKind(Form.FACT)),
    ("people|concept|^\\.$", "^kind$", FieldKind(Form.KIND)),
    ("", "^trade$", FieldKind(Form.PHRASE, "trade")),
    (r"relations\.person_\d+$", "^relationship_type$", FieldKind(Form.RELATION)),
    (r"relations\.person_\d+$", "description$", FieldKind(Form.TIE)),
    ("relation|acquaint", "user_?name|handle", FieldKind(Form.MENTION)),
    ("", "mention", FieldKind(Form.MENTION)),
    ("", "user_?name|handle|nick|login", FieldKind(Form.HANDLE)),
    ("", "display_name|full_name|name_examples", FieldKind(Form.PERSON_NAME)),
    ("", "naming_example", FieldKind(Form.PERSON_NAME)),
    ("naming", "example", FieldKind(Form.PERSON_NAME)),
    ("event|calendar", "name|title", FieldKind(Form.EVENT)),
    ("", "^event(_name)?$", FieldKind(Form.EVENT)),
    ("character|user|people|person|concept", "^name$", FieldKind(Form.PERSON_NAME)),
    ("", r"^(\w*_)?(name|title)$", FieldKind(Form.SLOT, "world")),
    ("", "hash_?tag|^tags?$", FieldKind(Form.HASHTAG)),
    ("", "^(id|key|slug)$|_id$", FieldKind(Form.SLUG)),
    ("", "time_of_day|daytime", FieldKind(Form.PART_OF_DAY)),
    ("", "moment|^when$|^time$|^date$", FieldKind(Form.PHRASE, "moment")),
    ("", "mood|emotion", FieldKind(Form.PHRASE, "mood")),
    ("", "^form(at)?$|post_type", FieldKind(Form.PHRASE, "form")),
    ("", "relation(ship)?_?(type|kind)", FieldKind(Form.PHRASE, "relation_type")),
    ("", r"^age(_\w+)?$", FieldKind(Form.AGE)),
    ("", "spoken", FieldKind(Form.PHRASE, "tongue")),
    ("", "language", FieldKind(Form.LANGUAGE)),
    ("", "wish", FieldKind(Form.WISH)),
    ("", "look$", FieldKind(Form.LOOK, english=True)),
    ("", r"(avatar|image|visual|art|picture)\w*_style|^style$", FieldKind(Form.DECK, "style", _ONE, english=True)),
    ("", "header|background_(prompt|image)|banner", FieldKind(Form.DECK, "header", _ONE, english=True)),
    ("header|banner", "prompt", FieldKind(Form.DECK, "header", _ONE, english=True)),
    ("", "icon", FieldKind(Form.DECK, "icon", _ONE, english=True)),
    ("icon", "prompt", FieldKind(Form.DECK, "icon", _ONE, english=True)),
    ("", "avatar|portrait", FieldKind(Form.DECK, "avatar", _ONE, english=True)),
    ("", "prompt|image|picture|photo", FieldKind(Form.PICTURE, english=True)),
    ("", r"\blocat|\bplace\b|^where$", FieldKind(Form.SLOT, "where")),
    ("", "appearance", FieldKind(Form.DECK, "looks", TextLength(sentences=(3, 4)))),
    ("", "bio$|profile", FieldKind(Form.DECK, "bio", TextLength(sentences=(1, 1), characters=200))),
    ("", "one_line|tagline", FieldKind(Form.DECK, "one_line", _ONE)),
    ("", "personalit|temper|trait", FieldKind(Form.DECK, "trait", TextLength(sentences=(2, 2)))),
    ("", "speak|speech|voice", FieldKind(Form.DECK, "speech", TextLength(sentences=(2, 2)))),
    ("", "routine", FieldKind(Form.DECK, "routine", TextLength(sentences=(3, 4)))),
    ("", "secret|wound", FieldKind(Form.DECK, "secret", _ONE)),
    ("", "stories|plot|premise", FieldKind(Form.DECK, "story", _ONE)),
    ("", "idea", FieldKind(Form.DECK, "story", TextLength(sentences=(2, 2)))),  # two, so that ideas hardly ever repeat
    ("", "background|biograph|^story$", FieldKind(Form.DECK, "person", _STORY)),
    ("", "concept", FieldKind(Form.DECK, "concept", TextLength(sentences=(3, 3)))),
    ("", "interest|topic|hobb|preference|detail", FieldKind(Form.PHRASE, "topic")),
    ("", "activit", FieldKind(Form.PHRASE, "activity")),
    ("", "^paragraphs?$", FieldKind(Form.DECK, "world", TextLength(sentences=(3, 4)))),
    ("", "naming|customs|rules", FieldKind(Form.DECK, "naming", _ONE)),
    ("", "theme", FieldKind(Form.DECK, "theme", _ONE)),
    ("", "level", FieldKind(Form.PHRASE, "level")),
    ("", "technolog|magic|craft", FieldKind(Form.DECK, "craft")),
    ("", "social|societ|cultur|tradition|religio|custom", FieldKind(Form.DECK, "society", TextLength(sentences=(2, 3)))),
    ("", "geograph|climate|nature|resource|flora|fauna", FieldKind(Form.DECK, "nature", TextLength(sentences=(2, 3)))),
    ("", r"histor|period|era\b|epoch", FieldKind(Form.DECK, "history", TextLength(sentences=(2, 3)))),
    ("", "who_cares", FieldKind(Form.DECK, "dispute", _ONE)),
    ("", "conflict|dispute|disagree", FieldKind(Form.DECK, "conflict", _ONE)),
    ("", "happen", FieldKind(Form.DECK, "happening")),
    ("event|calendar", "description", FieldKind(Form.DECK, "happening")),
    ("relation|acquaint", "description|summary|story", FieldKind(Form.DECK, "relation", _ONE)),
    ("", "context|situation", FieldKind(Form.DECK, "context")),
    ("", "content|caption|post|message|^text$", FieldKind(Form.POST)),
    ("", "short|summary", FieldKind(Form.DECK, "world", TextLength(sentences=(1, 2)))),
    ("", "description|world", FieldKind(Form.DECK, "world", TextLength(paragraphs=(3, 4), sentences=(3, 4)))),
)
_COMPILED = tuple((re.compile(parent), re.compile(name), kind) for parent, name, kind in _TABLE)
_ANYTHING = FieldKind(Form.DECK, "world", _ONE)

_RANGE = r"(\d+)(?:\s*(?:-|–|to)\s*(\d+))?"
_PARAGRAPHS = re.compile(_RANGE + r" paragraphs?", re.IGNORECASE)
_SENTENCES = re.compile(_RANGE + r" sentences?", re.IGNORECASE)
_CHARACTERS = re.compile(r"(?:<=|≤|at most|up to|max\w*|no more than|under|within)\s*(\d+) char", re.IGNORECASE)
_MOST_PARAGRAPHS = 6
"""A description may ask for 2-30 paragraphs; nobody reads thirty made-up ones, and every call would carry them."""


@lru_cache(maxsize=4096)
def kind_of(parent: str, name: str, description: str, max_length: int | None = None, *, one_of_many: bool = False) -> FieldKind:
    """The kind of the field ``name`` inside ``parent`` (a dotted path).

    ``max_length`` is the schema's, in characters; ``one_of_many``: an item of an array of texts, so one paragraph is enough.
    """
    kind = _fitting(parent.lower(), name.lower()) or _fitting("", description.lower()) or _ANYTHING
    length = kind.length
    if found := _PARAGRAPHS.search(description):
        low, high = _range(found, _MOST_PARAGRAPHS)
        length = TextLength((low, high), (3, 4), length.characters)
    elif found := _SENTENCES.search(description):
        length = TextLength((1, 1), _range(found, 8), length.characters)
    if one_of_many:
        length = TextLength((1, 1), length.sentences, length.characters)
    limit = _CHARACTERS.search(description)
    ceilings = [number for number in (length.characters, int(limit.group(1)) if limit else None, max_length) if number]
    length = TextLength(length.paragraphs, length.sentences, min(ceilings, default=None))
    english = kind.english or bool(re.search(r"\bin english\b|\benglish\b(?! name)", description, re.IGNORECASE))
    return FieldKind(kind.form, kind.source, length, english)


def _fitting(parent: str, name: str) -> FieldKind | None:
    return next((kind for around, field_, kind in _COMPILED if around.search(parent) and field_.search(name)), None)


def _range(found: re.Match[str], most: int) -> tuple[int, int]:
    low = int(found.group(1))
    high = int(found.group(2) or low)
    return min(low, most), min(high, most)
