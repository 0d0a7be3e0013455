"""The data files beside the prompts: read once, validated, typed.

Here: what ``content/data/*.yaml`` may hold, and where in a file a mistake is. Not here: what is drawn from them, and when all are
validated (check.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails

from generia_assets.content.mistakes import ContentError, Mistake
from resources.explanation import place_of, reason_of

FOLDER = Path(__file__).parent / "data"

FileT = TypeVar("FileT", bound=BaseModel)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is there

Words: TypeAlias = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Entry: TypeAlias = Annotated[Words, StringConstraints(pattern=r"\w")]
"""Of a ban list: signs alone would be found in every text."""
Tag: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
"""Of a language, by BCP 47."""
Script: TypeAlias = Literal[
    "Latin",
    "Cyrillic",
    "Greek",
    "Hebrew",
    "Arabic",
    "Devanagari",
    "Kana",
    "Han",
    "Hangul",
    "Armenian",
    "Georgian",
    "Thai",
    "Bengali",
    "Tamil",
]
"""The scripts that the program can tell apart (languages.py has their letters)."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Axis(_File):
    """One direction in which the people of a world differ."""

    name: Words
    values: tuple[Words, ...] = Field(min_length=2)
    in_posts: bool = False


def _in_order(years: tuple[int, int]) -> tuple[int, int]:
    if years[0] > years[1]:
        raise ValueError(f"must be [least, most], not [{years[0]}, {years[1]}]")
    return years


Years: TypeAlias = Annotated[tuple[int, int], AfterValidator(_in_order)]


class Age(_File):
    """An age that a person of a world can be drawn with. ``years``: least and most, in human years."""

    words: Words
    years: Years


class Language(_File):
    """A language the program knows something about."""

    name: Words
    tag: Tag
    script: Script
    letters: str = ""
    words: tuple[Words, ...] = ()
    deleted: Words = Field(description="text of a post that was refused by moderation twice")
    untold: Words = Field(description="what readers are told of a person of whom moderation refused everything")


NamedT = TypeVar("NamedT", Axis, Language)


def _each_name_once(entries: tuple[NamedT, ...]) -> tuple[NamedT, ...]:
    if twice := [name for name, count in Counter(entry.name for entry in entries).items() if count > 1]:
        raise ValueError(f"names must differ; there more than once: {', '.join(twice)}")
    return entries


class Axes(_File):
    """axes.yaml"""

    ages: tuple[Age, ...] = Field(min_length=2)
    axes: Annotated[tuple[Axis, ...], Field(min_length=1), AfterValidator(_each_name_once)]


class Languages(_File):
    """languages.yaml"""

    languages: Annotated[tuple[Language, ...], Field(min_length=1), AfterValidator(_each_name_once)]
    inflecting: tuple[Tag, ...] = ()


def _of_two(sentence: str) -> str:
    if "{first}" not in sentence or "{second}" not in sentence:
        raise ValueError("must hold {first} and {second}")
    return sentence


class RelationKind(_File):
    """A kind of relation: what the second person is to the first (``one``) and the first to the second (``other``).

    ``says``: the whole sentence, with {first} and {second}. ``older_by``: least and most years by which the second is older than
    the first. ``both_from``: years that both must have.
    """

    one: Words
    other: Words
    says: Annotated[Words, AfterValidator(_of_two)]
    older_by: Years | None = None
    both_from: int = 0
    once: str = Field(default="", description="ties of the same word here exclude each other for one person (couple)")


class Relations(_File):
    """relations.yaml"""

    near: tuple[RelationKind, ...] = Field(min_length=1)
    far: tuple[RelationKind, ...] = Field(min_length=1)
    turns: tuple[Words, ...] = Field(min_length=1)
    between: tuple[Words, ...] = Field(min_length=1)


class PostForm(_File):
    """What kind of post it is. ``least``: words below which it cannot be written."""

    name: Words
    how: Words
    needs_someone: bool = False
    least: int = Field(default=0, ge=0)


class Length(_File):
    """How long a post is: ``words`` as the model is told, ``most`` as a number."""

    words: Words
    most: int = Field(ge=1)


class Talker(_File):
    """How much a person writes at a time: ``lengths`` by their ``words``, repeated as often as they are likelier."""

    name: Words
    lengths: tuple[Words, ...] = Field(min_length=1)


class PictureKind(_File):
    """What a post's picture shows. ``shows``: whether the author, or the author with somebody they know, is seen in it."""

    name: Words
    how: Words
    shows: Literal["nobody", "author", "both"] = "nobody"


class Beats(_File):
    """What a post can do in a character's story, by its place in it."""

    first: tuple[Words, ...] = Field(min_length=1)
    early: tuple[Words, ...] = Field(min_length=1)
    middle: tuple[Words, ...] = Field(min_length=1)
    late: tuple[Words, ...] = Field(min_length=1)
    last: tuple[Words, ...] = Field(min_length=1)
    only: tuple[Words, ...] = Field(min_length=1)


def _one_for_loners(forms: tuple[PostForm, ...]) -> tuple[PostForm, ...]:
    if all(form.needs_someone or form.least for form in forms):
        raise ValueError("at least one form must do without needs_someone and least: not everybody knows somebody or writes much")
    return forms


class PostKinds(_File):
    """posts.yaml"""

    forms: Annotated[tuple[PostForm, ...], Field(min_length=2), AfterValidator(_one_for_loners)]
    lengths: tuple[Length, ...] = Field(min_length=1)
    talkers: tuple[Talker, ...] = Field(min_length=1)
    pictures: tuple[PictureKind, ...] = Field(min_length=2)
    vignettes: tuple[Words, ...] = Field(min_length=2, description="what a post can be that is no part of any story")
    wonders: tuple[PictureKind, ...] = Field(min_length=2, description="pictures of vignettes")
    replies: tuple[Words, ...] = Field(min_length=2, description="ways to answer somebody's post")
    arcs: tuple[Words, ...] = Field(min_length=1)
    beats: Beats

    @model_validator(mode="after")
    def _talkers_write_lengths_that_exist(self) -> Self:
        known = {length.words for length in self.lengths}
        if unknown := [words for talker in self.talkers for words in talker.lengths if words not in known]:
            raise ValueError(f"talkers: lengths not among lengths.words: {', '.join(unknown)}")
        return self


class PersonDeals(_File):
    """people.yaml: what one person's profile is made of, so that not all answer the same list of parts."""

    situations: tuple[Words, ...] = Field(min_length=3)
    entrances: tuple[Words, ...] = Field(min_length=2)
    profile_lines: tuple[Words, ...] = Field(min_length=2)
    portraits: tuple[Words, ...] = Field(min_length=2)
    secrets: tuple[Words, ...] = Field(min_length=2)


class BanFile(_File):
    """One file of banlist/."""

    names: tuple[Entry, ...] = ()
    jobs: tuple[Entry, ...] = ()
    words: tuple[Entry, ...] = ()
    phrases: tuple[Entry, ...] = ()
    openings: tuple[Entry, ...] = ()


def read(path: Path, shape: type[FileT]) -> FileT:
    """Read one data file. Raises ``ContentError`` with each mistake's line when it is missing, not YAML, or of another shape."""
    file = f"content/{path.relative_to(FOLDER.parent).as_posix()}" if path.is_relative_to(FOLDER) else path.name
    try:
        loader = _LOADER(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        twice = [Mistake(file, line, f"{key!r} is there already: a key can be given once") for key, line in _repeated(root)]
        if twice:
            raise ContentError(*twice)
        return shape.model_validate(None if root is None else loader.construct_document(root))
    except (OSError, UnicodeDecodeError) as error:
        raise ContentError(Mistake(file, None, f"cannot be read: {error}")) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        wrong = f"is not YAML: {getattr(error, 'problem', None) or error}"
        raise ContentError(Mistake(file, None if mark is None else mark.line + 1, wrong)) from error
    except ValidationError as error:
        raise ContentError(*(_mistake(file, root, problem, shape) for problem in error.errors())) from error


def _repeated(node: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """The keys that come twice in one mapping, with their lines: YAML forbids them, and its readers take the last one."""
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        yield from ((key.value, key.start_mark.line + 1) for n, (key, _) in enumerate(node.value) if key.value in keys[:n])
        for _, value in node.value:
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated(value)


def _mistake(file: str, root: yaml.Node | None, problem: ErrorDetails, shape: type[BaseModel]) -> Mistake:
    """What pydantic found, with the line of the nearest place that the file has, and the keys that are allowed there."""
    node, line, there = root, None, shape
    for part in problem["loc"]:
        if isinstance(node, yaml.MappingNode):
            at, node = next((pair for pair in node.value if pair[0].value == part), (None, None))
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            at = node = node.value[part]
        else:
            break
        line = line if at is None else at.start_mark.line + 1
        if part in there.model_fields:
            there = _model_in(there.model_fields[str(part)].annotation) or there
    where = place_of(problem) or "the file"
    if problem["type"] == "extra_forbidden":
        return Mistake(file, line, f"{where}: no such key; allowed: {', '.join(there.model_fields)}")
    whole = problem["type"] == "missing" or isinstance(problem["input"], (dict, list, tuple))
    value = "" if whole else f"={problem['input']!r:.80}"
    return Mistake(file, line, f"{where}{value}: {reason_of(problem)}")


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The model of which an annotation says that it, or a tuple of it, stands there."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


@cache
def axes() -> Axes:
    """The axes of axes.yaml."""
    return read(FOLDER / "axes.yaml", Axes)


@cache
def relations() -> Relations:
    """The relations of relations.yaml."""
    return read(FOLDER / "relations.yaml", Relations)


@cache
def post_kinds() -> PostKinds:
    """Forms, lengths and stories of posts.yaml."""
    return read(FOLDER / "posts.yaml", PostKinds)


@cache
def person_deals() -> PersonDeals:
    """The deals of people.yaml."""
    return read(FOLDER / "people.yaml", PersonDeals)


@cache
def languages() -> tuple[Language, ...]:
    """The languages of languages.yaml, in its order."""
    return read(FOLDER / "languages.yaml", Languages).languages


@cache
def inflecting() -> frozenset[str]:
    """The tags of the languages whose names change by case."""
    return frozenset(read(FOLDER / "languages.yaml", Languages).inflecting)


@cache
def ban_file(name: str) -> BanFile:
    """The ban list of a language by its English name, or ``any``; empty where there is no file."""
    path = FOLDER / "banlist" / f"{name.casefold()}.yaml"
    known = {file.name for file in path.parent.glob("*.yaml")}
    return read(path, BanFile) if path.name in known else BanFile()
