"""The data files beside the prompts: read once, validated, typed.

Here: what ``content/data/*.yaml`` may hold. Not here: what is drawn from it. A mistake in a file is told with the file's name
and the place in it, at the first use, so that whoever edits a list of words need not read Python.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

FOLDER = Path(__file__).parent / "data"

FileT = TypeVar("FileT", bound=BaseModel)


class DataFileError(ValueError):
    """A data file is missing or not as it should be. The message says which, and where in it."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Axis(_File):
    """One direction in which the people of a world differ."""

    name: str
    values: tuple[str, ...] = Field(min_length=2)
    in_posts: bool = False


class Axes(_File):
    """axes.yaml"""

    axes: tuple[Axis, ...] = Field(min_length=1)


class RelationKind(_File):
    """A kind of relation: what the second person is to the first (``one``) and the first to the second (``other``)."""

    one: str
    other: str


class Relations(_File):
    """relations.yaml"""

    near: tuple[RelationKind, ...] = Field(min_length=1)
    far: tuple[RelationKind, ...] = Field(min_length=1)
    between: tuple[str, ...] = Field(min_length=1)


class PostForm(_File):
    """What kind of post it is."""

    name: str
    how: str
    needs_someone: bool = False


class Beats(_File):
    """What a post can do in a character's story, by its place in it."""

    first: tuple[str, ...] = Field(min_length=1)
    early: tuple[str, ...] = Field(min_length=1)
    middle: tuple[str, ...] = Field(min_length=1)
    late: tuple[str, ...] = Field(min_length=1)
    last: tuple[str, ...] = Field(min_length=1)
    only: tuple[str, ...] = Field(min_length=1)


class PostKinds(_File):
    """posts.yaml"""

    forms: tuple[PostForm, ...] = Field(min_length=2)
    lengths: tuple[str, ...] = Field(min_length=1)
    arcs: tuple[str, ...] = Field(min_length=1)
    beats: Beats


class Language(_File):
    """A language the program knows something about."""

    name: str
    tag: str = Field(description="BCP 47")
    script: str
    letters: str = ""
    words: tuple[str, ...] = ()
    deleted: str = Field(description="text of a post that was refused by moderation twice")
    untold: str = Field(description="what readers are told of a person of whom moderation refused everything")


class Languages(_File):
    """languages.yaml"""

    languages: tuple[Language, ...] = Field(min_length=1)


class BanFile(_File):
    """One file of banlist/."""

    names: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    openings: tuple[str, ...] = ()


def read(path: Path, shape: type[FileT]) -> FileT:
    """Read one data file. Raises DataFileError with the file's name when it is missing, not YAML, or of another shape."""
    try:
        return shape.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise DataFileError(f"{path.name}: {error}") from error


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
def languages() -> tuple[Language, ...]:
    """The languages of languages.yaml, in its order."""
    return read(FOLDER / "languages.yaml", Languages).languages


@cache
def ban_file(name: str) -> BanFile:
    """The ban list of a language by its English name, or ``any``; empty where there is no file."""
    path = FOLDER / "banlist" / f"{name.casefold()}.yaml"
    known = {file.name for file in path.parent.glob("*.yaml")}
    return read(path, BanFile) if path.name in known else BanFile()
