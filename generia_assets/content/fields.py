"""Types of the drafts' fields, by how strictly they are validated. One rule for each type:

- Required texts (readers see them, or later requests need them) must be present and of bounded length, else the answer is refused:
  ``Name``, ``Label``, ``Line``, ``Passage``, ``Description``, ``Story``, ``Labels``. A bio that is too long is cut.
- Optional fields never refuse an answer. A wrong value becomes a default, a long one is cut: ``Note`` and ``ShortNote`` '',
  ``Words`` and ``Notes`` none, ``Number`` 0; a wrong one of ``Lines`` becomes '', so that the others keep their places.
- A wrong entry of ``Entries`` (people, ideas, events) and ``Ties`` is left out and the others stay: the task asks for the missing
  ones. An answer without any right entry is refused.
- Every list has a maximum, in the schema (``maxItems``) and here, where the rest is cut, and every string has one. So no answer can
  make the documents, or the requests that quote them, grow without bound.

Not here: which draft has which fields (drafts.py). Maximum lengths are several times those that are asked for: they stop a runaway
answer, not one with a line too many. The provider ignores maxLength, so all lengths are checked here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Protocol, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from generia_assets.content.text import clean, cut, one_line, paragraphs

BIO_LIMIT = 200
"""Characters of a bio, by the platform's contract."""
NAME_LIMIT = 100
"""Characters of a world's name, by the platform's database."""
DESCRIPTION_LIMIT = 24_000
STORY_LIMIT = 16_000
MOST_WORDS = 20
MOST_ENTRIES = 20
"""Entries that are read, twice as many as are asked for at once: the task chooses among them."""
_MOST_OBJECTS = 10
"""Items of an array of objects at most, by the provider's limit."""
_MOST_NOTES = 40
_NOTE_LIMIT = 2_000
_WORD_LIMIT = 200

EntryT = TypeVar("EntryT", bound=BaseModel)


def _text(change: Callable[[str], str]) -> BeforeValidator:
    """Changes a text before its length is checked; the type refuses what is none."""
    return BeforeValidator(lambda value: change(value) if isinstance(value, str) else value)


def _name(text: str) -> str:
    """Normalize letters that are only written differently (full width, mathematical)."""
    return one_line(unicodedata.normalize("NFKC", text))


def _visible(name: str) -> str:
    if not any(character.isalnum() for character in name):
        raise ValueError("must have a letter or a digit that can be seen")
    return name


def _note(value: object) -> str:
    return cut(clean(value), _NOTE_LIMIT) if isinstance(value, str) else ""


def _lines(value: object) -> list[str]:
    entries = value[:MOST_WORDS] if isinstance(value, list) else []
    return [cut(one_line(entry), _WORD_LIMIT) if isinstance(entry, str) else "" for entry in entries]


def _words(value: object) -> list[str]:
    return [text for text in _lines(value) if text]


def _number(value: object) -> int:
    try:
        number = int(value) if isinstance(value, (int, float, str)) else 0
    except (ValueError, OverflowError):
        return 0
    return number if 0 <= number < 1_000_000 else 0


def _notes(value: object) -> dict[str, str]:
    entries = value.items() if isinstance(value, dict) else ()
    return dict([(str(name), note) for name, entry in entries if (note := _note(entry))][:_MOST_NOTES])


def _paragraphs_between(least: int, most: int, characters: int) -> Callable[[list[str]], list[str]]:
    def check(values: list[str]) -> list[str]:
        found = list(paragraphs(values))
        if not least <= len(found) <= most:
            raise ValueError(f"must hold {least} to {most} paragraphs, not {len(found)}")
        if (length := sum(map(len, found))) > characters:
            raise ValueError(f"must have {characters} characters at most, not {length}")
        return found

    return check


def _or_its_error(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    try:
        return handler(value)
    except ValidationError as error:
        return error


def _right_ones(entries: list[EntryT | ValidationError]) -> list[EntryT]:
    right = [entry for entry in entries if not isinstance(entry, ValidationError)]
    if entries and not right and isinstance(entries[0], ValidationError):
        first = entries[0].errors(include_url=False, include_context=False, include_input=False)[0]
        raise ValueError(f"no entry can be used; the first: {'.'.join(map(str, first['loc']))}: {first['msg']}")
    return right[:MOST_ENTRIES]


def _right_of(ties: Mapping[str, EntryT | ValidationError]) -> Mapping[str, EntryT]:
    return dict([(name, tie) for name, tie in ties.items() if not isinstance(tie, ValidationError)][:MOST_ENTRIES])


def _most(items: int, least: int = 0) -> Mapping[str, object]:
    """The list's limits for the schema; this module's validators handle more or fewer."""
    return {"minItems": least, "maxItems": items} if least else {"maxItems": items}


Name = Annotated[str, _text(_name), AfterValidator(_visible), Field(min_length=1, max_length=NAME_LIMIT)]
Label = Annotated[str, _text(one_line), Field(min_length=1, max_length=120)]
Line = Annotated[str, _text(one_line), Field(min_length=1, max_length=600)]
Passage = Annotated[str, _text(clean), Field(min_length=1, max_length=4_000)]
Bio = Annotated[str, _text(one_line), AfterValidator(partial(cut, limit=BIO_LIMIT)), Field(min_length=1, max_length=2_000)]
Description = Annotated[
    list[Passage], AfterValidator(_paragraphs_between(2, 30, DESCRIPTION_LIMIT)), Field(json_schema_extra=_most(30, 2))
]
Story = Annotated[list[Passage], AfterValidator(_paragraphs_between(2, 10, STORY_LIMIT)), Field(json_schema_extra=_most(10, 2))]
Words = Annotated[list[str], BeforeValidator(_words), Field(json_schema_extra=_most(MOST_WORDS))]
Lines = Annotated[list[str], BeforeValidator(_lines), Field(json_schema_extra=_most(MOST_WORDS))]
Labels = Annotated[list[str], BeforeValidator(_words), Field(min_length=1, json_schema_extra=_most(MOST_WORDS, 1))]
Note = Annotated[str, BeforeValidator(_note)]
ShortNote = Annotated[str, BeforeValidator(lambda value: cut(one_line(value), _WORD_LIMIT) if isinstance(value, str) else "")]
Number = Annotated[int, BeforeValidator(_number)]
Notes = Annotated[dict[str, str], BeforeValidator(_notes)]
Entries: TypeAlias = Annotated[
    list[Annotated[EntryT, WrapValidator(_or_its_error)]],
    AfterValidator(_right_ones),
    Field(json_schema_extra=_most(_MOST_OBJECTS)),
]
Ties: TypeAlias = Annotated[Mapping[str, Annotated[EntryT, WrapValidator(_or_its_error)]], AfterValidator(_right_of)]


class Numbered(Protocol):
    """An entry with the number of the requested item."""

    @property
    def number(self) -> int: ...


NumberedT = TypeVar("NumberedT", bound=Numbered)


def by_number(entries: Iterable[NumberedT], wanted: Sequence[int]) -> dict[int, NumberedT]:
    """One entry for each wanted number, as far as there are enough; surplus entries are cut.

    An entry gets the number it claims if that is wanted and free; the others fill what is left, in order.
    """
    matched: dict[int, NumberedT] = {}
    others: list[NumberedT] = []
    for entry in entries:
        if entry.number in wanted and entry.number not in matched:
            matched[entry.number] = entry
        else:
            others.append(entry)
    free = [number for number in wanted if number not in matched]
    matched.update(zip(free, others, strict=False))
    return {number: matched[number] for number in wanted if number in matched}
